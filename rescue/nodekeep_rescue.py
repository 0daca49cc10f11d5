#!/usr/bin/env python3
"""Reads Nodekeep repositories and portable files (.nkb) without Nodekeep.

Written from docs/format.md alone. Needs Python 3.9 or later and the packages `cryptography` and
`zstandard`; uses the package `blake3` if it is there. Secrets come from the environment:

  NODEKEEP_WORDS or NODEKEEP_WORDS_FILE              the 24 recovery words
  NODEKEEP_IDENTITY_FILE                             an age identity (AGE-SECRET-KEY-1...) or a Nodekeep identity
  NODEKEEP_PASSPHRASE or NODEKEEP_PASSPHRASE_FILE    of a portable file, or of a locked identity
"""

import argparse
import base64
import binascii
import difflib
import errno
import hashlib
import hmac
import json
import os
import re
import stat
import struct
import sys
import threading
import time
from array import array
from collections import OrderedDict
from functools import lru_cache
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import zstandard

try:
    import blake3 as fast_blake3
except ImportError:
    fast_blake3 = None

MAX_CHUNK = 16 << 20
MAX_SNAPSHOT = 256 << 20
MAX_DEPTH = 4096
ZERO32 = bytes(32)


class RescueError(Exception):
    """Something is wrong with the repository, the secrets or the request; the text names what."""


class Damage(RescueError):
    """An object is missing, damaged or not what its name promises."""


class Revoked(Damage):
    """A statement of a member that the owner has revoked: it does not count, but nothing is damaged."""


class NoKey(RescueError):
    """The given secrets do not open this."""


def show(value):
    """Names come from strangers: nothing unprintable reaches the terminal."""
    text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else c.encode("utf-8", "surrogateescape").hex(" ").join("<>") for c in text)


class Report:
    """Messages for people, and whether anything was damaged."""

    def __init__(self):
        self.damaged = 0
        self.noted = set()

    def damage(self, text):
        self.damaged += 1
        print("damage: " + show(text), file=sys.stderr)

    def note(self, text):
        if text not in self.noted:
            self.noted.add(text)
            print("note: " + show(text), file=sys.stderr)


# ---------------------------------------------------------------------------------------------- BLAKE3
# Many 1024-byte chunks at once: one Python integer holds a 32-bit word of every chunk, 64 bits apart.

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
             (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_START, _END, _PARENT, _ROOT, _KEYED = 1, 2, 4, 8, 16


def _schedule():
    order, rounds = list(range(16)), []
    for _ in range(7):
        rounds.append([q + (order[2 * i], order[2 * i + 1]) for i, q in enumerate(_QUARTERS)])
        order = [order[p] for p in _PERMUTATION]
    return rounds


_ROUNDS = _schedule()


@lru_cache(maxsize=64)
def _ones(lanes):
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * lanes, "little")


def _compress(cv, m, low, high, length, flags, lanes):
    """The first eight output words of the BLAKE3 compression, in every lane."""
    one = _ones(lanes)
    mask = one * 0xFFFFFFFF
    v = list(cv) + [one * w for w in _IV[:4]] + [low, high, one * length, one * flags]
    for quarters in _ROUNDS:
        for a, b, c, d, x, y in quarters:
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[x]) & mask
            vd ^= va
            vd = ((vd | vd << 32) >> 16) & mask
            vc = (vc + vd) & mask
            vb ^= vc
            vb = ((vb | vb << 32) >> 12) & mask
            va = (va + vb + m[y]) & mask
            vd ^= va
            vd = ((vd | vd << 32) >> 8) & mask
            vc = (vc + vd) & mask
            vb ^= vc
            v[a], v[b], v[c], v[d] = va, ((vb | vb << 32) >> 7) & mask, vc, vd
    return [v[i] ^ v[i + 8] for i in range(8)]


def _lanes(values):
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return int.from_bytes(values.tobytes(), "little")


def _unlane(number, lanes):
    values = array("Q", number.to_bytes(8 * lanes, "little"))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _full_chunks(key, flags, data, counter):
    """Chaining values of whole 1024-byte chunks, as eight arrays."""
    lanes = len(data) // 1024
    words = array("Q", data)
    if sys.byteorder == "big":
        words.byteswap()
    one = _ones(lanes)
    mask = one * 0xFFFFFFFF
    numbers = _lanes(array("Q", range(counter, counter + lanes)))
    low, high = numbers & mask, (numbers >> 32) & mask
    cv = [one * w for w in key]
    for block in range(16):
        m = []
        for pair in range(8):
            both = _lanes(words[block * 8 + pair::128])
            m += (both & mask, (both >> 32) & mask)
        ends = (_START if block == 0 else 0) | (_END if block == 15 else 0)
        cv = _compress(cv, m, low, high, 64, flags | ends, lanes)
    return [_unlane(w, lanes) for w in cv]


