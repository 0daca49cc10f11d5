//! What is wrong by the fleet's overview: pure. What a schedule already tells of is not told twice.

use super::Topic;
use super::alerts::{Alerts, Condition};
use crate::fleet::overview::{Code, Machine, Node, Overview, Reason};

/// Stands before the key of each of these, so that they last until the fleet is looked at again.
const PREFIX: &str = "fleet ";

/// What the overview shows to be wrong.
pub fn conditions(overview: &Overview) -> Vec<Condition> {
    let mut wrong: Vec<Condition> = overview.nodes.iter().flat_map(of_node).collect();
    wrong.extend(overview.machines.iter().filter(|machine| machine.silent).map(silent));
    wrong.extend(of_repository(overview));
    wrong
}

/// What was found when the fleet was last looked at, as it was told.
pub fn lasting(known: &Alerts) -> Vec<Condition> {
    let of_fleet = known.iter().filter(|(key, _)| key.starts_with(PREFIX));
    let condition = |(key, alert): (&String, &super::alerts::Alert)| Condition {
        key: key.clone(),
        topic: alert.topic,
        title: alert.title.clone(),
        text: alert.text.clone(),
        node: alert.node.clone(),
    };
    of_fleet.map(condition).collect()
}

/// What schedules and fleet show, each thing once: a node whose schedule says that it is overdue misses its target too.
pub fn joined(by_schedules: Vec<Condition>, by_fleet: Vec<Condition>) -> Vec<Condition> {
    let is_told = |one: &Condition| {
        by_schedules.iter().any(|told| told.topic == one.topic && told.node == one.node)
    };
    let new: Vec<Condition> =
        by_fleet.into_iter().filter(|one| one.node.is_none() || !is_told(one)).collect();
    by_schedules.into_iter().chain(new).collect()
}

fn of_node(node: &Node) -> Vec<Condition> {
    node.reasons.iter().filter_map(|reason| of_reason(node, reason)).collect()
}

fn of_reason(node: &Node, reason: &Reason) -> Option<Condition> {
    let name = &node.name;
    let (word, topic, title) = match reason.code {
        Code::DrillFailed => ("drill", Topic::Verification, format!("{name}: the drill failed")),
        // Where no target asks for drills, a missing one is no alert.
        Code::DrillOld | Code::NeverDrilled if reason.risk => {
            ("drill", Topic::Verification, format!("{name}: no drill for too long"))
        }
        Code::VerifyFailed => {
            ("verify", Topic::Verification, format!("{name}: its data is damaged"))
        }
        Code::VerifyOld => (
            "verify",
            Topic::Verification,
            format!("{name}: its data was not checked for too long"),
        ),
        Code::RtoMissed => ("rto", Topic::Verification, format!("{name}: a return takes too long")),
        Code::Overdue if node.rpo.met == Some(false) => {
            ("rpo", Topic::Overdue, format!("{name}: more would be lost than its target allows"))
        }
        _ => return None,
    };
    let remedy = reason.remedy.as_ref().map_or_else(String::new, |line| format!(" Type: {line}"));
    Some(Condition {
        key: format!("{PREFIX}{word} {name}"),
        topic,
        title,
        text: format!("{}{remedy}", reason.text),
        node: Some(name.clone()),
    })
}

fn silent(machine: &Machine) -> Condition {
    Condition {
        key: format!("{PREFIX}silent {}", machine.id),
        topic: Topic::Overdue,
        title: format!("{}: silent", machine.host),
        text: format!(
            "It wrote nothing since {}; it keeps {}. See there: nodekeep daemon status",
            machine.last_seen,
            machine.nodes.join(", ")
        ),
        node: None,
    }
}

fn of_repository(overview: &Overview) -> Vec<Condition> {
    let repository = &overview.repository;
    let location = &repository.location;
    let full = crate::fleet::space::nearly_full(repository.capacity, repository.days_until_full);
    let full = full.map(|why| Condition {
        key: format!("{PREFIX}space"),
        topic: Topic::Space,
        title: "repository: nearly full".to_owned(),
        text: format!("{location}: {why}. See what could go: nodekeep snapshot prune --keep-daily 14 --dry-run"),
        node: None,
    });
    let damaged = (repository.damaged_objects > 0).then(|| Condition {
        key: format!("{PREFIX}damage"),
        topic: Topic::Verification,
        title: "repository: damaged".to_owned(),
        text: format!(
            "{location}: {} objects cannot be read. Type: nodekeep check --data",
            repository.damaged_objects
        ),
        node: None,
    });
    let lost = (repository.snapshots_lost > 0).then(|| Condition {
        key: format!("{PREFIX}lost"),
        topic: Topic::Verification,
        title: "repository: snapshots are gone".to_owned(),
        text: format!("{location}: {} snapshots are gone without a record of deletion. Type: nodekeep repo audit", repository.snapshots_lost),
        node: None,
    });
    [full, damaged, lost].into_iter().flatten().collect()
}
