//! Lines of JSON linked by hashes: everything that [`jsonl`](super::jsonl) does, and each line's hash and its link to the line before.
//!
//! What is hashed is a JSON object made of the fields that the rule names, in its order, each value in its raw text: a value that is read
//! and written again may come out as other bytes (`1.50`, `1e3`, the order of keys).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::jsonl::{Faults, Look, capture_with, verify_with};
use super::lines::{Line, hex};
use super::{Captured, Outcome, Request, Verified};
use crate::error::{Error, Result};
use crate::manifest::Note;
use crate::profile::{self, ChainRule, JsonlRule, Kind, builtin};

/// Longer first lines are no line of a chain that anybody knows, in bytes.
const MOST_FIRST: u64 = 1 << 20;

/// Captures a chain: its whole lines, with the last line's hash as `tip`.
///
/// # Errors
/// As [`jsonl::capture`](super::jsonl::capture), and if the rule names a hash function other than SHA-256.
pub fn capture(request: &Request<'_>, rule: &JsonlRule, chain: &ChainRule) -> Result<Captured> {
    check_function(request.path, chain)?;
    capture_with(request, rule, || Links::new(chain))
}

/// Checks a copy: every line is JSON, hashes to what it says, and names the hash of the line before.
///
/// # Errors
/// As [`jsonl::verify`](super::jsonl::verify), and if the rule names a hash function other than SHA-256.
pub fn verify(path: &Path, rule: &JsonlRule, chain: &ChainRule) -> Result<Verified> {
    check_function(path, chain)?;
    verify_with(path, rule, &mut Links::new(chain))
}

/// The chain that a file plainly is: its first line has every field of a chain that a built-in profile knows.
pub fn recognise(path: &Path) -> Option<Kind> {
    let mut first = String::new();
    let file = BufReader::new(File::open(path).ok()?);
    file.take(MOST_FIRST).read_line(&mut first).ok()?;
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&first).ok()?;
    let fits = |kind: &&Kind| match kind {
        Kind::JsonlChain(_, chain) => {
            let mut needed = [&chain.hash, &chain.previous].into_iter().chain(&chain.over);
            needed.all(|field| fields.contains_key(field))
        }
        _ => false,
    };
    let profiles = builtin::all().ok()?;
    let components = profiles.iter().flat_map(|profile| &profile.components);
    let mut kinds = components
        .flat_map(|c| std::iter::once(&c.kind).chain(c.parts.iter().map(|part| &part.kind)));
    kinds.find(fits).cloned()
}

/// The chain that a rule describes, in the words of a profile: `hash = "hash", previous = "prev", function = "sha256", over = ["a"]`.
///
/// # Errors
/// [`Error::Profile`] with what is wrong with it.
pub fn described(rule: &str) -> Result<Kind> {
    let text = format!(
        "name = \"chain\"\ntitle = \"chain\"\nabout = \"chain\"\n[[root]]\nname = \"data\"\nabout = \"it\"\n[[component]]\nname = \"lines\"\nabout = \"lines\"\npath = \"{{data}}\"\nkind = \"jsonl-chain\"\n[component.options]\nchain = {{ {rule} }}\n"
    );
    let mut profile = profile::parse(&text, "the rule of the chain")?;
    match profile.components.pop() {
        Some(component) if profile.components.is_empty() => Ok(component.kind),
        _ => Err(Error::Profile {
            origin: "the rule of the chain".to_owned(),
            reason: "it is more than one rule".to_owned(),
        }),
    }
}

fn check_function(path: &Path, chain: &ChainRule) -> Result<()> {
    if chain.function == "sha256" {
        return Ok(());
    }
    let reason = format!("the chain's hash function is `{}`, only sha256 is known", chain.function);
    Err(Error::Unsupported { path: path.to_owned(), reason })
}

/// The fields of a line, each in its raw text.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// What a line says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    hash: String,
    index: Option<u64>,
}

/// The chain so far.
struct Links<'a> {
    rule: &'a ChainRule,
    faults: Faults,
    /// The line before; `None` at the start and after a line that is no link.
    before: Option<Link>,
    /// The last link's hash.
    tip: Option<String>,
    links: u64,
    broken: u64,
    first: Option<String>,
}

