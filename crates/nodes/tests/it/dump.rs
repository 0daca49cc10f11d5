//! Kind `command`: dumps that come out, that break off, that nobody should find.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nodekeep_nodes::error::Error;
use nodekeep_nodes::kind::back::{GiveBack, WayBack, give_back, way_back};
use nodekeep_nodes::kind::{Captured, Outcome, Request, With, dump};
use nodekeep_nodes::profile::{CommandRule, Kind, Line, RestoreWhile, Variables};

fn line(text: &str) -> Line {
    let argv = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
    Line { argv, patience: Duration::from_secs(20) }
}

fn rule(dump: &str) -> CommandRule {
    CommandRule {
        dump: line(dump),
        restore: None,
        restore_while: RestoreWhile::Stopped,
        check: None,
    }
}

fn capture(folder: &Path, rule: &CommandRule, patience: Duration) -> Result<Captured, Error> {
    let variables = Variables::from([("data".to_owned(), folder.display().to_string())]);
    let staging = folder.join("staging");
    fs::create_dir_all(&staging).unwrap();
    let path = folder.join("wallet.dump");
    let request =
        Request { path: &path, staging: &staging, memory: None, variables: &variables, patience };
    dump::capture(&request, rule)
}

#[test]
fn what_a_program_writes_is_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule("head -c 300000 /dev/zero; basename {data} > /dev/null");
    let captured = capture(folder.path(), &rule, Duration::from_secs(20)).unwrap();
    let staged = folder.path().join("staging/dump");
    assert_eq!(captured.grafts[0].at, folder.path().join("wallet.dump"));
    assert_eq!(captured.grafts[0].with, With::Staged(staged.clone()));
    assert_eq!(fs::read(staged).unwrap(), vec![0; 300_000]);
    // sha256sum of 300,000 zero bytes.
    let expected = std::process::Command::new("sh")
        .args(["-c", "head -c 300000 /dev/zero | sha256sum | cut -d' ' -f1"])
        .output()
        .unwrap();
    assert_eq!(captured.hashes["sha256"], String::from_utf8_lossy(&expected.stdout).trim());
    assert!(!captured.is_torn);
}

#[test]
fn a_dump_that_breaks_off_is_none() {
    let cases = [
        ("echo half; exit 1", "exit code 1"),
        ("echo half; kill -9 $$", "signal 9"),
        ("echo half; sleep 1000", "did not end within 1 s"),
    ];
    for (text, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = capture(folder.path(), &rule(text), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0, "{text}");
    }
}

#[test]
fn a_dump_of_nothing_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let captured = capture(folder.path(), &rule("true"), Duration::from_secs(20)).unwrap();
    assert!(captured.is_torn);
    assert_eq!(captured.notes[0].code, "empty-dump");
}

#[test]
fn a_dump_is_checked_and_fed_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it is a dump");
    fs::write(&file, "content").unwrap();
    let variables = Variables::from([("data".to_owned(), folder.path().display().to_string())]);
    let mut rule = rule("true");
    let patience = Duration::from_secs(20);
    let verified = dump::verify(&file, &rule, &variables, patience).unwrap();
    assert_eq!(verified.checks[1].outcome, Outcome::Skipped);
    rule.check = Some(line("grep content '{file}'"));
    assert!(dump::verify(&file, &rule, &variables, patience).unwrap().is_sound());
    rule.check = Some(line("grep other '{file}'"));
    assert!(!dump::verify(&file, &rule, &variables, patience).unwrap().is_sound());
    let back = GiveBack { copy: &file, path: &file, variables: &variables, patience };
    assert_eq!(way_back(&Kind::Command(rule.clone())), WayBack::Files);
    let error = give_back(&Kind::Command(rule.clone()), &back).unwrap_err().to_string();
    assert!(error.contains("no `restore`"), "{error}");
    rule.restore = Some(line("cat > '{data}/restored'"));
    assert_eq!(way_back(&Kind::Command(rule.clone())), WayBack::WhileStopped);
    rule.restore_while = RestoreWhile::Running;
    assert_eq!(way_back(&Kind::Command(rule.clone())), WayBack::WhileRunning);
    let returned = give_back(&Kind::Command(rule.clone()), &back).unwrap();
    assert_eq!(returned.said, ["`/bin/sh` took it"]);
    assert_eq!(fs::read(folder.path().join("restored")).unwrap(), b"content");
    rule.restore = Some(line("echo full >&2; exit 5"));
    let error = give_back(&Kind::Command(rule), &back).unwrap_err().to_string();
    assert!(error.contains("full"), "{error}");
}
