//! Minima's encoding, read and written with a limit on every length.
//!
//! A reader never believes a length: what it sets aside grows with the bytes that really come. It counts them, so that an error can
//! name the place, and it can keep what it read, for identifiers are hashes of encoded things. Numbers live in [`number`](super::number).

use std::io::{self, Read};

use sha3::{Digest, Sha3_256};

pub use super::hash::{Hash, hex, unhex};
use super::number::Number;

/// The longest hash that Minima reads.
pub const HASH_LIMIT: u32 = 64;

/// The longest data that Minima reads, in bytes.
pub const DATA_LIMIT: u32 = 512 << 20;

/// The longest text, script or signature within something else, in bytes: many times what any network allows in a whole transaction.
pub const FIELD_LIMIT: u32 = 16 << 20;

/// As much as is set aside before any byte came.
const FIRST_ROOM: u32 = 64 << 10;

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early.
    #[error("it ends within {what}, at byte {at}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where, counted from the start.
        at: u64,
    },
    /// A length or a count that is not possible.
    #[error("{what} at byte {at} claims a size of {claimed}, and at most {limit} is possible")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// Where, counted from the start.
        at: u64,
        /// The length that is written there.
        claimed: i64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Bytes that no Minima node writes.
    #[error("{what} before byte {at} is not valid: {why}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Where it ends, counted from the start.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than there should be.
    #[error("more bytes follow after its end, at byte {at}")]
    Trailing {
        /// Where the surplus begins, counted from the start.
        at: u64,
    },
    /// The bytes cannot be read.
    #[error("reading failed at byte {at}")]
    Io {
        /// Where, counted from the start.
        at: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What reading gives.
pub type Result<T> = std::result::Result<T, WireError>;

/// Reads Minima's encoding.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    at: u64,
    kept: Vec<u8>,
    keeping: u32,
}

impl<R: Read> Reader<R> {
    /// Reads from the first byte of something.
    pub fn new(inner: R) -> Self {
        Self { inner, at: 0, kept: Vec::new(), keeping: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What is read from, after the last byte that was read.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Reads something and gives its bytes too, at most [`DATA_LIMIT`] of them. After an error the reader is of no use.
    pub fn keep<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Vec<u8>)> {
        let from = self.kept.len();
        self.keeping += 1;
        let value = read(self)?;
        self.keeping -= 1;
        let bytes = self.kept[from..].to_vec();
        if self.keeping == 0 {
            self.kept.clear();
        }
        Ok((value, bytes))
    }

    /// Reads something and gives the hash of its bytes too.
    pub fn hashed<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Hash)> {
        let (value, bytes) = self.keep(read)?;
        Ok((value, Hash::of(&bytes)))
    }

