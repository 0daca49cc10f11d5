//! Reads the headers of a plain tar archive: POSIX with extended headers, GNU with long names, and sparse files of both.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use thiserror::Error;

use crate::xattr::is_kept;

const BLOCK: u64 = 512;
/// No extended header or long name is larger, in bytes.
const MAX_EXTENDED: u64 = 16 * 1024 * 1024;
/// No file is stored in more pieces.
const MAX_SEGMENTS: usize = 4 * 1024 * 1024;

/// Why an archive cannot be read on.
#[derive(Debug, Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("reading at byte {at}: {error}")]
    Read {
        /// Where.
        at: u64,
        /// The system's word.
        error: io::Error,
    },
    /// It ends before what a header promises, or without an end mark.
    #[error("it is cut short: something is missing at byte {0}")]
    Short(u64),
    /// A header's sum is wrong.
    #[error("there is no tar header at byte {0}: not a tar archive, or damaged")]
    NoHeader(u64),
    /// A field makes no sense.
    #[error("the header at byte {at} is not understood: {what}")]
    Field {
        /// Where.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Data of a file: where in it, where in the archive, how much; all bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Position in the archive.
    pub position: u64,
    /// Length.
    pub len: u64,
}

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Symlink(Vec<u8>),
    /// Another name of an earlier member.
    HardLink(Vec<u8>),
    /// Named pipe.
    Fifo,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

/// A member of the archive.
#[derive(Debug)]
pub struct Member {
    /// Its name as it stands there.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, may be empty.
    pub user: String,
    /// Group's name, may be empty.
    pub group: String,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Size in bytes, holes included.
    pub size: u64,
    /// Device number.
    pub device: (u32, u32),
    /// Attributes by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its data is.
    pub segments: Vec<Segment>,
}

/// What extended headers and long-name members say about the next member.
#[derive(Debug, Clone, Default)]
struct Extra {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    user: Option<String>,
    group: Option<String>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Sparse,
}

/// GNU's ways to describe holes in an extended header.
#[derive(Debug, Clone, Default)]
struct Sparse {
    name: Option<Vec<u8>>,
    real_size: Option<u64>,
    /// Version 1.0: the map stands before the data.
    in_data: bool,
    /// Versions 0.x: offsets and lengths in turn.
    map: Vec<u64>,
}

/// Reads members one after another.
pub struct Members {
    file: File,
    at: u64,
    global: Extra,
    ended: bool,
}

/// One header block.
struct Header {
    bytes: [u8; BLOCK as usize],
    at: u64,
}

impl Header {
    fn field(&self, from: usize, len: usize) -> &[u8] {
        &self.bytes[from..from + len]
    }

    fn text(&self, from: usize, len: usize) -> &[u8] {
        let field = self.field(from, len);
        field.split(|b| *b == 0).next().unwrap_or_default()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault::Field { at: self.at, what }
    }

    fn number(&self, from: usize, len: usize) -> Result<i64, Fault> {
        number(self.field(from, len)).ok_or_else(|| self.fault("a number is malformed"))
    }

    fn unsigned(&self, from: usize, len: usize) -> Result<u64, Fault> {
        u64::try_from(self.number(from, len)?).map_err(|_| self.fault("a number is negative"))
    }

    fn is_valid(&self) -> bool {
        let outside = |i: &usize| !(148..156).contains(i);
        let bytes = || (0..self.bytes.len()).filter(outside).map(|i| self.bytes[i]);
        let unsigned = bytes().map(i64::from).sum::<i64>() + 8 * 32;
        // Some old programs added bytes as signed ones.
        let signed = bytes().map(|b| i64::from(b.cast_signed())).sum::<i64>() + 8 * 32;
        number(self.field(148, 8)).is_some_and(|sum| sum == unsigned || sum == signed)
    }

    fn is_posix(&self) -> bool {
        self.field(257, 6) == b"ustar\0"
    }

