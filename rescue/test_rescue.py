"""Tests of nodekeep_rescue.py, with a small writer made from docs/format.md. Run: python3 -m unittest -v (here)."""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import os
import random
import stat
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nodekeep_rescue as nk  # noqa: E402

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305  # noqa: E402
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: E402
import zstandard  # noqa: E402

DATA, TREE = 1, 2
WORDS_OF_ZEROS = "abandon " * 23 + "art"

# ------------------------------------------------------------------------------------ encoding, age


v = nk.put_varint


def z(n):
    return v((n << 1) ^ (n >> 63))


def blob(data):
    data = data.encode() if isinstance(data, str) else data
    return v(len(data)) + data


def many(items):
    return v(len(items)) + b"".join(items)


def opt(data):
    return b"\0" if data is None else b"\1" + data


EXT = v(0)


def b64(data):
    return base64.b64encode(data).rstrip(b"=")


def age_file(plain, recipient=None, password=None, grease=False):
    file_key, header = os.urandom(16), b"age-encryption.org/v1\n"
    if recipient:
        ephemeral = os.urandom(32)
        share = nk.x25519_public(ephemeral)
        shared = X25519PrivateKey.from_private_bytes(ephemeral).exchange(X25519PublicKey.from_public_bytes(recipient))
        key, args = nk.hkdf(shared, share + recipient, "age-encryption.org/v1/X25519"), b"X25519 " + b64(share)
    else:
        salt = os.urandom(16)
        key = Scrypt(salt=b"age-encryption.org/v1/scrypt" + salt, length=32, n=1 << 4, r=8, p=1).derive(password)
        args = b"scrypt " + b64(salt) + b" 4"
    header += b"-> " + args + b"\n" + b64(ChaCha20Poly1305(key).encrypt(bytes(12), file_key, b"")) + b"\n"
    if grease:
        body = b64(bytes(48))
        header += b"-> xyz-grease ab\n" + body + b"\n\n"
    header += b"---"
    mac = hmac.new(nk.hkdf(file_key, b"", "header"), header, hashlib.sha256).digest()
    nonce = os.urandom(16)
    cipher, out = ChaCha20Poly1305(nk.hkdf(file_key, nonce, "payload")), header + b" " + b64(mac) + b"\n" + nonce
    pieces = [plain[i:i + 65536] for i in range(0, len(plain), 65536)] or [b""]
    for i, piece in enumerate(pieces):
        out += cipher.encrypt(i.to_bytes(11, "big") + bytes([i == len(pieces) - 1]), piece, b"")
    return out


# ------------------------------------------------------------------------------------ the writer


def sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def entry(name, kind=nk.FILE, rest=b"", mode=0o644, mtime=(1_600_000_000, 123_456_789), xattrs=()):
    return (blob(name) + bytes([kind]) + v(mode) + v(os.geteuid()) + v(os.getegid()) + z(mtime[0]) + v(mtime[1])
            + many([blob(a) + blob(b) for a, b in xattrs]) + rest)


