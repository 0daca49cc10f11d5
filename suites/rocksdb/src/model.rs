//! What the writer writes, as a function of a number alone: the state after write `n` is known exactly, so that a copy with a hole, a torn batch or
//! a lost write is told at once.

use std::collections::BTreeMap;

/// Column families, in the order of the model.
pub const FAMILIES: [&str; 3] = ["default", "objects", "meta"];
/// Keys of `default` that are written over and over.
const SLOTS: u64 = 2000;
/// So many objects live on before most are deleted one by one.
const YOUNG: u64 = 1500;
/// Older ones go in ranges, each time that this many were written.
pub const RANGE_STEP: u64 = 500;
/// Kept behind the last range that was deleted.
const RANGE_LAG: u64 = 2000;

/// One change of one family.
pub enum Change {
    Put(usize, Vec<u8>, Vec<u8>),
    Delete(usize, Vec<u8>),
    DeleteRange(usize, Vec<u8>, Vec<u8>),
}

/// A whole database: keys and values of each family.
pub type State = [BTreeMap<Vec<u8>, Vec<u8>>; 3];

/// What write `n` does, atomically: `n` counts from 1.
pub fn changes(n: u64) -> Vec<Change> {
    let mut changes = vec![
        Change::Put(0, slot_key(n % SLOTS), value(n, 0)),
        Change::Put(1, object_key(n), value(n, 1)),
        Change::Put(2, b"last".to_vec(), n.to_be_bytes().to_vec()),
    ];
    if n > YOUNG && !(n - YOUNG).is_multiple_of(5) {
        changes.push(Change::Delete(1, object_key(n - YOUNG)));
    }
    if n.is_multiple_of(RANGE_STEP) && n > RANGE_LAG {
        changes.push(Change::DeleteRange(1, object_key(0), object_key(n - RANGE_LAG)));
    }
    changes
}

/// The state after write `last`.
pub fn state(last: u64) -> State {
    let mut state = State::default();
    for n in last.saturating_sub(SLOTS - 1).max(1)..=last {
        state[0].insert(slot_key(n % SLOTS), value(n, 0));
    }
    let floor = (last / RANGE_STEP * RANGE_STEP).saturating_sub(RANGE_LAG);
    for n in floor.max(1)..=last {
        if n + YOUNG > last || n.is_multiple_of(5) {
            state[1].insert(object_key(n), value(n, 1));
        }
    }
    if last > 0 {
        state[2].insert(b"last".to_vec(), last.to_be_bytes().to_vec());
    }
    state
}

/// The first difference between two states, in words.
pub fn difference(found: &State, expected: &State) -> Option<String> {
    for (family, (found, expected)) in FAMILIES.iter().zip(found.iter().zip(expected)) {
        if let Some(key) = expected.keys().find(|key| found.get(*key) != expected.get(*key)) {
            let what = if found.contains_key(key) { "another value" } else { "no value" };
            return Some(format!("{family}: {} has {what}", String::from_utf8_lossy(key)));
        }
        if let Some(key) = found.keys().find(|key| !expected.contains_key(*key)) {
            return Some(format!("{family}: {} should be gone", String::from_utf8_lossy(key)));
        }
    }
    None
}

/// The number of the last write in a state.
pub fn last(state: &State) -> u64 {
    let bytes = state[2].get(&b"last"[..]).and_then(|value| value.as_slice().try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}

fn slot_key(slot: u64) -> Vec<u8> {
    format!("slot/{slot:06}").into_bytes()
}

fn object_key(n: u64) -> Vec<u8> {
    format!("object/{n:012}").into_bytes()
}

/// Values differ in length, and every eleventh is long enough for a blob file.
fn value(n: u64, family: u64) -> Vec<u8> {
    let length = if n.is_multiple_of(11) { 2500 } else { 20 + n.wrapping_mul(7919) % 300 };
    let mut seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ family;
    let byte = |at: u64| {
        // Half of it repeats, so that compression has something to do.
        if at.is_multiple_of(2) {
            return b'a';
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..length).map(byte).collect()
}
