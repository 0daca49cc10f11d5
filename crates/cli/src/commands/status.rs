//! `nodekeep status`.

use clap::Args;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::roster::Role;
use serde_json::{Value, json};

use super::backup::{repository_line, still_missing};
use super::snapshot::{group, paths_text, snapshot_document};
use crate::error::Result;
use crate::render::{self, Table};
use crate::session::{App, Identity, Need, Opened, read_identity};

/// Show what is backed up, how old it is, and what is still missing
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any. A writer alone sees no snapshots, and is told so.

Examples:
  nodekeep status
  nodekeep status --json --repo /mnt/disk/backups")]
pub struct Status {}

impl Status {
    pub fn run(&self, app: &App) -> Result<()> {
        let state = State::load(app)?;
        app.output.answer(state.text())?;
        app.output.document(&state.document())
    }
}

/// What there is to know without reading data.
struct State {
    opened: Opened,
    /// Groups of snapshots, oldest first; `None` if the keys at hand do not read.
    groups: Option<Vec<Vec<SnapshotRecord>>>,
    objects: u64,
    bytes: u64,
    locked: Option<bool>,
    problems: usize,
}

impl State {
    fn load(app: &App) -> Result<Self> {
        let opened = app.open(Need::Look)?;
        let listed = opened.repository.store().list("")?;
        let identity = read_identity(&opened.keys.identity())?;
        let view = opened.repository.view()?;
        let mut problems = view.problems.len();
        let groups = match opened.repository.capability().reads_trees {
            true => {
                let (records, bad) = opened.repository.snapshots_in(&view)?;
                problems += bad.len();
                Some(group(records))
            }
            false => None,
        };
        Ok(Self {
            groups,
            objects: listed.len() as u64,
            bytes: listed.iter().map(|object| object.size).sum(),
            locked: identity.map(|identity| matches!(identity, Identity::Locked(_))),
            problems,
            opened,
        })
    }

    fn text(&self) -> String {
        let fields = render::fields(&[
            ("repository", repository_line(&self.opened)),
            (
                "size",
                format!(
                    "{} in {}",
                    render::size(self.bytes),
                    render::counted(self.objects, "object")
                ),
            ),
            ("members", self.members()),
            ("identity", self.identity()),
            ("damage", self.damage()),
        ]);
        format!(
            "{fields}\n\n{}\n\nStill missing:\n{}",
            self.snapshots(),
            still_missing(&self.opened, None)
        )
    }

    fn identity(&self) -> String {
        match self.locked {
            Some(true) => "here, locked with a passphrase",
            Some(false) => "here, not locked",
            None => "not on this machine",
        }
        .to_owned()
    }

    fn damage(&self) -> String {
        match self.problems {
            0 => String::new(),
            n => format!("{}: run nodekeep check", render::counted(n as u64, "damaged object")),
        }
    }

    fn members(&self) -> String {
        let members = &self.opened.repository.roster().members;
        let of = |role: Role| {
            members.iter().filter(|m| m.role == role && m.revoked.is_none()).count() as u64
        };
        let roles =
            [(Role::Reader, "reader"), (Role::Collector, "collector"), (Role::Writer, "writer")];
        let counts = roles.into_iter().filter(|(role, _)| of(*role) > 0);
        counts.map(|(role, noun)| render::counted(of(role), noun)).collect::<Vec<_>>().join(", ")
    }

    fn snapshots(&self) -> String {
        let Some(groups) = &self.groups else {
            return "The keys at hand do not read: the snapshots are not shown.".to_owned();
        };
        if groups.is_empty() {
            return "No snapshots yet. Make the first one: nodekeep backup PATH".to_owned();
        }
        let mut table = Table::new(&["newest", "age", ">snapshots", ">size", "host", "paths"]);
        let now = render::time::now_ms();
        for (newest, group) in groups.iter().filter_map(|group| Some((group.last()?, group))) {
            table.row([
                newest.id.short(),
                render::ago(newest.snapshot.started_ms, now),
                render::count(group.len() as u64),
                render::size(newest.snapshot.counts.bytes),
                render::path(newest.snapshot.host.as_bytes()),
                paths_text(newest),
            ]);
        }
        table.text()
    }

    fn document(&self) -> Value {
        let repository = &self.opened.repository;
        let group = |group: &Vec<SnapshotRecord>| {
            group.last().map(
                |newest| json!({ "snapshots": group.len(), "newest": snapshot_document(newest) }),
            )
        };
        let can = repository.capability();
        json!({
            "repository": {
                "location": self.opened.location(),
                "id": repository.id().hex(),
                "owner": render::fingerprint(&repository.config().root.0),
                "objects": self.objects,
                "bytes": self.bytes,
            },
            "roster": super::key::roster_document(repository),
            "groups": self.groups.as_ref().map(|groups| groups.iter().filter_map(group).collect::<Vec<_>>()),
            "can": {
                "list": can.reads_trees,
                "restore": can.reads_data,
                "backup": can.writes,
                "own": can.owns,
            },
            "identity_locked": self.locked,
            "words_confirmed": self.opened.keys.words_pending().is_none(),
            "offsite": false,
            "damaged_objects": self.problems,
        })
    }
}
