//! The tables that a wallet's script fills. A statement that no node writes is an error.

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::address::Address;
use super::keys::{PrivateKey, Seed};
use super::phrase::Phrase;
use super::sql::{Bad, Placed, Token};
use super::wallet::{Key, Script, Secrets};
use super::wire::{Hash, unhex};

/// What a node keeps in place of a secret that was wiped or locked.
const WIPED: &str = "0x00";

/// Words that stand in what a node's script does besides filling tables. None of them reads a file or runs code.
const HARMLESS: &[&str] = &[
    "ADD",
    "ADMIN",
    "ALTER",
    "AS",
    "BELONGS_TO_TABLE",
    "BIGINT",
    "BY",
    "CACHED",
    "CHARACTER",
    "CONSTRAINT",
    "CREATE",
    "DEFAULT",
    "EXISTS",
    "FOR",
    "GENERATED",
    "HASH",
    "IDENTITY",
    "IF",
    "INT",
    "INTEGER",
    "KEY",
    "NEXT",
    "NOT",
    "NULL",
    "NULL_TO_DEFAULT",
    "ON",
    "PRIMARY",
    "PUBLIC",
    "RESTART",
    "SALT",
    "SEQUENCE",
    "START",
    "TABLE",
    "UNIQUE",
    "USER",
    "VALUE",
    "VARCHAR",
    "VARYING",
    "WITH",
];

type Parsed<T> = std::result::Result<T, Bad>;

/// What the statements filled so far.
#[derive(Default)]
pub(super) struct Tables {
    columns: BTreeMap<String, Vec<String>>,
    pub(super) secrets: Option<Secrets>,
    pub(super) keys: Vec<Key>,
    pub(super) scripts: Vec<Script>,
}

impl Tables {
    /// Takes in a statement.
    pub(super) fn take(&mut self, statement: &[Placed<'_>]) -> Parsed<()> {
        let is = |index: usize, word: &str| {
            statement.get(index).is_some_and(|placed| placed.token.is(word))
        };
        if statement.is_empty() {
            return Ok(());
        }
        if is(0, "INSERT") && is(1, "INTO") {
            return self.insert(&statement[2..]);
        }
        only_harmless(statement)?;
        if is(0, "CREATE") && is(2, "TABLE") {
            self.create(&statement[3..]);
        }
        Ok(())
    }

    fn create(&mut self, statement: &[Placed<'_>]) {
        let Some((table, body)) = table_name(statement) else {
            return;
        };
        self.columns.insert(table, columns(body));
    }

    fn insert(&mut self, statement: &[Placed<'_>]) -> Parsed<()> {
        let start = statement.first().map_or(0, |placed| placed.at.start);
        let bad = |reason| Bad { at: start, reason };
        let (table, body) = table_name(statement).ok_or(bad("this row is for no table"))?;
        let columns = self.columns.get(&table).ok_or(bad("this row's table was not created"))?;
        let (first, rows) = body.split_first().ok_or(bad("this row has no values"))?;
        if !first.token.is("VALUES") {
            return Err(bad("this row has no plain values"));
        }
        let columns = columns.clone();
        for row in rows_of(rows)? {
            self.add(&table, &Row { columns: &columns, values: row, at: start })?;
        }
        Ok(())
    }

    fn add(&mut self, table: &str, row: &Row<'_, '_>) -> Parsed<()> {
        match table {
            "KEYS" => self.keys.push(row.key()?),
            "SCRIPTS" => self.scripts.push(row.script()?),
            "SEED" if self.secrets.is_none() => self.secrets = Some(row.secrets()?),
            _ => return Err(row.bad("a wallet has no such row")),
        }
        Ok(())
    }
}

/// A table's name, upper case and without its schema, and what follows.
fn table_name<'a, 'b>(statement: &'a [Placed<'b>]) -> Option<(String, &'a [Placed<'b>])> {
    let first = statement.first()?.token.name()?;
    let is_schema = statement.get(1).is_some_and(|placed| placed.token == Token::Mark('.'));
    if !is_schema {
        return Some((first.to_ascii_uppercase(), &statement[1..]));
    }
    let name = statement.get(2)?.token.name()?;
    Some((name.to_ascii_uppercase(), &statement[3..]))
}

/// The first name of each part between the outer commas.
fn columns(body: &[Placed<'_>]) -> Vec<String> {
    let mut columns = Vec::new();
    let mut depth = 0_usize;
    let mut expected = false;
    for placed in body {
        match &placed.token {
            Token::Mark('(') => {
                depth += 1;
                expected = depth == 1;
            }
            Token::Mark(')') => depth = depth.saturating_sub(1),
            Token::Mark(',') => expected = depth == 1,
            token if expected => {
                columns.extend(token.name().map(str::to_ascii_uppercase));
                expected = false;
            }
            _ => {}
        }
    }
    columns
}

/// Values in brackets, with commas between rows and between values.
fn rows_of<'a, 'b>(tokens: &'a [Placed<'b>]) -> Parsed<Vec<Vec<&'a Placed<'b>>>> {
    let mut rows = Vec::new();
    for part in tokens.split_inclusive(|placed| placed.token == Token::Mark(')')) {
        let part = match part {
            [comma, part @ ..] if !rows.is_empty() && comma.token == Token::Mark(',') => part,
            part => part,
        };
        rows.push(row_of(part)?);
    }
    Ok(rows)
}

fn row_of<'a, 'b>(part: &'a [Placed<'b>]) -> Parsed<Vec<&'a Placed<'b>>> {
    let at = part.first().map_or(0, |placed| placed.at.start);
    let bad = Bad { at, reason: "this row is not made of plain values" };
    let [open, values @ .., close] = part else {
        return Err(bad);
    };
    let framed = open.token == Token::Mark('(') && close.token == Token::Mark(')');
    let alternate = values.iter().enumerate().all(|(index, placed)| {
        let is_value = matches!(placed.token, Token::Digits(_) | Token::Text(_));
        if index % 2 == 0 { is_value } else { placed.token == Token::Mark(',') }
    });
    if !framed || !alternate || values.len() % 2 == 0 {
        return Err(bad);
    }
    Ok(values.iter().step_by(2).collect())
}

