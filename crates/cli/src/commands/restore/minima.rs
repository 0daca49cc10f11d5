//! `nodekeep restore NODE --from …` and `--sync HOST` of a Minima node: from a backup of its own, from an archive, from a peer.

use std::path::Path;

use jiff::Timestamp;
use nodekeep_nodes::kind::Outcome;
use nodekeep_nodes::kind::minima::{first_failed, read_state};
use nodekeep_nodes::minima::backup::Contents;
use nodekeep_nodes::minima::live::NewKeys;
use nodekeep_nodes::minima::peer;
use nodekeep_nodes::minima::phrase::Phrase;
use nodekeep_nodes::minima::verify::{self, Keys};
use nodekeep_service::drill::in_sandbox;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::minima::sync::Advice;
use nodekeep_service::minima::{Revival, Revived, Way, archive_of, state_of, sync};
use nodekeep_service::restore::place::{bring_all, placements};
use serde_json::json;

use super::Restore;
use crate::commands::minima::opening::FileKind;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::refs::{self, Reference};
use crate::render;
use crate::session::{App, Need};
use crate::target::{self, Target};

/// What was given after --from.
enum Source {
    Backup(Contents),
    Archive,
    Peer,
}

impl Restore {
    /// Whether a Minima node is meant to come back in another way than from its snapshot.
    pub fn is_other_way(&self) -> bool {
        self.from.is_some() || !self.sync.is_empty()
    }

    /// Brings it back.
    ///
    /// # Errors
    /// What stands against it before the node has begun; otherwise exit code 3 with what somebody must look at.
    pub fn other_way(&self, app: &App) -> Result<()> {
        let Some(named) = self.snapshot.as_deref() else {
            return Err(Error::Options("--from and --sync need the name of a node before them"));
        };
        let name = match refs::parse(named)? {
            Reference::Node { name, .. } => name,
            _ => return Err(Error::Options("--from and --sync bring a node back: give its name")),
        };
        let state = nodes::state(app);
        let node = state.load(&name)?;
        let source = self.source(app, named)?;
        let phrase = self.phrase.given(app)?;
        self.fits(&source, phrase.is_some())?;
        self.is_good(&source)?;
        let opened = app.open(Need::Write)?;
        let all = opened.repository.snapshots()?;
        let progress = Progress::start(&app.output, "Restoring");
        let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
        let revival = Revival::of(&ground, &node)?;
        let keys = self.new_keys(&revival, &all, phrase.as_ref())?;
        let advice = self.advice(app, &source)?;
        let sync = advice.as_ref().and_then(Advice::chosen);
        let file = Path::new(self.from.as_deref().unwrap_or_default());
        let way = match &source {
            Source::Backup(contents) => Way::Backup { contents, sync },
            Source::Archive => Way::Archive { file, keys },
            Source::Peer => Way::Peer { host: self.from.as_deref().unwrap_or_default(), keys },
        };
        app.output.say(self.told(&name, &way)?)?;
        if self.dry_run {
            progress.close();
            return app.output.document(&json!({ "node": name, "dry_run": true }));
        }
        let what = "\nThe node throws away what it has now; that is backed up first";
        prompt::confirm(&app.output, self.yes, "restoring a node", what)?;
        let kept = revival.keep(&Default::default())?;
        let kept = kept.report.snapshot.map_or(String::new(), |id| id.short());
        app.output.say(format!("What it has now is in snapshot {kept}."))?;
        let earlier = self.earlier(app, &name, &way);
        let revived = revival.bring(&way, &all, &earlier)?;
        progress.close();
        tell(app, &name, &revived)
    }

