#!/usr/bin/env python3
"""`nodekeep daemon install` and exported units under a real systemd, booted in a box.

run.py --bin nodekeep [--only STORY,...] [--static]

Each story prints what it saw. With --static nothing is booted: the units are only verified by systemd-analyze.
Exit code 77: this machine cannot boot systemd in namespaces, and the line says why.
"""

import argparse
import signal
import sys
import traceback

import stories
from box import Box, Broken, Unfit


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--static", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the box goes too.
    try:
        if arguments.static:
            stories.verify_here(arguments.bin)
            return 0
        return boxed(arguments)
    except Unfit as error:
        print(f"systemd: nothing was tried: {error}")
        return 77


def boxed(arguments):
    only = [name for name in arguments.only.split(",") if name]
    chosen = [(name, story) for name, story in stories.STORIES if not only or name in only]
    failed = []
    box = Box()
    try:
        box.boot()
        print(f"  booted: {box.run('systemctl', '--version').splitlines()[0]}, {box.run('systemctl', 'is-system-running', ok=False)}", flush=True)
        lab = stories.Lab(box, arguments.bin)
        for name, story in chosen:
            print(f"  {name}", flush=True)
            if not one(story, lab):
                failed.append(name)
    finally:
        box.close()
    print(f"systemd: {len(chosen) - len(failed)} stories held, {len(failed)} broken {' '.join(failed)}".rstrip())
    return 1 if failed else 0


def one(story, lab):
    try:
        story(lab)
        return True
    except Exception as error:  # One broken story must not hide the others.
        print(f"    BROKEN: {error}", flush=True)
        if not isinstance(error, Broken):
            traceback.print_exc(file=sys.stdout)
        print(lab.box.run("journalctl", "--no-pager", "-n", "25", ok=False), flush=True)
        return False


if __name__ == "__main__":
    sys.exit(main())
