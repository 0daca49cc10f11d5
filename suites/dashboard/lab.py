"""The real program on a scratch home: nodes of plain files, one with a fence, one too late; and its daemon with the dashboard."""

import glob
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from browser import OPENER, Broken, expect

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN_ROLES = {"anna": "admin", "otto": "operate", "rita": "read"}

PROFILE = """
name = "{name}"
title = "{title}"
about = "A scratch node of the dashboard's suite."

[[root]]
name = "data"
about = "its folder"
default = ""

[[component]]
name = "{component}"
about = "{title}"
path = "{{data}}/{component}"
required = true
priority = "critical"

[service]
stop = ["rm", "-f", "{{data}}/up"]
start = ["touch", "{{data}}/up"]
running = ["test", "-f", "{{data}}/up"]

[[health]]
name = "up"
command = ["test", "-f", "{{data}}/up"]
{more}
"""

TARGETS = """
[targets]
rpo = "26h"
rto = "5m"
"""

STARTS = """
[[verify]]
name = "it starts and serves its pages"
command = ["python3", "{probe}", "{{data}}/site"]
starts-node = true
"""

USES = """
[[fence]]
name = "uses"
about = "One-time keys that are used twice give the key away."
kind = "key-uses"
component = "keys"
mark = {{ json = {{ file = "uses.json", pointer = "/uses" }} }}
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Lab:
    """A scratch home, its nodes, and the daemon that serves them."""

    def __init__(self, program, assets=None):
        self.program = os.path.abspath(program)
        self.root = tempfile.mkdtemp(prefix="nodekeep-dashboard-")
        self.home = os.path.join(self.root, "home")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.assets = os.path.abspath(assets) if assets else None
        self.daemon = None
        self.role = "owner"
        self.tokens = {}
        self.faketime = shutil.which("faketime")
        self.random = random.Random(7)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, path, content):
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self):
        return {**os.environ, "NODEKEEP_HOME": self.home, "HOME": self.root, "NODEKEEP_HOST": "keep1"}

    def run(self, *words, ok=True, days_ago=0):
        then = [self.faketime, "-f", f"-{days_ago}d"] if days_ago and self.faketime else []
        done = subprocess.run([*then, self.program, *words], env=self.environment(), cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if ok and done.returncode != 0:
            raise Broken(f"nodekeep {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def told(self, *words):
        return json.loads(self.run(*words, "--json"))

    def add(self, name, title, component, more="", tells_whether_it_runs=True):
        text = PROFILE if tells_whether_it_runs else "".join(line for line in PROFILE.splitlines(True) if not line.startswith("running"))
        text = text.format(name=name, title=title, component=component, more=more.format(probe=os.path.join(HERE, "probe.py")))
        profile = self.write(f"profiles/{name}.toml", text)
        self.write(f"{name}/up", "")
        self.run("node", "add", name, "--profile-file", profile, "--path", f"data={self.path(name)}")

    def prepare(self):
        """Six nodes, each for something that is to be seen, with two weeks behind them."""
        self.write("site/site/index.html", "<!doctype html><title>A site</title>\n")
        self.write("site/site/pages/a page & more.html", "first\n")
        self.write("site/site/pages/gone.html", "this goes\n")
        self.write("wallet/keys/uses.json", json.dumps({"uses": {"0x4081": 10}}))
        self.write("notes/notes/today.txt", "a note\n")
        self.write("relay/relay/chain.txt", "1 block\n")
        for number in range(12):  # Hexadecimal: what takes a thorough compressor some time.
            self.write(f"archive/archive/{number:03}.txt", self.random.randbytes(500_000).hex())
        self.run("init", days_ago=14)
        self.run("config", "set", "compress", "zstd:19")  # Slow enough to be watched.
        self.run("config", "set", "threads", "1")
        self.add("site", "A web site", "site", STARTS)
        self.add("wallet", "One-time keys", "keys", USES)
        self.add("notes", "Notes", "notes")
        self.add("archive", "An archive", "archive")
        self.add("relay", "A relay", "relay")
        self.add("mail", "Mail", "mail")
        self.live_through(13)
        self.mirror_elsewhere()
        with open(self.path("home/config.toml"), "a") as file:
            file.write(TARGETS)
        self.run("schedule", "add", "notes", "--frequency", "daily", "--time", "02:00")
        self.run("schedule", "add", "site", "--frequency", "daily", "--time", "03:00", "--jitter", "30m")

    def live_through(self, days):
        """Backups of some days, each at its own time where `faketime` is there; else all of them now."""
        for day in range(days, 0, -1):
            self.write(f"site/site/pages/{day:02}.html", self.random.randbytes(20_000 + 4_000 * (days - day)))
            self.write("relay/relay/chain.txt", f"{100 - day} blocks\n")
            self.write("notes/notes/today.txt", f"{day} days ago\n")
            self.write("wallet/keys/uses.json", json.dumps({"uses": {"0x4081": 30 - day}}))
            nodes = ["site", "wallet"] + (["notes"] if day % 5 else []) + (["relay"] if day > 3 else [])
            for node in nodes:
                self.run("backup", node, days_ago=day)

    def mirror_elsewhere(self):
        """A mirror in a folder, written down as one on another host: what is offsite cannot be had on one machine."""
        self.run("repo", "mirror", self.path("mirror"))
        (record,) = glob.glob(os.path.join(self.home, "repos", "*", "copies.json"))
        with open(record) as file:
            copies = json.load(file)
        copies[0].update(location="s3://backups-eu/fleet", distance="other-host")
        with open(record, "w") as file:
            json.dump(copies, file)

    def listen(self):
        """A web server that takes every message; what it was sent, one after the other."""
        got = []

        class Taker(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Taker)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/", got

    def notify(self, **channels):
        """Adds channels to the configuration: webhooks by name."""
        with open(self.path("home/config.toml"), "a") as file:
            for name, url in channels.items():
                secret = self.write(f"{name}.url", url)
                os.chmod(secret, 0o600)
                file.write(f'\n[[notify]]\nname = "{name}"\nby = "webhook"\nurl-file = "{secret}"\n')

    def age(self, schedule, days=40):
        """Makes a schedule look as if it had been set up long ago: what it asks for has never been done since."""
        file = os.path.join(self.home, "schedules.toml")
        with open(file) as text:
            lines = text.read().splitlines()
        past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))
        at = next(index for index, line in enumerate(lines) if schedule in line)
        since = next(index for index in range(at, len(lines)) if lines[index].startswith("since"))
        lines[since] = f'since = "{past}"'
        with open(file, "w") as text:
            text.write("\n".join(lines) + "\n")

    def serve(self):
        self.run("config", "set", "http.listen", f"127.0.0.1:{self.port}")
        for name, role in TOKEN_ROLES.items():
            self.tokens[name] = self.told("daemon", "token", "add", name, "--role", role)["token"]
        self.start()

    def start(self, role="owner"):
        self.role = role
        with open(self.path("daemon.log"), "ab") as log:
            words = ["daemon", "run", "--role", role] + (["--assets", self.assets] if self.assets else [])
            self.daemon = subprocess.Popen([self.program, *words], env=self.environment(), cwd=self.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.time() + 60
        while time.time() < end:
            expect(self.daemon.poll() is None, f"the daemon ended\n{self.daemon_log()}")
            try:
                with OPENER.open(f"{self.url}livez", timeout=2) as answer:
                    return answer.read()
            except OSError:
                time.sleep(0.2)
        raise Broken(f"the daemon does not answer\n{self.daemon_log()}")

    def stop(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()

    def daemon_log(self):
        with open(self.path("daemon.log"), errors="replace") as log:
            return log.read()[-4000:]

    def api(self, path, token="rita"):
        request = urllib.request.Request(f"{self.url}api/v1/{path}", headers={"Authorization": f"Bearer {self.tokens[token]}"})
        with OPENER.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)