def _one_chunk(key, flags, data, counter, root):
    cv, last = list(key), max(0, (len(data) - 1) // 64)
    for block in range(last + 1):
        piece = data[block * 64:block * 64 + 64]
        m = struct.unpack("<16I", piece.ljust(64, b"\0"))
        ends = (_START if block == 0 else 0) | ((_END | root) if block == last else 0)
        cv = _compress(cv, m, counter & 0xFFFFFFFF, counter >> 32, len(piece), flags | ends, 1)
    return cv


def _parent(key, flags, left, right):
    return _compress(key, list(left) + list(right), 0, 0, 64, flags | _PARENT, 1)


def _subtree(key, flags, data, counter, root):
    """The chaining value of up to 1 MiB."""
    if len(data) <= 1024:
        return _one_chunk(key, flags, data, counter, root)
    full, rest = divmod(len(data), 1024)
    columns = _full_chunks(key, flags, data[:full * 1024], counter)
    if rest:
        for column, word in zip(columns, _one_chunk(key, flags, data[full * 1024:], counter + full, 0)):
            column.append(word)
    while len(columns[0]) > 2:
        pairs = len(columns[0]) // 2
        m = [_lanes(c[0:2 * pairs:2]) for c in columns] + [_lanes(c[1::2]) for c in columns]
        words = _compress([_ones(pairs) * w for w in key], m, 0, 0, 64, flags | _PARENT, pairs)
        columns = [_unlane(w, pairs) + c[2 * pairs:] for w, c in zip(words, columns)]
    return _parent(key, flags | root, [c[0] for c in columns], [c[1] for c in columns])


class PureBlake3:
    """Incremental BLAKE3 (hash, or keyed hash) in plain Python, some megabytes in a second."""

    def __init__(self, data=b"", key=None):
        self.key = struct.unpack("<8I", key) if key else _IV
        self.flags = _KEYED if key else 0
        self.buffer, self.stack, self.done = bytearray(), [], 0
        self.update(data)

    def update(self, data):
        self.buffer += data
        while len(self.buffer) > 1 << 20:
            cv = _subtree(self.key, self.flags, bytes(self.buffer[:1 << 20]), self.done << 10, 0)
            del self.buffer[:1 << 20]
            self.done += 1
            total = self.done
            while not total & 1:
                cv = _parent(self.key, self.flags, self.stack.pop(), cv)
                total >>= 1
            self.stack.append(cv)

    def digest(self):
        cv = _subtree(self.key, self.flags, bytes(self.buffer), self.done << 10, 0 if self.stack else _ROOT)
        for depth, left in enumerate(reversed(self.stack), 1):
            cv = _parent(self.key, self.flags | (_ROOT if depth == len(self.stack) else 0), left, cv)
        return struct.pack("<8I", *cv)


def hasher(key=None):
    if fast_blake3:
        return fast_blake3.blake3(key=key) if key else fast_blake3.blake3()
    return PureBlake3(key=key)


def blake(data):
    h = hasher()
    h.update(data)
    return h.digest()


def keyed(key, data):
    h = hasher(key)
    h.update(data)
    return h.digest()


# ---------------------------------------------------------------------------------------------- decoding


class Reader:
    """Decodes the types of section 1; refuses whatever does not fit the input."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def fail(self, why):
        raise Damage(f"{self.what}: {why}")

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            self.fail("ends too early")
        self.at += count
        return bytes(self.data[self.at - count:self.at])

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 64:
                    self.fail("has a number that is not in shortest form, or above 2^64-1")
                return value
        self.fail("has a number longer than 10 bytes")

    def zint(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def blob(self):
        return self.take(self.varint())

    def text(self):
        try:
            return self.blob().decode("utf-8")
        except UnicodeDecodeError:
            self.fail("has text that is not UTF-8")

    def list(self, item):
        count = self.varint()
        if count > self.left():
            self.fail("has a count larger than the input")
        return [item() for _ in range(count)]

    def opt(self, item):
        flag = self.u8()
        if flag > 1:
            self.fail("has an optional field marked neither 0 nor 1")
        return item() if flag else None

    def ext(self, known=()):
        last = -1
        for tag, _ in self.list(lambda: (self.varint(), self.blob())):
            if tag <= last:
                self.fail("has extensions out of order")
            if tag & 1 and tag not in known:
                self.fail(f"needs extension {tag}: a newer Nodekeep is needed")
            last = tag

    def id16(self):
        return self.take(16)

    def id32(self):
        return self.take(32)

    def seal(self):
        seal = SimpleNamespace(key_id=self.id32(), purpose=self.u8(), group=self.varint(), age=self.blob())
        if seal.purpose not in (1, 2):
            self.fail("has a seal of unknown purpose")
        return seal

    def end(self):
        if self.left():
            self.fail("has bytes left over")


# ---------------------------------------------------------------------------------------------- primitives


def hkdf(ikm, salt, info, length=32):
    if isinstance(info, str):
        info = info.encode()
    key = hmac.new(salt or ZERO32, ikm, hashlib.sha256).digest()
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha256).digest()
        out, count = out + block, count + 1
    return out[:length]


def gcm_open(key, nonce, aad, sealed, what):
    try:
        return AESGCM(key).decrypt(nonce, bytes(sealed), aad)
    except (InvalidTag, ValueError):
        raise Damage(f"{what}: does not decrypt (damaged, or forged)") from None


def unpack_codec(data, limit, what):
    """`codec || payload` of section 5."""
    if not data:
        raise Damage(f"{what}: is empty")
    if data[0] == 0:
        plain = data[1:]
    elif data[0] == 1:
        plain = _unzstd(data[1:], limit, what)
    else:
        raise Damage(f"{what}: unknown codec {data[0]}")
    if len(plain) > limit:
        raise Damage(f"{what}: is larger than it says")
    return plain


def _unzstd(frame, limit, what):
    try:
        size = zstandard.frame_content_size(frame)
        if size > limit:
            raise Damage(f"{what}: is larger than it says")
        stream = zstandard.ZstdDecompressor().decompressobj()
        parts, total = [], 0
        step = len(frame) if size >= 0 else 1024
        for at in range(0, len(frame), step):
            parts.append(stream.decompress(frame[at:at + step]))
            total += len(parts[-1])
            if total > limit:
                raise Damage(f"{what}: is larger than it says")
            if stream.eof:
                if stream.unused_data or at + step < len(frame):
                    raise Damage(f"{what}: has bytes after its zstd frame")
                return b"".join(parts)
    except zstandard.ZstdError:
        pass
    raise Damage(f"{what}: its zstd frame is damaged")


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def signature_ok(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _bech32_checksum(hrp, values):
    chk = 1
    for v in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values:
        top, chk = chk >> 25, (chk & 0x1FFFFFF) << 5 ^ v
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            chk ^= generator if top >> i & 1 else 0
    return chk


def bech32_encode(hrp, data):
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    count = (len(data) * 8 + 4) // 5
    values = [bits >> 5 * (count - 1 - i) & 31 for i in range(count)]
    check = _bech32_checksum(hrp, values + [0] * 6) ^ 1
    return hrp + "1" + "".join(_BECH32[v] for v in values + [check >> 5 * (5 - i) & 31 for i in range(6)])


def bech32_decode(hrp, text):
    low = text.lower()
    values = [_BECH32.find(c) for c in low[len(hrp) + 1:]]
    if text not in (low, text.upper()) or not low.startswith(hrp + "1") or -1 in values or len(values) != 58:
        return None
    if _bech32_checksum(hrp, values) != 1 or values[51] & 15:
        return None
    bits = 0
    for v in values[:52]:
        bits = bits << 5 | v
    return (bits >> 4).to_bytes(32, "big")


def word_list():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "english.txt")
    with open(path, "rb") as f:
        data = f.read()
    if hashlib.sha256(data).hexdigest() != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda":
        raise RescueError(f"{path}: is not the BIP-39 English word list")
    return data.decode().split()


def words_to_entropy(text):
    """24 recovery words to 32 bytes; names a wrong word."""
    words, known = text.lower().split(), word_list()
    if len(words) != 24:
        raise RescueError(f"the recovery words: 24 are needed, {len(words)} are given")
    bits = 0
    for number, word in enumerate(words, 1):
        if word not in known:
            near = difflib.get_close_matches(word, known, 3, 0.6)
            hint = f" (perhaps: {', '.join(near)})" if near else ""
            raise RescueError(f"the recovery words: word {number}, \"{word}\", is not in the list{hint}")
        bits = bits << 11 | known.index(word)
    entropy = (bits >> 8).to_bytes(32, "big")
    if hashlib.sha256(entropy).digest()[0] != bits & 0xFF:
        raise RescueError("the recovery words: every word is in the list, but their checksum is wrong "
                          "(a word is swapped for another, or the order is wrong)")
    return entropy


# ---------------------------------------------------------------------------------------------- age v1


def _age_b64(text, what):
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Damage(f"{what}: its age header is damaged") from None
    if base64.b64encode(raw).rstrip(b"=").decode() != text:
        raise Damage(f"{what}: its age header is damaged")
    return raw


def _age_header(data, what):
    """Stanzas as (arguments, body), then the length of what the MAC covers, the MAC and where the payload starts."""
    bad, at, stanzas = Damage(f"{what}: is not an age file, or its header is damaged"), 0, []

    def line():
        nonlocal at
        end = data.find(b"\n", at, at + 65536)
        if end < 0:
            raise bad
        start, at = at, end + 1
        try:
            return data[start:end].decode("ascii")
        except UnicodeDecodeError:
            raise bad from None

    if line() != "age-encryption.org/v1":
        raise bad
    while True:
        start, text = at, line()
        if text.startswith("--- "):
            return stanzas, start + 3, _age_b64(text[4:], what), at
        if not text.startswith("-> "):
            raise bad
        body, piece = "", "x" * 64
        while len(piece) == 64:
            piece = line()
            body += piece
        if len(piece) > 64:
            raise bad
        stanzas.append((text[3:].split(" "), _age_b64(body, what)))


def _age_unwrap(key, body):
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, b"")
    except (InvalidTag, ValueError):
        return None


def _age_x25519(args, body, secret, what):
    share = _age_b64(args[1], what) if len(args) == 2 else b""
    if len(share) != 32 or len(body) != 32:
        raise Damage(f"{what}: its age header is damaged")
    try:
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        return None
    return _age_unwrap(hkdf(shared, share + x25519_public(secret), "age-encryption.org/v1/X25519"), body)


def _age_scrypt(args, body, passphrase, what):
    salt = _age_b64(args[1], what) if len(args) == 3 else b""
    if len(salt) != 16 or len(body) != 32 or not re.fullmatch("[1-9][0-9]?", args[2]):
        raise Damage(f"{what}: its age header is damaged")
    if int(args[2]) > 22:
        raise Damage(f"{what}: asks for scrypt work of 2^{args[2]}, more than 2^22: refused")
    kdf = Scrypt(salt=b"age-encryption.org/v1/scrypt" + salt, length=32, n=1 << int(args[2]), r=8, p=1)
    return _age_unwrap(kdf.derive(passphrase), body)


def age_open(data, what, secrets=(), passphrases=()):
    """Opens an age v1 file with X25519 secrets (32 bytes each) or passphrases (bytes)."""
    stanzas, covered, mac, at = _age_header(data, what)
    if any(args[0] == "scrypt" for args, _ in stanzas) and len(stanzas) != 1:
        raise Damage(f"{what}: an age passphrase must be the only recipient")
    keys = []
    for args, body in stanzas:
        if args[0] == "X25519":
            keys += [_age_x25519(args, body, s, what) for s in secrets]
        elif args[0] == "scrypt":
            keys += [_age_scrypt(args, body, p, what) for p in passphrases]
    file_key = next((k for k in keys if k), None)
    if file_key is None:
        raise NoKey(f"{what}: the given secrets do not open it")
    if len(file_key) != 16 or not hmac.compare_digest(
            hmac.new(hkdf(file_key, b"", "header"), data[:covered], hashlib.sha256).digest(), mac):
        raise Damage(f"{what}: its age header is damaged or forged")
    return _age_payload(data[at:], file_key, what)


def _age_payload(data, file_key, what):
    if len(data) < 32:
        raise Damage(f"{what}: is cut short")
    cipher = ChaCha20Poly1305(hkdf(file_key, data[:16], "payload"))
    parts, count, at, size = [], 0, 16, (64 << 10) + 16
    while at < len(data):
        last = at + size >= len(data)
        nonce = count.to_bytes(11, "big") + bytes([last])
        try:
            parts.append(cipher.decrypt(nonce, data[at:at + size], b""))
        except (InvalidTag, ValueError):
            raise Damage(f"{what}: its age payload is damaged or cut short") from None
        if last and count and not parts[-1]:
            raise Damage(f"{what}: its age payload is damaged")
        at, count = at + size, count + 1
    return b"".join(parts)


def age_dearmor(data, what):
    lines = data.strip().splitlines()
    if lines and lines[0] == b"-----BEGIN AGE ENCRYPTED FILE-----" and lines[-1] == b"-----END AGE ENCRYPTED FILE-----":
        try:
            return base64.b64decode(b"".join(lines[1:-1]), validate=True)
        except (binascii.Error, ValueError):
            raise Damage(f"{what}: its age armor is damaged") from None
    return data


# ---------------------------------------------------------------------------------------------- secrets


class Secrets:
    """What the environment gives: words, age identities, passphrases."""

    def __init__(self, env):
        self.entropy, self.repository, self.identities, self.passphrases = None, None, [], []
        if "NODEKEEP_PASSPHRASE" in env:
            self.passphrases.append(os.fsencode(env["NODEKEEP_PASSPHRASE"]))
        if "NODEKEEP_PASSPHRASE_FILE" in env:
            self.passphrases.append(self.read(env["NODEKEEP_PASSPHRASE_FILE"]).rstrip(b"\r\n"))
        if "NODEKEEP_WORDS" in env:
            self.set_entropy(words_to_entropy(env["NODEKEEP_WORDS"]))
        elif "NODEKEEP_WORDS_FILE" in env:
            self.set_entropy(words_to_entropy(self.read(env["NODEKEEP_WORDS_FILE"]).decode("utf-8", "replace")))
        if "NODEKEEP_IDENTITY_FILE" in env:
            self.add_identity(env["NODEKEEP_IDENTITY_FILE"])

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            return f.read(1 << 20)

    def set_entropy(self, entropy):
        self.entropy = entropy
        self.identities.append(hkdf(entropy, b"", "nodekeep/v1/owner/age"))

    def add_identity(self, path):
        data = age_dearmor(self.read(path), path)
        if data.startswith(b"age-encryption.org/"):
            data = age_open(data, path, (), self.passphrases)
        lines = [n.strip() for n in data.decode("utf-8", "replace").splitlines()]
        if lines[:1] == ["NODEKEEP-IDENTITY-1"]:
            return self.add_nodekeep_identity(lines, path)
        lines = [n for n in lines if n and not n.startswith("#")]
        found = [bech32_decode("age-secret-key-", n) for n in lines]
        if not found or None in found:
            raise RescueError(f"{path}: is not a file of age X25519 identities (AGE-SECRET-KEY-1...)")
        self.identities += found

    def add_nodekeep_identity(self, lines, path):
        try:
            self.repository, entropy = bytes.fromhex(lines[1]), bytes.fromhex(lines[2])
        except (IndexError, ValueError):
            raise RescueError(f"{path}: is damaged") from None
        if len(entropy) != 32:
            raise RescueError(f"{path}: is damaged")
        self.set_entropy(entropy)

    def any(self):
        return bool(self.identities or self.passphrases)


# ---------------------------------------------------------------------------------------------- stores


class DirectoryStore:
    """A repository as a directory of files."""

    def __init__(self, root):
        self.root = root

    def path(self, name):
        return os.path.join(self.root, *name.split("/"))

    def names(self, prefix=""):
        top, found = self.path(prefix.rstrip("/")) if prefix else self.root, []
        for folder, _, files in os.walk(top):
            for file in files:
                found.append(os.path.relpath(os.path.join(folder, file), self.root).replace(os.sep, "/"))
        return sorted(found)

    def size(self, name):
        try:
            found = os.stat(self.path(name))
        except OSError as e:
            raise self.error(name, e) from None
        if not stat.S_ISREG(found.st_mode):
            raise Damage(f"{name}: is not a file")
        return found.st_size

    def read(self, name, offset=0, length=None):
        self.size(name)
        try:
            with open(self.path(name), "rb") as f:
                f.seek(offset)
                data = f.read() if length is None else f.read(length)
        except OSError as e:
            raise self.error(name, e) from None
        if length is not None and len(data) != length:
            raise Damage(f"{name}: is cut short")
        return data

    @staticmethod
    def error(name, e):
        return Damage(f"{name}: is missing" if e.errno in (errno.ENOENT, errno.ENOTDIR) else f"{name}: {e.strerror}")


class PortableFile:
    """One .nkb file: a directory of records at its end; if that is damaged, the records are walked."""

    FOOTER = 52

    def __init__(self, path, report):
        self.path, self.records = path, {}
        try:
            with open(path, "rb") as f:
                self.length = f.seek(0, os.SEEK_END)
                head = Reader(self.part(0, min(self.length, 1 << 17)), path)
                self.header(head)
                try:
                    self.directory(head.data[:head.at])
                except Damage as e:
                    report.damage(f"{e}; walking the records instead")
                    self.walk()
        except OSError as e:
            raise RescueError(f"{path}: {e.strerror}") from None

    def header(self, r):
        magic = r.take(4)
        if magic != b"NKB1":
            r.fail("a newer Nodekeep is needed" if magic[:3] == b"NKB" else "is not a portable file")
        self.id, self.type = r.id16(), r.u8()
        self.base, self.hint = r.opt(r.id16), r.text()
        if self.type not in (1, 2, 3) or (self.type == 1) != (self.base is None):
            r.fail("its header is damaged")
        self.start = r.at

    def directory(self, header):
        if self.length < self.start + self.FOOTER:
            raise Damage(f"{self.path}: is cut short")
        foot = Reader(self.part(self.length - self.FOOTER, self.FOOTER), self.path)
        offset, length, digest, magic = foot.u64(), foot.u64(), foot.id32(), foot.take(4)
        if magic != b"NKBE" or offset < self.start or offset + length + self.FOOTER != self.length:
            foot.fail("its end is damaged or cut short")
        data = self.part(offset, length)
        if blake(header + data) != digest:
            foot.fail("its directory is damaged")
        r = Reader(data, self.path)
        for name, at, size in r.list(lambda: (r.blob(), r.varint(), r.varint())):
            if at < self.start or at + size > offset:
                r.fail("its directory points outside of the records")
            self.add(name, at, size)
        r.end()

    def walk(self):
        at = self.start
        self.records.clear()
        while at < self.length:
            r = Reader(self.part(at, min(4096, self.length - at)), self.path)
            try:
                name, size = r.blob(), r.u64()
                if at + r.at + size > self.length or not OBJECT_NAME.fullmatch(name.decode("ascii")):
                    return
                self.add(name, at + r.at, size)
            except (Damage, UnicodeDecodeError):
                return
            at += r.at + size

    def add(self, name, at, size):
        name = name.decode("utf-8", "replace")
        if name in self.records:
            raise Damage(f"{self.path}: has {show(name)} twice")
        self.records[name] = (at, size)

    def part(self, at, length):
        try:
            with open(self.path, "rb") as f:
                f.seek(at)
                data = f.read(length)
        except OSError as e:
            raise Damage(f"{self.path}: {e.strerror}") from None
        if len(data) != length:
            raise Damage(f"{self.path}: is cut short")
        return data


class ChainStore:
    """A portable file and the files it builds on, read as one repository."""

    def __init__(self, path, bases, report):
        self.files, others = [PortableFile(path, report)], None
        while self.files[-1].base is not None:
            top = self.files[-1]
            if others is None:
                others = [PortableFile(p, report) for p in bases]
            found = next((f for f in others if f.id == top.base), None) or self.neighbour(top, report)
            if found is None or found in self.files:
                raise RescueError(f"{top.path}: builds on file {top.base.hex()} (\"{show(top.hint)}\"): give it with --base")
            if top.type == 3 and found.type != 1:
                raise Damage(f"{top.path}: is differential, but its base {found.path} is not a full file")
            self.files.append(found)
        self.where = {}
        for file in reversed(self.files):
            for name, (at, size) in file.records.items():
                self.where[name] = (file, at, size)

    @staticmethod
    def neighbour(top, report):
        """The hint is only a file name beside this file; the id decides."""
        path = os.path.join(os.path.dirname(os.path.abspath(top.path)), os.path.basename(top.hint))
        if not top.hint or "\0" in top.hint or not os.path.isfile(path):
            return None
        file = PortableFile(path, report)
        return file if file.id == top.base else None

    def names(self, prefix=""):
        return sorted(n for n in self.where if n.startswith(prefix))

    def size(self, name):
        return self.find(name)[2]

    def find(self, name):
        if name not in self.where:
            raise Damage(f"{name}: is missing")
        return self.where[name]

    def read(self, name, offset=0, length=None):
        file, at, size = self.find(name)
        length = size - offset if length is None else length
        if offset + length > size:
            raise Damage(f"{name}: is cut short")
        return file.part(at + offset, length)


def open_store(path, bases, report):
    return DirectoryStore(path) if os.path.isdir(path) else ChainStore(path, bases, report)


# ---------------------------------------------------------------------------------------------- control objects

H16, H32 = "[0-9a-f]{32}", "[0-9a-f]{64}"
OBJECT_NAME = re.compile(
    f"(?P<config>config)|r/(?P<roster>[0-9a-f]{{8}})|k/(?P<envelope>{H32})"
    f"|w/(?P<pack>{H16}/[dt]/[0-9a-f]{{2}}/{H32})|w/(?P<segment>{H16}/i/{H32})"
    f"|g/(?P<gen>[0-9a-f]{{8}})/(?P<who>{H16})\\.(?P<session>{H16})"
    f"\\.(?P<what>session|progress\\.(?:0|[1-9][0-9]{{0,18}}|[0-9a-f]{{8}})|outcome|deleted)"
    f"|c/(?P<checkpoint>[0-9a-f]{{8}})|x/(?P<collection>[0-9a-f]{{8}})\\.(?P<how>doomed|outcome)"
    f"|l/(?P<listing>[01]|{H32})")
READER, COLLECTOR, WRITER, KEEPER = 1, 2, 3, 4
CONFIG, ROSTER, SESSION, PROGRESS, OUTCOME, DELETION, CHECKPOINT, DOOMED, COLLECTED, SEGMENT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 16


def parse_frame(raw, kind, name):
    r = Reader(raw, name)
    magic = r.take(4)
    if magic != b"NKO1":
        r.fail("is of a newer format: a newer Nodekeep is needed" if magic[:3] == b"NKO" else "is not a control object")
    if r.u8() != kind:
        r.fail("is another kind of object than its name says")
    frame = SimpleNamespace(kind=kind, body=r.blob(), signer=r.id32(), signature=r.take(64), raw=raw, name=name)
    r.end()
    frame.hash = blake(raw)
    return frame


def check_signature(frame, repository_id):
    message = b"nodekeep/v1/sign\0" + bytes([frame.kind]) + repository_id + frame.body
    if not signature_ok(frame.signer, frame.signature, message):
        raise Damage(f"{frame.name}: its signature is wrong")


def parse_config(frame):
    r = Reader(frame.body, frame.name)
    if r.varint() != 1:
        r.fail("is of another format: a newer Nodekeep is needed")
    c = SimpleNamespace(created=r.zint(), nonce=r.id32(), root=r.id32(), domain=r.id16(), pack_size=r.varint())
    r.ext(known=(1,))  # who writes must know it; for a reader nothing changes
    r.end()
    return c


def parse_member(r):
    m = SimpleNamespace(id=r.id16(), role=r.u8(), key=r.blob())
    m.envelopes = r.list(lambda: (r.varint(), r.id32()))
    m.trust, m.revoked, m.label = r.u8(), r.opt(r.varint), r.blob()
    if m.role not in (1, 2, 3, 4) or m.trust > 1 or (m.role >= WRITER and len(m.key) != 32):
        r.fail("has a member that makes no sense")
    if m.id != blake(bytes([m.role]) + put_varint(len(m.key)) + m.key)[:16]:
        r.fail("has a member whose id does not fit its key")
    return m


def put_varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def parse_roster(frame):
    r = Reader(frame.body, frame.name)
    c = SimpleNamespace(number=r.varint(), previous=r.id32(), created=r.zint(), hash=frame.hash)
    groups = r.list(lambda: (r.varint(), r.id32(), r.id32()))
    members = r.list(lambda: parse_member(r))
    r.ext()
    r.end()
    numbers = [g[0] for g in groups]
    if numbers != sorted(set(numbers)) or 0 in numbers:
        r.fail("has groups out of order")
    c.groups = {g[0]: (g[1], g[2]) for g in groups}
    c.members = {m.id: m for m in members}
    if len(c.members) != len(members):
        r.fail("has a member twice")
    return c


def parse_session_head(r):
    return SimpleNamespace(generation=r.varint(), writer=r.id16(), sequence=r.varint(), session=r.id16())


def parse_session(frame):
    r = Reader(frame.body, frame.name)
    c = parse_session_head(r)
    c.roster, c.started = r.varint(), r.zint()
    r.id32(), r.varint(), r.varint()
    c.seals = [r.seal(), r.seal()]
    r.ext()
    r.end()
    if [s.purpose for s in c.seals] != [2, 1]:
        r.fail("has its seals in the wrong order")
    return c


def parse_progress(frame):
    r = Reader(frame.body, frame.name)
    c = parse_session_head(r)
    c.k, c.segments = r.varint(), r.list(r.id32)
    r.ext()
    r.end()
    return c


def parse_outcome(frame):
    r = Reader(frame.body, frame.name)
    c = parse_session_head(r)
    c.roster, c.result = r.varint(), r.u8()
    if c.result == 1:
        c.segments, c.seal, c.salt, c.snapshot = r.list(r.id32), r.seal(), r.id32(), r.blob()
        if c.seal.purpose != 2:
            r.fail("has a seal that is not for trees")
    elif c.result != 2:
        r.fail(f"has the unknown result {c.result}")
    r.ext()
    r.end()
    return c


def parse_deletion(frame):
    r = Reader(frame.body, frame.name)
    c = SimpleNamespace(generation=r.varint(), keeper=r.id16(), session=r.id16(), outcome=r.id32(), when=r.zint())
    r.ext()
    r.end()
    return c


def parse_checkpoint(frame):
    r = Reader(frame.body, frame.name)
    c = SimpleNamespace(number=r.varint(), previous=r.id32(), when=r.zint(), keeper=r.id16(), hash=frame.hash)
    c.outcomes, c.deletions = r.list(r.blob), r.list(r.blob)
    c.segments = r.list(lambda: (r.id16(), r.id32()))
    c.collections, c.sequences = r.varint(), r.list(lambda: (r.id16(), r.varint()))
    r.ext()
    r.end()
    return c


def parse_collection(frame):
    """A doomed list (kind 8) or how the collection ended (kind 9)."""
    r = Reader(frame.body, frame.name)
    c = SimpleNamespace(number=r.varint(), keeper=r.id16())
    if frame.kind == DOOMED:
        c.generation = r.varint()
    elif r.u8() not in (1, 2):
        r.fail("has an unknown result")
    c.nonce, c.packs = r.id32(), r.list(lambda: (r.id16(), r.u8(), r.id32()))
    r.ext()
    r.end()
    return c


def parse_streams(r, seals):
    streams = r.list(lambda: (r.varint(), r.id32()))
    if any(s >= seals for s, _ in streams):
        r.fail("names a seal that is not there")
    return streams


def parse_entries(r, streams):
    entries = r.list(lambda: (r.id32(), r.varint(), r.varint(), r.varint(), r.varint()))
    for _, stored, raw, stream, _ in entries:
        if not 17 <= stored <= MAX_CHUNK + (1 << 20) or raw > MAX_CHUNK or stream >= streams:
            r.fail("has a chunk entry that makes no sense")
    return entries


def pack_name(writer, kind, pack_id):
    return f"w/{writer.hex()}/{'dt'[kind - 1]}/{pack_id[:1].hex()}/{pack_id.hex()}"


# ---------------------------------------------------------------------------------------------- repository


class Repository:
    """Opens a repository, finds its live snapshots, and reads chunks."""

    def __init__(self, store, secrets, report, pinned=None):
        self.store, self.secrets, self.report = store, secrets, report
        self.open_config(pinned)
        self.roster = SimpleNamespace(members={})
        self.roster = self.highest("r/", ROSTER, self.valid_roster)
        if self.roster is None:
            raise Damage("r/: no valid roster is left")
        self.checkpoint = self.highest("c/", CHECKPOINT, self.valid_checkpoint)
        self.generation = self.checkpoint.number if self.checkpoint else 0
        self.outcomes, self.segments = {}, []
        self.find_outcomes()
        self.groups, self.domain_secret = {}, None
        self.locations, self.packs, self.streams = {1: {}, 2: {}}, [], []
        self.content_keys, self.ciphers, self.cache, self.cached = {}, {}, OrderedDict(), 0
        self.indexed = self.scanned = False

    # -- opening

    def open_config(self, pinned):
        frame = parse_frame(self.store.read("config"), CONFIG, "config")
        self.config = parse_config(frame)
        self.id = frame.hash
        if frame.signer != self.config.root:
            raise Damage("config: is not signed by its own root key")
        check_signature(frame, ZERO32)
        whole = isinstance(self.store, DirectoryStore)
        for expected in (pinned, self.secrets.repository if whole else None):
            if expected not in (None, self.id):
                raise RescueError(f"config: this is repository {self.id.hex()}, not {expected.hex()}")
        self.authentic = self.id in (pinned, self.secrets.repository)
        entropy = self.secrets.entropy
        if entropy and ed25519_public(hkdf(entropy, b"", "nodekeep/v1/owner/root")) == self.config.root:
            self.authentic = True
        elif entropy and whole and not self.authentic:
            raise RescueError("config: the recovery words belong to another repository (or this one is forged)")

    def highest(self, prefix, kind, valid):
        for name in reversed(self.store.names(prefix)):
            if not re.fullmatch(prefix + "[0-9a-f]{8}", name):
                continue
            try:
                return valid(self.load(name, kind), int(name[2:], 16))
            except Damage as e:
                self.report.damage(f"{e}; trying an older one")
        return None

    def load(self, name, kind):
        frame = parse_frame(self.store.read(name), kind, name)
        check_signature(frame, self.id)
        return frame

    def valid_roster(self, frame, number):
        if frame.signer != self.config.root:
            raise Damage(f"{frame.name}: is not signed by the root key")
        roster = parse_roster(frame)
        if roster.number != number or number == 0:
            raise Damage(f"{frame.name}: its number does not agree with its name")
        self.check_previous(frame.name, ROSTER, number, roster.previous)
        return roster

    def valid_checkpoint(self, frame, number):
        checkpoint = parse_checkpoint(frame)
        if checkpoint.number != number or number == 0:
            raise Damage(f"{frame.name}: its number does not agree with its name")
        self.authorise(frame, KEEPER, checkpoint.keeper, number)
        self.check_previous(frame.name, CHECKPOINT, number, checkpoint.previous)
        return checkpoint

    def check_previous(self, name, kind, number, previous):
        """The object before is compared if it is there and genuine; old checkpoints are deleted."""
        prefix = "r/" if kind == ROSTER else "c/"
        before = f"{prefix}{number - 1:08x}"
        try:
            found = self.load(before, kind) if number > 1 else None
        except Damage:
            return
        genuine = found and (found.signer == self.config.root if kind == ROSTER else self.keeper_of(found.signer))
        if found and not genuine:
            return
        if previous != (found.hash if found else ZERO32):
            raise Damage(f"{name}: does not follow {before}")

    def authorise(self, frame, role, member_id, number):
        """The signer is this member, and its statements with this number are not revoked."""
        member = self.roster.members.get(member_id)
        if member is None or member.role != role or member.key != frame.signer:
            raise Damage(f"{frame.name}: its signer is not the {('writer', 'keeper')[role - WRITER]} it should be")
        if number is not None and member.revoked is not None and number >= member.revoked:
            raise Revoked(f"{frame.name}: its signer is revoked")

    def keeper_of(self, signer):
        return next((m for m in self.roster.members.values() if m.role == KEEPER and m.key == signer), None)

    def authorise_outcome(self, frame, outcome):
        keeper = self.keeper_of(frame.signer)
        writer = self.roster.members.get(outcome.writer)
        if outcome.result == 2 and keeper and not (writer and writer.key == frame.signer):
            return self.authorise(frame, KEEPER, keeper.id, outcome.generation)
        return self.authorise(frame, WRITER, outcome.writer, outcome.sequence)

    # -- live snapshots

    def find_outcomes(self):
        """From the checkpoint, the generation that is ending and the open one; if the newest checkpoint is lost, from later ones too."""
        deletions, told, folded = [], set(), set()
        if self.checkpoint:
            self.segments += self.checkpoint.segments
            for at, raw in enumerate(self.checkpoint.outcomes):
                self.guarded(self.add_outcome, raw, f"c/{self.generation:08x} outcome {at}", None)
                folded.add(blake(raw))
            for at, raw in enumerate(self.checkpoint.deletions):
                self.guarded(lambda r, n: deletions.append(self.read_deletion(r, n, None)), raw,
                             f"c/{self.generation:08x} deletion {at}")
            folded.update(deletion.outcome for deletion in deletions)
        for name in self.store.names("g/"):
            match = OBJECT_NAME.fullmatch(name)
            if not match or int(match["gen"], 16) < self.generation - 1:
                continue
            if int(match["gen"], 16) > self.generation:
                lost = f"c/{match['gen']}: is missing or damaged, though its generation has begun"
                if lost not in told:
                    told.add(lost)
                    self.report.damage(f"{lost}; what is left of it is used")
            if match["what"] == "outcome":
                self.guarded(lambda: self.add_new_outcome(self.store.read(name), name, match, folded))
            elif match["what"] == "deleted":
                self.guarded(lambda: deletions.append(self.read_deletion(self.store.read(name), name, match)))
        for deletion in deletions:
            found = self.outcomes.get(deletion.outcome)
            if found and found.session == deletion.session:
                del self.outcomes[deletion.outcome]

    def add_new_outcome(self, raw, name, match, folded):
        """What the checkpoint has taken in may name segments that are gone since."""
        if blake(raw) not in folded:
            self.add_outcome(raw, name, match)

    def guarded(self, action, *args):
        try:
            action(*args)
        except Revoked as e:
            self.report.note(f"{e}; ignored")
        except Damage as e:
            self.report.damage(f"{e}; ignored")

    def add_outcome(self, raw, name, match):
        frame = parse_frame(raw, OUTCOME, name)
        check_signature(frame, self.id)
        outcome = parse_outcome(frame)
        if match is None:
            agrees = outcome.generation < self.generation
        else:
            agrees = head_agrees(outcome, match)
        if not agrees:
            raise Damage(f"{name}: its content does not agree with its name")
        self.authorise_outcome(frame, outcome)
        if match is not None and outcome.result == 1:
            self.refuse_used(name, outcome)
        if outcome.roster > self.roster.number:
            self.report.damage(f"r/{outcome.roster:08x}: is missing or damaged, though {name} was made under it")
        if outcome.result == 1:
            outcome.name, outcome.hash = name, frame.hash
            self.outcomes[outcome.hash] = outcome
            if match is not None:
                self.segments += [(outcome.writer, s) for s in outcome.segments]

    def refuse_used(self, name, statement):
        """A removed writer's key signs old sequences still; a checkpoint has used them up."""
        used = dict(self.checkpoint.sequences).get(statement.writer) if self.checkpoint else None
        if used is not None and statement.sequence <= used:
            raise Damage(f"{name}: its sequence was used up before the last checkpoint")

    def read_deletion(self, raw, name, match):
        frame = parse_frame(raw, DELETION, name)
        check_signature(frame, self.id)
        deletion = parse_deletion(frame)
        if match and (deletion.generation, deletion.keeper.hex(), deletion.session.hex()) != (
                int(match["gen"], 16), match["who"], match["session"]):
            raise Damage(f"{name}: its content does not agree with its name")
        self.authorise(frame, KEEPER, deletion.keeper, deletion.generation)
        return deletion

    # -- keys

    def unlock(self):
        """Opens every envelope the secrets open; at least one is needed."""
        if self.domain_secret:
            return
        if not self.secrets.any():
            raise NoKey("no secrets are given: set NODEKEEP_WORDS_FILE, NODEKEEP_IDENTITY_FILE or NODEKEEP_PASSPHRASE_FILE")
        ours = {bech32_encode("age", x25519_public(s)).encode() for s in self.secrets.identities}
        readers = [m for m in self.roster.members.values() if m.role in (READER, COLLECTOR)]
        for member in readers:
            if member.key in ours or (member.key == b"scrypt" and self.secrets.passphrases):
                for group, digest in member.envelopes:
                    self.open_envelope(group, digest)
        if not self.domain_secret:
            keys = ", ".join(show(m.key) for m in readers if m.role == READER)
            raise NoKey(f"the given secrets open nothing here; the readers of this repository are: {keys}")
        if not self.authentic and not self.sealed_by_password:
            self.report.note(f"nothing proves that this repository is yours: an age identity opens what anybody seals to "
                             f"it. Compare the repository id {self.id.hex()}, or give it with --repository")

    sealed_by_password = False

    def open_envelope(self, group, digest):
        name = "k/" + digest.hex()
        try:
            raw = self.store.read(name)
            if blake(raw) != digest:
                raise Damage(f"{name}: is damaged")
            by_password = b"\n-> scrypt " in raw[:64]
            self.parse_envelope(Reader(age_open(raw, name, self.secrets.identities, self.secrets.passphrases), name), group)
            self.sealed_by_password |= by_password
        except Damage as e:
            self.report.damage(str(e))
        except NoKey as e:
            self.report.note(str(e))

    def parse_envelope(self, r, group):
        if r.take(4) != b"NKE1":
            r.fail("is of another format: a newer Nodekeep is needed")
        if r.id32() != self.id or r.varint() != group or r.id16() != self.config.domain:
            r.fail("is an envelope of another repository, group or domain")
        secret, tree, data = r.id32(), r.id32(), r.opt(r.id32)
        r.ext()
        r.end()
        public = self.roster.groups.get(group)
        if public is None or x25519_public(tree) != public[0] or (data and x25519_public(data) != public[1]):
            r.fail("its keys are not those of the roster")
        if self.domain_secret not in (None, secret):
            r.fail("its domain secret is another than that of the other envelopes")
        self.domain_secret = secret
        self.id_keys = {k: hkdf(secret, b"", "nodekeep/v1/domain/id/" + n) for k, n in ((1, "data"), (2, "tree"))}
        self.file_key = hkdf(secret, b"", "nodekeep/v1/domain/file-hash")
        self.index_key = hkdf(secret, b"", "nodekeep/v1/domain/index")
        known = self.groups.get(group, (None, None))
        self.groups[group] = (tree, data or known[1])

    def content_key(self, seal, what):
        """Opens a seal; the key id makes up for AES-GCM not committing to its key."""
        if (seal.purpose, seal.key_id) in self.content_keys:
            return self.content_keys[seal.purpose, seal.key_id]
        tree, data = self.groups.get(seal.group, (None, None))
        secret = data if seal.purpose == 1 else tree
        if secret is None:
            raise NoKey(f"{what}: the given secrets do not open the {('data', 'tree')[seal.purpose - 1]} "
                        f"of reader group {seal.group}")
        key = age_open(seal.age, f"{what}: seal", (secret,))
        if len(key) != 32 or hkdf(key, self.id, "nodekeep/v1/key-id") != seal.key_id:
            raise Damage(f"{what}: a seal holds another key than its key id says")
        self.content_keys[seal.purpose, seal.key_id] = key
        return key

    # -- index

    def load_index(self):
        if self.indexed:
            return
        self.indexed = True
        self.unlock()
        for writer, digest in dict.fromkeys(self.segments):
            name = f"w/{writer.hex()}/i/{digest.hex()}"
            try:
                self.add_segment(*self.read_segment(name, writer, digest), name)
            except Damage as e:
                self.report.note(f"{e}; reading the tables of the packs instead")
                self.scan_packs()

    def read_segment(self, name, writer, digest):
        raw = self.store.read(name)
        if blake(raw) != digest:
            raise Damage(f"{name}: is damaged")
        frame = self.check_segment_frame(parse_frame(raw, SEGMENT, name), writer)
        r = Reader(frame.body, name)
        if r.id16() != self.config.domain:
            r.fail("is of another domain")
        key = hkdf(self.index_key, r.id32(), "nodekeep/v1/index-segment")
        r = Reader(gcm_open(key, bytes(12), self.id, r.take(r.left()), name), name)
        seals = r.list(r.seal)
        packs = r.list(lambda: self.parse_pack(r, len(seals)))
        r.ext()
        r.end()
        return seals, packs

    def check_segment_frame(self, frame, writer):
        check_signature(frame, self.id)
        if not self.keeper_of(frame.signer):
            self.authorise(frame, WRITER, writer, None)
        return frame

    @staticmethod
    def parse_pack(r, seals):
        p = SimpleNamespace(id=r.id32(), writer=r.id16(), kind=r.u8(), size=r.varint(), header=r.varint())
        p.streams = parse_streams(r, seals)
        p.entries = parse_entries(r, len(p.streams))
        if p.kind not in (1, 2) or p.header + sum(e[1] for e in p.entries) > p.size:
            r.fail("has a pack that makes no sense")
        return p

    def add_segment(self, seals, packs, name):
        for pack in packs:
            self.add_pack(pack_name(pack.writer, pack.kind, pack.id), pack, seals)

    PLACE = struct.Struct("<IIQIIQ")

    def add_pack(self, name, pack, seals):
        number, base, offset = len(self.packs), len(self.streams), pack.header
        self.packs.append((name, pack.kind))
        self.streams += [(seals[s], salt) for s, salt in pack.streams]
        places = self.locations[pack.kind]
        for chunk, stored, raw, stream, counter in pack.entries:
            place = self.PLACE.pack(number, base + stream, offset, stored, raw, counter)
            places[chunk] = places.get(chunk, b"") + place
            offset += stored

    def scan_packs(self):
        """The index is a cache: every pack has its own table. True when called for the first time.

        Packs that segments know are read again: a segment of a hostile writer can lie about any pack.
        """
        if self.scanned:
            return False
        self.scanned = True
        for name in self.store.names("w/"):
            match = OBJECT_NAME.fullmatch(name)
            if match and match["pack"]:
                try:
                    self.add_pack(name, *self.read_pack_table(name))
                except Damage as e:
                    self.report.note(str(e))
        return True

    def read_pack_table(self, name):
        size = self.store.size(name)
        if size < 12 + 48:
            raise Damage(f"{name}: is cut short")
        trailer = Reader(self.store.read(name, size - 12, 12), name)
        header_length, table_length, magic = trailer.u32(), trailer.u32(), trailer.take(4)
        if magic != b"NKPE" or table_length < 48 or header_length + table_length + 12 > size:
            trailer.fail("its end is damaged or cut short")
        header = self.store.read(name, 0, header_length)
        kind, seals = self.parse_pack_header(header, name)
        table = self.store.read(name, size - 12 - table_length, table_length)
        key = hkdf(self.index_key, table[:32], "nodekeep/v1/pack-table")
        r = Reader(gcm_open(key, bytes(12), header, table[32:], name), name)
        pack = SimpleNamespace(id=bytes.fromhex(name[-64:]), kind=kind, size=size, header=header_length)
        pack.streams = parse_streams(r, len(seals))
        pack.entries = parse_entries(r, len(pack.streams))
        r.ext()
        r.end()
        if header_length + sum(e[1] for e in pack.entries) != size - 12 - table_length:
            r.fail("its table does not fit its chunks")
        return pack, seals

    def parse_pack_header(self, header, name):
        r = Reader(header, name)
        if r.take(4) != b"NKPK" or r.u8() != 1:
            r.fail("is not a pack of version 1")
        kind = r.u8()
        if kind != {"d": 1, "t": 2}[name.split("/")[2]] or r.id32() != self.id or r.id16() != self.config.domain:
            r.fail("is a pack of another kind, repository or domain")
        seals = r.list(r.seal)
        r.end()
        return kind, seals

    # -- chunks

    def chunk(self, kind, chunk_id):
        """A chunk, proven to be what its id says. Tries every place that has it."""
        key = (kind, chunk_id)
        if key in self.cache:
            self.cache.move_to_end(key)
            return self.cache[key]
        self.load_index()
        plain = self.find_chunk(kind, chunk_id)
        self.cache[key] = plain
        self.cached += len(plain)
        while self.cached > 96 << 20 and len(self.cache) > 1:
            self.cached -= len(self.cache.popitem(last=False)[1])
        return plain

    def find_chunk(self, kind, chunk_id):
        tried, why = 0, None
        while True:
            places = self.locations[kind].get(chunk_id, b"")
            for at in range(tried, len(places), self.PLACE.size):
                try:
                    return self.read_place(chunk_id, *self.PLACE.unpack_from(places, at))
                except (Damage, NoKey) as e:
                    why = e
            tried = len(places)
            if not self.scan_packs():
                raise why or Damage(f"{('data', 'tree')[kind - 1]} chunk {chunk_id.hex()}: is in no pack")

    def read_place(self, chunk_id, pack, stream, offset, stored, raw, counter):
        name, kind = self.packs[pack]
        what = f"{name}: chunk {chunk_id.hex()[:16]} at {offset}"
        cipher = self.stream_cipher(stream, kind, what)
        try:
            data = cipher.decrypt(struct.pack(">IQ", 0, counter), self.store.read(name, offset, stored),
                                  self.id + bytes([kind]) + chunk_id)
        except InvalidTag:
            raise Damage(f"{what}: does not decrypt (damaged, or forged)") from None
        plain = unpack_codec(data, raw, what)
        if len(plain) != raw:
            raise Damage(f"{what}: has another length than it says")
        if keyed(self.id_keys[kind], plain) != chunk_id:
            raise Damage(f"{what}: is not what its id says (forged)")
        return plain

    def stream_cipher(self, number, kind, what):
        if number not in self.ciphers:
            seal, salt = self.streams[number]
            if seal.purpose != kind:
                raise Damage(f"{what}: is sealed for another purpose")
            key = self.content_key(seal, what)
            self.ciphers[number] = AESGCM(hkdf(key, salt, "nodekeep/v1/chunks/" + ("data", "tree")[kind - 1]))
        return self.ciphers[number]

    # -- snapshots

    def snapshot(self, outcome):
        self.unlock()
        what = f"{outcome.name} (snapshot {outcome.session.hex()})"
        key = hkdf(self.content_key(outcome.seal, what), outcome.salt, "nodekeep/v1/snapshot")
        data = gcm_open(key, bytes(12), self.id + outcome.session, outcome.snapshot, what)
        snapshot = parse_snapshot(Reader(unpack_codec(data, MAX_SNAPSHOT, what), what))
        snapshot.id, snapshot.outcome = outcome.session, outcome
        return snapshot

    def snapshots(self):
        found = []
        for outcome in self.outcomes.values():
            try:
                found.append(self.snapshot(outcome))
            except Damage as e:
                self.report.damage(str(e))
            except NoKey as e:
                if not self.groups:
                    raise
                self.report.damage(str(e))
        return sorted(found, key=lambda s: (s.started, s.id))

    def pick(self, wanted):
        """A snapshot by "latest" or the beginning of its id."""
        found = self.snapshots()
        if wanted != "latest":
            names = {f"{s.outcome.writer.hex()}.{s.id.hex()}": s for s in found}
            found = [s for n, s in names.items() if n.startswith(wanted.lower()) or n[33:].startswith(wanted.lower())]
            if len(found) > 1:
                raise RescueError(f"{wanted}: more than one snapshot has an id that begins so; with their writers: "
                                  + ", ".join(n for n, s in names.items() if s in found))
        if not found:
            raise RescueError(f"{wanted}: there is no such snapshot")
        return found[-1]


def head_agrees(c, match):
    return (c.generation, c.writer.hex(), c.session.hex()) == (int(match["gen"], 16), match["who"], match["session"])


# ---------------------------------------------------------------------------------------------- trees

FILE, DIRECTORY, SYMLINK, FIFO, SOCKET, CHARACTER, BLOCK = range(7)


def parse_entry(r, root=False):
    e = SimpleNamespace(name=r.blob(), kind=r.u8(), mode=r.varint(), uid=r.varint(), gid=r.varint(),
                        seconds=r.zint(), nanos=r.varint(), link=None)
    if not safe_name(e.name) and not (root and e.name == b"/"):
        r.fail(f"has an entry with the forbidden name {show(e.name)!r}")
    if e.mode > 0o7777 or e.nanos >= 10**9 or e.uid >= 1 << 32 or e.gid >= 1 << 32:
        r.fail(f"has an entry with impossible metadata, {show(e.name)!r}")
    e.xattrs = r.list(lambda: (r.blob(), r.blob()))
    if any(a[0] >= b[0] for a, b in zip(e.xattrs, e.xattrs[1:])):
        r.fail("has extended attributes out of order")
    if e.kind == FILE:
        parse_file(r, e)
    elif e.kind == DIRECTORY:
        e.tree, e.files, e.size = r.id32(), r.varint(), r.varint()
    elif e.kind in (SYMLINK, FIFO, SOCKET, CHARACTER, BLOCK):
        e.link, e.size = r.opt(r.u64), 0
        if e.kind == SYMLINK:
            e.target = r.blob()
        elif e.kind >= CHARACTER:
            e.device = (r.varint(), r.varint())
    else:
        r.fail(f"has an entry of the unknown kind {e.kind}")
    return e


def parse_file(r, e):
    e.size, e.hash, e.link, e.runs = r.varint(), r.id32(), r.opt(r.u64), r.list(lambda: parse_run(r))
    if e.size >= 1 << 63 or sum(run[2] for run in e.runs) != e.size:
        r.fail(f"has a file whose runs do not add up to its size, {show(e.name)!r}")


def parse_run(r):
    """(chunk id or None for a hole, offset in the chunk, length)"""
    kind = r.u8()
    if kind == 0:
        return None, 0, r.varint()
    if kind != 1:
        r.fail("has a run of unknown kind")
    return r.id32(), r.varint(), r.varint()


def safe_name(name):
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def parse_snapshot(r):
    s = SimpleNamespace(started=r.zint(), finished=r.zint(), host=r.text(), user=r.text(), program=r.text())
    s.roots = r.list(lambda: parse_root(r))
    s.tags, s.excludes = r.list(lambda: (r.text(), r.text())), r.list(r.text)
    s.users, s.groups = (r.list(lambda: (r.varint(), r.text())) for _ in range(2))
    s.files, s.directories, s.bytes, s.read, s.chunks_added, s.added = (r.varint() for _ in range(6))
    s.unread = r.list(lambda: (r.blob(), r.text()))
    s.parent, s.flags = r.opt(r.id16), r.varint()
    s.attachments = r.list(lambda: (r.text(), r.blob()))
    r.ext()
    r.end()
    if len({p for p, _ in s.roots}) != len(s.roots):
        r.fail("has a root twice")
    return s


def parse_root(r):
    path, entry = r.blob(), parse_entry(r, root=True)
    parts = path.split(b"/")
    if path != b"/" and (parts[0] != b"" or not all(safe_name(p) for p in parts[1:]) or len(parts) < 2):
        r.fail(f"has a root with the forbidden path {show(path)!r}")
    if entry.name != (b"/" if path == b"/" else parts[-1]):
        r.fail(f"has a root whose name does not fit its path {show(path)!r}")
    if path == b"/" and entry.kind != DIRECTORY:
        r.fail("has a root \"/\" that is not a directory")
    return path, entry


def tree_entries(repo, tree_id):
    """The entries of a directory, in order, checked as they come."""
    last = None
    for entry in _tree_leaves(repo, tree_id, 0, None):
        if last is not None and entry.name <= last:
            raise Damage(f"tree {tree_id.hex()}: its names are out of order")
        last = entry.name
        yield entry


def _tree_leaves(repo, tree_id, depth, first):
    r = Reader(repo.chunk(2, tree_id), f"tree {tree_id.hex()}")
    kind = r.u8()
    if kind == 1:
        entries = r.list(lambda: parse_entry(r))
        r.end()
        if first is not None and (not entries or entries[0].name != first):
            r.fail("does not begin with the name its parent says")
        yield from entries
    elif kind == 2 and depth < 8:
        children = r.list(lambda: (r.blob(), r.id32()))
        r.end()
        if not children or (first is not None and children[0][0] != first):
            r.fail("does not begin with the name its parent says")
        for name, child in children:
            yield from _tree_leaves(repo, child, depth + 1, name)
    else:
        r.fail("is split more than 8 deep, or of unknown kind")


def find_entry(repo, snapshot, path):
    """(path, entry) of one absolute path in a snapshot; a relative path counts from the only root."""
    path = os.fsencode(path).rstrip(b"/") or b"/"
    if not path.startswith(b"/") and len(snapshot.roots) == 1:
        path = snapshot.roots[0][0].rstrip(b"/") + b"/" + path
    inside = [(p, e) for p, e in snapshot.roots if path == p or path.startswith(p.rstrip(b"/") + b"/")]
    if not inside:
        raise RescueError(f"{show(path)}: is not in snapshot {snapshot.id.hex()}")
    root, entry = max(inside, key=lambda pe: len(pe[0]))
    for part in [p for p in path[len(root.rstrip(b"/")):].split(b"/") if p]:
        names = tree_entries(repo, entry.tree) if entry.kind == DIRECTORY else ()
        entry = next((e for e in names if e.name == part), None)
        if entry is None:
            raise RescueError(f"{show(path)}: is not in snapshot {snapshot.id.hex()}")
    return path, entry


def file_pieces(repo, entry, tolerate=None):
    """(offset, bytes) of each data run; with `tolerate`, damaged runs are told to it and left out."""
    at = 0
    for chunk_id, offset, length in entry.runs:
        if chunk_id is not None:
            try:
                plain = repo.chunk(1, chunk_id)
                if offset + length > len(plain):
                    raise Damage(f"chunk {chunk_id.hex()}: is shorter than the file needs")
                yield at, plain[offset:offset + length]
            except Damage as e:
                if tolerate is None:
                    raise
                tolerate(e)
        at += length


# ---------------------------------------------------------------------------------------------- restore


class Restorer:
    """Writes a snapshot below one directory. Works with directory descriptors and never follows a link."""

    def __init__(self, repo, target, verify_hash, keep_damaged):
        self.repo, self.report, self.target = repo, repo.report, os.fsencode(target)
        self.verify_hash, self.keep_damaged = verify_hash, keep_damaged
        self.root = os.geteuid() == 0
        self.links, self.files, self.bytes = {}, 0, 0

    def run(self, roots):
        self.open_target()
        try:
            if len(roots) == 1:
                path, entry = roots[0]
                action = self.directory_content if entry.kind == DIRECTORY else self.entry
                self.attempt(path, action, self.top, entry, b"", path)
            else:
                for path, entry in roots:
                    self.attempt(path, self.deep_root, path, entry)
        finally:
            os.close(self.top)

    def open_target(self):
        try:
            os.mkdir(self.target, 0o700)
        except FileExistsError:
            pass
        self.top = os.open(self.target, os.O_RDONLY | os.O_DIRECTORY)
        if os.listdir(self.top):
            raise RescueError(f"{show(self.target)}: is not empty; give a new directory")

    def deep_root(self, path, entry):
        parts = [p for p in path.split(b"/") if p]
        held = os.dup(self.top)
        try:
            for part in parts[:-1] if entry.name != b"/" else parts:
                deeper = self.make_directory(held, part)
                os.close(held)
                held = deeper
            if entry.name == b"/":
                self.directory_content(held, entry, b"", path)
            else:
                self.entry(held, entry, b"/".join(parts[:-1]), path)
        finally:
            os.close(held)

    @staticmethod
    def make_directory(folder, name):
        """Makes or enters a directory; O_NOFOLLOW refuses a link in its place."""
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            pass
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)

    def attempt(self, path, action, *args):
        try:
            return action(*args)
        except (RescueError, OSError, ValueError, OverflowError) as e:
            why = e.strerror if isinstance(e, OSError) and e.strerror else e
            self.report.damage(f"{show(path)}: not restored: {why}")

    def directory_content(self, folder, entry, below, path):
        if path.count(b"/") > MAX_DEPTH:
            raise RescueError("is too deep")

        def content():
            for child in tree_entries(self.repo, entry.tree):
                inner = path.rstrip(b"/") + b"/" + child.name
                self.attempt(inner, self.entry, folder, child, below, inner)

        self.attempt(path, content)
        self.metadata(entry, folder, folder, None, path)

    def entry(self, folder, entry, below, path):
        """One entry into the open directory `folder`, which lies at `below` under the target."""
        place = below + b"/" + entry.name if below else entry.name
        if entry.kind == DIRECTORY:
            inner = self.make_directory(folder, entry.name)
            try:
                self.directory_content(inner, entry, place, path)
            finally:
                os.close(inner)
            return
        if not self.hard_link(folder, entry, place, path):
            (self.file if entry.kind == FILE else self.special)(folder, entry, path)
            if entry.link is not None:
                self.links.setdefault(entry.link, (place, entry))
        self.files += 1

    def hard_link(self, folder, entry, place, path):
        if entry.link is None or entry.link not in self.links:
            return False
        first_place, first = self.links[entry.link]
        if {**vars(first), "name": None} != {**vars(entry), "name": None}:
            self.report.damage(f"{show(path)}: is linked with {show(first_place)}, but differs; restored by itself")
            return False
        try:
            os.link(first_place, entry.name, src_dir_fd=self.top, dst_dir_fd=folder, follow_symlinks=False)
            return True
        except OSError as e:
            if e.errno == errno.EEXIST:
                raise
            self.report.note(f"hard links cannot be made here ({e.strerror}); full copies are written")
            return False

    def file(self, folder, entry, path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(entry.name, flags, 0o600, dir_fd=folder)
        try:
            try:
                self.content(fd, entry, path)
                self.metadata(entry, fd, folder, entry.name, path)
            finally:
                os.close(fd)
        except BaseException:
            os.unlink(entry.name, dir_fd=folder)
            raise

    def content(self, fd, entry, path):
        lost = []
        h = hasher(self.repo.file_key) if self.verify_hash else None
        os.ftruncate(fd, entry.size)
        for at, piece in file_pieces(self.repo, entry, lost.append if self.keep_damaged else None):
            os.lseek(fd, at, os.SEEK_SET)
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view):]
            if h:
                h.update(piece)
        for e in lost:
            self.report.damage(f"{show(path)}: restored with a gap of zeros: {e}")
        if h and not lost and h.digest() != entry.hash:
            raise Damage("its content does not fit its hash")
        self.bytes += entry.size

    def special(self, folder, entry, path):
        if entry.kind == SYMLINK:
            os.symlink(entry.target, entry.name, dir_fd=folder)
        else:
            kinds = {FIFO: stat.S_IFIFO, SOCKET: stat.S_IFSOCK, CHARACTER: stat.S_IFCHR, BLOCK: stat.S_IFBLK}
            device = os.makedev(*entry.device) if entry.kind >= CHARACTER else 0
            os.mknod(entry.name, kinds[entry.kind] | 0o600, device, dir_fd=folder)
        self.metadata(entry, None, folder, entry.name, path)

    def metadata(self, entry, fd, folder, name, path):
        """Owner, attributes, mode and time, in the order in which one does not undo another."""
        place = fd if fd is not None else name
        where = {} if fd is not None else {"dir_fd": folder, "follow_symlinks": False}
        mode = entry.mode

        def steps():
            nonlocal mode
            if self.root:
                yield lambda: os.chown(place, entry.uid, entry.gid, **where)
            elif os.geteuid() != entry.uid or entry.gid not in os.getgroups() + [os.getegid()]:
                mode &= 0o1777
                self.report.note("you are not root: owners are not restored, nor set-user-id bits of others")
            early = [x for x in entry.xattrs if x[0].startswith(b"user.")]
            for item in early:
                yield lambda: self.xattr(item, fd, folder, name)
            if entry.kind != SYMLINK:
                yield lambda: os.chmod(place, mode, **({} if fd is not None else {"dir_fd": folder}))
            for item in [x for x in entry.xattrs if x not in early]:
                yield lambda: self.xattr(item, fd, folder, name)
            when = entry.seconds * 10**9 + entry.nanos
            yield lambda: os.utime(place, ns=(when, when), **where)

        for step in steps():
            try:
                step()
            except (OSError, OverflowError, ValueError) as e:
                self.report.damage(f"{show(path)}: metadata not restored: {getattr(e, 'strerror', None) or e}")

    def xattr(self, item, fd, folder, name):
        key, value = item
        if not self.root and key.startswith((b"security.", b"trusted.")):
            return self.report.note("you are not root: attributes security.* and trusted.* are not restored")
        if not hasattr(os, "setxattr"):
            return self.report.note("extended attributes are not restored on this system")
        if fd is not None:
            return os.setxattr(fd, key, value)
        os.setxattr(os.fsencode(f"/proc/self/fd/{folder}/") + name, key, value, follow_symlinks=False)


