//! The whole help text is a golden file: a change of it is seen in review.

use crate::support::Bed;

const COMMANDS: &[&str] = &[
    "",
    "init",
    "backup",
    "restore",
    "check",
    "status",
    "node",
    "node detect",
    "node add",
    "node list",
    "node show",
    "node remove",
    "node profiles",
    "node identity",
    "node retire",
    "health",
    "guard",
    "deploy",
    "metrics",
    "metrics show",
    "metrics textfile",
    "metrics push",
    "metrics rules",
    "metrics dashboard",
    "drill",
    "drill list",
    "drill show",
    "drill verify-certificate",
    "maintenance",
    "maintenance enter",
    "maintenance fix",
    "runbook",
    "snapshot",
    "snapshot list",
    "snapshot show",
    "snapshot ls",
    "snapshot find",
    "snapshot cat",
    "snapshot diff",
    "snapshot delete",
    "snapshot prune",
    "snapshot export",
    "snapshot import",
    "snapshot decrypt",
    "snapshot mount",
    "key",
    "key words",
    "key lock",
    "key unlock",
    "key wipe",
    "key restore",
    "key list",
    "key add",
    "key remove",
    "key rotate",
    "repo",
    "repo info",
    "repo copy",
    "repo scrub",
    "repo audit",
    "repo mirror",
    "repo repair",
    "repo sessions",
    "repo stop-session",
    "minima",
    "minima verify",
    "minima show",
    "minima decrypt",
    "minima encrypt",
    "minima keys",
    "minima keys derive",
    "completions",
    "man",
];

#[test]
fn help_reads_as_it_should() {
    let bed = Bed::new();
    let mut whole = String::new();
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
        args.push("--help");
        whole.push_str(&format!("$ nodekeep {}\n{}\n\n", args.join(" "), bed.ok(&args).trim_end()));
    }
    insta::assert_snapshot!(whole);
}

#[test]
fn every_command_says_its_role_and_shows_an_example() {
    let bed = Bed::new();
    let groups = [
        "",
        "node",
        "maintenance",
        "snapshot",
        "key",
        "repo",
        "minima",
        "minima keys",
        "metrics",
        "completions",
        "man",
    ];
    // Said once, by the group.
    let is_told_above =
        |command: &str| command.starts_with("drill ") || command.starts_with("maintenance ");
    let own = |command: &&&str| !groups.contains(command) && !is_told_above(command);
    for command in COMMANDS.iter().filter(own) {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        let help = bed.ok(&args);
        assert!(help.contains("Role:") && help.contains("Example"), "{command}");
    }
}
