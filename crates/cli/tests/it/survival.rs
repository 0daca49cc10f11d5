//! Open sessions, audits, and what a machine remembers of a repository.

use std::fs;

use nodekeep_repo::control::{Session, Stamp, Statement};
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::SessionId;
use nodekeep_repo::keys::{ContentKey, Credential, Purpose, Seal};
use nodekeep_repo::process;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_store::{Durability, Store};

use crate::support::Bed;

fn open(bed: &Bed) -> Repository {
    let text = bed.kept("writer");
    let credential = Credential::from_text(&text).unwrap();
    let access = Access { credential: Some(credential), ..Access::default() };
    Repository::open(Store::local(bed.path("home/repository")), &access, None).unwrap()
}

/// A session of this very process, which runs.
fn begin(bed: &Bed) -> String {
    let repo = open(bed);
    let view = repo.view().unwrap();
    let writer = repo.writer_id().unwrap();
    let sequence = view.heads.get(&writer).map_or(1, |head| head + 1);
    let stamp =
        Stamp { generation: view.generation, writer, sequence, session: SessionId(random()) };
    let group = repo.roster().current_group();
    let seal = |purpose| Seal::close(&ContentKey::random(&repo.id()), purpose, group);
    let session = Session {
        stamp,
        roster: 1,
        started_ms: jiff::Timestamp::now().as_millisecond(),
        process: process::this(repo.domain()),
        tree: seal(Purpose::Tree),
        data: seal(Purpose::Data),
    };
    let object = session.seal(&repo.id(), repo.writer_key().unwrap());
    repo.store().create(&stamp.session_name(), &object, Durability::Durable).unwrap();
    stamp.session.hex()
}

