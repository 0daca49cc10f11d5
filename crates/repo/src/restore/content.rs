//! Whether an existing file holds what a snapshot says: its data hashes to the entry's hash, and its holes read as zeros.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::{Errno, pread};

use crate::tree::Run;

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Reads `[from, from + len)` and hands it to `each` until that says no. `false` if it said no or the file is too short.
fn read_range(
    fd: BorrowedFd<'_>,
    from: u64,
    len: u64,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    buffer.resize(BUFFER, 0);
    let (mut at, end) = (from, from + len);
    while at < end {
        let most = (end - at).min(BUFFER as u64) as usize;
        match pread(fd, &mut buffer[..most], at) {
            Ok(0) => return Ok(false),
            Ok(read) if each(&buffer[..read]) => at += read as u64,
            Ok(_) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Whether nothing but zeros is in `[from, from + len)`; real holes are passed over without reading.
fn is_zero(fd: BorrowedFd<'_>, from: u64, len: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let end = from + len;
    let mut at = from;
    while at < end {
        let (start, stop) = match seek(fd, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => return Ok(true),
            Err(Errno::INVAL) => (at, end),
            Ok(start) if start >= end => return Ok(true),
            Ok(start) => (start, seek(fd, SeekFrom::Hole(start))?.min(end)),
            Err(error) => return Err(error.into()),
        };
        if !read_range(fd, start, stop - start, buffer, |bytes| bytes.iter().all(|b| *b == 0))? {
            return Ok(false);
        }
        at = stop;
    }
    Ok(true)
}

/// Whether the open file, whose size is the sum of the runs, holds them. `hasher` is keyed and fresh.
///
/// # Errors
/// If the file cannot be read.
pub fn is_same(
    fd: BorrowedFd<'_>,
    runs: &[Run],
    hash: &[u8; 32],
    mut hasher: blake3::Hasher,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut at = 0;
    for run in runs {
        let as_expected = match run {
            Run::Hole { len } => is_zero(fd, at, *len, buffer)?,
            Run::Data { len, .. } => read_range(fd, at, u64::from(*len), buffer, |bytes| {
                hasher.update(bytes);
                true
            })?,
        };
        if !as_expected {
            return Ok(false);
        }
        at += run.len();
    }
    Ok(hasher.finalize().as_bytes() == hash)
}
