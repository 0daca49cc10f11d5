//! What lies in the store at one moment, and what an operation makes of it. Worlds are values: a simulation holds many at once.

use std::sync::Arc;

use nodekeep_store::{Created, Durability, Object, StoreErrorKind};

use super::intern::{Interner, Map};

/// An operation, with numbers for names and contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Reads an object, or so many bytes of it from an offset on.
    Get { name: u32, part: Option<(u64, u64)> },
    /// Asks for a size.
    Size { name: u32 },
    /// Creates if absent.
    Create { name: u32, content: u32, durable: bool },
    /// Lists.
    List { prefix: u32 },
    /// Deletes.
    Delete { name: u32 },
    /// Waits until everything is durable.
    Barrier,
}

/// What an actor was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Said {
    /// The object has this content.
    Content(u32),
    /// The create made it.
    Created(bool),
    /// The listing.
    Listed(u32),
    /// It is not there, whether it was or not: an object store does not tell, and the engine does not ask.
    Deleted,
    /// All is durable.
    Flushed,
    /// There is no such object.
    Missing,
    /// The request failed, or its answer was lost.
    Failed,
}

/// An object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: u32,
    /// Its bytes.
    pub content: u32,
    /// 0: a power cut leaves it as it is. Otherwise one more than the actor whose barrier it waits for.
    pub loose: u8,
}

/// A request that is still under way after its actor has been told that it failed, or that is delivered a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flight {
    /// Which object.
    pub name: u32,
    /// What to create; `None`: to delete.
    pub content: Option<u32>,
}

/// All there is in the store and on the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct World {
    /// By name's number.
    pub objects: Vec<Entry>,
    /// What was deleted, as far as it can matter: name, content, and whether a power cut could bring it back.
    pub graves: Vec<(u32, u32, bool)>,
    /// By name's number.
    pub flights: Vec<Flight>,
}

impl World {
    /// Content of an object.
    pub fn content(&self, name: u32) -> Option<u32> {
        let at = self.objects.binary_search_by_key(&name, |entry| entry.name).ok()?;
        Some(self.objects[at].content)
    }

    /// Creates if absent; whether it was.
    pub fn create(&mut self, name: u32, content: u32, loose: u8) -> bool {
        match self.objects.binary_search_by_key(&name, |entry| entry.name) {
            Ok(at) => {
                // It is as durable as was asked for.
                if loose == 0 {
                    self.objects[at].loose = 0;
                }
                false
            }
            Err(at) => {
                self.objects.insert(at, Entry { name, content, loose });
                true
            }
        }
    }

    /// Deletes. `lasting`: a power cut could undo it. `buried`: what it was is to be known later.
    pub fn delete(&mut self, name: u32, lasting: bool, buried: bool) {
        let Ok(at) = self.objects.binary_search_by_key(&name, |entry| entry.name) else {
            return;
        };
        let gone = self.objects.remove(at);
        let Err(at) = self.graves.binary_search_by_key(&name, |grave| grave.0) else {
            return;
        };
        if buried {
            self.graves.insert(at, (name, gone.content, lasting && gone.loose == 0));
        }
    }

    /// Whether an object of that name was deleted before.
    pub fn was_deleted(&self, name: u32) -> bool {
        self.graves.binary_search_by_key(&name, |grave| grave.0).is_ok()
    }

    /// An actor's barrier.
    pub fn flush(&mut self, actor: u8) {
        for entry in self.objects.iter_mut().filter(|entry| entry.loose == actor + 1) {
            entry.loose = 0;
        }
    }

    /// Puts a request on its way.
    pub fn launch(&mut self, flight: Flight) {
        let at = self.flights.partition_point(|other| *other < flight);
        self.flights.insert(at, flight);
    }
}

/// Everything that worlds are made of, by number.
#[derive(Debug, Default)]
pub struct Stock {
    /// Names and prefixes.
    pub names: Interner<str>,
    /// Contents.
    pub contents: Interner<[u8]>,
    /// Listings: names and contents in order of names.
    pub lists: Interner<[(u32, u32)]>,
    /// Worlds.
    pub worlds: Interner<World>,
    listed: Map<(u32, u32), u32>,
}

impl Stock {
    /// The number of a world.
    pub fn world(&mut self, world: World) -> u32 {
        self.worlds.number_of(Arc::new(world))
    }

    /// The listing of a prefix in a world.
    pub fn list(&mut self, world: u32, prefix: u32) -> u32 {
        if let Some(list) = self.listed.get(&(world, prefix)) {
            return *list;
        }
        let objects = self.worlds.get(world).objects.iter().map(|e| (e.name, e.content)).collect();
        let list = self.listing(objects, prefix);
        self.listed.insert((world, prefix), list);
        list
    }

    /// The listing of a prefix among these objects.
    pub fn listing(&mut self, mut objects: Vec<(u32, u32)>, prefix: u32) -> u32 {
        let prefix = self.names.get(prefix).clone();
        objects.retain(|(name, _)| self.names.get(*name).starts_with(&*prefix));
        objects.sort_by(|a, b| self.names.get(a.0).cmp(self.names.get(b.0)));
        self.lists.number(objects.as_slice())
    }

