//! Git repositories under commits and garbage collection, torn ones, and those that lean on others.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nodekeep_nodes::error::Error;
use nodekeep_nodes::kind::{Outcome, Verified, With, recognise};
use nodekeep_nodes::profile::Kind;

use super::support::{Bench, Dice, codes, rounds, tree, verify};
use super::writer::{Writer, acknowledge};

/// Git with no configuration but its own.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "gc.auto=0"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whether this machine has git; a test that needs it says so and passes otherwise.
fn has_git() -> bool {
    let there = Command::new("git").arg("--version").output().is_ok();
    if !there {
        _ = writeln!(std::io::stderr(), "skipped: there is no git on this machine");
    }
    there
}

fn commit(folder: &Path, number: u64) {
    fs::write(folder.join(format!("file-{}", number % 20)), format!("content {number}\n")).unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", &format!("commit {number}")]);
}

fn repository(folder: &Path, commits: u64) {
    git(folder.parent().unwrap(), &["init", "-q", "-b", "main", folder.to_str().unwrap()]);
    for number in 1..=commits {
        commit(folder, number);
    }
}

/// Commits numbered commits, and collects garbage in every way that git has.
pub fn write(place: &Path) {
    repository(place, 0);
    let mut dice = Dice::new(9);
    for number in 1.. {
        commit(place, number);
        acknowledge(number);
        match dice.below(12) {
            0 => _ = git(place, &["gc", "-q", "--prune=now"]),
            1 => _ = git(place, &["repack", "-q", "-a", "-d"]),
            2 => _ = git(place, &["repack", "-q", "-A", "-d", "--write-midx"]),
            3 => _ = git(place, &["repack", "-q", "-d"]),
            4 => _ = git(place, &["pack-refs", "--all"]),
            5 => _ = git(place, &["prune-packed", "-q"]),
            6 => _ = git(place, &["branch", "-f", "side", "HEAD~0"]),
            7 if number > 30 => {
                // A branch with a commit of its own, dropped and pruned.
                git(place, &["checkout", "-q", "-b", "gone"]);
                git(place, &["commit", "-q", "--allow-empty", "-m", &format!("gone {number}")]);
                git(place, &["checkout", "-q", "main"]);
                git(place, &["branch", "-q", "-D", "gone"]);
                git(place, &["reflog", "expire", "--expire=now", "--all"]);
            }
            8 => _ = git(place, &["tag", "-a", "-m", "tag", &format!("v{number}")]),
            _ => {}
        }
    }
}

#[test]
fn no_commit_is_lost_under_commits_and_garbage_collection() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let path = bench.live("project");
    let writer = Writer::start("git", &path);
    let mut dice = Dice::new(2);
    for round in 0..rounds() {
        dice.rest(60);
        let acknowledged = writer.acknowledged();
        let (captured, copy) = bench.copy(&Kind::Git, &path);
        assert!(!captured.is_torn, "round {round}: {:?}", captured.notes);
        let verified = verify(&Kind::Git, &copy);
        assert!(verified.is_sound(), "round {round}: {:?}", verified.checks);
        assert_eq!((&verified.position, &verified.hashes), (&captured.position, &captured.hashes));
        let log = git(&copy, &["log", "--format=%s", "main"]);
        let numbers = log.lines().filter_map(|line| line.strip_prefix("commit ")?.parse().ok());
        let numbers: Vec<u64> = numbers.collect();
        assert!(numbers.iter().copied().eq((1..=numbers[0]).rev()), "round {round}: a hole");
        assert!(numbers[0] >= acknowledged, "{} of {acknowledged}", numbers[0]);
        // Git is of the same opinion; what nothing names any more may hang.
        let said = git(&copy, &["fsck", "--full", "--no-dangling", "--no-progress"]);
        assert!(said.is_empty(), "round {round}: {said}");
        git(&copy, &["commit", "-q", "--allow-empty", "-m", "the copy can be worked in"]);
        bench.sweep();
    }
    let commits = writer.acknowledged();
    _ = writeln!(std::io::stderr(), "git: {} rounds, {commits} commits", rounds());
}

