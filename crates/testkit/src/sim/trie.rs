//! Everything that actors were seen to do: for each program a tree whose branches are the answers it got. The engine runs only where the
//! tree ends. Each node also knows what its actor may touch from there on, as far as that was seen.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::actor::{Event, Outcome, Program, Record, Running};
use super::intern::{Interner, Map};
use super::touch::{Sought, Touch};
use super::world::{Call, Said, Stock};

/// What an actor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asks the store.
    Ask(Call),
    /// Nothing: it has ended, with this outcome.
    End(u32),
}

#[derive(Debug, Clone, Copy)]
struct Node {
    program: u16,
    depth: u16,
    parent: u32,
    said: Option<Said>,
    step: Step,
    /// Number of the set of what is touched from here on.
    touches: u32,
}

/// The place of an actor that died with its machine.
pub const DEAD: u32 = u32::MAX;
/// An actor that takes more steps than any honest run does not end.
const MOST_STEPS: u16 = 3000;
/// So many threads may wait for their next answer.
const MOST_WAITING: usize = 48;

/// The trees.
pub struct Trie {
    programs: Vec<Program>,
    roots: Vec<Option<u32>>,
    nodes: Vec<Node>,
    children: Map<(u32, Said), u32>,
    /// Nodes at which all that comes follows from what the actor said.
    settled: Map<(u16, [u8; 32]), u32>,
    ends: Map<(u16, u32), u32>,
    /// Parents besides the first.
    others: Map<u32, Vec<u32>>,
    /// Histories that were merged into others: the node before, what was said there, and the node that stands for them.
    pub(super) merged: Vec<(u32, Said, u32)>,
    /// Outcomes.
    pub outcomes: Vec<Outcome>,
    outcome_numbers: Map<Outcome, u32>,
    waiting: VecDeque<(u32, Running)>,
    touches: Vec<Touch>,
    touch_numbers: Map<Touch, u32>,
    sets: Interner<[u64]>,
    /// For each thing that was asked about: which touches meet it, of so many that were looked at.
    met: RefCell<Map<Sought, (usize, Vec<u64>)>>,
    /// Nodes whose sets have grown since the last look.
    pub grown: Vec<u32>,
    /// Runs of the engine from its start.
    pub runs: u64,
}

impl Trie {
    /// Trees of a single node each.
    pub fn new() -> Self {
        let mut sets = Interner::default();
        sets.number::<[u64]>(&[]);
        Self {
            programs: Vec::new(),
            roots: Vec::new(),
            nodes: Vec::new(),
            children: Map::default(),
            settled: Map::default(),
            ends: Map::default(),
            others: Map::default(),
            merged: Vec::new(),
            outcomes: Vec::new(),
            outcome_numbers: Map::default(),
            waiting: VecDeque::new(),
            touches: Vec::new(),
            touch_numbers: Map::default(),
            sets,
            met: RefCell::default(),
            grown: Vec::new(),
            runs: 0,
        }
    }

    /// Adds a program; returns its number.
    pub fn add(&mut self, program: Program) -> u16 {
        self.programs.push(program);
        self.roots.push(None);
        (self.programs.len() - 1) as u16
    }

    /// A program's name.
    pub fn name(&self, program: u16) -> &str {
        &self.programs[usize::from(program)].name
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What comes at a node.
    pub fn step(&self, node: u32) -> Step {
        self.nodes[node as usize].step
    }

    /// The outcome, if the node is an end.
    pub fn outcome(&self, node: u32) -> Option<&Outcome> {
        if node == DEAD {
            return None;
        }
        match self.step(node) {
            Step::Ask(_) => None,
            Step::End(outcome) => Some(&self.outcomes[outcome as usize]),
        }
    }

    /// Where a program begins.
    pub fn root(&mut self, program: u16, stock: &mut Stock) -> u32 {
        if let Some(root) = self.roots[usize::from(program)] {
            return root;
        }
        let running = self.run(program, Vec::new());
        let node = Node {
            program,
            depth: 0,
            parent: u32::MAX,
            said: None,
            step: Step::End(0),
            touches: 0,
        };
        let root = self.settle(node, running, stock);
        self.roots[usize::from(program)] = Some(root);
        root
    }

    /// Where an actor is after an answer.
    pub fn child(&mut self, node: u32, said: Said, stock: &mut Stock) -> u32 {
        if let Some(child) = self.children.get(&(node, said)) {
            return *child;
        }
        let Step::Ask(call) = self.step(node) else {
            unreachable!("an actor that has ended is told nothing");
        };
        let running = self.at(node, stock);
        running.tell(stock.reply(call, said));
        let Node { program, depth, .. } = self.nodes[node as usize];
        let child = Node {
            program,
            depth: depth + 1,
            parent: node,
            said: Some(said),
            step: Step::End(0),
            touches: 0,
        };
        let child = self.settle(child, running, stock);
        self.children.insert((node, said), child);
        child
    }

    fn run(&mut self, program: u16, record: Record) -> Running {
        self.runs += 1;
        Running::start(&self.programs[usize::from(program)], record)
    }

    /// A thread that waits at a node.
    fn at(&mut self, node: u32, stock: &Stock) -> Running {
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == node) {
            return self.waiting.remove(at).expect("it was found there").1;
        }
        let running = self.run(self.nodes[node as usize].program, self.record(node, stock));
        if let Event::End(outcome) = running.next() {
            let what = outcome.broken.unwrap_or(outcome.said);
            panic!("not deterministic: {} ended early: {what}", self.name_at(node));
        }
        running
    }

