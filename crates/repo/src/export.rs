//! A snapshot as a tar archive, for any program that reads tar: POSIX headers, extended ones for what those cannot hold
//! (long names, nanoseconds, large numbers, attributes). Unpacked in an empty folder it gives what a restore there gives,
//! but for holes, which are written as zeros, and sockets, which tar does not know.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::reader::ChunkReader;
use crate::repository::SnapshotRecord;
use crate::restore::cache::ChunkCache;
use crate::restore::want::{Placing, Step, Walk, Want, children, placing, select};
use crate::tree::{Entry, Kind, Run};

const BLOCK: usize = 512;
/// Files up to this size are kept in memory while their header is written, in bytes. Larger ones are read twice: a header
/// promises a size, and a file that cannot be read must be left out before it.
const READ_AHEAD: u64 = 8 * 1024 * 1024;

/// How the archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TarFormat {
    /// Not at all.
    Tar,
    /// gzip.
    Gz,
    /// zstd.
    Zst,
    /// Brotli.
    Br,
}

/// What an export did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TarReport {
    /// Names written.
    pub names: u64,
    /// Bytes of files written.
    pub bytes: u64,
    /// What could not be written, and why.
    pub errors: Vec<(Vec<u8>, String)>,
}

/// Writes a snapshot, or paths of it, as a tar archive. `level` is the compression's own; `None`: its usual one.
///
/// # Errors
/// If a chosen path is not in the snapshot, a tree cannot be read, the output fails, or it is interrupted: the archive is
/// cut short then, and no program takes it for whole. Files that cannot be read are left out and reported.
pub fn write_tar(
    reader: &ChunkReader,
    record: &SnapshotRecord,
    subpaths: &[Vec<u8>],
    format: TarFormat,
    level: Option<u32>,
    out: &mut dyn Write,
    monitor: &dyn Monitor,
) -> Result<TarReport> {
    let placing = placing(record, false);
    let want = select(reader, record, subpaths, placing)?;
    let write = |out: &mut dyn Write| {
        let (links, report, ahead) = Default::default();
        let chunks = ChunkCache::new(reader);
        Export { reader, record, monitor, out, links, report, chunks, ahead }.run(want, placing)
    };
    match format {
        TarFormat::Tar => write(out),
        TarFormat::Gz => {
            let level = flate2::Compression::new(level.unwrap_or(6).min(9));
            let mut gz = flate2::write::GzEncoder::new(out, level);
            let report = write(&mut gz)?;
            gz.finish().map_err(output_failed)?;
            Ok(report)
        }
        TarFormat::Zst => {
            let level = i32::try_from(level.unwrap_or(3)).unwrap_or(22);
            let mut zst = zstd::stream::write::Encoder::new(out, level).map_err(output_failed)?;
            let report = write(&mut zst)?;
            zst.finish().map_err(output_failed)?;
            Ok(report)
        }
        TarFormat::Br => {
            let remembering = Remembering { out, failed: None };
            let mut br = brotli::CompressorWriter::new(
                remembering,
                64 * 1024,
                level.unwrap_or(5).min(11),
                22,
            );
            let report = write(&mut br)?;
            // Finishing swallows the output's failure.
            match br.into_inner().failed {
                None => Ok(report),
                Some(error) => Err(output_failed(error)),
            }
        }
    }
}

fn output_failed(error: io::Error) -> Error {
    Error::file("the archive", "writing", error)
}

/// Keeps the failure of an output whose user forgets it.
struct Remembering<'a> {
    out: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Write for Remembering<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                self.failed.get_or_insert_with(|| e.kind().into());
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Export<'a> {
    reader: &'a ChunkReader,
    record: &'a SnapshotRecord,
    monitor: &'a dyn Monitor,
    out: &'a mut dyn Write,
    /// First names of files with several.
    links: HashMap<u64, Vec<u8>>,
    report: TarReport,
    chunks: ChunkCache,
    ahead: Vec<u8>,
}