    fn name(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0, 100), self.text(345, 155));
        if self.is_posix() && !prefix.is_empty() {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }
}

/// A number in octal digits, or in binary where the first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let (start, top) = if first & 0x40 != 0 { (-1, first) } else { (0, first & 0x7f) };
        let bytes = std::iter::once(top).chain(field[1..].iter().copied());
        let mut add = bytes.map(i128::from);
        let value = add.try_fold(start, |sum: i128, byte| sum.checked_mul(256)?.checked_add(byte));
        return i64::try_from(value?).ok();
    }
    let text = field.split(|b| *b == 0).next()?.trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok().filter(|_| !text.starts_with(b"+"))
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds with a decimal fraction.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i128 = i128::from(digits.parse::<u32>().ok()?);
    let total = sign * (i128::from(whole.parse::<u64>().ok()?) * 1_000_000_000 + nanos);
    let secs = i64::try_from(total.div_euclid(1_000_000_000)).ok()?;
    Some((secs, total.rem_euclid(1_000_000_000) as u32))
}

/// The attribute that a key names: `%3D` and `%25` stand for what a key cannot hold.
fn attribute(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut rest = key;
    while let Some((first, after)) = rest.split_first() {
        let (byte, next) = match rest {
            [b'%', b'3', b'D', next @ ..] => (b'=', next),
            [b'%', b'2', b'5', next @ ..] => (b'%', next),
            _ => (*first, after),
        };
        name.push(byte);
        rest = next;
    }
    name
}

/// Splits off the first record of an extended header: key, value, rest.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (one, rest) = bytes.split_at_checked(len)?;
    let one = one.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = one.iter().position(|b| *b == b'=')?;
    Some((&one[..equals], &one[equals + 1..], rest))
}

impl Extra {
    /// Takes in an extended header; `None` if it is malformed.
    fn read(&mut self, mut bytes: &[u8]) -> Option<()> {
        // What fills up the block is no record.
        while bytes.first().is_some_and(|b| *b != 0) {
            let (key, value, rest) = split_record(bytes)?;
            self.take(key, value)?;
            bytes = rest;
        }
        Some(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let text = || String::from_utf8_lossy(value).into_owned();
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"uname" => self.user = Some(text()),
            b"gname" => self.group = Some(text()),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse.real_size = Some(decimal(value)?)
            }
            b"GNU.sparse.major" => self.sparse.in_data = value == b"1",
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.map.push(decimal(value)?),
            b"GNU.sparse.map" => {
                self.sparse.map =
                    value.split(|b| *b == b',').map(decimal).collect::<Option<_>>()?;
            }
            _ => self.take_attribute(key, value),
        }
        Some(())
    }

    fn take_attribute(&mut self, key: &[u8], value: &[u8]) {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.").map(attribute) else {
            return;
        };
        if is_kept(&name) {
            self.xattrs.retain(|(have, _)| *have != name);
            self.xattrs.push((name, value.to_vec()));
        }
    }
}

impl Members {
    /// Reads from the start of a plain archive.
    pub fn new(file: File) -> Self {
        Self { file, at: 0, global: Extra::default(), ended: false }
    }

