//! docs/profiles.md tells of every key and every built-in profile.

use nodekeep_nodes::profile::{builtin, parse};

const PAGE: &str = include_str!("../../../../docs/profiles.md");

/// A place where keys stand, as the beginning of a profile that has an unknown key there.
const PLACES: [(&str, &str); 22] = [
    ("", "zzz = 1"),
    ("[[root]]", "[[root]]\nzzz = 1"),
    ("[[variable]]", "[[variable]]\nzzz = 1"),
    ("[detect]", "[detect]\nzzz = 1"),
    ("[[component]]", "[[component]]\nzzz = 1"),
    ("[[component.part]]", "[[component]]\n[[component.part]]\nzzz = 1"),
    ("options", "[[component]]\n[component.options]\nzzz = 1"),
    ("chain", "[[component]]\n[component.options.chain]\nzzz = 1"),
    ("[hold]", "[hold]\nzzz = 1"),
    ("methods of hold", "[hold]\nmethod = \"zzz\""),
    ("[service]", "[service]\nzzz = 1"),
    ("[hooks]", "[hooks]\nzzz = 1"),
    ("[[health]]", "[[health]]\nzzz = 1"),
    ("[[fence]]", "[[fence]]\nzzz = 1"),
    ("kinds of fence", "[[fence]]\nkind = \"zzz\""),
    ("mark", "[[fence]]\n[fence.mark.zzz]"),
    ("mark.json", "[[fence]]\n[fence.mark.json]\nzzz = 1"),
    ("mark.jsonl", "[[fence]]\n[fence.mark.jsonl]\nzzz = 1"),
    ("mark.sqlite", "[[fence]]\n[fence.mark.sqlite]\nzzz = 1"),
    ("mark.slashing", "[[fence]]\n[fence.mark.slashing]\nzzz = 1"),
    ("priorities", "[[component]]\npriority = \"zzz\""),
    ("[[verify]]", "[[verify]]\nzzz = 1"),
];

/// What would have been understood, from the message that refuses the unknown: serde and the TOML reader word it differently.
fn known(text: &str) -> Vec<String> {
    let message = parse(text, "x").unwrap_err().to_string();
    if let Some((_, keys)) = message.rsplit_once("available keys: ") {
        return keys.trim().split(", ").map(str::to_owned).collect();
    }
    let (_, expected) = message.rsplit_once("expected").unwrap_or_else(|| panic!("{message}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_told_of() {
    let mut keys = 0;
    for (place, text) in PLACES {
        let known = known(text);
        assert!(known.len() > 1, "{place}: {known:?}");
        for key in known {
            keys += 1;
            let told = format!("`{key}`");
            assert!(PAGE.contains(&told), "docs/profiles.md does not tell of {told} ({place})");
        }
    }
    assert!(keys > 80, "{keys}");
}

#[test]
fn every_kind_and_every_profile_is_told_of() {
    let kinds = [
        "files",
        "jsonl",
        "jsonl-chain",
        "sqlite",
        "rocksdb",
        "leveldb",
        "postgres",
        "git",
        "command",
        "axon-chunks",
        "axon-applets",
        "minima",
    ];
    for name in kinds.into_iter().chain(builtin::names()) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
    for profile in builtin::all().unwrap() {
        let line = PAGE.lines().find(|line| line.starts_with(&format!("| `{}` |", profile.name)));
        let told = line.unwrap_or_else(|| panic!("no row for {}", profile.name));
        assert_eq!(told.contains("untested"), profile.tested.is_none(), "{told}");
    }
}

#[test]
fn the_examples_can_be_read() {
    let examples: Vec<&str> =
        PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole = examples.iter().filter(|text| text.starts_with("name = "));
    assert_eq!(whole.clone().count(), 2);
    for text in whole {
        parse(text, "docs/profiles.md").unwrap_or_else(|error| panic!("{error}"));
    }
}