class Maker:
    """A repository in memory: `objects` holds name to bytes."""

    def __init__(self, entropy=bytes(32), password=None, extra_reader=None):
        self.objects, self.generation, self.sequence, self.outcomes = {}, 0, 0, {}
        self.deletions, self.segments, self.revoked = [], [], None
        derive = lambda name: nk.hkdf(entropy, b"", "nodekeep/v1/owner/" + name)
        self.root, self.keeper, self.age = derive("root"), derive("keeper"), derive("age")
        self.writer, self.secret, self.domain = os.urandom(32), os.urandom(32), os.urandom(16)
        self.tree_group, self.data_group = os.urandom(32), os.urandom(32)
        self.writer_id = self.member_id(nk.WRITER, nk.ed25519_public(self.writer))
        self.keeper_id = self.member_id(nk.KEEPER, nk.ed25519_public(self.keeper))
        body = v(1) + z(0) + os.urandom(32) + nk.ed25519_public(self.root) + self.domain + v(1 << 24) + EXT
        self.id = nk.ZERO32
        self.objects["config"] = self.frame(nk.CONFIG, body, self.root)
        self.id = nk.blake(self.objects["config"])
        self.readers = []
        if password:
            self.reader(b"scrypt", password=password)
        else:
            self.reader(self.recipient(self.age), secret=self.age)
        if extra_reader:
            self.reader(self.recipient(extra_reader), secret=extra_reader)
        self.roster(1, nk.ZERO32)

    @staticmethod
    def recipient(secret):
        return nk.bech32_encode("age", nk.x25519_public(secret)).encode()

    @staticmethod
    def member_id(role, key):
        return nk.blake(bytes([role]) + blob(key))[:16]

    def frame(self, kind, body, seed):
        message = b"nodekeep/v1/sign\0" + bytes([kind]) + self.id + body
        return b"NKO1" + bytes([kind]) + blob(body) + nk.ed25519_public(seed) + sign(seed, message)

    def reader(self, key, secret=None, password=None):
        plain = (b"NKE1" + self.id + v(1) + self.domain + self.secret + self.tree_group + opt(self.data_group) + EXT)
        raw = age_file(plain, nk.x25519_public(secret) if secret else None, password, grease=bool(secret))
        self.objects["k/" + nk.blake(raw).hex()] = raw
        self.readers.append((key, nk.blake(raw)))

    def roster(self, number, previous):
        def member(role, key, envelopes=(), revoked=None):
            return (self.member_id(role, key) + bytes([role]) + blob(key) + many([v(1) + e for e in envelopes]) + b"\1"
                    + opt(None if revoked is None else v(revoked)) + blob(self.label(self.member_id(role, key))))

        members = [member(nk.READER, key, [digest]) for key, digest in self.readers]
        members.append(member(nk.WRITER, nk.ed25519_public(self.writer), (), self.revoked))
        members.append(member(nk.KEEPER, nk.ed25519_public(self.keeper)))
        group = v(1) + nk.x25519_public(self.tree_group) + nk.x25519_public(self.data_group)
        body = v(number) + previous + z(0) + many([group]) + many(members) + EXT
        self.objects[f"r/{number:08x}"] = self.frame(nk.ROSTER, body, self.root)

    def label(self, member_id):
        salt, key = os.urandom(12), nk.hkdf(self.secret, b"", "nodekeep/v1/domain/labels")
        return salt + AESGCM(nk.hkdf(key, salt, "")).encrypt(bytes(12), "näme".encode(), self.id + member_id)

    def revoke(self, number):
        self.revoked = number
        self.roster(2, nk.blake(self.objects["r/00000001"]))

    def checkpoint(self, keep=None):
        """Folds the open generation, as after a collection: its objects go."""
        self.generation += 1
        n = self.generation
        before = nk.blake(self.objects[f"c/{n - 1:08x}"]) if n > 1 else nk.ZERO32
        body = (v(n) + before + z(0) + self.keeper_id + many([blob(raw) for raw in self.outcomes.values()])
                + many([blob(d) for d in self.deletions]) + many([w + h for w, h in self.segments])
                + v(0) + many([self.writer_id + v(self.sequence)]) + EXT)
        self.objects[f"c/{n:08x}"] = self.frame(nk.CHECKPOINT, body, self.keeper)
        for name in [o for o in self.objects if o.startswith("g/")]:
            del self.objects[name]

    def delete(self, session):
        body = (v(self.generation) + self.keeper_id + session + nk.blake(self.outcomes[session]) + z(0) + EXT)
        name = f"g/{self.generation:08x}/{self.keeper_id.hex()}.{session.hex()}.deleted"
        self.objects[name] = self.frame(nk.DELETION, body, self.keeper)

    def save(self, folder):
        for name, data in self.objects.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)
        return folder

    def save_portable(self, path, kind=1, base=None, hint="", leave_out=()):
        file_id = os.urandom(16)
        out = b"NKB1" + file_id + bytes([kind]) + opt(base) + blob(hint)
        header, rows = out, []
        for name, data in self.objects.items():
            if name not in leave_out:
                out += blob(name) + struct.pack("<Q", len(data))
                rows.append(blob(name) + v(len(out)) + v(len(data)))
                out += data
        directory = many(rows)
        out += directory + struct.pack("<QQ", len(out), len(directory)) + nk.blake(header + directory) + b"NKBE"
        with open(path, "wb") as f:
            f.write(out)
        return file_id