    /// A thread that has just been given an answer after a node.
    pub(super) fn run_from(&mut self, node: u32, said: Said, stock: &Stock) -> Running {
        let Step::Ask(call) = self.step(node) else {
            unreachable!("only who asks is answered");
        };
        let mut record = self.record(node, stock);
        record.push((stock.request(call), stock.reply(call, said)));
        self.run(self.nodes[node as usize].program, record)
    }

    /// What was said after each node, and where that led.
    pub(super) fn children(&self) -> Map<u32, Vec<(Said, u32)>> {
        let mut children: Map<u32, Vec<(Said, u32)>> = Map::default();
        for ((node, said), child) in &self.children {
            children.entry(*node).or_default().push((*said, *child));
        }
        children
    }

    pub(super) fn name_at(&self, node: u32) -> &str {
        self.name(self.nodes[node as usize].program)
    }

    fn record(&self, mut node: u32, stock: &Stock) -> Record {
        let mut record = Vec::new();
        while let Node { parent, said: Some(said), .. } = self.nodes[node as usize] {
            let Step::Ask(call) = self.step(parent) else {
                unreachable!("only who asks is answered");
            };
            record.push((stock.request(call), stock.reply(call, said)));
            node = parent;
        }
        record.reverse();
        record
    }

    /// Takes in what a thread does next.
    fn settle(&mut self, mut node: Node, running: Running, stock: &mut Stock) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("fewer nodes than numbers");
        let mut known = None;
        node.step = match running.next() {
            Event::Ask(..) if node.depth > MOST_STEPS => Step::End(self.ended(Outcome {
                broken: Some("it does not end".to_owned()),
                ..Outcome::default()
            })),
            Event::Ask(request, settled) => {
                known =
                    settled.map(|hash| *self.settled.entry((node.program, hash)).or_insert(number));
                Step::Ask(stock.call(&request))
            }
            Event::End(outcome) => {
                let outcome = self.ended(outcome);
                known = Some(*self.ends.entry((node.program, outcome)).or_insert(number));
                Step::End(outcome)
            }
        };
        if let Some(known) = known.filter(|known| *known != number) {
            assert!(
                self.step(known) == node.step,
                "{}: settled too early",
                self.name(node.program)
            );
            self.adopt(known, node.parent);
            self.merged.extend(node.said.map(|said| (node.parent, said, known)));
            return known;
        }
        self.nodes.push(node);
        if let Step::Ask(call) = node.step {
            self.waiting.push_back((number, running));
            if self.waiting.len() > MOST_WAITING {
                self.waiting.pop_front();
            }
            if let Some(touch) = Touch::of(call) {
                self.note(number, touch);
            }
        }
        number
    }

    fn ended(&mut self, outcome: Outcome) -> u32 {
        if let Some(number) = self.outcome_numbers.get(&outcome) {
            return *number;
        }
        let number = self.outcomes.len() as u32;
        self.outcomes.push(outcome.clone());
        self.outcome_numbers.insert(outcome, number);
        number
    }

    /// Gives a node one more parent.
    fn adopt(&mut self, node: u32, parent: u32) {
        if parent == u32::MAX {
            return;
        }
        self.others.entry(node).or_default().push(parent);
        let touches: Vec<usize> = self.numbers(node).collect();
        for touch in touches {
            self.spread(parent, touch);
        }
    }

    /// Adds a touch to a node and to those before it.
    fn note(&mut self, node: u32, touch: Touch) {
        let touches = &mut self.touches;
        let number = *self.touch_numbers.entry(touch).or_insert_with(|| {
            touches.push(touch);
            touches.len() as u32 - 1
        }) as usize;
        self.spread(node, number);
    }

    fn spread(&mut self, node: u32, number: usize) {
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            let Node { touches, parent, .. } = self.nodes[node as usize];
            let set = self.sets.get(touches);
            if set.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1) {
                continue;
            }
            let mut larger = set.to_vec();
            larger.resize(larger.len().max(number / 64 + 1), 0);
            larger[number / 64] |= 1 << (number % 64);
            self.nodes[node as usize].touches = self.sets.number(larger.as_slice());
            self.grown.push(node);
            todo.extend(Some(parent).filter(|parent| *parent != u32::MAX));
            todo.extend(self.others.get(&node).into_iter().flatten());
        }
    }

    /// Whether an actor may, from a node on, touch something that is sought and that `counts`.
    pub fn may_touch(
        &self,
        node: u32,
        sought: Sought,
        names: &Interner<str>,
        counts: impl Fn(Touch) -> bool,
    ) -> bool {
        let mut met = self.met.borrow_mut();
        let (known, mask) = met.entry(sought).or_default();
        for (number, touch) in self.touches.iter().enumerate().skip(*known) {
            mask.resize(mask.len().max(number / 64 + 1), 0);
            mask[number / 64] |= u64::from(sought.is_met(*touch, names)) << (number % 64);
        }
        *known = self.touches.len();
        let set = self.sets.get(self.nodes[node as usize].touches);
        let common = set.iter().zip(&*mask).map(|(set, mask)| set & mask);
        bits(common).any(|number| counts(self.touches[number]))
    }

    fn numbers(&self, node: u32) -> impl Iterator<Item = usize> + '_ {
        bits(self.sets.get(self.nodes[node as usize].touches).iter().copied())
    }
}

/// The numbers of the bits that are set.
fn bits(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros())?;
            word &= word - 1;
            Some(at * 64 + bit as usize)
        })
    })
}
