//! What can go wrong, as further ways in which a step can end.

use super::world::{Call, Flight, Said, Stock, World};

/// Which faults may happen, and how many on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// So many in all.
    pub budget: u8,
    /// A request fails, having done nothing; or having acted.
    pub errors: bool,
    /// A create or delete arrives after its maker was told that it failed, or arrives twice.
    pub late: bool,
    /// A listing of what writers wrote is an old one.
    pub stale: bool,
    /// The machine of these actors (bits) loses power, and with it what no barrier followed.
    pub power: u8,
}

/// How a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// As it should.
    Well,
    /// It does nothing and fails.
    Fails,
    /// It acts, and the answer is lost.
    ActsAndFails,
    /// It fails, and acts at some later time.
    ActsLate,
    /// It acts, and at some later time again.
    ActsTwice,
    /// A listing as it was in the beginning.
    ListsOld,
    /// A listing without what is new.
    ListsWithoutNew,
    /// A listing with what was deleted.
    ListsDeleted,
    /// Something that was under way arrives: the network's step.
    Arrives(Flight),
    /// Power is lost: what is loose is gone, or cut to nothing, or to half; deletions may be undone.
    Loses(Loss),
}

/// What a power cut does with what no barrier followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// All of it is gone, deletions happened.
    All,
    /// All of it is gone, deletions did not happen.
    AllAndBack,
    /// It is there, and empty.
    Emptied,
    /// It is there, and half of it.
    Halved,
    /// Only what was created last by number is gone.
    Last,
}

/// Every loss.
pub const LOSSES: [Loss; 5] =
    [Loss::All, Loss::AllAndBack, Loss::Emptied, Loss::Halved, Loss::Last];

impl Faults {
    /// The ways in which a call can go wrong.
    pub fn ways(&self, call: Call, stock: &Stock) -> Vec<Way> {
        let mut ways = Vec::new();
        let changes = matches!(call, Call::Create { .. } | Call::Delete { .. });
        if self.errors {
            ways.push(Way::Fails);
            if changes {
                ways.push(Way::ActsAndFails);
            }
        }
        if self.late && changes {
            ways.extend([Way::ActsLate, Way::ActsTwice]);
        }
        if let Call::List { prefix } = call
            && self.stale
            && stock.names.get(prefix).starts_with("w/")
        {
            ways.extend([Way::ListsOld, Way::ListsWithoutNew, Way::ListsDeleted]);
        }
        ways
    }
}

/// The world after a call went in some way, and what its actor hears. `first` is the world that all began with.
pub fn go(
    stock: &mut Stock,
    world: u32,
    call: Call,
    way: Way,
    actor: u8,
    power: bool,
    first: u32,
) -> (u32, Said) {
    match way {
        Way::Fails => (world, Said::Failed),
        Way::ActsAndFails => (stock.apply(world, call, actor, power).0, Said::Failed),
        Way::ActsLate => (launch(stock, world, call), Said::Failed),
        Way::ActsTwice => {
            let (next, said) = stock.apply(world, call, actor, power);
            (launch(stock, next, call), said)
        }
        Way::ListsOld | Way::ListsWithoutNew | Way::ListsDeleted => {
            (world, old_listing(stock, world, call, way, first))
        }
        Way::Well | Way::Arrives(_) | Way::Loses(_) => stock.apply(world, call, actor, power),
    }
}

fn launch(stock: &mut Stock, world: u32, call: Call) -> u32 {
    let flight = match call {
        Call::Create { name, content, .. } => Flight { name, content: Some(content) },
        Call::Delete { name } => Flight { name, content: None },
        _ => return world,
    };
    let mut next = World::clone(stock.worlds.get(world));
    next.launch(flight);
    stock.world(next)
}

fn old_listing(stock: &mut Stock, world: u32, call: Call, way: Way, first: u32) -> Said {
    let Call::List { prefix } = call else {
        return Said::Failed;
    };
    let began = stock.worlds.get(first).clone();
    let now = stock.worlds.get(world).clone();
    let mut objects: Vec<(u32, u32)> = now.objects.iter().map(|e| (e.name, e.content)).collect();
    if way != Way::ListsDeleted {
        objects.retain(|(name, _)| began.content(*name).is_some());
    }
    if way != Way::ListsWithoutNew {
        let was = |name: u32| way == Way::ListsDeleted || began.content(name).is_some();
        let graves = now.graves.iter().filter(|grave| was(grave.0));
        objects.extend(graves.map(|(name, content, _)| (*name, *content)));
        objects.sort_unstable();
        objects.dedup_by_key(|object| object.0);
    }
    Said::Listed(stock.listing(objects, prefix))
}

/// The world after something arrived.
pub fn arrive(stock: &mut Stock, world: u32, flight: Flight) -> u32 {
    let mut next = World::clone(stock.worlds.get(world));
    let at = next.flights.iter().position(|other| *other == flight);
    at.map(|at| next.flights.remove(at));
    match flight.content {
        Some(content) => {
            next.create(flight.name, content, 0);
        }
        None => {
            next.delete(flight.name, false, stock.is_buried(flight.name));
        }
    }
    stock.world(next)
}

/// The world after a power cut.
pub fn lose(stock: &mut Stock, world: u32, loss: Loss) -> u32 {
    let mut next = World::clone(stock.worlds.get(world));
    let last = next.objects.iter().filter(|e| e.loose != 0).map(|e| e.name).max();
    let mut kept = Vec::new();
    for mut entry in std::mem::take(&mut next.objects) {
        if entry.loose != 0 {
            let bytes = stock.contents.get(entry.content).clone();
            match loss {
                Loss::All | Loss::AllAndBack => continue,
                Loss::Last if Some(entry.name) == last => continue,
                Loss::Last => {}
                Loss::Emptied => entry.content = stock.contents.number::<[u8]>(&[]),
                Loss::Halved => {
                    entry.content = stock.contents.number(&bytes[..bytes.len() / 2]);
                }
            }
            entry.loose = 0;
        }
        kept.push(entry);
    }
    next.objects = kept;
    for (name, content, undone) in std::mem::take(&mut next.graves) {
        if undone && loss == Loss::AllAndBack {
            next.create(name, content, 0);
        } else {
            next.graves.push((name, content, false));
        }
    }
    stock.world(next)
}
