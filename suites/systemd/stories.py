"""What a person does with the units, told one by one, in this order."""

import glob
import json
import os
import shutil
import subprocess
import tempfile

from box import Broken, Unfit, expect

UNIT = "nodekeep.service"
PATH = f"/etc/systemd/system/{UNIT}"

PROFILE = """
name = "held"
title = "Held"
about = "Files behind a maintenance mode that takes its time, and a service."

[[root]]
name = "data"
about = "its folder"

[[component]]
name = "files"
about = "all of it"
path = "{data}/files"
required = true

[service]
stop = ["sh", "-c", "kill $(cat {data}/pid); rm -f {data}/pid"]
start = ["sh", "-c", "echo $$ > {data}/pid; exec sleep 100000"]
running = ["sh", "-c", "kill -0 $(cat {data}/pid)"]
"""

MAINTENANCE = PROFILE + """
[hold]
method = "maintenance"
enter = ["sh", "-c", "touch {data}/held; sleep {data}"]
exit = ["rm", "-f", "{data}/held"]
"""


def say(text):
    print(f"    {text}", flush=True)


def hold(seconds):
    return MAINTENANCE.replace("sleep {data}", f"sleep {seconds}")


class Lab:
    """The program in the box, with two nodes: one that stands still for a moment, one that is stopped for a backup."""

    def __init__(self, box, program):
        self.box = box
        shutil.copy(program, os.path.join(box.share, "nodekeep"))
        box.run("install", "-m", "0755", "/run/box/nodekeep", "/usr/local/bin/nodekeep")
        for node, profile in (("slow", hold(4)), ("cold", PROFILE + '\n[hold]\nmethod = "stop"\n')):
            box.write(f"/srv/{node}/files/one", "one\n")
            box.write(f"/srv/{node}.toml", profile)
        self.keep("init")
        for node in ("slow", "cold"):
            self.keep("node", "add", node, "--profile-file", f"/srv/{node}.toml", "--path", f"data=/srv/{node}")

    def keep(self, *words, ok=True):
        return self.box.run("nodekeep", *words, ok=ok)

    def told(self, *words):
        return json.loads(self.keep(*words, "--json"))

    def daemon(self, name):
        return self.box.show(UNIT, name)

    def journal(self):
        return self.box.run("journalctl", "--no-pager", "-u", UNIT, "-o", "cat")

    def started(self, before=0):
        """The daemon's process, once systemd was told that it is ready."""
        def is_up():
            ready = self.daemon("ActiveState") == "active" and self.daemon("SubState") == "running"
            return int(self.daemon("MainPID")) if ready and int(self.daemon("MainPID")) != before else None
        return self.box.wait(is_up, f"the daemon: {self.daemon('ActiveState')}, {self.daemon('Result')}")

    def ask(self, node):
        """A backup that is due at once, as by a schedule whose moment just came."""
        since = self.box.run("date", "-u", "-d", "2 hours ago", "+%Y-%m-%dT%H:%M:%SZ")
        name = f"{node}-{self.box.run('date', '+%s%N')}"
        text = f'[[schedule]]\nname = "{name}"\nnode = "{node}"\njob = {{ backup = {{}} }}\nwhen = "0 * * * *"\nzone = "UTC"\ncatch-up = true\nretries = 6\nretry-after-secs = 1\nsince = "{since}"\n'
        self.box.write("/root/.local/share/nodekeep/schedules.toml", text)
        self.box.run("systemctl", "reload", UNIT)
        return name

    def done(self, name):
        jobs = self.told("daemon", "jobs", name)["jobs"]
        return sum(1 for job in jobs if (job.get("ended") or {}).get("ending") == "done")

    def is_held(self):
        return self.box.code("test", "-e", "/srv/slow/held") == 0


def is_installed(lab):
    said = lab.keep("daemon", "install")
    expect("The daemon runs" in said, said)
    expect(lab.daemon("Type") == "notify", "it does not tell systemd that it is ready")
    pid = lab.started()
    expect(lab.box.run("systemctl", "is-enabled", UNIT) == "enabled", "it does not start with the machine")
    lab.box.wait(lambda: "next" in lab.daemon("StatusText") or "0 jobs" in lab.daemon("StatusText"), "its status line")
    expect(lab.daemon("WatchdogUSec") == "2min", "nobody watches it")
    expect(int(lab.daemon("WatchdogTimestampMonotonic")) > 0, "the watchdog was never fed")
    status = lab.box.run("systemctl", "status", "--no-pager", UNIT)
    expect("Nodekeep: backups, checks and drills" in status and 'Status: "' in status, status)
    expect(lab.keep("daemon", "status").startswith("The daemon works."), "the program does not see it")
    say(f"ready as process {pid}; systemctl status says: {next(line.strip() for line in status.splitlines() if 'Status:' in line)}")


