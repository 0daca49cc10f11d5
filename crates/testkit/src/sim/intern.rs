//! Small numbers for things that are compared and hashed millions of times.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// A fast hash for keys that nobody chooses to our harm.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

/// A map with that hash.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Numbers things, equal ones alike.
#[derive(Debug)]
pub struct Interner<T: ?Sized> {
    numbers: Map<Arc<T>, u32>,
    things: Vec<Arc<T>>,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: Map::default(), things: Vec::new() }
    }
}

impl<T: ?Sized + Hash + Eq> Interner<T> {
    /// The number of a thing.
    pub fn number<Q>(&mut self, thing: &Q) -> u32
    where
        Q: ?Sized + Hash + Eq,
        Arc<T>: Borrow<Q> + for<'a> From<&'a Q>,
    {
        if let Some(number) = self.numbers.get(thing) {
            return *number;
        }
        self.add(thing.into())
    }

    /// The number of a thing that is shared already.
    pub fn number_of(&mut self, thing: Arc<T>) -> u32 {
        match self.numbers.get(&thing) {
            Some(number) => *number,
            None => self.add(thing),
        }
    }

    fn add(&mut self, thing: Arc<T>) -> u32 {
        let number = u32::try_from(self.things.len()).expect("fewer things than numbers");
        self.things.push(thing.clone());
        self.numbers.insert(thing, number);
        number
    }

    /// The thing with a number.
    pub fn get(&self, number: u32) -> &Arc<T> {
        &self.things[number as usize]
    }

    /// How many different things there were.
    pub fn len(&self) -> usize {
        self.things.len()
    }
}