class Session:
    """One backup: chunks are added, then the snapshot is committed."""

    def __init__(self, maker):
        self.m, self.id = maker, os.urandom(16)
        self.keys = {kind: os.urandom(32) for kind in (DATA, TREE)}
        self.seals = {DATA: self.seal(DATA), TREE: self.seal(TREE)}
        self.chunks, self.link = {DATA: {}, TREE: {}}, 0
        maker.sequence += 1
        self.sequence = maker.sequence
        self.head = v(maker.generation) + maker.writer_id + v(maker.sequence) + self.id
        self.place = f"g/{maker.generation:08x}/{maker.writer_id.hex()}.{self.id.hex()}."
        body = self.head + v(1) + z(0) + bytes(32) + v(1) + v(1) + self.seals[TREE] + self.seals[DATA] + EXT
        maker.objects[self.place + "session"] = maker.frame(nk.SESSION, body, maker.writer)

    def seal(self, kind):
        public = nk.x25519_public(self.m.data_group if kind == DATA else self.m.tree_group)
        key = self.keys[kind]
        return nk.hkdf(key, self.m.id, "nodekeep/v1/key-id") + bytes([kind]) + v(1) + blob(age_file(key, public))

    def chunk(self, kind, plain, forged_id=None):
        name = {DATA: "data", TREE: "tree"}[kind]
        chunk_id = forged_id or nk.keyed(nk.hkdf(self.m.secret, b"", "nodekeep/v1/domain/id/" + name), plain)
        self.chunks[kind][chunk_id] = plain
        return chunk_id

    def tree(self, entries, split=0):
        if not split:
            return self.chunk(TREE, b"\1" + many([e for _, e in sorted(entries.items())]))
        rows, items = [], sorted(entries.items())
        for at in range(0, len(items), split):
            part = dict(items[at:at + split])
            rows.append(blob(items[at][0]) + self.tree(part))
        return self.chunk(TREE, b"\2" + many(rows))

    def file(self, name, pieces, link=None, **more):
        """`pieces`: bytes of a data run, or the length of a hole."""
        key = nk.hkdf(self.m.secret, b"", "nodekeep/v1/domain/file-hash")
        runs, size = [], 0
        for piece in pieces:
            if isinstance(piece, int):
                runs.append(b"\0" + v(piece))
                size += piece
            else:
                runs.append(b"\1" + self.chunk(DATA, b"<<" + piece + b">>") + v(2) + v(len(piece)))
                size += len(piece)
        whole = nk.keyed(key, b"".join(p for p in pieces if not isinstance(p, int)))
        return entry(name, nk.FILE, v(size) + whole + opt(link and struct.pack("<Q", link)) + many(runs), **more)

    def directory(self, name, entries, split=0, mode=0o755, **more):
        return entry(name, nk.DIRECTORY, self.tree(entries, split) + v(0) + v(0), mode=mode, **more)

    def pack(self, kind):
        m, salt, name = self.m, os.urandom(32), {DATA: "data", TREE: "tree"}[kind]
        header = b"NKPK\1" + bytes([kind]) + m.id + m.domain + many([self.seals[kind]])
        key, out, entries = nk.hkdf(self.keys[kind], salt, "nodekeep/v1/chunks/" + name), header, []
        for counter, (chunk_id, plain) in enumerate(self.chunks[kind].items()):
            packed = (b"\1" + zstandard.compress(plain)) if counter % 2 else b"\0" + plain
            stored = AESGCM(key).encrypt(struct.pack(">IQ", 0, counter), packed, m.id + bytes([kind]) + chunk_id)
            entries.append(chunk_id + v(len(stored)) + v(len(plain)) + v(0) + v(counter))
            out += stored
        table, index_key = many([v(0) + salt]) + many(entries), nk.hkdf(m.secret, b"", "nodekeep/v1/domain/index")
        table_salt = os.urandom(32)
        sealed = table_salt + AESGCM(nk.hkdf(index_key, table_salt, "nodekeep/v1/pack-table")).encrypt(
            bytes(12), table + EXT, header)
        out += sealed + struct.pack("<II", len(header), len(sealed)) + b"NKPE"
        pack_id = nk.blake(out)
        m.objects[nk.pack_name(m.writer_id, kind, pack_id)] = out
        return pack_id + m.writer_id + bytes([kind]) + v(len(out)) + v(len(header)) + many([v(kind - 1) + salt]) + many(entries)

    def commit(self, roots, **change):
        m = self.m
        packs = [self.pack(kind) for kind in (DATA, TREE) if self.chunks[kind]]
        plain = many([self.seals[DATA], self.seals[TREE]]) + many(packs) + EXT
        salt, index_key = os.urandom(32), nk.hkdf(m.secret, b"", "nodekeep/v1/domain/index")
        body = m.domain + salt + AESGCM(nk.hkdf(index_key, salt, "nodekeep/v1/index-segment")).encrypt(bytes(12), plain, m.id)
        segment = m.frame(nk.SEGMENT, body, m.writer)
        digest = nk.blake(segment)
        self.segment = f"w/{m.writer_id.hex()}/i/{digest.hex()}"
        m.objects[self.segment] = segment
        m.segments.append((m.writer_id, digest))
        progress = self.head + v(0) + many([digest]) + EXT
        m.objects[self.place + "progress.0"] = m.frame(nk.PROGRESS, progress, m.writer)
        salt = os.urandom(32)
        snapshot = (z(1000 * self.sequence) + z(1) + blob("host") + blob("user") + blob("test")
                    + many([blob(path) + e for path, e in roots]) + many([blob("k") + blob("v")]) + many([])
                    + many([v(0) + blob("root")]) + many([]) + v(7) * 6 + many([]) + opt(None) + v(0) + many([]) + EXT)
        key = nk.hkdf(self.keys[TREE], salt, "nodekeep/v1/snapshot")
        sealed = AESGCM(key).encrypt(bytes(12), b"\1" + zstandard.compress(snapshot), m.id + self.id)
        roster = v(change.get("roster", 1))
        body = self.head + roster + b"\1" + many([digest]) + self.seals[TREE] + salt + blob(sealed) + EXT
        m.outcomes[self.id] = m.frame(nk.OUTCOME, body, change.get("signer", m.writer))
        m.objects[self.place + "outcome"] = m.outcomes[self.id]
        return self.id.hex()


def one_file_backup(maker, name=b"file", content=b"content"):
    s = Session(maker)
    return s.commit([(b"/r", s.directory(b"r", {name: s.file(name, [content])}))])


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.counter = folder.name, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_main(self, *args, env=None):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = nk.main(list(args), {"NODEKEEP_WORDS": WORDS_OF_ZEROS} if env is None else env)
        self.out, self.err = out.getvalue(), err.getvalue()
        return code

    def restore(self, maker, *args, env=None, code=0):
        repo = maker.save(self.path("repo")) if isinstance(maker, Maker) else maker
        self.counter += 1
        target = self.path(f"target{self.counter}")
        got = self.run_main("restore", repo, "latest", target, *args, env=env)
        self.assertEqual(got, code, self.out + self.err)
        return target

    def content(self, *parts):
        with open(os.path.join(*parts), "rb") as f:
            return f.read()