impl Export<'_> {
    fn run(mut self, base: Want, placing: Placing) -> Result<TarReport> {
        // Like `tar -C folder -c .`, so that the folder's own metadata has a place.
        let top = if placing == Placing::Content { b"./".to_vec() } else { Vec::new() };
        let mut walk = Walk::default();
        let mut folders = Vec::new();
        self.folder(base, top, &mut walk, &mut folders)?;
        while let Some(step) = walk.step() {
            if self.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            match step {
                Step::Leave => {
                    folders.pop();
                }
                Step::Visit(want) => {
                    let above = folders.last().map_or(b"".as_slice(), Vec::as_slice);
                    let path = [above, &want.name].concat();
                    if want.is_dir() {
                        let path = [path.as_slice(), b"/"].concat();
                        self.folder(*want, path, &mut walk, &mut folders)?;
                    } else if let Some(entry) = want.entry {
                        self.leaf(&entry, &path)?;
                    }
                }
            }
        }
        // Two empty blocks end an archive; programs read records of twenty.
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(output_failed)?;
        Ok(self.report)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(output_failed)
    }

    fn folder(
        &mut self,
        mut want: Want,
        path: Vec<u8>,
        walk: &mut Walk,
        folders: &mut Vec<Vec<u8>>,
    ) -> Result<()> {
        let names = children(self.reader, &mut want)?;
        if let Some(entry) = want.entry.filter(|_| !path.is_empty()) {
            self.head(&entry, &path, b'5', 0, b"")?;
        }
        walk.push(names);
        folders.push(path);
        Ok(())
    }

    fn head(&mut self, entry: &Entry, path: &[u8], flag: u8, size: u64, link: &[u8]) -> Result<()> {
        self.report.names += 1;
        self.monitor.path(path);
        let name_of = |list: &[(u32, String)], id: u32| {
            list.iter()
                .find(|(known, _)| *known == id)
                .map(|(_, name)| name.clone())
                .unwrap_or_default()
        };
        let user = name_of(&self.record.snapshot.users, entry.uid);
        let group = name_of(&self.record.snapshot.groups, entry.gid);
        let header = Header { entry, path, flag, size, link, user: &user, group: &group };
        let bytes = header.encode();
        self.write(&bytes)?;
        self.monitor.advance(1, 0);
        Ok(())
    }

    fn leaf(&mut self, entry: &Entry, path: &[u8]) -> Result<()> {
        // Only what was written is there, so a socket, which never is, has no other name either.
        if let Some(first) = entry.link.and_then(|link| self.links.get(&link)).cloned() {
            return self.head(entry, path, b'1', 0, &first);
        }
        let written = match &entry.kind {
            Kind::File { size, runs, .. } => self.file(entry, path, *size, runs)?,
            Kind::Symlink { target } => {
                self.head(entry, path, b'2', 0, target)?;
                true
            }
            Kind::CharDevice { .. } => self.head(entry, path, b'3', 0, b"").map(|()| true)?,
            Kind::BlockDevice { .. } => self.head(entry, path, b'4', 0, b"").map(|()| true)?,
            Kind::Fifo => self.head(entry, path, b'6', 0, b"").map(|()| true)?,
            Kind::Socket => self.problem(path, "a tar archive cannot hold a socket"),
            Kind::Directory { .. } => false,
        };
        if let (true, Some(link)) = (written, entry.link) {
            self.links.insert(link, path.to_vec());
        }
        Ok(())
    }

    fn problem(&mut self, path: &[u8], why: &str) -> bool {
        self.monitor.problem(path, why);
        self.report.errors.push((path.to_vec(), why.to_owned()));
        false
    }

    /// Whether the file was written.
    fn file(&mut self, entry: &Entry, path: &[u8], size: u64, runs: &[Run]) -> Result<bool> {
        let mut bytes = std::mem::take(&mut self.ahead);
        bytes.clear();
        let whole = size <= READ_AHEAD;
        for run in runs {
            match self.chunks.bytes(self.reader, run) {
                Ok(Some(data)) if whole => bytes.extend_from_slice(data),
                Ok(None) if whole => bytes.resize(bytes.len() + run.len() as usize, 0),
                Ok(_) => {}
                Err(error) => return Ok(self.problem(path, &error.to_string())),
            }
        }
        self.head(entry, path, b'0', size, b"")?;
        if whole {
            self.write(&bytes)?;
        } else {
            self.runs(runs)?;
        }
        self.ahead = bytes;
        self.monitor.advance(0, size);
        self.report.bytes += size;
        self.write(&[0; BLOCK][..padding(size)])?;
        Ok(true)
    }

    fn runs(&mut self, runs: &[Run]) -> Result<()> {
        for run in runs {
            if self.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            if let Some(bytes) = self.chunks.bytes(self.reader, run)? {
                self.out.write_all(bytes).map_err(output_failed)?;
                continue;
            }
            io::copy(&mut io::repeat(0).take(run.len()), &mut self.out).map_err(output_failed)?;
        }
        Ok(())
    }
}

