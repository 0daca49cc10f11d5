//! Words, passphrases, members and roles.

use age::secrecy::ExposeSecret;

use crate::support::Bed;

#[test]
fn words_open_the_repository_on_another_machine() {
    let first = Bed::backed_up();
    let second = Bed::new();
    let repo = first.text("home/repository");
    let ran = second.run(&["snapshot", "list", "--repo", &repo]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.stderr.contains("init --from-words") && ran.stderr.contains(&repo),
        "{}",
        ran.stderr
    );
    let words = first.words();
    let told =
        second.ok_with(&[("NODEKEEP_WORDS", &words)], &["init", "--from-words", "--repo", &repo]);
    assert!(told.contains("a new writer for this machine"), "{told}");
    assert_eq!(second.ok(&["snapshot", "cat", "latest", "a.txt", "--repo", &repo]), "alpha\n");
    second.ok(&["backup", "./data", "--repo", &repo]);
}

#[test]
fn a_wrong_word_is_named() {
    let bed = Bed::backed_up();
    let words = bed.words();
    let mut list: Vec<&str> = words.split(' ').collect();
    list[4] = "zebre";
    let ran = bed.run_with(&[("NODEKEEP_WORDS", &list.join(" "))], &["init", "--from-words"]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.stderr.contains("word 5 is not in the list") && ran.stderr.contains("zebra"),
        "{}",
        ran.stderr
    );
    let right = words.split(' ').nth(4).unwrap().to_owned();
    list[4] = if right == "zoo" { "zone" } else { "zoo" };
    let ran = bed.run_with(&[("NODEKEEP_WORDS", &list.join(" "))], &["init", "--from-words"]);
    // One change in 256 passes the checksum; then the words are those of another repository.
    let named = ran.stderr.contains(&format!("Word 5 is most likely `{right}`"));
    assert!(
        ran.code == 5 && (named || ran.stderr.contains("not those of this repository")),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(&words));
    assert_eq!(bed.run_with(&[("NODEKEEP_WORDS", "zoo zoo")], &["init", "--from-words"]).code, 5);
}

#[test]
fn words_go_to_a_file_and_never_to_a_pipe() {
    let bed = Bed::backed_up();
    assert_eq!(bed.run(&["key", "words"]).code, 2);
    bed.ok(&["key", "words", "--words-out", "w"]);
    assert_eq!((bed.read("w").trim(), bed.mode("w")), (bed.words().as_str(), 0o600));
    assert_eq!(bed.run(&["key", "words", "--words-out", "w"]).code, 9);
    let told = bed.ok(&["init", "--repo", "./other", "--words-out", "other-words", "--json"]);
    let words = bed.read("other-words");
    assert!(words.split_whitespace().all(|word| !told.contains(&format!(" {word} "))));
    assert_eq!(bed.run(&["init", "--repo", "./third", "--words-out", "w"]).code, 9);
    assert!(!bed.path("third").exists());
}

#[test]
fn a_locked_identity_reads_with_its_passphrase_and_backs_up_without() {
    let bed = Bed::backed_up();
    bed.ok_with(&[("NODEKEEP_NEW_PASSPHRASE", "sesame")], &["key", "lock"]);
    bed.ok(&["backup", "./data"]);
    let ran = bed.run(&["snapshot", "list"]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("NODEKEEP_PASSPHRASE"), "{}", ran.stderr);
    assert_eq!(bed.run_with(&[("NODEKEEP_PASSPHRASE", "wrong")], &["snapshot", "list"]).code, 5);
    bed.write("pass", "sesame\n");
    bed.ok_with(&[("NODEKEEP_PASSPHRASE_FILE", &bed.text("pass"))], &["key", "unlock"]);
    assert_eq!(bed.ids().len(), 2);
}

#[test]
fn a_wiped_identity_comes_back_with_the_words() {
    let bed = Bed::backed_up();
    let words = bed.words();
    assert_eq!(bed.run(&["key", "wipe"]).code, 9);
    bed.ok_with(&[("NODEKEEP_WORDS", &words)], &["key", "words", "--confirm"]);
    bed.ok(&["key", "wipe", "--yes"]);
    bed.ok(&["backup", "./data"]);
    assert_eq!(bed.run(&["restore", "latest", "--target", "out"]).code, 7);
    bed.ok_with(&[("NODEKEEP_WORDS", &words)], &["key", "restore"]);
    bed.ok(&["restore", "latest", "--target", "out"]);
}

