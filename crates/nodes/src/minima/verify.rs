//! A backup held against itself, without a node: every section read to its last byte, and the wallet's keys against its phrase.

use super::address::Address;
use super::backup::{Contents, Section};
use super::cascade::Cascade;
use super::chain::{Block, Tree};
use super::error::{Error, Result};
use super::history;
use super::keys::Seed;
use super::phrase::{Phrase, WORDS};
use super::settings::{self, Settings};
use super::txpow::Header;
use super::wallet::{Secrets, Wallet};
use super::wire::{Reader, WireError};
use crate::kind::{Outcome, Verified};

/// The name of the check of a phrase that somebody gave.
pub const GIVEN_PHRASE: &str = "given phrase";

/// How many public keys are made again from the seed: a quarter to half a second each. Private keys are compared all, for that is cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// One: it settles whether the seed is the wallet's.
    One,
    /// So many, from the first on.
    First(u32),
    /// Each of them.
    All,
}

impl Keys {
    fn limit(self) -> usize {
        match self {
            Self::One => 1,
            Self::First(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::All => usize::MAX,
        }
    }
}

/// What a backup holds, read to its end.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The wallet.
    pub wallet: Wallet,
    /// Old blocks.
    pub cascade: Cascade,
    /// Recent blocks.
    pub chain: Tree,
    /// Whether the phrase is locked.
    pub settings: Settings,
    /// The wallet's transactions.
    pub history: Vec<Header>,
}

impl Parts {
    /// Reads every section.
    ///
    /// # Errors
    /// If one of them is damaged.
    pub fn read(contents: &Contents) -> Result<Self> {
        settings::check_peers(contents.section(Section::Peers))
            .map_err(in_section(Section::Peers))?;
        Ok(Self {
            wallet: Wallet::parse(contents.section(Section::Wallet))?,
            cascade: read_cascade(contents)?,
            chain: read_chain(contents)?,
            settings: read_settings(contents)?,
            history: read_history(contents)?,
        })
    }

    /// Whether the phrase is there: `present`, `locked` or `wiped`.
    pub fn phrase(&self) -> &'static str {
        phrase_state(&self.wallet, Some(&self.settings))
    }
}

/// Checks every section and what they say of each other.
pub fn contents(contents: &Contents, keys: Keys) -> Verified {
    let mut verified = Verified::default();
    let settings = read_settings(contents);
    let locked = |settings: &Settings| match settings.has_locked_phrase {
        true => "JSON, with a locked phrase".to_owned(),
        false => "JSON".to_owned(),
    };
    let settings = note(&mut verified, "settings", settings, locked);
    wallet(contents, settings.as_ref(), keys, &mut verified);
    let cascade = read_cascade(contents);
    let cascade =
        note(&mut verified, "cascade", cascade, |cascade| format!("{} blocks", cascade.blocks));
    chain(contents, cascade.as_ref(), &mut verified);
    let peers = settings::check_peers(contents.section(Section::Peers));
    note(&mut verified, "peers", peers.map_err(in_section(Section::Peers)), |()| "JSON".to_owned());
    let list = read_history(contents);
    let list = note(&mut verified, "history", list, |list| format!("{} transactions", list.len()));
    verified.position.count("transactions", list.map_or(0, |list| list.len() as u64));
    verified
}

/// Whether a phrase that somebody gave is the wallet's.
pub fn phrase(wallet: &Wallet, phrase: &Phrase, verified: &mut Verified) {
    let words = match phrase.words() {
        WORDS => String::new(),
        other => format!("; it has {other} words, and a node draws {WORDS}"),
    };
    match wallet.is_of(&Seed::of(phrase)) {
        Some(true) => {
            verified.check(GIVEN_PHRASE, Outcome::Passed, "it makes the keys of this wallet");
        }
        Some(false) => {
            let detail = format!("it makes other keys than this wallet has{words}");
            verified.check(GIVEN_PHRASE, Outcome::Failed, detail);
        }
        None => {
            let detail = "the wallet has no key that can be made again";
            verified.check(GIVEN_PHRASE, Outcome::Skipped, detail);
        }
    }
}

fn in_section(section: Section) -> impl Fn(WireError) -> Error {
    move |source| Error::Section { section, source }
}

fn read_settings(contents: &Contents) -> Result<Settings> {
    let section = Section::Settings;
    settings::read(contents.section(section)).map_err(in_section(section))
}

fn read_cascade(contents: &Contents) -> Result<Cascade> {
    let mut reader = Reader::new(contents.section(Section::Cascade));
    let cascade = named(Section::Cascade, Cascade::read(&mut reader))?;
    reader.end().map_err(in_section(Section::Cascade))?;
    Ok(cascade)
}

fn read_chain(contents: &Contents) -> Result<Tree> {
    let section = Section::ChainTree;
    named(section, Tree::read(&mut Reader::new(contents.section(section))))
}

fn read_history(contents: &Contents) -> Result<Vec<Header>> {
    let section = Section::History;
    named(section, history::read(&mut Reader::new(contents.section(section))))
}

