"""What a person does with the dashboard, told one by one, in this order."""

import os
import shutil

from browser import ENTER, ESCAPE, SHIFT, TAB, Broken, expect
from lab import USES, free_port
from looks import check_contrast, check_names, check_structure, check_width
from rules import check_all
from world import say, settle


def signs_in_by_keyboard(world):
    browser = world.browser
    browser.click("button", "Sign out")
    browser.find_text("h1", "Sign in")
    browser.keys(*[(letter,) for letter in "wrong"], (ENTER,))
    browser.wait_for("not known", ".field-problem")
    browser.keys(*[(letter,) for letter in world.lab.tokens["anna"]], (ENTER,))
    browser.find(".nodes")
    expect(browser.js("return document.cookie") == "", "a script can read the session's cookie")
    kept = browser.js("return JSON.stringify({ ...localStorage, ...sessionStorage })")
    expect(world.lab.tokens["anna"] not in kept, "the token is kept in the browser")
    say("a wrong token is refused, the right one opens the overview; no script can read either")


def moves_by_keyboard(world):
    browser = world.browser
    browser.reload()
    browser.find(".nodes")
    browser.keys((TAB,))
    expect(browser.js("return document.activeElement.id") == "skip", "the first stop is not the skip link")
    browser.keys((ENTER,))
    expect(browser.js("return document.activeElement.id") == "main", "the skip link does not skip")
    browser.keys(("g",), ("s",))
    browser.find_text("h1", "Snapshots")
    expect(browser.js("return document.activeElement.localName") == "h1", "the focus is not on the new heading")
    browser.keys(("/",))
    expect(browser.js("return document.activeElement.localName") == "select", "the filter has not got the focus")
    browser.back()
    browser.find_text("h1", "Overview")
    reach(browser, "a[href='#/nodes/site']")
    ring = browser.js("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]")
    expect(ring[0] != "none" and ring[1] >= 2, f"the focus cannot be seen: {ring}")
    browser.keys((ENTER,))
    browser.find_text("h1", "site")
    dialogs_keep_the_focus(browser)
    say("skip link, keys, Tab and Enter reach everything; dialogs keep the focus and give it back")


def reach(browser, css, most=80):
    """Presses Tab until this has the focus."""
    for _ in range(most):
        if browser.js("return document.activeElement.matches(arguments[0])", css):
            return
        browser.keys((TAB,))
    raise Broken(f"Tab does not reach {css}")


def dialogs_keep_the_focus(browser):
    reach(browser, "button[data-key=restore]")
    browser.keys((ENTER,))
    browser.find("dialog[open] select")
    for _ in range(12):
        browser.keys((TAB,))
        inside = browser.js("const a = document.activeElement; return a === document.body || a.closest('dialog') !== null")
        expect(inside, "Tab leaves the dialog")
    browser.keys((SHIFT, TAB))
    browser.keys((ESCAPE,))
    browser.wait(lambda: not browser.find_all("dialog"), "Escape does not close the dialog")
    expect(browser.js("return document.activeElement.dataset.key") == "restore", "the focus does not come back")


def watches_a_backup(world):
    browser = world.browser
    world.show("#/nodes/archive", "archive")
    browser.js("window.sameSinceHere = true")
    world.plan("Back up")
    browser.click("dialog button", "Start the backup")
    browser.find_text("h1", "Backup of archive")
    seen = set()

    def ended():
        figures = browser.text(".progress .figures")
        if figures:
            seen.add(figures)
        return "Done" in browser.text(".job-state")
    browser.wait(ended, f"the backup does not end; seen: {seen}", 180)
    expect(len(seen) >= 2, f"the progress did not move: {seen}")
    expect(browser.js("return window.sameSinceHere === true"), "the page was loaded anew")
    expect(any("archive" in line for line in [browser.text("main")]), "the job does not say what it did")
    world.show("#/nodes/archive", "archive")
    browser.wait_for("Complete", "main")
    say(f"live, without a reload, {len(seen)} different figures, such as: {max(seen, key=len).splitlines()[0]}")


