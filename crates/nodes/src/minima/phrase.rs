//! The seed phrase of a wallet: 24 words of the English BIP-39 list, drawn one by one, so that no checksum tells a slip of the pen.
//!
//! Only a public key of the wallet tells whether a phrase is the right one ([`keys`](super::keys)).

use bip39::Language;
use zeroize::Zeroizing;

/// How many words a node draws. A node that was started with a phrase of its owner's making takes any number.
pub const WORDS: usize = 24;

/// How many letters name a word; what is shorter is a whole word.
const PREFIX: usize = 4;

/// The longest phrase that is looked at, in words.
const LIMIT: usize = 96;

/// How many words of the list an error proposes.
const PROPOSED: usize = 3;

/// Why a text is no phrase. It never holds what was typed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PhraseError {
    /// Nothing was given.
    #[error("the seed phrase is empty")]
    Empty,
    /// More words than any phrase has.
    #[error("the seed phrase has more than {LIMIT} words; a node draws {WORDS}")]
    TooMany,
    /// A word that is not in the list.
    #[error("word {position} of the seed phrase is not in the list{}", propose(near))]
    Unknown {
        /// Which one, counted from 1.
        position: usize,
        /// Words of the list that are written much like it.
        near: Vec<&'static str>,
    },
}

fn propose(near: &[&'static str]) -> String {
    match near {
        [] => String::new(),
        near => format!("; near it: {}", near.join(", ").to_uppercase()),
    }
}

/// A phrase as the node keeps it: upper case, one space between words. Erased when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase(Zeroizing<String>);

impl Phrase {
    /// From what a person wrote: either case, any white space, four letters or more for a word.
    ///
    /// # Errors
    /// If a word is not in the list.
    pub fn clean(text: &str) -> Result<Self, PhraseError> {
        // As much room as it can need, so that no copy is left behind by growing.
        let mut phrase = Zeroizing::new(String::with_capacity(LIMIT * 16));
        for (index, typed) in text.split_whitespace().enumerate() {
            if index == LIMIT {
                return Err(PhraseError::TooMany);
            }
            let word = find(typed).ok_or_else(|| unknown(index + 1, typed))?;
            if index > 0 {
                phrase.push(' ');
            }
            phrase.extend(word.chars().map(|letter| letter.to_ascii_uppercase()));
        }
        if phrase.is_empty() { Err(PhraseError::Empty) } else { Ok(Self(phrase)) }
    }

    /// As a wallet keeps it, taken as it is: its owner may have given the node any text.
    pub(super) fn kept(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The phrase itself, to be shown to its owner and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How many words it has.
    pub fn words(&self) -> usize {
        self.0.split_whitespace().count()
    }
}

impl std::fmt::Debug for Phrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phrase(…)")
    }
}

fn find(typed: &str) -> Option<&'static str> {
    let typed = Zeroizing::new(typed.to_ascii_lowercase());
    let list = Language::English.word_list();
    if typed.len() < PREFIX {
        return list.iter().copied().find(|word| *word == typed.as_str());
    }
    list.iter().copied().find(|word| word.starts_with(typed.as_str()))
}

fn unknown(position: usize, typed: &str) -> PhraseError {
    let typed = Zeroizing::new(typed.to_ascii_lowercase());
    let mut ranked: Vec<_> = Language::English
        .word_list()
        .iter()
        .map(|word| (distance(&typed, word), *word))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    ranked.sort_unstable();
    let near = ranked.into_iter().take(PROPOSED).map(|(_, word)| word).collect();
    PhraseError::Unknown { position, near }
}

/// How many letters have to be put in, taken out or changed to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().take(32).enumerate() {
        let mut corner = line;
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_as_the_node_does() {
        let phrase = Phrase::clean("  meat inve act\n THEM wago\tALONE diagr ").unwrap();
        assert_eq!(phrase.reveal(), "MEAT INVEST ACT THEME WAGON ALONE DIAGRAM");
        assert_eq!(phrase.words(), 7);
        assert_eq!(format!("{phrase:?}"), "Phrase(…)");
    }

    #[test]
    fn a_slip_is_named_by_its_place_and_what_it_may_be() {
        let error = Phrase::clean("abandon abandan art").unwrap_err();
        assert_eq!(error, PhraseError::Unknown { position: 2, near: vec!["abandon"] });
        assert!(!error.to_string().to_lowercase().contains("abandan"));
        let three = Phrase::clean("aba").unwrap_err();
        assert!(
            matches!(three, PhraseError::Unknown { position: 1, .. }),
            "three letters are no prefix"
        );
        for text in ["zzzzzzzzz", "é", "abandonx"] {
            assert!(matches!(Phrase::clean(text), Err(PhraseError::Unknown { position: 1, .. })));
        }
    }

    #[test]
    fn nothing_and_too_much_are_told_apart() {
        assert_eq!(Phrase::clean(" \n"), Err(PhraseError::Empty));
        assert_eq!(Phrase::clean(&"zoo ".repeat(LIMIT + 1)), Err(PhraseError::TooMany));
        assert_eq!(Phrase::clean(&"zoo ".repeat(LIMIT)).unwrap().words(), LIMIT);
    }
}
