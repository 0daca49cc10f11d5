//! The simulator finds what is planted, and nothing where nothing is.

use nodekeep_repo::simulate::Bug;
use nodekeep_testkit::sim::{SCENARIOS, Tally, crowd};

/// More states than the scenarios here have.
const MOST_STATES: usize = 200_000;

fn explore(name: &str, bug: Option<Bug>) -> (Tally, Option<String>) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    let mut explorer = scenario.make(bug);
    let (tally, failure) = explorer.run(MOST_STATES);
    (tally, failure.map(|failure| explorer.tell(&failure)))
}

#[test]
fn every_planted_fault_is_found() {
    let cases = [
        (Bug::NoRecheck, "reuse"),
        (Bug::DeleteFirst, "reuse"),
        (Bug::ListFirst, "reuse"),
        (Bug::ReuseDoomed, "reuse"),
        (Bug::NoRemark, "reuse"),
        (Bug::TrustCache, "cache"),
        (Bug::NoBarrier, "power"),
    ];
    for (bug, scenario) in cases {
        let (_, failure) = explore(scenario, Some(bug));
        let steps = failure.unwrap_or_else(|| panic!("{bug:?} is not found in {scenario}"));
        assert!(steps.contains("writer A: create g/"), "{bug:?}: {steps}");
    }
}

/// Explores only what takes so many switches from an actor to another.
fn switch(name: &str, most: u8, bug: Option<Bug>) -> (u64, Option<String>) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    let mut explorer = scenario.make(bug);
    let (turns, failure) = explorer.run_with_switches(most);
    (turns, failure.map(|failure| explorer.tell(&failure)))
}

#[test]
fn a_writer_that_believes_an_emptied_slot_is_found() {
    let (_, failure) = switch("overslept", 1, Some(Bug::NoConfirm));
    let steps = failure.expect("the fault is planted");
    assert!(steps.contains("collector: create c/00000003 -> new"), "{steps}");
    let (turns, failure) = switch("overslept", 1, None);
    assert!(failure.is_none(), "{failure:?}");
    assert!(turns > 500, "{turns}");
}

#[test]
fn a_view_that_is_torn_by_a_checkpoint_is_found() {
    let (_, failure) = explore("prune", Some(Bug::TornView));
    let steps = failure.expect("the fault is planted");
    assert!(steps.contains("collector: create c/00000001"), "{steps}");
}

#[test]
fn a_repair_that_believes_its_list_is_found() {
    let (_, failure) = explore("repair", Some(Bug::TrustListing));
    let steps = failure.expect("the fault is planted");
    assert!(steps.contains("repair: list w/"), "{steps}");
}

/// The audit of merged histories, with as many tries as after each scenario of `cargo xtask simulate`.
fn audit(bug: Option<Bug>) -> Result<usize, String> {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "reuse").unwrap();
    let mut explorer = scenario.make(bug);
    let _ = explorer.run(MOST_STATES);
    explorer.try_merged(1, 200)
}

#[test]
fn histories_that_were_merged_and_differ_are_found() {
    let differs = audit(Some(Bug::MergeDoomed)).unwrap_err();
    assert!(differs.starts_with("writer A: histories were merged that differ"), "{differs}");
    assert!(audit(None).unwrap() > 200);
}

#[test]
fn orders_that_are_left_out_lead_nowhere_else() {
    for name in ["cache", "init", "rekey"] {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let (mut reduced, mut whole) = (scenario.make(None), scenario.make(None).in_every_order());
        let (few, failure) = reduced.run(MOST_STATES);
        assert!(failure.is_none(), "{name}: {failure:?}");
        let (many, failure) = whole.run(MOST_STATES);
        assert!(failure.is_none(), "{name}: {failure:?}");
        assert!(few.states < many.states, "{name}: {few:?}, {many:?}");
        assert_eq!(reduced.endings(), whole.endings(), "{name}");
        assert!(!reduced.endings().is_empty(), "{name}");
    }
}

#[test]
fn without_one_every_state_is_sound() {
    for (scenario, at_least) in
        [("reuse", 400), ("cache", 400), ("power", 20), ("init", 20), ("repair", 20)]
    {
        let (tally, failure) = explore(scenario, None);
        assert!(failure.is_none(), "{scenario}: {}", failure.unwrap_or_default());
        assert!(tally.states >= at_least, "{scenario}: only {tally:?}");
        assert!(tally.ends > 0, "{scenario}: nobody comes to an end");
    }
}

#[test]
fn a_seed_takes_the_same_path_again() {
    for seed in [1, 4] {
        let (steps, failure) = crowd(seed, None).wander(seed);
        assert!(failure.is_none(), "seed {seed}: {failure:?}");
        assert_eq!(crowd(seed, None).wander(seed).0, steps, "seed {seed}");
    }
}
