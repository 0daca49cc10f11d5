//! Spellings of the guides that mean a command of ours. They are rewritten before parsing, so that the grammar stays small.

use std::ffi::{OsStr, OsString};

use crate::error::Error;
use crate::settings::keys;

/// What the first words become; the longest match comes first.
const REWRITES: [(&[&str], &[&str]); 25] = [
    (&["maintenance", "backup"], &["backup"]),
    (&["backup", "create"], &["backup"]),
    (&["backup", "list"], &["snapshot", "list"]),
    (&["backup", "verify"], &["check"]),
    (&["backup", "diff"], &["snapshot", "diff"]),
    (&["backup", "delete"], &["snapshot", "delete"]),
    (&["backup", "prune"], &["snapshot", "prune"]),
    (&["backup", "restore"], &["restore"]),
    (&["backup", "schedule", "list"], &["schedule", "list"]),
    (&["backup", "schedule"], &["schedule", "add"]),
    (&["backup", "show"], &["snapshot", "show"]),
    (&["backup", "export"], &["snapshot", "export"]),
    (&["repo", "check"], &["check"]),
    (&["verify"], &["check"]),
    (&["vault", "seed"], &["key", "words"]),
    (&["vault", "wipekeys"], &["key", "wipe"]),
    (&["vault", "restorekeys"], &["key", "restore"]),
    (&["vault", "passwordlock"], &["key", "lock"]),
    (&["vault", "passwordunlock"], &["key", "unlock"]),
    (&["vault"], &["key"]),
    (&["recipient", "add"], &["key", "add"]),
    (&["recipient", "list"], &["key", "list"]),
    (&["recipient", "remove"], &["key", "remove"]),
    (&["recipient"], &["key"]),
    (&["rekey"], &["key", "rotate"]),
];

/// Commands of the guides that bring something back; they print the `restore` they mean.
const RESTORES: [&str; 5] = ["recover", "resync", "restoresync", "reset", "clone"];

/// What can be done with the keys of a node; the node's name may stand before it.
const KEY_VERBS: [&str; 6] = ["derive", "show", "wipe", "restore", "lock", "unlock"];

/// Global options that take a value of their own.
const WITH_VALUE: [&str; 4] = ["--repo", "--identity", "--credential", "--config"];

/// Rewrites the arguments, the program's name first.
///
/// # Errors
/// For a command that is only explained, not run.
pub fn rewrite(arguments: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let arguments = key_as_word(verb_first(arguments));
    let places = word_places(&arguments, 3);
    let words: Vec<String> =
        places.iter().filter_map(|at| arguments[*at].to_str()).map(str::to_owned).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(command) = words.first().filter(|word| RESTORES.contains(word)) {
        return Err(meant_restore(command, &arguments[places[0] + 1..]));
    }
    let Some((from, to)) = REWRITES.iter().find(|(from, _)| words.starts_with(from)) else {
        return Ok(as_written(arguments, words.first() == Some(&"backup")));
    };
    let places = &places[..from.len()];
    let mut out = Vec::new();
    for (at, argument) in arguments.into_iter().enumerate() {
        if at == places[0] {
            out.extend(to.iter().map(OsString::from));
        } else if !places.contains(&at) {
            out.push(argument);
        }
    }
    Ok(as_written(out, to == &["backup"]))
}

fn as_written(arguments: Vec<OsString>, is_backup: bool) -> Vec<OsString> {
    if is_backup { bare_compress(arguments) } else { arguments }
}

/// `minima keys NODE show` is `minima keys show NODE`.
fn verb_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let places = word_places(&arguments, 4);
    let is = |at: usize, words: &[&str]| {
        let word = places.get(at).map(|place| arguments[*place].as_os_str());
        word.is_some_and(|word| words.iter().any(|known| word == *known))
    };
    if is(0, &["minima"]) && is(1, &["keys"]) && !is(2, &KEY_VERBS) && is(3, &KEY_VERBS) {
        arguments.swap(places[2], places[3]);
    }
    arguments
}

