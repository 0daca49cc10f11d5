//! Runs every fuzz target for a while.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// `cargo xtask fuzz [SECONDS]`.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let seconds = parse_seconds(args.next())?;
    args.finish()?;
    require_cargo_fuzz()?;
    let folder = place::root().join("fuzz");
    let targets = targets(&folder)?;
    for target in &targets {
        println!("fuzzing {target} for {seconds} s");
        place::run(
            Command::new("cargo")
                .current_dir(place::root())
                .args(["+nightly", "fuzz", "run", target, "--"])
                .arg(format!("-max_total_time={seconds}")),
        )?;
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

fn require_cargo_fuzz() -> Result<(), Error> {
    place::find_program("cargo-fuzz", &[]).map(|_| ()).ok_or(Error::Missing {
        program: "cargo-fuzz",
        hint: "install it with `rustup toolchain install nightly` and `cargo install cargo-fuzz --locked`",
    })
}

fn targets(folder: &Path) -> Result<Vec<String>, Error> {
    let files = place::files(&folder.join("fuzz_targets"), &["rs"])?;
    let names = files.iter().filter_map(|file| file.file_stem());
    Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
}