def browses_and_downloads(world):
    browser, name = world.browser, "a page & more.html"
    world.show("#/snapshots?node=site", "Snapshots of site")
    browser.click("tbody th a")
    browser.click("a", "Browse files")
    browser.find_text("h1", "site")
    browser.click("a.file", "pages")
    browser.find_text("h1", "pages")
    address = browser.address()
    browser.reload()
    browser.find_text("h1", "pages")
    expect(browser.address() == address, "a reload loses the place")
    browser.click(f"a[download='{name}']")
    got = os.path.join(browser.downloads, name)
    browser.wait(lambda: os.path.exists(got), "the file does not arrive")
    with open(got, "rb") as one, open(world.lab.path("site/site/pages", name), "rb") as other:
        expect(one.read() == other.read(), "the file that was downloaded is another")
    browser.back()
    browser.wait(lambda: not browser.text("h1").startswith("pages"), "back does not go up")
    say(f"down to {name!r}, downloaded, every byte the same; reload and back keep the place")


def compares_two(world):
    browser, lab = world.browser, world.lab
    lab.write("site/site/pages/a page & more.html", "second, and longer\n")
    lab.write("site/site/pages/new.html", "new\n")
    os.remove(lab.path("site/site/pages/gone.html"))
    world.show("#/nodes/site", "site")
    world.plan("Back up")
    browser.click("dialog button", "Start the backup")
    expect("Done" in world.finish(), "the backup failed")
    world.show("#/snapshots?node=site", "Snapshots of site")
    browser.find("tbody tr")
    boxes = browser.find_all("tbody input[type=checkbox]")
    expect(len(boxes) >= 2, "there are no two snapshots")
    browser.js("document.querySelectorAll('tbody input[type=checkbox]')[0].click(); document.querySelectorAll('tbody input[type=checkbox]')[1].click()")
    browser.click("button", "Compare")
    browser.find_text("h1", "What changed")
    rows = browser.wait(lambda: browser.text("main table"), "no changes are shown")
    for change, name in (("Added", "new.html"), ("Removed", "gone.html"), ("Changed", "a page & more.html")):
        expect(any(change in row and name in row for row in rows.replace("\t", " ").splitlines() + [rows]), f"{change} {name} is not in\n{rows}")
    say("added, removed and changed are told")


def drills(world):
    browser = world.browser
    world.show("#/nodes/site", "site")
    expect("Proven" not in browser.text(".banner"), "proven before any drill")
    world.plan("Drill")
    browser.click("dialog button", "Start the drill")
    expect("Done" in world.finish(), f"the drill: {browser.text('main')}")
    world.show("#/nodes/site", "site")
    browser.wait_for("Proven restorable", ".banner", 60)
    browser.wait_for("Started in", ".facts")
    world.show("#/certificates", "Certificates")
    browser.wait_for("Started in", ".certificates")
    world.show("#/nodes/notes", "notes")
    world.plan("Drill")
    browser.click("dialog button", "Start the drill")
    world.finish()
    world.show("#/nodes/notes", "notes")
    browser.wait_for("did not start", ".facts", 60)
    green = browser.js("return document.querySelectorAll('.state-proven').length")
    expect(green == 0, "green on a drill that did not start the node")
    say("a drill that started the node is told with its time; one that did not is never green")


def sees_an_alert(world):
    browser, lab = world.browser, world.lab
    world.show("#/", "Overview")
    browser.find(".nodes")
    expect("no backup for" not in browser.text(".alerts"), "there is an alert already")
    lab.age("notes")
    browser.wait_for("no backup for", ".alerts", 150)
    world.picture("alert")
    world.show("#/schedules", "Schedules")
    browser.click("button[aria-label='Run now: notes']")
    browser.find_text("h1", "Backup of notes")
    expect("Done" in world.finish(), "the backup failed")
    world.show("#/", "Overview")
    browser.wait(lambda: "no backup for" not in browser.text(".alerts"), "the alert does not go", 150)
    say("an overdue alert appears on the open page, and goes after the backup")


