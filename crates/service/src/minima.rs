//! A Minima node brought back in other ways than from its snapshot: from a backup that it made itself, from an archive, from a peer.
//!
//! Everything is checked before the node hears of it; what the node had is backed up first, and given back if the way fails.

mod coins;
pub mod sync;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nodekeep_nodes::fence::judge::judge;
use nodekeep_nodes::fence::look::Look;
use nodekeep_nodes::fence::mark::{At, Field, Origin};
use nodekeep_nodes::fence::read::{Site, State as Lying, read};
use nodekeep_nodes::fence::remedy::{self, Remedy};
use nodekeep_nodes::health;
use nodekeep_nodes::kind::Verified;
use nodekeep_nodes::kind::minima::back::{KEYS_WITHIN, check, compare_with, end, give};
use nodekeep_nodes::kind::minima::{fetch_state, read_state, write_state};
use nodekeep_nodes::minima::archive;
use nodekeep_nodes::minima::backup::{self, Contents};
use nodekeep_nodes::minima::link::{Link, one_time_password};
use nodekeep_nodes::minima::live::NewKeys;
use nodekeep_nodes::minima::peer;
use nodekeep_nodes::minima::rpc::RpcError;
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{FenceRule, Kind, MinimaPart, MinimaRule};
use nodekeep_nodes::service::Control;
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::repository::SnapshotRecord;

use crate::backup::{Ground, NodeBackup};
use crate::capture::Wish;
use crate::error::{Error, Result};
use crate::fencing::{self, Recorded, look_live};
use crate::holding::site;
use crate::state::make_folder;

/// What the safety copies of a node are called.
pub const BEFORE: &str = "-before-restore";
/// How long a started node has to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(180);
/// How long a node that has ended may be taken for one that runs.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(200);
/// Added to the highest use ever recorded when keys are made anew, at least.
const MARGIN: u64 = 1000;

/// Where a node comes back from.
#[derive(Debug)]
pub enum Way<'a> {
    /// A backup that was opened, perhaps with later blocks from a peer.
    Backup {
        /// What is in it.
        contents: &'a Contents,
        /// Who has later blocks.
        sync: Option<&'a str>,
    },
    /// An archive that a node exported.
    Archive {
        /// Where it lies.
        file: &'a Path,
        /// Keys to make anew; otherwise the node keeps its own.
        keys: Option<NewKeys<'a>>,
    },
    /// A node that has all coins, or `nodekeep minima serve`.
    Peer {
        /// Its host and port.
        host: &'a str,
        /// Keys to make anew.
        keys: Option<NewKeys<'a>>,
    },
}

/// What was done.
#[derive(Debug, Default)]
pub struct Revived {
    /// In lines for people.
    pub said: Vec<String>,
    /// How the node compares with what it was given.
    pub verified: Verified,
    /// What went wrong after it was taken.
    pub problems: Vec<String>,
}

/// A node that is brought back.
pub struct Revival<'a> {
    ground: &'a Ground<'a>,
    node: &'a Node,
    link: Link,
}

impl<'a> Revival<'a> {
    /// Of a node whose profile has its state as kind `minima`.
    ///
    /// # Errors
    /// [`Error::NotMinima`], or if the profile's values cannot be used.
    pub fn of(ground: &'a Ground<'a>, node: &'a Node) -> Result<Self> {
        let (_, rule) = state_of(node)?;
        let link = Link::of(&rule, &node.variables())?;
        Ok(Self { ground, node, link })
    }

    /// The node.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Backs up what the node has now, under a name of its own, so that no `latest` ever means it.
    ///
    /// # Errors
    /// Those of a backup.
    pub fn keep(&self, options: &BackupOptions) -> Result<NodeBackup> {
        keep(self.ground, self.node, options)
    }

    /// Brings it back and starts it again. `earlier` are states of it from snapshots, the newest first: coins that they had and the node
    /// has not are told.
    ///
    /// # Errors
    /// Before the node has begun: what stands against it. A way that fails later gives back what the node had.
    pub fn bring(
        &self,
        way: &Way<'_>,
        all: &[SnapshotRecord],
        earlier: &[Contents],
    ) -> Result<Revived> {
        let state = self.ground.state.of(self.node.name())?;
        let _alone = state.alone(self.node.name())?;
        let mut revived = Revived::default();
        let before = fetch_state(&self.link)?.contents;
        match way {
            Way::Backup { contents, sync } => {
                let raised = self.raised(contents, all, &mut revived)?;
                self.give(&raised, *sync, &mut revived)?;
                self.wake(&mut revived)?;
                // It stands, whatever is seen now.
                match compare_with(&self.link, &raised, Path::new("backup")) {
                    Ok(verified) => revived.verified = verified,
                    Err(error) => revived.problems.push(error.to_string()),
                }
            }
            Way::Archive { file, keys } => {
                let summary = archive_of(file)?;
                revived
                    .said
                    .push(format!("the archive holds {} blocks, all sound", summary.blocks));
                self.ends(&before, &mut revived, |link| {
                    let opened = fs::File::open(file);
                    let opened = opened.map_err(Error::file(file, "cannot be read"))?;
                    let parcel = link.send(opened, "raw.dat")?;
                    Ok(link.rpc.reset(&parcel.inside, keys.as_ref()))
                })?;
                self.wake_with(&before, earlier, &mut revived)?;
            }
            Way::Peer { host, keys } => {
                peer::blocks(host, peer::From::Nothing)?;
                self.ends(&before, &mut revived, |link| {
                    Ok(link.rpc.sync_coins(host, keys.as_ref()))
                })?;
                self.wake_with(&before, earlier, &mut revived)?;
            }
        }
        self.record_marks(&mut revived);
        Ok(revived)
    }

