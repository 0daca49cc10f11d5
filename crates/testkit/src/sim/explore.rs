//! Visits every state that a scenario can come into, once, and asks the judge at each.

use super::actor::Program;
use super::faults::{Faults, Way};
use super::intern::Map;
use super::judge::Judge;
use super::reduce::{Mask, NETWORK, Scene};
use super::trie::{DEAD, Step, Trie};
use super::world::Stock;

/// At most so many actors.
pub const MOST_ACTORS: usize = 5;

/// An actor of a scenario.
#[derive(Clone)]
pub struct Actor {
    /// What it does.
    pub program: Program,
    /// Whether it must succeed where nothing has gone wrong.
    pub succeeds: bool,
}

/// Where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The world's number.
    pub world: u32,
    /// Each actor's node.
    pub nodes: [u32; MOST_ACTORS],
    /// Faults so far.
    pub spent: u8,
    /// Actors that died with their machine.
    pub dead: u8,
}

/// One step: whose, and how it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The actor, or [`NETWORK`].
    pub actor: u8,
    /// How.
    pub way: Way,
}

/// What was explored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Different states in which there was a choice, or nothing more to do.
    pub states: u64,
    /// Steps that were taken, also those that nothing else can matter to: no state is kept between them.
    pub transitions: u64,
    /// Different contents of the store.
    pub worlds: u64,
    /// Different histories of actors.
    pub histories: u64,
    /// Times that the engine was run from its start.
    pub runs: u64,
    /// States in which everybody has ended.
    pub ends: u64,
}

impl Tally {
    /// Adds another scenario's.
    pub fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.worlds += other.worlds;
        self.histories += other.histories;
        self.runs += other.runs;
        self.ends += other.ends;
    }
}

/// A promise that was broken, and how it came to that.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// The steps.
    pub steps: Vec<Move>,
}

/// Everything about one scenario while it is explored.
pub struct Explorer {
    /// Names, contents, worlds.
    pub stock: Stock,
    /// What actors do.
    pub trie: Trie,
    /// Says whether a state keeps all promises.
    pub judge: Judge,
    pub(super) programs: Vec<u16>,
    pub(super) succeeds: Vec<bool>,
    pub(super) faults: Faults,
    pub(super) first: u32,
    numbers: Map<State, u32>,
    pub(super) states: Vec<State>,
    from: Vec<Trail>,
    done: Vec<Mask>,
    open: Vec<u32>,
    /// States to be looked at again, when nothing is open.
    again: Vec<u32>,
    waits: Vec<bool>,
    /// States that rely on what actors do from a node on.
    watch: Map<u32, Vec<u32>>,
    /// Whether every order is tried.
    every_order: bool,
    tally: Tally,
    /// A condemned name that came back.
    pub(super) returned: Option<String>,
}

fn walked(step: Move, then: &[u8]) -> Vec<Move> {
    let on = then.iter().map(|actor| Move { actor: *actor, way: Way::Well });
    std::iter::once(step).chain(on).collect()
}

/// What the exploration of one state found.
type Found = Result<(), String>;

/// How it came to a state: from which, by which step, and which actors' steps then followed of themselves.
struct Trail {
    from: u32,
    step: Move,
    then: Box<[u8]>,
}

impl Explorer {
    /// Ready to explore from a world on.
    pub fn new(
        mut stock: Stock,
        mut trie: Trie,
        judge: Judge,
        first: u32,
        actors: &[Actor],
        faults: Faults,
    ) -> Self {
        assert!(actors.len() <= MOST_ACTORS, "at most {MOST_ACTORS} actors");
        let programs: Vec<u16> = actors.iter().map(|a| trie.add(a.program.clone())).collect();
        for program in &programs {
            trie.root(*program, &mut stock);
        }
        Self {
            stock,
            trie,
            judge,
            programs,
            succeeds: actors.iter().map(|a| a.succeeds).collect(),
            faults,
            first,
            numbers: Map::default(),
            states: Vec::new(),
            from: Vec::new(),
            done: Vec::new(),
            open: Vec::new(),
            again: Vec::new(),
            waits: Vec::new(),
            watch: Map::default(),
            every_order: false,
            tally: Tally::default(),
            returned: None,
        }
    }