#[test]
fn counts_are_those_of_git() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let path = bench.live("project");
    repository(&path, 7);
    git(&path, &["tag", "-a", "-m", "one", "v1"]);
    git(&path, &["branch", "side"]);
    git(&path, &["gc", "-q"]);
    commit(&path, 8);
    let captured = bench.capture(&Kind::Git, &path).unwrap();
    let count = |kind: &str| {
        let all = git(&path, &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]);
        all.lines().filter(|line| *line == kind).count() as u64
    };
    let counters = &captured.position.counters;
    for (name, kind) in
        [("blobs", "blob"), ("trees", "tree"), ("commits", "commit"), ("tags", "tag")]
    {
        assert_eq!(counters[name], count(kind), "{name}");
    }
    assert_eq!((counters["repositories"], counters["refs"]), (1, 3));
    assert_eq!(captured.hashes["HEAD"], git(&path, &["rev-parse", "HEAD"]));
    assert!(captured.notes.is_empty(), "{:?}", captured.notes);
    // A lock that comes after the capture is not in the copy either.
    let lock = path.join(".git/index.lock");
    assert!(captured.grafts.iter().any(|graft| graft.at == lock && graft.with == With::Nothing));
}

#[test]
fn a_folder_of_repositories_is_captured_with_every_one() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let path = bench.live("repos");
    fs::create_dir_all(path.join("deep/er")).unwrap();
    repository(&path.join("one"), 2);
    repository(&path.join("deep/er/two"), 3);
    let one = path.join("one").display().to_string();
    git(&path, &["clone", "-q", "--bare", &one, "bare.git"]);
    fs::create_dir(path.join("empty.git")).unwrap();
    git(&path.join("empty.git"), &["init", "-q", "--bare"]);
    git(&path.join("deep/er/two"), &["submodule", "add", "-q", &one, "sub"]);
    git(&path.join("deep/er/two"), &["commit", "-q", "-m", "submodule"]);
    git(&path.join("one"), &["worktree", "add", "-q", "--detach", "../tree"]);
    git(&path.join("tree"), &["commit", "-q", "--allow-empty", "-m", "only of the work tree"]);
    fs::write(path.join("one/.git/index.lock"), "").unwrap();
    fs::write(path.join("one/.git/refs/heads/x.lock"), "").unwrap();
    let (captured, copy) = bench.copy(&Kind::Git, &path);
    assert!(captured.notes.is_empty() && !captured.is_torn, "{:?}", captured.notes);
    assert_eq!(captured.position.counters["repositories"], 5);
    assert!(captured.hashes.is_empty());
    let verified = verify(&Kind::Git, &copy);
    assert!(verified.is_sound(), "{:?}", verified.checks);
    assert_eq!(verified.position, captured.position);
    let locks = tree(&copy).into_keys().filter(|path| path.to_string_lossy().ends_with(".lock"));
    assert_eq!(locks.count(), 0);
    for name in ["one", "deep/er/two", "bare.git", "empty.git"] {
        git(&copy.join(name), &["fsck", "--full", "--no-dangling", "--no-progress"]);
    }
    assert!(git(&copy.join("deep/er/two"), &["status", "--porcelain"]).is_empty());
    assert_eq!((recognise(&path), recognise(&path.join("one"))), (None, Some(Kind::Git)));
    assert_eq!(recognise(&path.join("bare.git")), Some(Kind::Git));
}

fn failed(verified: &Verified) -> Vec<&str> {
    let failed = verified.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name.as_str()).collect()
}

/// The file of a loose object.
fn loose(folder: &Path, what: &str) -> PathBuf {
    let id = git(folder, &["rev-parse", what]);
    folder.join(".git/objects").join(&id[..2]).join(&id[2..])
}

