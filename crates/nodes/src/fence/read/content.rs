//! Marks of content that has no number: a digest of names and bytes of the files that match.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Failure, Marks, unreadable, within};
use crate::fence::mark::{Content, Digest, Value};

/// How often it is tried while files appear and go.
const TRIES: u32 = 5;

/// Of the files below a component that match one of the patterns, sorted by name. `.` is the component itself.
pub(super) fn digest(component: &Path, patterns: &[String]) -> Marks {
    if !component.exists() {
        return Err(Failure::Absent(component.display().to_string()));
    }
    if let Some(pattern) = patterns.iter().find(|pattern| within(component, pattern).is_none()) {
        return Err(Failure::Unreadable(format!("`{pattern}` leaves the component")));
    }
    let mut tries = 1;
    loop {
        match all(component, patterns) {
            Ok(content) => return Ok(vec![(String::new(), Value::Content(content))]),
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => {
                tries += 1
            }
            Err((path, error)) => return Err(unreadable(&path, error)),
        }
    }
}

/// Files that match, sorted by name, relative to the component.
///
/// # Errors
/// The path that could not be read.
pub(in crate::fence) fn matching(
    component: &Path,
    patterns: &[String],
) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    for pattern in patterns {
        let steps: Vec<&str> =
            pattern.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
        walk(component, Path::new(""), &steps, &mut found)?;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(
    component: &Path,
    below: &Path,
    steps: &[&str],
    found: &mut Vec<PathBuf>,
) -> Result<(), (PathBuf, io::Error)> {
    let here =
        if below.as_os_str().is_empty() { component.to_owned() } else { component.join(below) };
    let failed = |error| (here.clone(), error);
    let Some((step, rest)) = steps.split_first() else {
        if here.is_file() {
            found.push(below.to_owned());
        }
        return Ok(());
    };
    if !here.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&here).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if matches(step.as_bytes(), name.as_bytes()) {
            walk(component, &below.join(name), rest, found)?;
        }
    }
    Ok(())
}

fn all(component: &Path, patterns: &[String]) -> Result<Content, (PathBuf, io::Error)> {
    let files = matching(component, patterns)?;
    let mut hasher = Sha256::new();
    for file in &files {
        let path =
            if file.as_os_str().is_empty() { component.to_owned() } else { component.join(file) };
        let name = file.as_os_str().as_bytes();
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(of_file(&path).map_err(|error| (path, error))?);
    }
    Ok(Content { digest: Digest::finish(hasher), files: files.len() as u64 })
}

fn of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..read]);
    }
}

/// `*` is any part of a name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < name.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                star = Some((at.0, at.1));
                at.0 += 1;
            }
            Some(byte) if *byte == name[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => match star {
                Some((from, to)) => {
                    star = Some((from, to + 1));
                    at = (from + 1, to + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at.0..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_part_of_a_name() {
        let cases = [
            ("*", "anything", true),
            ("*.json", "a.json", true),
            ("*.json", "a.json.bak", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("session", "session", true),
            ("session", "sessions", false),
            ("**", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
