//! Each class of failure: its exit code, its code word, and what to do next.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::Bed;

fn error(bed: &Bed, args: &[&str]) -> (i32, Value) {
    let ran = bed.run(&[args, &["--json"]].concat());
    let document: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|_| panic!("{args:?}: {}{}", ran.stdout, ran.stderr));
    assert_eq!(ran.stderr, "", "{args:?}: with --json everything is in the document");
    (ran.code, document["error"].clone())
}

#[test]
fn without_a_repository() {
    let bed = Bed::new();
    let cases: [(&[&str], i32, &str, &str); 12] = [
        (&["snapshot", "list"], 6, "no-repository", "nodekeep init"),
        (&["backup", "data"], 8, "not-found", "./data"),
        (&["backup", "./missing"], 8, "not-found", ""),
        (&["backup", "./data", "--repo", "./nowhere"], 6, "no-repository", "nodekeep init --repo"),
        (&["backup", "./data", "--repo", "sftp://host/x"], 2, "usage", ""),
        (&["backup", "./data", "--repo", "s3://key:secret@bucket"], 2, "usage", ""),
        (&["backup", "./data", "--repo", "s3://bucket"], 10, "store-unavailable", ""),
        (&["status", "--limit-upload", "fast"], 2, "usage", ""),
        (&["backup", "./data", "--compress", "zstd:99"], 2, "usage", ""),
        (&["backup", "./data", "--password", "x"], 2, "usage", ""),
        (&["recover", "x", "--target", "y z"], 2, "usage", "nodekeep restore x --target 'y z'"),
        (&["restore"], 6, "no-repository", "nodekeep init"),
    ];
    for (args, code, word, hint) in cases {
        let (found, error) = error(&bed, args);
        assert_eq!((found, error["code"].as_str()), (code, Some(word)), "{args:?}: {error}");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{args:?}: {error}");
        assert_eq!(error["retryable"], false);
    }
    assert!(!bed.path("home/repository").exists(), "a refused backup makes no repository");
}

#[test]
fn with_a_repository() {
    let bed = Bed::backed_up();
    bed.write("full/file", "x");
    let cases: [(&[&str], i32, &str); 18] = [
        (&["init"], 9, "would-overwrite"),
        (&["init", "--repo", "./full"], 9, "would-overwrite"),
        (&["snapshot", "show", "ffff"], 8, "not-found"),
        (&["snapshot", "show", "fff"], 2, "usage"),
        (&["snapshot", "show", "guts@latest"], 8, "not-found"),
        (&["snapshot", "show", "guts@noon"], 2, "usage"),
        (&["snapshot", "show", "-n/x"], 2, "usage"),
        (&["node", "show", "guts"], 8, "not-found"),
        (&["node", "add", "x", "--profile", "gust"], 2, "usage"),
        (&["node", "add", "../x", "--profile", "directory", "--path", "./data"], 2, "usage"),
        (&["drill", "latest"], 8, "not-found"),
        (&["restore", "latest", "--as-copy", "--target", "./copy"], 8, "not-found"),
        (&["snapshot", "cat", "latest", "nothing"], 8, "not-found"),
        (&["snapshot", "cat", "latest", "sub"], 8, "not-found"),
        (&["snapshot", "ls", "./data@2001-01-01"], 8, "not-found"),
        (&["snapshot", "ls", "./elsewhere@latest"], 8, "not-found"),
        (&["snapshot", "find", "[a"], 2, "usage"),
        (&["key", "add", "age1nonsense"], 2, "usage"),
    ];
    for (args, code, word) in cases {
        let (found, error) = error(&bed, args);
        assert_eq!((found, error["code"].as_str()), (code, Some(word)), "{args:?}: {error}");
    }
}

#[test]
fn a_newer_format_and_a_stranger_are_told_apart() {
    let bed = Bed::backed_up();
    let config = bed.path("home/repository/config");
    let original = fs::read(&config).unwrap();
    let rewrite = |bytes: &[u8]| {
        fs::remove_file(&config).unwrap();
        fs::write(&config, bytes).unwrap();
    };
    let mut newer = original.clone();
    newer[3] = b'2';
    rewrite(&newer);
    assert_eq!(error(&bed, &["snapshot", "list"]).1["code"], "newer-format");
    let mut damaged = original;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    rewrite(&damaged);
    let (code, error) = error(&bed, &["snapshot", "list"]);
    assert_eq!((code, error["code"].as_str()), (4, Some("damaged")));
}

#[test]
fn the_configuration_file_is_read_strictly() {
    let bed = Bed::new();
    bed.write("home/config.toml", "repos = '/x'\n");
    let (code, error) = error(&bed, &["status"]);
    assert_eq!((code, error["hint"].as_str()), (2, Some("Did you mean `repo`?")));
    bed.write(
        "home/config.toml",
        &format!("repo = '{}'\nexclude = ['*.txt']\n", bed.text("configured")),
    );
    bed.ok(&["init"]);
    assert!(bed.path("configured/config").exists());
    assert_eq!(bed.json(&["backup", "./data"])["counts"]["files"], 0);
    bed.ok_with(&[("NODEKEEP_REPO", &bed.text("from-environment"))], &["init"]);
    assert!(bed.path("from-environment/config").exists());
    bed.ok_with(
        &[("NODEKEEP_REPO", &bed.text("from-environment"))],
        &["init", "--repo", "./from-option"],
    );
    assert!(bed.path("from-option/config").exists());
}

#[test]
fn a_store_that_takes_nothing_is_named() {
    let bed = Bed::backed_up();
    bed.write("data/more", "more");
    if rustix::process::geteuid().is_root() {
        // Root passes permissions; a file in the place of a folder stops even root.
        let folder = bed.path("home/repository/g");
        fs::rename(&folder, bed.path("home/g")).unwrap();
        fs::write(&folder, "").unwrap();
    } else {
        fs::set_permissions(bed.path("home/repository/g"), fs::Permissions::from_mode(0o500))
            .unwrap();
    }
    let ran = bed.run(&["backup", "./data"]);
    assert!(ran.code != 0 && ran.stderr.contains("home/repository"), "{} {}", ran.code, ran.stderr);
}

#[test]
fn quiet_says_nothing_where_all_is_well() {
    let bed = Bed::backed_up();
    let ran = bed.run(&["backup", "./data", "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    assert!(bed.ok(&["snapshot", "list", "--quiet"]).contains("/data"), "an answer is no chatter");
}
