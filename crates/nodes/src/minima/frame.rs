//! Frames at a node's main port: a length of four bytes, a type, a payload. Requests are read here as whoever serves them reads them, and
//! answers as whoever asked reads them, from anything that bytes come from.

use std::io::{self, BufReader, Read, Take};

use super::address::Address;
use super::error::{Error as FormatError, Result as Parsed};
use super::ibd::Blocks;
use super::mega::Wanted;
use super::number::Number;
use super::wire::{Hash, Reader, WireError, Write};

/// Asks for blocks of the archive.
const ARCHIVE_REQUEST: u8 = 15;
/// Blocks of the archive.
pub(super) const ARCHIVE_DATA: u8 = 16;
/// Asks for the coins of addresses and keys, and the recent chain.
const MEGA_REQUEST: u8 = 22;
/// These.
pub(super) const MEGA_DATA: u8 = 23;
/// The largest request, in bytes: some ten thousand addresses.
const LARGEST_REQUEST: u32 = 1 << 20;
/// Addresses and keys in one request.
const MOST_WANTED: u64 = 1 << 14;
/// The largest answer, in bytes.
const LARGEST_ANSWER: u64 = 1 << 30;
/// -1 in one byte: the block that a node names when it only wants to know whether somebody is there.
const NOTHING: [u8; 3] = [0, 1, 0xff];

/// What somebody asks for.
#[derive(Debug, Clone)]
pub enum Request {
    /// Whether somebody is there.
    Ping,
    /// A block and those after it; 0 is the beginning, with the cascade if there is one.
    Blocks(u64),
    /// Coins, and the recent chain.
    Coins(Wanted),
}

/// What is no request.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    /// It is not what a node sends.
    #[error("{0}")]
    Nonsense(&'static str),
    /// Its payload is damaged.
    #[error("it sent what no node sends: {0}")]
    Format(#[from] WireError),
    /// It did not come.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

impl Request {
    /// Reads the length of the next frame: as long as this is awaited, a client is silent. `None` if none comes.
    ///
    /// # Errors
    /// If no node sends such a length, or the connection breaks.
    pub fn length(from: &mut impl Read) -> Result<Option<u32>, BadFrame> {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        match u32::from_be_bytes(length) {
            1..=LARGEST_REQUEST => Ok(Some(u32::from_be_bytes(length))),
            _ => Err(BadFrame::Nonsense("it does not speak as nodes do")),
        }
    }

    /// Reads a frame of this length.
    ///
    /// # Errors
    /// If it is cut off, or not what a node asks for.
    pub fn read(from: &mut impl Read, length: u32) -> Result<Self, BadFrame> {
        let mut frame = Vec::new();
        from.take(length.into()).read_to_end(&mut frame)?;
        if frame.len() as u64 != u64::from(length) {
            return Err(BadFrame::Nonsense("it went in the middle of a request"));
        }
        let (kind, payload) =
            frame.split_first().ok_or(BadFrame::Nonsense("its request is empty"))?;
        let mut reader = Reader::new(payload);
        let request = match *kind {
            ARCHIVE_REQUEST => blocks(&reader.number("the first block")?)?,
            MEGA_REQUEST => Self::Coins(wanted(&mut reader)?),
            _ => return Err(BadFrame::Nonsense("it asks for what is not served here")),
        };
        reader.end()?;
        Ok(request)
    }

    /// The frame with it; of coins only those who are nodes ask.
    pub(super) fn of_blocks(from: Option<u64>) -> Vec<u8> {
        let mut payload = vec![ARCHIVE_REQUEST];
        match from {
            None => payload.raw(&NOTHING),
            Some(0) => payload.number(&Number::from(0)),
            Some(number) => payload.whole(number),
        };
        let mut frame = Vec::new();
        frame.data(&payload);
        frame
    }
}

fn blocks(from: &Number) -> Result<Request, BadFrame> {
    if from.is_negative() {
        return Ok(Request::Ping);
    }
    let from = from.to_u64();
    let from = from.ok_or(BadFrame::Nonsense("the block it wants has no whole number"))?;
    Ok(Request::Blocks(from))
}

fn wanted(reader: &mut Reader<&[u8]>) -> Result<Wanted, BadFrame> {
    if reader.whole("the version")? != 1 {
        return Err(BadFrame::Nonsense("it asks in a way that is not known"));
    }
    let addresses = reader.list("the number of addresses", MOST_WANTED, whole_hash)?;
    let publics = reader.list("the number of keys", MOST_WANTED, whole_hash)?;
    let addresses: Vec<Address> = addresses.into_iter().map(Address).collect();
    Ok(Wanted::new(&addresses, &publics))
}

fn whole_hash(reader: &mut Reader<&[u8]>) -> super::wire::Result<Hash> {
    let bytes = reader.data("an address or a key", 64)?;
    let bytes: Result<[u8; 32], _> = bytes.as_slice().try_into();
    bytes.map(Hash).map_err(|_| reader.invalid("an address or a key", "it has not 32 bytes"))
}

/// Begins to read blocks that somebody sent as an answer.
///
/// # Errors
/// If it is another answer, or none.
pub fn answer<R: Read>(mut from: R) -> Parsed<Blocks<BufReader<Take<R>>>> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [length @ .., kind] = head;
    let length = u64::from(u32::from_be_bytes(length));
    if kind != ARCHIVE_DATA || length == 0 || length > LARGEST_ANSWER {
        let why = "what answers there is no Minima node, or one that gives no archive";
        return Err(FormatError::Io(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    Blocks::begin(Reader::new(BufReader::new(from.take(length - 1))))
}