class Primitives(Case):
    def test_blake3_of_nothing(self):
        self.assertEqual(nk.PureBlake3().digest().hex(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")

    def test_blake3_against_the_module(self):
        if nk.fast_blake3 is None:
            self.skipTest("the module blake3 is not here")
        key = bytes(range(32))
        for size in (1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3073, 5000, 31744, 1 << 20, (1 << 20) + 1, (3 << 20) + 1025):
            data = (bytes(range(251)) * (size // 251 + 1))[:size]
            self.assertEqual(nk.PureBlake3(data).digest(), nk.fast_blake3.blake3(data).digest(), size)
            self.assertEqual(nk.PureBlake3(data, key=key).digest(), nk.fast_blake3.blake3(data, key=key).digest(), size)

    def test_blake3_in_pieces(self):
        data = bytes(range(256)) * 5000
        h = nk.PureBlake3()
        for at in range(0, len(data), 77777):
            h.update(data[at:at + 77777])
        self.assertEqual(h.digest(), nk.PureBlake3(data).digest())

    def test_hkdf_vector_of_rfc_5869(self):
        okm = nk.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
        self.assertEqual(okm.hex(), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")

    def test_varints(self):
        for n in (0, 1, 127, 128, 300, 1 << 32, (1 << 64) - 1):
            r = nk.Reader(v(n), "x")
            self.assertEqual(r.varint(), n)
            r.end()
        for n in (0, -1, 1, -(1 << 63), (1 << 63) - 1):
            self.assertEqual(nk.Reader(z(n), "x").zint(), n)
        for bad in (b"\x80\0", b"\x81\x80\0", b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\1", b"\x80", b""):
            with self.assertRaises(nk.Damage, msg=bad.hex()):
                nk.Reader(bad, "x").varint()

    def test_decoder_refusals(self):
        for bad, read in ((b"\x05ab", lambda r: r.blob()), (b"\xff\xff\xff\x7f", lambda r: r.list(r.u8)),
                          (b"\2\0", lambda r: r.opt(r.u8)), (b"\1\xff", lambda r: r.text()), (b"a", lambda r: r.end()),
                          (b"\1\1\0", lambda r: r.ext()), (b"\2\4\0\2\0", lambda r: r.ext())):
            with self.assertRaises(nk.Damage, msg=bad.hex()):
                read(nk.Reader(bad, "x"))
        nk.Reader(b"\2\2\0\4\1a", "x").ext()

    def test_bip39(self):
        for words, entropy in (
                (WORDS_OF_ZEROS, "00" * 32), ("zoo " * 23 + "vote", "ff" * 32),
                ("legal winner thank year wave sausage worth useful " * 2 + "legal winner thank year wave sausage worth title", "7f" * 32),
                ("letter advice cage absurd amount doctor acoustic avoid " * 2 + "letter advice cage absurd amount doctor acoustic bless", "80" * 32)):
            self.assertEqual(nk.words_to_entropy(words).hex(), entropy)
        for words, said in (("abandon " * 23 + "zoo", "checksum"), ("abandon " * 3, "24 are needed"),
                            ("abandon " * 22 + "abandom art", "word 23, \"abandom\"")):
            with self.assertRaisesRegex(nk.RescueError, said):
                nk.words_to_entropy(words)

    def test_bech32(self):
        secret = os.urandom(32)
        text = nk.bech32_encode("age-secret-key-", secret)
        self.assertEqual(nk.bech32_decode("age-secret-key-", text.upper()), secret)
        self.assertIsNone(nk.bech32_decode("age-secret-key-", text[:-1] + ("q" if text[-1] != "q" else "p")))

    def test_age_round_trip(self):
        secret = os.urandom(32)
        for size in (0, 1, 65536, 65537, 200000):
            plain = os.urandom(size)
            sealed = age_file(plain, nk.x25519_public(secret), grease=True)
            self.assertEqual(nk.age_open(sealed, "x", (os.urandom(32), secret)), plain)
            self.assertEqual(nk.age_open(age_file(plain, password=b"pw"), "x", (), (b"pw",)), plain)
            with self.assertRaises(nk.Damage):
                nk.age_open(sealed[:-1], "x", (secret,))
        with self.assertRaises(nk.NoKey):
            nk.age_open(sealed, "x", (os.urandom(32),))
        with self.assertRaises(nk.Damage):
            nk.age_open(sealed.replace(b"-> xyz-grease ab", b"-> xyz-grease ac"), "x", (secret,))
        with self.assertRaises(nk.Damage):
            nk.age_open(sealed[:-(200000 - 3 * 65536 + 16)], "x", (secret,))

    def test_names(self):
        for name in (b"", b".", b"..", b"a/b", b"a\0b", b"/"):
            self.assertFalse(nk.safe_name(name), name)
            with self.assertRaises(nk.Damage):
                nk.parse_entry(nk.Reader(entry(name, nk.FIFO, b"\0"), "x"))
        for path in (b"a", b"", b"//", b"/a/../b", b"/a//b", b"/a/", b"/a\0", b"/."):
            last = path.split(b"/")[-1] or b"x"
            with self.assertRaises(nk.Damage, msg=path):
                nk.parse_root(nk.Reader(blob(path) + entry(last, nk.FIFO, b"\0"), "x"))

    def test_terminal_escapes_are_shown_as_hex(self):
        self.assertEqual(nk.show(b"a\x1b[2J\xff\n\xc3\xa9"), "a<1b>[2J<ff><0a>é")


class Repositories(Case):
    def full_tree(self, s):
        big = os.urandom(300_000)
        many_files = {b"f%03d" % i: s.file(b"f%03d" % i, [b"%d" % i]) for i in range(40)}
        return big, {
            b"big": s.file(b"big", [big[:150_000], big[150_000:]], mode=0o600),
            b"empty": s.file(b"empty", []),
            b"hole": s.file(b"hole", [1 << 20, b"end", 4096], mtime=(-5, 7)),
            b"link1": s.file(b"link1", [b"linked"], link=9),
            b"sym": entry(b"sym", nk.SYMLINK, opt(None) + blob(b"../../outside"), mode=0o777),
            b"fifo": entry(b"fifo", nk.FIFO, opt(None), mode=0o620),
            b"dir": s.directory(b"dir", {b"link2": s.file(b"link2", [b"linked"], link=9)}, mode=0o500),
            b"none": s.directory(b"none", {}),
            b"split": s.directory(b"split", many_files, split=7),
            b"attr": s.file(b"attr", [b"x"], mode=0o444, xattrs=[(b"user.a", b"1"), (b"user.b", b"\0")]),
        }

    def test_restores_everything(self):
        m = Maker()
        s = Session(m)
        big, tree = self.full_tree(s)
        s.commit([(b"/home/me", s.directory(b"me", tree, mode=0o750, mtime=(1_500_000_000, 5)))])
        t = self.restore(m, "--verify-ids")
        self.addCleanup(os.chmod, os.path.join(t, "dir"), 0o700)
        self.assertEqual(self.content(t, "big"), big)
        self.assertEqual(self.content(t, "hole"), bytes(1 << 20) + b"end" + bytes(4096))
        self.assertEqual(os.stat(os.path.join(t, "hole")).st_mtime_ns, -5 * 10**9 + 7)
        self.assertLess(os.stat(os.path.join(t, "hole")).st_blocks * 512, 1 << 20)
        self.assertEqual(os.stat(os.path.join(t, "link1")).st_ino, os.stat(os.path.join(t, "dir", "link2")).st_ino)
        self.assertEqual(os.readlink(os.path.join(t, "sym")), "../../outside")
        self.assertTrue(stat.S_ISFIFO(os.stat(os.path.join(t, "fifo")).st_mode))
        self.assertEqual(sorted(os.listdir(os.path.join(t, "split"))), [f"f{i:03d}" for i in range(40)])
        self.assertEqual(os.getxattr(os.path.join(t, "attr"), "user.a"), b"1")
        modes = {n: stat.S_IMODE(os.lstat(os.path.join(t, n)).st_mode) for n in ("big", "dir", "fifo", "attr", ".")}
        self.assertEqual(modes, {"big": 0o600, "dir": 0o500, "fifo": 0o620, "attr": 0o444, ".": 0o750})
        self.assertEqual(os.stat(t).st_mtime_ns, 1_500_000_000 * 10**9 + 5)
        self.assertEqual(os.lstat(os.path.join(t, "sym")).st_mtime_ns, 1_600_000_000 * 10**9 + 123_456_789)

    def test_list_ls_info_check(self):
        m = Maker()
        ids = [one_file_backup(m, b"first"), one_file_backup(m, b"second\n")]
        repo = m.save(self.path("repo"))
        self.assertEqual(self.run_main("list", repo), 0, self.err)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids)
        self.assertEqual(self.run_main("ls", repo, ids[0][:8], "/r/first"), 0, self.err)
        self.assertIn("/r/first", self.out)
        self.run_main("ls", repo, "latest")
        self.assertIn("second<0a>", self.out)
        self.assertEqual(self.run_main("ls", repo, "latest", "/none"), 1)
        for env in (None, {}):
            self.assertEqual(self.run_main("info", repo, env=env), 0, self.err)
            self.assertIn(m.id.hex(), self.out)
            self.assertEqual('"näme"' in self.out, env is None)
            self.assertEqual(self.run_main("check", repo, env=env), 0, self.err)
        self.assertEqual(self.run_main("list", repo, env={}), 1)

    def test_layout_of_roots(self):
        m = Maker()
        s = Session(m)
        s.commit([(b"/etc/passwd", s.file(b"passwd", [b"root"]))])
        self.assertEqual(self.content(self.restore(m), "passwd"), b"root")
        s = Session(m)
        s.commit([(b"/etc/passwd", s.file(b"passwd", [b"p"])), (b"/home", s.directory(b"home", {b"a": s.file(b"a", [b"A"])}))])
        t = self.restore(m)
        self.assertEqual((self.content(t, "etc/passwd"), self.content(t, "home/a")), (b"p", b"A"))
        self.assertEqual(self.content(self.restore(m, "--path", "/home"), "a"), b"A")
        self.assertEqual(self.content(self.restore(m, "--path", "/home/a"), "a"), b"A")
        self.restore(m, "--path", "/home/b", code=1)
        s = Session(m)
        s.commit([(b"/", s.directory(b"/", {b"x": s.file(b"x", [b"X"])}))])
        self.assertEqual(self.content(self.restore(m), "x"), b"X")

    def test_target_must_be_empty(self):
        m = Maker()
        one_file_backup(m)
        repo = m.save(self.path("repo"))
        self.assertEqual(self.run_main("restore", repo, "latest", self.folder), 1)
        self.assertIn("not empty", self.err)

    def test_secrets(self):
        reader = os.urandom(32)
        m = Maker(extra_reader=reader)
        one_file_backup(m)
        with open(self.path("age"), "w") as f:
            f.write("# a comment\n" + nk.bech32_encode("age-secret-key-", reader).upper() + "\n")
        self.restore(m, env={"NODEKEEP_IDENTITY_FILE": self.path("age")})
        self.assertIn("nothing proves", self.err)
        self.restore(m, "--repository", m.id.hex(), env={"NODEKEEP_IDENTITY_FILE": self.path("age")})
        self.assertNotIn("nothing proves", self.err)
        self.restore(m, "--repository", "00" * 32, env={"NODEKEEP_IDENTITY_FILE": self.path("age")}, code=1)
        text = f"NODEKEEP-IDENTITY-1\n{m.id.hex()}\n{'00' * 32}\n".encode()
        locked = base64.encodebytes(age_file(text, password=b"pw"))
        for data in (text, b"-----BEGIN AGE ENCRYPTED FILE-----\n" + locked + b"-----END AGE ENCRYPTED FILE-----\n"):
            with open(self.path("identity"), "wb") as f:
                f.write(data)
            self.restore(m, env={"NODEKEEP_IDENTITY_FILE": self.path("identity"), "NODEKEEP_PASSPHRASE": "pw"})
        self.restore(m, env={"NODEKEEP_WORDS": "zoo " * 23 + "vote"}, code=1)
        self.assertIn("another repository", self.err)

    def test_a_lost_or_damaged_segment_is_replaced_by_the_tables(self):
        for damage in (lambda o, n: o.pop(n), lambda o, n: o.update({n: o[n][:-1] + bytes([o[n][-1] ^ 1])})):
            m = Maker()
            s = Session(m)
            s.commit([(b"/r", s.directory(b"r", {b"a": s.file(b"a", [b"A"])}))])
            damage(m.objects, s.segment)
            self.folder_of_repo = self.path(f"repo{self.counter}")
            t = self.restore(m.save(self.folder_of_repo))
            self.assertEqual(self.content(t, "a"), b"A")
            self.assertIn(s.segment, self.err)
            self.assertEqual(self.run_main("check", self.folder_of_repo, env={}), 1)
            self.assertIn(s.segment, self.err)

    def test_a_damaged_chunk_costs_one_file(self):
        m = Maker()
        s = Session(m)
        files = {n: s.file(n, [b"lost" if n == b"b" else b"kept-" + n, 10, b"tail"]) for n in (b"a", b"b", b"c")}
        s.commit([(b"/r", s.directory(b"r", files))])
        name = next(n for n in m.objects if "/d/" in n)
        raw = bytearray(m.objects[name])
        table = raw.find(b"NKPE") - 8
        header = struct.unpack_from("<I", raw, table)[0]
        lengths = {c: 17 + len(p if i % 2 == 0 else zstandard.compress(p)) for i, (c, p) in enumerate(s.chunks[DATA].items())}
        at = header
        for chunk_id, plain in s.chunks[DATA].items():
            if plain == b"<<lost>>":
                raw[at] ^= 1
            at += lengths[chunk_id]
        m.objects[name] = bytes(raw)
        t = self.restore(m, code=1)
        self.assertEqual(sorted(os.listdir(t)), ["a", "c"])
        self.assertIn("/r/b: not restored", self.err)
        self.assertIn(name, self.err)
        t = self.restore(m, "--keep-damaged", code=1)
        self.assertEqual(self.content(t, "b"), bytes(4 + 10) + b"tail")
        for env in (None, {}):
            self.assertEqual(self.run_main("check", self.path("repo"), env=env), 1)
            self.assertIn(name, self.err)

    def test_a_forged_chunk_is_refused(self):
        """A writer can put any content under any id; only the recomputed id tells."""
        for kind in (DATA, TREE):
            m = Maker()
            s = Session(m)
            root = s.directory(b"r", {b"a": s.file(b"a", [b"good"])})
            for chunk_id, plain in list(s.chunks[kind].items()):
                s.chunk(kind, plain.replace(b"good", b"evil") if kind == DATA else b"\1" + v(0), forged_id=chunk_id)
            s.commit([(b"/r", root)])
            t = self.restore(m.save(self.path(f"repo{kind}")), code=1)
            self.assertEqual(os.listdir(t), [])
            self.assertIn("not what its id says", self.err)

    def test_a_segment_that_lies_does_not_hide_the_right_chunk(self):
        m = Maker()
        evil = Session(m)
        good = Session(m)
        tree = good.directory(b"r", {b"a": good.file(b"a", [b"good"])})
        evil.chunk(DATA, b"<<evil>>", forged_id=next(iter(good.chunks[DATA])))
        evil.commit([(b"/e", evil.directory(b"e", {}))])
        good.commit([(b"/r", tree)])
        self.assertEqual(self.content(self.restore(m), "a"), b"good")

    def test_nothing_is_written_outside_the_target(self):
        outside = self.path("outside")
        os.mkdir(outside)
        m = Maker()
        s = Session(m)
        link = lambda name: entry(name, nk.SYMLINK, opt(None) + blob(outside))
        s.commit([(b"/a", link(b"a")), (b"/a/b", s.file(b"b", [b"evil"])), (b"/c", s.directory(b"c", {}))])
        self.restore(m, code=1)
        self.assertEqual(os.listdir(outside), [])
        self.assertIn("/a/b: not restored", self.err)
        for name in (b"..", b"../x", b"x\0y", b""):
            s = Session(m)
            s.commit([(b"/r", s.directory(b"r", {name: s.file(name, [b"evil"])}))])
            self.assertEqual(os.listdir(self.restore(m, code=1)), [])
            self.assertIn("forbidden name", self.err)
        s = Session(m)
        twice = b"\1" + v(2) + link(b"x") + s.file(b"x", [b"evil"])
        s.commit([(b"/r", entry(b"r", nk.DIRECTORY, s.chunk(TREE, twice) + v(0) + v(0), mode=0o755))])
        self.restore(m, code=1)
        self.assertIn("out of order", self.err)
        self.assertEqual(os.listdir(outside), [])

    def test_sizes_must_add_up(self):
        m = Maker()
        s = Session(m)
        bad = entry(b"x", nk.FILE, v(5) + bytes(32) + opt(None) + many([b"\0" + v(4)]))
        s.commit([(b"/r", s.directory(b"r", {b"x": bad}))])
        self.restore(m, code=1)
        self.assertIn("do not add up", self.err)
        s = Session(m)
        chunk = s.chunk(DATA, b"short")
        bad = entry(b"x", nk.FILE, v(6) + bytes(32) + opt(None) + many([b"\1" + chunk + v(0) + v(6)]))
        s.commit([(b"/r", s.directory(b"r", {b"x": bad}))])
        self.restore(m, code=1)
        self.assertIn("shorter than the file needs", self.err)
        self.assertEqual(self.run_main("check", self.path("repo")), 1)
        self.assertIn("shorter than the file needs", self.err)

    def test_generations_checkpoints_and_deletions(self):
        m = Maker()
        ids = [one_file_backup(m, b"one"), one_file_backup(m, b"two")]
        m.checkpoint()
        ids.append(one_file_backup(m, b"three"))
        repo = m.save(self.path("repo1"))
        self.assertEqual(self.run_main("list", repo), 0, self.err)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids)
        self.assertEqual(self.run_main("check", repo), 0, self.err)
        m.delete(bytes.fromhex(ids[0]))
        self.run_main("list", m.save(self.path("repo2")))
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids[1:])
        lost = dict(m.objects)
        del lost["c/00000001"]
        m.objects, whole = lost, m.objects
        self.assertEqual(self.run_main("list", m.save(self.path("repo4"))), 1)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids[2:])
        self.assertIn("c/00000001: is missing", self.err)
        m.objects = {**whole, "c/00000002": b"NKO1junk"}
        self.assertEqual(self.run_main("list", m.save(self.path("repo3"))), 1)
        self.assertIn("c/00000002", self.err)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids[1:])

    def test_statements_that_do_not_verify_do_not_count(self):
        m = Maker()
        kept = one_file_backup(m)
        s = Session(m)
        stranger = os.urandom(32)
        s.commit([(b"/r", s.directory(b"r", {}))], signer=stranger)
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 1)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], [kept])
        self.assertIn(s.place + "outcome", self.err)

    def test_a_renamed_statement_does_not_count(self):
        m = Maker()
        one_file_backup(m)
        name = next(n for n in m.objects if n.endswith(".outcome"))
        m.objects[name[:11] + name[11:].replace(".", ".")[:33] + "0" * 32 + ".outcome"] = m.objects.pop(name)
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 1)
        self.assertEqual(self.out, "")
        self.assertIn("does not agree with its name", self.err)

    def test_revoked_writer(self):
        m = Maker()
        ids = [one_file_backup(m), one_file_backup(m)]
        m.revoke(2)
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 0)
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids[:1])
        self.assertIn("revoked", self.err)

    def test_a_roster_of_a_stranger_is_passed_over(self):
        m = Maker()
        one_file_backup(m)
        root, m.root = m.root, os.urandom(32)
        m.revoke(0)
        m.root = root
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 1)
        self.assertIn("r/00000002", self.err)
        self.assertEqual(len(self.out.splitlines()), 1)

    def test_a_replaced_old_roster_does_not_bring_it_down(self):
        m = Maker()
        ids = [one_file_backup(m), one_file_backup(m)]
        m.revoke(2)
        m.objects["r/00000001"] = m.frame(nk.ROSTER, b"x", os.urandom(32))
        self.run_main("list", m.save(self.path("repo")))
        self.assertEqual([line.split()[0] for line in self.out.splitlines()], ids[:1])

    def test_deep_trees(self):
        m = Maker()
        s = Session(m)
        inner = {b"f": s.file(b"f", [b"deep"])}
        for _ in range(600):
            inner = {b"d": s.directory(b"d", inner)}
        s.commit([(b"/r", s.directory(b"r", inner))])
        limit = sys.getrecursionlimit()
        self.addCleanup(sys.setrecursionlimit, limit)
        sys.setrecursionlimit(10000)
        self.assertEqual(self.content(self.restore(m), *["d"] * 600, "f"), b"deep")

    def test_split_nodes_nest_at_most_eight_deep(self):
        for depth, code in ((8, 0), (9, 1)):
            m = Maker()
            s = Session(m)
            node = s.tree({b"f": s.file(b"f", [b"F"])})
            for _ in range(depth):
                node = s.chunk(TREE, b"\2" + many([blob(b"f") + node]))
            s.commit([(b"/r", entry(b"r", nk.DIRECTORY, node + v(0) + v(0), mode=0o755))])
            t = self.restore(m.save(self.path(f"repo{depth}")), code=code)
            self.assertEqual(os.listdir(t), [] if code else ["f"])

    def test_any_damaged_byte_is_a_message_and_never_wrong_content(self):
        m, chance = Maker(), random.Random(1)
        s = Session(m)
        s.commit([(b"/r", s.directory(b"r", {n: s.file(n, [n * 50]) for n in (b"a", b"b")}))])
        m.checkpoint()
        one_file_backup(m)
        whole = dict(m.objects)
        for number, name in enumerate(sorted(whole) * 4):
            raw = bytearray(whole[name])
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
            m.objects = {**whole, name: bytes(raw) if number % 4 else bytes(raw[:chance.randrange(len(raw))])}
            repo, target = m.save(self.path(f"repo{number}")), self.path(f"t{number}")
            self.assertEqual(self.run_main("check", repo), 1, f"{name} is damaged, but check is silent")
            self.run_main("restore", repo, s.id.hex(), target)
            for file in os.listdir(target) if os.path.isdir(target) else ():
                self.assertEqual(self.content(target, file), file.encode() * 50)

    def test_a_fifo_in_a_repository_does_not_hang(self):
        m = Maker()
        one_file_backup(m)
        repo = m.save(self.path("repo"))
        os.mkfifo(os.path.join(repo, "r", "00000002"))
        self.assertEqual(self.run_main("list", repo), 1)
        self.assertIn("r/00000002: is not a file", self.err)

    def test_a_hidden_roster_is_noticed(self):
        m = Maker()
        s = Session(m)
        s.commit([(b"/r", s.directory(b"r", {}))], roster=2)
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 1)
        self.assertIn("r/00000002: is missing", self.err)

    def test_a_newer_format_is_refused(self):
        m = Maker()
        m.objects["config"] = b"NKO2" + m.objects["config"][4:]
        self.assertEqual(self.run_main("list", m.save(self.path("repo"))), 1)
        self.assertIn("newer Nodekeep", self.err)


