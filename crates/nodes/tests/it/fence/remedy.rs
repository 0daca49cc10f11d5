//! For each kind of state: an older snapshot is refused, the remedy is applied to the restored copy, and nothing runs backwards any more.

use std::fs;
use std::path::{Path, PathBuf};

use nodekeep_nodes::fence::interchange::Interchange;
use nodekeep_nodes::fence::judge::{Finding, Ruling, judge};
use nodekeep_nodes::fence::known::Known;
use nodekeep_nodes::fence::look::{Look, Seen};
use nodekeep_nodes::fence::mark::Reading;
use nodekeep_nodes::fence::read::{Site, State, read};
use nodekeep_nodes::fence::remedy::{Failure, Remedy, plan};
use nodekeep_nodes::profile::{Advance, FenceKind, FenceRule, MarkSource, Variables};
use tempfile::TempDir;

use super::interchange::{chain, validator};
use super::read::{query, shell, sqlite, validator_state};
use super::{content, json, minutes, reading, rule};

/// A live state and an older copy of it, restored but not in place.
struct Scene {
    folder: TempDir,
    rule: FenceRule,
}

impl Scene {
    fn new(rule: FenceRule, put: impl Fn(&Path, bool)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, is_live) in [("live", true), ("copy", false), ("scratch", false)] {
            fs::create_dir(folder.path().join(name)).unwrap();
            if name != "scratch" {
                put(&folder.path().join(name), is_live);
            }
        }
        Self { folder, rule }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn look(&self, name: &str, state: State) -> Look {
        let site = Site { path: &self.path(name), variables: &Variables::new(), state };
        Look([(self.rule.name.clone(), read(&self.rule, site))].into())
    }

    fn recorded(&self) -> Vec<Reading> {
        vec![reading(minutes(1000), self.look("live", State::Live).marks())]
    }

    fn judge(&self, is_live: bool) -> Ruling {
        let live = self.look("live", State::Live);
        let snapshot = self.look("copy", State::Copy);
        let live = is_live.then_some(&live);
        let rules = std::slice::from_ref(&self.rule);
        judge(rules, &Known::of(&self.recorded()), &snapshot, live, minutes(2000)).rulings.remove(0)
    }

    fn apply(&self, remedy: Remedy, is_live: bool) -> Result<Vec<String>, Failure> {
        let ruling = self.judge(is_live);
        assert!(!ruling.is_clear(), "{ruling}");
        let plan = plan(&self.rule, &ruling, remedy)?;
        let site =
            Site { path: &self.path("copy"), variables: &Variables::new(), state: State::Copy };
        plan.apply(&self.rule, site, &self.path("scratch"))
    }

    fn copy(&self, file: &str) -> String {
        fs::read_to_string(self.path("copy").join(file)).unwrap()
    }
}

fn uses(live: &str, copy: &str) -> Scene {
    let rule = rule("uses", FenceKind::KeyUses, json("/wallet/uses"));
    let put = |folder: &Path, is_live| {
        let uses = if is_live { live } else { copy };
        fs::write(
            folder.join("state.json"),
            format!("{{\"seed\":1.5,\"wallet\":{{\"uses\":{uses},\"tip\":7}}}}"),
        )
        .unwrap();
    };
    Scene::new(rule, put)
}

