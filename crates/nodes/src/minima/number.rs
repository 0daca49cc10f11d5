//! Minima's numbers: a whole number in two's complement and how many of its decimal digits stand after the point.
//!
//! They are kept as they are written, byte for byte, because identifiers are hashes of them.

use std::fmt;

/// How many digits Minima keeps of what it computes.
const KEPT_DIGITS: usize = 64;

/// A decimal number of at most 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    scale: i8,
    length: u8,
    bytes: [u8; Number::LIMIT],
}

impl Number {
    /// The most bytes that Minima reads.
    pub const LIMIT: usize = 32;

    /// From its parts: how many digits stand after the point, and the whole number, big-endian. `None` without a byte or with too many.
    pub fn from_parts(scale: i8, digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LIMIT];
        bytes.get_mut(..digits.len())?.copy_from_slice(digits);
        let length = u8::try_from(digits.len()).ok().filter(|length| *length > 0)?;
        Some(Self { scale, length, bytes })
    }

    /// How many decimal digits stand after the point; below 0, how many zeros follow the whole number.
    pub fn scale(&self) -> i8 {
        self.scale
    }

    /// The whole number in two's complement, big-endian.
    pub fn digits(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it is below 0.
    pub fn is_negative(&self) -> bool {
        self.bytes[0] & 0x80 != 0
    }

    /// Its value, if it is whole, not negative and not too large.
    pub fn to_u64(&self) -> Option<u64> {
        if self.is_negative() {
            return None;
        }
        let plain = self.digits().iter().try_fold(0_u128, |value, byte| {
            value.checked_mul(256)?.checked_add(u128::from(*byte))
        })?;
        let factor = 10_u128.checked_pow(self.scale.unsigned_abs().into());
        let value = match (self.scale < 0, factor) {
            _ if plain == 0 => 0,
            (true, factor) => plain.checked_mul(factor?)?,
            (false, Some(factor)) if plain % factor == 0 => plain / factor,
            (false, _) => return None,
        };
        u64::try_from(value).ok()
    }

    /// The sum, written as Java writes it: with as many digits after the point as the longer one. `None` if either is below 0 or if
    /// the sum has more digits than Minima keeps, so that a node would round it.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        if self.is_negative() || other.is_negative() {
            return None;
        }
        let scale = self.scale.max(other.scale);
        let mut sum = self.widened(scale)?;
        add(&mut sum, &other.widened(scale)?)?;
        let first = sum.iter().position(|byte| *byte != 0).unwrap_or(sum.len() - 1);
        let sign = usize::from(sum[first] & 0x80 != 0);
        let number = Self::from_parts(scale, &sum[first.checked_sub(sign)?..])?;
        (number.decimal().len() <= KEPT_DIGITS).then_some(number)
    }

    /// The whole number with zeros up to this many digits after the point.
    fn widened(&self, scale: i8) -> Option<[u8; Self::LIMIT + 1]> {
        let mut wide = [0; Self::LIMIT + 1];
        let digits = self.digits();
        wide[Self::LIMIT + 1 - digits.len()..].copy_from_slice(digits);
        if digits.iter().all(|byte| *byte == 0) {
            return Some(wide);
        }
        for _ in 0..i16::from(scale) - i16::from(self.scale) {
            multiply_by_ten(&mut wide)?;
        }
        Some(wide)
    }

    /// The same digits with the point moved to the right. `None` if it cannot be written so.
    pub fn shifted(&self, places: u64) -> Option<Self> {
        let scale = i64::from(self.scale).checked_sub(i64::try_from(places).ok()?)?;
        Some(Self { scale: i8::try_from(scale).ok()?, ..*self })
    }

    /// The whole number's size in decimal digits, without sign, most significant first, with no leading zero but a lone one.
    fn decimal(&self) -> String {
        let mut left = self.magnitude();
        let mut digits = Vec::new();
        while left.iter().any(|byte| *byte != 0) {
            digits.push(char::from(b'0' + divide_by_ten(&mut left)));
        }
        if digits.is_empty() {
            digits.push('0');
        }
        digits.iter().rev().collect()
    }

    fn magnitude(&self) -> Vec<u8> {
        let mut bytes = self.digits().to_vec();
        if self.is_negative() {
            negate(&mut bytes);
        }
        bytes
    }
}

