//! `cargo xtask test-axon`: the adapter of Axon against the real Axon, which is fetched by hand and never part of this project.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// What Axon's server imports from outside.
const IMPORTS: &str = "import PIL, corsheaders, cryptography, django, dotenv, magic, requests, rest_framework, rest_framework_simplejwt, socks";

/// Runs the opt-in test with a clone of Axon and a Python that can run it.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let upstream = args.path("--upstream")?;
    let python = args.path("--python")?.unwrap_or_else(|| PathBuf::from("python3"));
    args.finish()?;
    let upstream = upstream.ok_or_else(|| {
        Error::Usage(
            "test-axon needs --upstream DIR, a clone of github.com/achgulp/axon_bbs".to_owned(),
        )
    })?;
    let upstream = upstream.canonicalize().map_err(Error::file(&upstream))?;
    require(&upstream, &python)?;
    let mut test = place::cargo();
    test.current_dir(place::root())
        .args(["test", "--locked", "-p", "nodekeep-nodes", "--test", "it", "axon::upstream"])
        .args(["--", "--ignored", "--nocapture"])
        .env("NODEKEEP_AXON_UPSTREAM", upstream)
        .env("NODEKEEP_AXON_PYTHON", python);
    place::run(&mut test)
}

fn require(upstream: &Path, python: &Path) -> Result<(), Error> {
    if !upstream.join("core/services/bitsync_service.py").is_file() {
        return Err(Error::Unfit {
            reason: format!("{} is no clone of Axon", upstream.display()),
            hint: "clone github.com/achgulp/axon_bbs there",
        });
    }
    match Command::new(python).args(["-c", IMPORTS]).output() {
        Ok(done) if done.status.success() => Ok(()),
        _ => Err(Error::Unfit {
            reason: format!("{} cannot run Axon", python.display()),
            hint: "make a virtual environment with Django 5.0, djangorestframework, djangorestframework-simplejwt, django-cors-headers, cryptography, Pillow, python-dotenv, python-magic, PySocks, requests, pytz and numpy, and name its python with --python",
        }),
    }
}
