//! Ranges of keys that were deleted with one write, and which older entries they hide.

use std::cmp::Ordering;

use super::order::Order;

/// A range that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first key.
    pub start: Vec<u8>,
    /// The key after the last.
    pub end: Vec<u8>,
    /// Number of the write.
    pub sequence: u64,
    /// A table's range ends with the table: then versions of the key `end` from this sequence on belong to it too.
    pub end_from: Option<u64>,
}

impl Range {
    /// The part of a range that counts for the table it stands in, whose keys lie between these (user's key and sequence). Beyond them the same
    /// range may be spent already.
    pub fn within(
        mut self,
        order: Order,
        smallest: &[u8],
        largest: (&[u8], u64),
        is_open: bool,
    ) -> Self {
        if order.compare(&self.start, smallest) == Ordering::Less {
            self.start = smallest.to_vec();
        }
        if order.compare(&self.end, largest.0) == Ordering::Greater {
            self.end = largest.0.to_vec();
            self.end_from = (!is_open).then_some(largest.1);
        }
        self
    }

    fn has(&self, order: Order, key: &[u8], sequence: u64) -> bool {
        if sequence >= self.sequence || order.compare(key, &self.start) == Ordering::Less {
            return false;
        }
        match order.compare(key, &self.end) {
            Ordering::Less => true,
            Ordering::Equal => self.end_from.is_some_and(|from| sequence >= from),
            Ordering::Greater => false,
        }
    }
}

/// All ranges of a column family, asked for keys in ascending order.
#[derive(Debug)]
pub struct Ranges {
    order: Order,
    /// Those that begin later, the next at the end.
    later: Vec<Range>,
    /// Those that have begun and not ended.
    open: Vec<Range>,
}

impl Ranges {
    /// In any order.
    pub fn new(order: Order, mut ranges: Vec<Range>) -> Self {
        ranges.sort_by(|a, b| order.compare(&b.start, &a.start));
        Self { order, later: ranges, open: Vec::new() }
    }

    /// Whether an entry was deleted with a range. Keys must come in ascending order.
    pub fn hide(&mut self, key: &[u8], sequence: u64) -> bool {
        let order = self.order;
        while let Some(range) =
            self.later.pop_if(|range| order.compare(&range.start, key) != Ordering::Greater)
        {
            self.open.push(range);
        }
        self.open.retain(|range| order.compare(&range.end, key) != Ordering::Less);
        self.open.iter().any(|range| range.has(order, key, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str, sequence: u64) -> Range {
        Range { start: start.into(), end: end.into(), sequence, end_from: None }
    }

    #[test]
    fn only_older_entries_within_are_hidden() {
        let all = vec![range("b", "d", 10), range("c", "f", 5), range("x", "z", 7)];
        let mut ranges = Ranges::new(Order::Bytes, all);
        let asked = [("a", 1, false), ("b", 10, false), ("b", 9, true), ("c", 4, true)];
        let asked = asked.into_iter().chain([("d", 9, false), ("d", 4, true), ("f", 1, false)]);
        for (key, sequence, expected) in asked {
            assert_eq!(ranges.hide(key.as_bytes(), sequence), expected, "{key} {sequence}");
        }
    }

    #[test]
    fn a_range_counts_only_within_its_table() {
        let cut = range("a", "z", 9).within(Order::Bytes, b"c", (b"m", 4), false);
        let mut ranges = Ranges::new(Order::Bytes, vec![cut.clone()]);
        assert!(!ranges.hide(b"b", 1));
        assert!(ranges.hide(b"c", 1));
        assert!(ranges.hide(b"m", 4));
        assert!(!ranges.hide(b"m", 3));
        assert!(!ranges.hide(b"n", 0));
        let open = range("a", "z", 9).within(Order::Bytes, b"c", (b"m", 4), true);
        assert!(!Ranges::new(Order::Bytes, vec![open]).hide(b"m", 8));
    }
}