    fn source(&self, app: &App, named: &str) -> Result<Source> {
        let Some(from) = self.from.as_deref() else {
            return Ok(Source::Backup(self.of_snapshot(app, named)?));
        };
        let path = Path::new(from);
        if path.is_file() {
            return match FileKind::of(path)? {
                FileKind::Archive => Ok(Source::Archive),
                FileKind::Backup => Ok(Source::Backup(self.password.open(app, path)?.contents)),
                FileKind::Mega => Err(Error::Options(
                    "a node takes all coins from another node, not from a file: nodekeep minima serve --from FILE.megammr, then --from HOST:PORT",
                )),
            };
        }
        let port = from.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        match port {
            Some(_) => Ok(Source::Peer),
            None if path.exists() => Err(Error::Options(
                "--from takes a backup of the node, an exported archive (.raw.dat), or HOST:PORT",
            )),
            None => Err(Error::NoSource { path: path.to_owned() }),
        }
    }

    /// What is said besides must mean something for this source.
    fn fits(&self, source: &Source, has_phrase: bool) -> Result<()> {
        let counts = self.keys.is_some() || self.key_uses.is_some();
        match source {
            Source::Backup(_) if has_phrase || counts => Err(Error::Options(
                "a backup brings its own keys, and their uses are raised above all that was ever recorded: --keys, --key-uses and --node-phrase-file belong to an archive or to HOST:PORT",
            )),
            Source::Archive | Source::Peer if !self.sync.is_empty() => Err(Error::Options(
                "--sync brings blocks after a backup: an archive and HOST:PORT bring their own",
            )),
            Source::Archive | Source::Peer if counts && !has_phrase => {
                Err(Error::Options("--keys and --key-uses need the words: --node-phrase-file FILE"))
            }
            _ => Ok(()),
        }
    }

    /// Looks at the source before anything is begun. An archive is read from end to end when it is told what comes of it.
    fn is_good(&self, source: &Source) -> Result<()> {
        let from = self.from.as_deref().unwrap_or("the snapshot");
        match source {
            Source::Backup(contents) => {
                let found = verify::contents(contents, Keys::One);
                let Some(bad) = first_failed(&found) else { return Ok(()) };
                let reason = format!("it is not given to the node: {}: {}", bad.name, bad.detail);
                Err(nodekeep_nodes::error::Error::Damaged { path: from.into(), reason }.into())
            }
            Source::Peer => Ok(peer::blocks(from, peer::From::Nothing).map(drop)?),
            Source::Archive => Ok(()),
        }
    }

    /// The state in a snapshot of the node.
    fn of_snapshot(&self, app: &App, named: &str) -> Result<Contents> {
        let target: Target = target::open(app, named, &self.base)?;
        let Some(snapshot) = NodeSnapshot::of(&target.record).transpose()? else {
            return Err(Error::NotOfANode { snapshot: target.record.id.short() });
        };
        let folder = app.home.scratch()?.join(format!("sync-{}", std::process::id()));
        let node = in_sandbox(&snapshot.node()?, &folder);
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Unpacking");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let (located, _) = state_of(&node)?;
        let wanted = located.component.name.clone();
        bring_all(&ground, &snapshot, &placements(&snapshot, &node, |name| name == wanted)?)?;
        let contents = read_state(&located.path);
        progress.close();
        std::fs::remove_dir_all(&folder).map_err(Error::file(&folder, "remove"))?;
        Ok(contents?)
    }