    /// As many bytes as fit.
    pub fn exact(&mut self, into: &mut [u8], what: &'static str) -> Result<()> {
        let at = self.at;
        self.inner.read_exact(into).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => WireError::Truncated { what, at },
            _ => WireError::Io { at, source },
        })?;
        self.took(into, what)
    }

    fn took(&mut self, bytes: &[u8], what: &'static str) -> Result<()> {
        let at = self.at;
        self.at += bytes.len() as u64;
        if self.keeping == 0 {
            return Ok(());
        }
        let size = self.kept.len() + bytes.len();
        if size > DATA_LIMIT as usize {
            let claimed = i64::try_from(size).unwrap_or(i64::MAX);
            return Err(WireError::TooLong { what, at, claimed, limit: DATA_LIMIT.into() });
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes, what)?;
        Ok(bytes)
    }

    /// One byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// One byte that says yes or no. Minima takes any byte but 0 for yes and writes 1, so anything else is damage.
    pub fn bool(&mut self, what: &'static str) -> Result<bool> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid(what, "neither yes nor no")),
        }
    }

    /// A big-endian length of four bytes, as it is written.
    pub fn length(&mut self, what: &'static str, limit: u32) -> Result<u32> {
        let at = self.at;
        let claimed = i32::from_be_bytes(self.array(what)?);
        match u32::try_from(claimed) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(WireError::TooLong { what, at, claimed: claimed.into(), limit: limit.into() }),
        }
    }

    /// A MiniData: a length and as many bytes.
    pub fn data(&mut self, what: &'static str, limit: u32) -> Result<Vec<u8>> {
        let length = self.length(what, limit)?;
        let at = self.at;
        let mut bytes = Vec::with_capacity(length.min(FIRST_ROOM) as usize);
        let mut part = Read::take(&mut self.inner, length.into());
        part.read_to_end(&mut bytes).map_err(|source| WireError::Io { at, source })?;
        if bytes.len() < length as usize {
            return Err(WireError::Truncated { what, at: at + bytes.len() as u64 });
        }
        self.took(&bytes, what)?;
        Ok(bytes)
    }

    /// A MiniData that is read over, not kept (except by [`keep`](Self::keep)).
    pub fn skip_data(&mut self, what: &'static str, limit: u32) -> Result<()> {
        let length = self.length(what, limit)?;
        self.skip(length, what)
    }

    /// As many bytes, read over.
    pub fn skip(&mut self, length: u32, what: &'static str) -> Result<()> {
        let mut left = length as usize;
        let mut room = [0; 4096];
        while left > 0 {
            let part = left.min(room.len());
            self.exact(&mut room[..part], what)?;
            left -= part;
        }
        Ok(())
    }

    /// A MiniString: a MiniData in UTF-8. Minima itself replaces what is not UTF-8.
    pub fn string(&mut self, what: &'static str, limit: u32) -> Result<String> {
        let bytes = self.data(what, limit)?;
        String::from_utf8(bytes).map_err(|_| self.invalid(what, "it is not UTF-8"))
    }

    /// A MiniData of at most 64 bytes: hashes, and the short placeholders that stand in for them (`0x00`).
    pub fn short(&mut self, what: &'static str) -> Result<Vec<u8>> {
        self.data(what, HASH_LIMIT)
    }

    /// A MiniData that must be a hash.
    pub fn hash(&mut self, what: &'static str) -> Result<Hash> {
        let bytes = self.short(what)?;
        let hash = bytes.try_into().map_err(|_| self.invalid(what, "a hash has 32 bytes"))?;
        Ok(Hash(hash))
    }

    /// A MiniNumber.
    pub fn number(&mut self, what: &'static str) -> Result<Number> {
        let [scale, length] = self.array(what)?;
        let mut bytes = [0; Number::LIMIT];
        let Some(digits) = bytes.get_mut(..usize::from(length)) else {
            return Err(self.invalid(what, "a number has at most 32 bytes"));
        };
        self.exact(digits, what)?;
        Number::from_parts(scale.cast_signed(), digits)
            .ok_or_else(|| self.invalid(what, "a number has a digit"))
    }

    /// A MiniNumber that must be whole and not negative.
    pub fn whole(&mut self, what: &'static str) -> Result<u64> {
        let number = self.number(what)?;
        number.to_u64().ok_or_else(|| self.invalid(what, "it must be a whole number from 0 on"))
    }

    /// A MiniNumber that says how many follow.
    pub fn count(&mut self, what: &'static str, limit: u64) -> Result<u64> {
        let at = self.at;
        let count = self.whole(what)?;
        if count > limit {
            let claimed = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(WireError::TooLong { what, at, claimed, limit });
        }
        Ok(count)
    }

    /// A count and as many things.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        limit: u64,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.count(what, limit)?;
        (0..count).map(|_| read(self)).collect()
    }

    /// A count and as many things, read over.
    pub fn skip_list(
        &mut self,
        what: &'static str,
        limit: u64,
        mut read: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<u64> {
        let count = self.count(what, limit)?;
        for _ in 0..count {
            read(self)?;
        }
        Ok(count)
    }

    /// Nothing may be left.
    pub fn end(&mut self) -> Result<()> {
        let at = self.at;
        let mut one = [0];
        loop {
            match self.inner.read(&mut one) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(WireError::Trailing { at }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(WireError::Io { at, source }),
            }
        }
    }

    /// An error of what was just read.
    pub fn invalid(&self, what: &'static str, why: &'static str) -> WireError {
        WireError::Invalid { what, at: self.at, why }
    }
}

