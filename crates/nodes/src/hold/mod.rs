//! Holds: a node is kept still while it is captured, and let go on every way out.
//!
//! A [`Plan`] says what will be done. [`enter`] does it and returns a guard: released, dropped, or after its patience, it undoes all of it.
//! A [`Journal`] is on the disk before anything is done, so that [`resume`] releases at the next start what a crash left held.

mod error;
mod freeze;
mod journal;
mod plan;
mod resume;
mod step;
mod volume;

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use error::{HoldError, Unreleased};
pub use freeze::Target;
pub use journal::{HoldId, Journal, Outstanding};
pub use plan::{Plan, Site};
pub use resume::{
    Resumed, Standing, enter_maintenance, exit_maintenance, forget, resume, resume_node, status,
};
pub use step::{Action, Proof, Step};
pub use volume::{Mapping, Mounts};

use self::step::Entered;
use crate::command::{Stop, never};
use crate::manifest::Note;

/// A node that is kept still. Dropped, it is released; what fails then stays in the journal.
#[derive(Debug)]
pub struct Held {
    state: Arc<Mutex<State>>,
    mapping: Option<Mapping>,
    /// When the node is let go whatever happens.
    deadline: Option<Instant>,
    timer: Option<(Sender<()>, JoinHandle<()>)>,
}

/// How a hold ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// What a person should know: `hold-expired`, `hold-broken`, `not-running`.
    pub notes: Vec<Note>,
    /// Whether the node stood still until the end.
    pub was_held: bool,
    /// How long it was held.
    pub lasted: Duration,
}

/// What is entered, shared with the thread that watches the time.
#[derive(Debug)]
struct State {
    journal: Journal,
    entered: Vec<(HoldId, Step, Entered)>,
    notes: Vec<Note>,
    unreleased: Vec<Unreleased>,
    is_broken: bool,
    since: Instant,
    until: Option<Instant>,
}

/// Does what a plan says. What a crash left held of this node is released first.
///
/// # Errors
/// [`HoldError::Enter`] names the step that failed; all before it were released then, but for those it names.
pub fn enter(plan: &Plan, journal: Journal) -> Result<Held, HoldError> {
    enter_unless(plan, journal, &never)
}

/// The same. A wish to stop is heard before each step and while its command runs: what was entered until then is released.
///
/// # Errors
/// As [`enter`]; [`HoldError::is_stop`] tells that it was the wish.
pub fn enter_unless(plan: &Plan, mut journal: Journal, stop: Stop<'_>) -> Result<Held, HoldError> {
    let unreleased = resume::release_all(&mut journal, false);
    if !unreleased.is_empty() {
        return Err(HoldError::Release { unreleased });
    }
    let mut state = State::new(journal);
    let deadline = plan.patience().map(|patience| state.since + patience);
    if let Err((step, reason)) = state.enter(&plan.steps, stop) {
        state.release();
        let unreleased = std::mem::take(&mut state.unreleased);
        return Err(HoldError::Enter { step, reason, unreleased });
    }
    let (state, mapping) = (Arc::new(Mutex::new(state)), plan.mapping.clone());
    let timer = deadline.filter(|_| !plan.steps.is_empty()).map(|at| watch(&state, at));
    Ok(Held { state, mapping, deadline, timer })
}

impl Held {
    /// Whether the node still stands still: its patience is not over, and nobody continued it.
    pub fn is_held(&self) -> bool {
        self.deadline.is_none_or(|deadline| Instant::now() < deadline) && self.lock().is_intact()
    }

    /// Where live paths lie in the snapshot that is to be read; `None` if they are read where they are.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.mapping.as_ref()
    }

    /// Lets the node go.
    ///
    /// # Errors
    /// [`HoldError::Release`] with what is still held, and what to type. It stays in the journal.
    pub fn release(mut self) -> Result<Ended, HoldError> {
        self.stop_timer();
        let mut state = self.lock();
        state.release();
        let unreleased = std::mem::take(&mut state.unreleased);
        if !unreleased.is_empty() {
            return Err(HoldError::Release { unreleased });
        }
        let lasted = state.until.unwrap_or_else(Instant::now).duration_since(state.since);
        let notes = std::mem::take(&mut state.notes);
        Ok(Ended { notes, was_held: !state.is_broken, lasted })
    }

    /// A panic of another thread in the middle of it does not keep us from letting the node go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_timer(&mut self) {
        if let Some((stop, timer)) = self.timer.take() {
            drop(stop);
            _ = timer.join();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop_timer();
        self.lock().release();
    }
}

