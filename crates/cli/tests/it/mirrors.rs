//! Mirrors: in a folder, behind a web server, and as the successor of what was lost.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Bed, Ran};
use crate::web::serve;

/// A machine with nothing but the program and the words.
fn bare(bed: &Bed, args: &[&str]) -> Ran {
    let (home, words) = (bed.text("bare"), bed.words());
    bed.run_with(&[("NODEKEEP_HOME", &home), ("NODEKEEP_WORDS", &words)], args)
}

fn files(bed: &Bed, folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    collect(&bed.path(folder), Path::new(""), &mut found);
    found.sort();
    found
}

fn collect(root: &Path, below: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let name = below.join(entry.unwrap().file_name());
        match root.join(&name).is_dir() {
            true => collect(root, &name, found),
            false => {
                let bytes = fs::read(root.join(&name)).unwrap();
                found.push((name.to_str().unwrap().to_owned(), bytes));
            }
        }
    }
}

fn objects(bed: &Bed, folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut objects = files(bed, folder);
    objects.retain(|(name, _)| !name.starts_with("l/"));
    objects
}

#[test]
fn a_mirror_holds_the_same_objects_and_costs_what_is_new() {
    let bed = Bed::backed_up();
    let planned = bed.json(&["repo", "mirror", "./replica", "--dry-run"]);
    assert!(!bed.path("replica").exists());
    let first = bed.json(&["repo", "mirror", "./replica"]);
    assert_eq!((&first["copied"], &first["bytes"]), (&planned["copied"], &planned["bytes"]));
    assert_eq!((&first["snapshots"], &first["listing"]), (&1.into(), &true.into()));
    assert_eq!(objects(&bed, "replica"), objects(&bed, "home/repository"));
    assert_eq!(bed.json(&["repo", "mirror", "./replica"])["copied"], 0);
    bed.write("data/new.txt", "new\n");
    bed.ok(&["backup", "./data"]);
    bed.ok(&["repo", "mirror", "./replica"]);
    assert_eq!(objects(&bed, "replica"), objects(&bed, "home/repository"));
    bed.ok(&["restore", "latest", "--target", "./out", "--repo", "./replica"]);
    assert_eq!(bed.read("out/new.txt"), "new\n");
}