impl<'a> Links<'a> {
    fn new(rule: &'a ChainRule) -> Self {
        let faults = Faults::default();
        Self { rule, faults, before: None, tip: None, links: 0, broken: 0, first: None }
    }

    /// The link that a line is, or what is wrong with it. A line that is wrong but says its hash is linked to all the same.
    fn follow(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        let before = self.before.take();
        let hash = text(fields, &self.rule.hash)?;
        let index = self.rule.index.as_deref().map(|index| number(fields, index)).transpose()?;
        self.before = Some(Link { hash: hash.clone(), index });
        self.tip = Some(hash.clone());
        let content = content_hash(self.rule, fields);
        if self.links == 1 && is_constant(&hash) {
            return Ok(());
        }
        if !hash.eq_ignore_ascii_case(&content) {
            return Err(format!("`{}` is {hash}, its content hashes to {content}", self.rule.hash));
        }
        let previous = text(fields, &self.rule.previous)?;
        before.map_or(Ok(()), |before| self.compare(&before, &previous, index))
    }

    fn compare(&self, before: &Link, previous: &str, index: Option<u64>) -> Result<(), String> {
        if previous != before.hash {
            let (name, hash) = (&self.rule.previous, &before.hash);
            return Err(format!("`{name}` is {previous}, the line before has {hash}"));
        }
        let expected = before.index.map(|before| before.saturating_add(1));
        match (&self.rule.index, index, expected) {
            (Some(name), Some(index), Some(expected)) if index != expected => {
                Err(format!("`{name}` is {index}, {expected} was expected"))
            }
            _ => Ok(()),
        }
    }

    fn text(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(match self.broken.saturating_sub(1) {
            0 => first.clone(),
            others => format!("{first}; and {others} more"),
        })
    }
}

impl Look for Links<'_> {
    fn line(&mut self, line: Line<'_>) {
        self.faults.line(line);
        let Some(json) = line.json else {
            self.before = None;
            return;
        };
        self.links += 1;
        let fields = serde_json::from_str(json).map_err(|_| "it is no JSON object".to_owned());
        if let Err(reason) = fields.and_then(|fields| self.follow(&fields)) {
            self.broken += 1;
            let (number, at) = (line.number, line.at);
            self.first.get_or_insert_with(|| format!("line {number}, at byte {at}: {reason}"));
        }
    }

    fn report(&self, captured: &mut Captured) {
        self.faults.report(captured);
        if let Some(text) = self.text() {
            captured.is_torn = true;
            captured.notes.push(Note::new("chain-broken", text + ": captured as it is"));
        }
        captured.hashes.extend(self.tip.clone().map(|tip| ("tip".to_owned(), tip)));
    }

    fn judge(&self, verified: &mut Verified) {
        self.faults.judge(verified);
        match self.text() {
            Some(text) => verified.check("hash links", Outcome::Failed, text),
            None => {
                let tip = self.tip.as_deref().unwrap_or("none");
                let detail = format!("{} links, tip {tip}", self.links);
                verified.check("hash links", Outcome::Passed, detail);
            }
        }
        verified.hashes.extend(self.tip.clone().map(|tip| ("tip".to_owned(), tip)));
    }
}

/// A genesis that nobody made: its hash is a constant of zeros, and of nothing.
fn is_constant(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|digit| digit == b'0')
}

fn text(fields: &Fields<'_>, name: &str) -> Result<String, String> {
    let raw = fields.get(name).ok_or_else(|| format!("it has no field `{name}`"))?;
    serde_json::from_str(raw.get()).map_err(|_| format!("`{name}` is no text"))
}

fn number(fields: &Fields<'_>, name: &str) -> Result<u64, String> {
    let raw = fields.get(name).ok_or_else(|| format!("it has no field `{name}`"))?;
    serde_json::from_str(raw.get()).map_err(|_| format!("`{name}` is no whole number"))
}

