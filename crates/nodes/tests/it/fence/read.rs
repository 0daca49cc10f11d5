//! Marks are read where the state lies; what cannot be read is said to be so.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nodekeep_nodes::fence::look::Seen;
use nodekeep_nodes::fence::mark::{Content, Mark, Signed, Value};
use nodekeep_nodes::fence::read::{Site, State, read};
use nodekeep_nodes::profile::{FenceKind, FenceRule, Line, MarkSource, Variables};

use super::interchange::{chain, complete, validator};
use super::{content, json, rule};

fn seen(rule: &FenceRule, path: &Path, state: State) -> Seen {
    read(rule, Site { path, variables: &Variables::new(), state })
}

fn marks(rule: &FenceRule, path: &Path) -> Vec<Mark> {
    match seen(rule, path, State::Live) {
        Seen::Read(marks) => marks,
        other => panic!("{other:?}"),
    }
}

fn numbers(rule: &FenceRule, path: &Path) -> Vec<(String, u64)> {
    let number = |mark: Mark| (mark.key, mark.value.numbers()[0].1.unwrap());
    marks(rule, path).into_iter().map(number).collect()
}

pub fn shell(text: &str) -> Line {
    let argv = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
    Line { argv, patience: Duration::from_secs(10) }
}

pub fn sqlite(path: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(path).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database
        .execute_batch("CREATE TABLE keys (id TEXT PRIMARY KEY, uses INTEGER); INSERT INTO keys VALUES ('0xa', 17), ('0xb', 4);")
        .unwrap();
    database
}

pub fn query() -> MarkSource {
    MarkSource::Sqlite { file: "wallet.db".into(), query: "SELECT id, uses FROM keys".into() }
}

/// As CometBFT writes it.
pub fn validator_state(height: u64, round: u64, step: u64) -> String {
    format!(
        "{{\n  \"height\": \"{height}\",\n  \"round\": {round},\n  \"step\": {step},\n  \"signature\": \"bm90IGEgc2lnbmF0dXJl\",\n  \"signbytes\": \"6E08021106\"\n}}"
    )
}

#[test]
fn numbers_in_json_by_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    fs::write(&file, r#"{"wallet":{"uses":{"0xb":4,"0xa":"17"}},"height":9}"#).unwrap();
    let uses = rule("uses", FenceKind::KeyUses, json("/wallet/uses"));
    assert_eq!(numbers(&uses, folder.path()), [("0xa".to_owned(), 17), ("0xb".to_owned(), 4)]);
    let one = rule("uses", FenceKind::KeyUses, json("/height"));
    assert_eq!(numbers(&one, folder.path()), [(String::new(), 9)]);
    fs::write(&file, validator_state(105, 0, 3)).unwrap();
    let votes = rule("votes", FenceKind::ValidatorState, json(""));
    assert_eq!(
        marks(&votes, folder.path())[0].value,
        Value::Signed(Signed { height: 105, round: 0, step: 3 })
    );
}

#[test]
fn what_cannot_be_read_is_never_a_zero() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let uses = rule("uses", FenceKind::KeyUses, json("/uses"));
    assert!(
        matches!(seen(&uses, folder.path(), State::Live), Seen::Absent(what) if what.ends_with("state.json"))
    );
    for bad in [
        "",
        "{\"uses\":{\"a\":1}",
        "{\"uses\":{\"a\":null}}",
        "{\"uses\":-1}",
        "{\"other\":1}",
        "{\"uses\":[1]}",
    ] {
        fs::write(&file, bad).unwrap();
        assert!(matches!(seen(&uses, folder.path(), State::Live), Seen::Unreadable(_)), "{bad}");
    }
    fs::write(&file, "{\"uses\":{}}").unwrap();
    assert_eq!(seen(&uses, folder.path(), State::Live), Seen::Read(vec![]));
    let votes = rule("votes", FenceKind::ValidatorState, json(""));
    fs::write(&file, "{\"height\":\"5\",\"round\":0}").unwrap();
    assert!(
        matches!(seen(&votes, folder.path(), State::Live), Seen::Unreadable(why) if why.contains("`/step`"))
    );
    let outside = MarkSource::Lines { file: "../state.json".into() };
    let outside = rule("nonces", FenceKind::Nonce, outside);
    assert!(
        matches!(seen(&outside, folder.path(), State::Live), Seen::Unreadable(why) if why == "`../state.json` leaves the component")
    );
}

#[test]
fn logs_give_the_highest_or_their_length() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("nonces.jsonl"),
        "{\"user\":\"ann\",\"nonce\":5}\n{\"user\":\"ann\",\"nonce\":3}\n{\"user\":\"bo",
    )
    .unwrap();
    let highest = MarkSource::Jsonl {
        file: "nonces.jsonl".into(),
        key: Some("user".into()),
        value: "nonce".into(),
    };
    assert_eq!(
        numbers(&rule("n", FenceKind::Nonce, highest), folder.path()),
        [("ann".to_owned(), 5)]
    );
    let length = MarkSource::Lines { file: "nonces.jsonl".into() };
    assert_eq!(numbers(&rule("n", FenceKind::Nonce, length), folder.path()), [(String::new(), 2)]);
}