/// Words of the list, names, numbers and the marks between them; texts only for the salt and hash of H2's own user.
fn only_harmless(statement: &[Placed<'_>]) -> Parsed<()> {
    let is_user = statement.get(1).is_some_and(|placed| placed.token.is("USER"));
    for placed in statement {
        let harmless = match &placed.token {
            Token::Word(word) => is_harmless(word),
            Token::Text(_) => is_user,
            Token::Mark(mark) => matches!(mark, '(' | ')' | ',' | '.'),
            Token::Name(_) | Token::Digits(_) => true,
        };
        if !harmless {
            let reason = "no node writes such a statement, and a node would run it: refused";
            return Err(Bad { at: placed.at.start, reason });
        }
    }
    Ok(())
}

fn is_harmless(word: &str) -> bool {
    HARMLESS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Values by the names of their columns.
struct Row<'a, 'b> {
    columns: &'a [String],
    values: Vec<&'a Placed<'b>>,
    at: usize,
}

impl Row<'_, '_> {
    fn bad(&self, reason: &'static str) -> Bad {
        let at = self.values.first().map_or(self.at, |placed| placed.at.start);
        Bad { at, reason }
    }

    fn value(&self, column: &'static str) -> Parsed<&Placed<'_>> {
        let whole = self.columns.len() == self.values.len();
        let index = self.columns.iter().position(|name| name == column).filter(|_| whole);
        let found = index.and_then(|index| self.values.get(index));
        found.copied().ok_or(self.bad("this row has other columns than a wallet's"))
    }

    fn number(&self, column: &'static str) -> Parsed<(u64, Range<usize>)> {
        let placed = self.value(column)?;
        let Token::Digits(digits) = placed.token else {
            return Err(self.bad("this row has a text in place of a number"));
        };
        let number = digits.parse().map_err(|_| self.bad("this row has a number too large"))?;
        Ok((number, placed.at.clone()))
    }

    fn text(&self, column: &'static str) -> Parsed<&str> {
        match &self.value(column)?.token {
            Token::Text(text) => Ok(text),
            _ => Err(self.bad("this row has a number in place of a text")),
        }
    }

    /// Data as Minima spells it.
    fn data(&self, column: &'static str) -> Parsed<Zeroizing<Vec<u8>>> {
        let digits = self.text(column)?.strip_prefix("0x");
        let bytes = digits.and_then(unhex).map(Zeroizing::new);
        bytes.ok_or(self.bad("this row has data that is not hexadecimal"))
    }

    fn array(&self, column: &'static str) -> Parsed<[u8; 32]> {
        let bytes = self.data(column)?;
        let array = bytes.as_slice().try_into();
        array.map_err(|_| {
            self.bad("this row has a key or an address of another length than 32 bytes")
        })
    }

    /// A secret of 32 bytes, unless it was wiped.
    fn secret(&self, column: &'static str) -> Parsed<Option<Zeroizing<[u8; 32]>>> {
        match self.text(column)? {
            WIPED => Ok(None),
            _ => self.array(column).map(Zeroizing::new).map(Some),
        }
    }

    fn key(&self) -> Parsed<Key> {
        let (uses, uses_at) = self.number("USES")?;
        Ok(Key {
            public: Hash(self.array("PUBLICKEY")?),
            private: self.secret("PRIVATEKEY")?.map(|bytes| PrivateKey::from_bytes(*bytes)),
            modifier: self.data("MODIFIER")?.to_vec(),
            size: self.number("SIZE")?.0,
            depth: self.number("DEPTH")?.0,
            uses,
            max_uses: self.number("MAXUSES")?.0,
            uses_at,
        })
    }

    fn script(&self) -> Parsed<Script> {
        let flag = |column| Ok(self.number(column)?.0 != 0);
        Ok(Script {
            script: self.text("SCRIPT")?.to_owned(),
            address: Address(Hash(self.array("ADDRESS")?)),
            public: self.secret("PUBLICKEY")?.map(|bytes| Hash(*bytes)),
            default: flag("DEFAULTADDRESS")?,
            tracked: flag("TRACK")?,
        })
    }

    fn secrets(&self) -> Parsed<Secrets> {
        let Some(seed) = self.secret("SEED")? else {
            return Ok(Secrets::Wiped);
        };
        let phrase = Phrase::kept(Zeroizing::new(self.text("PHRASE")?.to_owned()));
        Ok(Secrets::Present { phrase, seed: Seed::from_bytes(*seed) })
    }
}
