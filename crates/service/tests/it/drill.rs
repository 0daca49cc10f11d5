//! Drills and their certificates.

use std::fs;

use nodekeep_nodes::kind::Outcome;
use nodekeep_service::certificate::{Distrust, DrillResult, Signed};

use crate::lab::{Machine, lay};

fn profile(verify: &str) -> String {
    format!(
        r#"
name = "drilled"
title = "Drilled"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "ledger"
about = "lines"
path = "{{data}}/ledger.jsonl"
kind = "jsonl"
options = {{ counts = "blocks" }}
{verify}
"#
    )
}

fn drilled(verify: &str) -> (Machine, nodekeep_service::drill::Drilled) {
    let machine = Machine::new();
    lay(&machine.data(), &[("ledger.jsonl", "{}\n{}\n")]);
    machine.back_up(&machine.node(&profile(verify)));
    let snapshot = machine.snapshots().pop().unwrap();
    let folder = machine.folder.join("sandboxes");
    let drilled = machine.ground().drill(&snapshot, &folder, false).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "the sandbox is gone");
    (machine, drilled)
}

#[test]
fn without_a_start_it_is_never_called_proven() {
    let (_machine, drilled) = drilled("");
    assert_eq!(drilled.certificate.result, DrillResult::Restored);
    let skipped = |step: &&nodekeep_nodes::kind::Check| step.outcome == Outcome::Skipped;
    assert_eq!(drilled.certificate.steps.iter().find(skipped).unwrap().name, "start");
}

#[test]
fn the_profile_says_how_the_node_is_started_in_the_sandbox() {
    let rule = "[[verify]]\nname = \"serves\"\ncommand = \"grep -c {} {data}/ledger.jsonl\"\nstarts-node = true\n";
    let rule = rule.replace("{}", "{{}}");
    let (_machine, drilled) = drilled(&rule);
    assert_eq!(drilled.certificate.result, DrillResult::Proven, "{:?}", drilled.certificate.steps);
}

#[test]
fn a_check_that_fails_fails_the_drill() {
    let (_machine, drilled) = drilled("[[verify]]\nname = \"serves\"\ncommand = \"exit 1\"\n");
    assert_eq!(drilled.certificate.result, DrillResult::Failed);
}

/// What the snapshot lacks does not come back: the rest that is sound is no proof.
#[test]
fn a_snapshot_that_lacks_what_the_node_needs_fails_the_drill() {
    let more = "[[component]]\nname = \"state\"\nabout = \"its state\"\npath = \"{data}/state.db\"\nkind = \"sqlite\"\nrequired = NEEDED\n";
    for (needed, expected) in [("true", DrillResult::Failed), ("false", DrillResult::Restored)] {
        let machine = Machine::new();
        lay(&machine.data(), &[("ledger.jsonl", "{}\n{}\n"), ("state.db", "no database")]);
        machine.back_up(&machine.node(&profile(&more.replace("NEEDED", needed))));
        let snapshot = machine.snapshots().pop().unwrap();
        let folder = machine.folder.join("sandboxes");
        let certificate = machine.ground().rehearse(&snapshot, &folder, false).unwrap();
        assert_eq!(certificate.result, expected, "{:?}", certificate.steps);
        let told = certificate.steps.iter().find(|step| step.name == "state").unwrap();
        assert!(told.detail.starts_with("it is not in the snapshot: "), "{told:?}");
    }
}

/// A line that was being written when the copy was made had never been whole: nothing is lost with it.
#[test]
fn a_torn_tail_does_not_fail_the_drill() {
    let machine = Machine::new();
    lay(&machine.data(), &[("ledger.jsonl", "{}\n{}\n{\"half")]);
    machine.back_up(&machine.node(&profile("")));
    let snapshot = machine.snapshots().pop().unwrap();
    let folder = machine.folder.join("sandboxes");
    let certificate = machine.ground().rehearse(&snapshot, &folder, false).unwrap();
    assert_eq!(certificate.result, DrillResult::Restored, "{:?}", certificate.steps);
}

#[test]
fn certificates_are_found_believed_and_not_forged() {
    let (machine, drilled) = drilled("");
    let found = nodekeep_service::records::of_kind::<Signed>(
        &machine.all(),
        "n",
        nodekeep_service::records::CERTIFICATE,
    );
    assert_eq!(found, std::slice::from_ref(&drilled.signed));
    let (roster, id) = (machine.repository.roster(), machine.repository.id().hex());
    assert_eq!(drilled.signed.open_for(roster, &id).unwrap(), drilled.certificate);
    let mut forged = drilled.signed.clone();
    forged.certificate = forged.certificate.replace("restored", "proven");
    assert_eq!(forged.open_for(roster, &id), Err(Distrust::Signature));
    let stranger = nodekeep_repo::crypto::SigningKey::random();
    let own = Signed::sign(&drilled.certificate, &stranger).unwrap();
    assert_eq!(own.open_for(roster, &id), Err(Distrust::Stranger));
    // A record is no snapshot of the node.
    assert_eq!(machine.snapshots().len(), 1);
}