def tells_why_a_job_failed(world):
    browser = world.browser
    world.show("#/nodes/mail", "mail")
    browser.wait_for("No backup yet", ".banner")
    browser.click(".page-head .actions button", "Back up")
    browser.wait_for("This cannot be started", "dialog")  # The dry run finds nothing to back up.
    browser.keys((ESCAPE,))
    browser.wait(lambda: not browser.find_all("dialog"), "Escape does not close the dialog")
    world.lab.write("mail/mail/inbox", "a letter\n")
    world.plan("Back up")
    shutil.rmtree(world.lab.path("mail/mail"))  # Between the plan and the start.
    browser.click("dialog button", "Start the backup")
    expect("Failed" in world.finish(), "a backup of nothing does not fail")
    said = browser.text(".job-state").replace("Failed", "").strip()
    expect(said, "the failed job does not say why")
    world.show("#/nodes/relay", "relay")
    if world.lab.faketime:  # Else its backups are of today.
        browser.wait_for("Overdue, last backup 4 days ago", ".banner")
    world.show("#/", "Overview")
    states = browser.text(".nodes")
    say(f"{said.splitlines()[0]!r}; and the states {', '.join(w for w in ('Proven', 'Safe', 'At risk', 'Overdue', 'Failed', 'No backup') if w in states)}")


def shows_who_was_told(world):
    browser, lab = world.browser, world.lab
    world.show("#/notifications", "Notifications")
    browser.wait_for("Nobody is told when something goes wrong", "main")
    address, got = lab.listen()
    lab.notify(pager=address, dead=f"http://127.0.0.1:{free_port()}/")
    os.rename(lab.path("notes/notes"), lab.path("notes/away"))
    world.show("#/schedules", "Schedules")
    browser.click("button[aria-label='Run now: notes']")
    browser.find_text("h1", "Backup of notes")
    expect("Failed" in world.finish(), "a backup of nothing does not fail")
    browser.wait(lambda: any(message["topic"] == "failure" for message in got), "the failure is not told", 60)
    os.rename(lab.path("notes/away"), lab.path("notes/notes"))
    world.show("#/notifications", "Notifications")
    def rows():
        table = browser.text("main").replace("\t", " ")
        return table if "Taken" in table and "Refused" in table else None
    browser.wait(rows, "a channel that took the message, and one that did not, are not told apart", 60)
    browser.reload()
    browser.find_text("h1", "Notifications")
    browser.wait(rows, "it is forgotten", 60)
    before = len(got)
    browser.click("button[aria-label='Send a test message to pager']")
    browser.wait(lambda: len(got) > before, "the test message does not arrive")
    browser.wait_for("pager has taken a test message", "body")
    browser.click("button[aria-label='Send a test message to dead']")
    browser.wait_for("dead refused a test message", "body")
    check_contrast(browser, "notifications with both")
    browser.width(1280)
    world.picture("notifications")
    lab.run("schedule", "run-now", "notes")  # So that it is safe again for those who come after.
    browser.wait(lambda: any(message["topic"] == "recovery" for message in got), "the recovery is not told", 60)
    why = next(line for line in browser.text("main").splitlines() if "onnect" in line)
    say(f"failure and recovery reached {address}, and not the channel that leads nowhere: {why.strip()!r}; tests tell the same")


