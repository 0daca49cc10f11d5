//! `/log`: what the daemon went through.

use nodekeep_service::diary::{self, Level};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Page, words};
use crate::call::Call;
use crate::problem::Problem;

/// A line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogLine {
    /// When.
    at: String,
    /// `info`, `warn` or `error`.
    level: String,
    /// What, in a sentence.
    text: String,
    /// The node, if it is about one.
    node: Option<String>,
    /// The job, if it is about one.
    job: Option<String>,
}

impl From<&diary::Line> for LogLine {
    fn from(line: &diary::Line) -> Self {
        let level = match line.level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        Self {
            at: words::time(line.at),
            level: level.to_owned(),
            text: line.text.clone(),
            node: line.node.clone(),
            job: line.job.clone(),
        }
    }
}

/// `GET /log`, newest first.
pub fn list(call: &Call) -> Result<Page<LogLine>, Problem> {
    let limit = call.query.limit()?;
    let before = call.query.offset()?;
    let lines = diary::lines(&call.house.site.folder)?;
    let older = |line: &&diary::Line| before == 0 || line.number < before as u64;
    let page = Page::of(lines.iter().rev().filter(older), 0, limit);
    let next = page.next.and(page.items.last().map(|line| line.number.to_string()));
    Ok(Page { items: page.items.into_iter().map(LogLine::from).collect(), next })
}