/// Bytes that fill up the last block.
fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

struct Header<'a> {
    entry: &'a Entry,
    path: &'a [u8],
    flag: u8,
    size: u64,
    link: &'a [u8],
    user: &'a str,
    group: &'a str,
}

/// What one header block says.
struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Self {
        Self([0; BLOCK])
    }

    /// Puts text into a field, cut to its length.
    fn text(&mut self, at: usize, len: usize, text: &[u8]) {
        let len = len.min(text.len());
        self.0[at..at + len].copy_from_slice(&text[..len]);
    }

    /// Puts an octal number into a field of `len` bytes with its end; whether it fits. If not, the field holds zero.
    fn octal(&mut self, at: usize, len: usize, value: u64) -> bool {
        let digits = format!("{value:0width$o}", width = len - 1);
        let fits = digits.len() < len;
        let digits = if fits { digits } else { "0".repeat(len - 1) };
        self.text(at, len, digits.as_bytes());
        fits
    }

    /// Adds magic and checksum.
    fn finish(mut self) -> [u8; BLOCK] {
        self.text(257, 8, b"ustar\x0000");
        self.text(148, 8, b"        ");
        let sum: u64 = self.0.iter().map(|b| u64::from(*b)).sum();
        self.octal(148, 7, sum);
        self.0
    }
}

/// One record of an extended header: its length, counted with itself, then key and value.
fn record(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() > len {
        len += 1;
    }
    to.extend_from_slice(format!("{len} ").as_bytes());
    to.extend_from_slice(key);
    to.push(b'=');
    to.extend_from_slice(value);
    to.push(b'\n');
}

/// Seconds with a decimal fraction.
fn decimal(secs: i64, nanos: u32) -> String {
    if nanos == 0 {
        return secs.to_string();
    }
    let total = i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    let (sign, total) = if total < 0 { ("-", -total) } else { ("", total) };
    format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000)
}

/// An attribute's name as a key: `=` would end it.
fn attribute_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            other => key.push(*other),
        }
    }
    key
}

impl Header<'_> {
    /// The header, with an extended one before it if it takes one.
    fn encode(&self) -> Vec<u8> {
        let (block, extended) = self.block();
        let mut out = Vec::new();
        if !extended.is_empty() {
            let mut before = Block::new();
            before.text(0, 100, b"././@PaxHeader");
            before.octal(100, 8, 0o644);
            for at in [108, 116] {
                before.octal(at, 8, 0);
            }
            before.octal(124, 12, extended.len() as u64);
            before.octal(136, 12, 0);
            before.text(156, 1, b"x");
            out.extend_from_slice(&before.finish());
            out.extend_from_slice(&extended);
            out.resize(out.len() + padding(extended.len() as u64), 0);
        }
        out.extend_from_slice(&block);
        out
    }

    fn block(&self) -> ([u8; BLOCK], Vec<u8>) {
        let (mut block, mut extended) = (Block::new(), Vec::new());
        let entry = self.entry;
        block.octal(100, 8, u64::from(entry.mode));
        for (at, len, value, key) in [
            (108, 8, u64::from(entry.uid), b"uid".as_slice()),
            (116, 8, u64::from(entry.gid), b"gid"),
            (124, 12, self.size, b"size"),
        ] {
            if !block.octal(at, len, value) {
                record(&mut extended, key, value.to_string().as_bytes());
            }
        }
        let whole = block.octal(136, 12, u64::try_from(entry.mtime).unwrap_or(0));
        if !whole || entry.mtime < 0 || entry.mtime_ns != 0 {
            record(&mut extended, b"mtime", decimal(entry.mtime, entry.mtime_ns).as_bytes());
        }
        for (at, len, text, key) in [
            (0, 100, self.path, b"path".as_slice()),
            (157, 100, self.link, b"linkpath"),
            (265, 31, self.user.as_bytes(), b"uname"),
            (297, 31, self.group.as_bytes(), b"gname"),
        ] {
            block.text(at, len, text);
            if text.len() > len {
                record(&mut extended, key, text);
            }
        }
        block.text(156, 1, &[self.flag]);
        if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = entry.kind {
            block.octal(329, 8, u64::from(major));
            block.octal(337, 8, u64::from(minor));
        }
        if self.flag != b'1' {
            for (name, value) in &entry.xattrs {
                record(&mut extended, &attribute_key(name), value);
            }
        }
        (block.finish(), extended)
    }
}
