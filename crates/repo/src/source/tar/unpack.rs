//! Opens an archive for reading from anywhere: a packed one is unpacked into a file that has no name.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::crypto::random;
use crate::error::{Error, Result};
use crate::id::to_hex;

const BUFFER: usize = 256 * 1024;

enum Packing {
    None,
    Gzip,
    Zstd,
    Brotli,
}

/// The archive as a plain one, open.
pub fn open(archive: &Path, temp: &Path) -> Result<File> {
    let file = File::open(archive).map_err(|e| Error::file(archive, "opening", e))?;
    let packed = BufReader::with_capacity(BUFFER, &file);
    match packing(&file, archive)? {
        Packing::None => Ok(file),
        Packing::Gzip => unpack(flate2::bufread::MultiGzDecoder::new(packed), archive, temp),
        Packing::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed);
            unpack(decoder.map_err(|e| Error::file(archive, "unpacking", e))?, archive, temp)
        }
        Packing::Brotli => unpack(brotli::Decompressor::new(packed, BUFFER), archive, temp),
    }
}

/// How the archive is packed, by its first bytes; Brotli has none to tell it by, so its file name counts.
fn packing(file: &File, archive: &Path) -> Result<Packing> {
    let mut magic = [0; 6];
    let mut read = 0;
    while read < magic.len() {
        match file.read_at(&mut magic[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::file(archive, "reading", e)),
        }
    }
    let other = |name: &str| {
        let what = format!("it is packed with {name}: unpack it first");
        Err(Error::Archive { archive: archive.display().to_string(), what })
    };
    match magic {
        [0x1f, 0x8b, ..] => Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Packing::Zstd),
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Packing::Zstd),
        [b'B', b'Z', b'h', ..] => other("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => other("xz"),
        _ if archive.extension().is_some_and(|e| e == "br" || e == "tbr") => Ok(Packing::Brotli),
        _ => Ok(Packing::None),
    }
}

fn unpack(mut packed: impl Read, archive: &Path, temp: &Path) -> Result<File> {
    let file = nameless(temp).map_err(|e| Error::file(temp, "making a temporary file", e))?;
    let mut out = BufWriter::with_capacity(BUFFER, &file);
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match packed.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::file(archive, "unpacking", e)),
        };
        out.write_all(&buffer[..read])
            .map_err(|e| Error::file(temp, "writing a temporary file", e))?;
    }
    out.flush().map_err(|e| Error::file(temp, "writing a temporary file", e))?;
    drop(out);
    Ok(file)
}

/// A file that only this process can reach and that ends with it.
fn nameless(folder: &Path) -> rustix::io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    match openat(CWD, folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        other => return Ok(other?.into()),
    }
    let path = folder.join(format!(".nodekeep-{}", to_hex(&random::<8>())));
    let fd =
        openat(CWD, &path, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC, mode)?;
    unlinkat(CWD, &path, AtFlags::empty())?;
    Ok(fd.into())
}
