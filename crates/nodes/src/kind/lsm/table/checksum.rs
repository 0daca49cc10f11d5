//! Checksums of blocks, in every kind that tables use.

use twox_hash::{XxHash3_64, XxHash32, XxHash64};

use crate::kind::lsm::wire::masked_crc;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Blocks have none: zero stands in its place.
    Absent,
    /// CRC32C, masked.
    Crc32c,
    /// The 32-bit xxHash.
    Xx32,
    /// The lower half of the 64-bit xxHash.
    Xx64,
    /// The lower half of XXH3, which takes the last byte in separately.
    Xxh3,
}

impl Checksum {
    /// By the number in a footer.
    pub fn of(number: u8) -> Option<Self> {
        let all = [Self::Absent, Self::Crc32c, Self::Xx32, Self::Xx64, Self::Xxh3];
        all.get(usize::from(number)).copied()
    }

    /// Of these bytes.
    pub fn sum(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Crc32c => masked_crc(&[bytes]),
            Self::Xx32 => XxHash32::oneshot(0, bytes),
            Self::Xx64 => lower(XxHash64::oneshot(0, bytes)),
            Self::Xxh3 => match bytes.split_last() {
                Some((last, rest)) => {
                    lower(XxHash3_64::oneshot(rest)) ^ u32::from(*last).wrapping_mul(0x6b90_83d9)
                }
                None => 0,
            },
        }
    }
}

fn lower(hash: u64) -> u32 {
    u32::try_from(hash & 0xffff_ffff).unwrap_or(0)
}

/// What is added to a checksum so that a block at another place, or of another file, does not pass: nothing where the footer has no base.
pub fn place_modifier(base: u32, offset: u64) -> u32 {
    if base == 0 { 0 } else { base ^ lower(offset).wrapping_add(lower(offset >> 32)) }
}
