//! The rollback fence: what is noticed, what is refused, and what the remedies do.

mod interchange;
mod journal;
mod judge;
mod node;
mod read;
mod remedy;
mod wallet;

use nodekeep_nodes::fence::mark::{
    At, Content, Digest, Last, Mark, Origin, Reading, Signatures, VERSION, Value,
};
use nodekeep_nodes::manifest::Machine;
use nodekeep_nodes::profile::{FenceKind, FenceRule, MarkSource};

/// A rule of a kind with the mark source that goes with it, floor 10.
pub fn rule(name: &str, kind: FenceKind, mark: MarkSource) -> FenceRule {
    FenceRule {
        name: name.to_owned(),
        about: "it would do harm".to_owned(),
        kind,
        component: "state".to_owned(),
        mark,
        advance: None,
        also_in: Vec::new(),
        margin_floor: 10,
    }
}

/// Numbers in a JSON file.
pub fn json(pointer: &str) -> MarkSource {
    MarkSource::Json { file: "state.json".to_owned(), pointer: pointer.to_owned() }
}

/// Files without a number.
pub fn content() -> MarkSource {
    MarkSource::Content { files: vec!["*.json".to_owned()] }
}

pub fn mark(rule: &FenceRule, key: &str, value: Value) -> Mark {
    Mark { rule: rule.name.clone(), kind: rule.kind, key: key.to_owned(), value }
}

pub fn some_content(text: &str) -> Value {
    Value::Content(Content { digest: Digest::of(text.as_bytes()), files: 3 })
}

pub fn signed_slashing(source: u64, target: u64, slot: u64, root: Option<&str>) -> Value {
    let last = |at| Some(Last { at, root: root.map(str::to_owned) });
    Value::Slashing(Signatures {
        chain: format!("0x{}", "04".repeat(32)),
        source: Some(source),
        target: last(target),
        slot: last(slot),
    })
}

pub fn at(text: &str) -> At {
    At::try_from(text.to_owned()).unwrap()
}

/// Midnight of a day in November, and so many minutes.
pub fn minutes(minutes: u32) -> At {
    at(&format!(
        "2026-11-{:02}T{:02}:{:02}:00Z",
        1 + minutes / 1440,
        minutes / 60 % 24,
        minutes % 60
    ))
}

pub fn machine(id: &str) -> Machine {
    Machine { id: id.repeat(32), host: format!("host-{id}") }
}

pub fn reading(at: At, marks: Vec<Mark>) -> Reading {
    Reading { version: VERSION, at, machine: machine("a"), origin: Origin::Health, marks }
}