def restores_into_a_folder(world):
    browser, lab = world.browser, world.lab
    to = lab.path("copy of the site")
    newest = lambda: lab.api("snapshots?node=site&limit=1")["items"][0]["id"]
    before = newest()
    world.show("#/nodes/site", "site")
    browser.click(".page-head .actions button", "Restore")
    browser.click("dialog label", "As a copy into an empty folder")
    browser.fill("dialog fieldset input[type=text]", to)
    browser.click("dialog button[type=submit]", "Show the plan")
    browser.find("dialog .plan h3, dialog .problem")
    expect(to in browser.text("dialog h3"), f"the plan is another: {browser.text('dialog')}")
    expect(not os.path.exists(to), "the plan has written something")
    browser.fill("dialog .confirm input", browser.text("dialog .confirm code"))
    browser.click("dialog form button.primary")
    browser.find_text("h1", "Restore of site")
    expect("Done" in world.finish(), f"the restore: {browser.text('main')}")
    expect(os.path.exists(lab.path("site/up")), "the node was touched")
    found = [os.path.join(folder, name) for folder, _, names in os.walk(to) for name in names]
    for name in ("index.html", "a page & more.html"):
        (copy,) = [path for path in found if path.endswith(f"/{name}")]
        original = lab.path("site/site", name) if name == "index.html" else lab.path("site/site/pages", name)
        with open(copy, "rb") as one, open(original, "rb") as other:
            expect(one.read() == other.read(), f"{name} is another")
    expect(before == newest(), "a snapshot came or went")
    say(f"{len(found)} files in the folder, the node not touched")


def is_warned_by_the_fence(world):
    browser, lab = world.browser, world.lab
    lab.write("ledger/keys/uses.json", '{"uses": {"0x7777": 5}}')
    lab.add("ledger", "A ledger that does not say whether it runs", "keys", USES, tells_whether_it_runs=False)
    lab.run("backup", "ledger")
    world.show("#/nodes/ledger", "ledger")
    world.plan("Restore")
    browser.wait_for("The fence warns", "dialog")
    expect(browser.find_all("dialog .confirm input"), "what the fence only warns of cannot be confirmed")
    check_contrast(browser, "the fence's warning")
    browser.width(1280)
    world.picture("fence-warns")
    said = browser.text("dialog .remark pre") or browser.text("dialog .plan pre")
    expect(said.strip(), "the warning does not say of what")
    browser.keys((ESCAPE,))
    say(f"the warning stands before the typed word: {said.strip().splitlines()[0]!r}")


def pauses_a_schedule(world):
    browser = world.browser
    world.show("#/schedules", "Schedules")
    browser.click("button[aria-label='Pause: notes']")
    browser.find("button[aria-label='Resume: notes']")
    expect("Paused" in browser.text("table"), "it does not say that it is paused")
    browser.click("button[aria-label='Resume: notes']")
    browser.find("button[aria-label='Pause: notes']")
    say("paused and resumed")


def restores(world):
    browser, lab = world.browser, world.lab
    lab.write("site/site/index.html", "broken by hand\n")
    world.show("#/nodes/site", "site")
    world.plan("Restore")
    start = "dialog button[type=submit]"
    expect(browser.js("return document.querySelector(arguments[0]).disabled", start), "it starts without the typed word")
    browser.width(1280)
    world.picture("restore")
    browser.fill("dialog .confirm input", "nonsense")
    browser.keys((ENTER,))
    expect(browser.js("return document.querySelector(arguments[0]).disabled", start), "another word confirms")
    browser.fill("dialog .confirm input", browser.text("dialog .confirm code"))
    browser.click(start)
    browser.find_text("h1", "Restore of site")
    expect("Done" in world.finish(), f"the restore: {browser.text('main')}")
    with open(lab.path("site/site/index.html")) as file:
        expect("A site" in file.read(), "the file is not back")
    expect(os.path.exists(lab.path("site/up")), "the node was not started again")
    say("the plan first, then the typed word, then the file is back and the node runs")


def is_refused_by_the_fence(world):
    browser, lab = world.browser, world.lab
    lab.run("backup", "wallet")
    lab.write("wallet/keys/uses.json", '{"uses": {"0x4081": 45}}')
    lab.run("backup", "wallet")
    world.show("#/nodes/wallet", "wallet")
    oldest = lab.api("snapshots?node=wallet&limit=100")["items"][-1]["id"]
    world.show(f"#/snapshots/{oldest}", "wallet")
    world.plan("Restore")
    browser.wait_for("The fence refuses", "dialog")
    expect(not browser.find_all("dialog form button.primary"), "what the fence refuses can be started")
    browser.width(1280)
    world.picture("fence")
    browser.keys((ESCAPE,))
    say("the fence's verdict is shown, and there is no way to start")


