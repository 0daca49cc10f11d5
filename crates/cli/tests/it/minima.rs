//! Minima's own files from the command line: opened, checked, made again, and never a secret where none belongs.

use std::collections::BTreeSet;
use std::fs;

use nodekeep_nodes::minima::backup;
use nodekeep_nodes::minima::password::Password;
use nodekeep_testkit::minima::scene;

use crate::documents::{fields, is_documented};
use crate::support::Bed;

/// A bed with a backup that has no password, one that has, and the words.
fn bed() -> Bed {
    let bed = Bed::new();
    let contents = scene::contents();
    let open = backup::seal(&contents, &Password::none()).unwrap();
    fs::write(bed.path("open.bak"), open).unwrap();
    let closed = Password::new("right-one".to_owned().into());
    fs::write(bed.path("closed.bak"), backup::seal(&contents, &closed).unwrap()).unwrap();
    bed.write("pw", "right-one\n");
    bed.write("words", &format!("{}\n", scene::WORDS.to_lowercase()));
    fs::write(bed.path("chain.megammr"), scene::mega()).unwrap();
    bed
}

#[test]
fn a_backup_is_verified_with_its_words() {
    let bed = bed();
    let open = bed.run(&["minima", "verify", "open.bak"]);
    assert_eq!(open.code, 0, "{}{}", open.stdout, open.stderr);
    assert!(open.stderr.contains("It has no password"), "{}", open.stderr);
    let args = ["minima", "verify", "closed.bak", "--password-file", "pw"];
    let own =
        bed.run(&[args.as_slice(), &["--node-phrase-file", "words", "--keys", "all"]].concat());
    assert_eq!(own.code, 0, "{}{}", own.stdout, own.stderr);
    assert!(own.stdout.contains("passed   given phrase"), "{}", own.stdout);
    assert!(own.stdout.contains("2 of 2 made again"), "{}", own.stdout);
    bed.write("others", "zoo zoo zoo");
    let foreign = bed.run(&[args.as_slice(), &["--node-phrase-file", "others"]].concat());
    assert_eq!(foreign.code, 5, "{}{}", foreign.stdout, foreign.stderr);
    bed.write("slip", "abandom");
    let slip = bed.run(&[args.as_slice(), &["--node-phrase-file", "slip"]].concat());
    assert_eq!(slip.code, 5);
    assert!(slip.stderr.contains("word 1") && slip.stderr.contains("ABANDON"), "{}", slip.stderr);
    assert_eq!(bed.run(&["minima", "verify", "chain.megammr"]).code, 0);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let bed = bed();
    bed.write("wrong", "wrong-one");
    let wrong = bed.run(&["minima", "show", "closed.bak", "--password-file", "wrong"]);
    assert!([4, 5].contains(&wrong.code), "a wrong password looks like damage once in 256 times");
    let nobody = bed.run(&["minima", "show", "closed.bak"]);
    assert_eq!(nobody.code, 5);
    assert!(nobody.stderr.contains("NODEKEEP_NODE_PASSWORD_FILE"), "{}", nobody.stderr);
    let mut file = fs::read(bed.path("open.bak")).unwrap();
    let middle = file.len() / 2;
    file[middle] ^= 1;
    fs::write(bed.path("damaged.bak"), file).unwrap();
    let damaged = bed.run(&["minima", "verify", "damaged.bak"]);
    assert_eq!(damaged.code, 4, "{}", damaged.stderr);
    bed.write("text.bak", "no backup at all");
    assert_eq!(bed.run(&["minima", "show", "text.bak"]).code, 2);
    assert_eq!(bed.run(&["minima", "show", "absent.bak"]).code, 8);
}

