//! The orders of keys that can be checked without the program that made them.

use std::cmp::Ordering;

/// An order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As bytes.
    Bytes,
    /// As bytes, backwards.
    Backwards,
}

impl Order {
    /// By the name that the MANIFEST has.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "leveldb.BytewiseComparator" => Some(Self::Bytes),
            "rocksdb.ReverseBytewiseComparator" => Some(Self::Backwards),
            _ => None,
        }
    }

    /// Compares two keys.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Bytes => a.cmp(b),
            Self::Backwards => b.cmp(a),
        }
    }

    /// Compares two versions of keys: the newer of one key comes first.
    pub fn compare_versions(self, a: (&[u8], u64), b: (&[u8], u64)) -> Ordering {
        self.compare(a.0, b.0).then(b.1.cmp(&a.1))
    }
}