# ---------------------------------------------------------------------------------------------- check


class Checker:
    """Without keys: names, hashes, signatures. With keys: everything decrypts and every snapshot is whole."""

    def __init__(self, repo):
        self.repo, self.store, self.report = repo, repo.store, repo.report
        self.objects, self.chunks, self.seen = 0, 0, set()

    def run(self, keys):
        for name in self.store.names():
            match = OBJECT_NAME.fullmatch(name)
            if match is None:
                self.report.note(f"{name}: is not an object of a repository")
                continue
            self.objects += 1
            self.attempt(self.one_object, name, match)
        if keys:
            self.repo.unlock()
            self.decrypt_all()
        else:
            for writer, digest in self.repo.segments:
                self.attempt(self.store.size, f"w/{writer.hex()}/i/{digest.hex()}")

    def attempt(self, action, *args):
        try:
            return action(*args)
        except Revoked as e:
            self.report.note(str(e))
        except (Damage, NoKey) as e:
            self.report.damage(str(e))

    def one_object(self, name, match):
        if match["pack"]:
            self.stored_hash(name)
            if name.split("/")[3] != name[-64:-62]:
                raise Damage(f"{name}: lies in the wrong folder")
        elif match["envelope"]:
            self.stored_hash(name)
        elif match["segment"]:
            self.stored_hash(name)
            self.repo.check_segment_frame(parse_frame(self.store.read(name), SEGMENT, name), bytes.fromhex(name[2:34]))
        elif match["roster"]:
            self.repo.valid_roster(self.repo.load(name, ROSTER), int(match["roster"], 16))
        elif match["checkpoint"]:
            self.repo.valid_checkpoint(self.repo.load(name, CHECKPOINT), int(match["checkpoint"], 16))
        elif match["collection"]:
            frame = self.repo.load(name, DOOMED if match["how"] == "doomed" else COLLECTED)
            collection = parse_collection(frame)
            if collection.number != int(match["collection"], 16):
                raise Damage(f"{name}: its number does not agree with its name")
            self.repo.authorise(frame, KEEPER, collection.keeper, getattr(collection, "generation", None))
        elif match["gen"] and int(match["gen"], 16) >= self.repo.generation:
            self.statement(name, match)

    def statement(self, name, match):
        """Outcomes and deletions of the open generation were checked when the repository was opened."""
        if match["what"] == "session":
            frame = self.repo.load(name, SESSION)
            content = parse_session(frame)
        elif match["what"].startswith("progress"):
            frame = self.repo.load(name, PROGRESS)
            content = parse_progress(frame)
        else:
            return
        if not head_agrees(content, match):
            raise Damage(f"{name}: its content does not agree with its name")
        self.repo.authorise(frame, WRITER, content.writer, content.sequence)
        self.repo.refuse_used(name, content)

    def stored_hash(self, name):
        h, size = hasher(), self.store.size(name)
        for at in range(0, size, 1 << 22):
            h.update(self.store.read(name, at, min(1 << 22, size - at)))
        if h.digest().hex() != name[-64:]:
            raise Damage(f"{name}: is damaged (its hash is not its name)")

    def decrypt_all(self):
        repo = self.repo
        for writer, digest in dict.fromkeys(repo.segments):
            self.attempt(repo.read_segment, f"w/{writer.hex()}/i/{digest.hex()}", writer, digest)
        repo.load_index()
        for name in self.store.names("w/"):
            match = OBJECT_NAME.fullmatch(name)
            if match and match["pack"]:
                self.attempt(self.pack, name)
        for snapshot in repo.snapshots():
            for path, entry in snapshot.roots:
                self.attempt(self.entry, entry, f"snapshot {snapshot.id.hex()}: {show(path)}", 0)

    def pack(self, name):
        pack, seals = self.repo.read_pack_table(name)
        number, base, offset = len(self.repo.packs), len(self.repo.streams), pack.header
        self.repo.packs.append((name, pack.kind))
        self.repo.streams += [(seals[s], salt) for s, salt in pack.streams]
        for chunk, stored, raw, stream, counter in pack.entries:
            if pack.kind == 2 or any(d for _, d in self.repo.groups.values()):
                self.attempt(self.repo.read_place, chunk, number, base + stream, offset, stored, raw, counter)
                self.chunks += 1
            offset += stored

    def entry(self, entry, path, depth):
        if entry.kind == FILE:
            for chunk_id, offset, length in entry.runs:
                if chunk_id is not None:
                    self.run_of_file(chunk_id, offset + length, path)
        elif entry.kind == DIRECTORY and entry.tree not in self.seen:
            self.seen.add(entry.tree)
            if depth > MAX_DEPTH:
                raise Damage(f"{path}: is too deep")
            for child in tree_entries(self.repo, entry.tree):
                self.attempt(self.entry, child, f"{path.rstrip('/')}/{show(child.name)}", depth + 1)

    def run_of_file(self, chunk_id, end, path):
        """The chunk itself was decrypted with its pack; here: that it is there, and long enough."""
        places = self.repo.locations[1].get(chunk_id)
        if not places and self.repo.scan_packs():
            places = self.repo.locations[1].get(chunk_id)
        if not places:
            raise Damage(f"{path}: its chunk {chunk_id.hex()} is in no pack")
        if all(end > p[4] for p in self.repo.PLACE.iter_unpack(places)):
            raise Damage(f"{path}: its chunk {chunk_id.hex()} is shorter than the file needs")


