//! The configuration file, typed: seen, changed, refused.

use std::fs;
use std::path::Path;

use crate::support::Bed;

#[test]
fn a_key_is_set_and_unset_and_comments_stay() {
    let bed = Bed::new();
    bed.write("home/config.toml", "# mine\nthreads = 2 # not more\n");
    bed.ok(&["config", "set", "exclude", "*.tmp", "cache"]);
    bed.ok(&["config", "set", "threads", "3"]);
    let text = bed.read("home/config.toml");
    assert!(text.starts_with("# mine\nthreads = 3"), "{text}");
    assert!(text.contains("exclude = [\"*.tmp\", \"cache\"]"), "{text}");
    assert_eq!(bed.ok(&["config", "get", "threads"]).trim(), "3");
    assert_eq!(bed.mode("home/config.toml"), 0o600);
    bed.ok(&["config", "unset", "exclude"]);
    assert!(!bed.read("home/config.toml").contains("exclude"));
    let shown = bed.ok(&["config", "show"]);
    assert!(shown.contains("threads") && shown.contains("default"), "{shown}");
}

#[test]
fn mistakes_are_refused_and_nothing_is_written() {
    let bed = Bed::new();
    let cases: [(&[&str], &str); 4] = [
        (&["set", "thread", "3"], "Did you mean `threads`?"),
        (&["set", "threads", "0"], "a number from 1 to 256"),
        (&["set", "one-file-system", "maybe"], "true or false"),
        (&["set", "repo", "a", "b"], "a text in quotes"),
    ];
    for (words, expected) in cases {
        let words: Vec<&str> = ["config"].iter().chain(words).copied().collect();
        let ran = bed.run(&words);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{words:?}: {}", ran.stderr);
    }
    assert!(!bed.path("home/config.toml").exists());
}

#[test]
fn a_file_that_cannot_be_used_can_still_be_checked_and_mended() {
    let bed = Bed::new();
    bed.write("home/config.toml", "repos = 'x'\n");
    assert_eq!(bed.run(&["status"]).code, 2);
    let checked = bed.run(&["config", "check"]);
    assert_eq!(checked.code, 2);
    assert!(checked.stderr.contains("Did you mean `repo`?"), "{}", checked.stderr);
    let home = bed.text("home/config.toml");
    assert_eq!(bed.ok(&["config", "path"]).trim(), home);
    let edit = |editor: &str| bed.run_with(&[("VISUAL", editor)], &["config", "edit"]);
    let refused = edit("sed -i s/repos/repoz/");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(bed.read("home/config.toml"), "repos = 'x'\n", "the file is as it was");
    let mended = edit("sed -i s/repoz/repo/");
    assert_eq!(mended.code, 0, "the draft was gone on with: {}", mended.stderr);
    assert_eq!(bed.read("home/config.toml"), "repo = 'x'\n");
    assert!(!bed.path("home/config.toml.draft").exists());
}

#[test]
fn the_documentation_is_what_the_program_prints() {
    let bed = Bed::new();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let printed = bed.ok(&["config", "reference"]);
    if std::env::var_os("INSTA_UPDATE").is_some_and(|wish| wish == "always") {
        fs::write(&page, &printed).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), printed, "nodekeep config reference");
}
