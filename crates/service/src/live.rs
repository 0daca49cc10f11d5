//! What lies on the machine now, beside what a snapshot says: in the node's own terms, and in the fence's.

use nodekeep_nodes::command::never;
use nodekeep_nodes::fence::judge::Verdict;
use nodekeep_nodes::manifest::{ComponentRecord, Status};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::position::Position;
use nodekeep_nodes::profile::Kind;
use nodekeep_repo::repository::SnapshotRecord;

use crate::backup::Ground;
use crate::capture::{Capturing, Memory, Wish};
use crate::error::Result;
use crate::find::NodeSnapshot;
use crate::holding::View;
use crate::restore;
use crate::staging::Staging;

/// A component, then and now.
#[derive(Debug, Clone)]
pub struct ThenAndNow {
    /// Its name.
    pub component: String,
    /// How far it had come.
    pub then: Position,
    /// How far it has come; `None` if that was not looked at, or cannot be told.
    pub now: Option<Position>,
    /// Why it was not, or what is not as it should be.
    pub notes: Vec<String>,
}

/// A snapshot against what lies here.
#[derive(Debug)]
pub struct Against {
    /// Every component of the snapshot.
    pub components: Vec<ThenAndNow>,
    /// What the fence says of a restore of it now.
    pub verdict: Verdict,
    /// Whether any of the node lies here.
    pub saw_live: bool,
}

impl Against {
    /// Counters that moved since: name, then, now.
    pub fn steps(&self) -> Vec<(String, u64, u64)> {
        let (mut then, mut now) = (Position::default(), Position::default());
        for component in &self.components {
            if let Some(seen) = &component.now {
                then.join(&component.then);
                now.join(seen);
            }
        }
        let steps = then.steps(&now).into_iter();
        steps.map(|(name, then, now)| (name.to_owned(), then, now)).collect()
    }
}

impl Ground<'_> {
    /// Compares a snapshot with what lies where the node is registered. The node is not held: each component is seen at a moment of its own.
    ///
    /// # Errors
    /// If another process works on the node, or its records cannot be read.
    pub fn against_live(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        all: &[SnapshotRecord],
    ) -> Result<Against> {
        let state = self.state.of(node.name())?;
        let _alone = state.alone(node.name())?;
        let plan = self.plan_restore(node, snapshot, all, &restore::Wish::default())?;
        let mut staging = Staging::begin(&state, node.name(), self.scratch.clone())?;
        let dumped = dumped(node);
        let wish = Wish { only: Vec::new(), skip: dumped.clone(), ..Wish::default() };
        let (view, memory) = (View::default(), Memory::new());
        let capturing = Capturing {
            node,
            wish: &wish,
            view: &view,
            memory: &memory,
            staging: &mut staging,
            stop: &never,
        };
        let seen = capturing.run()?.records;
        let held =
            snapshot.manifest.components.iter().filter(|record| snapshot.holds(&record.name));
        let components = held.map(|then| {
            let now = seen.iter().find(|now| now.name == then.name);
            beside(then, now, dumped.contains(&then.name))
        });
        Ok(Against {
            components: components.collect(),
            verdict: plan.verdict,
            saw_live: plan.saw_live,
        })
    }
}

/// Components that only a dump of all of them could tell of: none is made to compare or to count.
pub fn dumped(node: &Node) -> Vec<String> {
    let is_dumped = |kind: &Kind| matches!(kind, Kind::Command(_) | Kind::Postgres(_));
    let components = node.profile.components.iter();
    components.filter(|c| is_dumped(&c.kind)).map(|c| c.name.clone()).collect()
}

fn beside(then: &ComponentRecord, now: Option<&ComponentRecord>, is_dumped: bool) -> ThenAndNow {
    let mut compared = ThenAndNow {
        component: then.name.clone(),
        then: then.position.clone(),
        now: None,
        notes: Vec::new(),
    };
    match now {
        _ if is_dumped => {
            compared.notes.push("not looked at: only a dump of all of it could tell".to_owned());
        }
        None => compared.notes.push("the profile does not have it any more".to_owned()),
        Some(now) => {
            let is_seen = matches!(now.status, Status::Captured | Status::Partial);
            compared.now = is_seen.then(|| now.position.clone());
            if now.status == Status::Absent {
                compared.notes.push("it is not there".to_owned());
            }
            compared.notes.extend(now.notes.iter().map(|note| note.text.clone()));
        }
    }
    compared
}
