//! `cargo xtask test-dashboard`: the dashboard of the real daemon in a real Chromium, by mouse, by keyboard and by measure.
//! With `faketime` its nodes have two weeks behind them; without it all of their backups are of today, and one state is not seen.

use std::ffi::OsString;
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// What the suite needs: a name of each is enough.
const PROGRAMS: [&[&str]; 3] = [&["python3"], &["chromedriver"], &["chromium", "google-chrome"]];

/// Runs the suite. Where there is no Chromium it says so and is skipped.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let bin = args.path("--bin")?;
    let only = args.list("--only")?;
    let pictures = args.path("--pictures")?;
    args.finish()?;
    if let Some(names) = place::missing(&PROGRAMS) {
        return Err(Error::Unfit {
            reason: format!("{names} is not on this machine"),
            hint: "apt-get install --no-install-recommends chromium chromium-driver faketime python3",
        });
    }
    let bin = place::nodekeep(bin)?;
    let mut suite = Command::new("python3");
    suite.arg(place::root().join("suites/dashboard/run.py")).arg("--bin").arg(bin);
    if let Some(only) = only {
        suite.args(["--only", &only.join(",")]);
    }
    if let Some(pictures) = pictures {
        suite.arg("--pictures").arg(pictures);
    }
    place::run(&mut suite)
}