    /// What an actor hears.
    pub fn reply(&self, call: Call, said: Said) -> nodekeep_store::scripted::Reply {
        use nodekeep_store::scripted::Reply;
        match (said, call) {
            (Said::Content(content), Call::Size { .. }) => {
                Reply::Size(self.contents.get(content).len() as u64)
            }
            (Said::Content(content), Call::Get { part, .. }) => self.bytes(content, part),
            (Said::Created(true), _) => Reply::Created(Created::New),
            (Said::Created(false), _) => Reply::Created(Created::Exists),
            (Said::Listed(list), _) => Reply::Listed(self.objects(list)),
            (Said::Deleted, _) => Reply::Deleted(true),
            (Said::Flushed, _) => Reply::Flushed,
            (Said::Missing, _) => Reply::Failed(StoreErrorKind::NotFound),
            (Said::Failed | Said::Content(_), _) => Reply::Failed(StoreErrorKind::Io),
        }
    }

    fn bytes(&self, content: u32, part: Option<(u64, u64)>) -> nodekeep_store::scripted::Reply {
        let bytes = self.contents.get(content);
        let part = match part {
            None => Some(&bytes[..]),
            Some((offset, len)) => bytes.get(offset as usize..(offset + len) as usize),
        };
        match part {
            Some(bytes) => nodekeep_store::scripted::Reply::Bytes(bytes.to_vec()),
            None => nodekeep_store::scripted::Reply::Failed(StoreErrorKind::Truncated),
        }
    }

    fn objects(&self, list: u32) -> Vec<Object> {
        let object = |(name, content): &(u32, u32)| Object {
            name: self.names.get(*name).to_string(),
            size: self.contents.get(*content).len() as u64,
        };
        self.lists.get(list).iter().map(object).collect()
    }

    /// A request as a call.
    pub fn call(&mut self, request: &nodekeep_store::scripted::Request) -> Call {
        use nodekeep_store::scripted::Request;
        match request {
            Request::Get { name, part } => Call::Get {
                name: self.names.number(name.as_str()),
                part: part.map(|(offset, len)| (offset, len as u64)),
            },
            Request::Size { name } => Call::Size { name: self.names.number(name.as_str()) },
            Request::Create { name, bytes, durability } => Call::Create {
                name: self.names.number(name.as_str()),
                content: self.contents.number(bytes.as_slice()),
                durable: *durability == Durability::Durable,
            },
            Request::List { prefix } => Call::List { prefix: self.names.number(prefix.as_str()) },
            Request::Delete { name } => Call::Delete { name: self.names.number(name.as_str()) },
            Request::Barrier => Call::Barrier,
        }
    }

    /// A call as the request that it was.
    pub fn request(&self, call: Call) -> nodekeep_store::scripted::Request {
        use nodekeep_store::scripted::Request;
        let text = |name: u32| self.names.get(name).to_string();
        match call {
            Call::Get { name, part } => Request::Get {
                name: text(name),
                part: part.map(|(offset, len)| (offset, len as usize)),
            },
            Call::Size { name } => Request::Size { name: text(name) },
            Call::Create { name, content, durable } => Request::Create {
                name: text(name),
                bytes: self.contents.get(content).to_vec(),
                durability: if durable { Durability::Durable } else { Durability::Visible },
            },
            Call::List { prefix } => Request::List { prefix: text(prefix) },
            Call::Delete { name } => Request::Delete { name: text(name) },
            Call::Barrier => Request::Barrier,
        }
    }

    /// What happens to a world if a call of an actor reaches it. `lasting`: whether power cuts are to be reckoned with.
    pub fn apply(&mut self, world: u32, call: Call, actor: u8, lasting: bool) -> (u32, Said) {
        let loose = |durable: bool| if durable || !lasting { 0 } else { actor + 1 };
        let changed = |this: &mut Self, change: &dyn Fn(&mut World) -> Said| {
            let mut next = World::clone(this.worlds.get(world));
            let said = change(&mut next);
            (this.world(next), said)
        };
        match call {
            Call::Get { name, .. } | Call::Size { name } => {
                let content = self.worlds.get(world).content(name);
                (world, content.map_or(Said::Missing, Said::Content))
            }
            Call::List { prefix } => (world, Said::Listed(self.list(world, prefix))),
            Call::Create { name, content, durable } => {
                changed(self, &|world| Said::Created(world.create(name, content, loose(durable))))
            }
            Call::Delete { name } => {
                let buried = lasting || self.is_buried(name);
                changed(self, &|world| {
                    world.delete(name, lasting, buried);
                    Said::Deleted
                })
            }
            Call::Barrier => changed(self, &|world| {
                world.flush(actor);
                Said::Flushed
            }),
        }
    }

    /// Whether it matters that an object of this name was there: packs must not come back, and old listings show packs and segments.
    pub fn is_buried(&self, name: u32) -> bool {
        self.names.get(name).starts_with("w/")
    }

    /// A name without its long middle.
    pub fn short(&self, name: u32) -> String {
        let parts = self.names.get(name).split('/');
        let cut = |part: &str| {
            let pieces = part.split('.').map(|piece| match piece.len() {
                0..=10 => piece.to_owned(),
                _ => format!("{}…", &piece[..6]),
            });
            pieces.collect::<Vec<_>>().join(".")
        };
        parts.map(cut).collect::<Vec<_>>().join("/")
    }
}
