//! Relay: what is checked, mended and taken over from its old tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::relay::import::{self, Layout};
use nodekeep_nodes::relay::maintenance::{self, Step};
use nodekeep_nodes::relay::{Folders, health, validate};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A block with one transaction, as the service writes it, and its hash.
fn block(index: u64, nonce: &str, previous: &str) -> (String, String) {
    let transactions =
        format!(r#"[{{"id":"{index}","type":"vote","data":{{"share":1.50}},"nonce":"{nonce}"}}]"#);
    let hashed = format!(
        r#"{{"index":{index},"timestamp":"2025-10-26T17:08:55.090Z","transactions":{transactions},"previousHash":"{previous}","nonce":{index}}}"#
    );
    let hash: String = Sha256::digest(&hashed).iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("{},\"hash\":\"{hash}\"}}\n", hashed.trim_end_matches('}')), hash)
}

/// A service with three blocks, all well.
fn service() -> (TempDir, Folders) {
    let project = TempDir::new().unwrap();
    let data = project.path().join("data");
    let (mut chain, mut nonces, mut previous) = (String::new(), String::new(), "0".to_owned());
    for index in 0..3 {
        let (line, hash) = block(index, &format!("nonce-{index}"), &previous);
        chain.push_str(&line);
        nonces.push_str(&format!("{{\"value\":\"nonce-{index}\",\"timestamp\":1}}\n"));
        previous = hash;
    }
    let files: [(&str, &str); 11] = [
        ("package.json", "{}"),
        ("logs/x.log", ""),
        ("data/blockchain/chain.jsonl", &chain),
        ("data/blockchain/nonces.jsonl", &nonces),
        (
            "data/voting/session-votes.json",
            r#"{"voteCounts":{"a":{"totalVotes":3,"candidates":{"x":1,"y":2}}}}"#,
        ),
        ("data/security/signal-keys.json", "{}"),
        ("data/security/signal-sessions.json", "{}"),
        ("data/users/users.json", "{}"),
        ("data/system/config.json", "{}"),
        ("data/sender-keys.json", "{}"),
        ("data/regions.json", "[]"),
    ];
    for (name, text) in files {
        write(&project.path().join(name), text);
    }
    (project, Folders::of(data))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn close(folders: &Folders) {
    maintenance::fix(folders).unwrap().apply().unwrap();
}

fn failed(report: &Verified) -> Vec<String> {
    let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| format!("{}: {}", check.name, check.detail)).collect()
}

#[test]
fn a_healthy_service_passes_and_its_position_is_told() {
    let (_project, folders) = service();
    close(&folders);
    let report = validate(&folders).unwrap();
    assert_eq!(failed(&report), Vec::<String>::new());
    assert_eq!(report.position.counters["blocks"], 3);
    assert_eq!(report.position.counters["nonces"], 3);
    assert!(report.checks.iter().any(|check| check.name == "chain.jsonl: hash links"));
}

