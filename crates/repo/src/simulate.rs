//! For the simulator only (feature `simulate`, which no shipped crate enables): makes what a thread does with the engine a function of a
//! seed and of the store's answers. A thread that has not entered a [`Context`] behaves as ever.

use std::cell::RefCell;

pub(crate) mod age;
pub(crate) mod lens;

/// What a simulated thread has instead of the operating system's clock and randomness.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// All random bytes follow from it.
    pub seed: u64,
    /// The time, which stands still. Unix milliseconds.
    pub now_ms: i64,
    /// A fault planted in the protocol.
    pub bug: Option<Bug>,
}

/// Faults that can be planted, to prove that the simulator finds such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// The collector does not look at sessions again after its doomed list.
    NoRecheck,
    /// The collector deletes condemned packs before it creates the collection's outcome.
    DeleteFirst,
    /// The writer uses the view that it loaded before it created its session.
    ListFirst,
    /// The writer reports success without listing the checkpoints again.
    NoConfirm,
    /// The writer does not keep off doomed packs.
    ReuseDoomed,
    /// The collector does not mark again what was committed since its survey.
    NoRemark,
    /// A cache counts as live without a look at the listing.
    TrustCache,
    /// The outcome is created without a barrier before it.
    NoBarrier,
    /// What a collection's outcome condemns is believed though a checkpoint says that the collection is over.
    TrustOutcome,
    /// Collections are listed without a look whether there is a newer checkpoint.
    TornView,
    /// A repair drops packs that its list did not show, without asking for them.
    TrustListing,
    /// None in the protocol, but in what the simulator is told: a writer does not say that it depends on which packs are doomed.
    MergeDoomed,
}

impl Bug {
    /// All of them, with the names that `cargo xtask simulate --bug` takes.
    pub const ALL: [(&'static str, Self); 12] = [
        ("no-recheck", Self::NoRecheck),
        ("delete-first", Self::DeleteFirst),
        ("list-first", Self::ListFirst),
        ("no-confirm", Self::NoConfirm),
        ("reuse-doomed", Self::ReuseDoomed),
        ("no-remark", Self::NoRemark),
        ("trust-cache", Self::TrustCache),
        ("no-barrier", Self::NoBarrier),
        ("trust-outcome", Self::TrustOutcome),
        ("torn-view", Self::TornView),
        ("trust-listing", Self::TrustListing),
        ("merge-doomed", Self::MergeDoomed),
    ];
}

struct Entered {
    context: Context,
    drawn: u64,
    settled: Option<[u8; 32]>,
    /// What the callers of the code that runs depend on when they go on, outermost first.
    scopes: Vec<String>,
}

thread_local! {
    static ENTERED: RefCell<Option<Entered>> = const { RefCell::new(None) };
}

/// Puts this thread into a context; leaves it when dropped.
#[derive(Debug)]
pub struct Entry(());

impl Context {
    /// Enters the context, from its first random number on.
    #[must_use]
    pub fn enter(self) -> Entry {
        ENTERED.with(|entered| {
            *entered.borrow_mut() =
                Some(Entered { context: self, drawn: 0, settled: None, scopes: Vec::new() });
        });
        Entry(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        ENTERED.with(|entered| *entered.borrow_mut() = None);
    }
}

/// Says that all this thread will do from here on follows from `what`, from the random numbers that it has drawn, and from what the store
/// will answer: how it came here does not matter any more, so the simulator need not tell such histories apart.
pub(crate) fn settle(place: &str, what: &dyn std::fmt::Debug) {
    ENTERED.with(|entered| {
        if let Some(entered) = entered.borrow_mut().as_mut() {
            let text = format!("{:?} {place} {} {what:?}", entered.scopes, entered.drawn);
            entered.settled = Some(*blake3::hash(text.as_bytes()).as_bytes());
        }
    });
}

/// Forgets what a caller depends on when dropped: it says so itself from there on.
#[derive(Debug)]
#[must_use]
pub struct Scope(());

impl Drop for Scope {
    fn drop(&mut self) {
        ENTERED.with(|entered| entered.borrow_mut().as_mut().map(|e| e.scopes.pop()));
    }
}

/// Says what the caller depends on when what it calls has come back: that may say what it depends on itself, and knows of no caller.
pub fn scope(place: &str, what: &dyn std::fmt::Debug) -> Scope {
    ENTERED.with(|entered| {
        entered.borrow_mut().as_mut().map(|e| e.scopes.push(format!("{place} {what:?}")))
    });
    Scope(())
}

/// What this thread has said to depend on since the last call, as a hash.
pub fn take_settled() -> Option<[u8; 32]> {
    ENTERED.with(|entered| entered.borrow_mut().as_mut()?.settled.take())
}

fn context() -> Option<Context> {
    ENTERED.with(|entered| entered.borrow().as_ref().map(|e| e.context))
}

/// Whether this thread is simulated.
pub(crate) fn is_on() -> bool {
    context().is_some()
}

pub(crate) fn now() -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(context()?.now_ms).ok()
}

/// Whether a fault is planted in this thread.
pub(crate) fn has(bug: Bug) -> bool {
    context().is_some_and(|context| context.bug == Some(bug))
}

/// Fills `out` from the thread's seed; false if it has none.
pub(crate) fn fill(out: &mut [u8]) -> bool {
    ENTERED.with(|entered| {
        let mut entered = entered.borrow_mut();
        let Some(Entered { context, drawn, .. }) = entered.as_mut() else {
            return false;
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&context.seed.to_le_bytes()).update(&drawn.to_le_bytes());
        hasher.finalize_xof().fill(out);
        *drawn += 1;
        true
    })
}
