//! Coins: what lies at an address, and how it is written.

use std::io::Read;

use super::address::Address;
use super::mmr::{Node, Proof};
use super::number::Number;
use super::wire::{FIELD_LIMIT, Hash, Reader, Result, Write, hex};

/// More state than a port of one byte can hold is not possible.
const STATES: u64 = 256;

/// The longest text that can be somebody's key or address.
const MENTION: usize = 130;

/// The token that is Minima itself.
const MINIMA: [u8; 1] = [0];

/// A coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Its identifier. Outputs of a transaction that is not in a block yet have a placeholder.
    pub id: Vec<u8>,
    /// Where it lies.
    pub address: Vec<u8>,
    /// How much it is, in Minima. Of a token, as much Minima as carries it.
    pub amount: Number,
    /// The token, or Minima itself.
    pub token: Token,
    /// Its place among all coins.
    pub entry: u64,
    /// Whether it was spent.
    pub spent: bool,
    /// In which block it was made.
    pub created: u64,
    /// Keys, addresses and texts in its state, by which it can belong to somebody.
    pub mentions: Vec<String>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// What a coin is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Minima.
    Minima,
    /// Something that somebody made of Minima.
    Other {
        /// Its identifier.
        id: Vec<u8>,
        /// Its name, often JSON, and how many decimal places its amount is moved to the right, if the coin carries its description.
        description: Option<(String, u64)>,
    },
}

impl Coin {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let ((id, address, amount, token), head) = reader.keep(|reader| {
            let id = reader.short("a coin's id")?;
            let address = reader.short("a coin's address")?;
            let amount = reader.number("a coin's amount")?;
            let token = reader.short("a coin's token")?;
            reader.bool("whether a coin keeps its state")?;
            Ok((id, address, amount, token))
        })?;
        let entry = read_entry(reader)?;
        let spent = reader.bool("whether a coin is spent")?;
        let created = reader.whole("the block of a coin")?;
        let ((mentions, description), tail) = reader.keep(|reader| {
            let states = reader.list("the number of states", STATES, read_state)?;
            let described = reader.bool("whether a coin describes its token")?;
            let description = if described { Some(read_token(reader)?) } else { None };
            Ok((states.into_iter().flatten().collect(), description))
        })?;
        let token = match token == MINIMA {
            true => Token::Minima,
            false => Token::Other { id: token, description },
        };
        Ok(Self { id, address, amount, token, entry, spent, created, mentions, head, tail })
    }

    /// Writes it, byte for byte as it was read unless something was changed.
    pub fn write(&self, out: &mut impl Write) {
        out.raw(&self.head);
        write_entry(out, self.entry);
        out.bool(self.spent).whole(self.created).raw(&self.tail);
    }

    /// The same after it was spent.
    pub fn as_spent(&self) -> Self {
        Self { spent: true, ..self.clone() }
    }

    /// The same as the coin of this number, made by this block.
    pub fn as_made(&self, entry: u64, block: u64) -> Self {
        Self { entry, created: block, spent: false, ..self.clone() }
    }

    /// What the set of all coins holds of it: a spent one counts for nothing.
    pub fn leaf(&self) -> Node {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        Node::leaf(&bytes, if self.spent { Number::from(0) } else { self.amount })
    }

    /// Its address, if it is one that a person can have.
    pub fn address(&self) -> Option<Address> {
        self.address.as_slice().try_into().ok().map(|bytes| Address(Hash(bytes)))
    }

    /// How much it is to its owner: of a token with a description, in that token.
    pub fn worth(&self) -> Option<Number> {
        match &self.token {
            Token::Minima => Some(self.amount),
            Token::Other { description: Some((_, places)), .. } => self.amount.shifted(*places),
            Token::Other { description: None, .. } => None,
        }
    }
}

/// A coin, and what shows that it is one of all coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinProof {
    /// The coin.
    pub coin: Coin,
    /// Leads from it to a peak.
    pub proof: Proof,
}

impl CoinProof {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        Ok(Self { coin: Coin::read(reader)?, proof: Proof::read(reader)? })
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) {
        self.coin.write(out);
        self.proof.write(out);
    }
}

/// The number of an entry: a decimal number of any size, of which only whole ones are written.
pub(super) fn read_entry<R: Read>(reader: &mut Reader<R>) -> Result<u64> {
    let what = "an entry's number";
    let scale = reader.whole(what)?;
    let digits = reader.short(what)?;
    let zeros = digits.iter().take_while(|byte| **byte == 0).count();
    let significant = digits.get(zeros..).unwrap_or_default();
    let negative = zeros == 0 && digits.first().is_none_or(|byte| *byte & 0x80 != 0);
    if scale != 0 || negative || significant.len() > 7 {
        return Err(reader.invalid(what, "it must be a whole number of at most 56 bits"));
    }
    Ok(significant.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

pub(super) fn write_entry(out: &mut impl Write, entry: u64) {
    out.whole(0).data(Number::from(entry).digits());
}

/// One variable of a coin's state, if it can mention somebody.
pub(super) fn read_state<R: Read>(reader: &mut Reader<R>) -> Result<Option<String>> {
    let what = "a state variable";
    reader.byte(what)?;
    match reader.byte(what)? {
        1 => {
            let bytes = reader.data(what, FIELD_LIMIT)?;
            Ok((bytes.len() <= MENTION / 2).then(|| format!("0x{}", hex(&bytes))))
        }
        2 => reader.number(what).map(|_| None),
        4 => {
            let text = reader.data(what, FIELD_LIMIT)?;
            Ok(String::from_utf8(text).ok().filter(|text| text.len() <= MENTION))
        }
        8 => reader.bool(what).map(|_| None),
        _ => Err(reader.invalid(what, "its type is unknown")),
    }
}

fn read_token<R: Read>(reader: &mut Reader<R>) -> Result<(String, u64)> {
    reader.short("a token's coin")?;
    reader.skip_data("a token's script", FIELD_LIMIT)?;
    let places = reader.whole("a token's scale")?;
    reader.number("a token's amount")?;
    let name = reader.string("a token's name", FIELD_LIMIT)?;
    reader.number("a token's block")?;
    Ok((name, places))
}
