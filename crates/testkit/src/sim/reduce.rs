//! Which actors' steps must be tried in which order. Steps that cannot matter to each other are not tried both ways round.
//!
//! A set of actors is enough for a state if no actor outside of it will ever do anything that depends on the next step of one inside (a
//! persistent set), and if those next steps change nothing that a promise could rest on. What an actor *will* do is what it was seen to do:
//! where that turns out to have been too little, the state is looked at again, until nothing changes. The argument that this misses nothing
//! stands in `docs/decisions/009-simulator.md`.

use nodekeep_repo::names;

use super::touch::{Sought, Touch};
use super::trie::{Step, Trie};
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
    /// Whether every change matters: a power cut may come, or the judge looks at more than what is read.
    pub strict: bool,
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

    /// The places of those outside of a set, on which it relies.
    pub fn others(&self, mask: Mask) -> Vec<u32> {
        let outside = |actor: &usize| mask >> actor & 1 == 0;
        (0..self.nodes.len()).filter(outside).filter_map(|actor| self.nodes[actor]).collect()
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

    /// Whether a promise that is broken before a step could hold after it. Not so after steps that nobody who reads notices, nor after those
    /// that only take away what readers need.
    fn is_visible(&self, call: Call) -> bool {
        match call {
            Call::Get { .. } | Call::Size { .. } | Call::List { .. } => false,
            Call::Barrier => self.strict,
            Call::Create { name, .. } => {
                self.strict
                    || !(self.world.content(name).is_some() || is_quiet(self.stock.names.get(name)))
            }
            Call::Delete { name } => {
                self.strict || !(self.world.content(name).is_none() || self.mends_nothing(name))
            }
        }
    }

    /// Whether no reader is better off without an object: a pack or segment, what concerns collectors, or what newer checkpoints stand for.
    fn mends_nothing(&self, name: u32) -> bool {
        let text = self.stock.names.get(name);
        if text.starts_with("w/") || text.starts_with("x/") {
            return true;
        }
        let generation = names::parse_in_generation(text).map(|name| name.generation + 1);
        let checkpoint = || names::number(text, names::CHECKPOINTS, "");
        generation.or_else(checkpoint).is_some_and(|number| self.newest_checkpoint() > number)
    }

    fn newest_checkpoint(&self) -> u64 {
        let number = |text: &str| names::number(text, names::CHECKPOINTS, "");
        let objects = self.world.objects.iter();
        objects.filter_map(|entry| number(self.stock.names.get(entry.name))).max().unwrap_or(0)
    }

    /// The others that may do something that depends on this step.
    fn dependent(&self, actor: usize, call: Call) -> Mask {
        let Some(sought) = self.sought(call) else { return 0 };
        let mut mask = 0;
        for (other, node) in self.nodes.iter().enumerate() {
            let Some(node) = *node else { continue };
            let counts = |touch| self.counts(sought, touch);
            if other != actor && self.trie.may_touch(node, sought, &self.stock.names, counts) {
                mask |= 1 << other;
            }
        }
        let flown = |flight: &super::world::Flight| match flight.content {
            Some(_) => Touch::Creates(flight.name),
            None => Touch::Deletes(flight.name),
        };
        let mut flown = self.world.flights.iter().map(flown);
        if flown.any(|touch| sought.is_met(touch, &self.stock.names) && self.counts(sought, touch))
        {
            mask |= 1 << NETWORK;
        }
        mask
    }

    /// What touches at any time matter to a call now.
    fn sought(&self, call: Call) -> Option<Sought> {
        let there = |name: u32| self.world.content(name).is_some();
        Some(match call {
            Call::Barrier => return None,
            Call::Get { name, .. } | Call::Size { name } | Call::Create { name, .. }
                if there(name) =>
            {
                Sought::Deletion(name)
            }
            Call::Get { name, .. } | Call::Size { name } => Sought::Creation(name),
            Call::List { prefix } => Sought::ChangeBelow(prefix),
            Call::Delete { name } if there(name) => Sought::Use(name),
            Call::Delete { name } => Sought::Creation(name),
            Call::Create { name, .. } => Sought::Anything(name),
        })
    }

    /// A listing is not changed by the creation of what is there, nor by the deletion of what is not.
    fn counts(&self, sought: Sought, touch: Touch) -> bool {
        let there = |name: u32| self.world.content(name).is_some();
        match (sought, touch) {
            (Sought::ChangeBelow(_), Touch::Creates(name)) => !there(name),
            (Sought::ChangeBelow(_), Touch::Deletes(name)) => there(name),
            _ => true,
        }
    }
}

/// Whether readers pass over a new object of this name. What lies below `w/` and `k/` is named by the hash of what is in it: nothing can
/// speak of it before it is there. Collections concern writers and keepers only, and a session shows nothing before its outcome.
fn is_quiet(name: &str) -> bool {
    ["w/", "k/", names::COLLECTIONS].iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with(".session")
}
