//! The owner: 32 bytes of entropy, written as 24 words, and the three keys that follow from them.

use bip39::{Language, Mnemonic};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{PublicKey, Secret, SigningKey, hkdf};
use crate::keys::group::{age_secret_text, x25519_public};

/// The owner's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entropy(Secret);

/// Why words are not a recovery phrase.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PhraseError {
    /// Not 24 words.
    #[error("recovery words are 24 words, these are {0}")]
    Count(usize),
    /// A word that is not in the list; `position` counts from 1.
    #[error("word {position} is not in the list of recovery words{}", near(.suggestions))]
    UnknownWord {
        /// Place of the word, from 1.
        position: usize,
        /// Words of the list that are spelled almost so.
        suggestions: Vec<&'static str>,
    },
    /// All words exist, but the checksum fails: a word is wrong or two are swapped.
    #[error(
        "all 24 words are in the list, but their checksum fails: a word is wrong, or two have changed places"
    )]
    Checksum,
}

fn near(words: &[&str]) -> String {
    if words.is_empty() { String::new() } else { format!(" (perhaps {})", words.join(" or ")) }
}

impl Entropy {
    /// Fresh entropy.
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// From raw bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret(bytes))
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The 24 recovery words, separated by spaces.
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy(&self.0.0).expect("32 bytes make 24 words");
        Zeroizing::new(mnemonic.to_string())
    }

    /// Reads recovery words; case and spacing do not matter.
    ///
    /// # Errors
    /// Says what is wrong with them, and which word.
    pub fn from_words(text: &str) -> Result<Self, PhraseError> {
        let indices = word_indices(text)?;
        entropy_of(&indices).ok_or(PhraseError::Checksum)
    }

    /// Words that fail only by their checksum: every phrase that differs from `text` in one word, passes, and has `root` as its root key.
    /// Returns the position from 1, the word as given and the likely one.
    pub fn repair(text: &str, root: PublicKey) -> Option<(usize, &'static str)> {
        let mut indices = word_indices(text).ok()?;
        let words = Language::English.word_list();
        for place in 0..indices.len() {
            let original = indices[place];
            for (candidate, word) in words.iter().enumerate() {
                indices[place] = candidate as u16;
                if entropy_of(&indices).is_some_and(|e| e.owner().root.public() == root) {
                    return Some((place + 1, word));
                }
            }
            indices[place] = original;
        }
        None
    }

    /// The keys that follow from this entropy.
    pub fn owner(&self) -> OwnerKeys {
        let derive = |info| hkdf(&self.0.0, b"", info);
        OwnerKeys {
            root: SigningKey::from_seed(derive("nodekeep/v1/owner/root")),
            keeper: SigningKey::from_seed(derive("nodekeep/v1/owner/keeper")),
            age: derive("nodekeep/v1/owner/age"),
        }
    }
}

/// What the owner signs and reads with.
#[derive(Debug, Clone)]
pub struct OwnerKeys {
    /// Signs configuration and rosters.
    pub root: SigningKey,
    /// Signs deletions, checkpoints and collections.
    pub keeper: SigningKey,
    /// X25519 scalar that opens the owner's envelopes.
    pub age: Secret,
}

impl OwnerKeys {
    /// The owner's age recipient, as text.
    pub fn recipient(&self) -> String {
        crate::keys::group::age_recipient_text(&x25519_public(&self.age))
    }

    /// The owner's age identity, as text.
    pub fn identity(&self) -> Zeroizing<String> {
        age_secret_text(&self.age)
    }
}

fn word_indices(text: &str) -> Result<Vec<u16>, PhraseError> {
    let mut normal = text.to_lowercase();
    let words: Vec<&str> = normal.split_whitespace().collect();
    if words.len() != 24 {
        let count = words.len();
        normal.zeroize();
        return Err(PhraseError::Count(count));
    }
    let indices = words.iter().enumerate().map(|(i, w)| index_of(i, w)).collect();
    normal.zeroize();
    indices
}

fn index_of(place: usize, word: &str) -> Result<u16, PhraseError> {
    Language::English.find_word(word).ok_or_else(|| PhraseError::UnknownWord {
        position: place + 1,
        suggestions: suggestions(word),
    })
}

/// Words of the list within one edit of `word`, at most three.
fn suggestions(word: &str) -> Vec<&'static str> {
    let near = |w: &&&'static str| distance_at_most_one(w.as_bytes(), word.as_bytes());
    Language::English.word_list().iter().filter(near).take(3).copied().collect()
}

fn distance_at_most_one(a: &[u8], b: &[u8]) -> bool {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[head..], &b[head..]);
    match a.len().abs_diff(b.len()) {
        0 => {
            a.is_empty()
                || a[1..] == b[1..]
                || (a.len() > 1 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..])
        }
        1 if a.len() > b.len() => &a[1..] == b,
        1 => a == &b[1..],
        _ => false,
    }
}

fn entropy_of(indices: &[u16]) -> Option<Entropy> {
    let mut bits = [0u8; 33];
    for (word, index) in indices.iter().enumerate() {
        for bit in 0..11 {
            if index >> (10 - bit) & 1 == 1 {
                let at = word * 11 + bit;
                bits[at / 8] |= 0x80 >> (at % 8);
            }
        }
    }
    let mut entropy = [0; 32];
    entropy.copy_from_slice(&bits[..32]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &entropy);
    let fits = digest.as_ref()[0] == bits[32];
    bits.zeroize();
    fits.then(|| Entropy::from_bytes(entropy))
}
