//! Addresses: the hash of a script, in two spellings.
//!
//! `0x` and 64 hexadecimal digits say nothing of a slip; `Mx` is base 32 with a checksum of four bytes and without the letters that are
//! easily mistaken.

use super::keys;
use super::wire::Hash;

/// The digits of base 32 after `0` to `9`, as Minima writes them.
const LETTERS: &[u8; 22] = b"ABCDEFGHWJKYMNZPQRSTUV";

/// A marker, a length of two bytes, the address, four bytes of checksum.
const LENGTH: usize = 1 + 2 + 32 + 4;

/// Where coins can be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub Hash);

impl Address {
    /// Of a script.
    pub fn of_script(script: &str) -> Self {
        Self(keys::tree_leaf(script.as_bytes()))
    }

    /// The simple address of a key: whoever signs with it may spend.
    pub fn of_key(public: &Hash) -> Self {
        Self::of_script(&simple_script(public))
    }

    /// The spelling with a checksum.
    pub fn checked(&self) -> String {
        let bytes = self.framed();
        // 312 bits are 62 digits of five and a first one of two.
        let digits = (0..63).map(|digit| digit_at(&bytes, digit));
        let digits: String = digits.skip_while(|digit| *digit == 0).map(letter).collect();
        format!("Mx{digits}")
    }

    /// From either spelling. `None` if it is neither, or if the checksum is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(digits) = text.strip_prefix("Mx").or_else(|| text.strip_prefix("MX")) else {
            return Hash::parse(text).map(Self);
        };
        let bytes = from_digits(digits)?;
        let address = Self(Hash(bytes[3..35].try_into().ok()?));
        (address.framed() == bytes).then_some(address)
    }

    fn framed(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..3].copy_from_slice(&[1, 0, 32]);
        bytes[3..35].copy_from_slice(&self.0.0);
        bytes[35..].copy_from_slice(&Hash::of(&self.0.0).0[..4]);
        bytes
    }
}

/// The script of a key's simple address.
pub fn simple_script(public: &Hash) -> String {
    format!("RETURN SIGNEDBY({public})")
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The digit at a place of 63, the most significant first: the bits from `5 * digit - 3` on.
fn digit_at(bytes: &[u8; LENGTH], digit: usize) -> u8 {
    (0..5).fold(0, |value, bit| value << 1 | bit_at(bytes, (5 * digit + bit).checked_sub(3)))
}

fn bit_at(bytes: &[u8; LENGTH], bit: Option<usize>) -> u8 {
    bit.map_or(0, |bit| bytes[bit / 8] >> (7 - bit % 8) & 1)
}

fn letter(digit: u8) -> char {
    match digit.checked_sub(10) {
        Some(letter) => char::from(LETTERS[usize::from(letter)]),
        None => char::from(b'0' + digit),
    }
}

fn digit_of(letter: u8) -> Option<u8> {
    let upper = letter.to_ascii_uppercase();
    if upper.is_ascii_digit() {
        return Some(upper - b'0');
    }
    let at = LETTERS.iter().position(|known| *known == upper)?;
    u8::try_from(at + 10).ok()
}

fn from_digits(digits: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0_u8; LENGTH];
    for letter in digits.bytes() {
        let mut carry = u16::from(digit_of(letter)?);
        for byte in bytes.iter_mut().rev() {
            carry |= u16::from(*byte) << 5;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_those_of_a_real_node() {
        for (public, address) in [
            (
                "0x40810A5CC01770DA72E99FECE93156F2DCD73281ED708BD34FB7B74BAD49222E",
                "0xD1A977E6F9561AA630119AAE53D58B4F8B48C16243257E12FB6759F09ED2C0DA",
            ),
            (
                "0x1B862EEBD6D329862DDAA031F28D4EAF14EE7519508C23F6828801EDB59B030D",
                "0xD731A752EBD78FCE175497C7FA45E45F8B4F6C5FCC0E78F8CCBED40A2EDC39B3",
            ),
        ] {
            let public = Hash::parse(public).unwrap();
            assert_eq!(Address::of_key(&public).to_string(), address);
        }
    }

    #[test]
    fn the_checked_spelling_is_minimas() {
        let address =
            Address::parse("0x53AF91ED101E93824CED856E76BF4B23508100D6CE9EFFEB207BF1A949DFDC9D")
                .unwrap();
        let checked = "MxG082JYU8UQ40UWE14PRC5DPRBUWP3A20G1YMEJRVUM83RU6KKJNUSJNAW1EDM";
        assert_eq!(address.checked(), checked);
        assert_eq!(Address::parse(checked), Some(address));
    }

    #[test]
    fn a_slip_is_refused() {
        let checked = "MxG082JYU8UQ40UWE14PRC5DPRBUWP3A20G1YMEJRVUM83RU6KKJNUSJNAW1EDM";
        for bad in [
            "",
            "Mx",
            "Mx0",
            "MxO",
            &checked[..checked.len() - 1],
            &checked.replace("40U", "41U"),
            &format!("{checked}0"),
            &format!("{checked}{checked}"),
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn both_spellings_come_back(bytes: [u8; 32]) {
            let address = Address(Hash(bytes));
            prop_assert_eq!(Address::parse(&address.checked()), Some(address));
            prop_assert_eq!(Address::parse(&address.to_string()), Some(address));
        }
    }
}
