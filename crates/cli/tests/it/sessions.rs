//! Everyday sessions: back up, look, restore, compare, delete, check.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::Bed;

#[test]
fn the_first_backup_makes_all_that_is_needed() {
    let bed = Bed::new();
    let told = bed.ok(&["backup", "./data"]);
    for part in [
        "Made a repository",
        "Backed up",
        "2 files in 2 directories, 11 B",
        "owner ",
        "Not offsite yet",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(bed.words().split(' ').count(), 24);
    assert_eq!(bed.mode("home/recovery-words"), 0o600);
    assert_eq!(bed.mode("home"), 0o700);
    assert!(
        !told.contains(bed.words().split(' ').next_back().unwrap()) || !told.contains(&bed.words())
    );
}

#[test]
fn every_backup_reminds_until_the_words_are_confirmed() {
    let bed = Bed::backed_up();
    let words = bed.words();
    assert!(bed.ok(&["backup", "./data"]).contains("not confirmed yet"));
    assert_eq!(bed.json(&["status"])["words_confirmed"], false);
    assert_eq!(bed.run(&["key", "words", "--confirm"]).code, 5);
    let wrong = words.replacen(words.split(' ').next().unwrap(), "zebra", 1);
    assert_eq!(bed.run_with(&[("NODEKEEP_WORDS", &wrong)], &["key", "words", "--confirm"]).code, 5);
    bed.ok_with(
        &[("NODEKEEP_WORDS_FILE", &bed.text("home/recovery-words"))],
        &["key", "words", "--confirm"],
    );
    assert!(!bed.path("home/recovery-words").exists());
    assert!(!bed.ok(&["backup", "./data"]).contains("not confirmed yet"));
}

#[test]
fn a_restore_gives_back_what_was() {
    let bed = Bed::backed_up();
    let plan = bed.ok(&["restore", "latest", "--target", "out", "--dry-run"]);
    assert!(plan.contains("create    out/a.txt") || plan.contains("out/a.txt"), "{plan}");
    assert!(!bed.path("out").exists());
    bed.ok(&["restore", "latest", "--target", "out", "--verify"]);
    assert_eq!(
        (bed.read("out/a.txt"), bed.read("out/sub/b.txt")),
        ("alpha\n".into(), "beta\n".into())
    );
    bed.write("out/a.txt", "other\n");
    let refused = bed.run(&["restore", "latest", "--target", "out"]);
    assert_eq!((refused.code, bed.read("out/a.txt").as_str()), (9, "other\n"));
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    bed.ok(&["restore", "latest", "--target", "out", "--force"]);
    assert_eq!(bed.read("out/a.txt"), "alpha\n");
    bed.ok(&["restore", "latest", "sub/b.txt", "--target", "part"]);
    assert!(bed.path("part/sub/b.txt").exists() || bed.path("part/b.txt").exists());
    assert!(!bed.path("part/a.txt").exists());
}

#[test]
fn in_place_needs_a_yes_and_touches_what_differs() {
    let bed = Bed::backed_up();
    fs::remove_file(bed.path("data/a.txt")).unwrap();
    assert_eq!(bed.run(&["restore", "./data@latest"]).code, 9);
    assert!(!bed.path("data/a.txt").exists());
    let told = bed.ok(&["restore", "./data@latest", "--yes"]);
    assert!(told.contains("in place"), "{told}");
    assert_eq!(bed.read("data/a.txt"), "alpha\n");
}

#[test]
fn extra_names_go_and_keys_stay() {
    let bed = Bed::new();
    bed.ok(&["backup", "./"]);
    bed.write("data/extra.txt", "not in the snapshot\n");
    let words = bed.words();
    let plan = bed.ok(&["restore", "latest", "--delete-extra", "--dry-run"]);
    assert!(plan.contains("delete") && plan.contains("data/extra.txt"), "{plan}");
    assert!(!plan.contains("recovery-words") && !plan.contains("/home/"), "{plan}");
    bed.ok(&["restore", "latest", "--delete-extra", "--yes"]);
    assert!(!bed.path("data/extra.txt").exists());
    assert_eq!(bed.words(), words);
    bed.ok(&["check", "--data"]);
}

#[test]
fn snapshots_are_named_in_every_way() {
    let bed = Bed::backed_up();
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data", "--tag", "release=2"]);
    let ids = bed.ids();
    let day = format!(
        "./data@{}",
        bed.json(&["snapshot", "show", "latest"])["started"]
            .as_str()
            .unwrap()
            .split('T')
            .next()
            .unwrap()
    );
    let cases = [
        ("latest", "changed\n"),
        ("latest~1", "alpha\n"),
        ("./data@latest", "changed\n"),
        ("./data@latest~1", "alpha\n"),
        (&ids[0][..8], "alpha\n"),
        (&ids[1], "changed\n"),
        (&day, "changed\n"),
    ];
    for (name, content) in cases {
        assert_eq!(bed.ok(&["snapshot", "cat", name, "a.txt"]), content, "{name}");
    }
    assert_eq!(bed.ok(&["snapshot", "cat", "./data/a.txt@latest~1"]), "alpha\n");
    assert_eq!(
        bed.json(&["snapshot", "list", "--tag", "release=2"])["snapshots"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(bed.json(&["snapshot", "list", "--last", "1"])["snapshots"][0]["id"], ids[1]);
}

#[test]
fn latest_is_never_guessed_among_several_paths() {
    let bed = Bed::backed_up();
    bed.write("other/x", "x");
    bed.ok(&["backup", "./other"]);
    let ran = bed.run(&["snapshot", "ls", "latest"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("/data@latest") && ran.stderr.contains("/other@latest"),
        "{}",
        ran.stderr
    );
    assert!(bed.ok(&["snapshot", "ls", "./other@latest"]).contains("/other/x"));
}

#[test]
fn ls_find_and_diff_show_what_there_is() {
    let bed = Bed::backed_up();
    bed.write("data/a.txt", "changed\n");
    fs::remove_file(bed.path("data/sub/b.txt")).unwrap();
    bed.write("data/new", "n");
    bed.ok(&["backup", "./data"]);
    let long = bed.ok(&["snapshot", "ls", "-lR", "latest~1"]);
    assert!(long.contains("-rw-r--r--") && long.contains("/data/sub/b.txt"), "{long}");
    let entries = bed.json(&["snapshot", "ls", "latest", "-R"]);
    assert_eq!(entries["entries"].as_array().unwrap().len(), 3);
    let found = bed.json(&["snapshot", "find", "*.txt"]);
    assert_eq!(
        found["matches"].as_array().unwrap().len(),
        3,
        "two versions of a.txt, one of b.txt"
    );
    let diff = bed.ok(&["snapshot", "diff", "latest~1", "latest"]);
    for line in ["M ", "- ", "+ "] {
        assert!(diff.lines().any(|l| l.starts_with(line)), "{line}: {diff}");
    }
    assert!(diff.contains("1 added, 1 removed, 1 changed"), "{diff}");
}

#[test]
fn deleting_and_pruning_follow_the_rules() {
    let bed = Bed::new();
    for content in ["1", "2", "3", "4"] {
        bed.write("data/a.txt", content);
        bed.ok(&["backup", "./data"]);
    }
    let ids = bed.ids();
    assert_eq!(bed.run(&["snapshot", "delete", &ids[0]]).code, 9);
    bed.ok(&["snapshot", "delete", &ids[0], "--yes"]);
    assert_eq!(bed.ids(), ids[1..]);
    assert_eq!(bed.run(&["snapshot", "prune"]).code, 2);
    let plan = bed.ok(&["snapshot", "prune", "--keep-last", "1", "--dry-run"]);
    assert!(plan.contains("delete") && plan.contains("keep") && plan.contains("last"), "{plan}");
    assert_eq!(bed.ids().len(), 3);
    bed.ok(&["snapshot", "prune", "--keep-last", "1"]);
    assert_eq!(bed.ids(), ids[3..]);
    assert_eq!(bed.ok(&["snapshot", "cat", "latest", "a.txt"]), "4");
}

#[test]
fn a_check_names_the_damage_and_what_it_hits() {
    let bed = Bed::new();
    // So much that the middle of the pack is content, and nothing that compresses.
    let noise = (0u64..40_000).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    bed.write("data/a.txt", &noise.collect::<String>());
    bed.ok(&["backup", "./data", "--compress", "none"]);
    let told = bed.ok(&["check", "--data"]);
    assert!(told.contains("is intact"), "{told}");
    let pack = bed.objects("/d/").pop().unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let ran = bed.run(&["check", "--data"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("Damaged:") && ran.stderr.contains("/data/"), "{}", ran.stderr);
    let ran = bed.run(&["check", "--data", "--json"]);
    assert!(ran.stdout.contains("\"ok\": false"), "{}", ran.stdout);
}

#[test]
fn a_lost_index_is_rebuilt() {
    let bed = Bed::backed_up();
    for segment in bed.objects("/i/") {
        fs::remove_file(segment).unwrap();
    }
    assert_eq!(bed.run(&["check"]).code, 4);
    let told = bed.ok(&["repo", "repair"]);
    assert!(told.contains("Repaired"), "{told}");
    bed.ok(&["check", "--data"]);
    assert_eq!(bed.ok(&["snapshot", "cat", "latest", "a.txt"]), "alpha\n");
}

#[test]
fn something_unreadable_is_named_and_turns_the_exit_code() {
    let bed = Bed::new();
    bed.write("data/secret", "s");
    fs::set_permissions(bed.path("data/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let told = bed.run_unprivileged(&["backup", "./data"]);
    assert_eq!(told.code, 3, "{}", told.stderr);
    assert!(
        told.stdout.contains("Backed up") && told.stderr.contains("/data/secret"),
        "{}",
        told.stderr
    );
    let listed = bed.run_unprivileged(&["snapshot", "list"]);
    assert!(listed.stdout.contains("(incomplete)"), "{}", listed.stdout);
}

#[test]
fn filters_leave_out_and_a_dry_run_writes_nothing() {
    let bed = Bed::new();
    bed.write("data/cache/.nobackup", "");
    bed.write("data/x.tmp", "t");
    let counts = &bed.json(&["backup", "./data", "--exclude", "*.tmp"])["counts"];
    assert_eq!(counts["files"], 3);
    let dry = bed.json(&["backup", "./data", "--exclude-if-present", ".nobackup", "--dry-run"]);
    assert_eq!((&dry["snapshot"], &dry["counts"]["files"]), (&serde_json::Value::Null, &3.into()));
    assert_eq!(bed.ids().len(), 1);
}

#[test]
fn an_interrupted_creation_is_completed() {
    let bed = Bed::backed_up();
    let keys = fs::read_dir(bed.path("home/repos")).unwrap().next().unwrap().unwrap().path();
    let identity = fs::read_to_string(keys.join("identity")).unwrap();
    let pending = bed.json(&["status"])["repository"]["location"].as_str().unwrap().to_owned();
    // As after a crash between the repository's last object and the first of this machine's keys.
    let name = nodekeep_repo::id::ObjectHash::of(pending.as_bytes()).hex();
    bed.write(&format!("home/creating/{}", &name[..16]), &identity);
    fs::remove_dir_all(keys).unwrap();
    bed.ok(&["backup", "./data"]);
    assert_eq!(bed.ids().len(), 2);
    assert_eq!(fs::read_dir(bed.path("home/creating")).unwrap().count(), 0);
}

#[test]
fn a_reader_that_leaves_is_no_error_worth_a_word() {
    let bed = Bed::new();
    // More than a pipe holds: it is still writing when its reader leaves.
    bed.write("data/a.txt", &"line\n".repeat(400_000));
    bed.ok(&["backup", "./data"]);
    let mut child = bed.command(&["snapshot", "cat", "latest", "a.txt"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_mount_shows_the_files_or_says_what_is_missing() {
    let bed = Bed::backed_up();
    fs::create_dir(bed.path("mnt")).unwrap();
    let mut command = bed.command(&["snapshot", "mount", "latest", "mnt", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    if first.contains("error") {
        assert_eq!(child.wait().unwrap().code(), Some(1));
        return;
    }
    let content = fs::read_to_string(bed.path("mnt/sub/b.txt"));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(content.unwrap(), "beta\n");
}

#[test]
fn alone_it_says_what_lies_here_and_what_is_next() {
    let bed = Bed::new();
    let told = bed.ok(&[]);
    assert!(told.contains("no repository") && told.contains("nodekeep backup PATH"), "{told}");
    bed.ok(&["backup", "./data"]);
    let told = bed.ok(&[]);
    assert!(
        told.contains("key words --confirm") && told.contains("1, the newest just now"),
        "{told}"
    );
    assert_eq!(bed.json(&[])["snapshots"], 1);
}

#[test]
fn packaging_gets_pages_and_completions() {
    let bed = Bed::new();
    bed.ok(&["man", "--out", "man"]);
    assert!(bed.read("man/nodekeep-snapshot-prune.1").contains("keep\\-last"));
    assert!(bed.ok(&["man"]).contains(".TH nodekeep"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.ok(&["completions", shell]).contains("nodekeep"), "{shell}");
    }
}
