//! Bringing a node back: planned, judged by the fence, copied beside and checked while the node still runs; then stopped, put in place in
//! one journaled step, started, and looked at.

mod complete;
pub mod place;
pub mod swap;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nodekeep_nodes::fence::journal::Decision;
use nodekeep_nodes::fence::judge::{Ruling, Verdict};
use nodekeep_nodes::fence::mark::{At, Origin};
use nodekeep_nodes::fence::read::{Site, State as Lying};
use nodekeep_nodes::fence::remedy::{self, Remedy};
use nodekeep_nodes::fence::retire::Claim;
use nodekeep_nodes::health;
use nodekeep_nodes::hooks::{self, Context};
use nodekeep_nodes::kind::{self, Others, Outcome, Verified};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::FenceRule;
use nodekeep_nodes::service::{Control, Stopped};
use nodekeep_repo::repository::SnapshotRecord;

use self::complete::Fetched;
use self::place::{Placement, left_out, placements};
use self::swap::Swap;
use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::fencing::{self, Recorded, look_live};
use crate::find::NodeSnapshot;
use crate::holding::site;

/// How long a started node has to become healthy.
const HEALTHY_WITHIN: Duration = Duration::from_secs(120);
/// How long a copy may be checked by a program of its kind.
const CHECK_WITHIN: Duration = Duration::from_secs(3600);

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
    fn wants(&self, component: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|only| only == component))
            && !self.skip.iter().any(|skip| skip == component)
    }
}

/// What a restore would do.
#[derive(Debug)]
pub struct Plan {
    /// What goes where.
    pub placements: Vec<Placement>,
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
    /// From the stop to the start.
    pub down: Duration,
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
    /// [`Error::Held`], [`Error::Rewinds`].
    pub fn refuse(&self, node: &str, wish: &Wish) -> Result<()> {
        fencing::refuse_held(node, &self.claim)?;
        decided(&self.verdict, wish)
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
        check_components(node, wish)?;
        let state = self.state.of(node.name())?;
        let recorded = Recorded::of(&state, node.name(), all)?;
        let control = Control::of(node, &site(&state).log(node.name()))?;
        let seen = self.live(node);
        let live = seen.as_ref();
        let wants = |component: &str| wish.wants(component);
        let verdict = fencing::verdict(node, &recorded, snapshot, live, wants);
        let without = left_by_remedies(&verdict, wish)?;
        let placements = placements(snapshot, node, |component| {
            wish.wants(component) && !without.iter().any(|name| name == component)
        })?;
        let machine = self.state.machine(&self.host)?;
        let lacking = complete::planned(snapshot, wish);
        Ok(Plan {
            placements,
            without,
            verdict,
            claim: recorded.claim(&machine),
            is_running: control.is_running()?,
            saw_live: live.is_some(),
            notes: recorded.notes.iter().map(|note| note.text.clone()).chain(lacking).collect(),
        })
    }

    /// The marks of the live node, if any of it is there.
    fn live(&self, node: &Node) -> Option<nodekeep_nodes::fence::look::Look> {
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
        plan.refuse(node.name(), wish)?;
        let mut restored = Restored::default();
        let staged = self.stage(node, (snapshot, all), wish, &plan, &mut restored)?;
        let context = Context {
            node: node.name().to_owned(),
            snapshot: Some(snapshot.record.id.hex()),
            status: None,
        };
        hooks::before_restore(node, &context)?;
        let control = Control::of(node, &site(&state).log(node.name()))?;
        // On a bare machine there is nothing to stop.
        let stopped = self.live(node).is_some() && stop(node, &control)?;
        let down = Instant::now();
        let switched = self.switch(node, snapshot, all, wish, (&plan, &staged), &mut restored);
        if let Err(error) = switched {
            staged.discard();
            return Err(match start_again(&control, stopped) {
                Ok(()) => error,
                Err(problem) => problem,
            });
        }
        self.wake(node, &control, &context, wish, &mut restored);
        restored.down = down.elapsed();
        restored.took = begun.elapsed();
        Ok(restored)
    }