    /// The state in which nobody has done anything.
    pub fn beginning(&mut self) -> State {
        let mut nodes = [u32::MAX; MOST_ACTORS];
        for (actor, program) in self.programs.iter().enumerate() {
            nodes[actor] = self.trie.root(*program, &mut self.stock);
        }
        State { world: self.first, nodes, spent: 0, dead: 0 }
    }

    /// Has every order tried, to show that nothing is missed otherwise.
    #[must_use]
    pub fn in_every_order(mut self) -> Self {
        self.every_order = true;
        self
    }

    /// Explores everything, or until a promise is broken.
    pub fn run(&mut self, most_states: usize) -> (Tally, Option<Failure>) {
        let beginning = self.beginning();
        let nowhere = Move { actor: 0, way: Way::Well };
        let trail = Trail { from: u32::MAX, step: nowhere, then: Box::default() };
        let first = self.examine(&beginning);
        let mut found = first.map_err(|what| Failure { what, steps: Vec::new() });
        self.keep(beginning, trail);
        while found.is_ok() {
            let Some(state) = self.open.pop().or_else(|| self.again.pop()) else { break };
            found = self.expand(state);
            self.reopen();
            if self.states.len() > most_states {
                let what = format!("more than {most_states} states: the scenario is too large");
                found = Err(Failure { what, steps: Vec::new() });
            }
        }
        self.tally.states = self.states.len() as u64;
        self.tally.worlds = self.stock.worlds.len() as u64;
        self.tally.histories = self.trie.len() as u64;
        self.tally.runs = self.trie.runs;
        (self.tally, found.err())
    }

    /// A failure on the way from a state.
    fn failure(&self, what: String, from: u32, step: Move, then: &[u8]) -> Failure {
        let mut parts = vec![walked(step, then)];
        let mut state = from;
        while let Some(trail) = self.from.get(state as usize).filter(|t| t.from != u32::MAX) {
            parts.push(walked(trail.step, &trail.then));
            state = trail.from;
        }
        Failure { what, steps: parts.into_iter().rev().flatten().collect() }
    }

    /// Keeps a state that was not known.
    fn keep(&mut self, state: State, trail: Trail) {
        if self.numbers.contains_key(&state) {
            return;
        }
        let number = u32::try_from(self.states.len()).expect("fewer states than numbers");
        self.numbers.insert(state, number);
        self.states.push(state);
        self.from.push(trail);
        self.done.push(0);
        self.waits.push(false);
        self.open.push(number);
        self.tally.ends += u64::from(self.has_ended(&state));
    }

    /// Whether nothing can happen any more.
    pub(super) fn has_ended(&self, state: &State) -> bool {
        self.scene(state).everything() == 0
    }

    /// Asks the judge.
    pub(super) fn examine(&mut self, state: &State) -> Found {
        let (mut promised, mut gone) = (Vec::new(), Vec::new());
        for actor in 0..self.programs.len() {
            let Some(outcome) = self.trie.outcome(state.nodes[actor]) else {
                continue;
            };
            let name = self.trie.name(self.programs[actor]);
            if let Some(broken) = &outcome.broken {
                return Err(format!("{name}: {broken}"));
            }
            if self.succeeds[actor] && !outcome.ok && state.spent == 0 {
                return Err(format!("{name} failed though nothing went wrong: {}", outcome.said));
            }
            promised.extend(outcome.made);
            gone.extend(outcome.gone.iter().copied());
        }
        self.judge.world(&mut self.trie, &mut self.stock, state.world, &promised, &gone)?;
        if let Some(broken) = &self.returned {
            return Err(broken.clone());
        }
        if self.has_ended(state) {
            self.judge.end(&mut self.trie, &mut self.stock, state.world)?;
        }
        Ok(())
    }

