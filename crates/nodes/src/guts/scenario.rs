//! The guide's scenarios of recovery and its targets, in commands that exist.

use std::fmt::Write as _;
use std::time::Duration;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The same server with a new disk.
    NewDisk,
    /// Another server that is to be the same node.
    NewServer,
    /// There is no backup: the network has the data.
    NoBackup,
}

/// Every scenario in the order of the guide.
pub const ALL: [Scenario; 3] = [Scenario::NewDisk, Scenario::NewServer, Scenario::NoBackup];

/// What is measured of a start.
pub const RESTART: &str = "node restart";
/// What is measured of a restore from this machine.
pub const FROM_NEAR: &str = "restore from a local repository";
/// What is measured of a restore from elsewhere.
pub const FROM_AFAR: &str = "restore from a bucket";

/// The guide's targets: what is done, and how long it may take.
pub const TARGETS: [(&str, Duration); 4] = [
    (RESTART, Duration::from_secs(60)),
    (FROM_NEAR, Duration::from_secs(30 * 60)),
    (FROM_AFAR, Duration::from_secs(60 * 60)),
    ("resync from the network", Duration::from_secs(4 * 60 * 60)),
];

/// A step of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What a person does.
    Do(String),
    /// A command as it is typed.
    Type(String),
}

impl Scenario {
    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        match self {
            Self::NewDisk => "Same server, new disk",
            Self::NewServer => "New server, same identity",
            Self::NoBackup => "No backup: resync from the network",
        }
    }

    /// What to do and type, in order.
    pub fn steps(self, node: &str, repository: &str, service: &str) -> Vec<Step> {
        let install = does("install guts-node and Nodekeep; create the user guts");
        let restore = types(&format!("nodekeep restore {node} --repo {repository}"));
        let wait = types(&format!("nodekeep status {node} --wait"));
        match self {
            Self::NewDisk => vec![install, restore, wait],
            Self::NewServer => vec![
                does("be certain that the old server is off and stays off, and say so:"),
                types(&format!("nodekeep node retire {node} --from-repo")),
                install,
                restore,
                does(
                    "edit the addresses in config.yaml; keep every key of each section, or the node ignores the file",
                ),
                types(&format!("systemctl restart {service}")),
                wait,
            ],
            Self::NoBackup => vec![
                install,
                does("take the old key if you have it; if not, a new one (0600, owner guts):"),
                types("head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'"),
                does(
                    "write config.yaml with the key under p2p.private_key, with bootstrappers, and with every key of each section",
                ),
                types(&format!("systemctl start {service}")),
                wait,
                does(
                    "push again what was only in the old node's memory: repositories and accounts do not come back from the network",
                ),
            ],
        }
    }
}

fn does(what: &str) -> Step {
    Step::Do(what.to_owned())
}

fn types(command: &str) -> Step {
    Step::Type(command.to_owned())
}

/// How long each thing took against the guide's target, a line each; `measured` names a target and seconds.
pub fn compare(measured: &[(&str, Duration)]) -> String {
    let mut text = String::new();
    for (name, target) in TARGETS {
        let taken =
            measured.iter().find(|(measured, _)| *measured == name).map(|(_, taken)| *taken);
        let verdict = match taken {
            None => "not measured".to_owned(),
            Some(taken) if taken <= target => format!("{} s: kept", taken.as_secs()),
            Some(taken) => format!("{} s: MISSED", taken.as_secs()),
        };
        let _ = writeln!(text, "{name:<34} target {:>5} s   {verdict}", target.as_secs());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_are_set_against_the_targets() {
        let text = compare(&[
            ("restore from a bucket", Duration::from_secs(3601)),
            ("node restart", Duration::from_secs(2)),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].ends_with("2 s: kept") && lines[2].ends_with("3601 s: MISSED"), "{text}");
        assert!(lines[3].ends_with("not measured"));
    }

    #[test]
    fn a_new_server_is_asked_about_the_old_one_first() {
        let steps = Scenario::NewServer.steps("guts", "s3://b/r", "guts-node");
        let place = |command: &str| steps.iter().position(|step| *step == types(command)).unwrap();
        assert!(
            place("nodekeep node retire guts --from-repo")
                < place("nodekeep restore guts --repo s3://b/r")
        );
    }
}
