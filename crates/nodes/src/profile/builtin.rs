//! The profiles that come with Nodekeep: the files in `crates/nodes/profiles/`, in the order in which people see them.

use super::{Profile, parse};
use crate::error::{Error, Result};

/// Name and text of each. A new one needs a line here and its file, nothing else.
const BUILTIN: [(&str, &str); 15] = [
    ("minima", include_str!("../../profiles/minima.toml")),
    ("agentvault", include_str!("../../profiles/agentvault.toml")),
    ("agent-project", include_str!("../../profiles/agent-project.toml")),
    ("relay", include_str!("../../profiles/relay.toml")),
    ("guts", include_str!("../../profiles/guts.toml")),
    ("axon", include_str!("../../profiles/axon.toml")),
    ("directory", include_str!("../../profiles/directory.toml")),
    ("bitcoind", include_str!("../../profiles/bitcoind.toml")),
    ("geth", include_str!("../../profiles/geth.toml")),
    ("lighthouse-validator", include_str!("../../profiles/lighthouse-validator.toml")),
    ("ipfs-kubo", include_str!("../../profiles/ipfs-kubo.toml")),
    ("nostr-strfry", include_str!("../../profiles/nostr-strfry.toml")),
    ("nostr-rs-relay", include_str!("../../profiles/nostr-rs-relay.toml")),
    ("matrix-synapse", include_str!("../../profiles/matrix-synapse.toml")),
    ("matrix-synapse-sqlite", include_str!("../../profiles/matrix-synapse-sqlite.toml")),
];

/// Names of the built-in profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// Every built-in profile.
///
/// # Errors
/// If one of the files is wrong, which the tests of this crate rule out.
pub fn all() -> Result<Vec<Profile>> {
    BUILTIN.iter().map(|(name, text)| parse(text, name)).collect()
}

/// A built-in profile by its name.
///
/// # Errors
/// [`Error::Profile`] with the nearest name, if there is none of this name.
pub fn find(name: &str) -> Result<Profile> {
    match BUILTIN.iter().find(|(known, _)| *known == name) {
        Some((known, text)) => parse(text, known),
        None => Err(Error::Profile {
            origin: format!("profile `{name}`"),
            reason: match near(name) {
                Some(near) => format!("there is none of this name; did you mean `{near}`?"),
                None => format!(
                    "there is none of this name; there are {}; or give a file: ./{name}.toml",
                    names().collect::<Vec<_>>().join(", ")
                ),
            },
        }),
    }
}

/// The built-in name that somebody may have meant.
fn near(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let by_distance = names().map(|known| (distance(known, &name), known)).min();
    match by_distance {
        Some((distance, known)) if distance <= 1 + known.len() / 5 => Some(known),
        _ if name.len() < 3 => None,
        _ => names().find(|known| {
            known.split('-').any(|word| word.starts_with(&name) || name.starts_with(word))
        }),
    }
}

/// How many letters must be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_read_and_bears_the_name_of_its_file() {
        for (name, text) in BUILTIN {
            let profile = parse(text, name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(profile.name, name);
            assert!(profile.about.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn slips_are_understood() {
        let cases = [
            ("realy", Some("relay")),
            ("Guts", Some("guts")),
            ("bitcoin", Some("bitcoind")),
            ("ipfs", Some("ipfs-kubo")),
            ("synapse", Some("matrix-synapse")),
            ("lighthouse", Some("lighthouse-validator")),
            ("dirctory", Some("directory")),
            ("mysql", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(near(given), expected, "{given}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = find("realy").unwrap_err().to_string();
        assert_eq!(error, "profile `realy`: there is none of this name; did you mean `relay`?");
        assert!(find("zebra").unwrap_err().to_string().contains("./zebra.toml"));
    }
}
