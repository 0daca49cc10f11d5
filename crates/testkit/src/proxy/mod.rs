//! A bad network on loopback: a proxy between an HTTP client and its server that cuts, delays, truncates, repeats and
//! refuses as a seeded [`Plan`] says, and keeps count of what it did.

mod carry;
mod plan;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{self, Head};
use carry::carry;
use plan::Decider;
pub use plan::{Fault, Plan};

/// A duplicate is delivered when so many further requests have come.
const LATE: u64 = 5;

/// A proxy on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a proxy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that came.
    pub requests: u64,
    /// Faults done, by their names.
    pub faults: BTreeMap<String, u64>,
    /// Requests and what each suffered, in the order in which they came; those that suffered nothing are left out.
    pub suffered: Vec<String>,
}

impl Counts {
    /// All faults.
    pub fn total(&self) -> u64 {
        self.faults.values().sum()
    }
}

/// A request that was carried, and when, counted from the proxy's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its method and target, without the names that differ from run to run.
    pub kind: String,
    /// When its head had come.
    pub began: Duration,
    /// When its answer had gone back.
    pub ended: Duration,
}

/// A request that the server is to get once more.
#[derive(Debug)]
struct Repeat {
    due: u64,
    head: Head,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    decider: Mutex<Decider>,
    counts: Mutex<Counts>,
    repeats: Mutex<Vec<Repeat>>,
    passed: Mutex<Vec<Passed>>,
    under_way: Mutex<usize>,
    idle: Condvar,
    started: Instant,
    over: AtomicBool,
}

impl Proxy {
    /// Begins to listen in front of `server`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(server: SocketAddr, plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            decider: Mutex::new(Decider::new(plan)),
            counts: Mutex::default(),
            repeats: Mutex::default(),
            passed: Mutex::default(),
            under_way: Mutex::default(),
            idle: Condvar::new(),
            started: Instant::now(),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &serving));
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes on with another plan, from its beginning.
    pub fn follow(&self, plan: Plan) {
        lock(&self.shared.decider).plan(plan);
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.counts).clone()
    }

    /// Every request that was carried since the last call, in the order of their ends. Waits for those that are under way: a client has its
    /// answer before the proxy has noted it.
    pub fn take_passed(&self) -> Vec<Passed> {
        let mut under_way = lock(&self.shared.under_way);
        while *under_way > 0 {
            under_way = self.shared.idle.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut *lock(&self.shared.passed))
    }

    /// Delivers the duplicates that are still to come, and says how the server answered each.
    pub fn settle(&self) -> Vec<io::Result<u16>> {
        let repeats = std::mem::take(&mut *lock(&self.shared.repeats));
        repeats.iter().map(|repeat| self.shared.deliver(repeat)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener; if that fails it is not there any more.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A connection that breaks is the client's to notice.
        thread::spawn(move || drop(carry(client, &shared)));
    }
}

/// A request that has begun and is not noted yet.
struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *lock(&self.0.under_way) -= 1;
        self.0.idle.notify_all();
    }
}

impl Shared {
    fn begin(&self) -> UnderWay<'_> {
        *lock(&self.under_way) += 1;
        UnderWay(self)
    }

    /// Counts a request, and says what it suffers.
    fn next(&self, head: &Head) -> Option<Fault> {
        let fault = lock(&self.decider).next(head.method(), head.target());
        let mut counts = lock(&self.counts);
        counts.requests += 1;
        if let Some(fault) = fault {
            *counts.faults.entry(fault.to_string()).or_default() += 1;
            let line = format!("{fault}: {} {}", head.method(), head.target());
            counts.suffered.push(line);
        }
        fault
    }

    /// Notes that a request which began then is over.
    fn passed(&self, head: &Head, began: Duration) {
        let kind = plan::kind(head.method(), head.target());
        lock(&self.passed).push(Passed { kind, began, ended: self.started.elapsed() });
    }

    /// Keeps a request to deliver it once more.
    fn repeat(&self, head: &Head, body: Vec<u8>) {
        let due = lock(&self.counts).requests + LATE;
        lock(&self.repeats).push(Repeat { due, head: head.clone(), body });
    }

    /// Delivers the duplicates that are due, each on a thread of its own.
    fn deliver_due(self: &Arc<Self>) {
        let now = lock(&self.counts).requests;
        let due: Vec<Repeat> =
            lock(&self.repeats).extract_if(.., |repeat| repeat.due <= now).collect();
        for repeat in due {
            let shared = Arc::clone(self);
            // Nobody waits for the answer to a duplicate.
            thread::spawn(move || drop(shared.deliver(&repeat)));
        }
    }

    fn deliver(&self, repeat: &Repeat) -> io::Result<u16> {
        http::send(self.server, &repeat.head, &repeat.body).map(|answer| answer.status)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