#[test]
fn a_web_server_is_enough_to_restore_from() {
    let bed = Bed::backed_up();
    bed.write("data/second.txt", "second\n");
    bed.ok(&["backup", "./data"]);
    bed.ok(&["repo", "mirror", "./www/node"]);
    let url = format!("{}/node", serve(&bed.path("www")));
    let listed = bare(&bed, &["restore", "--repo", &url]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(listed.stdout.contains(&format!("--target DIR --repo {url}")), "{}", listed.stdout);
    for (round, collected) in [false, true].into_iter().enumerate() {
        if collected {
            bed.ok(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"]);
            bed.write("data/third.txt", "third\n");
            bed.ok(&["backup", "./data"]);
            bed.ok(&["repo", "mirror", "./www/node"]);
        }
        let checked = bare(&bed, &["check", "--data", "--repo", &url]);
        assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
        let out = format!("./out{round}");
        let restored = bare(&bed, &["restore", "latest", "--target", &out, "--repo", &url]);
        assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
        assert_eq!(files(&bed, &out[2..]), files(&bed, "data"));
    }
    let status = bare(&bed, &["status", "--json", "--repo", &url]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (&status["repository"]["objects"], &status["offsite"]),
        (&Value::Null, &false.into())
    );
    assert_eq!(status["distance"], "this-machine");
    for args in [&["backup", "./data"][..], &["snapshot", "delete", "latest", "--yes"]] {
        let refused = bare(&bed, &[args, &["--repo", &url]].concat());
        assert_eq!(refused.code, 7, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("web server"), "{}", refused.stderr);
    }
    // What the web server serves can be mirrored back.
    let back = bare(&bed, &["repo", "mirror", &url, "./back"]);
    assert_eq!(back.code, 0, "{}{}", back.stdout, back.stderr);
    assert_eq!(objects(&bed, "back"), objects(&bed, "www/node"));
}

#[test]
fn damage_behind_a_web_server_is_found() {
    let bed = Bed::backed_up();
    bed.ok(&["repo", "mirror", "./www"]);
    let pack = files(&bed, "www").into_iter().find(|(name, _)| name.contains("/d/")).unwrap().0;
    fs::remove_file(bed.path("www").join(&pack)).unwrap();
    let url = serve(&bed.path("www"));
    let checked = bare(&bed, &["check", "--repo", &url]);
    assert_eq!(checked.code, 4, "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stderr.contains(&pack), "{}", checked.stderr);
}

#[test]
fn a_folder_that_is_no_mirror_cannot_be_served() {
    let bed = Bed::backed_up();
    let url = serve(&bed.path("home/repository"));
    let ran = bare(&bed, &["snapshot", "list", "--repo", &url]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("nodekeep repo mirror"), "{}", ran.stderr);
}

#[test]
fn a_mirror_takes_no_backups_until_it_is_promoted() {
    let bed = Bed::backed_up();
    bed.ok(&["repo", "mirror", "./replica"]);
    for args in [&["backup", "./data"][..], &["snapshot", "prune", "--keep-last", "1"]] {
        let refused = bed.run(&[args, &["--repo", "./replica"]].concat());
        assert_eq!(refused.code, 7, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("--promote"), "{}", refused.stderr);
    }
    fs::remove_dir_all(bed.path("home/repository")).unwrap();
    let unconfirmed = bed.run(&["repo", "mirror", "--promote", "--repo", "./replica"]);
    assert_eq!(unconfirmed.code, 9, "{}", unconfirmed.stderr);
    bed.ok(&["repo", "mirror", "--promote", "--yes", "--repo", "./replica"]);
    bed.ok(&["backup", "./data", "--repo", "./replica"]);
    bed.ok(&["check", "--data", "--repo", "./replica"]);
}

#[test]
fn what_is_pruned_stays_in_the_mirror_unless_it_is_to_go() {
    let bed = Bed::new();
    let large: String = (0..60_000).map(|n: u32| format!("{n} ")).collect();
    bed.write("data/gone.txt", &large);
    bed.ok(&["backup", "./data"]);
    fs::remove_file(bed.path("data/gone.txt")).unwrap();
    bed.ok(&["backup", "./data"]);
    bed.ok(&["repo", "mirror", "./replica"]);
    bed.ok(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"]);
    bed.ok(&["repo", "mirror", "./replica"]);
    let packs =
        |folder: &str| files(&bed, folder).iter().filter(|(n, _)| n.contains("/d/")).count();
    assert!(packs("replica") > packs("home/repository"));
    let report = bed.json(&["repo", "mirror", "./replica", "--delete"]);
    assert!(report["deleted"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(packs("replica"), packs("home/repository"));
    bed.ok(&["check", "--data", "--repo", "./replica"]);
}

#[test]
fn mistakes_are_refused() {
    let bed = Bed::backed_up();
    bed.write("full/file", "x");
    let cases: [(&[&str], i32); 6] = [
        (&["repo", "mirror"], 2),
        (&["repo", "mirror", "./home/repository"], 2),
        (&["repo", "mirror", "./full"], 9),
        (&["repo", "mirror", "./nowhere", "./replica"], 6),
        (&["repo", "mirror", "https://127.0.0.1:1/x"], 7),
        (&["repo", "mirror", "ftp://x/y"], 2),
    ];
    for (args, code) in cases {
        let ran = bed.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(files(&bed, "full").len(), 1);
}

#[test]
fn status_says_what_is_offsite_and_what_is_not() {
    let bed = Bed::backed_up();
    let status = bed.json(&["status"]);
    assert_eq!((&status["offsite"], &status["distance"]), (&false.into(), &"same-disk".into()));
    assert!(bed.ok(&["status"]).contains("Not offsite yet"));
    bed.ok(&["repo", "mirror", "./replica"]);
    let status = bed.json(&["status"]);
    assert_eq!(status["copies"][0]["kind"], "mirror");
    assert_eq!(status["copies"][0]["distance"], "same-disk");
    assert_eq!((&status["offsite"], &status["copies"][0]["snapshots"]), (&false.into(), &1.into()));
    let text = bed.ok(&["status"]);
    assert!(text.contains("replica: 1 snapshot") && text.contains("Not offsite yet"), "{text}");
}
