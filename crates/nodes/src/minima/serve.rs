//! Serves blocks and coins at a port, as far as a real node asks for them to bring itself back. Whatever else is sent ends the connection.
//!
//! Memory is bounded: so many clients at once, requests of so many bytes, answers that are streamed from files or cut at a size.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::error::Error as FormatError;
use super::frame::{self, BadFrame, Request};
use super::mega::{self, Wanted};
use super::paced::Paced;
use super::store::RUN;
use super::supply::{Coins, Supply};
use super::wire::Write;
use crate::error::Error;

/// The version of an answer with coins.
const MEGA_VERSION: u64 = 2;
/// Between two looks for a client.
const LOOK: Duration = Duration::from_millis(50);

/// What clients may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many at once.
    pub clients: usize,
    /// How long each may be silent between two requests, and how long a request may take to come in.
    pub patience: Duration,
    /// The slowest that an answer may be taken, in bytes a second, after the same patience.
    pub slowest: u64,
    /// Blocks in an answer end at this size, in bytes, after the first.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 8,
            patience: Duration::from_secs(60),
            slowest: 16 << 10,
            answer_bytes: 16 << 20,
        }
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
    /// Somebody could not be let in: why.
    Missed(io::Error),
}

/// Why a client is sent away.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Nonsense(&'static str),
    #[error("{0}")]
    Frame(#[from] BadFrame),
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
                // A client that is gone, or one for whom the system has no room now: the others are served all the same.
                Err(error) => {
                    monitor(Event::Missed(error));
                    thread::sleep(LOOK);
                    continue;
                }
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
        while let Some(request) = self.request()? {
            monitor(self.answer(&request)?);
        }
        Ok(())
    }

    /// The next request. `None` if there is none.
    fn request(&mut self) -> Result<Option<Request>, Refusal> {
        let mut waiting = Paced::new(&self.stream, self.limits.patience);
        let Some(length) = Request::length(&mut waiting)? else { return Ok(None) };
        let mut coming = Paced::new(&self.stream, self.limits.patience);
        Ok(Some(Request::read(&mut coming, length)?))
    }

    fn answer(&mut self, request: &Request) -> Result<Event, Refusal> {
        match request {
            Request::Ping => self.send_blocks(None).map(|_| Event::Asked(self.from)),
            Request::Blocks(from) => {
                let sent = self.send_blocks(Some(*from))?;
                Ok(Event::Blocks(self.from, *from, sent))
            }
            Request::Coins(wanted) => {
                let coins = self.supply.coins.as_ref();
                let coins = coins.ok_or(Refusal::Nonsense(
                    "it asks for coins, and only blocks are served here: serve a .megammr",
                ))?;
                let sent = self.send_coins(coins, wanted)?;
                Ok(Event::Coins(self.from, sent))
            }
        }
    }

    /// For an answer of so many bytes.
    fn pace(&self, bytes: u64) -> Paced<'_> {
        let room = Duration::from_secs(bytes / self.limits.slowest.max(1));
        Paced::new(&self.stream, self.limits.patience.saturating_add(room))
    }

    /// Blocks from a number on, as many as fit; with the cascade before the first. `None`: nothing, as an answer.
    fn send_blocks(&mut self, from: Option<u64>) -> Result<usize, Refusal> {
        let mut payload = vec![frame::ARCHIVE_DATA];
        let blocks = match from {
            None => Vec::new(),
            Some(from) => {
                let most = usize::try_from(RUN).unwrap_or(usize::MAX);
                self.supply.blocks.from(from, most, self.limits.answer_bytes)?
            }
        };
        let cascade = if from == Some(0) { self.supply.blocks.cascade()? } else { None };
        payload.bool(cascade.is_some());
        payload.raw(&cascade.unwrap_or_default()).whole(blocks.len() as u64);
        blocks.iter().for_each(|block| {
            payload.raw(&block.bytes);
        });
        let mut head = Vec::new();
        head.raw(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        let mut to = self.pace(payload.len() as u64);
        to.write_all(&head)?;
        to.write_all(&payload)?;
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
        let mut to = BufWriter::new(self.pace(length.into()));
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
