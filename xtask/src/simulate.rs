//! `cargo xtask simulate`: explores every order of events in small scenarios, with the real engine. The simulator is an example of the crate
//! `testkit`, so that nothing that is shipped is built with the engine's feature for it.

use std::ffi::OsString;
use std::process::Command;

use crate::error::Error;
use crate::place;

/// Builds the simulator and hands the options over to it.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut command = Command::new("cargo");
    command.current_dir(place::root());
    command.args(["run", "--quiet", "--release", "--locked", "-p", "nodekeep-testkit"]);
    command.args(["--example", "simulate", "--"]).args(words);
    place::run(&mut command)
}
