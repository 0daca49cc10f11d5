//! Plans of remedies: what is going to be done, in words, before anything is touched.

use std::fmt;

use super::{Failure, Remedy};
use crate::fence::interchange::Interchange;
use crate::fence::judge::Ruling;
use crate::fence::mark::{Field, Mark, Value};
use crate::profile::{Advance, FenceKind, FenceRule, Line, MarkSource};

/// What is going to be done to a restored copy before it is put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The fence rule.
    pub rule: String,
    /// Its component.
    pub component: String,
    /// What was chosen.
    pub remedy: Remedy,
    /// The work.
    pub(super) action: Action,
}

/// The work of a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Numbers of a JSON file are raised.
    Json { file: String, pointer: String, targets: Vec<Mark> },
    /// A statement runs for each number.
    Statement { file: String, statement: String, targets: Vec<(String, u64)> },
    /// A line is appended for each number.
    Append { file: String, line: String, targets: Vec<(String, u64)> },
    /// Uses of keys are raised in a Minima wallet.
    Wallet { targets: Vec<(String, u64)> },
    /// A command runs for each number.
    Commands { line: Line, targets: Vec<(String, u64)> },
    /// An interchange file is merged with the highest.
    Merge { file: String, protection: Interchange },
    /// A command imports the highest.
    Import { line: Line, protection: Interchange },
    /// Files are removed.
    Remove { files: Vec<String> },
    /// The component is not put in place.
    LeaveOut,
}

/// Plans a remedy for a ruling.
///
/// # Errors
/// If the ruling does not offer it.
pub fn plan(rule: &FenceRule, ruling: &Ruling, remedy: Remedy) -> Result<Plan, Failure> {
    let is_offered = ruling.offers.iter().any(|offer| offer.remedy == Some(remedy));
    let action = if is_offered { action(rule, &ruling.targets, remedy)? } else { None };
    let action = action.ok_or_else(|| {
        let offered = ruling.offers.iter().filter_map(|offer| offer.remedy).map(Remedy::word);
        let offered = offered.collect::<Vec<_>>().join(", ");
        Failure::NotOffered { rule: rule.name.clone(), remedy: remedy.word(), offered }
    })?;
    let (rule, component) = (rule.name.clone(), rule.component.clone());
    Ok(Plan { rule, component, remedy, action })
}

impl Plan {
    /// The component that must not be put in place, if that is the remedy.
    pub fn leaves_out(&self) -> Option<&str> {
        (self.action == Action::LeaveOut).then_some(self.component.as_str())
    }
}

impl Action {
    /// Where the copy must be afterwards.
    pub(super) fn targets(&self, rule: &FenceRule) -> Vec<Mark> {
        let mark = |(key, number): &(String, u64)| Mark {
            rule: rule.name.clone(),
            kind: rule.kind,
            key: key.clone(),
            value: Value::Number(*number),
        };
        match self {
            Self::Json { targets, .. } => targets.clone(),
            Self::Statement { targets, .. }
            | Self::Append { targets, .. }
            | Self::Wallet { targets }
            | Self::Commands { targets, .. } => targets.iter().map(mark).collect(),
            Self::Merge { protection, .. } | Self::Import { protection, .. } => {
                protection.marks(&rule.name, rule.kind)
            }
            Self::Remove { .. } | Self::LeaveOut => Vec::new(),
        }
    }
}

fn action(rule: &FenceRule, targets: &[Mark], remedy: Remedy) -> Result<Option<Action>, Failure> {
    Ok(match (remedy, &rule.mark) {
        (Remedy::Advance, mark) => advance(mark, rule.advance.as_ref(), targets),
        (Remedy::Import, MarkSource::Slashing { file, import, .. }) => {
            let unfit = |source| Failure::Unfit { rule: rule.name.clone(), source };
            let protection = Interchange::of_marks(targets).map_err(unfit)?;
            protection.and_then(|protection| match (import, file) {
                (Some(line), _) => Some(Action::Import { line: line.clone(), protection }),
                (None, Some(file)) => Some(Action::Merge { file: file.clone(), protection }),
                (None, None) => None,
            })
        }
        (Remedy::Drop, MarkSource::Content { files }) => {
            Some(Action::Remove { files: files.clone() })
        }
        (Remedy::Without, _) => Some(Action::LeaveOut),
        (Remedy::Import | Remedy::Drop, _) => None,
    })
}

