//! Where files are cut: a gear hash with a keyed table and normalised sizes (FastCDC, Xia et al. 2020), so that an insertion
//! moves only the cuts around it, and cuts tell nothing to those without the key.

use crate::keys::Chunking;

/// Sizes of chunks, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// No chunk but the last is smaller.
    pub min: usize,
    /// Two to this power is the average.
    pub bits: u32,
    /// No chunk is larger.
    pub max: usize,
}

impl Sizes {
    /// For most files.
    pub const MEDIA: Self = Self { min: 256 * 1024, bits: 20, max: 4 * 1024 * 1024 };
    /// For databases, where pages change here and there.
    pub const DATABASE: Self = Self { min: 16 * 1024, bits: 16, max: 256 * 1024 };
}

impl Chunking {
    /// Length of the first chunk of `data`. `data` is the rest of the file, or at least `sizes.max` bytes of it.
    pub fn cut(&self, data: &[u8], sizes: Sizes) -> usize {
        let end = data.len().min(sizes.max);
        if end <= sizes.min {
            return end;
        }
        let middle = end.min(1 << sizes.bits);
        let mut hash = 0;
        if let Some(cut) = self.scan(data, sizes.min, middle, 64 - (sizes.bits + 2), &mut hash) {
            return cut;
        }
        let from = middle.max(sizes.min);
        self.scan(data, from, end, 64 - (sizes.bits - 2), &mut hash).unwrap_or(end)
    }

    /// First place after which the top bits of the hash are zero: `hash >> shift == 0`.
    fn scan(
        &self,
        data: &[u8],
        from: usize,
        to: usize,
        shift: u32,
        hash: &mut u64,
    ) -> Option<usize> {
        let mut h = *hash;
        for (at, byte) in data.get(from..to)?.iter().enumerate() {
            h = (h << 1).wrapping_add(self.gear[usize::from(*byte)]);
            if h >> shift == 0 {
                return Some(from + at + 1);
            }
        }
        *hash = h;
        None
    }
}
