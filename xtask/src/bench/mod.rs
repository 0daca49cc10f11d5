//! `cargo xtask bench`: nodekeep beside its peers, on one corpus, in one run.
//!
//! Steps are interleaved between the tools, so that noise hits all of them; each run gives every tool a fresh
//! repository; medians are reported. The corpus is read once before, so that the disk is not measured, and
//! `sync` runs between steps, outside of the measured time. Every restore is compared with the corpus by names
//! and sizes.

mod corpus;
mod dashboard;
mod latency;
mod machine;
pub mod measure;
mod report;
mod rounds;
mod scale;
mod tools;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::args::Args;
use crate::error::Error;
use crate::place;
use rounds::Step;
use tools::Tool;

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// Size of the corpus in gigabytes.
    size_gb: f64,
    /// Runs of each tool.
    runs: usize,
    /// Peers by name; `None` is every one found.
    peers: Option<Vec<String>>,
    /// Steps that are reported.
    steps: Vec<Step>,
    /// Where corpus and repositories lie.
    dir: PathBuf,
    /// Where the tables are written, besides the terminal.
    out: Option<PathBuf>,
    /// A nodekeep to measure instead of building one.
    binary: Option<PathBuf>,
}

/// `cargo xtask bench`.
pub fn run(mut words: Vec<OsString>) -> Result<(), Error> {
    if words.first().is_some_and(|word| word == scale::WORD) {
        words.remove(0);
        return scale::run(words);
    }
    if words.first().is_some_and(|word| word == dashboard::WORD) {
        words.remove(0);
        return dashboard::run(words);
    }
    if words.first().is_some_and(|word| word == latency::WORD) {
        words.remove(0);
        return latency::run(words);
    }
    let options = parse(words)?;
    let peers = tools::find_peers(options.peers.as_deref())?;
    let nodekeep = match &options.binary {
        Some(binary) => fs::canonicalize(binary).map_err(Error::file(binary))?,
        None => build()?,
    };
    fs::create_dir_all(&options.dir).map_err(Error::file(&options.dir))?;
    let dir = fs::canonicalize(&options.dir).map_err(Error::file(&options.dir))?;
    let tools = tools::with_nodekeep(&nodekeep, peers);
    let corpus = corpus::prepare(&dir, options.size_gb)?;
    let mut text = machine::describe(&dir)?;
    text.push_str(&corpus.describe());
    text.push_str(&versions(&tools)?);
    println!("{text}");
    let results = rounds::run(&dir, &corpus, &tools, &options.steps, options.runs)?;
    let tables = report::tables(&results, &options.steps, options.runs);
    println!("\n{tables}");
    if let Some(out) = &options.out {
        report::write_between(out, "bench", &format!("{text}\n{tables}"))?;
    }
    match results.iter().map(|(_, figures)| figures.failures.len()).sum() {
        0 => Ok(()),
        failures => Err(Error::Incomplete(failures)),
    }
}

fn parse(words: Vec<OsString>) -> Result<Options, Error> {
    let mut args = Args::new(words);
    let quick = args.flag("--quick");
    let (size_gb, runs) = if quick { (0.2, 1) } else { (2.0, 3) };
    let options = Options {
        size_gb: args.value("--size-gb", "a number of gigabytes")?.unwrap_or(size_gb),
        runs: args.value("--runs", "a number of runs")?.unwrap_or(runs).max(1),
        peers: args.list("--peers")?,
        steps: parse_steps(args.list("--only")?)?,
        dir: args.path("--dir")?.unwrap_or_else(|| place::target().join("bench")),
        out: args.path("--out")?,
        binary: args.path("--bin")?,
    };
    args.finish()?;
    Ok(options)
}

fn parse_steps(only: Option<Vec<String>>) -> Result<Vec<Step>, Error> {
    let Some(only) = only else {
        return Ok(Step::ALL.to_vec());
    };
    let mut steps = Vec::new();
    for name in only {
        let named = Step::named(&name).ok_or(Error::Value {
            option: "--only".to_owned(),
            value: name,
            expected: "backup, first, unchanged, change, restore, check, data or prune",
        })?;
        steps.extend(named);
    }
    steps.sort();
    steps.dedup();
    Ok(steps)
}

fn build() -> Result<PathBuf, Error> {
    let mut cargo = place::cargo();
    cargo.current_dir(place::root());
    place::run(cargo.args(["build", "--release", "--locked", "--package", "nodekeep"]))?;
    Ok(place::target().join("release/nodekeep"))
}

fn versions(tools: &[Tool]) -> Result<String, Error> {
    let mut text = String::from("Versions: ");
    for (at, tool) in tools.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        text.push_str(separator);
        text.push_str(&tool.version()?);
    }
    text.push_str(".\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_sorted_and_backup_stands_for_three() {
        let steps =
            parse_steps(Some(vec!["restore".to_owned(), "backup".to_owned(), "first".to_owned()]));
        let expected = [Step::First, Step::Unchanged, Step::Change, Step::Restore];
        assert_eq!(steps.unwrap(), expected);
        assert!(parse_steps(Some(vec!["all".to_owned()])).is_err());
    }
}
