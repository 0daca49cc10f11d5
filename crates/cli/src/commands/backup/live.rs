//! `nodekeep backup PATH --kind KIND`: a database or the like, copied as one while it is in use.

use std::path::Path;

use clap::ValueEnum;
use nodekeep_nodes::kind::chain;
use nodekeep_nodes::profile::{JsonRule, JsonlRule, Kind, SqliteRule};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_service::loose;
use serde_json::json;

use super::{
    Backup, conclude, document, holds, missing, remember, repository_line, tell_unread, took,
};
use crate::error::{Error, Result};
use crate::nodes;
use crate::progress::Progress;
use crate::render;
use crate::session::App;

/// Kinds that serve without a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Live {
    Files,
    Sqlite,
    Rocksdb,
    Leveldb,
    Json,
    Jsonl,
    JsonlChain,
    Git,
}

impl Live {
    fn kind(self, path: &Path, chain: Option<&str>) -> Result<Option<Kind>> {
        Ok(match self {
            Self::Files => None,
            Self::Sqlite => Some(Kind::Sqlite(SqliteRule::default())),
            Self::Rocksdb => Some(Kind::Rocksdb),
            Self::Leveldb => Some(Kind::Leveldb),
            Self::Json => Some(Kind::Json(JsonRule::default())),
            Self::Jsonl => Some(Kind::Jsonl(JsonlRule::default())),
            Self::JsonlChain => Some(linked(path, chain)?),
            Self::Git => Some(Kind::Git),
        })
    }
}

/// How lines are linked: as it was said, or as a chain that is known.
fn linked(path: &Path, chain: Option<&str>) -> Result<Kind> {
    match chain {
        Some(rule) => Ok(chain::described(rule)?),
        None => chain::recognise(path).ok_or(Error::Options(
            "how the lines are linked is not plain; say it: --chain 'hash = \"hash\", previous = \"prev\", function = \"sha256\", over = [\"a\", \"b\"]' (see `chain` in docs/profiles.md)",
        )),
    }
}

impl Backup {
    /// The kind that was given, or that the only path plainly is of.
    ///
    /// # Errors
    /// If a kind was given for several paths, or for a file or a dry run.
    pub fn live_kind(&self) -> Result<Option<Kind>> {
        let is_plain = self.output.is_none() && !self.dry_run;
        let found = match (self.live, self.paths.as_slice()) {
            (Some(given), [path]) if is_plain => return given.kind(path, self.chain.as_deref()),
            (Some(Live::Files), _) => return Ok(None),
            (Some(_), _) => {
                return Err(Error::Options(
                    "--kind is for a single path that goes into a repository, not for --output or --dry-run",
                ));
            }
            (None, [path]) if is_plain => loose::recognise(path),
            (None, _) => None,
        };
        Ok(found)
    }

    /// Backs up the path as what it is.
    ///
    /// # Errors
    /// If it is not of that kind, or cannot be copied consistently.
    pub fn database(&self, app: &App, kind: &Kind) -> Result<()> {
        let source = FsSource::new(self.paths.clone()).map_err(missing)?;
        let Some(path) = source.paths().first() else {
            return Err(Error::Options("name a path"));
        };
        let mut options = self.options(app, &source)?;
        let (opened, made) = self.repository(app)?;
        options.cache = Some(app.home.cache(&opened.repository.id()));
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Backing up");
        let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
        let (report, captured) = ground.backup_path(path, kind, &options)?;
        progress.close();
        opened.pin()?;
        remember(app, &opened, report.snapshot)?;
        app.output.say(format!("Backed up {} as {}", path.display(), kind.word()))?;
        app.output.say(render::fields(&[
            ("snapshot", report.snapshot.map_or(String::new(), |id| id.short())),
            ("files", holds(&report)),
            ("holds", captured.position.text()),
            ("time", took(&report)),
            ("repository", repository_line(&opened)),
        ]))?;
        for note in &captured.notes {
            app.output.say(format!("  {}", render::path(note.text.as_bytes())))?;
        }
        tell_unread(app, &report)?;
        let mut told = document(&opened, &report, made.is_some());
        told["kind"] = json!(kind.word());
        told["position"] = json!(captured.position);
        told["notes"] = json!(captured.notes);
        let is_whole = report.errors.is_empty() && !captured.is_torn;
        conclude(app, made.as_ref(), &told, is_whole)
    }
}
