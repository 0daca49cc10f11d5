//! `cargo xtask test-axon`: the adapter of Axon against the real Axon, which is fetched by hand and never part of this project.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// What Axon's server imports from outside.
const IMPORTS: &str = "import PIL, corsheaders, cryptography, django, dotenv, magic, requests, rest_framework, rest_framework_simplejwt, socks";

/// Runs the trial with a clone of Axon and a Python that can run it.
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
    // A name is looked for in PATH; a path counts from here. Links stay: they tell Python which environment it belongs to.
    let python = if python.components().count() > 1 {
        std::path::absolute(&python).map_err(Error::file(&python))?
    } else {
        python
    };
    require(&upstream, &python)?;
    let program = place::nodekeep(None)?;
    let mut trial = place::cargo();
    trial.current_dir(place::root());
    trial.args(["run", "--locked", "-p", "nodekeep-nodes", "--example", "axon", "--"]);
    place::run(trial.arg(upstream).arg(python).arg(program))
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
