//! The recovery words.

use nodekeep_repo::id::{from_hex, to_hex};
use nodekeep_repo::keys::{Entropy, PhraseError};
use proptest::prelude::*;

/// BIP-39's published vectors for 32 bytes.
const VECTORS: [(&str, &str); 8] = [
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
    ),
    (
        "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
        "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length",
    ),
    (
        "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
        "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich alcohol speed nation flash devote level hobby quick inner drive ghost inside",
    ),
    (
        "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
        "all hour make first leader extend hole alien behind guard gospel lava path output census museum junior mass reopen famous sing advance salt reform",
    ),
    (
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
    ),
];

#[test]
fn words_are_those_of_the_published_vectors() {
    for (hex, words) in VECTORS {
        let entropy = Entropy::from_bytes(from_hex(hex).unwrap());
        assert_eq!(entropy.words().as_str(), words);
        assert_eq!(to_hex(Entropy::from_words(words).unwrap().bytes()), hex);
        let untidy = format!("\n {}\t", words.to_uppercase().replace(' ', "  \n"));
        assert_eq!(Entropy::from_words(&untidy).unwrap(), entropy);
    }
}

fn replaced(phrase: &str, position: usize, word: &str) -> String {
    let mut words: Vec<&str> = phrase.split(' ').collect();
    words[position - 1] = word;
    words.join(" ")
}

#[test]
fn a_misspelt_word_is_named_and_its_neighbours_suggested() {
    let phrase = VECTORS[4].1;
    let cases: [(usize, &str, &[&str]); 7] = [
        (1, "hamstr", &["hamster"]),
        (2, "diagramm", &["diagram"]),
        (4, "dutsh", &["dutch"]),
        (24, "legnth", &["length"]),
        (3, "xxxxxxxx", &[]),
        (6, "dela", &["deal", "delay"]),
        (7, "ö", &[]),
    ];
    for (position, word, near) in cases {
        let expected = PhraseError::UnknownWord { position, suggestions: near.to_vec() };
        let error = Entropy::from_words(&replaced(phrase, position, word)).unwrap_err();
        assert_eq!(error, expected);
        let text = error.to_string();
        assert!(
            text.contains(&format!("word {position} ")) && near.iter().all(|n| text.contains(n)),
            "{text}"
        );
        assert!(
            !text.contains(word) || near.iter().any(|n| n.contains(word)),
            "what was typed stays secret: {text}"
        );
    }
}

#[test]
fn the_number_of_words_and_the_checksum_are_checked() {
    let phrase = VECTORS[4].1;
    assert_eq!(Entropy::from_words(""), Err(PhraseError::Count(0)));
    assert_eq!(Entropy::from_words("abandon abandon"), Err(PhraseError::Count(2)));
    assert_eq!(Entropy::from_words(&format!("{phrase} zoo")), Err(PhraseError::Count(25)));
    assert_eq!(Entropy::from_words(&replaced(phrase, 24, "zoo")), Err(PhraseError::Checksum));
    let swapped = replaced(&replaced(phrase, 1, "diagram"), 2, "hamster");
    assert_eq!(Entropy::from_words(&swapped), Err(PhraseError::Checksum));
}

#[test]
fn a_substituted_word_is_found_by_the_root_key() {
    let phrase = VECTORS[5].1;
    let root = Entropy::from_words(phrase).unwrap().owner().root.public();
    let right: Vec<&'static str> = phrase.split(' ').collect();
    for (position, wrong) in [(1, "zoo"), (12, "abandon"), (24, "letter")] {
        let repaired = Entropy::repair(&replaced(phrase, position, wrong), root);
        assert_eq!(repaired, Some((position, right[position - 1])));
    }
    let twice = replaced(&replaced(phrase, 1, "zoo"), 2, "zoo");
    assert_eq!(Entropy::repair(&twice, root), None, "two wrong words are beyond it");
    assert_eq!(Entropy::repair("not words", root), None);
}

#[test]
fn each_key_of_the_owner_is_another() {
    let owner = Entropy::from_bytes([1; 32]).owner();
    assert_ne!(owner.root.public(), owner.keeper.public());
    assert_ne!(owner.root.seed().0, owner.age.0);
    assert!(owner.recipient().starts_with("age1") && owner.recipient().len() == 62);
    assert!(owner.identity().starts_with("AGE-SECRET-KEY-1"));
}

proptest! {
    #[test]
    fn any_entropy_survives_its_words(bytes: [u8; 32]) {
        let entropy = Entropy::from_bytes(bytes);
        prop_assert_eq!(Entropy::from_words(&entropy.words()).unwrap(), entropy);
    }

    #[test]
    fn any_text_is_words_or_an_error(text in "\\PC{0,80}|([a-z]{1,9} ){24}") {
        let _ = Entropy::from_words(&text);
    }
}