    fn bytes(&self, at: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Short(at),
            _ => Fault::Read { at, error },
        })
    }

    /// The next header; `None` at the end mark.
    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let mut header = Header { bytes: [0; BLOCK as usize], at: self.at };
        self.bytes(self.at, &mut header.bytes)?;
        if header.bytes.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if !header.is_valid() {
            return Err(Fault::NoHeader(self.at));
        }
        self.at += BLOCK;
        Ok(Some(header))
    }

    /// Passes over `len` bytes of data; they must be there.
    fn pass(&mut self, len: u64) -> Result<(), Fault> {
        let end = self.at.checked_add(len).and_then(|end| end.checked_next_multiple_of(BLOCK));
        let end = end.ok_or(Fault::Short(self.at))?;
        if len > 0 {
            let last = self.at + len - 1;
            self.bytes(last, &mut [0])?;
        }
        self.at = end;
        Ok(())
    }

    /// The data of a member that says something about the next one.
    fn data(&mut self, header: &Header) -> Result<Vec<u8>, Fault> {
        let len = header.unsigned(124, 12)?;
        if len > MAX_EXTENDED {
            return Err(header.fault("it is too large"));
        }
        let mut bytes = vec![0; len as usize];
        self.bytes(self.at, &mut bytes)?;
        self.pass(len)?;
        Ok(bytes)
    }

    fn member(&mut self) -> Result<Option<Member>, Fault> {
        let mut extra = self.global.clone();
        loop {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            match header.bytes[156] {
                b'x' | b'X' => {
                    let bytes = self.data(&header)?;
                    extra
                        .read(&bytes)
                        .ok_or_else(|| header.fault("an extended header is malformed"))?;
                }
                b'g' => {
                    let bytes = self.data(&header)?;
                    let malformed = || header.fault("an extended header is malformed");
                    self.global.read(&bytes).ok_or_else(malformed)?;
                    extra.read(&bytes).ok_or_else(malformed)?;
                }
                flag @ (b'L' | b'K') => {
                    let bytes = self.data(&header)?;
                    let name = bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec();
                    if flag == b'L' { extra.path = Some(name) } else { extra.link = Some(name) }
                }
                b'V' => {}
                _ => return self.plain(&header, extra).map(Some),
            }
        }
    }

    fn plain(&mut self, header: &Header, mut extra: Extra) -> Result<Member, Fault> {
        let name = extra.sparse.name.take().or(extra.path.take()).unwrap_or_else(|| header.name());
        let link = extra.link.take().unwrap_or_else(|| header.text(157, 100).to_vec());
        let kind = kind(header, &name, link)?;
        let (size, segments) = match kind {
            MemberKind::File => self.content(header, &extra)?,
            _ if header.bytes[156] == b'D' => {
                self.pass(header.unsigned(124, 12)?)?;
                (0, Vec::new())
            }
            _ => (0, Vec::new()),
        };
        let id = |extended: Option<u64>, from| -> Result<u32, Fault> {
            let id = extended.map_or_else(|| header.unsigned(from, 8), Ok)?;
            u32::try_from(id).map_err(|_| header.fault("an owner's number is too large"))
        };
        let device = |from| -> Result<u32, Fault> {
            u32::try_from(header.unsigned(from, 8)?)
                .map_err(|_| header.fault("a device number is too large"))
        };
        let named = |extended: Option<String>, from| {
            extended.unwrap_or_else(|| String::from_utf8_lossy(header.text(from, 32)).into_owned())
        };
        let is_device = matches!(kind, MemberKind::CharDevice | MemberKind::BlockDevice);
        let (user, group) = (named(extra.user.take(), 265), named(extra.group.take(), 297));
        extra.xattrs.sort_unstable();
        Ok(Member {
            mode: (header.unsigned(100, 8)? & 0o7777) as u16,
            uid: id(extra.uid, 108)?,
            gid: id(extra.gid, 116)?,
            mtime: extra.mtime.map_or_else(|| Ok((header.number(136, 12)?, 0)), Ok)?,
            device: if is_device { (device(329)?, device(337)?) } else { (0, 0) },
            xattrs: extra.xattrs,
            name,
            kind,
            user,
            group,
            size,
            segments,
        })
    }

    /// Size and places of a file's data.
    fn content(&mut self, header: &Header, extra: &Extra) -> Result<(u64, Vec<Segment>), Fault> {
        let mut stored = extra.size.map_or_else(|| header.unsigned(124, 12), Ok)?;
        let sparse = &extra.sparse;
        let (size, map) = if header.bytes[156] == b'S' {
            (header.unsigned(483, 12)?, self.gnu_map(header)?)
        } else if sparse.in_data {
            let before = self.at;
            let map = self.leading_map(header, stored)?;
            stored = stored.checked_sub(self.at - before).ok_or(Fault::Short(before))?;
            (sparse.real_size.ok_or_else(|| header.fault("a sparse file has no size"))?, map)
        } else if let Some(size) = sparse.real_size {
            (size, sparse.map.clone())
        } else {
            (stored, vec![0, stored])
        };
        let segments = segments(&map, self.at, size, stored);
        let segments =
            segments.ok_or_else(|| header.fault("the map of a sparse file is malformed"))?;
        self.pass(stored)?;
        Ok((size, segments))
    }

    /// The map in a GNU header and the blocks that continue it.
    fn gnu_map(&mut self, header: &Header) -> Result<Vec<u64>, Fault> {
        let mut map = Vec::new();
        let (mut block, mut from, mut more) = (header.bytes, 386..482, header.bytes[482] != 0);
        loop {
            for pair in block[from.clone()].chunks_exact(24).filter(|pair| pair[0] != 0) {
                for field in [&pair[..12], &pair[12..]] {
                    let value = number(field).and_then(|value| u64::try_from(value).ok());
                    map.push(
                        value
                            .ok_or_else(|| header.fault("the map of a sparse file is malformed"))?,
                    );
                }
            }
            if !more || map.len() > 2 * MAX_SEGMENTS {
                return Ok(map);
            }
            self.bytes(self.at, &mut block)?;
            self.at += BLOCK;
            (from, more) = (0..504, block[504] != 0);
        }
    }

    /// The map that stands before the data, as decimal numbers in lines.
    fn leading_map(&mut self, header: &Header, stored: u64) -> Result<Vec<u64>, Fault> {
        let (mut numbers, mut text) = (Vec::new(), Vec::new());
        let end = self.at.saturating_add(stored);
        loop {
            if self.at >= end {
                return Err(header.fault("the map of a sparse file is malformed"));
            }
            let mut block = [0; BLOCK as usize];
            self.bytes(self.at, &mut block)?;
            self.at += BLOCK;
            for byte in block {
                if byte != b'\n' {
                    text.push(byte);
                    continue;
                }
                let value = decimal(&text).filter(|_| numbers.len() <= 2 * MAX_SEGMENTS);
                numbers.push(
                    value.ok_or_else(|| header.fault("the map of a sparse file is malformed"))?,
                );
                text.clear();
                if numbers[0].checked_mul(2) == Some(numbers.len() as u64 - 1) {
                    numbers.remove(0);
                    return Ok(numbers);
                }
            }
        }
    }
}

