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

#[test]
fn without_one_every_state_is_sound() {
    for (scenario, at_least) in [("reuse", 1000), ("cache", 1000), ("power", 20), ("init", 20)] {
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
