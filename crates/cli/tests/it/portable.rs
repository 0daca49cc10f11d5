//! Portable files and archives.

use std::process::Command;

use age::secrecy::ExposeSecret;

use crate::support::Bed;

#[test]
fn a_file_sealed_to_a_passphrase_restores_alone() {
    let bed = Bed::new();
    let new = [("NODEKEEP_NEW_PASSPHRASE", "sesame")];
    let told = bed.ok_with(&new, &["backup", "./data", "--output", "x.nkb"]);
    assert!(told.contains("nodekeep restore x.nkb"), "{told}");
    assert!(!bed.path("home/repository").exists(), "no repository is made for a file");
    let other = Bed::new();
    let file = bed.text("x.nkb");
    assert_eq!(other.run(&["restore", &file, "--target", "out"]).code, 5);
    let wrong =
        other.run_with(&[("NODEKEEP_PASSPHRASE", "wrong")], &["restore", &file, "--target", "out"]);
    assert_eq!(wrong.code, 5);
    other.ok_with(&[("NODEKEEP_PASSPHRASE", "sesame")], &["restore", &file, "--target", "out"]);
    assert_eq!(other.read("out/sub/b.txt"), "beta\n");
    assert_eq!(bed.run_with(&new, &["backup", "./data", "--output", "x.nkb"]).code, 9);
}

#[test]
fn increments_hold_what_the_base_lacks_and_need_it() {
    let bed = Bed::new();
    let key = age::x25519::Identity::generate();
    bed.write("key", key.to_string().expose_secret());
    bed.ok(&[
        "backup",
        "./data",
        "--output",
        "full.nkb",
        "--recipient",
        &key.to_public().to_string(),
    ]);
    bed.write("data/new", "n");
    let lost = bed.run(&[
        "backup",
        "./data",
        "--output",
        "inc/inc.nkb",
        "--recipient",
        &key.to_public().to_string(),
    ]);
    assert_eq!(lost.code, 8, "no folder: {}", lost.stderr);
    bed.write("inc/beside", "");
    bed.ok(&[
        "backup",
        "./data",
        "--output",
        "inc/inc.nkb",
        "--type",
        "incremental",
        "--base",
        "full.nkb",
    ]);
    let ran = bed.run(&["restore", "inc/inc.nkb", "--target", "out", "--identity", "key"]);
    assert_eq!(ran.code, 8);
    assert!(ran.stderr.contains("full.nkb") && ran.stderr.contains("--base"), "{}", ran.stderr);
    bed.ok(&[
        "restore",
        "inc/inc.nkb",
        "--target",
        "out",
        "--identity",
        "key",
        "--base",
        "full.nkb",
    ]);
    assert_eq!((bed.read("out/new"), bed.read("out/a.txt")), ("n".into(), "alpha\n".into()));
    let cases: [&[&str]; 3] = [
        &["backup", "./data", "--output", "y.nkb", "--type", "incremental"],
        &["backup", "./data", "--output", "y.nkb", "--base", "full.nkb"],
        &[
            "backup",
            "./data",
            "--output",
            "y.nkb",
            "--type",
            "differential",
            "--base",
            "full.nkb",
            "--recipient",
            "age1x",
        ],
    ];
    for args in cases {
        assert_eq!(bed.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn exports_open_with_ordinary_tools() {
    let bed = Bed::backed_up();
    bed.ok(&["snapshot", "export", "latest", "--output", "x.tar.gz"]);
    let listed = Command::new("tar").arg("tzf").arg(bed.path("x.tar.gz")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("a.txt") && listed.contains("sub/b.txt"), "{listed}");
    assert_eq!(bed.run(&["snapshot", "export", "latest", "--output", "x.tar.gz"]).code, 9);
    assert_eq!(bed.run(&["snapshot", "export", "latest", "--output", "x.zip"]).code, 2);
    let key = age::x25519::Identity::generate();
    bed.write("key", key.to_string().expose_secret());
    bed.ok(&[
        "snapshot",
        "export",
        "latest",
        "--output",
        "x.nkb",
        "--recipient",
        &key.to_public().to_string(),
    ]);
    bed.ok(&["snapshot", "decrypt", "x.nkb", "--output", "y.tar", "--identity", "key"]);
    let shown = Command::new("tar")
        .arg("xOf")
        .arg(bed.path("y.tar"))
        .arg("--wildcards")
        .arg("*a.txt")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "alpha\n");
}

#[test]
fn imports_take_both_and_refuse_tricks() {
    let bed = Bed::backed_up();
    bed.ok(&["snapshot", "export", "latest", "--output", "x.tar.gz"]);
    bed.ok(&["snapshot", "import", "x.tar.gz", "--as", "/srv/imported"]);
    assert_eq!(bed.ok(&["snapshot", "cat", "/srv/imported@latest", "a.txt"]), "alpha\n");
    let key = age::x25519::Identity::generate();
    bed.write("key", key.to_string().expose_secret());
    bed.ok(&[
        "backup",
        "./data",
        "--output",
        "y.nkb",
        "--recipient",
        &key.to_public().to_string(),
        "--tag",
        "a=b",
    ]);
    bed.ok_with(&[("NODEKEEP_IDENTITY_FILE", &bed.text("key"))], &["snapshot", "import", "y.nkb"]);
    assert_eq!(
        bed.json(&["snapshot", "list", "--tag", "a=b"])["snapshots"].as_array().unwrap().len(),
        1
    );
    bed.write("up/in/x", "x");
    let made = Command::new("tar")
        .args(["cPf", "evil.tar", "-C", "up/in", "../in/x"])
        .current_dir(bed.path(""))
        .status();
    assert!(made.unwrap().success());
    let ran = bed.run(&["snapshot", "import", "evil.tar"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("evil.tar"), "{}", ran.stderr);
}

#[test]
fn an_ordinary_archive_is_refused_with_both_spellings() {
    let ran = Bed::new().run(&["backup", "./data", "--output", "x.tar.gz"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("--output FILE.nkb") && ran.stderr.contains("snapshot export"),
        "{}",
        ran.stderr
    );
}
