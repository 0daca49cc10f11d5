//! `cargo xtask bench scale`: how time and memory grow with files, with snapshots and with chunks.
//!
//! Each of the three is measured at several sizes of a generated repository, by running the release binary, step after
//! step. From the two largest sizes follows what each further file, snapshot or chunk costs: that, and not the program's
//! fixed needs, is what grows with a user's data.

mod bed;
mod chunks;
mod files;
mod snapshots;
mod table;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::{build, machine, report};
use crate::args::Args;
use crate::error::Error;
use crate::place;
use bed::Ground;
use table::Table;

/// The word behind `bench` that leads here.
pub const WORD: &str = "scale";

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Files,
    Snapshots,
    Chunks,
}

impl Part {
    const ALL: [Self; 3] = [Self::Files, Self::Snapshots, Self::Chunks];

    fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Snapshots => "snapshots",
            Self::Chunks => "chunks",
        }
    }
}

/// What to measure.
#[derive(Debug)]
struct Options {
    parts: Vec<Part>,
    files: u64,
    snapshots: u64,
    chunks: u64,
    dir: PathBuf,
    out: Option<PathBuf>,
    binary: Option<PathBuf>,
}

/// `cargo xtask bench scale`.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let options = parse(words)?;
    let nodekeep = match &options.binary {
        Some(binary) => fs::canonicalize(binary).map_err(Error::file(binary))?,
        None => build()?,
    };
    fs::create_dir_all(&options.dir).map_err(Error::file(&options.dir))?;
    let dir = fs::canonicalize(&options.dir).map_err(Error::file(&options.dir))?;
    let mut text = machine::describe(&dir)?;
    println!("{text}");
    let ground = Ground::new(dir, nodekeep)?;
    for part in &options.parts {
        let table = measure(*part, &ground, &options)?.markdown();
        println!("{table}");
        text.push('\n');
        text.push_str(&table);
    }
    match &options.out {
        Some(out) => report::write_between(out, WORD, &text),
        None => Ok(()),
    }
}

fn measure(part: Part, ground: &Ground, options: &Options) -> Result<Table, Error> {
    match part {
        Part::Files => files::run(ground, options.files),
        Part::Snapshots => snapshots::run(ground, options.snapshots),
        Part::Chunks => chunks::run(ground, options.chunks),
    }
}

fn parse(words: Vec<OsString>) -> Result<Options, Error> {
    let mut args = Args::new(words);
    let quick = args.flag("--quick");
    let (files, snapshots, chunks) =
        if quick { (10_000, 10, 50_000) } else { (1_000_000, 100, 2_000_000) };
    let options = Options {
        parts: parse_parts(args.list("--only")?)?,
        files: args.value("--files", "a number of files")?.unwrap_or(files).max(100),
        snapshots: args.value("--snapshots", "a number of snapshots")?.unwrap_or(snapshots).max(1),
        chunks: args.value("--chunks", "a number of chunks")?.unwrap_or(chunks).max(1000),
        dir: args.path("--dir")?.unwrap_or_else(|| place::target().join("bench")),
        out: args.path("--out")?,
        binary: args.path("--bin")?,
    };
    args.finish()?;
    Ok(options)
}

fn parse_parts(only: Option<Vec<String>>) -> Result<Vec<Part>, Error> {
    let Some(only) = only else {
        return Ok(Part::ALL.to_vec());
    };
    let named = |name: String| {
        let part = Part::ALL.into_iter().find(|part| part.name() == name);
        part.ok_or(Error::Value {
            option: "--only".to_owned(),
            value: name,
            expected: "files, snapshots or chunks",
        })
    };
    only.into_iter().map(named).collect()
}

/// The sizes that lead up to the wanted one: it divided by each of these, once each and never below `least`.
fn sizes(wanted: u64, divisors: [u64; 3], least: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        divisors.iter().map(|divisor| (wanted / divisor).max(least).min(wanted)).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_and_nothing_else_is() {
        let chosen = parse_parts(Some(vec!["chunks".to_owned(), "files".to_owned()])).unwrap();
        assert_eq!(chosen, [Part::Chunks, Part::Files]);
        assert!(parse_parts(Some(vec!["bytes".to_owned()])).is_err());
    }

    #[test]
    fn sizes_lead_up_to_the_wanted_one() {
        assert_eq!(sizes(1_000_000, [100, 10, 1], 100), [10_000, 100_000, 1_000_000]);
        assert_eq!(sizes(10, [100, 10, 1], 1), [1, 10]);
        assert_eq!(sizes(1, [100, 10, 1], 1), [1]);
    }
}
