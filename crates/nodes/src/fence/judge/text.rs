//! The verdict in words: exactly what would run backwards, why that is bad, and what to type.

use std::fmt;

use super::{Doubt, Finding, Gap, Rewind, Ruling, Step, Verdict};
use crate::fence::known::{Generation, span};
use crate::fence::remedy::{Offer, Remedy};

/// More lines than this of one rule are counted, not listed; JSON has them all.
const MOST_LINES: usize = 20;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ruling in &self.rulings {
            write!(f, "{ruling}")?;
        }
        Ok(())
    }
}

impl Ruling {
    /// What was found, without what can be done: for where that was decided.
    pub fn found(&self) -> String {
        Found(self).to_string()
    }
}

/// A ruling without its offers.
struct Found<'a>(&'a Ruling);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{} ({})", self.0.rule, self.0.component);
        match &self.0.finding {
            Finding::Clear => writeln!(f, "{head}: nothing runs backwards"),
            Finding::Rewinds(rewinds) => {
                writeln!(f, "{head}: this would run backwards")?;
                list(f, rewinds)
            }
            Finding::Unknown(doubt) => {
                writeln!(f, "{head}: {}", doubt.reason)?;
                write!(f, "{doubt}")
            }
            Finding::Unreadable(reason) => {
                writeln!(f, "{head}: how far the snapshot is cannot be told: {reason}")
            }
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Found(self))?;
        if self.is_clear() {
            return Ok(());
        }
        if self.raises_itself {
            writeln!(f, "  Done by itself: the restored copy is raised to at least that")?;
            writeln!(f, "  Otherwise: {}", self.about)?;
            writeln!(f, "  Instead of it:")?;
        } else {
            writeln!(f, "  Why it is refused: {}", self.about)?;
            writeln!(f, "  What can be done:")?;
        }
        let is_done = |offer: &&Offer| self.raises_itself && offer.remedy == Some(Remedy::Advance);
        for offer in self.offers.iter().filter(|offer| !is_done(offer)) {
            writeln!(f, "    {}\n        {}", offer.option, offer.what)?;
        }
        Ok(())
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.last_record, &self.machine) {
            (Some(at), Some(machine)) => writeln!(
                f,
                "  last recorded at {at} on {}, {} ago; what happened since is unknown",
                machine.host,
                span(self.elapsed_secs)
            )?,
            _ => writeln!(f, "  nothing was ever recorded; what happened is unknown")?,
        }
        if !self.rewinds.is_empty() {
            writeln!(f, "  compared with the record, this would run backwards")?;
            list(f, &self.rewinds)?;
        }
        list(f, &self.gaps)
    }
}

impl fmt::Display for Rewind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Step::Number { field, from, to, by } => {
                label(f, &self.key, field.word())?;
                match to {
                    Some(to) => write!(f, "{from} -> {to}, {by} back"),
                    None => write!(f, "{from} -> nothing in the snapshot, {by} back"),
                }
            }
            Step::Content { from, to } => {
                label(f, &self.key, "content")?;
                generation(f, from.as_ref(), "not recorded yet")?;
                write!(f, " -> ")?;
                generation(f, to.as_ref(), "one that was never recorded, or nothing")
            }
            Step::Root { field, at } => {
                label(f, &self.key, field.word())?;
                write!(f, "{at} -> {at}, but another message would be allowed")
            }
            Step::Incomparable => {
                label(f, &self.key, "")?;
                write!(
                    f,
                    "record and snapshot cannot be compared: the rule was changed; give it a new name"
                )
            }
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { highest, margin, floor, advance_to, .. } = self;
        label(f, &self.key, self.field.word())?;
        write!(f, "highest known {highest}, margin {margin} (floor {floor}, ")?;
        match &self.rate {
            Some(rate) => write!(f, "fastest recorded {rate}, {} ago", span(self.elapsed_secs))?,
            None => write!(f, "no rate known")?,
        }
        write!(f, "), so at least {advance_to}")
    }
}

fn list(f: &mut fmt::Formatter<'_>, lines: &[impl fmt::Display]) -> fmt::Result {
    for line in lines.iter().take(MOST_LINES) {
        writeln!(f, "    {line}")?;
    }
    match lines.len().saturating_sub(MOST_LINES) {
        0 => Ok(()),
        more => writeln!(f, "    and {more} more"),
    }
}

fn label(f: &mut fmt::Formatter<'_>, key: &str, word: &str) -> fmt::Result {
    match (key, word) {
        ("", "") => Ok(()),
        ("", label) | (label, "") => write!(f, "{label}: "),
        (key, word) => write!(f, "{key} {word}: "),
    }
}

fn generation(f: &mut fmt::Formatter<'_>, which: Option<&Generation>, none: &str) -> fmt::Result {
    match which {
        Some(Generation { number, at }) => write!(f, "generation {number} (last recorded {at})"),
        None => write!(f, "{none}"),
    }
}