#[test]
fn a_writer_backs_up_and_reads_nothing() {
    let owner = Bed::backed_up();
    owner.ok(&["key", "add", "--writer", "web", "--out", "web.writer"]);
    assert_eq!(owner.mode("web.writer"), 0o600);
    assert_eq!(owner.run(&["key", "add", "--writer", "web", "--out", "web.writer"]).code, 9);
    let node = Bed::new();
    let (repo, credential) = (owner.text("home/repository"), owner.text("web.writer"));
    let with =
        |args: &[&str]| node.run(&[args, &["--repo", &repo, "--credential", &credential]].concat());
    let done = with(&["backup", "./data"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for args in [
        &["snapshot", "list"] as &[_],
        &["snapshot", "ls", "latest"],
        &["restore", "latest", "--target", "o"],
        &["check"],
        &["key", "rotate"],
    ] {
        let ran = with(args);
        assert_eq!(ran.code, 7, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("init --from-words"), "{}", ran.stderr);
    }
    assert_eq!(with(&["status"]).code, 0);
    assert_eq!(owner.ids().len(), 2);
    let writer = member(&owner, "writer", "web");
    owner.ok(&["key", "remove", &writer, "--yes"]);
    assert_eq!(with(&["backup", "./data"]).code, 7);
}

#[test]
fn readers_come_and_go_and_no_pack_changes() {
    let bed = Bed::backed_up();
    let packs = bed.objects("/home/repository/w/");
    let key = age::x25519::Identity::generate();
    bed.write("reader.key", key.to_string().expose_secret());
    let told = bed.ok(&["key", "add", &key.to_public().to_string(), "--label", "standby"]);
    assert!(told.contains("standby"), "{told}");
    let reader = Bed::new();
    let (repo, file) = (bed.text("home/repository"), bed.text("reader.key"));
    let with =
        |args: &[&str]| reader.run(&[args, &["--repo", &repo, "--identity", &file]].concat());
    assert_eq!(with(&["snapshot", "cat", "latest", "a.txt"]).stdout, "alpha\n");
    assert_eq!(with(&["key", "rotate"]).code, 7);
    let told = bed.ok(&["key", "remove", &member(&bed, "reader", "standby"), "--yes"]);
    assert!(told.contains("What it could read before, it still can"), "{told}");
    bed.ok(&["key", "rotate"]);
    assert_eq!(bed.objects("/home/repository/w/"), packs);
    bed.write("data/a.txt", "after\n");
    bed.ok(&["backup", "./data"]);
    assert_ne!(with(&["snapshot", "cat", "latest", "a.txt"]).stdout, "after\n");
}

#[test]
fn a_collector_sees_names_only() {
    let bed = Bed::backed_up();
    let key = age::x25519::Identity::generate();
    bed.write("collector.key", key.to_string().expose_secret());
    bed.write("keys", &format!("# the collector\n{}\n", key.to_public()));
    bed.ok(&["key", "add", "@keys", "--role", "collector"]);
    let other = Bed::new();
    let (repo, file) = (bed.text("home/repository"), bed.text("collector.key"));
    let with = |args: &[&str]| other.run(&[args, &["--repo", &repo, "--identity", &file]].concat());
    assert!(with(&["snapshot", "ls", "latest"]).stdout.contains("a.txt"));
    let ran = with(&["snapshot", "cat", "latest", "a.txt"]);
    assert_eq!(ran.code, 7);
    assert!(ran.stderr.contains("collector"), "{}", ran.stderr);
}

#[test]
fn the_owners_own_key_stays() {
    let bed = Bed::backed_up();
    assert_eq!(bed.run(&["key", "remove", &member(&bed, "reader", "owner"), "--yes"]).code, 2);
    assert_eq!(bed.run(&["key", "remove", "ffffffff", "--yes"]).code, 8);
}

fn member(bed: &Bed, role: &str, label: &str) -> String {
    let roster = bed.json(&["key", "list"]);
    let members = roster["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["role"] == role && member["label"] == label);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}
