//! Opt-in suite: databases of the real RocksDB, copied by Nodekeep while another process writes, flushes and compacts, and judged by an exact model.
//!
//! `cargo xtask test-rocksdb` builds and runs it. `ROUNDS` and `SEED` are its arguments; it calls itself as the writer.

mod model;
mod round;
mod writer;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use round::Seen;
use writer::{VARIANTS, Variant};

/// Captures of one database before the next is begun.
const PER_DATABASE: u64 = 25;
/// A file system that is not the one of the database, to try copies where links cannot be made.
const OTHER_FILE_SYSTEM: &str = "/dev/shm";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [command, path, variant] = words.as_slice()
        && command == "writer"
    {
        return write(path, variant);
    }
    let number = |at: usize, default: u64| words.get(at).map_or(Ok(default), |word| word.parse());
    match (number(0, 200), number(1, 1)) {
        (Ok(rounds), Ok(seed)) => run(rounds, seed),
        _ => {
            eprintln!("usage: nodekeep-suite-rocksdb [ROUNDS [SEED]]");
            ExitCode::from(2)
        }
    }
}

fn write(path: &str, variant: &str) -> ExitCode {
    let Some(variant) = variant.parse().ok().and_then(|at: usize| VARIANTS.get(at)) else {
        return ExitCode::from(2);
    };
    match writer::run(Path::new(path), variant) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Numbers of a fixed sequence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What happened in the rounds of one variant.
#[derive(Default)]
struct Tally {
    seen: Vec<Seen>,
    kills: u64,
    failures: Vec<String>,
}

fn run(rounds: u64, seed: u64) -> ExitCode {
    let mut dice = Dice(seed);
    let mut tallies: Vec<Tally> = VARIANTS.iter().map(|_| Tally::default()).collect();
    let mut done = 0;
    for database in 0.. {
        if done == rounds {
            break;
        }
        let share = PER_DATABASE.min(rounds - done);
        let at = database % VARIANTS.len();
        if let Err(error) = one_database(at, done, share, &mut dice, &mut tallies[at]) {
            tallies[at].failures.push(error);
        }
        done += share;
        let failures: usize = tallies.iter().map(|tally| tally.failures.len()).sum();
        println!("{done} of {rounds} rounds, {failures} failures");
    }
    report(&tallies, rounds, seed)
}

fn one_database(
    at: usize,
    first: u64,
    rounds: u64,
    dice: &mut Dice,
    tally: &mut Tally,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let live = folder.path().join("live");
    let mut owner = Owner::start(&live, at)?;
    for round in first..first + rounds {
        thread::sleep(Duration::from_millis(dice.below(250)));
        if dice.below(8) == 0 {
            owner.kill();
            tally.kills += 1;
            // Half of the dead databases are copied as they lie, the others when they write again.
            if dice.below(2) == 0 {
                owner = Owner::start(&live, at)?;
            }
        }
        let staging = staging(folder.path(), round)?;
        let acknowledged = owner.acknowledged();
        match round::run(&live, &staging, &VARIANTS[at], acknowledged) {
            Ok(seen) => tally.seen.push(seen),
            Err(error) => tally.failures.push(format!("round {round}: {error}")),
        }
        _ = std::fs::remove_dir_all(&staging);
        if owner.is_dead() {
            owner = Owner::start(&live, at)?;
        }
    }
    Ok(())
}

/// Where a round's copy goes: every tenth to another file system, if there is one.
fn staging(folder: &Path, round: u64) -> Result<PathBuf, String> {
    let other = Path::new(OTHER_FILE_SYSTEM);
    let place = if round % 10 == 9 && other.is_dir() {
        other.join(format!("nodekeep-suite-{}", std::process::id()))
    } else {
        folder.join("copy")
    };
    round::empty(&place)?;
    Ok(place)
}

/// The writer's process.
struct Owner {
    child: Child,
    acknowledged: Arc<AtomicU64>,
}

impl Owner {
    fn start(live: &Path, variant: usize) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("writer").arg(live).arg(variant.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let out = child.stdout.take().ok_or("the writer has no output")?;
        let acknowledged = Arc::new(AtomicU64::new(u64::MAX));
        let told = Arc::clone(&acknowledged);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(number) = line.parse() {
                    told.store(number, Ordering::SeqCst);
                }
            }
        });
        let mut owner = Self { child, acknowledged };
        while owner.acknowledged() == u64::MAX {
            if let Ok(Some(status)) = owner.child.try_wait() {
                return Err(format!("the writer ended with {status}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(owner)
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    fn is_dead(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.kill();
    }
}

fn report(tallies: &[Tally], rounds: u64, seed: u64) -> ExitCode {
    println!(
        "\n| Database | Good | Failed | Killed | Linked | Tables | WALs | Median ms | Longest ms | Writes beyond |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (variant, tally) in VARIANTS.iter().zip(tallies) {
        row(variant, tally);
    }
    let failures: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failures).collect();
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    let passed = tallies.iter().map(|tally| tally.seen.len()).sum::<usize>();
    println!(
        "\n{passed} of {rounds} copies hold every acknowledged write, without a hole (seed {seed})"
    );
    if failures.is_empty() && passed as u64 == rounds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn row(variant: &Variant, tally: &Tally) {
    let mut times: Vec<u128> = tally.seen.iter().map(|seen| seen.took.as_millis()).collect();
    times.sort_unstable();
    let count = tally.seen.len().max(1) as u64;
    let mean = |figure: fn(&Seen) -> u64| tally.seen.iter().map(figure).sum::<u64>() / count;
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        variant.name,
        tally.seen.len(),
        tally.failures.len(),
        tally.kills,
        tally.seen.iter().filter(|seen| seen.linked).count(),
        mean(|seen| seen.tables),
        mean(|seen| seen.logs),
        times.get(times.len() / 2).copied().unwrap_or(0),
        times.last().copied().unwrap_or(0),
        mean(|seen| seen.beyond),
    );
}
