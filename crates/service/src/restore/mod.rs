//! Bringing a node back: planned, judged by the fence, copied beside and checked while the node still runs; then stopped, put in place in
//! one journaled step, started, and looked at. What a program takes is given to it before the start, or through the running node.

mod complete;
pub mod giving;
pub mod place;
mod stage;
pub mod swap;
mod switch;
mod verify;
mod view;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nodekeep_nodes::fence::judge::{Ruling, Verdict};
use nodekeep_nodes::fence::look::Look;
use nodekeep_nodes::fence::remedy::Remedy;
use nodekeep_nodes::fence::retire::Claim;
use nodekeep_nodes::health;
use nodekeep_nodes::hooks::{self, Context};
use nodekeep_nodes::kind::Verified;
use nodekeep_nodes::kind::back::WayBack;
use nodekeep_nodes::node::Node;
use nodekeep_nodes::service::{Control, Started, Stopped};
use nodekeep_repo::repository::SnapshotRecord;

pub use self::giving::{Given, Waiting};
use self::place::{Placement, placements};
use self::stage::Staged;
use self::switch::{decided, left_by_remedies};
pub(crate) use self::verify::verify_component;
pub use self::verify::{lying, mend, verify_live, verify_node, verify_placement};
use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::fencing::{self, Recorded, look_live};
use crate::find::NodeSnapshot;
use crate::holding::site;

/// How long a started node has to become healthy.
const HEALTHY_WITHIN: Duration = Duration::from_secs(120);

/// What of a snapshot is wanted back, and what was chosen where the fence refuses.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only these components; empty: all that the snapshot has.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// Remedies by fence rule.
    pub remedies: Vec<(String, Remedy)>,
    /// Restore backwards where nothing else is chosen, for this reason.
    pub accept_rollback: Option<String>,
    /// Whether the node stays stopped.
    pub leave_stopped: bool,
    /// Whether content that the snapshot lacks stays missing; otherwise other snapshots give it.
    pub skip_chunks: bool,
}

impl Wish {
    /// What is done about a refusal: what was chosen, or what is always right.
    fn remedy(&self, ruling: &Ruling) -> Option<Remedy> {
        let chosen = self.remedies.iter().find(|(rule, _)| *rule == ruling.rule);
        let by_itself = ruling.raises_itself && self.accept_rollback.is_none();
        chosen.map(|(_, remedy)| *remedy).or(by_itself.then_some(Remedy::Advance))
    }

    /// What was chosen about a refusal, in words; nothing where nobody chose.
    pub fn chosen(&self, ruling: &Ruling) -> Option<String> {
        let remedy = self.remedies.iter().find(|(rule, _)| *rule == ruling.rule);
        let offer = |remedy: Remedy| {
            let offer = ruling.offers.iter().find(|offer| offer.remedy == Some(remedy))?;
            Some(format!("{}: {}", offer.option, offer.what))
        };
        match (remedy, &self.accept_rollback) {
            (Some((_, remedy)), _) => offer(*remedy),
            (None, Some(reason)) => Some(format!("--accept-rollback: as it is, because: {reason}")),
            (None, None) => None,
        }
    }

    fn wants(&self, component: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|only| only == component))
            && !self.skip.iter().any(|skip| skip == component)
    }
}

/// What a restore would do.
#[derive(Debug)]
pub struct Plan {
    /// What goes where, as files.
    pub placements: Vec<Placement>,
    /// What a program takes, in this order: first while the node is stopped, then through the running node.
    pub given: Vec<Given>,
    /// Components of the snapshot that are not restored, because a remedy leaves them out.
    pub without: Vec<String>,
    /// What the fence says.
    pub verdict: Verdict,
    /// Whether this machine may take the node's identity.
    pub claim: Claim,
    /// Whether the node runs; `None` if its profile does not say how to see that.
    pub is_running: Option<bool>,
    /// Whether the live state could be read for the fence.
    pub saw_live: bool,
    /// What a person should know about the fence's records.
    pub notes: Vec<String>,
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// Where things are now.
    pub placed: Vec<PathBuf>,
    /// Where what was there before lies.
    pub aside: Vec<PathBuf>,
    /// Components that a program took, and what was said of each.
    pub given: Vec<(String, Vec<String>)>,
    /// Bytes that were written.
    pub bytes: u64,
    /// What the checks of each component said.
    pub verified: Vec<(String, Verified)>,
    /// What the remedies did, in lines.
    pub remedies: Vec<String>,
    /// What was seen of the node's health after its start.
    pub health: Vec<health::Seen>,
    /// From the first byte to a healthy node.
    pub took: Duration,
    /// From the stop to the end of the restore; nothing if it needed no stop.
    pub down: Duration,
    /// From the start to a healthy node; nothing if it was not started.
    pub woke: Duration,
    /// Whether the node was started.
    pub started: bool,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What went wrong after state was in place: it stands, and somebody must look.
    pub problems: Vec<String>,
}

