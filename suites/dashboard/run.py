#!/usr/bin/env python3
"""The dashboard of the real daemon in a real Chromium.

run.py --bin nodekeep [--only STORY,...] [--pictures FOLDER] [--keep]

Each story prints what it saw; the last line counts them. A request to elsewhere, a violation of the content security
policy or an error in the console fails the story in which it happens.
"""

import argparse
import sys
import tempfile
import traceback

from browser import Browser, Broken, programs
from lab import Lab
from stories import STORIES
from world import World


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--assets", help="serve the dashboard from this folder instead of from the program")
    parser.add_argument("--pictures")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    if programs() is None:
        print("dashboard: chromium or chromedriver is not on this machine; nothing was tried")
        return 77
    lab = Lab(arguments.bin, arguments.assets)
    with tempfile.TemporaryDirectory(prefix="nodekeep-chromium-", ignore_cleanup_errors=True) as folder:
        try:
            return tell(lab, folder, arguments)
        finally:
            lab.stop()
            if arguments.keep:
                print(f"kept: {lab.root}")
            else:
                lab.remove()


def tell(lab, folder, arguments):
    lab.prepare()
    lab.serve()
    browser = Browser(folder)
    world = World(lab, browser, arguments.pictures)
    only = [name for name in arguments.only.split(",") if name]
    failed = []
    try:
        world.sign_in("anna")
        chosen = [(name, story) for name, story in STORIES if not only or name in only]
        for name, story in chosen:
            failed += [] if one(name, story, world) else [name]
    finally:
        browser.close()
    print(f"dashboard: {len(chosen) - len(failed)} stories held, {len(failed)} broken {' '.join(failed)}".rstrip())
    return 1 if failed else 0


def one(name, story, world):
    print(f"  {name}", flush=True)
    try:
        story(world)
        world.check_clean()
        return True
    except Exception as error:  # One broken story must not hide the others.
        print(f"    BROKEN: {error}", flush=True)
        if not isinstance(error, Broken):
            traceback.print_exc(file=sys.stdout)
        print(world.lab.daemon_log()[-1500:])
        world.recover()
        return False


if __name__ == "__main__":
    sys.exit(main())