class PortableFiles(Case):
    ENV = {"NODEKEEP_PASSPHRASE": "correct horse"}

    def maker(self):
        return Maker(entropy=os.urandom(32), password=b"correct horse")

    def test_full_file(self):
        m = self.maker()
        one_file_backup(m)
        path = self.path("full.nkb")
        m.save_portable(path)
        self.assertEqual(self.content(self.restore(path, env=self.ENV), "file"), b"content")
        for command in ("info", "list", "check"):
            self.assertEqual(self.run_main(command, path, env=self.ENV), 0, self.err)
        self.restore(path, env={"NODEKEEP_PASSPHRASE": "wrong"}, code=1)

    def test_damaged_end(self):
        m = self.maker()
        one_file_backup(m)
        path = self.path("full.nkb")
        m.save_portable(path)
        whole = self.content(path)
        for data in (whole[:-3], whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:]):
            with open(path, "wb") as f:
                f.write(data)
            self.assertEqual(self.content(self.restore(path, env=self.ENV, code=1), "file"), b"content")
            self.assertIn("walking the records", self.err)

    def test_chain(self):
        m, paths = self.maker(), [self.path(n) for n in ("1.nkb", "2.nkb", "3.nkb")]
        one_file_backup(m, content=b"one")
        first = m.save_portable(paths[0])
        before = set(m.objects)
        one_file_backup(m, content=b"two")
        second = m.save_portable(paths[1], 2, first, "1.nkb", before)
        before = set(m.objects)
        one_file_backup(m, content=b"three")
        os.mkdir(self.path("away"))
        far = self.path("away/3.nkb")
        m.save_portable(far, 2, second, "2.nkb", before)
        self.assertEqual(self.content(self.restore(paths[1], env=self.ENV), "file"), b"two")
        self.restore(far, env=self.ENV, code=1)
        self.assertIn("--base", self.err)
        t = self.restore(far, "--base", paths[1], "--base", paths[0], env=self.ENV)
        self.assertEqual(self.content(t, "file"), b"three")
        self.run_main("list", far, "--base", paths[1], env=self.ENV)
        self.assertEqual(len(self.out.splitlines()), 3, self.err)