#[test]
fn key_uses_are_advanced_to_exactly_the_live_ones() {
    let scene = uses(r#"{"0xa":1204,"0xb":"30","0xc":5}"#, r#"{"0xa":1187,"0xb":"40"}"#);
    let said = scene.apply(Remedy::Advance, true).unwrap();
    assert_eq!(said, ["0xa: 1187 -> 1204", "0xc: 0 -> 5"]);
    let document: serde_json::Value = serde_json::from_str(&scene.copy("state.json")).unwrap();
    assert_eq!(
        document,
        serde_json::json!({"seed":1.5,"wallet":{"uses":{"0xa":1204,"0xb":"40","0xc":5},"tip":7}})
    );
    assert!(scene.judge(true).is_clear());
}

#[test]
fn without_the_live_node_the_counter_is_advanced_by_the_margin() {
    let scene = uses(r#"{"0xa":1204}"#, r#"{"0xa":1187}"#);
    let plan = plan(&scene.rule, &scene.judge(false), Remedy::Advance).unwrap();
    assert_eq!(plan.to_string(), "uses (state): raise in state.json\n    0xa: at least 1214\n");
    assert_eq!(scene.apply(Remedy::Advance, false).unwrap(), ["0xa: 1187 -> 1214"]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&scene.copy("state.json")).unwrap()["wallet"]["uses"]
            ["0xa"],
        1214
    );
}

#[test]
fn json_that_cannot_be_written_back_exactly_is_left_alone() {
    let scene = uses(r#"{"0xa":9}"#, r#"{"0xa":1}"#);
    let huge =
        r#"{"wallet":{"uses":{"0xa":1}},"difficulty":340282366920938463463374607431768211455}"#;
    fs::write(scene.path("copy").join("state.json"), huge).unwrap();
    let error = scene.apply(Remedy::Advance, true).unwrap_err().to_string();
    assert!(error.contains("too large to be written back exactly"), "{error}");
    assert_eq!(scene.copy("state.json"), huge);
}

#[test]
fn sqlite_is_advanced_by_the_profiles_statement_and_looked_at() {
    let advancing = |statement: &str| {
        let advance = Some(Advance::Statement(statement.to_owned()));
        let rule = FenceRule { advance, ..rule("uses", FenceKind::KeyUses, query()) };
        Scene::new(rule, |folder, is_live| {
            let database = sqlite(&folder.join("wallet.db"));
            if is_live {
                database.execute_batch("UPDATE keys SET uses = 20 WHERE id = '0xa'; INSERT INTO keys VALUES ('0xc', 3)").unwrap();
            }
        })
    };
    let upsert = "INSERT INTO keys VALUES (:key, :value) ON CONFLICT (id) DO UPDATE SET uses = max(uses, excluded.uses)";
    let scene = advancing(upsert);
    scene.apply(Remedy::Advance, true).unwrap();
    assert!(scene.judge(true).is_clear());
    // A statement that forgets new keys is found out.
    let scene = advancing("UPDATE keys SET uses = :value WHERE id = :key");
    let error = scene.apply(Remedy::Advance, true).unwrap_err().to_string();
    assert!(error.ends_with("`0xc` is still too low"), "{error}");
    let error =
        advancing("UPDATE gone SET uses = :value").apply(Remedy::Advance, true).unwrap_err();
    assert!(error.to_string().contains("the profile's statement failed"), "{error}");
}

#[test]
fn nonces_in_a_log_are_advanced_by_the_profiles_line() {
    let source = MarkSource::Jsonl {
        file: "nonces.jsonl".into(),
        key: Some("user".into()),
        value: "nonce".into(),
    };
    let advance = Some(Advance::Appended("{{\"user\":\"{key}\",\"nonce\":{value}}}".into()));
    let rule = FenceRule { advance, ..rule("nonces", FenceKind::Nonce, source) };
    let scene = Scene::new(rule, |folder, is_live| {
        let newer =
            if is_live { "{\"user\":\"a\\\"b\",\"nonce\":9}\n" } else { "{\"user\":\"a\\\"" };
        fs::write(
            folder.join("nonces.jsonl"),
            format!("{{\"user\":\"a\\\"b\",\"nonce\":5}}\n{newer}"),
        )
        .unwrap();
    });
    scene.apply(Remedy::Advance, true).unwrap();
    assert_eq!(
        scene.copy("nonces.jsonl"),
        "{\"user\":\"a\\\"b\",\"nonce\":5}\n{\"user\":\"a\\\"b\",\"nonce\":9}\n"
    );
    assert!(scene.judge(true).is_clear());
}

#[test]
fn commands_advance_the_copy_that_they_name_and_no_other() {
    let source = MarkSource::Command(shell("cat '{component}/uses'"));
    let advancing = |line: &str| {
        let advance = Some(Advance::Command(shell(line)));
        let rule = FenceRule { advance, ..rule("uses", FenceKind::KeyUses, source.clone()) };
        Scene::new(rule, |folder, is_live| {
            fs::write(folder.join("uses"), if is_live { "k 9" } else { "k 4" }).unwrap()
        })
    };
    let scene = advancing("echo {key} {value} > '{component}/uses'");
    scene.apply(Remedy::Advance, true).unwrap();
    assert_eq!(scene.copy("uses"), "k 9\n");
    let error = advancing("echo {key} {value}").apply(Remedy::Advance, true).unwrap_err();
    assert!(matches!(error, Failure::Command { .. }), "{error}");
}

#[test]
fn a_validators_state_is_set_to_the_highest_and_its_old_signature_goes() {
    for (is_live, expected) in [(true, (105, 0, 3)), (false, (116, 0, 0))] {
        let scene =
            Scene::new(rule("votes", FenceKind::ValidatorState, json("")), |folder, is_live| {
                let state =
                    if is_live { validator_state(105, 0, 3) } else { validator_state(98, 2, 3) };
                fs::write(folder.join("state.json"), state).unwrap();
            });
        scene.apply(Remedy::Advance, is_live).unwrap();
        let (height, round, step) = expected;
        let expected =
            serde_json::json!({"height": height.to_string(), "round": round, "step": step});
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&scene.copy("state.json")).unwrap(),
            expected
        );
    }
}

fn slashing(source: MarkSource) -> Scene {
    Scene::new(rule("slashing", FenceKind::SlashingProtection, source), |folder, is_live| {
        let (slot, source, target) = if is_live { (9321, 290, 291) } else { (9000, 280, 281) };
        let document = format!(
            r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"{}"}},"data":[{{"pubkey":"{}","signed_blocks":[{{"slot":"{slot}"}}],"signed_attestations":[{{"source_epoch":"{source}","target_epoch":"{target}"}}]}}]}}"#,
            chain(),
            validator(7)
        );
        fs::write(folder.join("slashing.json"), document).unwrap();
    })
}

