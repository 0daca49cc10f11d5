//! `cargo xtask bench latency`: what a distant store costs.
//!
//! The program backs the corpus up to a Ceph cluster on this machine and restores it, through a proxy that passes
//! everything on, and through one that adds the same latency to every request. Latency alone: neither concurrency nor
//! bandwidth is limited. The table says how much longer it takes, and during which requests nothing else was going on:
//! those are the round trips that latency multiplies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nodekeep_testkit::proxy::{Passed, Plan, Proxy};

use super::corpus::{self, Contents, Corpus};
use crate::args::Args;
use crate::cluster::{Ceph, Machine, Stage, snapshot_of};
use crate::error::Error;
use crate::place;

/// The word after `bench` that means this.
pub const WORD: &str = "latency";

/// What is promised: at most twice the time.
const PROMISED: f64 = 2.0;

/// So many kinds of lonely requests are shown.
const SHOWN: usize = 8;

#[derive(Debug)]
struct Options {
    size_gb: f64,
    runs: usize,
    latency: Duration,
    dir: PathBuf,
    binary: Option<PathBuf>,
}

/// One command under one latency.
#[derive(Debug, Default)]
struct Trip {
    seconds: Vec<f64>,
    /// Of the last run.
    passed: Vec<Passed>,
}

/// The commands, each near and far.
#[derive(Debug, Default)]
struct Trips {
    backup: [Trip; 2],
    unchanged: [Trip; 2],
    restore: [Trip; 2],
}

/// The task.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let options = parse(words)?;
    let binary = match &options.binary {
        Some(binary) => fs::canonicalize(binary).map_err(Error::file(binary))?,
        None => super::build()?,
    };
    fs::create_dir_all(&options.dir).map_err(Error::file(&options.dir))?;
    let dir = fs::canonicalize(&options.dir).map_err(Error::file(&options.dir))?;
    let corpus = corpus::prepare(&dir, options.size_gb)?;
    corpus.warm()?;
    let ceph = Ceph::start()?;
    let owner = ceph.create_user("owner")?;
    let stage = Stage::new(ceph, owner, binary, 1)?;
    let mut trips = Trips::default();
    for run in 0..options.runs {
        // By turns first, so that a cluster that fills up is no advantage to either.
        for far in [run % 2, 1 - run % 2] {
            let latency = if far == 1 { options.latency } else { Duration::ZERO };
            travel(&stage, &corpus, latency, far, &mut trips)?;
        }
    }
    println!("{}{}", corpus.describe(), table(&trips, &options));
    Ok(())
}

fn parse(words: Vec<OsString>) -> Result<Options, Error> {
    let mut args = Args::new(words);
    let options = Options {
        size_gb: args.value("--size-gb", "a number of gigabytes")?.unwrap_or(0.5),
        runs: args.value("--runs", "a number of runs")?.unwrap_or(3).max(1),
        latency: Duration::from_millis(args.value("--latency-ms", "milliseconds")?.unwrap_or(50)),
        dir: args.path("--dir")?.unwrap_or_else(|| place::target().join("bench")),
        binary: args.path("--bin")?,
    };
    args.finish()?;
    Ok(options)
}

/// A new repository, backed up to twice and restored from.
fn travel(
    stage: &Stage<Ceph>,
    corpus: &Corpus,
    latency: Duration,
    far: usize,
    trips: &mut Trips,
) -> Result<(), Error> {
    let site = stage.site()?;
    let proxy = Proxy::start(stage.cluster.server(), Plan::latency(latency))
        .map_err(Error::file("proxy"))?;
    let machine = site.owner.through(proxy.address());
    let path = corpus.path.to_string_lossy();
    let words = ["backup", &path, "--json"];
    let id = step(&machine, &proxy, &words, &mut trips.backup[far])?;
    step(&machine, &proxy, &words, &mut trips.unchanged[far])?;
    let target = machine.path("restored");
    let words = ["restore", &id, "--target", &target.to_string_lossy(), "--json"];
    step(&machine, &proxy, &words, &mut trips.restore[far])?;
    must_be_whole(corpus::measure_folder(&target)?, corpus.base)?;
    fs::remove_dir_all(&target).map_err(Error::file(&target))
}