def survives_the_end_of_its_session(world):
    browser, lab = world.browser, world.lab
    world.show("#/nodes/site", "site")
    world.plan("Restore")
    browser.fill("dialog .confirm input", "half")
    world.excused = ["Failed to load resource", "net::ERR_"]  # The daemon is away for a moment.
    lab.stop()
    lab.start()
    browser.find_text("dialog h2", "Sign in again")
    browser.fill("dialog input[type=password]", lab.tokens["anna"])
    browser.click("dialog button", "Sign in")
    browser.wait(lambda: len(browser.find_all("dialog[open]")) == 1, "the dialog does not close")
    expect(browser.js("return document.querySelector('dialog .confirm input').value") == "half", "what was typed is lost")
    browser.keys((ESCAPE,))
    browser.wait_for("Live", ".link", 60)
    say("the daemon went and came: one dialog, and everything is where it was")


def goes_on_without_the_stream(world):
    browser = world.browser
    world.excused = ["/api/v1/events - Failed to load resource"]  # That is what is tried here.
    browser.cdp("Network.enable")
    browser.cdp("Network.setBlockedURLs", urls=["*/api/v1/events"])
    browser.reload()
    browser.wait_for("Asking every few seconds", ".link")
    world.show("#/nodes/site", "site")
    world.plan("Check health")
    browser.click("dialog button", "Start the check")
    expect("Done" in world.finish(), f"the look at its health: {browser.text('main')}")
    browser.cdp("Network.setBlockedURLs", urls=[])
    browser.wait_for("Live", ".link", 60)
    say("where the stream is cut off, it asks instead, and listens again once it can")


def obeys_roles(world):
    browser = world.browser
    browser.click("button", "Sign out")
    world.sign_in("rita")
    world.show("#/nodes/site", "site")
    browser.wait_for("may look, not act", ".page-head")
    expect(not browser.find_all(".page-head .actions button"), "a token that may only look has buttons")
    browser.click("button", "Sign out")
    world.sign_in("otto")
    world.show("#/nodes/site", "site")
    browser.find_text(".page-head .actions button", "Drill")
    expect("Restore" not in browser.text(".page-head .actions").replace("A restore needs", ""), "an operator may restore")
    browser.click("button", "Sign out")
    world.sign_in("anna")
    say("read looks, operate acts, admin restores")


def says_what_a_writer_cannot(world):
    browser, lab = world.browser, world.lab
    world.excused = ["Failed to load resource", "net::ERR_"]  # The daemon is away for a moment, twice.
    lab.stop()
    lab.start("writer")
    world.sign_in("anna")
    for place, heading in (("#/snapshots", "Snapshots"), ("#/nodes/site", "site")):
        world.show(place, heading)
        browser.wait_for("This daemon is a writer", "main")
    expect("Restore" not in browser.text(".page-head .actions button"), "a writer's daemon offers a restore")
    lab.stop()
    lab.start()
    world.sign_in("anna")
    say("a writer's daemon shows what it may, and says what it cannot do")


def views(world):
    """Every view with its address and a word of its heading."""
    snapshots = world.lab.api("snapshots?node=site&limit=2")["items"]
    job = world.lab.api("jobs?limit=1")["items"][0]["id"]
    new, old = snapshots[0]["id"], snapshots[1]["id"]
    return {
        "overview": ("#/", "Overview"), "node": ("#/nodes/site", "site"), "snapshots": ("#/snapshots", "Snapshots"),
        "snapshot": (f"#/snapshots/{new}", "site"), "files": (f"#/snapshots/{new}/files", "site"), "diff": (f"#/diff?from={old}&to={new}", "What changed"),
        "jobs": ("#/jobs", "Jobs"), "job": (f"#/jobs/{job}", " of "), "schedules": ("#/schedules", "Schedules"), "repository": ("#/repository", "Repository"),
        "machines": ("#/machines", "Machines"), "certificates": ("#/certificates", "Certificates"), "notifications": ("#/notifications", "Notifications"), "log": ("#/log", "Event log"),
    }


