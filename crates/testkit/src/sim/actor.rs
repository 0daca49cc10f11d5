//! An actor: the real engine in a thread of its own, in front of a store that asks the scheduler at every operation. What it does is a
//! function of its seed and of what it is told, so that it can be run again up to any point.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::simulate::{Context, take_settled};
use nodekeep_store::Store;
use nodekeep_store::scripted::{Oracle, Reply, Request};

/// How an actor's run ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Outcome {
    /// Whether the operation was reported as a success.
    pub ok: bool,
    /// What it said.
    pub said: String,
    /// The snapshot that it says is committed.
    pub made: Option<SnapshotId>,
    /// Snapshots that it found listed and whole.
    pub seen: Vec<SnapshotId>,
    /// Snapshots that it says are deleted.
    pub gone: Vec<SnapshotId>,
    /// A promise that it saw broken.
    pub broken: Option<String>,
}

impl Outcome {
    /// Of an operation that gives nothing back.
    pub fn of(result: Result<String, String>) -> Self {
        let ok = result.is_ok();
        let said = result.unwrap_or_else(|error| error);
        Self { ok, said, ..Self::default() }
    }
}

/// What an actor does.
#[derive(Clone)]
pub struct Program {
    /// Its name in reports.
    pub name: String,
    /// Seed, clock and planted fault.
    pub context: Context,
    /// The work.
    pub work: Arc<dyn Fn(Store) -> Outcome + Send + Sync>,
}

/// What a thread reports.
pub(super) enum Event {
    /// With a hash of all that the actor depends on from here on, if it has said so.
    Ask(Request, Option<[u8; 32]>),
    End(Outcome),
}

/// What was asked and answered in an earlier run.
pub(super) type Record = Vec<(Request, Reply)>;

struct Line {
    record: Mutex<std::vec::IntoIter<(Request, Reply)>>,
    ask: Sender<Event>,
    hear: Mutex<Receiver<Reply>>,
}

/// Unwinds a thread whose future nobody asks for.
struct Forgotten;

impl Oracle for Line {
    fn answer(&self, request: Request) -> Reply {
        let settled = take_settled();
        let recorded = self.record.lock().expect("one thread uses it").next();
        if let Some((expected, reply)) = recorded {
            assert!(expected == request, "not deterministic: {}", differing(&expected, &request));
            return reply;
        }
        let hear = self.hear.lock().expect("one thread uses it");
        if self.ask.send(Event::Ask(request, settled)).is_err() {
            resume_unwind(Box::new(Forgotten));
        }
        hear.recv().unwrap_or_else(|_| resume_unwind(Box::new(Forgotten)))
    }
}

fn differing(expected: &Request, made: &Request) -> String {
    let shape = |request: &Request| match request {
        Request::Create { name, bytes, durability } => {
            let hash = blake3_short(bytes);
            format!("create {name} ({} bytes, {hash}, {durability:?})", bytes.len())
        }
        other => format!("{other:?}"),
    };
    format!("first {}, then {}", shape(expected), shape(made))
}

fn blake3_short(bytes: &[u8]) -> String {
    nodekeep_repo::id::ObjectHash::of(bytes).to_string().chars().take(12).collect()
}

/// A thread that waits for an answer.
pub(super) struct Running {
    tell: Sender<Reply>,
    events: Receiver<Event>,
}

impl Running {
    /// Starts a program and takes it through its record.
    pub(super) fn start(program: &Program, record: Record) -> Self {
        let (ask, events) = channel();
        let (tell, hear) = channel();
        let line = Line {
            record: Mutex::new(record.into_iter()),
            ask: ask.clone(),
            hear: Mutex::new(hear),
        };
        let program = program.clone();
        let thread = move || {
            let _entry = program.context.enter();
            let store = Store::scripted(Arc::new(line));
            let end = match catch_unwind(AssertUnwindSafe(|| (program.work)(store))) {
                Ok(outcome) => outcome,
                Err(panic) if panic.is::<Forgotten>() => return,
                Err(panic) => Outcome { broken: Some(text_of(&*panic)), ..Outcome::default() },
            };
            // Nobody may be left to hear it.
            let _ = ask.send(Event::End(end));
        };
        std::thread::Builder::new()
            .name("actor".to_owned())
            .stack_size(1 << 20)
            .spawn(thread)
            .expect("the system has room for a thread");
        Self { tell, events }
    }

    pub(super) fn tell(&self, reply: Reply) {
        // The thread is waiting for it.
        let _ = self.tell.send(reply);
    }

    pub(super) fn next(&self) -> Event {
        let lost = || {
            Event::End(Outcome {
                broken: Some("the actor's thread vanished".to_owned()),
                ..Outcome::default()
            })
        };
        self.events.recv().unwrap_or_else(|_| lost())
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    format!("panicked: {text}")
}
