"""What the stories share: the daemon, the window, and the rules that hold for each of them."""

import os
import time

from browser import expect

# A refused sign-in, and a session that has ended, are told by the status 401; a browser logs that by itself.
USUAL = ("/api/v1/session - Failed to load resource: the server responded with a status of 401",)


def say(text):
    print(f"    {text}", flush=True)


class World:
    """The daemon, the window, and what was seen so far."""

    def __init__(self, lab, browser, pictures):
        self.lab, self.browser, self.pictures = lab, browser, pictures
        self.excused = []

    def sign_in(self, name):
        self.browser.go(self.lab.url)
        self.browser.fill("input[type=password]", self.lab.tokens[name])
        self.browser.click("button[type=submit]")
        self.browser.find(".nodes, .empty")

    def show(self, place, text):
        """Goes to a place by its address, and waits for its heading."""
        self.browser.js("location.hash = arguments[0]", place)
        self.browser.find_text("h1", text)

    def finish(self, patience=120):
        """Waits for the end of the job on the page; what it says of its state."""
        self.browser.wait(lambda: any(word in self.browser.text(".job-state") for word in ("Done", "Failed", "Lost")), "the job does not end", patience)
        return self.browser.text(".job-state")

    def plan(self, action):
        """Opens the plan of an action of the node on the page."""
        self.browser.click(".page-head .actions button", action)
        if self.browser.js("return document.querySelector('dialog .questions') !== null"):
            self.browser.click("dialog button[type=submit]")
        self.browser.find("dialog .plan h3, dialog .problem")

    def check_clean(self):
        """No request went elsewhere, and the console is silent."""
        own = (self.lab.url, "data:", "blob:", "about:", "chrome:", "chrome-extension:", "devtools:")
        foreign = [url for url in self.browser.requests() if not url.startswith(own)]
        expect(not foreign, f"requests to elsewhere: {foreign}")
        entries = [entry["message"] for entry in self.browser.log("browser")]
        loud = [text for text in entries if not any(usual in text for usual in (*USUAL, *self.excused))]
        self.excused = []
        expect(not loud, f"the console says: {loud}")

    def recover(self):
        """The usual daemon and a clean page for the next story."""
        if self.lab.role != "owner" or self.lab.daemon.poll() is not None:
            self.lab.stop()
            self.lab.start()
        self.browser.log("browser")
        self.browser.requests()
        self.excused = []
        self.browser.width(1280)
        self.browser.reload()
        if not self.browser.wait(lambda: self.browser.text("h1"), "no heading").startswith("Sign in"):
            return
        self.sign_in("anna")

    def picture(self, name, most=1100):
        """Keeps a picture, where a folder for them was named."""
        if self.pictures:
            self.browser.js("document.getElementById('toasts').replaceChildren()")  # They would tell of the story before.
            if self.browser.find_all("dialog[open]"):  # What lies behind it ends with the window.
                most = self.browser.js("return window.innerHeight")
            os.makedirs(self.pictures, exist_ok=True)
            self.browser.picture(os.path.join(self.pictures, f"{name}.png"), most)


def settle(browser):
    """Waits until nothing loads and charts are drawn."""
    browser.wait(lambda: not browser.find_all(".loading"), "it loads on and on")
    time.sleep(0.3)