# ---------------------------------------------------------------------------------------------- vectors


def check_vectors(v):
    """Names of the golden vectors that do not come out, with what came out."""
    get = lambda name: bytes.fromhex(v[name])
    entropy, secret, salt = words_to_entropy(v["words"]), get("domain_secret"), get("stream_salt")
    domain = lambda info, length=32: hkdf(secret, b"", "nodekeep/v1/domain/" + info, length)
    age = hkdf(entropy, b"", "nodekeep/v1/owner/age")
    config = parse_frame(get("config_object"), CONFIG, "config_object")
    check_signature(config, ZERO32)
    parsed = parse_config(config)
    aad = get("repository_id") + b"\1" + get("chunk_id")
    stored = gcm_open(get("stream_key"), struct.pack(">IQ", 0, v["chunk_counter"]), aad, get("chunk_stored"), "chunk_stored")
    found = {
        "entropy": entropy,
        "root_public": ed25519_public(hkdf(entropy, b"", "nodekeep/v1/owner/root")),
        "keeper_public": ed25519_public(hkdf(entropy, b"", "nodekeep/v1/owner/keeper")),
        "age_secret": age, "repository_id": config.hash, "domain_id": parsed.domain,
        "id_key_data": domain("id/data"), "id_key_tree": domain("id/tree"), "file_hash_key": domain("file-hash"),
        "index_key": domain("index"), "name_key": domain("names"), "label_key": domain("labels"),
        "gear_first": domain("gear", 2048)[:8],
        "key_id": hkdf(get("content_key"), get("repository_id"), "nodekeep/v1/key-id"),
        "stream_key": hkdf(get("content_key"), salt, "nodekeep/v1/chunks/data"),
        "chunk_id": keyed(domain("id/data"), get("chunk_plain")),
        "chunk_plain": unpack_codec(stored, MAX_CHUNK, "chunk_stored"),
    }
    wrong = {n: f.hex() for n, f in found.items() if f.hex() != v[n].lower()}
    recipient = bech32_encode("age", x25519_public(age))
    if recipient != v["age_recipient"]:
        wrong["age_recipient"] = recipient
    if parsed.root != get("root_public") or config.signer != parsed.root:
        wrong["config_object"] = "signed by another root key than root_public"
    return wrong