def works_and_reloads(lab):
    name = lab.ask("slow")
    lab.box.wait(lambda: lab.done(name) == 1, "the backup")
    expect("are read again" in lab.journal(), "systemctl reload is not heard")
    expect(not lab.is_held(), "the node is still held")
    say("a schedule that came by systemctl reload ran; the journal of systemd has its lines")


def comes_back_after_a_kill(lab):
    before = int(lab.daemon("MainPID"))
    name = lab.ask("slow")
    lab.box.wait(lab.is_held, "the hold")
    restarts = int(lab.daemon("NRestarts"))
    lab.box.run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", UNIT)
    after = lab.started(before)
    expect(int(lab.daemon("NRestarts")) == restarts + 1, "systemd did not start it again")
    lab.box.wait(lambda: lab.done(name) == 1, "the run after the kill", 300)
    expect(lab.done(name) == 1 and not lab.is_held(), "the node is still held, or it was done twice")
    say(f"kill -9 of all of it in the middle of a hold: process {before} became {after}, the hold is released, the job is done once")


def leaves_jobs_alone_when_it_dies(lab):
    before = int(lab.daemon("MainPID"))
    name = lab.ask("slow")
    lab.box.wait(lab.is_held, "the hold")
    lab.box.run("kill", "-KILL", str(before))
    lab.started(before)
    lab.box.wait(lambda: lab.done(name) == 1, "the job that went on", 300)
    jobs = lab.told("daemon", "jobs", name)["jobs"]
    expect(len(jobs) == 1, f"the job that went on was begun again: {jobs}")
    say("kill -9 of the daemon alone: the job under way went on to its end, and was not begun twice")


def is_watched(lab):
    lab.box.write(f"/etc/systemd/system/{UNIT}.d/quick.conf", "[Service]\nWatchdogSec=3\nRestartSec=1\n")
    lab.box.run("systemctl", "daemon-reload")
    lab.box.run("systemctl", "restart", UNIT)
    before = lab.started()
    lab.box.run("sleep", "8")
    expect(int(lab.daemon("MainPID")) == before, "a daemon that works is taken for dead")
    lab.box.run("kill", "-STOP", str(before))
    after = lab.started(before)
    expect("Watchdog timeout" in lab.journal(), "it was not the watchdog")
    lab.box.run("rm", "-r", f"/etc/systemd/system/{UNIT}.d")
    lab.box.run("systemctl", "daemon-reload")
    say(f"fed for 8 s with a patience of 3 s; stopped (SIGSTOP), it was killed and started anew: {before} became {after}")


def stops_in_good_order(lab):
    name = lab.ask("slow")
    lab.box.wait(lab.is_held, "the hold")
    lab.box.run("systemctl", "stop", UNIT)
    expect(lab.daemon("Result") == "success", f"it ended with {lab.daemon('Result')}")
    expect(not lab.is_held(), "a hold is left")
    (job,) = lab.told("daemon", "jobs", name)["jobs"]
    expect(job["ended"]["code"] == 130, f"the job ended as {job['ended']}")
    expect(lab.box.run("nodekeep", "daemon", "status", ok=False).startswith("No daemon") or lab.box.code("nodekeep", "daemon", "status") == 1, "it still works")
    lab.box.run("systemctl", "start", UNIT)
    lab.started()
    lab.box.wait(lambda: lab.done(name) == 1, "the job that was broken off", 300)
    say("systemctl stop in the middle of a hold: heard at once, released, exit code 130; done after the next start")


def lets_a_node_live(lab):
    lab.box.run("nodekeep", "backup", "cold", ok=False)
    lab.box.run("rm", "-f", "/srv/cold/pid")
    lab.box.run("sh", "-c", "setsid sh -c 'echo $$ > /srv/cold/pid; exec sleep 100000' > /dev/null 2>&1 & sleep 1")
    name = lab.ask("cold")
    lab.box.wait(lambda: lab.done(name) == 1, "the backup")
    pid = lab.box.run("cat", "/srv/cold/pid")
    lab.box.run("systemctl", "stop", UNIT)
    expect(lab.box.code("kill", "-0", pid) == 0, "the node that a job started again went with the daemon")
    lab.box.run("systemctl", "start", UNIT)
    lab.started()
    expect(lab.box.code("kill", "-0", pid) == 0, "the node went with the next start")
    say("a node that was stopped for its backup and started again outlives the daemon's stop and start")