    /// The uses above which keys that are made anew must begin: the highest ever recorded of any key, and a margin.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn least_uses(&self, all: &[SnapshotRecord]) -> Result<u64> {
        let (rule, _) = rule_of(self.node)?;
        let state = self.ground.state.of(self.node.name())?;
        let known = Recorded::of(&state, self.node.name(), all)?.known();
        let highest =
            known.of_rule(&rule.name).filter_map(|(_, record)| record.highest.number(Field::Count));
        Ok(highest.max().unwrap_or(0).saturating_add(MARGIN.max(rule.margin_floor)))
    }

    /// The same state with every key above the highest use that was ever recorded of it.
    fn raised(
        &self,
        contents: &Contents,
        all: &[SnapshotRecord],
        revived: &mut Revived,
    ) -> Result<Contents> {
        let folder = Scratch::new(&self.ground.scratch, self.node.name())?;
        write_state(&folder.0, contents)?;
        check(&folder.0)?;
        let (rule, _) = rule_of(self.node)?;
        let variables = self.node.variables();
        let site = Site { path: &folder.0, variables: &variables, state: Lying::Copy };
        let held = Look([(rule.name.clone(), read(rule, site))].into());
        let state = self.ground.state.of(self.node.name())?;
        let known = Recorded::of(&state, self.node.name(), all)?.known();
        let live = look_live(self.node);
        let now = At::from(Timestamp::now());
        let verdict = judge(std::slice::from_ref(rule), &known, &held, Some(&live), now);
        for ruling in verdict.refusals() {
            revived
                .said
                .push(format!("{}: it is behind what is known, and was raised", ruling.rule));
            let plan = remedy::plan(rule, ruling, Remedy::Advance)?;
            revived.said.extend(plan.apply(rule, site, &self.ground.scratch)?);
        }
        Ok(read_state(&folder.0)?)
    }

    fn give(&self, contents: &Contents, sync: Option<&str>, revived: &mut Revived) -> Result<()> {
        let Some(host) = sync else {
            revived.said.extend(give(&self.link, contents)?);
            return Ok(());
        };
        peer::blocks(host, peer::From::Nothing)?;
        self.link.rpc.wait_for_keys(KEYS_WITHIN).map_err(nodekeep_nodes::error::Error::from)?;
        let password = one_time_password()?;
        let sealed = backup::seal(contents, &password).map_err(|source| {
            nodekeep_nodes::error::Error::Minima { path: "backup".into(), source }
        })?;
        let parcel = self.link.send(sealed.as_slice(), "bak")?;
        let process = self.link.process();
        let taken = self.link.rpc.take_back_and_sync(&parcel.inside, &password, host);
        revived.said.extend(end(&self.link, process.as_ref(), taken.err())?);
        Ok(())
    }

    /// Runs a command that ends the node. If the node refuses in the middle of it, what it had is given back.
    fn ends(
        &self,
        before: &Contents,
        revived: &mut Revived,
        command: impl FnOnce(&Link) -> Result<Result<(), RpcError>>,
    ) -> Result<()> {
        self.link.rpc.wait_for_keys(KEYS_WITHIN).map_err(nodekeep_nodes::error::Error::from)?;
        let process = self.link.process();
        let done = command(&self.link)?;
        match end(&self.link, process.as_ref(), done.err()) {
            Ok(said) => {
                revived.said.extend(said);
                Ok(())
            }
            Err(error) => Err(self.roll_back(before, error.into())),
        }
    }

    /// The node may have thrown its state away before it refused: it gets it back, and is started.
    fn roll_back(&self, before: &Contents, error: Error) -> Error {
        let mut revived = Revived::default();
        let back = self
            .start_if_ended()
            .and_then(|()| Ok(give(&self.link, before)?))
            .and_then(|_| self.wake(&mut revived));
        let rolled_back = match back {
            Ok(()) => "what the node had was given back to it".to_owned(),
            Err(also) => format!(
                "what the node had could not be given back: {also}; it is in the safety backup"
            ),
        };
        Error::RolledBack { why: Box::new(error), rolled_back }
    }

    fn start_if_ended(&self) -> Result<()> {
        if self.link.rpc.standing().is_err() {
            self.start()?;
        }
        Ok(())
    }

    fn start(&self) -> Result<()> {
        let state = self.ground.state.of(self.node.name())?;
        let control = Control::of(self.node, &site(&state).log(self.node.name()))?;
        if control.start.is_some() {
            self.wait_until_seen_ended(&control)?;
            control.start()?;
        }
        Ok(())
    }

    /// A process that has just ended can be taken for one that runs, and would not be started then. One that answers was started by somebody.
    fn wait_until_seen_ended(&self, control: &Control) -> Result<()> {
        let deadline = Instant::now() + ENDS_WITHIN;
        while control.is_running()? == Some(true)
            && self.link.rpc.standing().is_err()
            && Instant::now() < deadline
        {
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn wake(&self, revived: &mut Revived) -> Result<()> {
        self.start()?;
        let seen = health::wait_until_healthy(self.node, ANSWERS_WITHIN);
        let ill = seen.iter().filter(|seen| !seen.is_well);
        revived.problems.extend(ill.map(|seen| format!("{}: {}", seen.name, seen.detail)));
        Ok(())
    }

    /// The same, and coins that are missing are told.
    fn wake_with(
        &self,
        before: &Contents,
        earlier: &[Contents],
        revived: &mut Revived,
    ) -> Result<()> {
        self.wake(revived)?;
        let states: Vec<&Contents> = std::iter::once(before).chain(earlier).collect();
        let compared = coins::compare(&self.link, &states, &mut revived.verified);
        revived.problems.extend(compared.err().map(|error| error.to_string()));
        Ok(())
    }

    /// Where the keys stand now is the truth from here on.
    fn record_marks(&self, revived: &mut Revived) {
        let record = || {
            let state = self.ground.state.of(self.node.name())?;
            let machine = self.ground.state.machine(&self.ground.host)?;
            fencing::record(&state, &machine, Origin::Restore, &look_live(self.node))
        };
        revived.problems.extend(record().err().map(|error| error.to_string()));
    }
}

/// Backs up what a node has now as `NODE-before-restore`.
///
/// # Errors
/// Those of a backup.
pub fn keep(ground: &Ground<'_>, node: &Node, options: &BackupOptions) -> Result<NodeBackup> {
    let (located, _) = state_of(node)?;
    let mut before = node.clone();
    before.registration.name.push_str(BEFORE);
    let wish = Wish { only: vec![located.component.name.clone()], ..Wish::default() };
    let kept = ground.backup(&before, &wish, options)?;
    let missing = kept.manifest.missing().next();
    let why = missing.map(|record| record.notes.last().map(|note| note.text.clone()));
    match why {
        None => Ok(kept),
        Some(why) => {
            let (node, reason) = (before.name().to_owned(), why.unwrap_or_default());
            Err(Error::Nothing { node, reason })
        }
    }
}

/// The component with a Minima node's state, and how it is reached.
///
/// # Errors
/// [`Error::NotMinima`]
pub fn state_of(node: &Node) -> Result<(Located<'_>, MinimaRule)> {
    let found = node.components()?.into_iter().find_map(|located| match &located.component.kind {
        Kind::Minima(rule) if rule.take == MinimaPart::State => {
            let rule = rule.clone();
            Some((located, rule))
        }
        _ => None,
    });
    found.ok_or_else(|| Error::NotMinima { node: node.name().to_owned() })
}

fn rule_of(node: &Node) -> Result<(&FenceRule, String)> {
    let (located, _) = state_of(node)?;
    let name = located.component.name.clone();
    let rule = node.profile.fence.iter().find(|rule| rule.component == name);
    let rule = rule.ok_or_else(|| Error::NotMinima { node: node.name().to_owned() })?;
    Ok((rule, name))
}

/// What an archive holds, every block of it checked.
///
/// # Errors
/// If it is damaged.
pub fn archive_of(file: &Path) -> Result<archive::Summary> {
    let opened = fs::File::open(file).map_err(Error::file(file, "cannot be read"))?;
    let summary = archive::verify(std::io::BufReader::new(opened));
    Ok(summary
        .map_err(|source| nodekeep_nodes::error::Error::Minima { path: file.to_owned(), source })?)
}

/// A private folder that is removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(scratch: &Path, node: &str) -> Result<Self> {
        let folder = scratch.join(format!("minima-{node}-{}", std::process::id()));
        make_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in a folder of our own that nobody else reads.
        _ = fs::remove_dir_all(&self.0);
    }
}