def can_be_read_by_all(world):
    browser = world.browser
    controls = texts = 0
    for name, (place, heading) in views(world).items():
        browser.width(1280)
        world.show(place, heading)
        settle(browser)
        check_structure(browser, name)
        controls += check_names(browser, name)
        for scheme in ("light", "dark"):
            browser.appearance(scheme, "reduce")  # Colours are judged where they have come to rest.
            texts += check_contrast(browser, f"{name} in {scheme}")
        for width in (320, 390, 700, 960):
            browser.width(width)
            settle(browser)
            check_width(browser, f"{name} at {width}")
    browser.width(1280)
    browser.appearance("light")
    say(f"14 views: {controls} controls with names, {texts} texts with contrast, none scrolls sideways at 320 px")


def keeps_the_appearance(world):
    browser = world.browser
    ground = lambda: browser.js("return getComputedStyle(document.body).backgroundColor")
    light = ground()
    browser.js("const s = document.querySelector('.appearance select'); s.value = 'dark'; s.dispatchEvent(new Event('change'))")
    dark = ground()
    browser.reload()
    browser.find("nav a")
    expect(dark != light and ground() == dark, "the choice of dark is not kept")
    browser.js("const s = document.querySelector('.appearance select'); s.value = 'auto'; s.dispatchEvent(new Event('change'))")
    expect(ground() == light, "it does not follow the system again")
    moving = "return [...document.querySelectorAll('*')].filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    expect(browser.js(moving) > 0, "nothing moves at all: this test sees nothing")
    browser.appearance("light", "reduce")
    expect(browser.js(moving) == 0, "something moves although less motion is wished")
    browser.appearance("light")
    say("the choice survives a reload; without motion where that is wished")


def says_what_is_not_there(world):
    browser = world.browser
    world.excused = ["status of 404", "status of 400"]
    world.show("#/nodes/nobody", "did not work")
    expect(browser.find_all(".problem button"), "no way to try again")
    world.show("#/nowhere", "No such page")
    world.show("#/diff", "What changed")
    browser.find(".empty")
    say("an error says what to do, and an empty view says why it is empty")


def takes_pictures(world):
    for scheme in ("light", "dark"):
        world.browser.appearance(scheme)
        for name in ("overview", "node", "snapshots", "diff", "repository"):
            for width in (1280, 390):
                world.browser.width(width)
                place, heading = views(world)[name]
                world.show(place, heading)
                settle(world.browser)
                world.picture(f"{name}-{'wide' if width > 800 else 'narrow'}-{scheme}", 1500)
    world.browser.width(1280)
    world.browser.appearance("light")
    say("pictures in light and dark, wide and narrow" if world.pictures else "no folder for pictures was named")


def follows_its_rules(world):
    say(f"{check_all(world.browser)} cases of states, sizes, spans, paths and axes")


STORIES = [
    ("rules", follows_its_rules),
    ("sign-in", signs_in_by_keyboard),
    ("keyboard", moves_by_keyboard),
    ("backup", watches_a_backup),
    ("download", browses_and_downloads),
    ("diff", compares_two),
    ("drill", drills),
    ("alert", sees_an_alert),
    ("failure", tells_why_a_job_failed),
    ("notifications", shows_who_was_told),
    ("schedules", pauses_a_schedule),
    ("restore", restores),
    ("copy", restores_into_a_folder),
    ("fence", is_refused_by_the_fence),
    ("warning", is_warned_by_the_fence),
    ("session", survives_the_end_of_its_session),
    ("stream", goes_on_without_the_stream),
    ("roles", obeys_roles),
    ("writer", says_what_a_writer_cannot),
    ("errors", says_what_is_not_there),
    ("appearance", keeps_the_appearance),
    ("everyone", can_be_read_by_all),
    ("pictures", takes_pictures),
]
