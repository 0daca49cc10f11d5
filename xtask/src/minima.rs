//! `cargo xtask test-minima`: Nodekeep against the real Minima node, which is built by hand and never part of this project.

use std::ffi::OsString;
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// What the suite needs besides the node.
const PROGRAMS: [&[&str]; 4] = [&["java"], &["python3"], &["unshare"], &["ip"]];

/// Runs the suite with the node's jar. Without one it says so and is skipped.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let node = args.path("--node")?;
    let bin = args.path("--bin")?;
    let only = args.list("--only")?;
    args.finish()?;
    let node = node.ok_or(Error::Unfit {
        reason: "no node was given, so that nothing was tried".to_owned(),
        hint: "build github.com/minima-global/Minima outside of this folder and name its jar: --node minima.jar",
    })?;
    let node = node.canonicalize().map_err(Error::file(&node))?;
    if let Some(missing) = place::missing(&PROGRAMS) {
        return Err(Error::Unfit {
            reason: format!("{missing} is not on this machine"),
            hint: "install a Java of version 11 or later, python3, util-linux and iproute2",
        });
    }
    let bin = place::nodekeep(bin)?;
    let mut suite = Command::new("python3");
    suite.arg(place::root().join("suites/minima/run.py"));
    suite.arg("--node").arg(node).arg("--bin").arg(bin);
    if let Some(only) = only {
        suite.args(["--only", &only.join(",")]);
    }
    place::run(&mut suite)
}
