//! The promises. Each world is read by the real engine; that the engine is run only for what it has not read before makes it affordable.

use nodekeep_repo::id::SnapshotId;

use super::actor::{Outcome, Program};
use super::intern::{Interner, Map};
use super::trie::{Step, Trie};
use super::world::Stock;

/// The number that work outside of the scenario has as an actor.
const OUTSIDER: u8 = 6;

/// What must hold, and the programs that find out.
pub struct Judge {
    reader: u16,
    keeper: u16,
    checker: u16,
    /// Snapshots that nobody deletes.
    kept: Vec<SnapshotId>,
    /// Snapshots that somebody may delete.
    may_go: Vec<SnapshotId>,
    /// Whether every world, and not only those at an end, must be one that a keeper can bring in order.
    pub(super) always_mendable: bool,
    contents: Interner<[(u32, u32)]>,
    seen: Map<u32, Result<Vec<SnapshotId>, String>>,
    mended: Map<u32, Result<u32, String>>,
}

/// Programs that a judge uses.
pub struct Experts {
    /// Reads every snapshot.
    pub reader: Program,
    /// Collects.
    pub keeper: Program,
    /// Checks all data.
    pub checker: Program,
}

impl Judge {
    /// A judge for a scenario.
    pub fn new(
        trie: &mut Trie,
        experts: Experts,
        kept: Vec<SnapshotId>,
        may_go: Vec<SnapshotId>,
        always_mendable: bool,
    ) -> Self {
        Self {
            reader: trie.add(experts.reader),
            keeper: trie.add(experts.keeper),
            checker: trie.add(experts.checker),
            kept,
            may_go,
            always_mendable,
            contents: Interner::default(),
            seen: Map::default(),
            mended: Map::default(),
        }
    }

    /// A world's number for this purpose: what is under way, was deleted or is loose does not matter.
    fn number(&mut self, stock: &Stock, world: u32) -> u32 {
        let objects: Vec<(u32, u32)> =
            stock.worlds.get(world).objects.iter().map(|e| (e.name, e.content)).collect();
        self.contents.number(objects.as_slice())
    }

    /// Whether a world keeps what was promised: these snapshots, and those from before.
    pub fn world(
        &mut self,
        trie: &mut Trie,
        stock: &mut Stock,
        world: u32,
        promised: &[SnapshotId],
        gone: &[SnapshotId],
    ) -> Result<(), String> {
        let number = self.number(stock, world);
        if !self.seen.contains_key(&number) {
            let (_, outcome) = run_alone(trie, stock, self.reader, world);
            self.seen.insert(number, seen(outcome));
        }
        let seen = self.seen[&number].as_ref().map_err(String::clone)?;
        for id in self.kept.iter().chain(promised) {
            if !seen.contains(id) && !self.may_go.contains(id) {
                return Err(format!("snapshot {} was committed and is not listed", id.short()));
            }
        }
        if let Some(id) = gone.iter().find(|id| seen.contains(id)) {
            return Err(format!("snapshot {} was deleted and is listed", id.short()));
        }
        if self.always_mendable { self.end(trie, stock, world) } else { Ok(()) }
    }

    /// Whether two worlds that were judged show the same snapshots.
    pub fn sees_the_same(&mut self, stock: &Stock, one: u32, other: u32) -> bool {
        let (one, other) = (self.number(stock, one), self.number(stock, other));
        self.seen.get(&one) == self.seen.get(&other)
    }

    /// Whether a keeper that comes now brings everything in order, and loses nothing.
    pub fn end(&mut self, trie: &mut Trie, stock: &mut Stock, world: u32) -> Result<(), String> {
        let number = self.number(stock, world);
        if let Some(done) = self.mended.get(&number) {
            return done.clone().map(|_| ());
        }
        let done = self.mend(trie, stock, world, number);
        self.mended.insert(number, done.clone());
        done.map(|_| ())
    }

    fn mend(
        &mut self,
        trie: &mut Trie,
        stock: &mut Stock,
        world: u32,
        number: u32,
    ) -> Result<u32, String> {
        let (after, outcome) = run_alone(trie, stock, self.keeper, world);
        if let Some(broken) = outcome.broken.or((!outcome.ok).then_some(outcome.said)) {
            return Err(format!("a later collection: {broken}"));
        }
        let (after, outcome) = run_alone(trie, stock, self.checker, after);
        if let Some(broken) = outcome.broken.or((!outcome.ok).then_some(outcome.said)) {
            return Err(format!("a check after a later collection: {broken}"));
        }
        let before = self.seen.get(&number).cloned().unwrap_or(Ok(Vec::new()))?;
        let (_, outcome) = run_alone(trie, stock, self.reader, after);
        let now = seen(outcome).map_err(|what| format!("after a later collection: {what}"))?;
        match before.iter().find(|id| !now.contains(id)) {
            None => Ok(after),
            Some(id) => Err(format!("snapshot {} is lost by a later collection", id.short())),
        }
    }
}

fn seen(outcome: Outcome) -> Result<Vec<SnapshotId>, String> {
    match outcome.broken {
        Some(broken) => Err(broken),
        None if outcome.ok => Ok(outcome.seen),
        None => Err(format!("the repository cannot be read: {}", outcome.said)),
    }
}

/// Runs a program while nobody else does anything.
pub fn run_alone(
    trie: &mut Trie,
    stock: &mut Stock,
    program: u16,
    mut world: u32,
) -> (u32, Outcome) {
    let mut node = trie.root(program, stock);
    loop {
        match trie.step(node) {
            Step::End(outcome) => return (world, trie.outcomes[outcome as usize].clone()),
            Step::Ask(call) => {
                let (next, said) = stock.apply(world, call, OUTSIDER, false);
                world = next;
                node = trie.child(node, said, stock);
            }
        }
    }
}
