"""The rules behind what is shown, asked of the modules themselves inside the browser."""

from browser import expect

DRILLS = [
    # verdict told, the drill, what may be shown
    ("proven", {"ok": True, "started": True, "seconds": 41}, "proven"),
    ("proven", {"ok": True, "started": False, "seconds": 41}, "safe"),
    ("proven", {"ok": False, "started": True, "seconds": 41}, "safe"),
    ("proven", None, "safe"),
    ("at-risk", {"ok": True, "started": True, "seconds": 41}, "at-risk"),
    ("something new", None, "at-risk"),
]

SIZES = [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (120_000_000, "114 MiB"), (5 * 1024**4, "5 TiB")]
SPANS = [(None, "–"), (0.25, "250 ms"), (9.94, "9.9 s"), (41.2, "41 s"), (125, "2 min 5 s"), (120, "2 min"), (7500, "2 h 5 min"), (86400 * 3, "3 days")]
PATHS = [("/a/b", "/a/b"), ("/a%20b/%C3%A4", "/a b/ä"), ("/%FF", "/\ufffd"), ("/100%25", "/100%"), ("/%3Cb%3E", "/<b>")]
QUERIES = [("/a%20b", "/a%20b"), ("/a b&c=d#e+f", "/a%20b%26c%3Dd%23e%2Bf"), ("/\u00e4", "/%C3%A4")]


def check(browser, module, name, cases):
    """Each case is arguments and what must come back."""
    script = f"const m = await import(new URL('assets/{module}', document.baseURI)); return args[0].map((list) => m.{name}(...list))"
    given = browser.promise(script, [case[0] for case in cases])
    for (arguments, wanted), got in zip(cases, given):
        expect(got == wanted, f"{module}: {name}({arguments}) gives {got!r}, not {wanted!r}")
    return len(cases)


def check_all(browser):
    states = [([{"verdict": verdict, "drill": drill}], wanted) for verdict, drill, wanted in DRILLS]
    count = check(browser, "verdict.js", "stateOf", states)
    count += check(browser, "text.js", "bytes", [([size], text) for size, text in SIZES])
    count += check(browser, "time.js", "duration", [([span], text) for span, text in SPANS])
    count += check(browser, "text.js", "readable", [([path], text) for path, text in PATHS])
    count += check(browser, "text.js", "inQuery", [([path], text) for path, text in QUERIES])
    count += check(browser, "parts/scale.js", "ticks", [([0], [0, 1]), ([1], [0, 0.25, 0.5, 0.75, 1]), ([97], [0, 25, 50, 75, 100]), ([3 * 2**20, {"base": 1024}], [0, 2**20, 2 * 2**20, 3 * 2**20])])
    return count
