//! `nodekeep repo stop-session`.

use clap::Args;
use nodekeep_repo::sessions::StoppedBy;
use serde_json::json;

use crate::error::{Error, Result};
use crate::session::{App, Need};

/// End a session so that it can commit nothing more
#[derive(Debug, Args)]
#[command(
    before_help = "A backup that is still running notices at its end: what it stored by then counts as not committed, and it begins again by itself, up to three times. Nothing that was committed is touched. To keep a writer out for good, remove it: nodekeep key remove."
)]
#[command(after_help = "\
Role: owner; a writer may end its own.

Examples:
  nodekeep repo sessions
  nodekeep repo stop-session 4f2a91c0")]
pub struct StopSession {
    /// Its id, or the first digits of it
    id: String,
}

impl StopSession {
    pub fn run(&self, app: &App) -> Result<()> {
        let wanted = self.id.to_lowercase();
        if wanted.len() < 4 {
            return Err(Error::ShortId { wanted: self.id.clone() });
        }
        let opened = app.open(Need::Look)?;
        if !opened.repository.store().can_list() {
            return Err(Error::ReadOnlyMirror { location: opened.location().to_owned() });
        }
        opened.repository.refuse_mirror()?;
        let (id, by) = opened.repository.stop_session(&wanted)?;
        app.output.say(format!(
            "Stopped session {}. If its backup still runs, it will notice at its end, and begin again.",
            id.short()
        ))?;
        app.output.document(&json!({
            "stopped": id.hex(),
            "by": match by { StoppedBy::Keeper => "keeper", StoppedBy::Writer => "writer" },
        }))
    }
}