/// Segments from offsets and lengths in turn: ascending, within the size, and as much as is stored.
fn segments(map: &[u64], position: u64, size: u64, stored: u64) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let (mut at, mut end) = (position, 0);
    for pair in map.chunks(2) {
        let [offset, len] = *pair else { return None };
        if offset < end || offset.checked_add(len)? > size {
            return None;
        }
        if len > 0 {
            segments.push(Segment { offset, position: at, len });
        }
        end = offset + len;
        at = at.checked_add(len)?;
    }
    let fits = at - position == stored && size <= i64::MAX as u64;
    fits.then_some(segments)
}

fn kind(header: &Header, name: &[u8], link: Vec<u8>) -> Result<MemberKind, Fault> {
    Ok(match header.bytes[156] {
        b'0' | 0 if name.ends_with(b"/") => MemberKind::Folder,
        b'0' | 0 | b'7' | b'S' => MemberKind::File,
        b'1' => MemberKind::HardLink(link),
        b'2' => MemberKind::Symlink(link),
        b'3' => MemberKind::CharDevice,
        b'4' => MemberKind::BlockDevice,
        b'5' | b'D' => MemberKind::Folder,
        b'6' => MemberKind::Fifo,
        b'M' => return Err(header.fault("it continues a file of another volume")),
        _ => return Err(header.fault("a member of an unknown kind")),
    })
}

impl Iterator for Members {
    type Item = Result<Member, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.member().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