/// Writes Minima's encoding. What it makes may be secret: the bytes belong to the caller, who erases them.
pub trait Write {
    /// Bytes as they are.
    fn raw(&mut self, bytes: &[u8]) -> &mut Self;

    /// Yes or no.
    fn bool(&mut self, yes: bool) -> &mut Self {
        self.raw(&[u8::from(yes)])
    }

    /// A MiniData or, of text, a MiniString. More than Minima reads is refused by whoever reads it, so a caller bounds it before.
    fn data(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.raw(&length.to_be_bytes()).raw(bytes)
    }

    /// A MiniNumber.
    fn number(&mut self, number: &Number) -> &mut Self {
        let digits = number.digits();
        let length = u8::try_from(digits.len()).unwrap_or(u8::MAX);
        self.raw(&[number.scale().cast_unsigned(), length]).raw(digits)
    }

    /// A whole MiniNumber.
    fn whole(&mut self, number: u64) -> &mut Self {
        self.number(&Number::from(number))
    }
}

impl Write for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend_from_slice(bytes);
        self
    }
}

impl Write for Sha3_256 {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        bytes.bool(true).data(b"abc").whole(1000).whole(0).data("zwölf".as_bytes());
        let mut reader = Reader::new(bytes.as_slice());
        assert!(reader.bool("a").unwrap());
        assert_eq!(reader.data("b", 3).unwrap(), b"abc");
        assert_eq!(reader.whole("c").unwrap(), 1000);
        assert_eq!(reader.count("d", 0).unwrap(), 0);
        assert_eq!(reader.string("e", 100).unwrap(), "zwölf");
        reader.end().unwrap();
        assert_eq!(reader.at(), bytes.len() as u64);
    }

    #[test]
    fn lengths_are_not_believed() {
        let claims = |bytes: &[u8]| Reader::new(bytes).data("it", DATA_LIMIT);
        assert!(matches!(claims(&[0xff; 4]), Err(WireError::TooLong { claimed: -1, .. })));
        assert!(matches!(claims(&[0x7f, 0, 0, 0]), Err(WireError::TooLong { .. })));
        // Half a gigabyte is possible, and is not set aside for three bytes.
        assert!(matches!(
            claims(&[0x1f, 0, 0, 0, 1, 2, 3]),
            Err(WireError::Truncated { at: 7, .. })
        ));
        assert!(matches!(claims(&[0, 0]), Err(WireError::Truncated { at: 0, .. })));
    }

    #[test]
    fn what_was_read_can_be_kept() {
        let mut bytes = Vec::new();
        bytes.whole(1).data(b"x").bool(false);
        let mut reader = Reader::new(bytes.as_slice());
        let ((_, inner), outer) = reader
            .keep(|reader| {
                reader.whole("n")?;
                reader.keep(|reader| reader.data("x", 1))
            })
            .unwrap();
        assert_eq!(inner, [0, 0, 0, 1, b'x']);
        assert_eq!(outer, bytes[..bytes.len() - 1]);
        reader.bool("y").unwrap();
        reader.end().unwrap();
    }

    #[test]
    fn a_surplus_is_an_error() {
        let mut reader = Reader::new([1, 2].as_slice());
        reader.bool("it").unwrap();
        assert!(matches!(reader.end(), Err(WireError::Trailing { at: 1 })));
        assert!(reader.bool("it").is_err());
    }
}
