//! What one node asks of another at its main port: a frame with a length, a type and a payload, and one like it back. No greeting.

use std::io::{self, BufReader, Take, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::Error as FormatError;
use super::frame::{self, Request};
use super::ibd::{Blocks, Last};
use super::store::BlockStore;
use crate::error::{Error, Result};

/// How long a peer may take to be reached, and to go on.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many stored runs are compared with a peer that goes another way before its chain is taken for another one.
const MOST_RUNS: usize = 8;
/// How often a peer may go another way while it is asked.
const MOST_TURNS: u32 = 8;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Nothing: whether somebody is there.
    Nothing,
    /// The beginning, with the cascade if there is one.
    Beginning,
    /// A block and those after it.
    Block(u64),
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// How many blocks are new.
    pub new: u64,
    /// How many were dropped, because the peer's chain goes another way there.
    pub dropped: u64,
}

/// Asks a peer for blocks; they are checked while they are read.
///
/// # Errors
/// If it does not answer, or with something else.
pub fn blocks(host: &str, from: From) -> Result<Blocks<BufReader<Take<TcpStream>>>> {
    let lost = |source: io::Error| Error::Peer { host: host.to_owned(), source };
    let mut stream = connect(host).map_err(lost)?;
    stream.write_all(&request(from)).map_err(lost)?;
    frame::answer(stream).map_err(|error| told(host, error))
}

/// Brings a store up to what a peer has. Everything is checked; a run is written when it is whole. Stored blocks are dropped only for those
/// of the same chain that the peer has in their place.
///
/// # Errors
/// If the peer does not answer, its blocks are damaged, or its chain is another one.
pub fn fetch(host: &str, store: &BlockStore, mut monitor: impl FnMut(u64)) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    let mut turns = 0;
    loop {
        match fetch_once(host, store) {
            Ok(0) => return Ok(fetched),
            Ok(new) => {
                fetched.new += new;
                monitor(fetched.new);
            }
            // What was stored from the peer's tree may have been settled otherwise since.
            Err(error @ Error::Minima { source: FormatError::Chain { .. }, .. }) => {
                match rejoin(host, store)? {
                    0 => return Err(error),
                    _ if turns == MOST_TURNS => return Err(error),
                    dropped => fetched.dropped += dropped,
                }
                turns += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Drops the newest blocks, down to one that the peer has too. How many; 0 if it has them all.
fn rejoin(host: &str, store: &BlockStore) -> Result<u64> {
    let Some(newest) = store.extent()?.last else { return Ok(0) };
    for start in store.starts()?.into_iter().rev().take(MOST_RUNS) {
        if let Some(number) = common(host, &store.run(start)?)? {
            if number < newest.number {
                store.cut_after(number)?;
            }
            return Ok(newest.number - number);
        }
    }
    Err(store.unrelated(host))
}

/// The newest of these blocks that a peer has too.
fn common(host: &str, own: &[Last]) -> Result<Option<u64>> {
    let (Some(first), Some(last)) = (own.first(), own.last()) else { return Ok(None) };
    let mut answer = blocks(host, From::Block(first.number))?;
    let mut common = None;
    while let Some(block) = answer.next_block().map_err(|error| told(host, error))? {
        let theirs = Last::from(block.block.header());
        if theirs.number > last.number {
            break;
        }
        if own.contains(&theirs) {
            common = Some(theirs.number);
        }
    }
    Ok(common)
}

fn fetch_once(host: &str, store: &BlockStore) -> Result<u64> {
    let extent = store.extent()?;
    let next = extent.last.or(extent.cascade).map(|last| last.number + 1);
    let from = next.map_or(From::Beginning, From::Block);
    let mut answer = blocks(host, from)?;
    if let (From::Beginning, Some(cascade)) = (from, &answer.cascade) {
        store.set_cascade(&cascade.bytes)?;
    }
    let mut appending = store.appending()?;
    let mut new = 0;
    while let Some(block) = answer.next_block().map_err(|error| told(host, error))? {
        if appending.before().is_some_and(|before| block.block.header().number <= before.number) {
            continue;
        }
        appending.take(&block)?;
        new += 1;
    }
    appending.finish()?;
    Ok(new)
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(from: From) -> Vec<u8> {
    Request::of_blocks(match from {
        From::Nothing => None,
        From::Beginning => Some(0),
        From::Block(number) => Some(number),
    })
}

/// A connection that broke is no damage of what came through it.
fn told(host: &str, source: FormatError) -> Error {
    match source {
        FormatError::Io(source) => Error::Peer { host: host.to_owned(), source },
        source => Error::Minima { path: host.into(), source },
    }
}
