//! Where the workspace lies, and how its files are listed and programs started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Folders that hold no sources: build output, frozen data, and what fuzzing leaves.
const SKIPPED: [&str; 6] =
    ["target", "testdata", "node_modules", "corpus", "artifacts", "__pycache__"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Cargo's target folder: `CARGO_TARGET_DIR` where it is set.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Every file below `dir` with one of these extensions, sorted. Hidden folders and build output are skipped.
pub fn files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(dir, extensions, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::file(dir))? {
        let entry = entry.map_err(Error::file(dir))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(Error::file(&path))?;
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_ref()) {
            collect(&path, extensions, found)?;
        } else if kind.is_file() && has_extension(&path, extensions) {
            found.push(path);
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.contains(&extension))
}

/// The names of the folders directly in `dir`, sorted; empty if `dir` does not exist.
pub fn folders(dir: &Path) -> Result<Vec<String>, Error> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::file(dir))? {
        let entry = entry.map_err(Error::file(dir))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file(path))
}

/// A TOML file as a table.
pub fn read_toml(path: &Path) -> Result<toml::Table, Error> {
    let text = read(path)?;
    text.parse().map_err(|source| Error::Toml { path: path.to_path_buf(), source })
}

/// Runs a program to its end, its output on the terminal.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| start_error(command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { program: spelled(command), status, log: None })
}

/// Runs a program to its end and returns what it printed.
pub fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = command.output().map_err(|source| start_error(command, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::Failed { program: spelled(command), status: output.status, log: None })
}

/// The program and its arguments, for messages.
pub fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn start_error(command: &Command, source: std::io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

/// The folder of `PATH`, or of `extra`, that holds this program.
pub fn find_program(name: &str, extra: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(extra.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The first of these that is not on this machine; any name of each is enough.
pub fn missing(programs: &[&[&str]]) -> Option<String> {
    let is_missing = |names: &&&[&str]| names.iter().all(|name| find_program(name, &[]).is_none());
    programs.iter().find(is_missing).map(|names| names.join(" or "))
}

/// The `nodekeep` to try: the one that was given, or one that is built now.
pub fn nodekeep(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(bin) = given {
        return bin.canonicalize().map_err(Error::file(&bin));
    }
    let words = ["build", "--quiet", "--locked", "-p", "nodekeep"];
    run(cargo().current_dir(root()).args(words))?;
    Ok(target().join("debug/nodekeep"))
}
