//! Debian's packages, unpacked into a cache and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::place;

/// Where what is downloaded or built once is kept, outside of the checkout: as for `.ci/run`.
pub fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("NODEKEEP_CI_CACHE") {
        return cache.into();
    }
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    Path::new(&home).join(".cache/nodekeep-ci")
}

/// The folder with the unpacked `packages` and what they need; `proof` is a file that is there once they are complete.
pub fn unpacked(name: &str, packages: &[&str], proof: &str) -> Result<PathBuf, Error> {
    let home = cache().join(name);
    let root = home.join("root");
    if root.join(proof).is_file() {
        return Ok(root);
    }
    require_debian(packages)?;
    let archives = home.join("debs");
    let partial = archives.join("partial");
    fs::create_dir_all(&partial).map_err(Error::file(&partial))?;
    eprintln!("downloading {} to {}", packages.join(", "), archives.display());
    download(packages, &archives)?;
    // Under another name until all of it is there, so that a run that is stopped is not taken for a complete one.
    let unfinished = home.join("unpacking");
    for archive in place::files(&archives, &["deb"])? {
        place::run(Command::new("dpkg").arg("-x").arg(&archive).arg(&unfinished))?;
    }
    fs::rename(&unfinished, &root).map_err(Error::file(&unfinished))?;
    if root.join(proof).is_file() {
        return Ok(root);
    }
    Err(Error::Unfit { reason: format!("the packages hold no {proof}"), hint: DEBIAN })
}

const DEBIAN: &str =
    "this needs Debian 12's packages: run it as root on Debian 12 (or in a container of it)";

fn require_debian(packages: &[&str]) -> Result<(), Error> {
    for program in ["apt-get", "dpkg"] {
        if place::find_program(program, &[]).is_none() {
            let reason = format!("{} cannot be had without {program}", packages.join(", "));
            return Err(Error::Unfit { reason, hint: DEBIAN });
        }
    }
    Ok(())
}

fn download(packages: &[&str], archives: &Path) -> Result<(), Error> {
    // Lists that are at hand will do if they cannot be renewed; the download says whether they do.
    let renewed = quiet(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-qq", "--no-install-recommends", "--download-only", "-o"]);
    let mut folder = std::ffi::OsString::from("Dir::Cache::archives=");
    folder.push(archives);
    apt.arg(folder).args(packages);
    let got = quiet(&mut apt)?;
    if got.is_empty() {
        return Ok(());
    }
    let said = format!("{renewed}{got}");
    let reason = format!("cannot download {}: {}", packages.join(", "), said.trim());
    Err(Error::Unfit {
        reason,
        hint: "run it once as root, with a network; what it downloads is kept in NODEKEEP_CI_CACHE (~/.cache/nodekeep-ci)",
    })
}

/// Runs a program; what it complained of if it failed.
fn quiet(command: &mut Command) -> Result<String, Error> {
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|source| Error::Start { program: place::spelled(command), source })?;
    if output.status.success() {
        return Ok(String::new());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if said.is_empty() { output.status.to_string() } else { said })
}