    /// Copies and checks everything beside its place, while the node still runs.
    fn stage(
        &self,
        node: &Node,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        wish: &Wish,
        plan: &Plan,
        restored: &mut Restored,
    ) -> Result<Staged> {
        let mut staged = Staged::default();
        for placement in &plan.placements {
            let beside = beside(&placement.target, "new", snapshot);
            remove(&beside)?;
            restored.bytes += self.bring(snapshot, placement, &beside)?.bytes;
            // What lies in it and is not wanted came with it.
            for path in left_out(placement, snapshot, node)? {
                let inner = path.strip_prefix(&placement.target).unwrap_or(&path);
                remove(&join(&beside, inner))?;
            }
            staged.placed.push((placement.clone(), beside));
        }
        let completed = self.complete(node, (snapshot, all), wish, &staged.placed, restored);
        staged.fetched = completed.inspect_err(|_| staged.discard())?;
        let others = complete::lying(node, &staged.placed);
        for (placement, beside) in &staged.placed {
            let checked = verify_placement(node, snapshot, placement, beside, &others);
            if let Some(error) = checked.iter().find_map(|seen| unsound(snapshot, seen)) {
                staged.discard();
                return Err(error);
            }
            restored.verified.extend(checked);
        }
        Ok(staged)
    }

    /// The node has stopped: the fence is asked for the last time, and state is put in place.
    fn switch(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        wish: &Wish,
        (plan, staged): (&Plan, &Staged),
        restored: &mut Restored,
    ) -> Result<()> {
        let state = self.state.of(node.name())?;
        let machine = self.state.machine(&self.host)?;
        if let Some(live) = self.live(node) {
            fencing::record(&state, &machine, Origin::Restore, &live)?;
        }
        let verdict = self.plan_restore(node, snapshot, all, wish)?.verdict;
        decided(&verdict, wish)?;
        self.apply_remedies(node, &verdict, wish, &staged.placed, restored)?;
        let mut swap = Swap::new(snapshot.record.id.hex());
        for (placement, beside_it) in &staged.placed {
            let aside = beside(&placement.target, "before", snapshot);
            // The same snapshot was restored before: what lay there before that is older than what lies there now.
            remove(&aside)?;
            let kept = left_out(placement, snapshot, node)?;
            swap.replace(beside_it, &placement.target, &aside, &kept)?;
        }
        for fetched in &staged.fetched {
            let aside = beside(&fetched.target, "before", snapshot);
            remove(&aside)?;
            swap.adopt(&fetched.folder, &fetched.target, &aside)?;
        }
        swap.run(&state)?;
        restored.placed =
            plan.placements.iter().map(|placement| placement.target.clone()).collect();
        restored.aside.clone_from(&swap.aside);
        Ok(())
    }

    fn apply_remedies(
        &self,
        node: &Node,
        verdict: &Verdict,
        wish: &Wish,
        staged: &[(Placement, PathBuf)],
        restored: &mut Restored,
    ) -> Result<()> {
        let state = self.state.of(node.name())?;
        let machine = self.state.machine(&self.host)?;
        for ruling in verdict.refusals() {
            let chosen = wish.remedies.iter().find(|(rule, _)| *rule == ruling.rule);
            let rule = node.profile.fence.iter().find(|rule| rule.name == ruling.rule);
            let Some(rule) = rule else { continue };
            let said = match chosen {
                Some((_, Remedy::Without)) => {
                    vec![format!("`{}` was left out", ruling.component)]
                }
                Some((_, remedy)) => self.apply_remedy(node, rule, ruling, *remedy, staged)?,
                None => vec![ruling.to_string()],
            };
            let decision = Decision {
                at: At::from(Timestamp::now()),
                machine: machine.clone(),
                rule: ruling.rule.clone(),
                choice: chosen.map_or("accept-rollback", |(_, remedy)| remedy.word()).to_owned(),
                reason: match chosen {
                    None => wish.accept_rollback.clone().unwrap_or_default(),
                    Some(_) => String::new(),
                },
                said: said.clone(),
            };
            fencing::decide(&state, decision)?;
            restored.remedies.extend(said);
        }
        Ok(())
    }

    fn apply_remedy(
        &self,
        node: &Node,
        rule: &FenceRule,
        ruling: &Ruling,
        chosen: Remedy,
        staged: &[(Placement, PathBuf)],
    ) -> Result<Vec<String>> {
        let located = node.component(&rule.component)?;
        let held = staged.iter().find_map(|(placement, beside)| {
            let inner = located.path.strip_prefix(&placement.target).ok()?;
            Some(join(beside, inner))
        });
        let Some(path) = held else { return Ok(Vec::new()) };
        let variables = node.variables();
        let site = Site { path: &path, variables: &variables, state: Lying::Copy };
        let plan = remedy::plan(rule, ruling, chosen)?;
        Ok(plan.apply(rule, site, &self.scratch)?)
    }

