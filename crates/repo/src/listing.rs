//! What a store without lists is said to hold (`docs/format.md`, section 7.5): a mirror leaves a plain listing of its control
//! objects, so that a static web server is enough to read it. Nobody signs it: it says where to look, never what is true.

use nodekeep_store::{Created, Durability, Object, Store, StoreErrorKind};

use crate::error::{Damage, Error, Result};
use crate::id::ObjectHash;
use crate::names;

const FIRST_LINE: &str = "NODEKEEP-LISTING-1";
const LAST_LINE: &str = "end";

/// The names of control objects, as a mirror wrote them down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Rises with each listing.
    pub number: u64,
    /// The object that lists packs and index segments, which are many.
    pub contents: Option<ObjectHash>,
    /// In ascending order.
    pub names: Vec<String>,
}

impl Listing {
    /// The object's text.
    pub fn to_text(&self) -> String {
        let contents = self.contents.unwrap_or(ObjectHash::NONE);
        let mut text = format!("{FIRST_LINE}\nnumber = {}\ncontents = {contents}\n", self.number);
        for name in &self.names {
            text.push_str(name);
            text.push('\n');
        }
        text.push_str(LAST_LINE);
        text.push('\n');
        text
    }

    /// Reads an object; `None` if it is anything else than a whole listing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let number = lines.next()?.strip_prefix("number = ")?.parse().ok()?;
        let contents = ObjectHash::parse(lines.next()?.strip_prefix("contents = ")?)?;
        let contents = Some(contents).filter(|hash| *hash != ObjectHash::NONE);
        let mut names: Vec<String> = lines.map(str::to_owned).collect();
        if names.pop()? != LAST_LINE || !names.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let known = |name: &String| is_control(name);
        names.iter().all(known).then_some(Self { number, contents, names })
    }

    /// The newest whole listing of a store.
    ///
    /// # Errors
    /// If the store fails otherwise than by a missing object.
    pub fn newest(store: &Store) -> Result<Option<Self>> {
        let mut newest: Option<Self> = None;
        for name in names::LISTINGS {
            let found = match store.get(name) {
                Ok(bytes) => Self::from_bytes(&bytes),
                Err(error) if error.kind == StoreErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            let is_newer = |found: &Self| newest.as_ref().is_none_or(|n| n.number < found.number);
            newest = found.filter(is_newer).or(newest);
        }
        Ok(newest)
    }

    /// Puts a listing in place of the older of the two, so that there is one at every moment.
    ///
    /// # Errors
    /// If the store fails, or deletes nothing.
    pub fn publish(store: &Store, names: Vec<String>, contents: &[Object]) -> Result<()> {
        let text = contents_text(contents);
        let hash = ObjectHash::of(text.as_bytes());
        let before = Self::newest(store)?;
        let same = |listing: &&Self| listing.names == names && listing.contents == Some(hash);
        if before.as_ref().filter(same).is_some() {
            return Ok(());
        }
        let number = before.as_ref().map_or(0, |listing| listing.number + 1);
        store.create(&names::contents(&hash), text.as_bytes(), Durability::Durable)?;
        let listing = Self { number, contents: Some(hash), names };
        let name = names::LISTINGS[(number % 2) as usize];
        store.delete(name)?;
        if store.create(name, listing.to_text().as_bytes(), Durability::Durable)? == Created::Exists
        {
            return Err(Error::Busy { what: name });
        }
        let kept = [Some(hash), before.and_then(|listing| listing.contents)];
        sweep(store, &kept)
    }

    /// Packs and index segments, as the listing says.
    ///
    /// # Errors
    /// If it names none, or they are damaged or cannot be read.
    pub fn contents(&self, store: &Store) -> Result<Vec<Object>> {
        let none = || Error::NoListing { location: store.location().to_owned() };
        let hash = self.contents.ok_or_else(none)?;
        let name = names::contents(&hash);
        let bytes = store.get(&name)?;
        if ObjectHash::of(&bytes) != hash {
            return Err(Error::damaged(name, Damage::Hash));
        }
        let line = |line: &str| {
            let (size, name) = line.split_once(' ')?;
            let is_content =
                names::parse_pack(name).is_some() || names::parse_segment(name).is_some();
            let size = size.parse().ok().filter(|_| is_content)?;
            Some(Object { name: name.to_owned(), size })
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Ok(text.lines().filter_map(line).collect())
    }
}

fn contents_text(contents: &[Object]) -> String {
    contents.iter().map(|object| format!("{} {}\n", object.size, object.name)).collect()
}

/// Deletes the contents that neither listing names.
fn sweep(store: &Store, kept: &[Option<ObjectHash>]) -> Result<()> {
    let kept: Vec<String> = kept.iter().flatten().map(names::contents).collect();
    for object in store.list(names::LISTING_PREFIX)? {
        if !names::LISTINGS.contains(&object.name.as_str()) && !kept.contains(&object.name) {
            store.delete(&object.name)?;
        }
    }
    Ok(())
}

/// Makes a mirror a repository of its own right: backups and collections are then for it to take.
///
/// # Errors
/// If the store fails.
pub fn promote(store: &Store) -> Result<()> {
    for object in store.list(names::LISTING_PREFIX)? {
        store.delete(&object.name)?;
    }
    Ok(())
}

/// Whether a name is one that lists of control objects can have.
fn is_control(name: &str) -> bool {
    let numbered = |prefix, suffix| names::number(name, prefix, suffix).is_some();
    names::parse_in_generation(name).is_some()
        || [(names::ROSTERS, ""), (names::CHECKPOINTS, "")]
            .iter()
            .chain(&[(names::COLLECTIONS, ".doomed"), (names::COLLECTIONS, ".outcome")])
            .any(|(prefix, suffix)| numbered(prefix, suffix))
}

/// The lists of a store, or what stands in for them.
#[derive(Clone)]
pub(crate) struct Lists<'a> {
    store: &'a Store,
    said: Option<Listing>,
}