fn advance(mark: &MarkSource, advance: Option<&Advance>, targets: &[Mark]) -> Option<Action> {
    let number =
        |mark: &Mark| mark.value.number(Field::Count).map(|number| (mark.key.clone(), number));
    let numbers = || targets.iter().filter_map(number).collect();
    match (mark, advance) {
        (MarkSource::Json { file, pointer }, _) => {
            let (file, pointer) = (file.clone(), pointer.clone());
            Some(Action::Json { file, pointer, targets: targets.to_vec() })
        }
        (MarkSource::Sqlite { file, .. }, Some(Advance::Statement(statement))) => {
            let (file, statement) = (file.clone(), statement.clone());
            Some(Action::Statement { file, statement, targets: numbers() })
        }
        (MarkSource::Jsonl { file, .. }, Some(Advance::Appended(line))) => {
            let (file, line) = (file.clone(), line.clone());
            Some(Action::Append { file, line, targets: numbers() })
        }
        (MarkSource::Minima(_), _) => Some(Action::Wallet { targets: numbers() }),
        (MarkSource::Command(_), Some(Advance::Command(line))) => {
            Some(Action::Commands { line: line.clone(), targets: numbers() })
        }
        _ => None,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.rule, self.component)?;
        match &self.action {
            Action::Json { file, targets, .. } => {
                writeln!(f, "raise in {}", of(file))?;
                targets.iter().try_for_each(|mark| writeln!(f, "    {}", aim(mark)))
            }
            Action::Statement { file, targets, .. } => {
                writeln!(f, "raise in {}, by the profile's statement", of(file))?;
                numbers(f, targets)
            }
            Action::Append { file, targets, .. } => {
                writeln!(f, "append to {}, by the profile's line", of(file))?;
                numbers(f, targets)
            }
            Action::Wallet { targets } => {
                writeln!(f, "raise the uses of keys in the wallet")?;
                numbers(f, targets)
            }
            Action::Commands { line, targets } => {
                writeln!(f, "raise by `{}`", program(line))?;
                numbers(f, targets)
            }
            Action::Merge { file, protection } => {
                writeln!(f, "merge the highest slashing protection into {}", of(file))?;
                validators(f, protection)
            }
            Action::Import { line, protection } => {
                writeln!(f, "import the highest slashing protection by `{}`", program(line))?;
                validators(f, protection)
            }
            Action::Remove { files } => {
                let files: Vec<&str> = files.iter().map(|file| of(file)).collect();
                writeln!(f, "remove {}, so that it is negotiated anew", files.join(", "))
            }
            Action::LeaveOut => writeln!(f, "not restored"),
        }
    }
}

/// A file's name; the component's own is empty.
pub(super) fn of(file: &str) -> &str {
    if file.is_empty() { "it" } else { file }
}

pub(super) fn program(line: &Line) -> &str {
    line.argv.first().map_or("", String::as_str)
}

fn numbers(f: &mut fmt::Formatter<'_>, targets: &[(String, u64)]) -> fmt::Result {
    targets.iter().try_for_each(|(key, number)| writeln!(f, "    {}at least {number}", label(key)))
}

fn validators(f: &mut fmt::Formatter<'_>, protection: &Interchange) -> fmt::Result {
    let marks = protection.marks("", FenceKind::SlashingProtection);
    marks.iter().try_for_each(|mark| writeln!(f, "    {}", aim(mark)))
}

/// Where a mark must be at least.
fn aim(mark: &Mark) -> String {
    let numbers = mark.value.numbers();
    let numbers =
        numbers.iter().filter_map(|(field, number)| number.map(|number| (field.word(), number)));
    let words: Vec<String> =
        numbers.map(|(word, number)| format!("{word} {number}").trim().to_owned()).collect();
    let least = if matches!(mark.value, Value::Number(_)) { "at least " } else { "" };
    format!("{}{least}{}", label(&mark.key), words.join(", "))
}

fn label(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
