#!/usr/bin/env python3
"""Seals and packs the plain parts of a synthetic Minima node with Python and OpenSSL, which share no code with Nodekeep.

make.py PLAIN-DIR: reads contents, archive and mega from there, as the test `minima::golden` writes them with NODEKEEP_PLAIN=DIR,
and writes golden.bak, golden.raw.dat and golden.megammr beside this script.
"""

import gzip
import hashlib
import os
import struct
import subprocess
import sys

PASSWORD = "a golden pässword"
SALT, VECTOR = bytes(range(8)), bytes(range(100, 116))

here, plain = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]


def read(name):
    with open(os.path.join(plain, name), "rb") as file:
        return file.read()


def write(name, data):
    with open(os.path.join(here, name), "wb") as file:
        file.write(data)


key = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, 65536, 16)
packed = gzip.compress(read("contents"), mtime=0)
cipher = ["openssl", "enc", "-aes-128-cbc", "-K", key.hex(), "-iv", VECTOR.hex()]
sealed = subprocess.run(cipher, input=packed, capture_output=True, check=True).stdout
write("golden.bak", struct.pack(">I", 8) + SALT + struct.pack(">I", 16) + VECTOR + sealed)
write("golden.raw.dat", gzip.compress(read("archive"), mtime=0))
write("golden.megammr", read("mega"))