fn step(
    machine: &Machine,
    proxy: &Proxy,
    words: &[&str],
    trip: &mut Trip,
) -> Result<String, Error> {
    place::run(&mut std::process::Command::new("sync"))?;
    proxy.take_passed();
    let ran = machine.run(words)?.ok()?;
    eprintln!("{:<9} {:6.2} s", words[0], ran.took.as_secs_f64());
    trip.seconds.push(ran.took.as_secs_f64());
    trip.passed = proxy.take_passed();
    snapshot_of(&ran)
}

fn must_be_whole(restored: Contents, expected: Contents) -> Result<(), Error> {
    if restored == expected {
        return Ok(());
    }
    let reason = format!("restored {restored:?} of {expected:?}");
    Err(Error::Measurement { tool: "nodekeep".to_owned(), reason })
}

fn table(trips: &Trips, options: &Options) -> String {
    let ms = options.latency.as_millis();
    let mut text = format!(
        "\nMedians of {} runs, Ceph on this machine, {ms} ms added to every request; at most {PROMISED}x is promised.\n\n\
         | | near s | far s | ratio | requests | far alone s |\n|---|---|---|---|---|---|\n",
        options.runs
    );
    let rows = [
        ("first backup", &trips.backup),
        ("unchanged", &trips.unchanged),
        ("restore", &trips.restore),
    ];
    for (name, [near, far]) in rows {
        let (near_s, far_s) = (median(&near.seconds), median(&far.seconds));
        let alone: Duration = alone(&far.passed).values().sum();
        text.push_str(&format!(
            "| {name} | {near_s:.2} | {far_s:.2} | {:.2} | {} | {:.2} |\n",
            far_s / near_s,
            far.passed.len(),
            alone.as_secs_f64()
        ));
    }
    for (name, [_, far]) in rows {
        text.push_str(&format!("\nAlone in the last {name}, far:\n"));
        let mut kinds: Vec<_> = alone(&far.passed).into_iter().collect();
        kinds.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        for (kind, time) in kinds.into_iter().take(SHOWN) {
            text.push_str(&format!("  {:7.3} s  {kind}\n", time.as_secs_f64()));
        }
    }
    text
}

fn median(seconds: &[f64]) -> f64 {
    let mut seconds = seconds.to_vec();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// For each kind of request, the time during which one of them was the only request under way.
fn alone(passed: &[Passed]) -> BTreeMap<String, Duration> {
    let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
    for (at, request) in passed.iter().enumerate() {
        moments.push((request.began, true, at));
        moments.push((request.ended, false, at));
    }
    moments.sort_unstable();
    let mut times = BTreeMap::new();
    let mut under_way: Vec<usize> = Vec::new();
    let mut before = Duration::ZERO;
    for (now, begins, at) in moments {
        if let [only] = under_way[..] {
            *times.entry(passed[only].kind.clone()).or_default() += now - before;
        }
        before = now;
        if begins {
            under_way.push(at);
        } else {
            under_way.retain(|other| *other != at);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lonely_time_counts() {
        let request = |kind: &str, began, ended| Passed {
            kind: kind.to_owned(),
            began: Duration::from_millis(began),
            ended: Duration::from_millis(ended),
        };
        let passed =
            [request("a", 0, 10), request("b", 5, 20), request("a", 30, 50), request("c", 32, 34)];
        let times: Vec<_> =
            alone(&passed).into_iter().map(|(kind, time)| (kind, time.as_millis())).collect();
        assert_eq!(times, [("a".to_owned(), 5 + 18), ("b".to_owned(), 10)]);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
