//! The byte encoding of every structure in a repository (`docs/format.md`, section 1).
//!
//! A decoder never trusts a length: it is compared with what is left of the input before anything is allocated.

use thiserror::Error;

/// Why bytes are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// What is wrong, in words.
    pub what: &'static str,
    /// Offset in the decoded bytes.
    pub at: usize,
}

/// Appends encoded values to a byte vector.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends an unsigned LEB128 integer.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    /// Appends a length or count.
    pub fn count(&mut self, value: usize) -> &mut Self {
        self.varint(value as u64)
    }

    /// Appends a signed integer, zigzag.
    pub fn zint(&mut self, value: i64) -> &mut Self {
        self.varint(((value << 1) ^ (value >> 63)) as u64)
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends length and bytes.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Appends a count and each item.
    pub fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.count(items.len());
        for item in items {
            each(self, item);
        }
        self
    }

    /// Appends presence and, if there, the value.
    pub fn opt<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(inner) => {
                self.u8(1);
                some(self, inner);
                self
            }
        }
    }

    /// Appends an empty extension list: version 1 defines none.
    pub fn no_ext(&mut self) -> &mut Self {
        self.u8(0)
    }

    /// How many bytes are there.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The encoded bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads encoded values from a slice.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the present place.
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Takes `len` bytes.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        if len > self.left() {
            return Err(self.malformed("input ends early"));
        }
        let slice = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(slice)
    }

    /// Takes a fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(N)?);
        Ok(out)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.raw(1)?[0])
    }

    /// Takes an unsigned LEB128 integer in its shortest form.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(self.malformed("integer too large"));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(self.malformed("integer not in shortest form"))
                };
            }
        }
        Err(self.malformed("integer too long"))
    }

    /// Takes a varint that must fit 32 bits.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.malformed("integer above 32 bits"))
    }

    /// Takes a zigzag integer.
    pub fn zint(&mut self) -> Result<i64, Malformed> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Takes a little-endian 64-bit integer.
    pub fn u64le(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes a length-prefixed byte string.
    pub fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.count(1)?;
        self.raw(len)
    }

    /// Takes a length-prefixed UTF-8 string.
    pub fn str(&mut self) -> Result<String, Malformed> {
        let bytes = self.blob()?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.malformed("text is not UTF-8")),
        }
    }

    /// Takes a count of items of at least `item_bytes` each; refuses more than can follow.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        let most = (self.left() / item_bytes.max(1)) as u64;
        if count > most {
            return Err(self.malformed("count or length exceeds the input"));
        }
        Ok(count as usize)
    }

    /// Takes a list whose items take at least `item_bytes` each.
    pub fn list<T>(
        &mut self,
        item_bytes: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(item_bytes)?;
        // An item in memory can be larger than on the wire: grow as items prove to be there.
        let mut items = Vec::with_capacity(count.min(4096));
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    /// Takes an optional value.
    pub fn opt<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(some(self)?)),
            _ => Err(self.malformed("neither absent nor present")),
        }
    }

    /// Takes the extension list: unknown even tags are skipped, odd ones refused.
    pub fn ext(&mut self) -> Result<(), Malformed> {
        self.ext_knowing(&[]).map(|_| ())
    }

    /// The same, and returns the extensions whose tags are in `known`.
    pub fn ext_knowing(&mut self, known: &[u64]) -> Result<Vec<(u64, &'a [u8])>, Malformed> {
        let mut before = None;
        let mut found = Vec::new();
        for _ in 0..self.count(2)? {
            let tag = self.varint()?;
            if before.is_some_and(|b| tag <= b) {
                return Err(self.malformed("extension tags out of order"));
            }
            if tag % 2 == 1 && !known.contains(&tag) {
                return Err(self.malformed("an extension that a newer Nodekeep requires"));
            }
            before = Some(tag);
            let value = self.blob()?;
            if known.contains(&tag) {
                found.push((tag, value));
            }
        }
        Ok(found)
    }

    /// Ends the reading: nothing may be left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.left() == 0 { Ok(()) } else { Err(self.malformed("bytes left over")) }
    }
}