/// `config set --pre-deployment-backup true` is `config set pre-deployment-backup true`.
fn key_as_word(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let places = word_places(&arguments, 2);
    let [config, set] = places[..] else { return arguments };
    if arguments[config] != "config" || arguments[set] != "set" {
        return arguments;
    }
    let key = arguments.get(set + 1).and_then(|word| word.to_str()?.strip_prefix("--"));
    if let Some(key) = key
        .filter(|key| {
            keys::find(key).is_some() && !WITH_VALUE.contains(&format!("--{key}").as_str())
        })
        .map(OsString::from)
    {
        arguments[set + 1] = key;
    }
    arguments
}

/// Where the first words stand that are neither options nor their values.
fn word_places(arguments: &[OsString], most: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 1;
    while at < arguments.len() && places.len() < most {
        let argument = arguments[at].as_os_str();
        if argument == "--" {
            break;
        }
        if WITH_VALUE.iter().any(|option| argument == *option) {
            at += 1;
        } else if !argument.as_encoded_bytes().starts_with(b"-") {
            places.push(at);
        }
        at += 1;
    }
    places
}

/// `--compress` without one of our values is the guides' switch: it must not swallow the path after it.
fn bare_compress(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_value = |value: &OsString| {
        value.to_str().is_some_and(|v| ["none", "zstd"].contains(&v) || v.starts_with("zstd:"))
    };
    let mut out = Vec::new();
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let bare = argument == OsStr::new("--compress") && !rest.peek().is_some_and(is_value);
        out.push(if bare { OsString::from("--compress=zstd") } else { argument });
    }
    out
}

fn meant_restore(command: &str, rest: &[OsString]) -> Error {
    let rest = rest.iter().map(|word| crate::render::shell(&word.to_string_lossy()));
    let meant = ["nodekeep", "restore"].into_iter().map(str::to_owned).chain(rest);
    Error::ForeignCommand {
        command: command.to_owned(),
        meant: meant.collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        match rewrite(words) {
            Ok(words) => words.join(OsStr::new(" ")).into_string().unwrap(),
            Err(Error::ForeignCommand { meant, .. }) => format!("meant {meant}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_guides_spellings_mean_our_commands() {
        let cases = [
            ("n backup create ./x --tag a=b", "n backup ./x --tag a=b"),
            ("n --repo backup backup list", "n --repo backup snapshot list"),
            ("n --json verify", "n --json check"),
            ("n backup --json list", "n snapshot list --json"),
            ("n vault seed", "n key words"),
            ("n recipient add age1x", "n key add age1x"),
            ("n rekey", "n key rotate"),
            ("n backup schedule list", "n schedule list"),
            (
                "n backup schedule --canister-id x --frequency daily",
                "n schedule add --canister-id x --frequency daily",
            ),
            ("n maintenance backup relay", "n backup relay"),
            ("n repo check --data", "n check --data"),
            ("n repo info", "n repo info"),
            ("n restore verify", "n restore verify"),
            ("n backup ./create", "n backup ./create"),
            ("n backup --compress ./x", "n backup --compress=zstd ./x"),
            ("n backup --compress none ./x", "n backup --compress none ./x"),
            ("n minima keys ann show", "n minima keys show ann"),
            ("n minima keys show ann", "n minima keys show ann"),
            ("n minima keys restore lock", "n minima keys restore lock"),
            (
                "n config set --pre-deployment-backup true",
                "n config set pre-deployment-backup true",
            ),
            ("n config set --repo x threads 3", "n config set --repo x threads 3"),
            ("n config set --json threads 3", "n config set --json threads 3"),
            ("n reset x --target y", "meant nodekeep restore x --target y"),
        ];
        for (line, expected) in cases {
            assert_eq!(rewritten(line), expected, "{line}");
        }
    }
}