    /// After state is in place: hooks, the start, and a look.
    fn wake(
        &self,
        node: &Node,
        control: &Control,
        context: &Context,
        wish: &Wish,
        restored: &mut Restored,
    ) {
        if let Err(error) = hooks::after_restore(node, context) {
            // A node whose data was not migrated must not start on it.
            restored.problems.push(format!("{error}; the node was not started"));
            return;
        }
        if wish.leave_stopped || node.profile.service.start.is_none() {
            return;
        }
        match control.start() {
            Ok(_) => restored.started = true,
            Err(error) => return restored.problems.push(error.to_string()),
        }
        restored.health = health::wait_until_healthy(node, HEALTHY_WITHIN);
        let ill = restored.health.iter().filter(|seen| !seen.is_well);
        let ill: Vec<String> = ill.map(|seen| format!("{}: {}", seen.name, seen.detail)).collect();
        restored.problems.extend(ill);
    }
}

fn join(base: &Path, inner: &Path) -> PathBuf {
    if inner.as_os_str().is_empty() { base.to_owned() } else { base.join(inner) }
}

fn check_components(node: &Node, wish: &Wish) -> Result<()> {
    let (only, skip) = (wish.only.clone(), wish.skip.clone());
    crate::capture::Wish { only, skip, ..Default::default() }.check(node)
}

/// Components that a remedy leaves out; a remedy that is none is refused.
fn left_by_remedies(verdict: &Verdict, wish: &Wish) -> Result<Vec<String>> {
    let mut without = Vec::new();
    for (rule, chosen) in &wish.remedies {
        let ruling = verdict.rulings.iter().find(|ruling| ruling.rule == *rule);
        let offered = ruling.filter(|ruling| {
            ruling.is_clear() || ruling.offers.iter().any(|offer| offer.remedy == Some(*chosen))
        });
        let Some(ruling) = offered else {
            return Err(Error::NoRemedy {
                rule: rule.clone(),
                remedy: chosen.word().to_owned(),
                known: offered_in(verdict),
            });
        };
        if *chosen == Remedy::Without && !ruling.is_clear() {
            without.push(ruling.component.clone());
        }
    }
    Ok(without)
}

fn offered_in(verdict: &Verdict) -> Vec<String> {
    let offers = verdict.refusals().flat_map(|ruling| &ruling.offers);
    offers.map(|offer| offer.option.clone()).collect()
}

/// Whether every refusal has an answer.
fn decided(verdict: &Verdict, wish: &Wish) -> Result<()> {
    let has_answer = |ruling: &Ruling| {
        wish.accept_rollback.is_some() || wish.remedies.iter().any(|(rule, _)| *rule == ruling.rule)
    };
    if verdict.refusals().all(has_answer) {
        Ok(())
    } else {
        Err(Error::Rewinds { verdict: Box::new(verdict.clone()) })
    }
}

/// Whether it was stopped here. Without a command the node must not be running.
fn stop(node: &Node, control: &Control) -> Result<bool> {
    if node.profile.service.stop.is_none() {
        return Ok(false);
    }
    Ok(control.stop()? == Stopped::Now)
}

fn start_again(control: &Control, was_stopped_here: bool) -> Result<()> {
    if was_stopped_here {
        control.start()?;
    }
    Ok(())
}

/// A name beside a path: for what comes, and for what was.
fn beside(target: &Path, what: &str, snapshot: &NodeSnapshot) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.nodekeep-{what}-{}", snapshot.record.id.short()))
}

fn remove(path: &Path) -> Result<()> {
    let gone = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.map_err(Error::file(path, "cannot be removed"))
}

/// Copied and checked beside its place.
#[derive(Default)]
struct Staged {
    placed: Vec<(Placement, PathBuf)>,
    fetched: Vec<Fetched>,
}

impl Staged {
    fn discard(&self) {
        let placed = self.placed.iter().map(|(_, beside)| beside);
        for folder in placed.chain(self.fetched.iter().map(|fetched| &fetched.folder)) {
            // What cannot be removed is removed by the next restore of this snapshot.
            _ = remove(folder);
        }
    }
}