/// Adds in place. `None` if the sum does not fit.
fn add(sum: &mut [u8], other: &[u8]) -> Option<()> {
    let mut carry = 0_u16;
    for (byte, other) in sum.iter_mut().zip(other).rev() {
        carry += u16::from(*byte) + u16::from(*other);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    (carry == 0).then_some(())
}

/// Multiplies in place. `None` if the product does not fit.
fn multiply_by_ten(bytes: &mut [u8]) -> Option<()> {
    let mut carry = 0_u16;
    for byte in bytes.iter_mut().rev() {
        carry += u16::from(*byte) * 10;
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    (carry == 0).then_some(())
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (value, more) = (!*byte).overflowing_add(u8::from(carry));
        *byte = value;
        carry = more;
    }
}

/// Divides in place and gives the remainder.
fn divide_by_ten(bytes: &mut [u8]) -> u8 {
    let mut rest = 0_u16;
    for byte in bytes {
        let value = rest << 8 | u16::from(*byte);
        // Both fit: the rest is below 10, so the quotient is below 256.
        *byte = (value / 10) as u8;
        rest = value % 10;
    }
    rest as u8
}

impl From<u64> for Number {
    /// As Java writes it: with as few bytes as hold the number and its sign.
    fn from(value: u64) -> Self {
        let wide = u128::from(value).to_be_bytes();
        let zeros = wide.iter().take_while(|byte| **byte == 0).count().min(15);
        let from = zeros - usize::from(wide[zeros] & 0x80 != 0);
        let mut bytes = [0; Self::LIMIT];
        let digits = &wide[from..];
        bytes[..digits.len()].copy_from_slice(digits);
        Self { scale: 0, length: (wide.len() - from) as u8, bytes }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.decimal();
        let after = usize::from(self.scale.max(0).unsigned_abs());
        let zeros = usize::from(self.scale.min(0).unsigned_abs());
        let whole = if digits == "0" { digits } else { digits + &"0".repeat(zeros) };
        let padded = format!("{whole:0>width$}", width = after + 1);
        let (before, fraction) = padded.split_at(padded.len() - after);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.is_negative() { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{before}{point}{fraction}")
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_java_does() {
        for (value, digits) in [
            (0, vec![0]),
            (1, vec![1]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (256, vec![1, 0]),
            (u64::MAX, [vec![0], vec![0xff; 8]].concat()),
        ] {
            let number = Number::from(value);
            assert_eq!((number.scale(), number.digits()), (0, digits.as_slice()), "{value}");
            assert_eq!(number.to_u64(), Some(value));
            assert_eq!(number.to_string(), value.to_string());
        }
    }

    #[test]
    fn decimals_are_shown_without_idle_zeros() {
        let shown = |scale, digits: &[u8]| Number::from_parts(scale, digits).unwrap().to_string();
        assert_eq!(shown(2, &[0x7b]), "1.23");
        assert_eq!(shown(4, &[0x7b]), "0.0123");
        assert_eq!(shown(-2, &[0x7b]), "12300");
        assert_eq!(shown(1, &[0x64]), "10");
        assert_eq!(shown(0, &[0xff]), "-1");
        assert_eq!(shown(3, &[0xff, 0x00]), "-0.256");
        assert_eq!(shown(0, &[0x80]), "-128");
        assert_eq!(shown(127, &[0]), "0");
        assert_eq!(shown(-128, &[0]), "0");
    }

    #[test]
    fn sums_are_written_as_java_does() {
        let number = |scale, digits: &[u8]| Number::from_parts(scale, digits).unwrap();
        let sum = number(1, &[5]).plus(&number(3, &[125])).unwrap();
        assert_eq!((sum.scale(), sum.to_string().as_str()), (3, "0.625"));
        let carried = Number::from(127).plus(&Number::from(1)).unwrap();
        assert_eq!(carried, Number::from(128));
        let zeros = number(5, &[0]).plus(&number(-2, &[0])).unwrap();
        assert_eq!((zeros.scale(), zeros.digits()), (5, [0].as_slice()));
        let most = Number::from(u64::MAX);
        assert_eq!(most.plus(&most).unwrap().to_string(), "36893488147419103230");
        assert_eq!(number(0, &[0x7f; 32]).plus(&most), None);
        assert_eq!(number(127, &[1]).plus(&number(0, &[1])), None);
        assert_eq!(number(0, &[0xff]).plus(&most), None);
        assert_eq!(number(2, &[123]).shifted(2).unwrap().to_string(), "123");
        assert_eq!(number(0, &[1]).shifted(u64::MAX), None);
    }

    #[test]
    fn only_whole_numbers_that_fit_are_taken_as_such() {
        let whole = |scale, digits: &[u8]| Number::from_parts(scale, digits).unwrap().to_u64();
        assert_eq!(whole(-1, &[5]), Some(50));
        assert_eq!(whole(1, &[50]), Some(5));
        assert_eq!(whole(1, &[5]), None);
        assert_eq!(whole(0, &[0xff]), None);
        assert_eq!(whole(-19, &[100]), None);
        assert_eq!(whole(-128, &[1]), None);
        assert_eq!(whole(0, &[0x7f; 32]), None);
        assert_eq!(Number::from_parts(0, &[]), None);
        assert_eq!(Number::from_parts(0, &[1; 33]), None);
    }
}
