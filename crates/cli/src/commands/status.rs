//! `nodekeep status`.

mod fleet;

use clap::Args;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::roster::Role;
use nodekeep_repo::scrub::ScrubStatus;
use nodekeep_service::find::is_record;
use serde_json::{Value, json};

use super::backup::{repository_line, still_missing};
use super::health::Health;
use super::repo::scrub::{due_document, proven_text};
use super::snapshot::{group, paths_text, snapshot_document};
use crate::copies::{self, CopyRecord};
use crate::error::Result;
use crate::render::{self, Table};
use crate::session::{App, Identity, Need, Opened, read_identity, warn_of_lost};

/// Show what is backed up, how old it is, and what is still missing
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any. A writer alone sees no snapshots, and is told so.

Exit code 13: a node is at risk. Exit code 14: one is overdue, has failed, or was never backed up. Both with --all or a NODE.

Examples:
  nodekeep status
  nodekeep status --all
  nodekeep status guts
  nodekeep status guts --wait
  nodekeep status --json --repo /mnt/disk/backups")]
pub struct Status {
    /// Only this node: its health, and whether it is safe
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Every node whose snapshots lie here, from whichever machine, and whether it is safe
    #[arg(long, conflicts_with = "node")]
    all: bool,
    /// Of a node: look again until all is well
    #[arg(long, alias = "wait-sync", requires = "node")]
    wait: bool,
}

impl Status {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.all {
            return fleet::all(app);
        }
        if let Some(name) = &self.node {
            return match self.wait {
                true => Health::waiting(name).run(app),
                false => fleet::one(app, name),
            };
        }
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
    /// Objects and their bytes; `None` where the store has no lists.
    objects: Option<u64>,
    bytes: Option<u64>,
    copies: Vec<CopyRecord>,
    /// Snapshots that were seen here and are gone without a record of deletion.
    lost: usize,
    locked: Option<bool>,
    problems: usize,
    /// How far every byte is proven; `None` where nothing was ever scrubbed, or the store has no lists.
    scrub: Option<ScrubStatus>,
}

impl State {
    fn load(app: &App) -> Result<Self> {
        let opened = app.open(Need::Look)?;
        let listed = opened.objects()?;
        let identity = read_identity(&opened.keys.identity())?;
        let view = opened.repository.view()?;
        let lost = warn_of_lost(app, &opened, &view)?;
        let mut problems = view.problems.len();
        let groups = match opened.repository.capability().reads_trees {
            true => {
                let (mut records, bad) = opened.repository.snapshots_in(&view)?;
                records.retain(|record| !is_record(record));
                problems += bad.len();
                Some(group(records))
            }
            false => None,
        };
        let scrub = match listed {
            Some(_) => opened.repository.scrub_status_if_any()?,
            None => None,
        };
        Ok(Self {
            groups,
            scrub,
            objects: listed.as_ref().map(|listed| listed.len() as u64),
            bytes: listed.map(|listed| listed.iter().map(|object| object.size).sum()),
            copies: copies::known(&opened.keys),
            lost,
            locked: identity.map(|identity| matches!(identity, Identity::Locked(_))),
            problems,
            opened,
        })
    }

    fn text(&self) -> String {
        let fields = render::fields(&[
            ("repository", repository_line(&self.opened)),
            ("size", self.size()),
            ("place", self.opened.distance.words().to_owned()),
            ("copies", self.copies()),
            ("members", self.members()),
            ("identity", self.identity()),
            ("proven", self.proven()),
            ("damage", self.damage()),
        ]);
        let snapshots = self.snapshots();
        match still_missing(&self.opened, None, self.newest_ms()) {
            missing if missing.is_empty() => format!("{fields}\n\n{snapshots}"),
            missing => format!("{fields}\n\n{snapshots}\n\nStill missing:\n{missing}"),
        }
    }

    fn newest_ms(&self) -> Option<i64> {
        let newest = self.groups.iter().flatten().filter_map(|group| group.last());
        newest.map(|record| record.snapshot.started_ms).max()
    }

    fn size(&self) -> String {
        match (self.bytes, self.objects) {
            (Some(bytes), Some(objects)) => {
                format!("{} in {}", render::size(bytes), render::counted(objects, "object"))
            }
            _ => "not known: a web server has no lists".to_owned(),
        }
    }

    /// Each copy on a line of its own, below the first.
    fn copies(&self) -> String {
        let now = render::time::now_ms();
        let line = |copy: &CopyRecord| {
            let snapshots = render::counted(copy.snapshots, "snapshot");
            let age = render::ago(copy.finished * 1000, now);
            format!(
                "{} {}: {snapshots}, {age}, {}",
                copy.kind,
                copy.location,
                copy.distance.words()
            )
        };
        let lines: Vec<String> = self.copies.iter().map(line).collect();
        lines.join("\n")
    }

    fn identity(&self) -> String {
        match self.locked {
            Some(true) => "here, locked with a passphrase",
            Some(false) => "here, not locked",
            None => "not on this machine",
        }
        .to_owned()
    }

    fn proven(&self) -> String {
        match (&self.scrub, self.objects) {
            (_, None) => String::new(),
            (None, _) => "never scrubbed: nodekeep repo scrub --every 30d".to_owned(),
            (Some(scrub), _) => match scrub.findings.len() as u64 {
                0 => proven_text(scrub),
                found => format!(
                    "{}; {} found: nodekeep repo scrub --status",
                    proven_text(scrub),
                    render::counted(found, "damaged object")
                ),
            },
        }
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
            "offsite": copies::is_offsite(self.opened.distance, &self.copies),
            "distance": self.opened.distance,
            "copies": copies::document(&self.copies),
            "scrub": self.scrub.as_ref().map(due_document),
            "damaged_objects": self.problems,
            "snapshots_lost": self.lost,
        })
    }
}
