//! Copies, healing and scrubs as a user types them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Bed;

/// A repository with a file that does not compress, and an empty one beside it.
fn two_repositories() -> Bed {
    let bed = Bed::new();
    let noise = (0u64..60_000).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    bed.write("data/large", &noise.collect::<String>());
    bed.ok(&["backup", "./data", "--compress", "none", "--tag", "a=b"]);
    bed.ok(&["init", "--repo", "./second"]);
    bed
}

/// Objects of the second repository.
fn second(bed: &Bed, part: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&bed.path("second"), &mut found);
    found.retain(|path| path.to_str().unwrap().contains(part));
    found
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_copy_is_a_repository_of_its_own() {
    let bed = two_repositories();
    let plan = bed.ok(&["repo", "copy", "--to", "./second", "--dry-run"]);
    assert!(plan.contains("Would copy 1 snapshot"), "{plan}");
    let told = bed.ok(&["repo", "copy", "--to", "./second"]);
    for part in ["Copied 1 snapshot", "read back", "second"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let again = bed.ok(&["repo", "copy", "./home/repository", "./second"]);
    assert!(again.contains("Nothing to copy"), "{again}");
    let listed = bed.json(&["snapshot", "list", "--repo", "./second"]);
    assert_eq!(listed["snapshots"][0]["tags"]["a"], "b");
    bed.ok(&["check", "--data", "--repo", "./second"]);
    bed.ok(&["restore", "latest", "--target", "out", "--repo", "./second"]);
    assert_eq!(bed.read("out/large"), bed.read("data/large"));
    // Only what was named, by the source's ids.
    bed.write("data/a.txt", "changed\n");
    bed.ok(&["backup", "./data"]);
    let ids = bed.ids();
    let copied = bed.json(&["repo", "copy", "./home/repository", "./second", &ids[1][..8]]);
    assert_eq!(copied["copied"][0]["from"], ids[1]);
    assert!(copied["copied"][0]["bytes_added"].as_u64().unwrap() < 20_000, "{copied}");
    assert_eq!(bed.ok(&["snapshot", "cat", "latest", "a.txt", "--repo", "./second"]), "changed\n");
    // The copy outlives its original.
    fs::remove_dir_all(bed.path("home/repository")).unwrap();
    bed.ok(&["restore", "latest", "--target", "out2", "--repo", "./second"]);
    assert_eq!(bed.read("out2/sub/b.txt"), "beta\n");
}

#[test]
fn a_copy_says_what_it_needs() {
    let bed = two_repositories();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["repo", "copy"], 2, "repo copy"),
        (&["repo", "copy", "./home/repository"], 2, "repo copy"),
        (&["repo", "copy", "--to", "./home/repository"], 2, "same repository"),
        (&["repo", "copy", "--to", "./third"], 6, "nodekeep init"),
        (&["repo", "copy", "--to", "./second", "--from", "./home/repository", "ffff"], 8, "ffff"),
    ];
    for (args, code, said) in cases {
        let ran = bed.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn damage_at_the_source_is_named_and_the_rest_is_copied() {
    let bed = two_repositories();
    fs::remove_file(bed.path("data/large")).unwrap();
    bed.ok(&["backup", "./data"]);
    let large = bed.objects("/d/").into_iter().max_by_key(|path| path.metadata().unwrap().len());
    flip(&large.unwrap());
    let ran = bed.run(&["repo", "copy", "--to", "./second"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("Copied 1 snapshot") && ran.stderr.contains("Not copied"),
        "{}",
        ran.stderr
    );
    bed.ok(&["check", "--data", "--repo", "./second"]);
}

#[test]
fn damage_heals_from_a_mirror_a_copy_and_the_files() {
    let bed = two_repositories();
    bed.ok(&["repo", "copy", "--to", "./second"]);
    copy_folder(&bed.path("home/repository"), &bed.path("mirror"));
    let donors: [&[&str]; 3] =
        [&["--from", "./mirror"], &["--from", "./second"], &["--from-source"]];
    for donor in donors {
        for pack in bed.objects("/d/") {
            flip(&pack);
        }
        assert_eq!(bed.run(&["check", "--data"]).code, 4);
        let told = bed.ok(&[&["repo", "repair", "--data"], donor].concat());
        assert!(told.contains("brought back from") && told.contains("damaged pack"), "{told}");
        bed.ok(&["check", "--data"]);
    }
    let document = bed.json(&["repo", "repair", "--data", "--from", "./mirror"]);
    assert_eq!(document["repaired"], false);
    // Trees come back as well, from either.
    for donor in ["./mirror", "./second"] {
        bed.objects("/t/").iter().for_each(|pack| fs::remove_file(pack).unwrap());
        assert_eq!(bed.run(&["repo", "repair"]).code, 4);
        bed.ok(&["repo", "repair", "--from", donor]);
        bed.ok(&["check", "--data"]);
    }
    bed.ok(&["restore", "latest", "--target", "out"]);
    assert_eq!(bed.read("out/large"), bed.read("data/large"));
    // And the copy from its original.
    second(&bed, "/d/").iter().for_each(|pack| flip(pack));
    bed.ok(&["repo", "repair", "--data", "--repo", "./second", "--from", "./home/repository"]);
    bed.ok(&["check", "--data", "--repo", "./second"]);
}

#[test]
fn what_is_lost_for_good_is_named() {
    let bed = two_repositories();
    fs::write(bed.path("data/large"), "another\n").unwrap();
    bed.objects("/d/").iter().for_each(|pack| fs::remove_file(pack).unwrap());
    let ran = bed.run(&["repo", "repair", "--from-source", "./data"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("/data/large") && ran.stderr.contains("--reread"),
        "{}",
        ran.stderr
    );
    let ran = bed.run(&["repo", "repair", "--from-source", "./nowhere"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
}

#[test]
fn a_scrub_proves_remembers_and_tells_repair() {
    let bed = two_repositories();
    let status = bed.ok(&["repo", "scrub", "--status"]);
    assert!(status.contains("never scrubbed"), "{status}");
    assert!(bed.ok(&["status"]).contains("never scrubbed: nodekeep repo scrub"));
    assert_eq!(bed.json(&["status"])["scrub"], serde_json::Value::Null);
    let told = bed.ok(&["repo", "scrub", "--every", "10d"]);
    assert!(told.contains("every 10 days"), "{told}");
    let told = bed.ok(&["repo", "scrub", "--share", "all"]);
    assert!(told.contains("every byte within 1 day"), "{told}");
    let status = bed.json(&["repo", "scrub", "--status"]);
    assert_eq!(status["proven_bytes"], status["bytes"]);
    assert_eq!(status["every_seconds"], 10 * 24 * 3600);
    assert!(bed.ok(&["status"]).contains("proven      every byte within 1 day"));
    assert_eq!(bed.json(&["status"])["scrub"]["proven_bytes"], status["bytes"]);
    // A second may have passed since: its share of ten days is one pack, and no more.
    let again = bed.json(&["repo", "scrub"]);
    assert!(again["packs_read"].as_u64().unwrap() <= 1, "{again}");
    bed.ok(&["check"]);
    for bad in ["0d", "5h", "soon", "20y"] {
        assert_eq!(bed.run(&["repo", "scrub", "--every", bad]).code, 2, "{bad}");
    }
    copy_folder(&bed.path("home/repository"), &bed.path("mirror"));
    let pack = bed.objects("/d/").pop().unwrap();
    flip(&pack);
    let ran = bed.run(&["repo", "scrub", "--share", "all"]);
    assert_eq!(ran.code, 4);
    let name = pack.strip_prefix(bed.path("home/repository")).unwrap().to_str().unwrap().to_owned();
    assert!(ran.stderr.contains(&name) && ran.stderr.contains("repo repair"), "{}", ran.stderr);
    assert_eq!(bed.run(&["repo", "scrub", "--status"]).code, 4);
    let told = bed.ok(&["status"]);
    assert!(told.contains("1 damaged object found: nodekeep repo scrub --status"), "{told}");
    assert_eq!(bed.json(&["status"])["scrub"]["ok"], false);
    // No --data: the scrub's record is enough.
    bed.ok(&["repo", "repair", "--from", "./mirror"]);
    bed.ok(&["repo", "scrub"]);
    bed.ok(&["check", "--data"]);
}
