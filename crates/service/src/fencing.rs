//! The rollback fence of a node on this machine: what is recorded of it here and in the repository, and what that says about a restore.

use jiff::Timestamp;
use nodekeep_nodes::fence::journal::{Decision, Entry, History, Journal};
use nodekeep_nodes::fence::judge::{Verdict, judge};
use nodekeep_nodes::fence::known::Known;
use nodekeep_nodes::fence::look::{Look, Seen};
use nodekeep_nodes::fence::mark::{At, Origin, Reading};
use nodekeep_nodes::fence::read::{State as Lying, look};
use nodekeep_nodes::fence::retire::{Claim, Retirement, Sighting, claim};
use nodekeep_nodes::manifest::{Machine, Note};
use nodekeep_nodes::node::Node;
use nodekeep_repo::repository::SnapshotRecord;

use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::find::{NodeSnapshot, attachment};
use crate::records;
use crate::state::NodeState;

/// Name of the attachment with the marks of a snapshot: read before it was captured, so never above what it holds.
pub const LOOK: &str = "nodekeep.node/marks.json";
/// Name of the attachment with what this machine had recorded until then: it survives the loss of the machine.
pub const RECORDED: &str = "nodekeep.node/recorded.json";
/// So many readings of the journal go into each snapshot, the newest.
const CARRIED: usize = 100;

/// The fence's journal of a node on this machine.
pub fn journal(state: &NodeState) -> Journal {
    Journal::new(&state.folder().join("fence"))
}

/// What the journal says, and what a person should know about it.
///
/// # Errors
/// If it cannot be read at all.
pub fn history(state: &NodeState) -> Result<(History, Vec<Note>)> {
    let journal = journal(state);
    let history = journal.load()?;
    let note = history.damage.as_ref().map(|damage| {
        let text = format!(
            "{}: line {}: {}; what follows it is not believed",
            journal.path().display(),
            damage.line,
            damage.reason
        );
        Note::new("fence-journal-damaged", text)
    });
    Ok((history, note.into_iter().collect()))
}

/// Records what was seen, unless it says nothing new.
///
/// # Errors
/// If it cannot be written down.
pub fn record(state: &NodeState, machine: &Machine, origin: Origin, seen: &Look) -> Result<()> {
    let reading = seen.reading(At::from(Timestamp::now()), machine.clone(), origin);
    if reading.marks.is_empty() || !history(state)?.0.lacks(&reading) {
        return Ok(());
    }
    append(state, &Entry::Reading(reading))
}

/// A damaged journal is put aside first, and goes on with the lines that are true: a backup must not stop for it.
fn append(state: &NodeState, entry: &Entry) -> Result<()> {
    let journal = journal(state);
    journal.mend()?;
    Ok(journal.append(entry)?)
}

/// Records what somebody chose.
///
/// # Errors
/// If it cannot be written down: then nothing must be done.
pub fn decide(state: &NodeState, decision: Decision) -> Result<()> {
    append(state, &Entry::Decision(decision))
}

/// What a snapshot carries for the fence.
///
/// # Errors
/// If the journal cannot be read.
pub fn carried(state: &NodeState, seen: &Look) -> Result<Vec<(String, Vec<u8>)>> {
    let (history, _) = history(state)?;
    let readings = history.readings();
    let newest = &readings[readings.len().saturating_sub(CARRIED)..];
    let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
    Ok(vec![
        (LOOK.to_owned(), json(serde_json::to_vec(seen))),
        (RECORDED.to_owned(), json(serde_json::to_vec(newest))),
    ])
}

/// What the live node says of its marks.
pub fn look_live(node: &Node) -> Look {
    look(node, Lying::Live)
}

/// What is recorded of a node anywhere.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    history: History,
    readings: Vec<Reading>,
    retirements: Vec<Retirement>,
    sightings: Vec<Sighting>,
    /// What a person should know about the records.
    pub notes: Vec<Note>,
}