/// Checks every component of a node where its folders say, by the rules of its kind: a copy that nobody uses.
///
/// # Errors
/// If a component's path cannot be told.
pub fn verify_node(node: &Node) -> Result<Vec<(String, Verified)>> {
    let there =
        |located: &nodekeep_nodes::node::Located<'_>| located.path.symlink_metadata().is_ok();
    let others = lying(node);
    let wanted = |located: &nodekeep_nodes::node::Located<'_>| {
        there(located) && !located.component.on_request
    };
    let components = node.components()?.into_iter().filter(wanted);
    Ok(components
        .map(|located| {
            let verified = verify_component(node, &located, &located.path, &others);
            (located.component.name.clone(), verified)
        })
        .collect())
}

/// Puts what was restored in order before a node starts on it, where nothing else of a restore does; says what was done.
///
/// # Errors
/// If a component cannot be looked at or changed.
pub fn mend(node: &Node) -> Result<Vec<String>> {
    let there = |located: &nodekeep_nodes::node::Located<'_>| located.path.exists();
    let components = node.components()?.into_iter().filter(there);
    let mended = components.map(|located| kind::mend(&located.component.kind, &located.path));
    Ok(mended.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Checks components of a node in use, by name.
///
/// # Errors
/// If there is no such component, its kind can only be checked in a copy, or it cannot be looked at.
pub fn verify_live(node: &Node, names: &[String]) -> Result<Vec<(String, Verified)>> {
    let (only, skip) = (names.to_vec(), Vec::new());
    crate::capture::Wish { only, skip, ..Default::default() }.check(node)?;
    let others = lying(node);
    let mut all = Vec::new();
    for name in names {
        let located = node.component(name)?;
        let verified = kind::verify_live(&located.component.kind, &located.path, &others)?;
        let verified = verified.ok_or_else(|| Error::OnlyInCopy { component: name.clone() })?;
        all.push((name.clone(), verified));
    }
    Ok(all)
}

/// Where a node's components lie.
pub fn lying(node: &Node) -> Others {
    complete::lying(node, &[])
}

/// Checks every component of a placement by the rules of its kind, where it was copied to.
pub fn verify_placement(
    node: &Node,
    snapshot: &NodeSnapshot,
    placement: &Placement,
    at: &Path,
    others: &Others,
) -> Vec<(String, Verified)> {
    let mut verified = Vec::new();
    for located in node.components().unwrap_or_default() {
        let name = &located.component.name;
        let inner = located.path.strip_prefix(&placement.target);
        let (true, true, Ok(inner)) =
            (placement.components.contains(name), snapshot.holds(name), inner)
        else {
            continue;
        };
        let at = join(at, inner);
        verified.push((name.clone(), verify_component(node, &located, &at, others)));
    }
    verified
}

fn verify_component(
    node: &Node,
    located: &nodekeep_nodes::node::Located<'_>,
    at: &Path,
    others: &Others,
) -> Verified {
    let variables = node.variables();
    let component = located.component;
    let mut all = check(&component.kind, at, others, &variables);
    for part in &component.parts {
        let path = at.join(&part.path);
        if path.symlink_metadata().is_err() {
            continue;
        }
        let found = check(&part.kind, &path, others, &variables);
        all.position.join(&found.position);
        all.hashes.extend(found.hashes);
        let name = |check: kind::Check| kind::Check {
            name: format!("{}: {}", part.path, check.name),
            ..check
        };
        all.checks.extend(found.checks.into_iter().map(name));
    }
    all
}

fn check(
    kind: &nodekeep_nodes::profile::Kind,
    at: &Path,
    others: &Others,
    variables: &nodekeep_nodes::profile::Variables,
) -> Verified {
    kind::verify(kind, at, others, variables, CHECK_WITHIN).unwrap_or_else(|error| {
        let mut failed = Verified::default();
        failed.check(kind.word(), Outcome::Failed, error.to_string());
        failed
    })
}

/// What the snapshot says it lacks is told when it is back, and is no reason to lose the rest.
fn unsound(snapshot: &NodeSnapshot, (component, verified): &(String, Verified)) -> Option<Error> {
    let record = snapshot.manifest.components.iter().find(|record| record.name == *component);
    if record.is_some_and(|record| !record.missing.is_empty()) {
        return None;
    }
    let failed = verified.checks.iter().find(|check| check.outcome == Outcome::Failed)?;
    Some(Error::Unsound {
        component: component.clone(),
        check: failed.name.clone(),
        detail: failed.detail.clone(),
    })
}
