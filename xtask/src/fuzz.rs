//! Runs the fuzz targets for a while: libFuzzer with coverage and the address sanitizer.
//!
//! `cargo fuzz` is not needed, nor a nightly compiler: what matters are the flags below, and `RUSTC_BOOTSTRAP` lets the stable one take the
//! one of them that is not stable. Nothing that is shipped is ever built so.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// What makes the compiler tell libFuzzer where a run has been, and the program tell what is wrong.
const FLAGS: [&str; 11] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Zsanitizer=address",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];
/// The most memory that a run may take, in MiB.
const MEMORY_MIB: u32 = 4096;
/// How long one input may take, in seconds.
const PATIENCE_SECS: u32 = 30;

/// `cargo xtask fuzz [SECONDS] [--only a,b]`.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let only = args.list("--only")?;
    let seconds = parse_seconds(args.next())?;
    args.finish()?;
    if let Some(program) = place::missing(&[&["c++", "g++", "clang++"]]) {
        return Err(Error::Unfit {
            reason: format!("{program} is not on this machine"),
            hint: "libFuzzer is built with a C++ compiler: apt-get install g++",
        });
    }
    let folder = place::root().join("fuzz");
    let targets = targets(&folder, only.as_deref())?;
    let programs = build(&folder, &targets)?;
    for target in &targets {
        println!("fuzzing {target} for {seconds} s");
        fuzz(&folder, &programs.join(target), target, seconds)?;
    }
    println!("{} targets, no crash", targets.len());
    Ok(())
}

fn parse_seconds(word: Option<OsString>) -> Result<u32, Error> {
    let Some(word) = word else {
        return Ok(60);
    };
    let value = word.to_string_lossy().into_owned();
    value.parse().map_err(|_| Error::Value {
        option: "fuzz".to_owned(),
        value,
        expected: "a number of seconds",
    })
}

/// The targets that are wanted, by the names of their files.
fn targets(folder: &Path, only: Option<&[String]>) -> Result<Vec<String>, Error> {
    let files = place::files(&folder.join("fuzz_targets"), &["rs"])?;
    let names = files.iter().filter_map(|file| file.file_stem());
    let all: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let Some(only) = only else { return Ok(all) };
    match only.iter().find(|name| !all.contains(name)) {
        Some(name) => {
            Err(Error::Usage(format!("there is no fuzz target {name}: {}", all.join(" "))))
        }
        None => Ok(only.to_vec()),
    }
}

/// Builds the targets; the folder with their programs.
fn build(folder: &Path, targets: &[String]) -> Result<PathBuf, Error> {
    let host = host()?;
    let output = place::target().join("fuzz");
    let mut cargo = place::cargo();
    cargo.current_dir(folder).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS.join(" "));
    // With a target, programs that only help to build are built without the flags.
    cargo
        .args(["build", "--release", "--locked", "--target", &host])
        .env("CARGO_TARGET_DIR", &output);
    cargo.args(targets.iter().flat_map(|target| ["--bin", target]));
    place::run(&mut cargo)?;
    Ok(output.join(host).join("release"))
}

/// What the compiler calls this kind of machine.
fn host() -> Result<String, Error> {
    let told = place::output(Command::new("rustc").arg("-vV"))?;
    let told = String::from_utf8_lossy(&told);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or(Error::Missing {
        program: "rustc",
        hint: "its -vV names no host: install Rust with rustup",
    })
}

/// New inputs are kept in `corpus`; `seeds` is where they come from. What crashes lies in `artifacts`.
fn fuzz(folder: &Path, program: &Path, target: &str, seconds: u32) -> Result<(), Error> {
    let inside = |name: &str| Path::new(name).join(target);
    for name in ["corpus", "artifacts"] {
        let path = folder.join(inside(name));
        fs::create_dir_all(&path).map_err(Error::file(&path))?;
    }
    let mut command = Command::new(program);
    // libFuzzer's own C++ is no part of what is looked at.
    command.current_dir(folder).env("ASAN_OPTIONS", "detect_odr_violation=0").arg(inside("corpus"));
    if folder.join(inside("seeds")).is_dir() {
        command.arg(inside("seeds"));
    }
    command.arg(format!("-artifact_prefix={}/", inside("artifacts").display()));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB}")).arg(format!("-timeout={PATIENCE_SECS}"));
    place::run(command.args(["-print_final_stats=1", "-verbosity=1"]))
}
