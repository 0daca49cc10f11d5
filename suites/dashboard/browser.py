"""A real Chromium, spoken to by the WebDriver protocol with nothing but the standard library."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

TAB, ENTER, ESCAPE, SPACE, SHIFT = "\ue004", "\ue007", "\ue00c", " ", "\ue008"


class Broken(Exception):
    """A promise that was not held."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


def programs():
    """Chromium and its driver, or None where one of them is missing."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


class Browser:
    """One window. Ends with `close`."""

    def __init__(self, folder, patience=20):
        chromium, driver = programs()
        self.patience = patience
        self.downloads = os.path.join(folder, "downloads")
        os.makedirs(self.downloads, exist_ok=True)
        self.driver, self.base = start_driver(driver, folder)
        self.url = f"{self.base}/session/{self.begin(chromium, folder)}"

    def begin(self, chromium, folder):
        arguments = ["--headless=new", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--window-size=1280,900", f"--user-data-dir={folder}/profile"]
        # What Chromium itself would ask the network for is switched off; what the page asks for is what the suite watches.
        arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        options = {"binary": chromium, "args": arguments, "prefs": {"download.default_directory": self.downloads}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        return ask("POST", f"{self.base}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def close(self):
        try:
            ask("DELETE", self.url)
        finally:
            self.driver.terminate()
            self.driver.wait(timeout=20)

    def go(self, address):
        ask("POST", f"{self.url}/url", {"url": address})

    def address(self):
        return ask("GET", f"{self.url}/url")

    def back(self):
        ask("POST", f"{self.url}/back", {})

    def reload(self):
        ask("POST", f"{self.url}/refresh", {})

    def js(self, script, *arguments):
        return ask("POST", f"{self.url}/execute/sync", {"script": script, "args": list(arguments)})

    def promise(self, script, *arguments):
        """What the promise gives that the script returns."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments).then(done, (e) => done({{ error: String(e) }}))"
        result = ask("POST", f"{self.url}/execute/async", {"script": wrapped, "args": list(arguments)})
        expect(not (isinstance(result, dict) and "error" in result), f"the script says: {result}")
        return result

    def cdp(self, command, **parameters):
        return ask("POST", f"{self.url}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def find_all(self, css):
        found = ask("POST", f"{self.url}/elements", {"using": "css selector", "value": css})
        return [element[ELEMENT] for element in found]

    def find(self, css):
        """The first that matches, as soon as there is one."""
        return self.wait(lambda: next(iter(self.find_all(css)), None), f"no element {css}")

    def find_text(self, css, text):
        """The first that matches and says this, as soon as there is one. Its reference stays true until it is drawn anew."""
        script = "return [...document.querySelectorAll(arguments[0])].find((e) => e.textContent.includes(arguments[1]) && e.checkVisibility()) ?? null"
        return self.wait(lambda: self.js(script, css, text), f"no {css} that says {text!r}")[ELEMENT]

    def click(self, css, text=None):
        """Clicks; again, if the page drew the element anew in between."""
        def press():
            element = self.find_text(css, text) if text else self.find(css)
            try:
                ask("POST", f"{self.url}/element/{element}/click", {})
                return True
            except Broken as error:
                if "stale" in str(error) or "intercepted" in str(error):
                    return False
                raise
        self.wait(press, f"{css} {text or ''} cannot be clicked")

    def fill(self, css, text):
        element = self.find(css)
        ask("POST", f"{self.url}/element/{element}/clear", {})
        ask("POST", f"{self.url}/element/{element}/value", {"text": text})

    def keys(self, *keys):
        """Presses keys where the focus is. Each of `keys` is one key, or several that are held together."""
        actions = []
        for chord in keys:
            actions += [{"type": "keyDown", "value": key} for key in chord]
            actions += [{"type": "keyUp", "value": key} for key in reversed(chord)]
        ask("POST", f"{self.url}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def text(self, css="body"):
        """What is to be read there; empty if it is not there."""
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def wait(self, condition, what, patience=None):
        """What `condition` gives as soon as it gives something."""
        end = time.time() + (patience or self.patience)
        while True:
            result = condition()
            if result:
                return result
            if time.time() > end:
                raise Broken(f"{what} within {patience or self.patience} s; the page says:\n{self.text()[:3000]}")
            time.sleep(0.1)

    def wait_for(self, text, css="body", patience=None):
        self.wait(lambda: text in self.text(css), f"{css} does not say {text!r}", patience)

    def width(self, width, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def appearance(self, scheme, motion="no-preference"):
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def picture(self, file, most=None):
        """The whole page as PNG, or as much of it as `most` pixels of height."""
        size = self.js("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], most or size[1]), "scale": 1}
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def log(self, kind):
        """What was logged since the last look: `browser` is the console, `performance` the network."""
        return ask("POST", f"{self.url}/se/log", {"type": kind})

    def requests(self):
        """The address of every request since the last look."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def start_driver(driver, folder):
    """A driver on a port that it chose itself."""
    log = os.path.join(folder, "chromedriver.log")
    environment = {**os.environ, "HOME": folder, "TMPDIR": folder}
    with open(log, "wb") as out:
        process = subprocess.Popen([driver, "--port=0"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    end = time.time() + 20
    while time.time() < end:
        with open(log) as text:
            said = [line for line in text if "started successfully on port" in line]
        if said:
            return process, f"http://127.0.0.1:{said[0].split('port')[1].strip().rstrip('.')}"
        time.sleep(0.1)
    process.kill()
    raise Broken("chromedriver did not start")


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with OPENER.open(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        told = json.loads(error.read())["value"]
        raise Broken(f"{told['error']}: {told['message'].splitlines()[0]}") from None