impl<'a> Lists<'a> {
    /// # Errors
    /// [`Error::NoListing`] if the store has no lists and nothing stands in for them, or it fails.
    pub(crate) fn of(store: &'a Store) -> Result<Self> {
        if store.can_list() {
            return Ok(Self { store, said: None });
        }
        let said = Listing::newest(store)?;
        let location = || store.location().to_owned();
        let said = said.ok_or_else(|| Error::NoListing { location: location() })?;
        Ok(Self { store, said: Some(said) })
    }

    /// Names of control objects that start with `prefix`, in ascending order.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let Some(said) = &self.said else {
            return Ok(self.store.list(prefix)?.into_iter().map(|object| object.name).collect());
        };
        let below = said.names.iter().filter(|name| name.starts_with(prefix));
        Ok(below.cloned().collect())
    }

    /// Packs and index segments, with their sizes.
    pub(crate) fn contents(&self) -> Result<Vec<Object>> {
        match &self.said {
            None => Ok(self.store.list(names::WRITERS)?),
            Some(said) => said.contents(self.store),
        }
    }

    /// The numbers below `prefix`, ascending. A listing may be older than the store: what follows it is probed.
    pub(crate) fn numbers(&self, prefix: &str, name: fn(u64) -> String) -> Result<Vec<u64>> {
        let listed = self.names(prefix)?;
        let mut numbers: Vec<u64> =
            listed.iter().filter_map(|listed| names::number(listed, prefix, "")).collect();
        numbers.sort_unstable();
        while self.said.is_some() {
            let next = numbers.last().map_or(1, |last| last + 1);
            match self.store.size(&name(next)) {
                Ok(_) => numbers.push(next),
                Err(error) if error.kind == StoreErrorKind::NotFound => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(numbers)
    }
}

/// Every object of a store with its size. Where there are no lists, each that a listing names is asked for.
///
/// # Errors
/// [`Error::NoListing`], or if the store fails.
pub(crate) fn everything(store: &Store) -> Result<Vec<Object>> {
    if store.can_list() {
        return Ok(store.list("")?);
    }
    let lists = Lists::of(store)?;
    let mut names = lists.names("")?;
    names.extend(lists.contents()?.into_iter().map(|object| object.name));
    names.push(names::CONFIG.to_owned());
    sizes(store, names)
}

/// The sizes of the objects that are there, asked for many at a time.
fn sizes(store: &Store, names: Vec<String>) -> Result<Vec<Object>> {
    let share = names.len().div_ceil(store.in_flight().max(1)).max(1);
    let ask = |names: &[String]| -> Result<Vec<Object>> {
        let mut found = Vec::new();
        for name in names {
            match store.size(name) {
                Ok(size) => found.push(Object { name: name.clone(), size }),
                Err(error) if error.kind == StoreErrorKind::NotFound => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    };
    let ask = &ask;
    let mut objects = std::thread::scope(|scope| {
        let threads: Vec<_> =
            names.chunks(share).map(|names| scope.spawn(move || ask(names))).collect();
        let mut objects = Vec::new();
        for thread in threads {
            objects.extend(thread.join().unwrap_or(Err(Error::Interrupted))?);
        }
        Ok::<_, Error>(objects)
    })?;
    objects.sort_unstable();
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(number: u64, names: &[&str]) -> Listing {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Listing { number, contents: Some(ObjectHash([7; 32])), names }
    }

    #[test]
    fn only_whole_listings_are_read() {
        let text = listing(7, &["c/00000001", "r/00000001"]).to_text();
        let whole = Listing::from_bytes(text.as_bytes());
        assert_eq!(whole, Some(listing(7, &["c/00000001", "r/00000001"])));
        for len in 0..text.len() {
            assert_eq!(Listing::from_bytes(&text.as_bytes()[..len]), None, "{len}");
        }
        for (from, to) in [
            ("number = 7", "number = x"),
            ("LISTING-1", "LISTING-2"),
            ("c/00000001", "../passwd"),
            ("c/00000001", "s/00000001"),
            ("c/00000001", "r/00000002"),
        ] {
            assert_eq!(Listing::from_bytes(text.replace(from, to).as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn there_is_a_listing_at_every_moment() {
        let store = Store::memory();
        assert_eq!(Listing::newest(&store).unwrap(), None);
        for number in 0..5 {
            let contents = [pack(number)];
            Listing::publish(&store, vec![names::roster(number)], &contents).unwrap();
            let newest = Listing::newest(&store).unwrap().unwrap();
            assert_eq!((newest.number, &newest.names), (number, &vec![names::roster(number)]));
            assert_eq!(newest.contents(&store).unwrap(), contents);
            if number > 0 {
                // Without the slot that was written last, the one before still serves, contents and all.
                let kept = copy_without(&store, names::LISTINGS[(number % 2) as usize]);
                let before = Listing::newest(&kept).unwrap().unwrap();
                assert_eq!(before.number, number - 1);
                assert_eq!(before.contents(&kept).unwrap(), [pack(number - 1)]);
            }
        }
        assert_eq!(store.list("l/").unwrap().len(), 4, "two listings, and the contents of each");
        Listing::publish(&store, vec![names::roster(4)], &[pack(4)]).unwrap();
        assert_eq!(
            Listing::newest(&store).unwrap().unwrap().number,
            4,
            "nothing new, nothing written"
        );
        promote(&store).unwrap();
        assert_eq!(store.list("").unwrap(), []);
    }

    fn pack(number: u64) -> Object {
        let id = crate::id::PackId::of(&number.to_le_bytes());
        let name = names::pack(&crate::id::MemberId([3; 16]), crate::pack::PackKind::Data, &id);
        Object { name, size: number }
    }

    fn copy_without(store: &Store, name: &str) -> Store {
        let copy = Store::memory();
        for object in store.list("").unwrap().into_iter().filter(|object| object.name != name) {
            let bytes = store.get(&object.name).unwrap();
            copy.create(&object.name, &bytes, Durability::Durable).unwrap();
        }
        copy
    }
}
