//! The only place that writes to the terminal: answers to standard output, the rest to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// How and where to write.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
    /// Only what was asked for, and errors.
    pub quiet: bool,
    /// Whether standard output takes colours.
    pub color: bool,
    /// Whether standard error is a terminal: bars may move there.
    pub live: bool,
}

impl Output {
    /// Looks at the terminal.
    pub fn new(json: bool, quiet: bool, no_color: bool) -> Self {
        let color = !json && !no_color && io::stdout().is_terminal();
        let live = !json && !quiet && io::stderr().is_terminal();
        Self { json, quiet, color, live }
    }

    /// What the command was asked for: a table, a list. Silent only with `--json`.
    pub fn answer(&self, text: impl Display) -> Result<()> {
        if self.json {
            return Ok(());
        }
        write_to(&mut io::stdout().lock(), &text).map_err(Error::Output)
    }

    /// What was done. Silent with `--quiet` and `--json`.
    pub fn say(&self, text: impl Display) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.answer(text)
    }

    /// The command's one document, with `--json`.
    pub fn document(&self, value: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::Output(e.into()))?;
        write_to(&mut io::stdout().lock(), &text).map_err(Error::Output)
    }

    /// A remark beside the result. Silent with `--quiet` and `--json`; nobody stops for its failure.
    pub fn remark(&self, text: impl Display) {
        if !self.quiet && !self.json {
            _ = write_to(&mut io::stderr().lock(), &text);
        }
    }

    /// Something that must be seen even with `--quiet`: errors, questions.
    pub fn alert(&self, text: impl Display) {
        _ = write_to(&mut io::stderr().lock(), &text);
    }

    /// A question: no line end.
    pub fn ask(&self, text: impl Display) {
        let mut to = io::stderr().lock();
        _ = write!(to, "{text} ").and_then(|()| to.flush());
    }

    /// Makes a heading of text.
    pub fn bold(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Bytes as they are.
///
/// # Errors
/// If standard output is gone.
pub fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut to = io::stdout().lock();
    to.write_all(bytes).and_then(|()| to.flush())
}

fn write_to(to: &mut impl Write, text: &impl Display) -> io::Result<()> {
    writeln!(to, "{text}").and_then(|()| to.flush())
}