#[test]
fn sqlite_is_read_beside_a_writer_and_a_copy_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let live = sqlite(&folder.path().join("wallet.db"));
    let uses = rule("uses", FenceKind::KeyUses, query());
    live.execute("UPDATE keys SET uses = 18 WHERE id = '0xa'", []).unwrap();
    assert_eq!(numbers(&uses, folder.path()), [("0xa".to_owned(), 18), ("0xb".to_owned(), 4)]);
    drop(live);
    let names = || fs::read_dir(folder.path()).unwrap().count();
    let before = names();
    assert!(
        matches!(seen(&uses, folder.path(), State::Copy), Seen::Read(marks) if marks.len() == 2)
    );
    assert_eq!(names(), before);
    for bad in [
        "UPDATE keys SET uses = 0",
        "SELECT 1, 2, 3",
        "SELECT id, id FROM keys",
        "SELECT 1.5",
        "SELECT -1",
        "SELECT * FROM gone",
    ] {
        let source = MarkSource::Sqlite { file: "wallet.db".into(), query: bad.into() };
        let found = seen(&rule("uses", FenceKind::KeyUses, source), folder.path(), State::Live);
        assert!(matches!(found, Seen::Unreadable(_)), "{bad} {found:?}");
    }
    assert_eq!(numbers(&uses, folder.path()).len(), 2);
    let none = MarkSource::Sqlite {
        file: "wallet.db".into(),
        query: "SELECT max(uses) FROM keys WHERE id = 'x'".into(),
    };
    assert_eq!(
        seen(&rule("uses", FenceKind::KeyUses, none), folder.path(), State::Live),
        Seen::Read(vec![])
    );
}

#[test]
fn commands_are_asked_of_the_live_node_or_of_the_copy_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("uses"), "0xa 7\n").unwrap();
    let live_only = rule("uses", FenceKind::KeyUses, MarkSource::Command(shell("echo 0xa 9")));
    assert_eq!(numbers(&live_only, folder.path()), [("0xa".to_owned(), 9)]);
    assert!(
        matches!(seen(&live_only, folder.path(), State::Copy), Seen::Unreadable(why) if why.contains("only of the live node"))
    );
    let named =
        rule("uses", FenceKind::KeyUses, MarkSource::Command(shell("cat '{component}/uses'")));
    assert!(
        matches!(seen(&named, folder.path(), State::Copy), Seen::Read(marks) if marks[0].value == Value::Number(7))
    );
    let by_folder =
        rule("uses", FenceKind::KeyUses, MarkSource::Command(shell("cat '{data}/uses'")));
    let variables = Variables::from([("data".to_owned(), folder.path().display().to_string())]);
    let site = Site { path: folder.path(), variables: &variables, state: State::Copy };
    let found = read(&by_folder, site);
    assert!(matches!(found, Seen::Read(_)), "{found:?}");
    for bad in ["exit 3", "echo 0xa many"] {
        let rule = rule("uses", FenceKind::KeyUses, MarkSource::Command(shell(bad)));
        assert!(matches!(seen(&rule, folder.path(), State::Live), Seen::Unreadable(_)), "{bad}");
    }
}

#[test]
fn slashing_protection_comes_from_a_file_or_an_export() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slashing.json"), complete()).unwrap();
    let file =
        MarkSource::Slashing { file: Some("slashing.json".into()), export: None, import: None };
    let export = MarkSource::Slashing {
        file: None,
        export: Some(shell("cat '{component}/slashing.json'")),
        import: None,
    };
    for source in [file, export] {
        let found = marks(&rule("slashing", FenceKind::SlashingProtection, source), folder.path());
        let keys: Vec<&str> = found.iter().map(|mark| mark.key.as_str()).collect();
        assert_eq!(keys, [validator(2), validator(0xAB)]);
        assert_eq!(found[0].place().chain, chain());
    }
    let broken =
        MarkSource::Slashing { file: None, export: Some(shell("echo {{}}")), import: None };
    let found =
        seen(&rule("slashing", FenceKind::SlashingProtection, broken), folder.path(), State::Live);
    assert!(
        matches!(&found, Seen::Unreadable(why) if why.starts_with("what `/bin/sh` wrote: not an EIP-3076")),
        "{found:?}"
    );
}

#[test]
fn content_is_names_and_bytes_of_what_matches() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = rule("sessions", FenceKind::Ratchet, content());
    let digest = || match marks(&sessions, folder.path())[0].value {
        Value::Content(content) => content,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(digest().files, 0);
    fs::write(folder.path().join("a.json"), "one").unwrap();
    fs::write(folder.path().join("b.json"), "two").unwrap();
    fs::write(folder.path().join("notes.txt"), "not fenced").unwrap();
    let Content { digest: before, files } = digest();
    assert_eq!(files, 2);
    fs::write(folder.path().join("notes.txt"), "changed").unwrap();
    assert_eq!(digest().digest, before);
    fs::rename(folder.path().join("b.json"), folder.path().join("c.json")).unwrap();
    assert_ne!(digest().digest, before);
    fs::rename(folder.path().join("c.json"), folder.path().join("b.json")).unwrap();
    assert_eq!(digest().digest, before);
    fs::write(folder.path().join("b.json"), "twp").unwrap();
    assert_ne!(digest().digest, before);
    // A component that is one file, like LND's channel.db.
    let file = folder.path().join("a.json");
    let channel =
        rule("channels", FenceKind::Channel, MarkSource::Content { files: vec!["".into()] });
    assert!(matches!(marks(&channel, &file)[0].value, Value::Content(Content { files: 1, .. })));
    assert!(matches!(seen(&channel, &folder.path().join("gone"), State::Copy), Seen::Absent(_)));
}
