//! What one step of a state leads to, in every way in which it can go.

use super::explore::{Explorer, Move, State};
use super::faults::{LOSSES, Way, arrive, go, lose};
use super::reduce::{Mask, NETWORK};
use super::trie::{DEAD, Step};
use super::world::Call;

fn is_pack(name: &str) -> bool {
    nodekeep_repo::names::parse_pack(name).is_some()
}

impl Explorer {
    /// All that can come next by the steps of these.
    pub(super) fn successors(&mut self, state: &State, todo: Mask) -> Vec<(Move, State)> {
        let mut all = Vec::new();
        for actor in (0..self.programs.len()).filter(|actor| todo >> actor & 1 == 1) {
            if let Some(call) = self.call(state, actor) {
                self.steps_of(state, actor, call, &mut all);
            }
        }
        if todo >> NETWORK & 1 == 1 {
            for flight in self.stock.worlds.get(state.world).flights.clone() {
                let world = arrive(&mut self.stock, state.world, flight);
                let step = Move { actor: NETWORK as u8, way: Way::Arrives(flight) };
                all.push((step, State { world, ..*state }));
            }
        }
        if self.power_may_fail(state) && todo != 0 {
            self.losses(state, &mut all);
        }
        all
    }

    fn steps_of(&mut self, state: &State, actor: usize, call: Call, all: &mut Vec<(Move, State)>) {
        let mut ways = vec![Way::Well];
        if state.spent < self.faults.budget {
            ways.extend(self.faults.ways(call, &self.stock));
        }
        for way in ways {
            let step = Move { actor: actor as u8, way };
            all.push((step, self.step(state, step, call)));
        }
    }

    pub(super) fn step(&mut self, state: &State, step: Move, call: Call) -> State {
        let actor = usize::from(step.actor);
        let power = self.faults.power != 0;
        let (world, said) =
            go(&mut self.stock, state.world, call, step.way, step.actor, power, self.first);
        if let Call::Create { name, .. } = call
            && world != state.world
            && self.stock.worlds.get(state.world).was_deleted(name)
            && is_pack(self.stock.names.get(name))
        {
            self.returned =
                Some(format!("{} was deleted and is made again", self.stock.short(name)));
        }
        let mut next = State { world, ..*state };
        next.spent += u8::from(step.way != Way::Well);
        next.nodes[actor] = self.trie.child(state.nodes[actor], said, &mut self.stock);
        next
    }

    fn losses(&mut self, state: &State, all: &mut Vec<(Move, State)>) {
        for loss in LOSSES {
            let world = lose(&mut self.stock, state.world, loss);
            let mut next = State {
                world,
                spent: state.spent + 1,
                dead: state.dead | self.faults.power,
                ..*state
            };
            for (actor, node) in next.nodes.iter_mut().enumerate() {
                if *node != DEAD
                    && self.faults.power >> actor & 1 == 1
                    && self.trie.outcome(*node).is_none()
                {
                    *node = DEAD;
                }
            }
            all.push((Move { actor: NETWORK as u8, way: Way::Loses(loss) }, next));
        }
    }

    /// Everybody who can go on; what is under way counts, too.
    pub(super) fn awake(&self, state: &State) -> Vec<usize> {
        let everything = self.scene(state).everything();
        (0..=NETWORK).filter(|actor| everything >> actor & 1 == 1).collect()
    }

    /// The call that an actor of a state makes next.
    pub(super) fn call(&self, state: &State, actor: usize) -> Option<Call> {
        if state.nodes[actor] == DEAD {
            return None;
        }
        match self.trie.step(state.nodes[actor]) {
            Step::Ask(call) => Some(call),
            _ => None,
        }
    }
}
