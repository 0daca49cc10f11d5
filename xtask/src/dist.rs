//! The release archive: a static binary, its manual pages and completions.
//!
//! The musl target is used where it is installed, static glibc otherwise; either runs on any x86-64 Linux.
//! The archive is made so that the same commit, compiler and folder give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::elf;
use crate::error::Error;
use crate::place;

const GLIBC: &str = "x86_64-unknown-linux-gnu";
const MUSL: &str = "x86_64-unknown-linux-musl";

/// `cargo xtask dist`.
pub fn run() -> Result<(), Error> {
    let folder = place::target().join("dist");
    let target = if has_std(MUSL)? { MUSL } else { GLIBC };
    println!("building for {target}");
    let started = Instant::now();
    let binary = build(&folder, target)?;
    println!("built in {:.0} s", started.elapsed().as_secs_f64());
    require_static(&binary)?;
    place::run(Command::new(&binary).arg("--version"))?;
    let name = format!("nodekeep-{}-x86_64-linux", version()?);
    stage(&binary, &folder.join(&name))?;
    let archive = pack(&folder, &name)?;
    print_size("binary", &binary)?;
    print_size("archive", &archive)
}

fn has_std(target: &str) -> Result<bool, Error> {
    let mut rustc = Command::new("rustc");
    let folder = place::output(rustc.args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(String::from_utf8_lossy(&folder).trim()).is_dir())
}

fn build(folder: &Path, target: &str) -> Result<PathBuf, Error> {
    place::run(
        place::cargo()
            .current_dir(place::root())
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .args(["build", "--release", "--locked", "--package", "nodekeep", "--target", target])
            .arg("--target-dir")
            .arg(folder),
    )?;
    Ok(folder.join(target).join("release/nodekeep"))
}

fn require_static(binary: &Path) -> Result<(), Error> {
    let bytes = fs::read(binary).map_err(Error::file(binary))?;
    let reason = match elf::needs_interpreter(&bytes) {
        Some(false) => return Ok(()),
        Some(true) => "is linked dynamically, a release must not be",
        None => "is not a 64-bit ELF file",
    };
    Err(Error::Binary { path: binary.to_path_buf(), reason })
}

fn version() -> Result<String, Error> {
    let manifest = place::read_toml(&place::root().join("Cargo.toml"))?;
    let version = manifest["workspace"]["package"]["version"].as_str();
    Ok(version.unwrap_or("unknown").to_owned())
}

fn stage(binary: &Path, staging: &Path) -> Result<(), Error> {
    if staging.exists() {
        fs::remove_dir_all(staging).map_err(Error::file(staging))?;
    }
    let man = staging.join("man");
    let completions = staging.join("completions");
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    copy(binary, &staging.join("nodekeep"))?;
    for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
        let source = place::root().join(file);
        if source.exists() {
            copy(&source, &staging.join(file))?;
        }
    }
    place::run(Command::new(binary).args(["man", "--out"]).arg(&man))?;
    write_completions(binary, &completions)
}

fn write_completions(binary: &Path, folder: &Path) -> Result<(), Error> {
    for (shell, file) in
        [("bash", "nodekeep.bash"), ("zsh", "_nodekeep"), ("fish", "nodekeep.fish")]
    {
        let script = place::output(Command::new(binary).args(["completions", shell]))?;
        let path = folder.join(file);
        fs::write(&path, script).map_err(Error::file(&path))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map(|_| ()).map_err(Error::file(from))
}

fn pack(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let archive = format!("{name}.tar.gz");
    place::run(
        Command::new("tar")
            .current_dir(folder)
            .args([
                "--create",
                "--sort=name",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
            ])
            .args(["--mode=u+rwX,go=rX", "--format=gnu", "--use-compress-program=gzip -n -9"])
            .args(["--file", &archive, name]),
    )?;
    let sum = place::output(Command::new("sha256sum").current_dir(folder).arg(&archive))?;
    print!("{}", String::from_utf8_lossy(&sum));
    let sum_file = folder.join(format!("{archive}.sha256"));
    fs::write(&sum_file, sum).map_err(Error::file(&sum_file))?;
    Ok(folder.join(archive))
}

fn print_size(what: &str, path: &Path) -> Result<(), Error> {
    let bytes = fs::metadata(path).map_err(Error::file(path))?.len();
    println!("{what}: {} ({:.1} MB)", path.display(), bytes as f64 / 1e6);
    Ok(())
}
