//! `cargo xtask test-systemd`: the daemon's unit and exported units under a real systemd, booted in namespaces of its own.
//! With `--static` they are only verified by `systemd-analyze`, which needs no root.

use std::ffi::OsString;
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// The exit code by which the suite says that it could try nothing.
const SKIPPED: i32 = 77;

/// Runs the suite. Where systemd cannot be booted it says why and is skipped.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let bin = args.path("--bin")?;
    let only = args.list("--only")?;
    let is_static = args.flag("--static");
    args.finish()?;
    if place::find_program("python3", &[]).is_none() {
        return Err(Error::Unfit {
            reason: "python3 is not on this machine".to_owned(),
            hint: "apt-get install --no-install-recommends python3 systemd util-linux iproute2",
        });
    }
    let bin = place::nodekeep(bin)?;
    let mut suite = Command::new("python3");
    suite.arg(place::root().join("suites/systemd/run.py")).arg("--bin").arg(bin);
    if let Some(only) = only {
        suite.args(["--only", &only.join(",")]);
    }
    if is_static {
        suite.arg("--static");
    }
    match place::run(&mut suite) {
        Err(Error::Failed { status, .. }) if status.code() == Some(SKIPPED) => Err(Error::Unfit {
            reason: "this machine cannot boot systemd in namespaces, as the line above says"
                .to_owned(),
            hint: "run it as root; --static needs no root and boots nothing",
        }),
        result => result,
    }
}