class Vectors(Case):
    def vectors(self):
        m = Maker()
        domain = lambda info, n=32: nk.hkdf(m.secret, b"", "nodekeep/v1/domain/" + info, n)
        key, salt, plain, counter = os.urandom(32), os.urandom(32), b"chunk " * 100, 5
        stream, chunk = nk.hkdf(key, salt, "nodekeep/v1/chunks/data"), nk.keyed(domain("id/data"), plain)
        stored = AESGCM(stream).encrypt(struct.pack(">IQ", 0, counter), b"\1" + zstandard.compress(plain), m.id + b"\1" + chunk)
        values = {
            "entropy": bytes(32), "root_public": nk.ed25519_public(m.root), "keeper_public": nk.ed25519_public(m.keeper),
            "age_secret": m.age, "repository_id": m.id, "domain_id": m.domain, "domain_secret": m.secret,
            "id_key_data": domain("id/data"), "id_key_tree": domain("id/tree"), "file_hash_key": domain("file-hash"),
            "index_key": domain("index"), "name_key": domain("names"), "label_key": domain("labels"),
            "gear_first": domain("gear", 2048)[:8], "content_key": key, "key_id": nk.hkdf(key, m.id, "nodekeep/v1/key-id"),
            "stream_salt": salt, "stream_key": stream, "chunk_plain": plain, "chunk_id": chunk, "chunk_stored": stored,
            "config_object": m.objects["config"]}
        return {"words": WORDS_OF_ZEROS, "age_recipient": m.recipient(m.age).decode(), "chunk_counter": counter,
                **{n: d.hex() for n, d in values.items()}}

    def test_vectors(self):
        vectors, path = self.vectors(), self.path("v.json")
        for change, code in (({}, 0), ({"index_key": "00" * 32}, 1), ({"age_recipient": "age1x"}, 1), ({"chunk_counter": 6}, 1)):
            with open(path, "w") as f:
                json.dump({**vectors, **change}, f)
            self.assertEqual(self.run_main("vectors", path), code, self.out + self.err)
            for name in change:
                self.assertIn(name if name != "chunk_counter" else "chunk_stored", self.out + self.err)

    def test_frozen_vectors(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testdata", "vectors", "v1.json")
        if not os.path.exists(path):
            self.skipTest("testdata/vectors/v1.json is not here")
        self.assertEqual(self.run_main("vectors", path), 0, self.out + self.err)


if __name__ == "__main__":
    unittest.main()