impl Plan {
    /// Refuses what stands against it and was not answered.
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::Rewinds`], [`Error::OnlyTogether`], [`Error::NeedsRunning`].
    pub fn refuse(&self, node: &Node, wish: &Wish) -> Result<()> {
        fencing::refuse_held(node.name(), &self.claim)?;
        decided(&self.verdict, wish)?;
        self.refuse_alone(node, wish)?;
        self.refuse_stopped(node, wish)
    }

    /// What would run backwards unseen is put back together with what raises it.
    fn refuse_alone(&self, node: &Node, wish: &Wish) -> Result<()> {
        let is_in = |name: &str| {
            let mut placed = self.placements.iter().flat_map(|placement| &placement.components);
            let mut given = self.given.iter().map(|given| &given.component);
            placed.any(|placed| placed == name) || given.any(|given| given == name)
        };
        let mut rules = node.profile.fence.iter().filter(|rule| !is_in(&rule.component));
        let alone = rules.find_map(|rule| {
            let component = rule.also_in.iter().find(|other| is_in(other))?;
            Some(Error::OnlyTogether { component: component.clone(), with: rule.component.clone() })
        });
        match alone.filter(|_| wish.accept_rollback.is_none()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What the running node takes needs a node that runs in the end.
    fn refuse_stopped(&self, node: &Node, wish: &Wish) -> Result<()> {
        let stays_stopped = wish.leave_stopped
            || (node.profile.service.start.is_none() && self.is_running == Some(false));
        match self.given.iter().find(|given| given.way == WayBack::WhileRunning) {
            Some(given) if stays_stopped => Err(Error::NeedsRunning {
                node: node.name().to_owned(),
                component: given.component.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the node has to be stopped for it.
    pub fn stops(&self) -> bool {
        !self.placements.is_empty()
            || self.given.iter().any(|given| given.way == WayBack::WhileStopped)
    }
}

impl Ground<'_> {
    /// Plans a restore of a node to where it is registered on this machine.
    ///
    /// # Errors
    /// If a component is unknown, a remedy is none, or the records cannot be read.
    pub fn plan_restore(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        wish: &Wish,
    ) -> Result<Plan> {
        check_components(node, snapshot, wish)?;
        let state = self.state.of(node.name())?;
        let recorded = Recorded::of(&state, node.name(), all)?;
        let control = Control::of(node, &site(&state).log(node.name()))?;
        let seen = self.live(node);
        let live = seen.as_ref();
        let verdict =
            fencing::verdict(node, &recorded, snapshot, live, |component| wish.wants(component));
        let without = left_by_remedies(&verdict, wish)?;
        let wants = |component: &str| {
            wish.wants(component) && !without.iter().any(|name| name == component)
        };
        let given = giving::planned(snapshot, node, wants)?;
        let is_given = |component: &str| given.iter().any(|given| given.component == component);
        let placements =
            placements(snapshot, node, |component| wants(component) && !is_given(component))?;
        let machine = self.state.machine(&self.host)?;
        let lacking = complete::planned(snapshot, wish);
        Ok(Plan {
            placements,
            given,
            without,
            verdict,
            claim: recorded.claim(&machine),
            is_running: control.is_running()?,
            saw_live: live.is_some(),
            notes: recorded.notes.iter().map(|note| note.text.clone()).chain(lacking).collect(),
        })
    }

    /// The marks of the live node, if any of it is there.
    fn live(&self, node: &Node) -> Option<Look> {
        let components = node.components().ok()?;
        let is_there = components.iter().any(|located| located.path.symlink_metadata().is_ok());
        is_there.then(|| look_live(node))
    }

    /// Restores a node in place. The fence is asked again once the node has stopped.
    ///
    /// # Errors
    /// Before anything was put in place: what stood against it; the node is started again then if it was stopped here. Afterwards
    /// nothing is an error any more: it is among the problems.
    pub fn restore_node(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        wish: &Wish,
    ) -> Result<Restored> {
        let begun = Instant::now();
        let state = self.state.of(node.name())?;
        let _alone = state.alone(node.name())?;
        swap::finish(&state)?;
        let plan = self.plan_restore(node, snapshot, all, wish)?;
        plan.refuse(node, wish)?;
        let mut restored = Restored::default();
        let staged = self.stage(node, (snapshot, all), (wish, &plan), &mut restored)?;
        let context = Context {
            node: node.name().to_owned(),
            snapshot: Some(snapshot.record.id.hex()),
            status: None,
        };
        let back = Back { node, control: Control::of(node, &site(&state).log(node.name()))?, wish };
        let ready = hooks::before_restore(node, &context);
        let ready = ready.map_err(Error::untouched("what comes before a restore failed"));
        let switched = ready.and_then(|()| {
            self.stop_and_switch(&back, snapshot, all, (&plan, &staged), &mut restored)
        });
        let down = switched.inspect_err(|_| {
            // What could not be undone is finished at the next start, from the copies.
            if !swap::is_pending(&state) {
                staged.discard();
            }
        })?;
        back.wake(&state, &context, &staged, &mut restored);
        restored.down = if plan.stops() { down.elapsed() } else { Duration::ZERO };
        restored.took = begun.elapsed();
        if let Err(error) = crate::guard::answered(&state) {
            restored.problems.push(error.to_string());
        }
        Ok(restored)
    }

    /// Stops the node and puts state in place; since when it is down. A node that was stopped here is started again if that fails.
    fn stop_and_switch(
        &self,
        back: &Back<'_>,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        work: (&Plan, &Staged),
        restored: &mut Restored,
    ) -> Result<Instant> {
        // On a bare machine there is nothing to stop.
        let live = self.live(back.node).filter(|_| work.0.stops());
        if let Some(live) = &live {
            // Some state only a running node tells.
            self.record_true(back.node, &work.0.verdict, live)?;
        }
        let stopped = live.is_some() && back.stop()?;
        let down = Instant::now();
        match self.switch(back.node, snapshot, all, back.wish, work, restored) {
            Ok(()) => Ok(down),
            Err(error) if !stopped => Err(error),
            Err(error) => match back.control.start() {
                Ok(_) => Err(error),
                Err(problem) => Err(problem.into()),
            },
        }
    }
}

/// A node on its way back.
struct Back<'a> {
    node: &'a Node,
    control: Control,
    wish: &'a Wish,
}

impl Back<'_> {
    /// Whether it was stopped here. Without a command the node must not be running.
    fn stop(&self) -> Result<bool> {
        if self.node.profile.service.stop.is_none() {
            return Ok(false);
        }
        let stopped = self.control.stop();
        Ok(stopped.map_err(Error::untouched("the node could not be stopped"))? == Stopped::Now)
    }

    /// After state is in place: what a program takes, hooks, the start, and a look.
    fn wake(
        &self,
        state: &crate::state::NodeState,
        context: &Context,
        staged: &Staged,
        restored: &mut Restored,
    ) {
        if !self.give(state, staged, WayBack::WhileStopped, restored) {
            return restored.problems.push("the node was not started".to_owned());
        }
        if let Err(error) = hooks::after_restore(self.node, context) {
            // A node whose data was not migrated must not start on it.
            return restored.problems.push(format!("{error}; the node was not started"));
        }
        let begun = Instant::now();
        if !self.starts(restored) {
            return self.compare(state, staged, restored);
        }
        if staged.has(WayBack::WhileRunning) {
            // A node takes nothing before it answers; one that stays ill is asked all the same.
            health::wait_until_healthy(self.node, HEALTHY_WITHIN);
            self.give(state, staged, WayBack::WhileRunning, restored);
        }
        if self.node.profile.service.start.is_some() {
            restored.health = health::wait_until_healthy(self.node, HEALTHY_WITHIN);
            restored.woke = begun.elapsed();
        }
        let ill = restored.health.iter().filter(|seen| !seen.is_well);
        let ill: Vec<String> = ill.map(|seen| format!("{}: {}", seen.name, seen.detail)).collect();
        restored.problems.extend(ill);
        self.compare(state, staged, restored);
    }

    /// Whether the node runs now, as far as it should. Without a command whoever has started it before keeps it running.
    fn starts(&self, restored: &mut Restored) -> bool {
        if self.wish.leave_stopped {
            return false;
        }
        if self.node.profile.service.start.is_none() {
            return true;
        }
        match self.control.start() {
            Ok(started) => {
                restored.started |= started == Started::Now;
                true
            }
            Err(error) => {
                restored.problems.push(error.to_string());
                false
            }
        }
    }
}

/// Components are those of the node, and what is asked for by name is in the snapshot.
fn check_components(node: &Node, snapshot: &NodeSnapshot, wish: &Wish) -> Result<()> {
    let (only, skip) = (wish.only.clone(), wish.skip.clone());
    crate::capture::Wish { only, skip, ..Default::default() }.check(node)?;
    match wish.only.iter().find(|component| !snapshot.holds(component)) {
        Some(component) => Err(Error::NotHeld {
            snapshot: snapshot.record.id.short(),
            component: component.clone(),
        }),
        None => Ok(()),
    }
}