/// SHA-256 of the object that the rule makes of a line. A field that the line does not have is left out, as `JSON.stringify` does.
fn content_hash(rule: &ChainRule, fields: &Fields<'_>) -> String {
    let mut object = String::from("{");
    for name in &rule.over {
        if let Some(raw) = fields.get(name) {
            let comma = if object.len() > 1 { "," } else { "" };
            let name = serde_json::Value::from(name.as_str());
            object.push_str(&format!("{comma}{name}:{}", raw.get()));
        }
    }
    object.push('}');
    hex(&Sha256::digest(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> ChainRule {
        ChainRule {
            hash: "hash".to_owned(),
            previous: "previousHash".to_owned(),
            index: Some("index".to_owned()),
            function: "sha256".to_owned(),
            over: ["index", "timestamp", "transactions", "previousHash", "nonce"]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    /// A line whose hash is taken over `content`, written with other fields around it and in another order.
    fn line(index: u64, transactions: &str, previous: &str) -> (String, String) {
        let content = format!(
            r#"{{"index":{index},"timestamp":1.50e3,"transactions":{transactions},"previousHash":"{previous}","nonce":0}}"#
        );
        let hash = hex(&Sha256::digest(&content));
        let line = format!(
            r#"{{"nonce":0,"hash":"{hash}","index":{index},"more":null,"transactions":{transactions},"previousHash":"{previous}","timestamp":1.50e3}}"#
        );
        (line, hash)
    }

    fn broken(lines: &[String]) -> (u64, Option<String>, Option<String>) {
        let rule = rule();
        let mut links = Links::new(&rule);
        for (number, line) in (1..).zip(lines) {
            let json = super::super::lines::json(line.as_bytes());
            links.line(Line { number, at: number * 100, json });
        }
        (links.broken, links.text(), links.tip)
    }

    fn three() -> ([String; 3], [String; 3]) {
        let (a, hash_a) = line(7, "[]", "any genesis");
        let (b, hash_b) = line(8, r#"[{"b":1.0,"a":"\u00e9"}]"#, &hash_a);
        let (c, hash_c) = line(9, "[2]", &hash_b);
        ([a, b, c], [hash_a, hash_b, hash_c])
    }

    #[test]
    fn raw_texts_are_hashed_and_any_first_link_is_taken() {
        let (lines, hashes) = three();
        assert_eq!(broken(&lines), (0, None, Some(hashes[2].clone())));
        assert_eq!(broken(&lines[1..]), (0, None, Some(hashes[2].clone())));
        assert_eq!(broken(&[]), (0, None, None));
    }

    #[test]
    fn a_genesis_of_zeros_is_taken_at_the_start_only() {
        let zeros = "0".repeat(64);
        let genesis = format!(
            r#"{{"index":0,"timestamp":0,"transactions":[],"previousHash":"","hash":"{zeros}"}}"#
        );
        let (next, hash) = line(1, "[]", &zeros);
        assert_eq!(broken(&[genesis.clone(), next.clone()]), (0, None, Some(hash)));
        let (count, text, _) = broken(&[next, genesis]);
        assert!(count == 1 && text.unwrap().contains("content hashes to"));
    }

    #[test]
    fn the_first_bad_line_is_named_with_what_was_expected() {
        let (lines, hashes) = three();
        let [a, b, c] = lines.clone();
        let (skips, _) = line(11, "[]", &hashes[1]);
        let nonsense = "[1]".to_owned();
        let cases = [
            (
                vec![a.clone(), b.replace("1.0", "1"), c.clone()],
                1,
                "line 2, at byte 200: `hash` is",
            ),
            (vec![a.clone(), c.clone()], 1, "line 2, at byte 200: `previousHash` is"),
            (
                vec![a.clone(), b.clone(), skips],
                1,
                "line 3, at byte 300: `index` is 11, 9 was expected",
            ),
            (vec![b.clone(), a.clone(), c.clone()], 2, "line 2, at byte 200: `previousHash` is"),
            (vec![a.clone(), nonsense, b.clone()], 1, "line 2, at byte 200: it is no JSON object"),
            (
                vec![a.replace("\"hash\"", "\"hush\"")],
                1,
                "line 1, at byte 100: it has no field `hash`",
            ),
            (
                vec![b.replace("\"index\":8", "\"index\":-8")],
                1,
                "line 1, at byte 100: `index` is no whole number",
            ),
        ];
        for (lines, number, text) in cases {
            let (broken, found, _) = broken(&lines);
            let found = found.unwrap();
            assert!(broken == number && found.starts_with(text), "{broken}: {found}");
        }
        let tampered = [a, b.replace("1.0", "1"), c];
        let found = broken(&tampered).1.unwrap();
        assert!(found.contains(&hashes[1]) && found.contains("its content hashes to "), "{found}");
    }
}
