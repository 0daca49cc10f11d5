//! Serves blocks and coins at a port, as far as a real node asks for them to bring itself back. Whatever else is sent ends the connection.
//!
//! Memory is bounded: so many clients at once, requests of so many bytes, answers that are streamed from files or cut at a size.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::address::Address;
use super::error::Error as FormatError;
use super::mega::{self, Wanted};
use super::peer::frame;
use super::store::RUN;
use super::supply::{Coins, Supply};
use super::wire::{Hash, Reader, Write};
use crate::error::Error;

/// The largest request, in bytes: some ten thousand addresses.
const LARGEST_REQUEST: u32 = 1 << 20;
/// Addresses and keys in one request.
const MOST_WANTED: u64 = 1 << 14;
/// The version of an answer with coins.
const MEGA_VERSION: u64 = 2;
/// Between two looks for a client.
const LOOK: Duration = Duration::from_millis(50);

/// What clients may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many at once.
    pub clients: usize,
    /// How long each may be silent, or take nothing.
    pub patience: Duration,
    /// Blocks in an answer end at this size, in bytes, after the first.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: 8, patience: Duration::from_secs(60), answer_bytes: 16 << 20 }
    }
}

/// What was done for somebody.
#[derive(Debug)]
pub enum Event {
    /// Somebody asked whether we are there.
    Asked(SocketAddr),
    /// Blocks were sent: from which one, how many.
    Blocks(SocketAddr, u64, usize),
    /// Coins were sent, with the chain.
    Coins(SocketAddr, usize),
    /// Somebody was sent away: why.
    Refused(SocketAddr, String),
}