    pub(super) fn scene<'a>(&'a self, state: &State) -> Scene<'a> {
        let node = |actor: usize| {
            let alive = state.dead >> actor & 1 == 0;
            let node = state.nodes[actor];
            (alive && node != DEAD && matches!(self.trie.step(node), Step::Ask(_))).then_some(node)
        };
        Scene {
            trie: &self.trie,
            stock: &self.stock,
            world: self.stock.worlds.get(state.world),
            nodes: (0..self.programs.len()).map(node).collect(),
            strict: self.power_may_fail(state) || self.judge.always_mendable,
        }
    }

    pub(super) fn power_may_fail(&self, state: &State) -> bool {
        self.faults.power != 0 && state.spent < self.faults.budget
    }

    /// Those whose steps are tried at a state.
    fn enough(&self, scene: &Scene<'_>, done: Mask) -> Mask {
        match done {
            _ if self.every_order => scene.everything(),
            0 => scene.enough(),
            done if scene.still_enough(done) => done,
            _ => scene.everything(),
        }
    }

    fn expand(&mut self, number: u32) -> Result<(), Failure> {
        self.waits[number as usize] = false;
        let state = self.states[number as usize];
        let scene = self.scene(&state);
        let enough = self.enough(&scene, self.done[number as usize]);
        let mut relied = scene.others(enough);
        let hidden = enough != scene.everything();
        self.done[number as usize] |= enough;
        for (step, next) in self.successors(&state, enough) {
            self.follow_on(number, (step, next), hidden, &mut relied)?;
        }
        relied.sort_unstable();
        relied.dedup();
        for node in relied {
            self.watch.entry(node).or_default().push(number);
        }
        Ok(())
    }

    /// Goes on from a state as long as there is one step that is enough, and keeps the state where it ends. `hidden`: the first step was
    /// chosen because nobody can notice.
    fn follow_on(
        &mut self,
        number: u32,
        (step, mut state): (Move, State),
        mut hidden: bool,
        relied: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let (mut before, mut last, mut then) =
            (self.states[number as usize], step, Vec::<u8>::new());
        loop {
            self.tally.transitions += 1;
            if let Err(what) = self.look(&before, last, &state, hidden) {
                return Err(self.failure(what, number, step, &then));
            }
            let Some(actor) = self.only(&state) else { break };
            let scene = self.scene(&state);
            hidden = scene.everything() != 1 << actor;
            relied.extend(scene.others(1 << actor));
            last = Move { actor: actor as u8, way: Way::Well };
            let call = self.call(&state, actor).expect("it was chosen for its call");
            (before, state) = (state, self.step(&state, last, call));
            then.push(last.actor);
        }
        self.keep(state, Trail { from: number, step, then: then.into() });
        Ok(())
    }

    /// Examines what a step has changed.
    pub(super) fn look(
        &mut self,
        before: &State,
        step: Move,
        after: &State,
        hidden: bool,
    ) -> Found {
        let actor = usize::from(step.actor);
        let ended = actor < MOST_ACTORS && self.trie.outcome(after.nodes[actor]).is_some();
        if before.world == after.world && !ended && actor != NETWORK {
            return Ok(());
        }
        self.examine(after)?;
        if hidden && !self.judge.sees_the_same(&self.stock, before.world, after.world) {
            return Err("a step that was taken for one that nobody notices was noticed".to_owned());
        }
        Ok(())
    }

    /// The only actor whose step must be tried, if it can go in one way only.
    fn only(&self, state: &State) -> Option<usize> {
        if self.every_order || self.power_may_fail(state) {
            return None;
        }
        let scene = self.scene(state);
        let enough = scene.enough();
        let actor = enough.trailing_zeros() as usize;
        if enough.count_ones() != 1 || actor == NETWORK {
            return None;
        }
        let call = self.call(state, actor)?;
        let faultless = state.spent >= self.faults.budget;
        (faultless || self.faults.ways(call, &self.stock).is_empty()).then_some(actor)
    }

    /// Notes the states to be looked at again because an actor turns out to touch more than was known.
    fn reopen(&mut self) {
        for node in std::mem::take(&mut self.trie.grown) {
            for number in self.watch.remove(&node).unwrap_or_default() {
                if !std::mem::replace(&mut self.waits[number as usize], true) {
                    self.again.push(number);
                }
            }
        }
    }
}