    fn new_keys<'a>(
        &self,
        revival: &Revival<'_>,
        all: &[nodekeep_repo::repository::SnapshotRecord],
        phrase: Option<&'a Phrase>,
    ) -> Result<Option<NewKeys<'a>>> {
        let Some(phrase) = phrase else { return Ok(None) };
        let least = revival.least_uses(all)?;
        let uses = self.key_uses.unwrap_or(least);
        if uses < least {
            return Err(Error::FewUses { given: uses, least });
        }
        Ok(Some(NewKeys { phrase, keys: self.keys, uses }))
    }

    /// Whether blocks are taken from a host, and from which. The node itself decides by the age of the chain; which it is, is said before.
    fn advice(&self, app: &App, source: &Source) -> Result<Option<Advice>> {
        let Source::Backup(contents) = source else { return Ok(None) };
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let advice = sync::advise(contents, &self.sync, now_ms)?;
        let choice = match (advice.chosen(), self.sync.is_empty()) {
            (Some(host), _) => format!(": so it is restored, and blocks come from {host}"),
            (None, false) if !advice.asks => {
                ": so it is restored alone: a node asks nobody if its chain is younger than two days, and catches up by itself".to_owned()
            }
            (None, true) if advice.asks => {
                ": so that the node may not catch up by itself: --sync HOST:PORT brings later blocks".to_owned()
            }
            (None, true) => return Ok(Some(advice)),
            (None, false) => String::new(),
        };
        app.output.say(format!("{advice}{choice}."))?;
        match advice.asks && !self.sync.is_empty() && advice.chosen().is_none() {
            true => Err(Error::Options(
                "nothing was changed: none of these hosts has blocks that follow the backup, and the node would wait for them for a quarter of an hour; --sync another host whose archive has the backup's newest block, or restore without --sync",
            )),
            false => Ok(Some(advice)),
        }
    }

    /// States from the node's snapshots, to tell which coins are missing. Without any nothing can be told.
    fn earlier(&self, app: &App, name: &str, way: &Way<'_>) -> Vec<Contents> {
        match way {
            Way::Backup { .. } => Vec::new(),
            Way::Archive { .. } | Way::Peer { .. } => {
                self.of_snapshot(app, name).into_iter().collect()
            }
        }
    }

    fn told(&self, name: &str, way: &Way<'_>) -> Result<String> {
        let (from, keys) = match way {
            Way::Backup { sync: None, .. } => ("a backup, checked".to_owned(), None),
            Way::Backup { sync: Some(host), .. } => {
                (format!("a backup, checked, then blocks from {host}"), None)
            }
            Way::Archive { file, keys } => {
                (format!("the archive {}", file.display()), keys.as_ref())
            }
            Way::Peer { host, keys } => (format!("the node {host}"), keys.as_ref()),
        };
        let keys =
            keys.map(|keys| format!("made anew from the words, each from {} uses on", keys.uses));
        Ok(render::fields(&[
            ("node", name.to_owned()),
            ("from", from),
            ("keys", keys.unwrap_or_else(|| "as they are".to_owned())),
            ("coins", coins_of(way)?),
        ]))
    }
}

/// Which coins come back; of an archive only those of its blocks.
fn coins_of(way: &Way<'_>) -> Result<String> {
    Ok(match way {
        Way::Backup { .. } => "those of the backup".to_owned(),
        Way::Peer { .. } => "those that this node knows; they are compared afterwards".to_owned(),
        Way::Archive { file, .. } => match archive_of(file)?.first {
            Some(first) if first > 1 => format!(
                "those of blocks {first} and later: older ones that were not spent since do NOT come back from this archive"
            ),
            _ => "those of all blocks; they are compared afterwards".to_owned(),
        },
    })
}

fn tell(app: &App, name: &str, revived: &Revived) -> Result<()> {
    app.output
        .say(format!("\nRestored the node {name}\n{}", render::indent(&revived.said.join("\n"))))?;
    for check in &revived.verified.checks {
        app.output.say(nodes::check_text(&check.name, check))?;
    }
    app.output.document(&json!({
        "node": name,
        "dry_run": false,
        "said": revived.said,
        "checks": revived.verified.checks,
        "problems": revived.problems,
    }))?;
    if revived.problems.is_empty() && revived.verified.is_sound() {
        return Ok(());
    }
    let failed = revived.verified.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let failed = failed.map(|check| format!("{}: {}", check.name, check.detail));
    let problems: Vec<String> = revived.problems.iter().cloned().chain(failed).collect();
    app.output.alert(format!("\nIn place, but:\n{}", render::indent(&problems.join("\n"))));
    Err(Error::Exit(exit::Class::Incomplete.exit_code()))
}
