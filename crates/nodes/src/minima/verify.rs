//! A backup held against itself, without a node: every section read to its last byte, and the wallet's keys against its phrase.

use serde_json::Value;

use super::backup::{Contents, Section};
use super::cascade::Cascade;
use super::chain::Tree;
use super::error::Result;
use super::history;
use super::keys::Seed;
use super::wallet::{Secrets, Wallet};
use super::wire::Reader;
use crate::kind::{Outcome, Verified};

/// What a node keeps in its settings in place of a phrase that is not locked.
const NOT_LOCKED: &str = "0x00";

/// How many keys are made again from the seed: half a second each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// One: it settles whether the seed is the wallet's.
    One,
    /// Each of them.
    All,
}

/// Checks every section and what they say of each other.
pub fn contents(contents: &Contents, keys: Keys) -> Verified {
    let mut verified = Verified::default();
    let settings = settings(contents, &mut verified);
    wallet(contents, settings.as_ref(), keys, &mut verified);
    let cascade = cascade(contents, &mut verified);
    chain(contents, cascade.as_ref(), &mut verified);
    json(contents, Section::Peers, &mut verified);
    transactions(contents, &mut verified);
    verified
}

/// Adds a check of something that was read or not; gives it back if it was.
fn read<T>(
    verified: &mut Verified,
    name: &str,
    read: Result<T>,
    told: impl FnOnce(&T) -> String,
) -> Option<T> {
    match read {
        Ok(value) => {
            verified.check(name, Outcome::Passed, told(&value));
            Some(value)
        }
        Err(error) => {
            verified.check(name, Outcome::Failed, error.to_string());
            None
        }
    }
}

fn wallet(contents: &Contents, settings: Option<&Value>, keys: Keys, verified: &mut Verified) {
    let parsed = Wallet::parse(contents.section(Section::Wallet));
    let told = |wallet: &Wallet| {
        let uses: u64 = wallet.keys.iter().map(|key| key.uses).sum();
        format!("{} keys with {uses} uses, {} scripts", wallet.keys.len(), wallet.scripts.len())
    };
    let Some(wallet) = read(verified, "wallet", parsed, told) else { return };
    verified.position.count("keys", wallet.keys.len() as u64);
    let phrase = match &wallet.secrets {
        Secrets::Present { .. } => "present",
        Secrets::Wiped if holds_locked_phrase(settings) => "locked",
        Secrets::Wiped => "wiped",
    };
    verified.position.label("phrase", phrase);
    match &wallet.secrets {
        Secrets::Present { phrase, seed } => {
            let is_same = Seed::of(phrase) == *seed;
            let outcome = if is_same { Outcome::Passed } else { Outcome::Failed };
            verified.check("phrase", outcome, "the seed is that of the phrase");
            own_keys(&wallet, seed, keys, verified);
        }
        Secrets::Wiped => {
            verified.check("phrase", Outcome::Skipped, format!("the node's keys are {phrase}"));
        }
    }
}

fn holds_locked_phrase(settings: Option<&Value>) -> bool {
    let sealed = settings.and_then(|settings| settings.get("encrypted_seed"));
    sealed.and_then(Value::as_str).is_some_and(|sealed| sealed != NOT_LOCKED)
}

/// Public keys made again from the seed.
fn own_keys(wallet: &Wallet, seed: &Seed, keys: Keys, verified: &mut Verified) {
    let most = if keys == Keys::One { 1 } else { wallet.keys.len() };
    let usual: Vec<_> = wallet.keys.iter().filter(|key| key.is_usual()).take(most).collect();
    let wrong = usual.iter().find(|key| seed.modified(&key.modifier).public_key() != key.public);
    match wrong {
        Some(key) => {
            let detail = format!("key {} is not of the seed", key.public);
            verified.check("keys", Outcome::Failed, detail);
        }
        None if usual.is_empty() => {
            verified.check("keys", Outcome::Skipped, "there is no key that can be made again");
        }
        None => {
            let detail = format!("{} made again from the seed, as they are", usual.len());
            verified.check("keys", Outcome::Passed, detail);
        }
    }
}

fn cascade(contents: &Contents, verified: &mut Verified) -> Option<Cascade> {
    let mut reader = Reader::new(contents.section(Section::Cascade));
    let parsed = Cascade::read(&mut reader).and_then(|cascade| {
        reader.end()?;
        Ok(cascade)
    });
    read(verified, "cascade", parsed, |cascade| format!("{} blocks", cascade.blocks))
}

fn chain(contents: &Contents, cascade: Option<&Cascade>, verified: &mut Verified) {
    let parsed = Tree::read(&mut Reader::new(contents.section(Section::ChainTree)));
    let told = |tree: &Tree| {
        let number = |block: Option<&super::chain::Block>| block.map_or(0, |b| b.header.number);
        format!("blocks {} to {}, each with its coins", number(tree.root()), number(tree.tip()))
    };
    let Some(tree) = read(verified, "chain", parsed, told) else { return };
    let Some(tip) = tree.tip() else {
        verified.check("tip", Outcome::Failed, "the tree has no block");
        return;
    };
    verified.position.count("blocks", tip.header.number);
    verified.position.count("coins", tree.unspent().len() as u64);
    verified.hashes.insert("tip".to_owned(), tip.header.id.to_string());
    let stands = cascade.and_then(|cascade| cascade.tip.as_ref()).zip(tree.root());
    if let Some((below, root)) = stands {
        let is_linked = root.header.parent == Some(below.id);
        let outcome = if is_linked { Outcome::Passed } else { Outcome::Failed };
        let detail =
            format!("block {} stands on the cascade's block {}", root.header.number, below.number);
        verified.check("cascade to chain", outcome, detail);
    }
}

fn settings(contents: &Contents, verified: &mut Verified) -> Option<Value> {
    json(contents, Section::Settings, verified)
}

fn json(contents: &Contents, section: Section, verified: &mut Verified) -> Option<Value> {
    // Settings and peers are JSON in a text with its length before it.
    let text = contents.section(section);
    let inner = text.iter().position(|byte| *byte == b'{').map(|start| &text[start..]);
    match inner.map(serde_json::from_slice::<Value>) {
        Some(Ok(value)) => {
            verified.check(section.file_name(), Outcome::Passed, "JSON");
            Some(value)
        }
        Some(Err(error)) => {
            verified.check(section.file_name(), Outcome::Failed, error.to_string());
            None
        }
        None => {
            verified.check(section.file_name(), Outcome::Failed, "there is no JSON in it");
            None
        }
    }
}

fn transactions(contents: &Contents, verified: &mut Verified) {
    let parsed = history::read(&mut Reader::new(contents.section(Section::History)));
    let told = |list: &Vec<super::txpow::Header>| format!("{} transactions", list.len());
    if let Some(list) = read(verified, "history", parsed, told) {
        verified.position.count("transactions", list.len() as u64);
    }
}
