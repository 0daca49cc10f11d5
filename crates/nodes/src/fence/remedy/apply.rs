//! Applies a planned remedy to a restored copy, and looks whether it did what it should.
//!
//! A copy that a failed remedy has touched must not be put in place.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::plan::{Action, Plan, of, program as name};
use super::{Failure, json, wallet};
use crate::error::Error;
use crate::fence::interchange::Interchange;
use crate::fence::look::Seen;
use crate::fence::mark::{Content, Value};
use crate::fence::read::{self, Site, matching, program, within};
use crate::profile::{FenceRule, Line, Variables, fill};

impl Plan {
    /// Applies it to the component that lies at the site. `scratch` is an empty folder, 0700, for what a command imports.
    /// Returns what was done, in lines for people.
    ///
    /// # Errors
    /// If the copy cannot be changed, or does not say afterwards what it must. Then it must not be put in place.
    pub fn apply(
        &self,
        rule: &FenceRule,
        site: Site<'_>,
        scratch: &Path,
    ) -> Result<Vec<String>, Failure> {
        let mut said = match &self.action {
            Action::Json { file, pointer, targets } => {
                json::raise(&self.file(site, file)?, pointer, targets)?
            }
            Action::Statement { file, statement, targets } => {
                state(&self.file(site, file)?, statement, targets)?
            }
            Action::Append { file, line, targets } => {
                append(&self.file(site, file)?, line, targets)?
            }
            Action::Wallet { targets } => wallet::raise(site.path, targets)?,
            Action::Commands { line, targets } => run(line, site, targets)?,
            Action::Merge { file, protection } => {
                merge(&self.file(site, file)?, protection, &self.rule)?
            }
            Action::Import { line, protection } => import(line, site, protection, scratch)?,
            Action::Remove { files } => remove(site.path, files)?,
            Action::LeaveOut => return Ok(vec![format!("{} was not restored", self.component)]),
        };
        said.extend(self.check(rule, site)?);
        Ok(said)
    }

    fn file(&self, site: Site<'_>, name: &str) -> Result<PathBuf, Failure> {
        let leaves = || Failure::NotReached {
            rule: self.rule.clone(),
            why: format!("`{name}` leaves the component"),
        };
        within(site.path, name).ok_or_else(leaves)
    }