#[test]
fn slashing_protection_is_merged_into_the_file() {
    let file =
        || MarkSource::Slashing { file: Some("slashing.json".into()), export: None, import: None };
    let scene = slashing(file());
    let text = scene.judge(true).to_string();
    assert!(
        text.contains("source epoch: 290 -> 280, 10 back")
            && text.contains("block slot: 9321 -> 9000, 321 back"),
        "{text}"
    );
    scene.apply(Remedy::Import, true).unwrap();
    assert!(scene.judge(true).is_clear());
    // The live node is gone: above everything that it may have signed.
    let scene = slashing(file());
    scene.apply(Remedy::Import, false).unwrap();
    let merged = Interchange::read(scene.copy("slashing.json").as_bytes()).unwrap();
    let signed = &merged.validators[&validator(7)];
    assert_eq!(
        (signed.source, signed.target.as_ref().unwrap().at, signed.slot.as_ref().unwrap().at),
        (Some(300), 301, 9331)
    );
    // A copy that cannot be read gets the highest all the same.
    let scene = slashing(file());
    fs::write(scene.path("copy").join("slashing.json"), "{").unwrap();
    assert!(matches!(scene.judge(true).finding, Finding::Unreadable(_)));
    scene.apply(Remedy::Import, true).unwrap();
    assert!(scene.judge(true).is_clear());
}

#[test]
fn slashing_protection_is_imported_by_the_clients_command() {
    let importing = |line: &str| MarkSource::Slashing {
        file: None,
        export: Some(shell("cat '{component}/slashing.json'")),
        import: Some(shell(line)),
    };
    let scene = slashing(importing("cp '{file}' '{component}/slashing.json'"));
    scene.apply(Remedy::Import, true).unwrap();
    assert!(scene.judge(true).is_clear());
    assert_eq!(fs::read_dir(scene.path("scratch")).unwrap().count(), 0);
    let error = slashing(importing("test -s '{file}' && true '{component}'"))
        .apply(Remedy::Import, true)
        .unwrap_err();
    assert!(matches!(error, Failure::NotReached { .. }), "{error}");
    let error = slashing(importing("echo no >&2; exit 1; '{component}'"))
        .apply(Remedy::Import, true)
        .unwrap_err();
    assert!(error.to_string().ends_with("exit code 1: no"), "{error}");
}

fn sessions(kind: FenceKind) -> Scene {
    Scene::new(rule("sessions", kind, content()), |folder, is_live| {
        let chain_key = if is_live { 42 } else { 17 };
        fs::write(
            folder.join("signal-sessions.json"),
            format!("{{\"ann.1\":{{\"sending\":{{\"index\":{chain_key}}}}}}}"),
        )
        .unwrap();
        fs::write(folder.join("contacts.txt"), "ann").unwrap();
    })
}

#[test]
fn ratchets_are_dropped_and_nothing_else() {
    for is_live in [true, false] {
        let scene = sessions(FenceKind::Ratchet);
        let said = scene.apply(Remedy::Drop, is_live).unwrap();
        assert!(said[0].ends_with("copy/signal-sessions.json"), "{said:?}");
        assert_eq!(scene.copy("contacts.txt"), "ann");
        assert!(scene.judge(is_live).is_clear());
    }
}

#[test]
fn channels_and_what_is_live_are_left_out() {
    let scene = sessions(FenceKind::Channel);
    for is_live in [true, false] {
        let plan = plan(&scene.rule, &scene.judge(is_live), Remedy::Without).unwrap();
        assert_eq!(plan.leaves_out(), Some("state"));
        scene.apply(Remedy::Without, is_live).unwrap();
    }
    assert!(scene.path("copy/signal-sessions.json").exists());
}

#[test]
fn what_is_not_offered_is_refused() {
    let cases = [
        (
            FenceKind::Channel,
            Remedy::Drop,
            true,
            "sessions: `drop` is no remedy here; there are: without",
        ),
        (
            FenceKind::ValidatorState,
            Remedy::Without,
            false,
            "sessions: `without` is no remedy here; there are: ",
        ),
        (
            FenceKind::Ratchet,
            Remedy::Advance,
            true,
            "sessions: `advance` is no remedy here; there are: drop, without",
        ),
    ];
    for (kind, remedy, is_live, message) in cases {
        let error = sessions(kind).apply(remedy, is_live).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn looks_travel_with_a_snapshot() {
    let scene = sessions(FenceKind::Ratchet);
    let mut look = scene.look("live", State::Live);
    look.0.insert("torn".to_owned(), Seen::Unreadable("why".to_owned()));
    let text = serde_json::to_string(&look).unwrap();
    assert_eq!(serde_json::from_str::<Look>(&text).unwrap(), look);
}
