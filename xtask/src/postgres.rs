//! `cargo xtask test-postgres`: a real PostgreSQL under load, captured at random moments. The suite itself is an example of the crate `nodes`;
//! here it gets its programs, a folder that goes with it, and a user as whom PostgreSQL runs.

use std::ffi::OsString;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::cluster::leash::Scratch;
use crate::cluster::packages;
use crate::error::Error;
use crate::place;

/// Where Debian has the programs, and where they are in an unpacked package.
const PROGRAMS: &str = "usr/lib/postgresql/15/bin";
/// As whom a server runs that root starts: Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// Builds the suite and runs it.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let rounds: u64 = args.value("--rounds", "a number")?.unwrap_or(10);
    let seed: u64 = args.value("--seed", "a number")?.unwrap_or(1);
    args.finish()?;
    let programs = programs()?;
    place::run(place::cargo().current_dir(place::root()).args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "nodekeep-nodes",
        "--example",
        "postgres",
    ]))?;
    let scratch = Scratch::new("pg")?;
    let suite = scratch.path().join("suite");
    let built = place::target().join("debug/examples/postgres");
    std::fs::copy(&built, &suite).map_err(Error::file(&built))?;
    let mut command = as_somebody(&suite, scratch.path())?;
    command.arg(scratch.path()).args([rounds.to_string(), seed.to_string()]);
    if let Some(root) = programs {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(root.join(PROGRAMS)).chain(std::env::split_paths(&path));
        let joined = std::env::join_paths(folders);
        command.env("PATH", joined.unwrap_or(path));
        command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    }
    place::run(command.current_dir(scratch.path()))
}

/// The root of unpacked packages; `None` if the machine has PostgreSQL itself.
fn programs() -> Result<Option<PathBuf>, Error> {
    let is_here =
        std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut found| found.next().is_some());
    if is_here || place::find_program("pg_basebackup", &[]).is_some() {
        return Ok(None);
    }
    let wanted = ["postgresql-15", "postgresql-client-15", "libpq5"];
    packages::unpacked("postgres", &wanted, &format!("{PROGRAMS}/pg_basebackup")).map(Some)
}

/// PostgreSQL refuses to run as root.
fn as_somebody(suite: &Path, folder: &Path) -> Result<Command, Error> {
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(suite).map_err(Error::file(suite))?);
    if owner != 0 {
        return Ok(Command::new(suite));
    }
    for path in [folder, suite] {
        chown(path, Some(NOBODY), Some(NOBODY)).map_err(Error::file(path))?;
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(suite);
    command.env("HOME", folder);
    Ok(command)
}
