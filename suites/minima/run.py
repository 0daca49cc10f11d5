#!/usr/bin/env python3
"""Nodekeep against a real Minima node, in a network namespace of its own that has nothing but loopback.

run.py --node minima.jar --bin nodekeep [--keep] [--only STORY,...]

The jar is given by path and is no part of this project. Each story prints what it saw; the last line counts them.
"""

import argparse
import base64
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Broken(Exception):
    """A promise that was not held."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


SPOKEN = threading.local()


def say(text):
    """A line of the story that this thread tells; it is printed when the story ends, as several are told at once."""
    SPOKEN.lines.append(f"    {text}")


class Node:
    """A node that is started here, with its own folder and ports."""

    def __init__(self, lab, name, port, *flags, password=None, around=()):
        self.lab, self.name, self.port, self.flags = lab, name, port, list(flags)
        self.password, self.around = password, list(around)
        self.data = os.path.join(lab.root, name)
        self.files = os.path.join(self.data, "files")
        self.pid_file = os.path.join(lab.root, f"{name}.pid")
        self.script = os.path.join(lab.root, f"{name}.sh")
        os.makedirs(self.files, exist_ok=True)

    def command(self, *flags):
        java = ["nice", "-n", "5", "java", "-Xmx512m", "-jar", self.lab.jar, "-data", self.data, "-basefolder", self.files]
        rest = ["-port", str(self.port), "-host", "127.0.0.1", "-rpcenable", "-daemon", "-nodefaultminidapps", "-allowallip"]
        if self.password:
            rest += ["-rpcpassword", self.password]
        return self.around + java + rest + ["-test", "-noconnect", "-testchainlength", "12"] + self.flags + list(flags)

    def write_scripts(self):
        line = shlex.join(self.command())
        with open(self.script, "w") as file:
            file.write(f"#!/bin/sh\n{line} >> '{self.data}.log' 2>&1 < /dev/null &\necho $! > '{self.pid_file}.new' && mv '{self.pid_file}.new' '{self.pid_file}'\n")
        os.chmod(self.script, 0o755)

    def start(self, *flags):
        with open(f"{self.data}.log", "ab") as log:
            process = subprocess.Popen(self.command(*flags), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with open(self.pid_file, "w") as file:
            file.write(str(process.pid))
        self.lab.children.append(process)
        self.wait_until_up()

    def pid(self):
        with open(self.pid_file) as file:
            return int(file.read())

    def is_alive(self):
        try:
            with open(f"/proc/{self.pid()}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def kill(self):
        if self.is_alive():
            os.kill(self.pid(), signal.SIGKILL)
        for child in self.lab.children:
            child.poll()
        while self.is_alive():
            time.sleep(0.1)

    def rpc(self, command, patience=120):
        url = f"http://127.0.0.1:{self.port + 4}/{urllib.parse.quote(command, safe='')}"
        request = urllib.request.Request(url)
        if self.password:
            both = base64.b64encode(f"minima:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {both}")
        with OPENER.open(request, timeout=patience) as answer:
            return json.loads(answer.read())

    def wait_until_up(self, patience=900):
        end = time.time() + patience
        while time.time() < end:
            try:
                return self.rpc("status", 5)
            except OSError:
                time.sleep(0.5)
        raise Broken(f"{self.name} did not come up in {patience} s")

    def wait_for_keys(self):
        while "wait for ALL your keys" in str(self.rpc("restore").get("error")):
            time.sleep(1)

    def block(self):
        return int(self.rpc("status")["response"]["chain"]["block"])

    def wait_for_block(self, number):
        while self.block() < number:
            time.sleep(1)

    def uses(self):
        return {key["publickey"]: key["uses"] for key in self.rpc("keys")["response"]["keys"]}

    def coins(self):
        return {coin["coinid"] for coin in self.rpc("coins relevant:true")["response"]}

    def balance(self):
        return self.rpc("balance")["response"][0]["confirmed"]

    def phrase(self):
        return self.rpc("vault")["response"]["phrase"]

    def wait_for_archive(self, file):
        """Exports the archive as soon as it has a block: when the chain has become longer than the tree that is kept in memory."""
        begun = newest = self.block()
        moved = time.time()
        while not (answer := self.rpc(f"archive action:exportraw file:{file}"))["status"]:
            if self.block() > newest:
                newest, moved = self.block(), time.time()
            expect(newest < begun + 60, f"{newest - begun} new blocks, and none in the archive: {answer}")
            expect(time.time() < moved + 600, f"no new block in 600 s: {answer}")
            time.sleep(2)
        say(f"the archive can be exported after {newest - begun} more blocks")

    def send(self, amount, split=1):
        address = self.rpc("getaddress")["response"]["miniaddress"]
        answer = self.rpc(f"send amount:{amount} address:{address} split:{split}")
        expect(answer["status"], f"send: {answer}")


class Lab:
    """Where the stories of one strand are told: a folder, Nodekeep's own home, the nodes that were started."""

    def __init__(self, arguments, root):
        self.jar = os.path.abspath(arguments.node)
        self.bin = os.path.abspath(arguments.bin)
        self.profile = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../crates/nodes/profiles/minima.toml")
        self.root = root
        self.home = os.path.join(self.root, "home")
        self.children = []
        os.makedirs(self.root)

    def nodekeep(self, *words, ok=True, home=None, **variables):
        environment = {**os.environ, "NODEKEEP_HOME": home or self.home, "HOME": self.root, **variables}
        done = subprocess.run([self.bin, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
        if ok is not None and (done.returncode == 0) != ok:
            raise Broken(f"nodekeep {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def register(self, node, name, profile, *more):
        node.write_scripts()
        text = open(profile).read()
        head, tail = text.split("[service]", 1)
        tail = tail[tail.index("[[health]]"):]
        alive = f"kill -0 $(cat '{node.pid_file}') 2>/dev/null && test \"$(cut -d' ' -f3 /proc/$(cat '{node.pid_file}')/stat)\" != Z"
        service = (
            "[service]\n"
            f"stop = \"kill $(cat '{node.pid_file}')\"\n"
            f"start = [\"{node.script}\"]\n"
            f"running = '''{alive}'''\n\n"
        )
        own = os.path.join(self.root, f"{name}.toml")
        open(own, "w").write(head + service + tail)
        self.nodekeep("node", "add", name, "--profile-file", own, "--path", f"data={node.data}", "--set", f"rpc=http://127.0.0.1:{node.port + 4}", *more)

    def end(self):
        for name in os.listdir(self.root):
            if name.endswith(".pid"):
                try:
                    os.kill(int(open(os.path.join(self.root, name)).read()), signal.SIGKILL)
                except (OSError, ValueError):
                    pass
        for child in self.children:
            child.poll()


def plaintext_left(lab, node, phrase):
    """Files of the node's folder and ours, but the node's own databases, that hold the phrase."""
    found = []
    for root, _, files in os.walk(lab.root):
        for name in files:
            path = os.path.join(root, name)
            if "/databases/" in path or path.endswith(".log"):
                continue
            try:
                data = open(path, "rb").read()
            except OSError:
                continue
            if phrase.encode() in data:
                found.append(path)
    return found


def story_backup(lab):
    """Backup, verify, phrase check, no plaintext secret left on disk, nothing of ours left on the node's disk."""
    node = lab.a
    lab.register(node, "mynode", lab.profile)
    done = lab.nodekeep("backup", "mynode")
    say(done.stdout.strip().replace("\n", "\n    "))
    expect(not os.listdir(os.path.join(node.data, "nodekeep-exchange")), "the exchange folder is not empty")
    left = plaintext_left(lab, node, node.phrase())
    expect(not left, f"the phrase lies in {left}")
    say(lab.nodekeep("check", "--node", "mynode", ok=None).stdout.strip()[-400:].replace("\n", "\n    "))
    say(lab.nodekeep("drill", "mynode", ok=None).stdout.strip().replace("\n", "\n    "))


def story_own_file(lab):
    """The node's own file with a password of odd signs: verified, the right phrase known from a wrong one."""
    node = lab.a
    password = "a:b!#$%&()*+,-./<=>?@^_~|x`'"
    file = os.path.join(lab.root, "own.bak")
    answer = node.rpc(f"backup file:{file} password:{password}")
    expect(answer["status"], answer)
    words, wrong = os.path.join(lab.root, "words"), os.path.join(lab.root, "wrong")
    open(words, "w").write(node.phrase())
    open(wrong, "w").write(" ".join(["ABANDON"] * 23 + ["ART"]))
    for phrase, ok in [(words, True), (wrong, False)]:
        done = lab.nodekeep("minima", "verify", file, "--node-phrase-file", phrase, ok=None, NODEKEEP_NODE_PASSWORD=password)
        say(f"{os.path.basename(phrase)}: exit {done.returncode}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
        expect((done.returncode == 0) == ok, f"{phrase}: {done.stdout}{done.stderr}")
    os.remove(words)
    lab.own, lab.password = file, password


def story_second_backup(lab):
    """A second backup later costs only what changed."""
    lab.a.send(1)
    lab.a.wait_for_block(lab.a.block() + 3)
    done = json.loads(lab.nodekeep("--json", "backup", "mynode").stdout)
    read, added = done["counts"]["bytes_read"], done["counts"]["bytes_added"]
    say(f"read {read} bytes, stored {added}")
    expect(added < read, f"read {read}, stored {added}")


def story_flipped_bit(lab):
    """A flipped bit is refused, and the node is unharmed."""
    node = lab.a
    before = (node.uses(), node.pid())
    data = bytearray(open(lab.own, "rb").read())
    for place in (len(data) // 2, len(data) - 9, 40):
        bad = bytearray(data)
        bad[place] ^= 1
        path = os.path.join(lab.root, "bad.bak")
        open(path, "wb").write(bad)
        done = lab.nodekeep("restore", "mynode", "--from", path, "--yes", ok=False, NODEKEEP_NODE_PASSWORD=lab.password)
        say(f"byte {place}: exit {done.returncode}: {done.stderr.strip().splitlines()[0]}")
    cut = os.path.join(lab.root, "cut.bak")
    open(cut, "wb").write(data[: len(data) // 2 // 16 * 16])
    done = lab.nodekeep("restore", "mynode", "--from", cut, "--yes", ok=False, NODEKEEP_NODE_PASSWORD=lab.password)
    say(f"cut off: exit {done.returncode}: {done.stderr.strip().splitlines()[0]}")
    expect((node.uses(), node.pid()) == before, "the node was touched")


def story_stranger(lab):
    """kill -9 and all data lost; restored on a stranger node with keys, balance, coins, tip and uses right."""
    node = lab.a
    whole = ["--component", "state", "--component", "archive", "--component", "megammr"]
    done = json.loads(lab.nodekeep("--json", "backup", "mynode", *whole).stdout)
    lab.mega_snapshot, lab.balance_served = done["snapshot"], node.balance()
    for component in done["manifest"]["components"]:
        say(f"{component['name']}: {component['status']}, {component['files']} files, {component['bytes']} bytes, {component.get('position')}")
    # Signed after the backup: a restore must not sign with these uses again.
    for _ in range(3):
        node.send(1)
        node.wait_for_block(node.block() + 2)
    uses, balance = node.uses(), node.balance()
    lab.nodekeep("health", "mynode", ok=None)
    lab.nodekeep("backup", "mynode")
    uses, coins, block = node.uses(), node.coins(), node.block()
    phrase = node.phrase()
    node.kill()
    shutil.rmtree(node.data)
    os.makedirs(node.files)
    say(f"lost: {len(uses)} keys with {sum(uses.values())} uses, {len(coins)} coins, {balance} Minima, block {block}")
    node.start()
    node.wait_for_keys()
    expect(node.phrase() != phrase, "a stranger has another phrase")
    done = lab.nodekeep("restore", "mynode", "--yes", ok=None)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    expect(done.returncode == 0, f"exit {done.returncode}")
    node.wait_until_up()
    after = node.uses()
    expect(node.phrase() == phrase, "another phrase")
    expect(set(after) == set(uses), "other keys")
    expect(all(after[key] > uses[key] for key in uses), f"uses {after} against {uses}")
    expect(coins <= node.coins(), f"coins are missing: {coins - node.coins()}")
    expect(node.balance() == balance, f"balance {node.balance()} against {balance}")
    expect(node.block() >= block, "an older block")
    left = plaintext_left(lab, node, phrase)
    expect(not left, f"the phrase lies in {left}")
    say(f"now: lowest use {min(after.values())}, {len(node.coins())} coins, {node.balance()} Minima, block {node.block()}")
    lab.phrase, lab.balance = phrase, balance


def serve(lab, source, port):
    environment = {**os.environ, "NODEKEEP_HOME": lab.home, "HOME": lab.root}
    log = open(os.path.join(lab.root, f"serve-{port}.log"), "wb")
    server = subprocess.Popen([lab.bin, "minima", "serve", "--from", source, "--listen", f"127.0.0.1:{port}"], env=environment, stdout=log, stderr=log)
    lab.children.append(server)
    end = time.time() + 60
    while time.time() < end:
        if b"Serving at" in open(log.name, "rb").read():
            return server, log.name
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise Broken(f"it does not serve: {open(log.name).read()}")


def stop_server(server):
    server.send_signal(signal.SIGINT)
    server.wait(30)


def story_seed_only(lab):
    """From 24 words alone, against our server: a fresh node gets its coins back through the node's own megammrsync."""
    server, log = serve(lab, lab.mega_snapshot, 9901)
    fresh = Node(lab, "fresh", 9201)
    fresh.start()
    fresh.wait_for_keys()
    lab.register(fresh, "fresh", lab.profile)
    words = os.path.join(lab.root, "words")
    open(words, "w").write(lab.phrase)
    done = lab.nodekeep("restore", "fresh", "--from", "127.0.0.1:9901", "--node-phrase-file", words, "--key-uses", "5000", "--yes", ok=None)
    os.remove(words)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    say(open(log).read().strip().replace("\n", "\n    "))
    expect(done.returncode == 0, f"exit {done.returncode}")
    fresh.wait_until_up()
    end = time.time() + 60
    while fresh.balance() != lab.balance_served and time.time() < end:
        time.sleep(0.5)
    say(f"{fresh.balance()} Minima in {len(fresh.coins())} coins, lowest use {min(fresh.uses().values())}, block {fresh.block()}")
    expect(fresh.phrase() == lab.phrase, "another phrase")
    expect(fresh.balance() == lab.balance_served, f"balance {fresh.balance()} against {lab.balance_served}")
    expect(min(fresh.uses().values()) >= 5000, "uses begin lower")
    stop_server(server)
    lab.fresh = fresh


def story_archive_resync(lab):
    """Blocks fetched from a node, a second time only what is new; the node's own archive resync from our server of them."""
    fetched = os.path.join(lab.root, "blocks")
    done = lab.nodekeep("minima", "fetch-archive", f"127.0.0.1:{lab.a.port}", "--into", fetched)
    say(done.stdout.strip().replace("\n", "\n    "))
    again = json.loads(lab.nodekeep("--json", "minima", "fetch-archive", f"127.0.0.1:{lab.a.port}", "--into", fetched).stdout)
    say(f"again: {again['new']} new, {again['dropped']} dropped, {again['first_block']} to {again['newest_block']}")
    expect(again["new"] <= 2, "what was there already was fetched again")
    server, log = serve(lab, fetched, 9902)
    fresh = lab.fresh
    answer = fresh.rpc("archive action:resync host:127.0.0.1:9902", 300)
    say(json.dumps(answer.get("response", answer)))
    expect(answer["status"], answer)
    stop_server(server)
    say(open(log).read().strip().replace("\n", "\n    "))
    end = time.time() + 60
    while fresh.is_alive() and time.time() < end:
        for child in lab.children:
            child.poll()
        time.sleep(0.5)
    fresh.start()
    say(f"after it: block {fresh.block()}, {fresh.balance()} Minima")
    expect(fresh.phrase() == lab.phrase, "another phrase")
    expect(fresh.block() >= again["newest_block"], "not all blocks were taken")
    fresh.kill()


def story_reset(lab):
    """Reset from an archive file, verified first; a damaged one never reaches the node."""
    node = lab.a
    file = os.path.join(lab.root, "archive.raw.dat")
    node.wait_for_archive(file)
    bad = os.path.join(lab.root, "bad.raw.dat")
    data = bytearray(open(file, "rb").read())
    data[len(data) // 2] ^= 1
    open(bad, "wb").write(data)
    uses, pid = node.uses(), node.pid()
    done = lab.nodekeep("restore", "mynode", "--from", bad, "--yes", ok=False)
    say(f"damaged: exit {done.returncode}: {done.stderr.strip().splitlines()[0]}")
    expect((node.uses(), node.pid()) == (uses, pid), "the node was touched")
    coins, balance = node.coins(), node.balance()
    done = lab.nodekeep("restore", "mynode", "--from", file, "--yes", ok=None)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    node.wait_until_up()
    lost = coins - node.coins()
    say(f"{len(lost)} of {len(coins)} coins are missing, {node.balance()} of {balance} Minima")
    # What the archive does not reach back to is lost by the node's own reset; it must be said, with exit code 3.
    expect(done.returncode == (3 if lost else 0), f"exit {done.returncode}")
    expect(bool(lost) == ("are missing" in done.stdout), "missing coins are not told, or told wrongly")
    expect(set(node.uses()) == set(uses), "other keys")
    expect(all(node.uses()[key] >= uses[key] for key in uses), "uses fell")
    if lost:
        done = lab.nodekeep("restore", "mynode-before-restore", "--yes", ok=None)
        say(f"mynode-before-restore by its name: exit {done.returncode}: {done.stderr.strip().splitlines()[0] if done.stderr else ''}")


def story_keys(lab):
    """Lock, a backup of a locked wallet, unlock, wipe, a foreign phrase refused, the right one restored."""
    node = lab.a
    words, wrong = os.path.join(lab.root, "words"), os.path.join(lab.root, "wrong")
    open(words, "w").write(node.phrase())
    open(wrong, "w").write(" ".join(["ABANDON"] * 23 + ["ART"]))
    keys = set(node.uses())
    locking = {"NODEKEEP_NODE_PASSWORD": "lock-me:#1"}
    say(lab.nodekeep("minima", "keys", "lock", "mynode", "--yes", **locking).stdout.strip().splitlines()[-1])
    expect(node.rpc("status")["response"]["locked"], "not locked")
    done = lab.nodekeep("backup", "mynode")
    expect("locked" in done.stdout, done.stdout)
    bad = lab.nodekeep("minima", "keys", "unlock", "mynode", "--yes", ok=False, NODEKEEP_NODE_PASSWORD="wrong")
    say(bad.stderr.strip().splitlines()[0])
    say(lab.nodekeep("minima", "keys", "unlock", "mynode", "--yes", **locking).stdout.strip().splitlines()[-1])
    say(lab.nodekeep("minima", "keys", "wipe", "mynode", "--yes").stdout.strip().splitlines()[-1])
    expect(node.rpc("status")["response"]["locked"], "not wiped")
    bad = lab.nodekeep("minima", "keys", "restore", "mynode", "--node-phrase-file", wrong, "--yes", ok=False)
    say(bad.stderr.strip().splitlines()[0])
    expect(node.rpc("status")["response"]["locked"], "a foreign phrase was taken")
    say(lab.nodekeep("minima", "keys", "restore", "mynode", "--node-phrase-file", words, "--yes").stdout.strip().splitlines()[-1])
    expect(not node.rpc("status")["response"]["locked"] and set(node.uses()) == keys, "not restored")
    os.remove(words)


def story_own_restore(lab):
    """A backup that the node made itself, with its own password of odd signs, is given back with raised uses."""
    node = lab.a
    before = node.uses()
    done = lab.nodekeep("restore", "mynode", "--from", lab.own, "--yes", ok=None, NODEKEEP_NODE_PASSWORD=lab.password)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    expect(done.returncode == 0, f"exit {done.returncode}")
    node.wait_until_up()
    after = node.uses()
    expect(all(after[key] > before[key] for key in before), f"{after} against {before}")


def story_cold(lab):
    """A cold backup stops the node, copies its folder and starts it; killed in the middle, the next command starts it; it goes back whole."""
    node = lab.a
    dapp = os.path.join(node.data, "1.0", "nodekeep-was-here")
    open(dapp, "w").write("a file of a MiniDAPP")
    before, pid = node.uses(), node.pid()
    done = lab.nodekeep("backup", "mynode", "--cold")
    say(done.stdout.strip().replace("\n", "\n    "))
    expect(node.is_alive() and node.pid() != pid, "the node was not started again")
    expect(node.uses() == before, "the uses changed")
    torn = lab.nodekeep("backup", "mynode", "--component", "node", ok=None)
    expect(torn.returncode == 3 and "torn" in torn.stdout + torn.stderr, f"a live copy of the folder: exit {torn.returncode}")
    # kill -9 while the node is stopped.
    environment = {**os.environ, "NODEKEEP_HOME": lab.home, "HOME": lab.root}
    running = subprocess.Popen([lab.bin, "backup", "mynode", "--cold"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while node.is_alive() and running.poll() is None:
        for child in lab.children:
            child.poll()
        time.sleep(0.01)
    running.kill()
    running.wait()
    expect(not node.is_alive(), "it was not caught while the node was stopped")
    next_command = lab.nodekeep("node", "list")
    say(f"killed; the next command: {(next_command.stderr + next_command.stdout).strip().splitlines()[0]}")
    node.wait_until_up()
    # A key signs after the cold backup; then the folder is lost, and put back with it.
    node.send(1)
    node.wait_for_block(node.block() + 2)
    lab.nodekeep("backup", "mynode")
    uses, phrase = node.uses(), node.phrase()
    cold = json.loads(lab.nodekeep("--json", "backup", "mynode", "--cold").stdout)["snapshot"]
    alone = lab.nodekeep("restore", f"mynode@{cold[:12]}", "--component", "node", "--yes", ok=False)
    say(f"the folder alone: exit {alone.returncode}: {alone.stderr.strip().splitlines()[0]}")
    os.remove(dapp)
    done = lab.nodekeep("restore", f"mynode@{cold[:12]}", "--yes", ok=None)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    expect(done.returncode == 0, f"exit {done.returncode}")
    node.wait_until_up()
    expect(os.path.exists(dapp), "the folder did not come back")
    after = node.uses()
    expect(set(after) == set(uses) and all(after[key] > uses[key] for key in uses), f"{after} against {uses}")
    expect(node.phrase() == phrase, "another phrase")


def story_rpc_password(lab):
    """A node with an -rpcpassword of odd signs: given in a file, never in an argument; a wrong one is told."""
    password = "odd:pass#1%&+=/?~'"
    node = Node(lab, "closed", 9301, "-archive", password=password)
    node.start("-genesis")
    node.wait_for_keys()
    file, wrong = os.path.join(lab.root, "rpc-password"), os.path.join(lab.root, "rpc-wrong")
    open(file, "w").write(password + "\n")
    open(wrong, "w").write("another\n")
    lab.register(node, "closed", lab.profile, "--set", f"rpc-password-file={file}")
    lab.register(node, "wrong", lab.profile, "--set", f"rpc-password-file={wrong}")
    say(lab.nodekeep("backup", "closed").stdout.strip().splitlines()[-1])
    bad = lab.nodekeep("backup", "wrong", ok=False)
    say(f"wrong: exit {bad.returncode}: {bad.stderr.strip().splitlines()[0]}")
    expect("password" in bad.stderr, bad.stderr)
    done = lab.nodekeep("restore", "closed", "--yes", ok=None)
    expect(done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}")
    say(f"restored; lowest use {min(node.uses().values())}")
    node.kill()


def story_container(lab):
    """A node that sees the shared folder under another name, as in a container: a mount namespace with a bind mount."""
    shared, inside = os.path.join(lab.root, "shared"), os.path.join(lab.root, "inside")
    os.makedirs(shared)
    os.makedirs(inside)
    # The node sees the folder under its other name alone: where it lies for us, something else lies for the node.
    steps = f"mount --bind {shared} {inside} && mount -t tmpfs none {shared} && exec \"$@\""
    node = Node(lab, "boxed", 9311, around=["unshare", "--mount", "--", "sh", "-c", steps, "sh"])
    node.start("-genesis")
    node.wait_for_keys()
    lab.register(node, "unmapped", lab.profile, "--path", f"exchange={shared}")
    bad = lab.nodekeep("backup", "unmapped", ok=False)
    say(f"unmapped: exit {bad.returncode}: {(bad.stdout + bad.stderr).strip().splitlines()[-1]}")
    expect("exchange-inside" in bad.stdout + bad.stderr, "what to do is not told")
    lab.register(node, "boxed", lab.profile, "--path", f"exchange={shared}", "--set", f"exchange-inside={inside}")
    say(lab.nodekeep("backup", "boxed").stdout.strip().splitlines()[-1])
    expect(os.listdir(shared) == [] and os.listdir(inside) == [], "something was left")
    done = lab.nodekeep("restore", "boxed", "--yes", ok=None)
    expect(done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}")
    say(f"restored; lowest use {min(node.uses().values())}")
    node.kill()


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
#define BACK (5 * 24 * 3600)
int clock_gettime(clockid_t id, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, at);
    if (done == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec -= BACK;
    return done;
}
int gettimeofday(struct timeval *at, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int done = real(at, zone);
    if (done == 0) at->tv_sec -= BACK;
    return done;
}
time_t time(time_t *at) {
    struct timeval now;
    gettimeofday(&now, 0);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def story_old_backup(lab):
    """A backup of five days ago: restored with later blocks from a host (restoresync), on a stranger node. A young one asks nobody."""
    if not shutil.which("gcc"):
        return say("skipped: there is no gcc to build a clock that is five days late")
    source, shim = os.path.join(lab.root, "late.c"), os.path.join(lab.root, "late.so")
    open(source, "w").write(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    host = Node(lab, "late", 9401, "-archive", around=["env", f"LD_PRELOAD={shim}"])
    host.start("-genesis")
    host.wait_for_keys()
    host.wait_for_block(5)
    host.send(10)
    host.wait_for_block(16)
    old = os.path.join(lab.root, "old.bak")
    expect(host.rpc(f"backup file:{old} password:old-one")["status"], "no backup")
    phrase, block, uses = host.phrase(), host.block(), host.uses()
    host.kill()
    host.around = []
    host.start()
    stranger = Node(lab, "stranger", 9411)
    stranger.start()
    stranger.wait_for_keys()
    lab.register(stranger, "stranger", lab.profile)
    words, sync = {"NODEKEEP_NODE_PASSWORD": "old-one"}, f"127.0.0.1:{host.port}"
    # Blocks are archived when the tree of twelve has left them behind; until the backup's newest is, the host is no good.
    early = lab.nodekeep("restore", "stranger", "--from", old, "--sync", sync, "--dry-run", ok=None, **words)
    say(f"a host that lacks the block: exit {early.returncode}: {early.stdout.strip().splitlines()[0]}")
    expect(early.returncode == 2 and "does not have that block" in early.stdout, f"{early.stdout}{early.stderr}")
    host.wait_for_block(block + 30)
    # Of two hosts the one that has the block is taken, and nobody waits for one that is not there.
    nobody = ["--sync", "127.0.0.1:9", "--sync", sync]
    dry = lab.nodekeep("restore", "stranger", "--from", old, "--dry-run", ok=None, **words)
    say(dry.stdout.strip().splitlines()[0])
    expect("--sync" in dry.stdout, dry.stdout)
    done = lab.nodekeep("restore", "stranger", "--from", old, *nobody, "--yes", ok=None, **words)
    say((done.stdout + done.stderr).strip().replace("\n", "\n    "))
    expect(done.returncode == 0, f"exit {done.returncode}")
    expect("5 days old" in done.stdout and f"blocks come from {sync}" in done.stdout, "which way was taken is not told")
    stranger.wait_until_up()
    say(f"the backup ended at block {block}, the host is at {host.block()}, the node at {stranger.block()}")
    expect(stranger.phrase() == phrase, "another phrase")
    expect(stranger.block() > block, "no later blocks came")
    expect(all(stranger.uses()[key] > uses[key] for key in uses), "uses fell")
    young = os.path.join(lab.root, "young.bak")
    expect(host.rpc(f"backup file:{young} password:old-one")["status"], "no backup")
    dry = lab.nodekeep("restore", "stranger", "--from", young, "--sync", sync, "--dry-run", **words)
    say(dry.stdout.strip().splitlines()[0])
    expect("restored alone" in dry.stdout, dry.stdout)
    for node in (host, stranger):
        node.kill()


def prepare_repository(lab):
    """A home and a repository of Nodekeep for this strand."""
    lab.nodekeep("init")


def prepare_own_node(lab):
    """The node of the first strand, with a chain of some blocks and coins; all of its stories go on with it."""
    lab.a = Node(lab, "a", 9101, "-archive", "-megammr")
    lab.a.start("-genesis")
    lab.a.wait_for_keys()
    lab.a.wait_for_block(5)
    lab.a.send(100, 5)
    lab.a.wait_for_block(15)
    lab.a.send(7)
    lab.a.wait_for_block(18)
    version = lab.a.rpc("status")["response"]["version"]
    say(f"Minima {version}: block {lab.a.block()}, {lab.a.balance()} Minima, uses {sorted(lab.a.uses().values())}")


# Strands are told at once, each with nodes of its own: most of the time is spent waiting for blocks.
STRANDS = {
    "one": [
        prepare_own_node,
        story_backup, story_own_file, story_second_backup, story_flipped_bit, story_stranger,
        story_keys, story_seed_only, story_archive_resync, story_own_restore, story_reset, story_cold,
    ],
    "two": [story_old_backup],
    "three": [story_rpc_password, story_container],
}


def tell(lab, story, counts):
    """Tells one story and prints it whole. Every story is told, whatever went wrong before."""
    SPOKEN.lines = [f"  {story.__name__.removeprefix('story_')}: {story.__doc__}"]
    begun = time.time()
    try:
        story(lab)
        outcome = "held"
        say(f"held, {time.time() - begun:.0f} s")
    except Exception as error:
        outcome = "broken"
        say(f"BROKEN, {time.time() - begun:.0f} s: {type(error).__name__}: {error}")
    if story.__name__.startswith("story_") or outcome == "broken":
        counts[outcome] += 1
    print("\n".join(SPOKEN.lines), flush=True)


def tell_strand(lab, stories, counts):
    try:
        for story in [prepare_repository, *stories]:
            tell(lab, story, counts)
    finally:
        lab.end()


def chosen(only):
    """The strands with the stories that are wanted; the first one's need what is prepared."""
    def is_wanted(story):
        return not only or story.__name__.removeprefix("story_") in only

    strands = {name: [story for story in stories if is_wanted(story)] for name, stories in STRANDS.items()}
    if only and strands["one"]:
        strands["one"].insert(0, prepare_own_node)
    return {name: stories for name, stories in strands.items() if stories}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", required=True)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--inside", action="store_true")
    arguments = parser.parse_args()
    if not arguments.inside:
        inner = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv, "--inside"]
        os.execvp("unshare", inner)
    root = tempfile.mkdtemp(prefix="nodekeep-minima-")
    counts = {"held": 0, "broken": 0}
    try:
        strands = chosen([word for word in arguments.only.split(",") if word])
        print(f"in {root}", flush=True)
        tellers = []
        for name, stories in strands.items():
            lab = Lab(arguments, os.path.join(root, name))
            tellers.append(threading.Thread(target=tell_strand, args=(lab, stories, counts)))
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
    finally:
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)
    print(f"{counts['held']} stories held, {counts['broken']} broken")
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