# ---------------------------------------------------------------------------------------------- commands


def when(millis):
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(millis / 1000))
    except (OverflowError, ValueError, OSError):
        return f"{millis} ms"


def command_info(repo, args):
    print(f"repository  {repo.id.hex()}\nroot key    {repo.config.root.hex()}\ncreated     {when(repo.config.created * 1000)}")
    print(f"domain      {repo.config.domain.hex()}\nroster      {repo.roster.number}")
    point = repo.checkpoint
    print(f"checkpoint  {f'{point.number} of {when(point.when * 1000)}' if point else 'none'}\nsnapshots   {len(repo.outcomes)}")
    for file in getattr(repo.store, "files", ()):
        base = f", builds on {file.base.hex()} ({show(file.hint)})" if file.base else ""
        print(f"file        {show(file.path)}: {('full', 'incremental', 'differential')[file.type - 1]} {file.id.hex()}{base}")
    if repo.secrets.any():
        try:
            repo.unlock()
        except NoKey as e:
            repo.report.damage(str(e))
    for m in repo.roster.members.values():
        key = show(m.key) if m.role <= COLLECTOR else m.key.hex()
        gone = "" if m.revoked is None else f", revoked from {m.revoked}"
        role = ("reader", "collector", "writer", "keeper")[m.role - 1]
        print(f"{role:11} {m.id.hex()} {key}{member_label(repo, m)}{gone}")


