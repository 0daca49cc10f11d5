//! Who judges scenarios: programs around the real engine that read every snapshot, bring a repository in order, and check it.

use std::sync::Arc;

use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::{Error, Result};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_repo::source::snapshot::SnapshotSource;
use nodekeep_store::Store;

use super::actor::{Outcome, Program};
use super::cast::{CREATED, Cast, Contents, LATER_MS, create_options, heal};
use super::judge::Experts;
use super::source::read_all;

impl Cast {
    /// Those who judge worlds in which the repository may not be complete: what was reported as made can be opened, and whatever is there
    /// can be completed by its owner.
    pub fn creation_experts(&self) -> Experts {
        let sound = Self { bug: None, ..self.clone() };
        let opens = |store: Store, owner: &Entropy| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            Repository::open(store, &access, None).map(drop)
        };
        let owner = self.owner.clone();
        let reader = sound.program("reader", 3 * LATER_MS, move |store| {
            let seen = if opens(store, &owner).is_ok() { vec![CREATED] } else { Vec::new() };
            Outcome { ok: true, seen, ..Outcome::default() }
        });
        let owner = self.owner.clone();
        let keeper = sound.program("later creator", 3 * LATER_MS, move |store| {
            let done = match Repository::create(store.clone(), &owner, &create_options()) {
                Ok(_) | Err(Error::RepositoryExists { .. }) => opens(store, &owner),
                Err(error) => Err(error),
            };
            Outcome::of(done.map(|()| String::new()).map_err(|error| error.to_string()))
        });
        Experts { reader, keeper, checker: sound.checker() }
    }

    /// Those who judge worlds.
    pub fn experts(&self) -> Experts {
        let sound = Self { bug: None, ..self.clone() };
        Experts { reader: sound.reader(false), keeper: sound.mender(), checker: sound.checker() }
    }

    /// Those who judge worlds in which something is lost, until it is brought back from a replica: a snapshot that names what it lacks
    /// counts as not there.
    pub fn healing_experts(&self, replica: &Store) -> Experts {
        let sound = Self { bug: None, ..self.clone() };
        let collect = sound.mender();
        let (owner, replica) = (self.owner.clone(), replica.clone());
        let healing = move |store: Store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            match heal(store.clone(), &access, &replica) {
                Ok(()) => (collect.work)(store),
                Err(error) => Outcome::of(Err(error)),
            }
        };
        let keeper = sound.program("later healer", 3 * LATER_MS, healing);
        Experts { reader: sound.reader(true), keeper, checker: sound.checker() }
    }

    fn reader(&self, may_lack: bool) -> Program {
        let (owner, contents) = (self.owner.clone(), self.contents.clone());
        self.program("reader", 3 * LATER_MS, move |store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            match read_snapshots(store, &access, &contents, may_lack) {
                Ok(seen) => Outcome { ok: true, seen, ..Outcome::default() },
                Err(broken) => Outcome { broken: Some(broken), ..Outcome::default() },
            }
        })
    }

    fn mender(&self) -> Program {
        let owner = self.owner.clone();
        self.program("later collector", 3 * LATER_MS, move |store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            let options = CollectOptions { max_unused_percent: 0, patience_secs: 0 };
            let done = Repository::open(store, &access, None)
                .and_then(|repo| repo.collect(&[], &options, &Silent));
            Outcome::of(match done {
                Ok(report) => match report.postponed {
                    None => Ok(String::new()),
                    Some(why) => Err(format!("postponed: {why:?}")),
                },
                Err(error) => Err(error.to_string()),
            })
        })
    }

    fn checker(&self) -> Program {
        let access = self.owns();
        let access = Arc::new(access);
        self.program("checker", 3 * LATER_MS, move |store| {
            let options =
                CheckOptions { data: Some(100), threads: Some(0), ..CheckOptions::default() };
            let checked = Repository::open(store, &access, None)
                .and_then(|repo| repo.check(&options, &Silent));
            // A session object that a power cut tore, and what a removed writer signed, are reported until their generation is closed;
            // they hit nothing.
            let harms = |p: &nodekeep_repo::check::Problem| {
                let known = p.object.ends_with(".session")
                    || p.what == nodekeep_repo::error::Damage::Signer.to_string();
                !(known && p.snapshots.is_empty() && p.paths.is_empty())
            };
            Outcome::of(match checked {
                Ok(report) => match report.problems.iter().find(|problem| harms(problem)) {
                    None => Ok(String::new()),
                    Some(problem) => Err(format!("{}: {}", problem.object, problem.what)),
                },
                Err(error) => Err(error.to_string()),
            })
        })
    }
}

/// Every live snapshot, read whole and compared. `may_lack`: one that says that something is missing is left out.
fn read_snapshots(
    store: Store,
    access: &Access,
    contents: &Contents,
    may_lack: bool,
) -> std::result::Result<Vec<SnapshotId>, String> {
    let open = || -> Result<_> {
        let repo = Repository::open(store, access, None)?;
        let view = repo.view()?;
        let index = repo.index(&view)?;
        let records = repo.snapshots_in(&view)?;
        Ok((repo.reader(Arc::new(index)), records))
    };
    let (reader, (records, problems)) = open().map_err(|error| error.to_string())?;
    if let Some((object, error)) = problems.first() {
        return Err(format!("{object}: {error}"));
    }
    let mut seen = Vec::new();
    for record in records {
        let host = record.snapshot.host.clone();
        let source = SnapshotSource::new(reader.clone(), record.snapshot);
        let found = match read_all(&source) {
            Ok(found) => found,
            Err(_) if may_lack => continue,
            Err(error) => return Err(format!("snapshot of {host}: {error}")),
        };
        if contents.get(&host) != Some(&found) {
            return Err(format!("snapshot of {host} does not hold what was backed up"));
        }
        seen.push(record.id);
    }
    Ok(seen)
}