impl Recorded {
    /// From this machine's journal and all snapshots and records of the repository.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn of(state: &NodeState, node: &str, all: &[SnapshotRecord]) -> Result<Self> {
        let (history, notes) = history(state)?;
        let mut recorded = Self { notes, ..Self::default() };
        recorded.retirements = history.retirements();
        recorded.history = history;
        let (snapshots, _) = crate::find::of_node(all, node);
        for snapshot in &snapshots {
            recorded.take(snapshot);
        }
        for retirement in records::of_kind::<Retirement>(all, node, records::RETIREMENT) {
            recorded.retirements.push(retirement);
        }
        for reading in records::of_kind::<Reading>(all, node, records::MARKS) {
            recorded.sightings.push(Sighting::from(&reading));
            recorded.readings.push(reading);
        }
        Ok(recorded)
    }

    fn take(&mut self, snapshot: &NodeSnapshot) {
        let manifest = &snapshot.manifest;
        self.sightings.extend(Sighting::of_manifest(manifest));
        if let (Some(seen), Ok(at)) =
            (look_of(snapshot), At::try_from(manifest.captured_at.clone()))
        {
            self.readings.push(seen.reading(at, manifest.machine.clone(), Origin::Backup));
        }
        let carried = attachment(&snapshot.record, RECORDED);
        let carried = carried.and_then(|bytes| serde_json::from_slice::<Vec<Reading>>(bytes).ok());
        for reading in carried.unwrap_or_default() {
            if !self.readings.contains(&reading) {
                self.readings.push(reading);
            }
        }
    }

    /// The highest of everything.
    pub fn known(&self) -> Known {
        Known::of(&self.history.merge(&self.readings))
    }

    /// Whether a machine may take the identity.
    pub fn claim(&self, machine: &Machine) -> Claim {
        claim(&machine.id, &self.sightings, &self.retirements)
    }
}

/// The marks that a snapshot carries.
pub fn look_of(snapshot: &NodeSnapshot) -> Option<Look> {
    serde_json::from_slice(attachment(&snapshot.record, LOOK)?).ok()
}

/// Judges a restore of `snapshot`; `live` is what the stopped node says, if it is there.
///
/// State that the snapshot does not hold, and that does not lie here either, would be lost: that is a rewind to nothing.
pub fn verdict(
    node: &Node,
    recorded: &Recorded,
    snapshot: &NodeSnapshot,
    live: Option<&Look>,
    wants: impl Fn(&str) -> bool,
) -> Verdict {
    let mut of_it = look_of(snapshot).unwrap_or_default();
    let lies_here = |rule: &str| {
        live.and_then(|live| live.of(rule)).is_some_and(|seen| matches!(seen, Seen::Read(_)))
    };
    let mut rules = Vec::new();
    for rule in &node.profile.fence {
        let comes = wants(&rule.component) && snapshot.holds(&rule.component);
        if !comes && lies_here(&rule.name) {
            continue;
        }
        if !comes {
            let what = format!("`{}` is not restored", rule.component);
            of_it.0.insert(rule.name.clone(), Seen::Absent(what));
        }
        rules.push(rule.clone());
    }
    judge(&rules, &recorded.known(), &of_it, live, At::from(Timestamp::now()))
}

impl Ground<'_> {
    /// Retires a node on a machine: this one, or one that is certainly off.
    ///
    /// # Errors
    /// If it cannot be recorded here and in the repository.
    pub fn retire(
        &self,
        node: &str,
        machine: &Machine,
        last_seen: Option<At>,
        answer: String,
    ) -> Result<Retirement> {
        let state = self.state.of(node)?;
        let by = self.state.machine(&self.host)?;
        let at = At::from(Timestamp::now());
        let retirement = Retirement { at, machine: machine.clone(), by, last_seen, answer };
        append(&state, &Entry::Retirement(retirement.clone()))?;
        self.write_record(node, records::RETIREMENT, &retirement)?;
        Ok(retirement)
    }

    /// The machines that hold a node's identity by the repository, but this one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn holder(&self, node: &str, all: &[SnapshotRecord]) -> Result<Claim> {
        let state = self.state.of(node)?;
        let machine = self.state.machine(&self.host)?;
        Ok(Recorded::of(&state, node, all)?.claim(&machine))
    }
}

/// A claim that stands against a restore, as an error.
///
/// # Errors
/// [`Error::Held`] unless the identity is free.
pub fn refuse_held(node: &str, claim: &Claim) -> Result<()> {
    match claim {
        Claim::Free => Ok(()),
        other => Err(Error::Held { node: node.to_owned(), claim: other.to_string() }),
    }
}