    /// Reads the copy again: everything is where it must be.
    fn check(&self, rule: &FenceRule, site: Site<'_>) -> Result<Option<String>, Failure> {
        let not_reached = |why: String| Failure::NotReached { rule: self.rule.clone(), why };
        let seen = read::read(rule, site);
        match (&self.action, seen) {
            (Action::Remove { .. }, Seen::Read(marks))
                if marks.iter().all(|mark| is_nothing(&mark.value)) =>
            {
                Ok(None)
            }
            (Action::Remove { .. }, Seen::Absent(_)) => Ok(None),
            // What the live node alone can tell cannot be looked at before it runs.
            (Action::Commands { .. } | Action::Import { .. }, Seen::Unreadable(why)) => {
                Ok(Some(format!("could not be looked at afterwards: {why}")))
            }
            (_, Seen::Unreadable(why) | Seen::Absent(why)) => Err(not_reached(why)),
            (Action::Remove { .. }, Seen::Read(_)) => {
                Err(not_reached("files are still there".to_owned()))
            }
            (action, Seen::Read(marks)) => {
                let reached = |place, value: &Value| {
                    let mut own = marks.iter().filter(|mark| mark.place() == place);
                    own.any(|mark| is_at_least(&mark.value, value))
                };
                let mut targets = action.targets(rule);
                if matches!(action, Action::Wallet { .. }) {
                    // A key that the wallet does not have cannot sign.
                    targets.retain(|mark| marks.iter().any(|own| own.place() == mark.place()));
                }
                match targets.into_iter().find(|mark| !reached(mark.place(), &mark.value)) {
                    Some(mark) => Err(not_reached(format!("`{}` is still too low", mark.key))),
                    None => Ok(None),
                }
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Content(Content { files: 0, .. }))
}

fn is_at_least(value: &Value, target: &Value) -> bool {
    value.join(target).is_some_and(|joined| joined.numbers() == value.numbers())
}

fn state(file: &Path, statement: &str, targets: &[(String, u64)]) -> Result<Vec<String>, Failure> {
    let failed = |error: rusqlite::Error| {
        let reason = format!("the profile's statement failed: {error}");
        Failure::from(Error::Damaged { path: file.to_owned(), reason })
    };
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    for (key, number) in targets {
        let mut prepared = transaction.prepare(statement).map_err(failed)?;
        let number = i64::try_from(*number).unwrap_or(i64::MAX);
        if let Some(at) = prepared.parameter_index(":key").map_err(failed)? {
            prepared.raw_bind_parameter(at, key).map_err(failed)?;
        }
        if let Some(at) = prepared.parameter_index(":value").map_err(failed)? {
            prepared.raw_bind_parameter(at, number).map_err(failed)?;
        }
        prepared.raw_execute().map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(lines(targets))
}

fn append(file: &Path, line: &str, targets: &[(String, u64)]) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    for (key, number) in targets {
        // As JSON text, without its quotation marks.
        let key = serde_json::Value::from(key.as_str()).to_string();
        let key = key.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
        let values =
            Variables::from([("key".to_owned(), key), ("value".to_owned(), number.to_string())]);
        text.push_str(fill(line, &values)?.trim_end());
        text.push('\n');
    }
    let before = fs::read(file).map_err(Error::file(file, "reading"))?;
    let whole = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let opened = OpenOptions::new().append(true).open(file);
    let written = opened.and_then(|mut file| {
        // A torn last line is no line: what is appended would become part of it.
        file.set_len(whole as u64)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(Error::file(file, "appending"))?;
    Ok(lines(targets))
}

fn run(line: &Line, site: Site<'_>, targets: &[(String, u64)]) -> Result<Vec<String>, Failure> {
    site.must_speak_of_copy(line).map_err(|why| Failure::Command { why })?;
    for (key, number) in targets {
        let number = number.to_string();
        let values = [("key", key.as_str()), ("value", number.as_str())];
        program(line, site.path, site.variables, &values)?.run()?;
    }
    Ok(lines(targets))
}

fn merge(file: &Path, protection: &Interchange, rule: &str) -> Result<Vec<String>, Failure> {
    let unfit = |source| Failure::Unfit { rule: rule.to_owned(), source };
    let held = fs::read(file).ok().and_then(|bytes| Interchange::read(&bytes).ok());
    // A document that cannot be read protects nobody: the highest take its place.
    let merged = held
        .map_or_else(|| Ok(protection.clone()), |held| held.merge(protection))
        .map_err(unfit)?;
    write(file, &merged.write())?;
    let count = protection.validators.len();
    Ok(vec![format!(
        "{count} validators in {} are at the highest that is known",
        of(&file.display().to_string())
    )])
}

fn import(
    line: &Line,
    site: Site<'_>,
    protection: &Interchange,
    scratch: &Path,
) -> Result<Vec<String>, Failure> {
    site.must_speak_of_copy(line).map_err(|why| Failure::Command { why })?;
    let file = scratch.join("slashing-protection.json");
    write(&file, &protection.write())?;
    let path = file.display().to_string();
    let ran = program(line, site.path, site.variables, &[("file", path.as_str())])
        .and_then(|program| program.run());
    fs::remove_file(&file).map_err(Error::file(&file, "removing"))?;
    ran?;
    Ok(vec![format!(
        "{} validators were imported by `{}`",
        protection.validators.len(),
        name(line)
    )])
}

fn remove(component: &Path, patterns: &[String]) -> Result<Vec<String>, Failure> {
    let found = matching(component, patterns);
    let found = found.map_err(|(path, error)| Error::file(path, "listing")(error))?;
    let mut said = Vec::new();
    for file in found {
        let path =
            if file.as_os_str().is_empty() { component.to_owned() } else { component.join(file) };
        fs::remove_file(&path).map_err(Error::file(&path, "removing"))?;
        said.push(format!("removed {}", path.display()));
    }
    Ok(said)
}

/// Writes into a file that nobody uses; its mode stays, and a new one is private.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::file(file, "writing"))
}

fn lines(targets: &[(String, u64)]) -> Vec<String> {
    let line = |(key, number): &(String, u64)| match key.as_str() {
        "" => format!("raised to at least {number}"),
        key => format!("{key}: raised to at least {number}"),
    };
    targets.iter().map(line).collect()
}
