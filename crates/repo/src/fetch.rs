//! Many requests at once. Over a network a round trip costs more than most of what it brings; on a disk there is nothing to gain, and one
//! thing after the other is simpler to follow. And an object read a second time before it counts as damaged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nodekeep_store::{Store, StoreError};

use crate::error::Damage;

/// A store that takes more requests at once than this is far away.
const NEAR: usize = 8;

/// Whether round trips count on this store.
pub(crate) fn is_distant(store: &Store) -> bool {
    store.in_flight() > NEAR
}

/// How many requests to have under way.
pub(crate) fn in_flight(store: &Store) -> usize {
    if is_distant(store) { store.in_flight() } else { 1 }
}

/// Does `work` for every item, as many at once as pay on the store; the results stand in the order of the items.
pub(crate) fn map<T: Sync, R: Send>(
    store: &Store,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = in_flight(store).min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        while let Some((at, item)) = take(&next, items) {
            let result = work(item);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(run);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, items.get(at)?))
}

/// An object as it was read last, and what could be made of it.
pub(crate) type Opened<T> = (Vec<u8>, Result<T, Damage>);

/// Reads an object and opens it. One that seems damaged is read once more: memory and networks err, too, and what a bad proxy has cut short
/// looks like damage. If other bytes come then, those count.
///
/// # Errors
/// If the store cannot give the object.
pub(crate) fn opened<T>(
    store: &Store,
    name: &str,
    open: impl Fn(&[u8]) -> Result<T, Damage>,
) -> Result<Opened<T>, StoreError> {
    let bytes = store.get(name)?;
    let first = open(&bytes);
    if first.is_ok() {
        return Ok((bytes, first));
    }
    let again = store.get(name)?;
    if again == bytes {
        return Ok((bytes, first));
    }
    let second = open(&again);
    Ok((again, second))
}

/// What was read, or `None` if it is not there.
///
/// # Errors
/// Every other failure of the store.
pub(crate) fn if_there<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error) if error.is_not_found() => Ok(None),
        read => read.map(Some),
    }
}

/// Deletes objects.
///
/// # Errors
/// The first failure, in the order of the names; the others were tried all the same where the store is far away.
pub(crate) fn delete_all(store: &Store, names: &[String]) -> Result<(), StoreError> {
    if !is_distant(store) {
        return names.iter().try_for_each(|name| store.delete(name).map(drop));
    }
    map(store, names, |name| store.delete(name).map(drop)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let store = Store::memory();
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(map(&store, &items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert!(map(&store, &[] as &[u32], |n| *n).is_empty());
    }
}