#[test]
fn damage_is_told_and_the_repository_captured_all_the_same() {
    if !has_git() {
        return;
    }
    // What is done to the repository, the notes of a capture, the checks that fail.
    type Deed = fn(&Path);
    let lose_tip: Deed = |path| fs::remove_file(loose(path, "HEAD")).unwrap();
    let lose_blob: Deed = |path| fs::remove_file(loose(path, "HEAD:file-1")).unwrap();
    let lose_parent: Deed = |path| fs::remove_file(loose(path, "HEAD~1")).unwrap();
    let swap_blob: Deed = |path| {
        let (from, to) = (loose(path, "HEAD:file-1"), loose(path, "HEAD:file-2"));
        fs::remove_file(&to).unwrap();
        fs::copy(from, to).unwrap();
    };
    let tear_blob: Deed = |path| {
        let file = loose(path, "HEAD:file-1");
        fs::remove_file(&file).unwrap();
        fs::write(file, "").unwrap();
    };
    let damage_pack: Deed = |path| {
        git(path, &["gc", "-q"]);
        let mut files = tree(&path.join(".git/objects/pack")).into_iter();
        let (file, mut bytes) =
            files.find(|(path, _)| path.extension().is_some_and(|e| e == "pack")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 40].fill(0xa5);
        fs::remove_file(&file).unwrap();
        fs::write(file, bytes).unwrap();
    };
    let cases: [(&str, Deed, &[&str], &[&str]); 6] = [
        ("tip", lose_tip, &["missing-object"], &["refs", "reachability"]),
        ("blob", lose_blob, &[], &["reachability"]),
        ("parent", lose_parent, &[], &["reachability"]),
        ("swapped", swap_blob, &[], &["objects"]),
        ("torn", tear_blob, &["damaged-object"], &["objects"]),
        ("pack", damage_pack, &[], &["objects"]),
    ];
    for (name, deed, notes, checks) in cases {
        let mut bench = Bench::new();
        let path = bench.live("project");
        repository(&path, 4);
        deed(&path);
        let (captured, copy) = bench.copy(&Kind::Git, &path);
        if name != "pack" {
            assert_eq!(codes(&captured), notes, "{name}: {:?}", captured.notes);
            assert_eq!(captured.is_torn, !notes.is_empty(), "{name}");
        }
        let verified = verify(&Kind::Git, &copy);
        let failed = failed(&verified);
        assert!(checks.iter().all(|check| failed.contains(check)), "{name}: {:?}", verified.checks);
    }
}

#[test]
fn borrowed_objects_are_in_the_copy() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let (lender, path) = (bench.live("lender"), bench.live("borrower"));
    repository(&lender, 5);
    git(&bench.live(""), &["clone", "-q", "--shared", "lender", "borrower"]);
    commit(&path, 6);
    assert_eq!(failed(&verify(&Kind::Git, &path)), ["stands alone"]);
    let (captured, copy) = bench.copy(&Kind::Git, &path);
    assert_eq!((codes(&captured), captured.is_torn), (vec!["alternate"], false));
    fs::rename(&lender, bench.live("elsewhere")).unwrap();
    let verified = verify(&Kind::Git, &copy);
    assert!(verified.is_sound(), "{:?}", verified.checks);
    assert_eq!(git(&copy, &["rev-list", "--count", "HEAD"]), "6");
    let captured = bench.capture(&Kind::Git, &path).unwrap();
    assert!(captured.is_torn && codes(&captured).contains(&"missing-alternate"));
}

#[test]
fn what_a_clone_never_had_is_noted() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let origin = bench.live("origin");
    repository(&origin, 5);
    git(&origin, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.display());
    git(&bench.live(""), &["clone", "-q", "--depth=2", &url, "shallow"]);
    git(&bench.live(""), &["clone", "-q", "--bare", "--filter=blob:none", &url, "partial"]);
    for (name, note, check) in
        [("shallow", "shallow", "older history"), ("partial", "partial", "unfetched objects")]
    {
        let (captured, copy) = bench.copy(&Kind::Git, &bench.live(name));
        assert_eq!((codes(&captured), captured.is_torn), (vec![note], false));
        let verified = verify(&Kind::Git, &copy);
        assert!(verified.is_sound(), "{:?}", verified.checks);
        let skipped = verified.checks.iter().find(|found| found.name == check).unwrap();
        assert_eq!(skipped.outcome, Outcome::Skipped);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_reason() {
    if !has_git() {
        return;
    }
    let mut bench = Bench::new();
    let folder = bench.live("folder");
    fs::create_dir(&folder).unwrap();
    let error = bench.capture(&Kind::Git, &folder).unwrap_err();
    assert!(error.to_string().ends_with("there is no git repository in it"));
    git(&folder, &["init", "-q", "--object-format=sha256", "new"]);
    let error = bench.capture(&Kind::Git, &folder).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("by SHA-256"));
    repository(&folder.join("old"), 1);
    let (captured, copy) = bench.copy(&Kind::Git, &folder);
    assert!(captured.is_torn && codes(&captured) == ["repository-failed"]);
    assert_eq!(captured.position.counters["repositories"], 1);
    assert!(copy.join("new/.git/HEAD").exists(), "read as plain files");
    let error = bench.capture(&Kind::Git, &bench.live("absent")).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}
