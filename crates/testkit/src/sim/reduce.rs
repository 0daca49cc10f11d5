//! Which actors' steps must be tried in which order. Steps that cannot matter to each other are not tried both ways round.
//!
//! A set of actors is enough for a state if no actor outside of it will ever do anything that depends on the next step of one inside (a
//! persistent set), and if those next steps change nothing that a promise could rest on. What an actor *will* do is what it was seen to do:
//! where that turns out to have been too little, the state is looked at again, until nothing changes. The argument that this misses nothing
//! stands in `docs/decisions/009-simulator.md`.

use super::trie::{Step, Touch, Trie};
use super::world::{Call, Stock, World};

/// Actors as bits; the highest is the network that delivers late.
pub type Mask = u8;
/// The network.
pub const NETWORK: usize = 7;

/// What a state is for this purpose.
pub struct Scene<'a> {
    pub trie: &'a Trie,
    pub stock: &'a Stock,
    pub world: &'a World,
    /// Each actor's node; `None`: it does nothing any more.
    pub nodes: Vec<Option<u32>>,
    /// Whether a power cut may come.
    pub power: bool,
}

impl Scene<'_> {
    /// All that can go on.
    pub fn everything(&self) -> Mask {
        let actors = (0..self.nodes.len()).filter(|actor| self.call(*actor).is_some());
        let network = if self.world.flights.is_empty() { 0 } else { 1 << NETWORK };
        actors.fold(network, |mask, actor| mask | 1 << actor)
    }

    /// The smallest set that is enough.
    pub fn enough(&self) -> Mask {
        let everything = self.everything();
        let candidates = (0..self.nodes.len()).filter(|actor| everything >> actor & 1 == 1);
        let sets = candidates.filter_map(|actor| self.closed(1 << actor));
        sets.min_by_key(|mask| mask.count_ones()).unwrap_or(everything)
    }

    /// Whether a set that was enough still is.
    pub fn still_enough(&self, mask: Mask) -> bool {
        self.closed(mask) == Some(mask)
    }

    /// The set with all that depends on it; `None` if that changes something that a promise could rest on.
    fn closed(&self, mut mask: Mask) -> Option<Mask> {
        loop {
            let mut wider = mask;
            for actor in 0..self.nodes.len() {
                if mask >> actor & 1 == 1 {
                    let call = self.call(actor)?;
                    if self.is_visible(call) {
                        return None;
                    }
                    wider |= self.dependent(actor, call);
                }
            }
            if wider >> NETWORK & 1 == 1 {
                return None;
            }
            if wider == mask {
                return Some(mask);
            }
            mask = wider;
        }
    }

    fn call(&self, actor: usize) -> Option<Call> {
        match self.trie.step(self.nodes[actor]?) {
            Step::Ask(call) => Some(call),
            Step::End(_) => None,
        }
    }

    /// Whether a promise could hold before a step and not after it, or the other way round. New objects below `w/` and `k/` are named by
    /// the hash of what is in them: nothing can speak of them before they are there.
    fn is_visible(&self, call: Call) -> bool {
        match call {
            Call::Get { .. } | Call::Size { .. } | Call::List { .. } => false,
            Call::Barrier => self.power,
            Call::Create { name, .. } => {
                let text = self.stock.names.get(name);
                let hashed = text.starts_with("w/") || text.starts_with("k/");
                self.power || !(hashed || self.world.content(name).is_some())
            }
            Call::Delete { name } => self.power || self.world.content(name).is_some(),
        }
    }

    /// The others that may do something that depends on this step.
    fn dependent(&self, actor: usize, call: Call) -> Mask {
        let mut mask = 0;
        for (other, node) in self.nodes.iter().enumerate() {
            let Some(node) = *node else { continue };
            if other != actor && self.trie.touches(node).any(|touch| self.depends(call, touch)) {
                mask |= 1 << other;
            }
        }
        let flown = |flight: &super::world::Flight| match flight.content {
            Some(_) => Touch::Creates(flight.name),
            None => Touch::Deletes(flight.name),
        };
        if self.world.flights.iter().map(flown).any(|touch| self.depends(call, touch)) {
            mask |= 1 << NETWORK;
        }
        mask
    }

    /// Whether the order of a call now and a touch at any time matters.
    fn depends(&self, call: Call, touch: Touch) -> bool {
        let there = |name: u32| self.world.content(name).is_some();
        match call {
            Call::Barrier => false,
            Call::Get { name, .. } | Call::Size { name } => {
                touch == if there(name) { Touch::Deletes(name) } else { Touch::Creates(name) }
            }
            Call::List { prefix } => match touch {
                Touch::Creates(name) => !there(name) && self.is_below(name, prefix),
                Touch::Deletes(name) => there(name) && self.is_below(name, prefix),
                Touch::Reads(_) | Touch::Lists(_) => false,
            },
            Call::Create { name, .. } if there(name) => touch == Touch::Deletes(name),
            Call::Delete { name } if !there(name) => touch == Touch::Creates(name),
            Call::Create { name, .. } | Call::Delete { name } => match touch {
                Touch::Reads(other) | Touch::Creates(other) | Touch::Deletes(other) => {
                    other == name
                }
                Touch::Lists(prefix) => self.is_below(name, prefix),
            },
        }
    }

    fn is_below(&self, name: u32, prefix: u32) -> bool {
        self.stock.names.get(name).starts_with(&**self.stock.names.get(prefix))
    }
}
