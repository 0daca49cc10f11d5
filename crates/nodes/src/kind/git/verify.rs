//! The check of a copy: every object hashes to its name, every ref names an object, and all that follows from those is there.

use std::path::{Path, PathBuf};

use super::contents::{Contents, Counts, Faults};
use super::find::find;
use super::objects::alternates;
use super::refs::Refs;
use super::{check_format, is_partial, no_repository, shallow_ends};
use crate::error::{Error, Result};
use crate::kind::{Outcome, Verified};

/// Checks every repository of a copy.
///
/// # Errors
/// If there is none, or one cannot be read at all.
pub fn verify(path: &Path) -> Result<Verified> {
    let found = find(path)?;
    if found.repositories.is_empty() {
        return Err(no_repository(path));
    }
    let mut findings = Findings::default();
    for repository in &found.repositories {
        findings.look(repository)?;
    }
    Ok(findings.judge())
}

/// What was found in all repositories so far.
#[derive(Default)]
struct Findings {
    repositories: u64,
    refs: u64,
    counts: Counts,
    reachable: Counts,
    objects: Vec<String>,
    dangling: Vec<String>,
    missing: Vec<String>,
    /// What may be missing in partial clones.
    unfetched: u64,
    shallow: Vec<PathBuf>,
    partial: Vec<PathBuf>,
    borrowing: Vec<PathBuf>,
    head: Option<String>,
}

impl Findings {
    fn look(&mut self, repository: &Path) -> Result<()> {
        check_format(repository)?;
        let refs = Refs::read(repository)?;
        let tips = refs.tips();
        let objects = repository.join("objects");
        let damaged = |reason| Error::Damaged { path: repository.to_owned(), reason };
        let contents = Contents::open(&objects).map_err(damaged)?;
        let named = |text: String| format!("{}: {text}", repository.display());
        self.repositories += 1;
        self.refs += refs.count();
        self.head = refs.head().map(|id| id.to_string());
        match contents.check() {
            Ok((counts, faults)) => {
                self.counts += counts;
                self.objects.extend(faults.text().map(named));
            }
            Err(reason) => self.objects.push(named(reason)),
        }
        let missing = contents.missing(&tips);
        let dangling = missing.first().map(|(name, id)| format!("{name} names {id}"));
        self.dangling.extend(dangling.map(named));
        let ends = shallow_ends(repository)?;
        let (reachable, faults) = contents.reach(&tips, &ends);
        self.reachable += reachable;
        self.note_missing(repository, &faults);
        self.shallow.extend((!ends.is_empty()).then(|| repository.to_owned()));
        let borrows = !alternates(&objects)?.is_empty();
        self.borrowing.extend(borrows.then(|| repository.to_owned()));
        Ok(())
    }

    fn note_missing(&mut self, repository: &Path, faults: &Faults) {
        if is_partial(repository) {
            self.partial.push(repository.to_owned());
            self.unfetched += faults.number;
        } else {
            let text = faults.text();
            self.missing.extend(text.map(|text| format!("{}: {text}", repository.display())));
        }
    }

    fn judge(self) -> Verified {
        let mut verified = Verified::default();
        let objects = self.counts.objects();
        let all = format!("{objects} objects hash to their names");
        conclude(&mut verified, "objects", all, &self.objects);
        let all = format!("{} refs name what is there", self.refs);
        conclude(&mut verified, "refs", all, &self.dangling);
        let Counts { blobs, trees, commits, tags } = self.reachable;
        let all = format!(
            "{commits} commits, {trees} trees, {blobs} blobs and {tags} tags follow from the refs"
        );
        conclude(&mut verified, "reachability", all, &self.missing);
        self.remark(&mut verified);
        verified.position.count("repositories", self.repositories);
        verified.position.count("refs", self.refs);
        self.counts.tell(&mut verified.position);
        if self.repositories == 1 {
            verified.hashes.extend(self.head.map(|id| ("HEAD".to_owned(), id)));
        }
        verified
    }

    /// What could not be looked at.
    fn remark(&self, verified: &mut Verified) {
        if let Some(first) = self.shallow.first() {
            let detail = format!("not in shallow clones: {}", list(first, self.shallow.len()));
            verified.check("older history", Outcome::Skipped, detail);
        }
        if let Some(first) = self.partial.first() {
            let clones = list(first, self.partial.len());
            let detail = format!("{} objects are not in partial clones: {clones}", self.unfetched);
            verified.check("unfetched objects", Outcome::Skipped, detail);
        }
        if let Some(first) = self.borrowing.first() {
            let detail = format!(
                "objects were also read from other repositories (info/alternates): {}",
                list(first, self.borrowing.len())
            );
            verified.check("stands alone", Outcome::Failed, detail);
        }
    }
}

fn conclude(verified: &mut Verified, name: &str, all: String, faults: &[String]) {
    match faults.first() {
        None => verified.check(name, Outcome::Passed, all),
        Some(first) if faults.len() == 1 => verified.check(name, Outcome::Failed, first),
        Some(first) => {
            let others = faults.len() - 1;
            let detail = format!("{first}; and in {others} other repositories");
            verified.check(name, Outcome::Failed, detail);
        }
    }
}

fn list(first: &Path, number: usize) -> String {
    match number.saturating_sub(1) {
        0 => first.display().to_string(),
        others => format!("{} and {others} more", first.display()),
    }
}
