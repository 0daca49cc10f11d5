//! The encoding that all files of these databases share: little-endian numbers, varints, texts with their length, masked CRC32C.
//!
//! A cursor never panics: whatever runs out or overflows is a [`Short`], to which the caller adds the file and the place.

/// The bytes end before what should be there does, or a number is longer than it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, Short> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        self.take(N)?.try_into().map_err(|_| Short)
    }

    pub fn varint64(&mut self) -> Result<u64, Short> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Short);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    pub fn varint32(&mut self) -> Result<u32, Short> {
        u32::try_from(self.varint64()?).map_err(|_| Short)
    }

    /// A signed number in zigzag.
    pub fn signed(&mut self) -> Result<i64, Short> {
        let raw = self.varint64()?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// Bytes after their length as a varint.
    pub fn prefixed(&mut self) -> Result<&'a [u8], Short> {
        let length = usize::try_from(self.varint32()?).map_err(|_| Short)?;
        self.take(length)
    }
}

/// CRC32C over several pieces, masked as it is stored.
pub fn masked_crc(pieces: &[&[u8]]) -> u32 {
    let crc = pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
    mask(crc)
}

/// A checksum is stored masked so that the checksum of bytes that hold checksums is no special case.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let mut cursor = Cursor::new(&[0xac, 0x02, 0x03, b'a', b'b', b'c', 0x01, 7, 0]);
        assert_eq!(cursor.varint32(), Ok(300));
        assert_eq!(cursor.prefixed(), Ok(&b"abc"[..]));
        assert_eq!(cursor.signed(), Ok(-1));
        assert_eq!(cursor.u16(), Ok(7));
        assert_eq!(cursor.u8(), Err(Short));
    }

    #[test]
    fn numbers_that_are_too_long_are_refused() {
        assert_eq!(Cursor::new(&[0xff; 11]).varint64(), Err(Short));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor::new(&most).varint64(), Ok(u64::MAX));
        assert_eq!(Cursor::new(&most).varint32(), Err(Short));
    }

    #[test]
    fn the_mask_is_the_one_of_the_format() {
        // CRC32C of "123456789" is 0xe3069283.
        let crc = 0xe306_9283_u32;
        assert_eq!(
            masked_crc(&[b"1234", b"56789"]),
            crc.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }
}