/// What is wrong with bytes, with the section that they are in.
fn named<T>(section: Section, read: Result<T>) -> Result<T> {
    read.map_err(|error| match error {
        Error::Wire(source) => Error::Section { section, source },
        other => other,
    })
}

/// Adds a check of something that was read or not; gives it back if it was.
fn note<T>(
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

fn judge(verified: &mut Verified, name: &str, wrong: Option<String>, right: String) {
    match wrong {
        Some(wrong) => verified.check(name, Outcome::Failed, wrong),
        None => verified.check(name, Outcome::Passed, right),
    }
}

fn wallet(contents: &Contents, settings: Option<&Settings>, keys: Keys, verified: &mut Verified) {
    let parsed = Wallet::parse(contents.section(Section::Wallet));
    let told = |wallet: &Wallet| {
        let uses: u64 = wallet.keys.iter().map(|key| key.uses).sum();
        format!("{} keys with {uses} uses, {} scripts", wallet.keys.len(), wallet.scripts.len())
    };
    let Some(wallet) = note(verified, "wallet", parsed, told) else { return };
    verified.position.count("keys", wallet.keys.len() as u64);
    verified.position.label("phrase", phrase_state(&wallet, settings));
    addresses(&wallet, verified);
    match &wallet.secrets {
        Secrets::Present { phrase, seed } => {
            let wrong =
                (Seed::of(phrase) != *seed).then(|| "the seed is of another one".to_owned());
            judge(verified, "phrase", wrong, format!("{} words make the seed", phrase.words()));
            private_keys(&wallet, seed, verified);
            public_keys(&wallet, seed, keys, verified);
        }
        Secrets::Wiped => {
            let state = phrase_state(&wallet, settings);
            verified.check("phrase", Outcome::Skipped, format!("it is {state}"));
        }
    }
}

fn phrase_state(wallet: &Wallet, settings: Option<&Settings>) -> &'static str {
    match &wallet.secrets {
        Secrets::Present { .. } => "present",
        Secrets::Wiped if settings.is_some_and(|settings| settings.has_locked_phrase) => "locked",
        Secrets::Wiped => "wiped",
    }
}

fn addresses(wallet: &Wallet, verified: &mut Verified) {
    let wrong = wallet.scripts.iter().find(|one| Address::of_script(&one.script) != one.address);
    let wrong = wrong.map(|one| format!("{} is not the address of its script", one.address));
    judge(
        verified,
        "addresses",
        wrong,
        format!("{} are those of their scripts", wallet.scripts.len()),
    );
}

fn private_keys(wallet: &Wallet, seed: &Seed, verified: &mut Verified) {
    let wrong = wallet.keys.iter().find(|key| {
        key.private.as_ref().is_none_or(|private| seed.modified(&key.modifier) != *private)
    });
    let wrong = wrong.map(|key| format!("that of {} is not of the seed", key.public));
    judge(verified, "private keys", wrong, format!("{} are of the seed", wallet.keys.len()));
}

fn public_keys(wallet: &Wallet, seed: &Seed, keys: Keys, verified: &mut Verified) {
    let usual: Vec<_> =
        wallet.keys.iter().filter(|key| key.is_usual()).take(keys.limit()).collect();
    if usual.is_empty() {
        let detail = "none was asked for, or none can be made again";
        verified.check("public keys", Outcome::Skipped, detail);
        return;
    }
    let wrong = usual.iter().find(|key| seed.modified(&key.modifier).public_key() != key.public);
    let wrong = wrong.map(|key| format!("{} is not of the seed", key.public));
    let right = format!("{} of {} made again from the seed", usual.len(), wallet.keys.len());
    judge(verified, "public keys", wrong, right);
}

fn chain(contents: &Contents, cascade: Option<&Cascade>, verified: &mut Verified) {
    let told = |tree: &Tree| {
        let number = |block: Option<&Block>| block.map_or(0, |block| block.header.number);
        let (root, tip) = (number(tree.root()), number(tree.tip()));
        format!("{} blocks from {root} to {tip}, each with its coins", tree.blocks.len())
    };
    let Some(tree) = note(verified, "chain", read_chain(contents), told) else { return };
    let Some(tip) = tree.tip() else {
        // A node that was just made: it has keys, and is not in touch with anybody yet.
        verified.check("tip", Outcome::Skipped, "the node has no block yet");
        return;
    };
    verified.position.count("blocks", tip.header.number);
    verified.position.count("coins", tree.unspent().len() as u64);
    verified.hashes.insert("tip".to_owned(), tip.header.id.to_string());
    let stands = cascade.and_then(|cascade| cascade.tip.as_ref()).zip(tree.root());
    if let Some((below, root)) = stands {
        let wrong = (root.header.parent != Some(below.id))
            .then(|| format!("block {} does not stand on it", root.header.number));
        let right = format!("block {} stands on block {}", root.header.number, below.number);
        judge(verified, "cascade to chain", wrong, right);
    }
}