/// Lets the node go when its time is over, whatever its capture does meanwhile.
fn watch(state: &Arc<Mutex<State>>, deadline: Instant) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel::<()>();
    let state = Arc::clone(state);
    let timer = thread::spawn(move || {
        let left = deadline.saturating_duration_since(Instant::now());
        if stopped.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            state.lock().unwrap_or_else(PoisonError::into_inner).expire();
        }
    });
    (stop, timer)
}

impl State {
    fn new(journal: Journal) -> Self {
        Self {
            journal,
            entered: Vec::new(),
            notes: Vec::new(),
            unreleased: Vec::new(),
            is_broken: false,
            since: Instant::now(),
            until: None,
        }
    }

    fn enter(&mut self, steps: &[Step], stop: Stop<'_>) -> Result<(), (String, Box<HoldError>)> {
        for step in steps {
            if stop() {
                return Err((step.about.clone(), Box::new(HoldError::Asked)));
            }
            if self.is_done_by_hand(step) {
                continue;
            }
            let entered = self.enter_step(step, false, stop);
            entered.map_err(|reason| (step.about.clone(), Box::new(reason)))?;
            self.release_brief();
        }
        Ok(())
    }

    /// Maintenance that a person entered is neither entered nor left by us.
    fn is_done_by_hand(&mut self, step: &Step) -> bool {
        let is_maintenance = |step: &Step| matches!(step.action, Action::Maintenance { .. });
        let by_hand = self.journal.outstanding().find(|one| one.is_manual);
        let Some(one) = by_hand.filter(|_| is_maintenance(step)) else { return false };
        let text = format!("in maintenance since {} by hand, and left so", one.since);
        self.notes.push(Note::new("manual-maintenance", text));
        true
    }

    fn enter_step(
        &mut self,
        step: &Step,
        is_manual: bool,
        stop: Stop<'_>,
    ) -> Result<(), HoldError> {
        let id = self.journal.entering(step, is_manual)?;
        // Entered from here on as far as releasing is concerned, however far it comes.
        self.entered.push((id, step.clone(), Entered::default()));
        let journal = &mut self.journal;
        let mut record = |processes: &[_]| Ok(journal.stopping(id, processes)?);
        let entered = step.enter(&mut record, stop)?;
        if let Some(why) = entered.idle {
            self.notes.push(Note::new("not-running", why));
            self.entered.pop();
            self.journal.released(id)?;
        } else if let Some(last) = self.entered.last_mut() {
            last.2 = entered;
        }
        Ok(())
    }

    /// Undoes the steps that were only for the one that stands now.
    fn release_brief(&mut self) {
        let last = self.entered.len().saturating_sub(1);
        let (brief, kept) = std::mem::take(&mut self.entered)
            .into_iter()
            .enumerate()
            .partition::<Vec<_>, _>(|(at, (_, step, _))| *at < last && step.is_brief);
        self.entered = kept.into_iter().map(|(_, one)| one).collect();
        for (_, (id, _, entered)) in brief {
            self.release_one(id, entered);
        }
    }

    fn is_intact(&self) -> bool {
        let frozen = self.entered.iter().filter_map(|(_, _, entered)| entered.frozen.as_ref());
        !self.is_broken && frozen.into_iter().all(freeze::Frozen::is_intact)
    }

    /// The last first.
    fn release(&mut self) {
        if !self.is_intact() && !self.is_broken {
            self.is_broken = true;
            let text = "somebody else continued the node while it was held";
            self.notes.push(Note::new("hold-broken", text));
        }
        self.until.get_or_insert_with(Instant::now);
        while let Some((id, _, entered)) = self.entered.pop() {
            self.release_one(id, entered);
        }
    }

    fn release_one(&mut self, id: HoldId, entered: Entered) {
        self.unreleased.extend(resume::release_one(&mut self.journal, id));
        // Its guards go after it was continued.
        drop(entered);
    }

    fn expire(&mut self) {
        if self.entered.is_empty() {
            return;
        }
        if self.is_intact() {
            self.is_broken = true;
            let text = format!("let go after its patience of {} s", self.since.elapsed().as_secs());
            self.notes.push(Note::new("hold-expired", text));
        }
        self.release();
    }
}