def member_label(repo, member):
    if not repo.domain_secret or not member.label:
        return ""
    key = hkdf(repo.domain_secret, b"", "nodekeep/v1/domain/labels")
    try:
        key = hkdf(key, member.label[:12], "")
        label = gcm_open(key, bytes(12), repo.id + member.id, member.label[12:], "label")
        return f" \"{show(label)}\""
    except Damage:
        repo.report.damage(f"r/{repo.roster.number:08x}: the label of member {member.id.hex()} does not decrypt")
        return ""


def command_list(repo, args):
    for s in repo.snapshots():
        paths = " ".join(show(p) for p, _ in s.roots)
        flag = " (incomplete)" if s.flags & 1 else ""
        print(f"{s.id.hex()}  {when(s.started)}  {show(s.host)}  {paths}  {s.files} files  {s.bytes} bytes{flag}")


def command_ls(repo, args):
    snapshot = repo.pick(args.id)
    if args.path is None:
        return [print_tree(repo, path, entry, 0) for path, entry in snapshot.roots]
    wanted = os.fsencode(args.path).rstrip(b"/")
    inner = [(p, e) for p, e in snapshot.roots if p.startswith(wanted + b"/") and p != b"/"]
    if inner:
        return [print_tree(repo, path, entry, 0) for path, entry in inner]
    print_tree(repo, *find_entry(repo, snapshot, args.path), 0)


