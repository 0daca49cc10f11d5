//! A real PostgreSQL under load, copied again and again: the suite behind `cargo xtask test-postgres`.
//!
//! A writer acknowledges numbered rows beside `pgbench`. At random moments the server is captured, by either method in turn; each copy is
//! verified, restored and started. It must hold every row that was acknowledged before the capture began, no hole among them, and the books of
//! `pgbench` must balance.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for developers")]

mod server;
mod writer;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::kind::postgres::{Sandbox, capture, check_started, verify};
use nodekeep_nodes::kind::{Captured, Outcome, Request, Verified, With};
use nodekeep_nodes::profile::{PostgresMethod, PostgresRule, Variables};

use server::Server;
use writer::Writer;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The books of `pgbench`: four sums that are one in every committed state.
const BOOKS: &str = "SELECT count(*) FROM (SELECT sum(abalance) AS s FROM pgbench_accounts UNION SELECT sum(bbalance) FROM pgbench_branches UNION SELECT sum(tbalance) FROM pgbench_tellers UNION SELECT coalesce(sum(delta), 0) FROM pgbench_history) AS books";
/// How many rows, and the number of the last.
const ROWS: &str = "SELECT count(*), coalesce(max(n), 0) FROM acknowledged";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-postgres: {error}");
            ExitCode::FAILURE
        }
    }
}

/// FOLDER ROUNDS SEED.
fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rounds, seed] = words.as_slice() else {
        return Err("FOLDER ROUNDS SEED".into());
    };
    let folder = PathBuf::from(folder);
    let mut chance = Chance(seed.parse()?);
    let server = Server::start(&folder.join("s"))?;
    println!("{} under pgbench, seed {seed}", server.version()?);
    let load = server.load()?;
    let writer = Writer::start(&server)?;
    for round in 0..rounds.parse::<u64>()? {
        thread::sleep(Duration::from_millis(chance.below(1500)));
        let method = if round % 2 == 0 { PostgresMethod::Base } else { PostgresMethod::Dump };
        let place = folder.join(format!("r{round}"));
        let told = try_once(&server, &writer, method, &place)
            .map_err(|error| format!("round {round}, {method:?}, seed {seed}: {error}"))?;
        println!("round {round}: {told}");
        fs::remove_dir_all(&place)?;
    }
    println!(
        "{} rows were acknowledged, {} transactions of pgbench",
        writer.stop()?,
        load.stop(&server)?
    );
    Ok(())
}

fn try_once(
    server: &Server,
    writer: &Writer,
    method: PostgresMethod,
    place: &Path,
) -> Result<String> {
    let staging = place.join("staging");
    fs::create_dir_all(&staging)?;
    let variables = Variables::from([("socket".to_owned(), server.socket())]);
    let connection = "host={socket} user=postgres dbname=postgres".to_owned();
    let rule = PostgresRule { method, connection, ..PostgresRule::default() };
    let path = place.join("data");
    let request = Request {
        path: &path,
        staging: &staging,
        memory: None,
        variables: &variables,
        patience: PATIENCE,
    };
    let acknowledged = writer.acknowledged();
    let begun = Instant::now();
    let captured = capture(&request, &rule)?;
    let took = begun.elapsed();
    put_in_place(&captured)?;
    sound(&verify(&path, &rule, PATIENCE)?)?;
    let found = match method {
        PostgresMethod::Base => restore_base(&path, place, acknowledged)?,
        PostgresMethod::Dump => restore_dump(server, &path, acknowledged)?,
    };
    let position =
        captured.position.counters.iter().map(|(name, number)| format!("{number} {name}"));
    let position = position.collect::<Vec<_>>().join(", ");
    Ok(format!(
        "{method:?} in {:.1} s at {position}: {acknowledged} rows before, {found} in the copy, no hole",
        took.as_secs_f64()
    ))
}

/// What a restore does with what was captured.
fn put_in_place(captured: &Captured) -> Result<()> {
    for graft in &captured.grafts {
        let With::Staged(staged) = &graft.with else {
            return Err("a graft that is not staged".into());
        };
        if let Some(parent) = graft.at.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(staged, &graft.at)?;
    }
    Ok(())
}

fn restore_base(data: &Path, place: &Path, acknowledged: u64) -> Result<u64> {
    let sandbox = Sandbox::start(data, &place.join("a"), PATIENCE)?;
    let found = judge(acknowledged, |query| Ok(sandbox.query("postgres", query)?))?;
    sandbox.stop()?;
    sound(&check_started(data, &place.join("b"), PATIENCE)?)?;
    Ok(found)
}

fn restore_dump(server: &Server, folder: &Path, acknowledged: u64) -> Result<u64> {
    let file = folder.join("postgres.dump");
    server.restore(&file, "restored")?;
    let found = judge(acknowledged, |query| server.query("restored", query))?;
    server.amcheck("restored")?;
    server.drop_database("restored")?;
    Ok(found)
}

/// Every row that was acknowledged is there, and none is missing among those that are.
fn judge(acknowledged: u64, query: impl Fn(&str) -> Result<String>) -> Result<u64> {
    let rows = query(ROWS)?;
    let (count, last) = rows.split_once('|').ok_or("no answer")?;
    let (count, last): (u64, u64) = (count.parse()?, last.parse()?);
    if count != last {
        return Err(format!("there is a hole: {count} rows, the last is {last}").into());
    }
    if last < acknowledged {
        return Err(format!("{acknowledged} rows were acknowledged, {last} are there").into());
    }
    match query(BOOKS)?.as_str() {
        "1" => Ok(last),
        _ => Err("the books of pgbench do not balance".into()),
    }
}

/// Nothing failed, and nothing was left out but checksums that this server does not keep.
fn sound(verified: &Verified) -> Result<()> {
    match verified.checks.iter().find(|check| check.outcome != Outcome::Passed) {
        Some(check) => Err(format!("{} {:?}: {}", check.name, check.outcome, check.detail).into()),
        None => Ok(()),
    }
}

/// The same moments for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
