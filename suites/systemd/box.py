"""A machine in a box: this machine's own systemd, started on an overlay of its root in namespaces of its own. What is
written in it is gone with it. Nothing of it reaches the network or this machine's services."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

# What a box has no use for, or what would touch devices.
MASKED = """getty.target systemd-logind.service systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket
systemd-udevd-kernel.socket dbus.service dbus.socket systemd-networkd.service systemd-resolved.service
systemd-timesyncd.service systemd-remount-fs.service systemd-modules-load.service systemd-sysctl.service
systemd-binfmt.service systemd-hwdb-update.service systemd-firstboot.service systemd-random-seed.service
systemd-network-generator.service systemd-machine-id-commit.service systemd-update-utmp.service kmod-static-nodes.service
dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
proc-sys-fs-binfmt_misc.automount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
fstrim.timer""".split()

BOOT = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$BOX"
mkdir "$BOX/upper" "$BOX/work" "$BOX/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" "$BOX/root"
cd "$BOX/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=1777 none tmp
mount -t tmpfs -o mode=755 none var/log
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
for name in null zero full random urandom tty; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts run/box
mount --bind "$SHARE" run/box
rm -rf etc/systemd/system/*.wants etc/systemd/system/default.target etc/systemd/system/nodekeep*
: > etc/fstab
for unit in $MASKED; do ln -sfn /dev/null "etc/systemd/system/$unit"; done
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
echo box > etc/hostname
ip link set lo up 2>/dev/null || true
exec env -i container=nodekeep PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb chroot . /lib/systemd/systemd --system --log-target=journal-or-kmsg --show-status=false
"""


class Unfit(Exception):
    """Why this machine cannot run the suite."""


class Broken(Exception):
    """Something is not as it should be."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


def cgroups():
    """Where the second version of control groups is mounted: systemd needs one of its own."""
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{folder}/cgroup.procs") and os.path.exists(f"{folder}/cgroup.controllers"):
            return folder
    raise Unfit("no cgroup2 is mounted in /sys/fs/cgroup or /sys/fs/cgroup/unified")


def check_machine():
    if os.geteuid() != 0:
        raise Unfit("it needs root, for namespaces and mounts")
    if not os.path.exists("/lib/systemd/systemd"):
        raise Unfit("systemd is not installed: apt-get install --no-install-recommends systemd")
    for tool in ("setpriv", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            raise Unfit(f"{tool} is not installed: apt-get install util-linux")
    cgroups()


class Box:
    """Boots it; everything in it ends with it."""

    def __init__(self):
        check_machine()
        self.folder = tempfile.mkdtemp(prefix="nodekeep-box-")
        self.share = os.path.join(self.folder, "share")
        os.makedirs(os.path.join(self.folder, "box"))
        os.makedirs(self.share)
        self.group = os.path.join(cgroups(), f"nodekeep-box-{os.getpid()}")
        self.outer = None
        self.pid = None

    def boot(self):
        os.mkdir(self.group)
        environment = {**os.environ, "BOX": os.path.join(self.folder, "box"), "SHARE": self.share, "MASKED": " ".join(MASKED), "GROUP": self.group}
        line = 'echo $$ > "$GROUP/cgroup.procs" && exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child sh -c "$0"'
        self.log = open(os.path.join(self.folder, "boot.log"), "wb")
        self.outer = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sh", "-c", line, BOOT], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.wait(self.found, "the first process of the box")
        self.wait(lambda: self.run("systemctl", "is-system-running", ok=False) in ("running", "degraded"), "the end of its boot", 180)

    def found(self):
        """The process that is the first one in the box."""
        if self.outer.poll() is not None:
            with open(os.path.join(self.folder, "boot.log"), errors="replace") as log:
                raise Unfit(f"systemd does not start in namespaces here: {log.read()[-600:].strip()}")
        with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children") as children:
            pids = children.read().split()
        for pid in pids:
            with open(f"/proc/{pid}/comm") as name:
                if name.read().strip() == "systemd":
                    self.pid = pid
        return self.pid

    def enter(self, words, environment=None):
        told = [f"{name}={value}" for name, value in (environment or {}).items()]
        path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        inside = ["nsenter", "-t", self.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd=/"]
        return [*inside, "env", "-i", path, "HOME=/root", *told, *words]

    def run(self, *words, ok=True, environment=None, both=False):
        done = subprocess.run(self.enter(words, environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if ok and done.returncode != 0:
            raise Broken(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return (done.stdout + (done.stderr if both else "")).strip()

    def code(self, *words):
        return subprocess.run(self.enter(words), stdin=subprocess.DEVNULL, capture_output=True, timeout=300).returncode

    def show(self, unit, name):
        return self.run("systemctl", "show", unit, "--property", name, "--value")

    def wait(self, condition, what, patience=120):
        end = time.time() + patience
        while True:
            result = condition()
            if result:
                return result
            if time.time() > end:
                raise Broken(f"{what}: not within {patience} s")
            time.sleep(0.1)

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && printf %s "$1" > "$0"', path, text)

    def close(self):
        if self.outer is not None:
            # Its namespaces and all that lives in them go with the first process.
            if self.outer.poll() is None:
                os.killpg(self.outer.pid, signal.SIGKILL)
                self.outer.wait()
            self.log.close()
        self.remove_group()
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_group(self):
        """Its control groups, the innermost first; what still dies in them is waited for."""
        end = time.time() + 20
        while os.path.isdir(self.group) and time.time() < end:
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            time.sleep(0.1)