def print_tree(repo, path, entry, depth):
    kinds = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
    tail = " -> " + show(entry.target) if entry.kind == SYMLINK else ""
    size = entry.size if entry.kind == FILE else 0
    mode = stat.filemode(kinds[entry.kind] | entry.mode)
    print(f"{mode} {entry.uid:>5} {entry.gid:>5} {size:>12} {when(entry.seconds * 1000)} {show(path)}{tail}")
    if entry.kind == DIRECTORY and depth < MAX_DEPTH:
        try:
            for child in tree_entries(repo, entry.tree):
                print_tree(repo, path.rstrip(b"/") + b"/" + child.name, child, depth + 1)
        except Damage as e:
            repo.report.damage(f"{show(path)}: {e}")


def command_restore(repo, args):
    snapshot = repo.pick(args.id)
    roots = snapshot.roots if args.path is None else [find_entry(repo, snapshot, args.path)]
    restorer = Restorer(repo, args.target, bool(args.verify_ids or fast_blake3), args.keep_damaged)
    restorer.run(roots)
    print(f"snapshot {snapshot.id.hex()} of {when(snapshot.started)}: {restorer.files} files, {restorer.bytes} bytes restored")
    for path, why in snapshot.unread:
        repo.report.note(f"{show(path)}: could not be read when the snapshot was made: {show(why)}")