#[test]
fn each_fault_is_named_with_its_place() {
    type Harm = fn(&Path);
    let cases: [(Harm, &str); 9] = [
        (|data| fs::remove_file(data.join("users/users.json")).unwrap(), "users/users.json"),
        (|data| fs::remove_dir_all(data.join("voting")).unwrap(), "voting"),
        (
            |data| fs::write(data.join("regions.json"), "[1,\n2,").unwrap(),
            "regions.json: EOF while parsing a value at line 2",
        ),
        (|data| edit(&data.join("blockchain/chain.jsonl"), "1.50", "1.5"), "line 1"),
        (
            |data| edit(&data.join("blockchain/chain.jsonl"), "\"id\":\"2\"", "\"id\":\"5\""),
            "line 3",
        ),
        (
            |data| edit(&data.join("blockchain/nonces.jsonl"), "nonce-1", "nonce-x"),
            "1 block, from block 1 on",
        ),
        (
            |data| edit(&data.join("voting/session-votes.json"), ":3", ":4"),
            "a: 4 in all, 3 for its candidates",
        ),
        (|data| mode(&data.join("security/signal-keys.json"), 0o644), "signal-keys.json (0644)"),
        (|data| mode(data, 0o755), "data (0755)"),
    ];
    for (harm, expected) in cases {
        let (_project, folders) = service();
        close(&folders);
        harm(&folders.data);
        let failed = failed(&validate(&folders).unwrap());
        assert!(failed.iter().any(|line| line.contains(expected)), "{expected}: {failed:?}");
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn fix_plans_first_and_then_mends_without_a_loss() {
    let (_project, folders) = service();
    let chain = folders.data.join("blockchain/chain.jsonl");
    let whole = fs::read_to_string(&chain).unwrap();
    let nonces = folders.data.join("blockchain/nonces.jsonl");
    fs::write(&chain, format!("{whole}{{\"index\":3,\"times")).unwrap();
    let lines = fs::read_to_string(&nonces).unwrap();
    fs::write(&nonces, lines.trim_end()).unwrap();
    fs::remove_dir_all(folders.data.join("voting")).unwrap();

    let plan = maintenance::fix(&folders).unwrap();
    let printed = plan.to_string();
    assert!(printed.contains("cut the torn last 17 bytes of "), "{printed}");
    assert!(printed.contains("make folder "), "{printed}");
    assert!(fs::read_to_string(&chain).unwrap().ends_with("times"), "a plan changes nothing");

    plan.apply().unwrap();
    assert_eq!(fs::read_to_string(&chain).unwrap(), whole);
    assert_eq!(fs::read_to_string(&nonces).unwrap(), lines);
    let saved = chain.with_file_name(format!("chain.jsonl.cut-at-{}", whole.len()));
    assert_eq!(fs::read_to_string(&saved).unwrap(), "{\"index\":3,\"times");
    assert_eq!(failed(&validate(&folders).unwrap()), Vec::<String>::new());
    assert_eq!(maintenance::fix(&folders).unwrap().to_string(), "nothing to do\n");
}

#[test]
fn a_service_that_still_writes_is_not_cut() {
    let (_project, folders) = service();
    let chain = folders.data.join("blockchain/chain.jsonl");
    let whole = fs::read_to_string(&chain).unwrap();
    fs::write(&chain, format!("{whole}{{")).unwrap();
    let mut plan = maintenance::fix(&folders).unwrap();
    plan.steps.retain(|step| matches!(step, Step::CutTail { .. }));
    fs::write(&chain, format!("{whole}{{}}\n")).unwrap();
    let error = plan.apply().unwrap_err().to_string();
    assert!(error.contains("stop the service"), "{error}");
    assert_eq!(fs::read_to_string(&chain).unwrap(), format!("{whole}{{}}\n"));
}

#[test]
fn a_link_in_place_of_a_file_is_not_followed() {
    let (project, folders) = service();
    let outside = project.path().join("outside");
    fs::write(&outside, "x").unwrap();
    mode(&outside, 0o644);
    let plan = maintenance::fix(&folders).unwrap();
    let keys = folders.data.join("sender-keys.json");
    fs::remove_file(&keys).unwrap();
    symlink(&outside, &keys).unwrap();
    assert!(plan.apply().is_err());
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn caches_are_cleared_and_data_is_not() {
    let (project, folders) = service();
    for cache in ["dist/app.js", "node_modules/.cache/x", "node_modules/dep/index.js", "coverage/x"]
    {
        write(&project.path().join(cache), "x");
    }
    let kept = project.path().join("kept");
    fs::create_dir(&kept).unwrap();
    symlink(&kept, project.path().join("build")).unwrap();
    let plan = maintenance::clear_cache(&folders).unwrap();
    assert_eq!(plan.steps.len(), 4, "{plan}");
    plan.apply().unwrap();
    assert!(
        kept.is_dir()
            && !project.path().join("build").exists()
            && !project.path().join("dist").exists()
    );
    assert!(project.path().join("node_modules/dep/index.js").exists());
    assert!(folders.data.join("blockchain/chain.jsonl").exists());
}

#[test]
fn reset_keeps_the_lock_file_and_says_what_it_runs() {
    let (project, folders) = service();
    write(&project.path().join("node_modules/.cache/x"), "x");
    write(&project.path().join("package-lock.json"), "{}");
    let printed = maintenance::reset(&folders).unwrap().to_string();
    assert_eq!(printed.matches("remove ").count(), 1, "{printed}");
    assert!(printed.contains("run `npm ci` in "), "{printed}");
    assert!(!printed.contains("package-lock"), "{printed}");

    let alone = Folders { project: None, ..folders };
    assert!(maintenance::reset(&alone).unwrap_err().to_string().contains("package.json"));
}

fn components(backup: &import::OldBackup) -> Vec<(&'static str, PathBuf)> {
    backup.parts.iter().map(|part| (part.component, part.to.clone())).collect()
}

#[test]
fn backups_of_the_script_are_mapped_with_what_failed() {
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup-2025-09-18T16-08-34-266Z");
    write(&backup.join("blockchain-data/chain.jsonl"), "");
    write(&backup.join("user-data/users.json"), "{}");
    write(&backup.join("odd/x"), "");
    write(
        &backup.join("backup-manifest.json"),
        r#"{"timestamp":"2025-09-18T16:08:36.021Z","backupPath":"C:\\Users\\x","results":[
            {"name":"blockchain-data","status":"success","path":"/etc/passwd"},
            {"name":"voting-data","status":"failed","error":"ENOENT: no such\u001b[31m directory"}]}"#,
    );
    let old = import::read(&backup).unwrap();
    assert_eq!(old.layout, Layout::Script);
    assert_eq!(old.taken_at.as_deref(), Some("2025-09-18T16:08:36.021Z"));
    assert_eq!(components(&old), [("blockchain", "blockchain".into()), ("users", "users".into())]);
    assert_eq!(old.missing["voting"].as_deref(), Some("ENOENT: no such[31m directory"));
    assert_eq!(old.missing["sender-keys"], None);
    let report = old.report().join("\n");
    assert!(report.contains("left out: ") && !report.contains("passwd"), "{report}");
}

#[test]
fn backups_of_the_guide_keep_everything() {
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup-2025-09-18T16-08-34-266Z");
    for name in ["blockchain/chain.jsonl", "users/users.json", "sender-keys.json", "demos/x.json"] {
        write(&backup.join(name), "{}");
    }
    symlink("/etc", backup.join("system")).unwrap();
    let old = import::read(&backup).unwrap();
    assert_eq!(old.layout, Layout::Guide);
    assert_eq!(old.taken_at.as_deref(), Some("2025-09-18T16:08:34.266Z"));
    let found: Vec<&str> = old.parts.iter().map(|part| part.component).collect();
    assert_eq!(found, ["blockchain", "extra", "sender-keys", "users"]);
    assert_eq!(old.left_out, [backup.join("system")]);
}

#[test]
fn whole_copies_are_taken_from_their_data_folder() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("data/blockchain/chain.jsonl"), "");
    write(&folder.path().join("logs/a.log"), "");
    let old = import::read(folder.path()).unwrap();
    assert_eq!((old.layout, old.parts.len()), (Layout::Whole, 1));
    assert_eq!(old.left_out, [folder.path().join("logs")]);
    assert!(import::read(&folder.path().join("logs")).is_err());
}

#[test]
fn health_of_backups_names_what_is_missing() {
    let none = health::Backups::default();
    let outcomes: Vec<Outcome> = health::checks(&none).iter().map(|check| check.outcome).collect();
    use Outcome::{Failed, Passed, Skipped};
    assert_eq!(outcomes, [Failed, Skipped, Skipped, Skipped]);
    let some = health::Backups {
        is_whole: Some(true),
        free: Some(1),
        snapshots: 8,
        keep_last: Some(7),
        ..none
    };
    let outcomes: Vec<Outcome> = health::checks(&some).iter().map(|check| check.outcome).collect();
    assert_eq!(outcomes, [Failed, Passed, Passed, Failed]);
    assert!(health::free_space(Path::new("/")).unwrap() > 0);
}
