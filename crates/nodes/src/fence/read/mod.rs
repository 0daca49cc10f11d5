//! Reads the marks of a node where its components lie: live, in a sandbox, or in a snapshot that somebody put down.
//!
//! Nothing is written, and what cannot be read is said to be so.

mod content;
mod lines;
mod minima;
mod numbers;
mod sqlite;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

pub(super) use self::content::matching;
pub(super) use self::numbers::whole as whole_number;

use super::interchange::{Interchange, LARGEST};
use super::look::{Look, Seen};
use super::mark::{Mark, Value};
use crate::command::Program;
use crate::node::Node;
use crate::profile::{FenceKind, FenceRule, Line, MarkSource, Variables, fill};

/// The largest JSON document that is read, in bytes.
const LARGEST_JSON: u64 = 64 << 20;

/// What lies where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A node's own state, which may be in use.
    Live,
    /// A copy that nobody uses. Programs that do not name where it lies would speak of the live node, so they do not run.
    Copy,
}

/// Where the state of one rule lies.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The component: absolute.
    pub path: &'a Path,
    /// For commands.
    pub variables: &'a Variables,
    /// What lies there.
    pub state: State,
}

/// Why there are no marks.
enum Failure {
    Absent(String),
    Unreadable(String),
}

/// Marks by key.
type Marks = Result<Vec<(String, Value)>, Failure>;

/// Looks at every fence rule of a node, where the node's folders say; [`Node::moved`] makes that a sandbox.
pub fn look(node: &Node, state: State) -> Look {
    let variables = node.variables();
    let look = |rule: &FenceRule| {
        let seen = match node.component(&rule.component) {
            Ok(located) => read(rule, Site { path: &located.path, variables: &variables, state }),
            Err(error) => Seen::Absent(error.to_string()),
        };
        (rule.name.clone(), seen)
    };
    Look(node.profile.fence.iter().map(look).collect())
}

/// Reads the marks of one rule.
pub fn read(rule: &FenceRule, site: Site<'_>) -> Seen {
    match site.marks(rule) {
        Ok(marks) => Seen::Read(in_order(rule, marks)),
        Err(Failure::Absent(what)) => Seen::Absent(what),
        Err(Failure::Unreadable(why)) => Seen::Unreadable(why),
    }
}

fn in_order(rule: &FenceRule, mut marks: Vec<(String, Value)>) -> Vec<Mark> {
    marks.sort_by(|one, other| one.0.cmp(&other.0));
    let mark = |(key, value)| Mark { rule: rule.name.clone(), kind: rule.kind, key, value };
    marks.into_iter().map(mark).collect()
}