def command_check(repo, args):
    checker = Checker(repo)
    keys = repo.secrets.any()
    checker.run(keys)
    decrypted = f", {checker.chunks} chunks decrypted" if keys else "; no secrets given, so nothing was decrypted"
    print(f"{checker.objects} objects, {len(repo.outcomes)} snapshots{decrypted}; {repo.report.damaged} damaged")


def command_vectors(args):
    try:
        with open(args.file, encoding="utf-8") as f:
            wrong = check_vectors(json.load(f))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise RescueError(f"{args.file}: cannot be used: {e!r}") from None
    for name, found in wrong.items():
        print(f"{name}: disagrees; computed {found}")
    print("vectors disagree" if wrong else "all vectors agree")
    return 1 if wrong else 0


def hex_id(text):
    if not re.fullmatch(H32, text.lower()):
        raise argparse.ArgumentTypeError("a repository id has 64 hexadecimal digits")
    return bytes.fromhex(text)


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name, action, text):
        p = commands.add_parser(name, help=text)
        p.add_argument("repo", help="a repository directory, or a portable file (.nkb)")
        p.add_argument("--base", action="append", default=[], help="a file that an incremental .nkb builds on")
        p.add_argument("--repository", type=hex_id, help="refuse any repository but the one with this id")
        p.set_defaults(action=action)
        return p

    add("info", command_info, "what this repository is, and who reads and writes it")
    add("list", command_list, "the snapshots")
    ls = add("ls", command_ls, "the files of a snapshot")
    ls.add_argument("id")
    ls.add_argument("path", nargs="?")
    restore = add("restore", command_restore, "write a snapshot into an empty or new directory")
    restore.add_argument("id", help="the beginning of a snapshot id, or \"latest\"")
    restore.add_argument("target")
    restore.add_argument("--path", help="only this file or directory")
    restore.add_argument("--verify-ids", action="store_true",
                         help="recompute the hash of each file too (chunk ids are always recomputed)")
    restore.add_argument("--keep-damaged", action="store_true", help="keep files with lost parts, zeros in the gaps")
    add("check", command_check, "verify everything that the given secrets allow")
    vectors = commands.add_parser("vectors", help="check golden vectors")
    vectors.add_argument("file")
    return parser.parse_args(argv)


def main(argv=None, env=os.environ):
    args, report = arguments(argv), Report()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    raise_file_limit()
    try:
        if args.command == "vectors":
            return command_vectors(args)
        store = open_store(args.repo, args.base, report)
        args.action(Repository(store, Secrets(env), report, args.repository), args)
    except (RescueError, OSError) as e:
        print("error: " + show(e), file=sys.stderr)
        return 1
    return 1 if report.damaged else 0


def raise_file_limit():
    """A deep tree holds one open directory for each level."""
    try:
        import resource
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ImportError, ValueError, OSError):
        pass


def main_with_deep_stack():
    """Deep trees recurse deeply: older Pythons need a large stack for that, which only threads can have."""
    result = []
    sys.setrecursionlimit(10 * MAX_DEPTH + 1000)
    threading.stack_size(256 << 20)
    thread = threading.Thread(target=lambda: result.append(guarded_main()), daemon=True)
    thread.start()
    thread.join()
    return result[0] if result else 1


def guarded_main():
    try:
        return main()
    except SystemExit as e:
        return e.code


if __name__ == "__main__":
    sys.exit(main_with_deep_stack())