#[test]
fn sessions_are_shown_and_stopped() {
    let bed = Bed::backed_up();
    assert!(bed.ok(&["repo", "sessions"]).contains("No session is open"));
    let id = begin(&bed);
    let shown = bed.json(&["repo", "sessions"]);
    let session = &shown["sessions"][0];
    assert_eq!(session["id"], id);
    assert_eq!((&session["this_machine"], &session["running"]), (&true.into(), &true.into()));
    assert_eq!(session["process"], u64::from(std::process::id()));
    assert_eq!(session["ends_with_next_prune"], false);
    let text = bed.ok(&["repo", "sessions"]);
    assert!(text.contains(&format!("this machine, process {}", std::process::id())), "{text}");
    // A prune has to wait for it, and says so.
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    let pruned = bed.json(&["snapshot", "prune", "--keep-last", "1"]);
    assert_eq!(pruned["collection"]["postponed"], true);

    let stopped = bed.json(&["repo", "stop-session", &id[..8]]);
    assert_eq!((&stopped["stopped"], &stopped["by"]), (&id.as_str().into(), &"keeper".into()));
    assert_eq!(bed.json(&["repo", "sessions"])["sessions"].as_array().unwrap().len(), 0);
    for (wanted, code) in [(&id[..], 8), ("ffffffff", 8), ("fff", 2)] {
        let ran = bed.run(&["repo", "stop-session", wanted]);
        assert_eq!(ran.code, code, "{wanted}: {}", ran.stderr);
    }
    let pruned = bed.json(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"]);
    assert_eq!(pruned["collection"]["postponed"], false);
}

/// Two snapshots that this machine has seen; the object of the first and its session are then taken away.
fn robbed() -> (Bed, String) {
    let bed = Bed::backed_up();
    let id = bed.ids()[0].clone();
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    for object in bed.objects(&id) {
        fs::remove_file(object).unwrap();
    }
    (bed, id)
}

#[test]
fn an_audit_names_what_was_removed_until_it_is_accepted() {
    let (bed, id) = robbed();
    let listed = bed.run(&["snapshot", "list"]);
    assert!(listed.stderr.contains("nodekeep repo audit"), "{}", listed.stderr);
    assert_eq!(bed.json(&["status"])["snapshots_lost"], 1);
    let ran = bed.run(&["repo", "audit"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains(&id[..8]), "{}", ran.stderr);
    let ran = bed.run(&["repo", "audit", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str(), &report["ok"]), (4, "", &false.into()));
    let alarms = report["alarms"].as_array().unwrap();
    assert!(alarms.iter().any(|a| a["alarm"] == "snapshot-removed" && a["snapshot"] == id));
    assert!(alarms.iter().any(|a| a["alarm"] == "gap" && a["sequence"] == 1));
    assert_eq!(bed.run(&["repo", "audit", "--accept"]).code, 9);
    bed.ok(&["repo", "audit", "--accept", "--yes"]);
    assert_eq!(bed.json(&["repo", "audit"])["ok"], true);
    assert_eq!(bed.run(&["snapshot", "list"]).stderr, "");
}

#[test]
fn an_audit_of_what_is_in_order_says_who_wrote_what() {
    let bed = Bed::backed_up();
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    bed.ok(&["snapshot", "delete", "latest~1", "--yes"]);
    let report = bed.json(&["repo", "audit", "--sessions"]);
    assert_eq!(report["ok"], true, "{report}");
    // The owner's keeper wrote packs, too, when it collected.
    let writers = report["writers"].as_array().unwrap();
    let writer = writers.iter().find(|writer| writer["role"] == "writer").unwrap();
    assert_eq!((&writer["head"], &writer["snapshots"]), (&2.into(), &1.into()));
    assert_eq!(report["deletions"].as_array().unwrap().len(), 1);
    let text = bed.ok(&["repo", "audit", "--sessions"]);
    assert!(text.contains("Nothing was removed") && text.contains("deleted"), "{text}");
}

#[test]
fn a_store_that_was_rolled_back_is_refused_and_can_be_accepted() {
    let bed = Bed::backed_up();
    let copied = std::process::Command::new("cp")
        .args(["-r", &bed.text("home/repository"), &bed.text("old")])
        .status();
    assert!(copied.unwrap().success());
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    bed.ok(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"]);
    fs::remove_dir_all(bed.path("home/repository")).unwrap();
    fs::rename(bed.path("old"), bed.path("home/repository")).unwrap();
    for args in [&["snapshot", "list"][..], &["backup", "./data"], &["status"]] {
        let ran = bed.run(args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("nodekeep repo audit --accept"), "{}", ran.stderr);
    }
    let ran = bed.run(&["repo", "audit"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("checkpoint"), "{}", ran.stderr);
    bed.ok(&["repo", "audit", "--accept", "--yes"]);
    bed.ok(&["backup", "./data"]);
    assert_eq!(bed.json(&["repo", "audit"])["ok"], true);
}

#[test]
fn an_older_mirror_is_read_with_a_remark() {
    let bed = Bed::backed_up();
    bed.ok(&["repo", "mirror", "./replica"]);
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    bed.ok(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"]);
    let ran = bed.run(&["restore", "latest", "--target", "./out", "--repo", "./replica"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("perhaps not the newest"), "{}", ran.stderr);
    assert_eq!(bed.read("out/a.txt"), "alpha\n");
}

#[test]
fn the_emergency_card_and_the_words_are_enough() {
    let bed = Bed::new();
    let card = bed.ok(&["init", "--repo", "./disk/backups"]);
    assert!(card.contains("nodekeep restore --repo") && card.contains("asks for the words"));
    bed.ok(&["backup", "./data", "--repo", "./disk/backups"]);
    bed.write("words", &bed.words());
    let (home, words) = (bed.text("empty"), bed.text("words"));
    let bare = [("NODEKEEP_HOME", home.as_str()), ("NODEKEEP_WORDS_FILE", words.as_str())];
    let listed = bed.ok_with(&bare, &["restore", "--repo", "./disk/backups"]);
    assert!(listed.contains("Bring one back:") && listed.contains("box"), "{listed}");
    let id = listed.lines().find_map(|line| line.trim().strip_prefix("nodekeep restore ")).unwrap();
    let id = id.split(' ').next().unwrap();
    bed.ok_with(&bare, &["restore", id, "--target", "./out", "--repo", "./disk/backups"]);
    assert_eq!(bed.read("out/sub/b.txt"), "beta\n");
}