/// Why a client is sent away.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Nonsense(&'static str),
    #[error("it sent what no node sends: {0}")]
    Format(#[from] super::wire::WireError),
    #[error("{0}")]
    Damaged(#[from] FormatError),
    #[error("{0}")]
    Stored(#[from] Error),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// Serves until `stop` is set.
///
/// # Errors
/// If the port cannot be listened at.
pub fn serve(
    listener: &TcpListener,
    supply: &Supply,
    limits: Limits,
    stop: &AtomicBool,
    monitor: &(impl Fn(Event) + Sync),
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let clients = AtomicUsize::new(0);
    thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            let (stream, from) = match listener.accept() {
                Ok(client) => client,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(LOOK);
                    continue;
                }
                // A client that is gone before it is served harms nobody else.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if clients.fetch_add(1, Ordering::Relaxed) >= limits.clients {
                clients.fetch_sub(1, Ordering::Relaxed);
                monitor(Event::Refused(from, "there are too many at once".to_owned()));
                continue;
            }
            let clients = &clients;
            scope.spawn(move || {
                let mut client = Client { stream, from, supply, limits };
                if let Err(refusal) = client.serve(monitor) {
                    monitor(Event::Refused(from, refusal.to_string()));
                }
                clients.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Ok(())
    })
}

struct Client<'a> {
    stream: TcpStream,
    from: SocketAddr,
    supply: &'a Supply,
    limits: Limits,
}

impl Client<'_> {
    /// Answers one request after the other until it goes.
    fn serve(&mut self, monitor: &impl Fn(Event)) -> Result<(), Refusal> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(self.limits.patience))?;
        self.stream.set_write_timeout(Some(self.limits.patience))?;
        while let Some(request) = self.request()? {
            monitor(self.answer(&request)?);
        }
        Ok(())
    }

    /// The next request: its type and payload. `None` if there is none.
    fn request(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let length = u32::from_be_bytes(length);
        if length == 0 || length > LARGEST_REQUEST {
            return Err(Refusal::Nonsense("it does not speak as nodes do"));
        }
        let mut request = Vec::new();
        (&self.stream).take(length.into()).read_to_end(&mut request)?;
        if request.len() as u64 != u64::from(length) {
            return Err(Refusal::Nonsense("it went in the middle of a request"));
        }
        Ok(Some(request))
    }

    fn answer(&mut self, request: &[u8]) -> Result<Event, Refusal> {
        let Some((kind, payload)) = request.split_first() else {
            return Err(Refusal::Nonsense("its request is empty"));
        };
        let mut reader = Reader::new(payload);
        match *kind {
            frame::ARCHIVE_REQUEST => {
                let number = reader.number("the first block")?;
                reader.end()?;
                match number.is_negative() {
                    true => self.send_blocks(None).map(|_| Event::Asked(self.from)),
                    false => {
                        let from = number
                            .to_u64()
                            .ok_or(Refusal::Nonsense("the block it wants has no whole number"))?;
                        let sent = self.send_blocks(Some(from))?;
                        Ok(Event::Blocks(self.from, from, sent))
                    }
                }
            }
            frame::MEGA_REQUEST => {
                let wanted = wanted(&mut reader)?;
                let coins = self.supply.coins.as_ref();
                let coins = coins.ok_or(Refusal::Nonsense(
                    "it asks for coins, and only blocks are served here: serve a .megammr",
                ))?;
                let sent = self.send_coins(coins, &wanted)?;
                Ok(Event::Coins(self.from, sent))
            }
            _ => Err(Refusal::Nonsense("it asks for what is not served here")),
        }
    }

    /// Blocks from a number on, as many as fit; with the cascade before the first. `None`: nothing, as an answer.
    fn send_blocks(&mut self, from: Option<u64>) -> Result<usize, Refusal> {
        let mut payload = vec![frame::ARCHIVE_DATA];
        let mut blocks = match from {
            None => Vec::new(),
            Some(from) => {
                let most = usize::try_from(RUN).unwrap_or(usize::MAX);
                self.supply.blocks.from(from, most)?
            }
        };
        let mut size = 0;
        let fits = blocks.iter().take_while(|block| {
            size += block.bytes.len();
            size <= self.limits.answer_bytes
        });
        let count = fits.count().max(1).min(blocks.len());
        blocks.truncate(count);
        let cascade = if from == Some(0) { self.supply.blocks.cascade()? } else { None };
        payload.bool(cascade.is_some());
        payload.raw(&cascade.unwrap_or_default()).whole(blocks.len() as u64);
        blocks.iter().for_each(|block| {
            payload.raw(&block.bytes);
        });
        let mut head = Vec::new();
        head.raw(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.stream.write_all(&head)?;
        self.stream.write_all(&payload)?;
        Ok(blocks.len())
    }

    /// The recent chain as it lies in the file, then the coins with their proofs.
    fn send_coins(&mut self, coins: &Coins, wanted: &Wanted) -> Result<usize, Refusal> {
        let open = || File::open(&coins.path).map(BufReader::new);
        let proofs = mega::proofs(open, wanted)?;
        let mut head = vec![frame::MEGA_DATA];
        head.whole(MEGA_VERSION);
        let mut tail = Vec::new();
        tail.whole(proofs.len() as u64);
        proofs.iter().for_each(|proof| proof.write(&mut tail));
        // No peers are named: whoever asks knows some, or is told.
        tail.data(b"");
        let chain = coins.size - coins.mega.blocks_at;
        let length = head.len() as u64 + chain + tail.len() as u64;
        let length = u32::try_from(length)
            .map_err(|_| Refusal::Nonsense("the answer would be larger than a frame can be"))?;
        let mut to = BufWriter::new(&self.stream);
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&head)?;
        let sent = io::copy(&mut coins.chain()?.take(chain), &mut to)?;
        if sent != chain {
            return Err(Refusal::Nonsense("the file with all coins became shorter"));
        }
        to.write_all(&tail)?;
        to.flush()?;
        Ok(proofs.len())
    }
}

fn wanted(reader: &mut Reader<&[u8]>) -> Result<Wanted, Refusal> {
    if reader.whole("the version")? != 1 {
        return Err(Refusal::Nonsense("it asks in a way that is not known"));
    }
    let addresses = reader.list("the number of addresses", MOST_WANTED, whole_hash)?;
    let publics = reader.list("the number of keys", MOST_WANTED, whole_hash)?;
    reader.end()?;
    let addresses: Vec<Address> = addresses.into_iter().map(Address).collect();
    Ok(Wanted::new(&addresses, &publics))
}

fn whole_hash(reader: &mut Reader<&[u8]>) -> super::wire::Result<Hash> {
    let bytes = reader.data("an address or a key", 64)?;
    let bytes: Result<[u8; 32], _> = bytes.as_slice().try_into();
    bytes.map(Hash).map_err(|_| reader.invalid("an address or a key", "it has not 32 bytes"))
}