def refuses_a_second(lab):
    code = lab.box.code("nodekeep", "daemon", "run")
    expect(code == 11, f"a second daemon ends with {code}")
    say("a second daemon is refused with exit code 11")


def exports_units(lab):
    lab.keep("schedule", "add", "slow", "--frequency", "daily", "--time", "02:00", "--zone", "Europe/Berlin", "--name", "nightly")
    lab.keep("schedule", "add", "cold", "--frequency", "weekly", "--day", "sunday", "--time", "03:30", "--name", "weekly")
    lab.keep("schedule", "export", "--format", "systemd", "--output", "/etc/systemd/system")
    units = lab.box.run("sh", "-c", "ls /etc/systemd/system/nodekeep-*").split()
    said = lab.box.run("systemd-analyze", "verify", *units, PATH, both=True)
    expect("nodekeep" not in said, said)
    lab.box.run("systemctl", "daemon-reload")
    lab.box.run("systemctl", "enable", "--now", "nodekeep-nightly.timer")
    timers = lab.box.run("systemctl", "list-timers", "--no-pager", "--all")
    expect("nodekeep-nightly.timer" in timers, timers)
    before = len(lab.told("snapshot", "list")["snapshots"])
    lab.box.run("systemctl", "start", "nodekeep-nightly.service")
    after = len(lab.told("snapshot", "list")["snapshots"])
    expect(after == before + 1, "the unit made no snapshot")
    names = [os.path.basename(unit) for unit in units]
    say(f"{', '.join(names)}: verified, the timer waits, and its service made a snapshot")


def is_scored(lab):
    score = lab.box.run("systemd-analyze", "security", "--no-pager", UNIT, ok=False).splitlines()[-1]
    say(f"systemd-analyze security: {score.strip(' →')}")


def leaves_nothing(lab):
    lab.box.run("systemctl", "disable", "--now", "nodekeep-nightly.timer")
    said = lab.keep("daemon", "uninstall")
    expect("Removed" in said, said)
    left = lab.box.run("sh", "-c", "find /etc/systemd /run/systemd/system -name nodekeep.service*")
    expect(left == "", f"left: {left}")
    expect(lab.box.run("systemctl", "is-active", UNIT, ok=False) == "inactive", "it still works")
    expect(lab.daemon("LoadState") == "not-found", f"systemd still knows it: {lab.daemon('LoadState')}")
    expect("There is no" in lab.keep("daemon", "uninstall", ok=False), "a second uninstall does not say that there is none")
    expect(lab.told("snapshot", "list")["snapshots"], "snapshots went too")
    say("stopped, disabled, removed, forgotten by systemd; schedules and snapshots stay")


def verify_here(program):
    """The units of this program by this machine's systemd-analyze, without booting anything."""
    if shutil.which("systemd-analyze") is None:
        raise Unfit("systemd-analyze is not installed: apt-get install --no-install-recommends systemd")
    with tempfile.TemporaryDirectory(prefix="nodekeep-units-") as folder:
        environment = {**os.environ, "NODEKEEP_HOME": f"{folder}/a home %h"}

        def run(*words):
            done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                raise Broken(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout + done.stderr
        os.makedirs(f"{folder}/data/files")
        with open(f"{folder}/held.toml", "w") as file:
            file.write(hold(1))
        program = os.path.abspath(program)
        run(program, "init")
        run(program, "node", "add", "n", "--profile-file", f"{folder}/held.toml", "--path", f"data={folder}/data")
        for name, when in (("hourly", []), ("daily", ["--time", "02:00"]), ("weekly", ["--time", "02:00"])):
            run(program, "schedule", "add", "n", "--name", name, "--frequency", name, *when)
        run(program, "schedule", "export", "--format", "systemd", "--output", f"{folder}/units")
        for role in ("writer", "keeper", "owner"):
            with open(f"{folder}/units/nodekeep-daemon-{role}.service", "w") as file:
                file.write(json.loads(run(program, "daemon", "unit", "--role", role, "--json"))["unit"])
        units = sorted(glob.glob(f"{folder}/units/*"))
        said = run("systemd-analyze", "verify", *units)
        expect("nodekeep" not in said, said)
        print(f"systemd: {len(units)} units verified by systemd-analyze")


STORIES = [(story.__name__.replace("_", "-"), story) for story in (
    is_installed, works_and_reloads, comes_back_after_a_kill, leaves_jobs_alone_when_it_dies, is_watched, stops_in_good_order,
    lets_a_node_live, refuses_a_second, exports_units, is_scored, leaves_nothing)]
