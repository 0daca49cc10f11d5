//! The node has stopped: the fence is asked for the last time, remedies are applied to the copies, and state is put in place.

use jiff::Timestamp;
use nodekeep_nodes::fence::journal::Decision;
use nodekeep_nodes::fence::judge::{Finding, Ruling, Verdict};
use nodekeep_nodes::fence::look::Look;
use nodekeep_nodes::fence::mark::{At, Origin};
use nodekeep_nodes::fence::read::{Site, State as Lying};
use nodekeep_nodes::fence::remedy::{self, Remedy};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::FenceRule;
use nodekeep_repo::repository::SnapshotRecord;

use super::place::left_out;
use super::stage::{Staged, beside, remove};
use super::swap::Swap;
use super::view::View;
use super::{Plan, Restored, Wish, giving};
use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::fencing::{self, Recorded};
use crate::find::NodeSnapshot;
use crate::ours;

impl Ground<'_> {
    pub(super) fn switch(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        wish: &Wish,
        (plan, staged): (&Plan, &Staged),
        restored: &mut Restored,
    ) -> Result<()> {
        let state = self.state.of(node.name())?;
        let verdict = self.last_verdict(node, snapshot, all, wish)?;
        decided(&verdict, wish)?;
        same_without(&verdict, wish, plan)?;
        self.apply_remedies(node, &verdict, wish, staged, restored)?;
        let mut swap = Swap::new(snapshot.record.id.hex());
        for (placement, copy) in &staged.files {
            // The same snapshot may have been restored before: what lay there then may be the only copy of it.
            let aside = ours::free(beside(&placement.target, "before", snapshot));
            let kept = left_out(placement, snapshot, node)?;
            swap.replace(copy, &placement.target, &aside, &kept)?;
        }
        for fetched in &staged.fetched {
            let aside = ours::free(beside(&fetched.target, "before", snapshot));
            swap.adopt(&fetched.folder, &fetched.target, &aside)?;
        }
        giving::begin(&state, snapshot, staged)?;
        swap.run(&state)?;
        for fetched in &staged.fetched {
            // It is empty now; what is left of it does no harm.
            _ = remove(&fetched.folder);
        }
        restored.placed =
            plan.placements.iter().map(|placement| placement.target.clone()).collect();
        restored.aside.clone_from(&swap.aside);
        Ok(())
    }

    /// What the node says now that it has stopped is recorded, and judged.
    fn last_verdict(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
        wish: &Wish,
    ) -> Result<Verdict> {
        let state = self.state.of(node.name())?;
        let live: Option<Look> = self.live(node);
        let recorded = Recorded::of(&state, node.name(), all)?;
        let wants = |component: &str| wish.wants(component);
        let verdict = fencing::verdict(node, &recorded, snapshot, live.as_ref(), wants);
        if let Some(live) = &live {
            self.record_true(node, &verdict, live)?;
        }
        Ok(verdict)
    }

    /// Records what the live state says, but for rules of which it is not the state that was in use last.
    pub(super) fn record_true(&self, node: &Node, verdict: &Verdict, live: &Look) -> Result<()> {
        let state = self.state.of(node.name())?;
        let machine = self.state.machine(&self.host)?;
        let is_doubtful = |rule: &str| {
            let mut rulings = verdict.rulings.iter().filter(|ruling| ruling.rule == rule);
            rulings.any(|ruling| matches!(ruling.finding, Finding::Unknown(_)))
        };
        let rules = live.0.iter().filter(|(rule, _)| !is_doubtful(rule));
        let live = Look(rules.map(|(rule, seen)| (rule.clone(), seen.clone())).collect());
        fencing::record(&state, &machine, Origin::Restore, &live)
    }

    fn apply_remedies(
        &self,
        node: &Node,
        verdict: &Verdict,
        wish: &Wish,
        staged: &Staged,
        restored: &mut Restored,
    ) -> Result<()> {
        let state = self.state.of(node.name())?;
        let machine = self.state.machine(&self.host)?;
        for ruling in verdict.refusals() {
            let chosen = wish.remedy(ruling);
            let rule = node.profile.fence.iter().find(|rule| rule.name == ruling.rule);
            let Some(rule) = rule else { continue };
            let said = match chosen {
                Some(Remedy::Without) => {
                    vec![format!("`{}` was left out", ruling.component)]
                }
                Some(remedy) => self.apply_remedy(node, rule, ruling, remedy, staged)?,
                None => vec![ruling.to_string()],
            };
            let decision = Decision {
                at: At::from(Timestamp::now()),
                machine: machine.clone(),
                rule: ruling.rule.clone(),
                choice: chosen.map_or("accept-rollback", Remedy::word).to_owned(),
                reason: match chosen {
                    None => wish.accept_rollback.clone().unwrap_or_default(),
                    Some(_) => String::new(),
                },
                said: said.clone(),
            };
            fencing::decide(&state, decision)?;
            match &wish.accept_rollback {
                Some(reason) if chosen.is_none() => restored
                    .remedies
                    .push(format!("`{}` runs backwards, as accepted: {reason}", ruling.rule)),
                _ => restored.remedies.extend(said),
            }
        }
        Ok(())
    }

    fn apply_remedy(
        &self,
        node: &Node,
        rule: &FenceRule,
        ruling: &Ruling,
        chosen: Remedy,
        staged: &Staged,
    ) -> Result<Vec<String>> {
        let view = View::of(node, staged, &self.scratch.join(format!("remedy-{}", node.name())))?;
        let Some(path) = view.path(node, &rule.component)? else { return Ok(Vec::new()) };
        let variables = view.node(node).variables();
        let site = Site { path: &path, variables: &variables, state: Lying::Copy };
        let said = remedy::plan(rule, ruling, chosen)?.apply(rule, site, &self.scratch)?;
        view.end()?;
        Ok(said)
    }
}

/// Components that a remedy leaves out; a remedy that is none is refused.
pub(super) fn left_by_remedies(verdict: &Verdict, wish: &Wish) -> Result<Vec<String>> {
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
pub(super) fn decided(verdict: &Verdict, wish: &Wish) -> Result<()> {
    let has_answer =
        |ruling: &Ruling| wish.accept_rollback.is_some() || wish.remedy(ruling).is_some();
    if verdict.refusals().all(has_answer) { Ok(()) } else { Err(rewinds(verdict)) }
}

/// What a node wrote until it stopped can call for leaving out what was copied already: then nothing is put in place.
fn same_without(verdict: &Verdict, wish: &Wish, plan: &Plan) -> Result<()> {
    let without = left_by_remedies(verdict, wish)?;
    let is_same = without.iter().all(|component| plan.without.contains(component));
    if is_same { Ok(()) } else { Err(rewinds(verdict)) }
}

fn rewinds(verdict: &Verdict) -> Error {
    Error::Rewinds { verdict: Box::new(verdict.clone()) }
}