impl Site<'_> {
    fn marks(&self, rule: &FenceRule) -> Marks {
        match &rule.mark {
            MarkSource::Json { file, pointer } => {
                let path = self.file(file)?;
                let document = serde_json::from_slice(&whole(&path, LARGEST_JSON)?);
                let document = document.map_err(|error| unreadable(&path, error))?;
                numbers::at(&document, pointer, rule.kind == FenceKind::ValidatorState)
                    .map_err(|why| unreadable(&path, why))
            }
            MarkSource::Jsonl { file, key, value } => {
                let path = self.file(file)?;
                lines::highest(open(&path)?, key.as_deref(), value)
                    .map_err(|why| unreadable(&path, why))
            }
            MarkSource::Sqlite { file, query } => {
                let path = self.file(file)?;
                open(&path)?;
                sqlite::query(&path, query, self.state).map_err(|why| unreadable(&path, why))
            }
            MarkSource::Lines { file } => {
                let path = self.file(file)?;
                let count = lines::count(open(&path)?).map_err(|why| unreadable(&path, why))?;
                Ok(vec![(String::new(), Value::Number(count))])
            }
            MarkSource::Command(line) => {
                let stdout = self.run(line)?;
                numbers::of_text(&stdout).map_err(|why| {
                    Failure::Unreadable(format!("what `{}` wrote: {why}", name(line)))
                })
            }
            MarkSource::Slashing { file, export, .. } => {
                self.slashing(rule, file.as_deref(), export.as_ref())
            }
            MarkSource::Content { files } => content::digest(self.path, files),
            MarkSource::Minima(rule) => match self.state {
                State::Live => minima::of_node(rule, self.variables),
                State::Copy => minima::of_copy(self.path),
            },
        }
    }

    fn slashing(&self, rule: &FenceRule, file: Option<&str>, export: Option<&Line>) -> Marks {
        let (bytes, origin) = match (export, file) {
            (Some(line), _) => (self.run(line)?, format!("what `{}` wrote", name(line))),
            (None, Some(file)) => {
                let path = self.file(file)?;
                (whole(&path, LARGEST)?, path.display().to_string())
            }
            (None, None) => {
                return Err(Failure::Unreadable(
                    "the rule names neither `file` nor `export`".to_owned(),
                ));
            }
        };
        let protection = Interchange::read(&bytes);
        let protection =
            protection.map_err(|error| Failure::Unreadable(format!("{origin}: {error}")))?;
        let marks = protection.marks(&rule.name, rule.kind);
        Ok(marks.into_iter().map(|mark| (mark.key, mark.value)).collect())
    }

    /// A file of the component; the component itself if the name is empty.
    fn file(&self, name: &str) -> Result<PathBuf, Failure> {
        within(self.path, name)
            .ok_or_else(|| Failure::Unreadable(format!("`{name}` leaves the component")))
    }

    /// A command that runs for a copy names it: `{component}`, or a folder that it lies in. Any other would speak of the live node.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn must_speak_of_copy(&self, line: &Line) -> Result<(), String> {
        let holds = |folder: &str| {
            Path::new(folder).is_absolute() && self.path.starts_with(folder) && folder != "/"
        };
        let folders =
            self.variables.iter().filter(|(_, value)| holds(value)).map(|(name, _)| name.as_str());
        let names: Vec<String> =
            folders.chain(["component"]).map(|name| format!("{{{name}}}")).collect();
        let speaks = line.argv.iter().any(|word| names.iter().any(|name| word.contains(name)));
        if speaks {
            return Ok(());
        }
        Err(format!(
            "`{}` names neither {{component}} nor a folder that it lies in, so it speaks only of the live node",
            name(line)
        ))
    }

    fn run(&self, line: &Line) -> Result<Vec<u8>, Failure> {
        if self.state == State::Copy {
            self.must_speak_of_copy(line).map_err(Failure::Unreadable)?;
        }
        if !self.path.exists() {
            return Err(Failure::Absent(self.path.display().to_string()));
        }
        let program = program(line, self.path, self.variables, &[]);
        let done = program.and_then(|program| program.run());
        done.map(|done| done.stdout).map_err(|error| Failure::Unreadable(error.to_string()))
    }
}

/// A program from a line of a profile. `{component}` is the component's path.
pub(super) fn program(
    line: &Line,
    component: &Path,
    variables: &Variables,
    more: &[(&str, &str)],
) -> crate::error::Result<Program> {
    let mut variables = variables.clone();
    variables.insert("component".to_owned(), component.display().to_string());
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let argv = line.argv.iter().map(|word| fill(word, &variables)).collect::<Result<_, _>>()?;
    Ok(Program { patience: line.patience, ..Program::new(argv) })
}

/// A path below a component; the component itself for an empty name or `.`.
pub(super) fn within(component: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let stays =
        name.components().all(|step| matches!(step, Component::Normal(_) | Component::CurDir));
    let is_itself = name.components().all(|step| step == Component::CurDir);
    match (stays, is_itself) {
        (false, _) => None,
        (true, true) => Some(component.to_owned()),
        (true, false) => Some(component.join(name)),
    }
}

/// The program's name, which holds no arguments.
fn name(line: &Line) -> &str {
    line.argv.first().map_or("", String::as_str)
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Unreadable(format!("{}: {why}", path.display()))
}

fn failure(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    |error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Absent(path.display().to_string()),
        _ => unreadable(path, error),
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let metadata = fs::metadata(path).map_err(failure(path))?;
    if !metadata.is_file() {
        return Err(unreadable(path, "is not a file"));
    }
    File::open(path).map_err(failure(path))
}

fn whole(path: &Path, largest: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    open(path)?.take(largest + 1).read_to_end(&mut bytes).map_err(failure(path))?;
    if bytes.len() as u64 > largest {
        return Err(unreadable(path, format!("is larger than {largest} bytes")));
    }
    Ok(bytes)
}
