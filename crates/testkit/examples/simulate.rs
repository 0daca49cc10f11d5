//! What `cargo xtask simulate` runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nodekeep_repo::simulate::Bug;
use nodekeep_testkit::sim::{Reach, SCENARIOS, Scenario, Tally, crowd};

/// More states than any scenario has.
const MOST_STATES: usize = 60_000_000;

/// So many merged histories of each scenario are tried out.
const TRIED: usize = 200;

/// A planted fault that every run must find: too large for the tests of the crate. Where, and with how many switches.
const PLANTED: (Bug, &str, u8) = (Bug::TrustOutcome, "successor", 2);

/// So often are actors left before they have ended, in scenarios that are too large for more.
const SWITCHES: u8 = 1;

struct Wanted {
    quick: bool,
    scenario: Option<&'static Scenario>,
    bug: Option<Bug>,
    seed: Option<u64>,
    switches: Option<u8>,
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(what) => {
            eprintln!("simulate: {what}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = wanted.seed {
        let (steps, sound) = wander(wanted.scenario, seed, wanted.bug);
        println!("seed {seed}: {steps} steps");
        return if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let (Some(scenario), Some(most)) = (wanted.scenario, wanted.switches) {
        let sound = switch(scenario, most, wanted.bug);
        return if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted.has(scenario)).collect();
    let (next, total, failures) =
        (AtomicUsize::new(0), Mutex::new(Tally::default()), AtomicUsize::new(0));
    let started = Instant::now();
    println!(
        "{:<16} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8}",
        "scenario", "states", "transitions", "worlds", "histories", "runs", "seconds"
    );
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !run(scenario, wanted.bug, &total) {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let lost = walk(&wanted) + usize::from(overlooks(&wanted));
    failures.fetch_add(lost, Ordering::Relaxed);
    let total = total.into_inner().unwrap_or_else(|e| e.into_inner());
    line("total", &total, started);
    if failures.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Wanted {
    fn has(&self, scenario: &Scenario) -> bool {
        match self.scenario {
            Some(wanted) => scenario.name == wanted.name,
            None if self.quick => scenario.reach == Reach::Quick,
            None => scenario.reach != Reach::Random,
        }
    }
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { quick: false, scenario: None, bug: None, seed: None, switches: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => wanted.quick = true,
            "--seed" => {
                let value = value()?;
                wanted.seed = Some(value.parse().map_err(|_| format!("{value} is no seed"))?);
            }
            "--switches" => {
                let value = value()?;
                wanted.switches = Some(value.parse().map_err(|_| format!("{value} is no number"))?);
            }
            "--scenario" => {
                let name = value()?;
                let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
                wanted.scenario = Some(found.ok_or(format!("no scenario is called {name}"))?);
            }
            "--bug" => {
                let name = value()?;
                let found = Bug::ALL.iter().find(|(known, _)| *known == name);
                wanted.bug = Some(found.ok_or(format!("no bug is called {name}"))?.1);
            }
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(wanted)
}

fn run(scenario: &Scenario, bug: Option<Bug>, total: &Mutex<Tally>) -> bool {
    let started = Instant::now();
    let mut explorer = scenario.make(bug);
    let (tally, failure) = explorer.run(MOST_STATES);
    let found = if failure.is_none() { explorer.try_merged(1, TRIED) } else { Ok(0) };
    line(scenario.name, &tally, started);
    if let Err(what) = &found {
        println!("{}: {what}", scenario.name);
    }
    total.lock().unwrap_or_else(|e| e.into_inner()).add(&tally);
    if let Some(failure) = &failure {
        println!(
            "{}: {}; again with: cargo xtask simulate --scenario {}\n{}",
            scenario.name,
            scenario.about,
            scenario.name,
            explorer.tell(failure)
        );
    }
    failure.is_none() && found.is_ok()
}

/// Takes random paths through all that is too large to be explored; returns how many broke a promise.
fn walk(wanted: &Wanted) -> usize {
    let seeds = match wanted {
        Wanted { scenario: Some(_), .. } => return 0,
        Wanted { quick: true, .. } => 10,
        _ => 300,
    };
    let large = SCENARIOS.iter().filter(|scenario| scenario.reach == Reach::Random);
    let mut broken = 0;
    let large: Vec<&Scenario> = large.collect();
    for scenario in &large {
        broken += usize::from(!switch(scenario, SWITCHES, wanted.bug));
    }
    for place in std::iter::once(None).chain(large.into_iter().map(Some)) {
        let walked = Instant::now();
        let results: Vec<(u64, bool)> =
            (0..seeds).map(|seed| wander(place, seed, wanted.bug)).collect();
        let steps: u64 = results.iter().map(|(steps, _)| steps).sum();
        broken += results.iter().filter(|(_, sound)| !sound).count();
        let (name, seconds) = (name_of(place), walked.elapsed().as_secs_f64());
        println!("{name}: {seeds} random paths, {steps} steps, {seconds:.1} s");
    }
    broken
}

/// Whether the planted fault is not found.
fn overlooks(wanted: &Wanted) -> bool {
    if wanted.scenario.is_some() || wanted.bug.is_some() {
        return false;
    }
    let (bug, name, most) = PLANTED;
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let failure = scenario.and_then(|s| s.make(Some(bug)).run_with_switches(most).1);
    let found = if failure.is_some() { "is found" } else { "is NOT found" };
    println!("{name}: planted {bug:?} {found} with at most {most} switches");
    failure.is_none()
}

fn switch(scenario: &Scenario, most: u8, bug: Option<Bug>) -> bool {
    let started = Instant::now();
    let mut explorer = scenario.make(bug);
    let (turns, failure) = explorer.run_with_switches(most);
    let (name, seconds) = (scenario.name, started.elapsed().as_secs_f64());
    println!("{name}: at most {most} switches: {turns} turns, {seconds:.1} s");
    if let Some(failure) = &failure {
        println!(
            "again with: cargo xtask simulate --scenario {name} --switches {most}\n{}",
            explorer.tell(failure)
        );
    }
    failure.is_none()
}

/// Without a scenario: the crowd.
fn name_of(place: Option<&Scenario>) -> &'static str {
    place.map_or("crowd", |scenario| scenario.name)
}

fn wander(place: Option<&Scenario>, seed: u64, bug: Option<Bug>) -> (u64, bool) {
    let mut explorer = place.map_or_else(|| crowd(seed, bug), |scenario| scenario.make(bug));
    let (steps, failure) = explorer.wander(seed);
    if let Some(failure) = &failure {
        let which =
            place.map_or(String::new(), |scenario| format!(" --scenario {}", scenario.name));
        println!(
            "{}, seed {seed}; again with: cargo xtask simulate{which} --seed {seed}\n{}",
            name_of(place),
            explorer.tell(failure)
        );
    }
    (steps, failure.is_none())
}

fn line(name: &str, tally: &Tally, started: Instant) {
    println!(
        "{name:<16} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8.1}",
        tally.states,
        tally.transitions,
        tally.worlds,
        tally.histories,
        tally.runs,
        started.elapsed().as_secs_f64()
    );
}