#[test]
fn a_backup_is_taken_apart_and_made_again() {
    let bed = bed();
    let from = ["minima", "decrypt", "closed.bak", "--password-file", "pw", "--output"];
    for output in ["plain/", "one.plain"] {
        bed.ok(&[from.as_slice(), &[output]].concat());
        let again = bed.run(&[from.as_slice(), &[output]].concat());
        assert_eq!(again.code, 9, "nothing is overwritten: {}", again.stderr);
    }
    assert_eq!((bed.mode("plain/wallet.sql"), bed.mode("one.plain")), (0o600, 0o600));
    assert!(bed.read("plain/wallet.sql").starts_with("-- H2"));
    for source in ["plain/", "one.plain"] {
        let made = format!("{}.bak", source.trim_end_matches('/'));
        bed.ok(&["minima", "encrypt", source, "--output", &made, "--password-file", "pw"]);
        bed.ok(&["minima", "verify", &made, "--password-file", "pw"]);
        assert_eq!(bed.mode(&made), 0o600);
    }
    bed.ok(&["minima", "encrypt", "plain", "--output", "bare.bak", "--no-password"]);
    bed.ok(&["minima", "verify", "bare.bak"]);
    bed.write("spaces", "two words");
    let spaces = ["minima", "encrypt", "plain", "--output", "x.bak", "--password-file", "spaces"];
    assert_eq!(bed.run(&spaces).code, 2);
    let sql = bed.read("plain/wallet.sql");
    bed.write("plain/wallet.sql", &format!("{sql}CREATE ALIAS RUN AS 'x';"));
    let evil = bed.run(&["minima", "encrypt", "plain", "--output", "x.bak", "--no-password"]);
    assert_eq!(evil.code, 4, "{}", evil.stderr);
    assert!(!bed.path("x.bak").exists());
}

#[test]
fn no_secret_is_ever_printed() {
    let bed = bed();
    let commands: [&[&str]; 7] = [
        &["minima", "show", "open.bak"],
        &["minima", "verify", "open.bak", "--node-phrase-file", "words"],
        &["minima", "verify", "chain.megammr"],
        &["minima", "decrypt", "open.bak", "--output", "plain/"],
        &["minima", "encrypt", "plain/", "--output", "new.bak", "--password-file", "pw"],
        &["minima", "keys", "derive", "--node-phrase-file", "words", "--count", "1"],
        &["minima", "show", "open.bak", "--reveal-phrase"],
    ];
    for command in commands {
        let ran = bed.run(command);
        let text = format!("{}{}", ran.stdout, ran.stderr).to_uppercase();
        assert!(!text.contains("ABILITY") && !text.contains("RIGHT-ONE"), "{command:?}\n{text}");
    }
    let revealed = bed.run(&["minima", "show", "open.bak", "--reveal-phrase"]);
    assert_eq!(revealed.code, 2, "only on a terminal: {}", revealed.stderr);
}

#[test]
fn what_is_shown_is_what_is_in_it() {
    let bed = bed();
    let shown = bed.json(&["minima", "show", "open.bak"]);
    assert_eq!(shown["tip"]["block"], 6);
    assert_eq!(shown["balance"], "147");
    assert_eq!(shown["keys"][0]["uses"], 3);
    assert_eq!(shown["protected"], false);
    let derived =
        bed.json(&["minima", "keys", "derive", "--node-phrase-file", "words", "--count", "2"]);
    assert_eq!(derived["keys"][1]["public"], shown["keys"][1]["public"]);
    assert_eq!(derived["keys"][1]["checked"], shown["addresses"][2]["checked"]);
}

#[test]
fn every_field_of_minima_is_documented() {
    let bed = bed();
    let commands: [&[&str]; 5] = [
        &["minima", "show", "open.bak"],
        &["minima", "verify", "open.bak"],
        &["minima", "decrypt", "open.bak", "--output", "plain/"],
        &["minima", "encrypt", "plain/", "--output", "new.bak", "--no-password"],
        &["minima", "keys", "derive", "--node-phrase-file", "words", "--count", "1"],
    ];
    for command in commands {
        let mut found = BTreeSet::new();
        fields(&bed.json(command), &mut found);
        let unknown: Vec<&String> = found.iter().filter(|field| !is_documented(field)).collect();
        assert!(unknown.is_empty(), "{command:?}: {unknown:?} are not in docs/json.md");
    }
}
