//! The rotating scrub: every run reads its share of the packs, so that every byte is read once in a period, whichever machine runs it.
//! Packs are compared with their names, control objects and the presence of every pack are checked each time. What was read when, and
//! what was found, is kept in the repository.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use nodekeep_store::{Created, Durability};

use crate::check::surface;
use crate::control::{Numbered, PackRef, Statement};
use crate::error::{Damage, Error, Result};
use crate::monitor::Monitor;
use crate::names;
use crate::packs::{Proof, prove_all, readers};
use crate::repository::Repository;

mod plan;
mod record;

pub use plan::{Candidate, DAY_SECS, due};
pub use record::{Finding, MOST_FINDINGS, Mark, Record, Short, short};

/// A period that nobody set, in seconds: 30 days.
pub const PERIOD_SECS: u64 = 30 * DAY_SECS as u64;

/// After so many bytes what was read is written down.
const BATCH_BYTES: u64 = 8 << 30;

/// How to scrub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubOptions {
    /// Every byte is to be proven within so many seconds; `None`: as before, 30 days at first.
    pub period_secs: Option<u64>,
    /// Read everything now.
    pub all: bool,
    /// Threads that read; `None`: as many as the store takes.
    pub threads: Option<usize>,
    /// What time it is, Unix seconds; `None`: the machine's clock.
    pub now: Option<i64>,
}

/// What is proven, as the repository's record says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubStatus {
    /// Every byte is to be proven within so many seconds; `None`: no scrub has run yet.
    pub period_secs: Option<u64>,
    /// When the last scrub ended, Unix seconds.
    pub last_run: Option<i64>,
    /// Packs in the store.
    pub packs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes of packs that were read and found whole at least once.
    pub proven_bytes: u64,
    /// Every byte was proven within so many seconds; `None` while some never were.
    pub proven_within_secs: Option<u64>,
    /// Bytes that are late: not proven for longer than the period.
    pub late_bytes: u64,
    /// Bytes that the next run would read.
    pub due_bytes: u64,
    /// Damage that was found and not found whole since.
    pub findings: Vec<Finding>,
}

/// What a scrub did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubReport {
    /// Packs that were read.
    pub packs_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
    /// Number of the record that was written; `None` if nothing was due.
    pub record: Option<u64>,
    /// How things stand now.
    pub status: ScrubStatus,
}

impl Repository {
    /// Reads the share of the packs that is due, and checks control objects and the presence of all packs. An interrupted run keeps what it
    /// has read; runs of several machines at once add up.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`], or if the store fails or the work is interrupted. Damage is no error: it is in the report.
    pub fn scrub(&self, options: &ScrubOptions, monitor: &dyn Monitor) -> Result<ScrubReport> {
        let mut run = Run::begin(self, options)?;
        let chosen = run.chosen();
        let outcome = run.read(&chosen, monitor);
        run.finish(outcome)
    }

    /// How far every byte is proven, and what is damaged; reads no pack.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn scrub_status(&self) -> Result<ScrubStatus> {
        let now = crate::clock::now().as_second();
        Ok(status(newest(self)?.as_ref(), &packs_of(self)?, now))
    }
}

impl Repository {
    /// The same, or `None` if nothing was ever scrubbed: that takes one list, and the index is not loaded.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn scrub_status_if_any(&self) -> Result<Option<ScrubStatus>> {
        let Some(record) = newest(self)? else {
            return Ok(None);
        };
        let now = crate::clock::now().as_second();
        Ok(Some(status(Some(&record), &packs_of(self)?, now)))
    }
}

/// What scrubs found damaged, and not whole since.
pub(crate) fn findings(repo: &Repository) -> Result<Vec<Finding>> {
    Ok(newest(repo)?.map(|record| record.findings).unwrap_or_default())
}

/// Packs that the index names and that are in the store, with their sizes in bytes: what belongs to nothing is no damage. If not all of
/// the index can be read, every pack.
fn packs_of(repo: &Repository) -> Result<Vec<(PackRef, u64)>> {
    let (index, problems) = repo.index_with_problems(&repo.view()?)?;
    let indexed: HashSet<PackRef> = index.packs.iter().map(|pack| pack.pack).collect();
    let pack = |object: &nodekeep_store::Object| {
        let (writer, kind, id) = names::parse_pack(&object.name)?;
        let pack = PackRef { writer, kind, id };
        (!problems.is_empty() || indexed.contains(&pack)).then_some((pack, object.size))
    };
    Ok(repo.store().list(names::WRITERS)?.iter().filter_map(pack).collect())
}

/// The newest record that is whole: a damaged one costs what was read since the one before.
fn newest(repo: &Repository) -> Result<Option<Record>> {
    for number in numbers(repo)?.into_iter().rev() {
        let object = match repo.store().get(&names::scrub(number)) {
            Ok(object) => object,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        if let Ok(record) = Record::open(&object, number, &repo.id(), repo.roster()) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Numbers of records, ascending.
fn numbers(repo: &Repository) -> Result<Vec<u64>> {
    let listed = repo.store().list(names::SCRUBS)?;
    let mut numbers: Vec<u64> =
        listed.iter().filter_map(|object| names::number(&object.name, names::SCRUBS, "")).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn candidates(record: Option<&Record>, packs: &[(PackRef, u64)], now: i64) -> Vec<Candidate> {
    let mark = |pack: &PackRef| {
        let known = record.and_then(|record| record.packs.get(&short(&pack.id)).copied());
        known.unwrap_or(Mark { proven: false, when: now })
    };
    let candidate = |(pack, size): &(PackRef, u64)| {
        let Mark { proven, when } = mark(pack);
        Candidate { pack: *pack, size: *size, since: when, proven }
    };
    packs.iter().map(candidate).collect()
}

fn status(record: Option<&Record>, packs: &[(PackRef, u64)], now: i64) -> ScrubStatus {
    let candidates = candidates(record, packs, now);
    let period = record.map_or(PERIOD_SECS, |record| record.period_secs);
    let bytes = |of: &dyn Fn(&Candidate) -> bool| {
        candidates.iter().filter(|pack| of(pack)).map(|pack| pack.size).sum::<u64>()
    };
    let age = |pack: &Candidate| now.saturating_sub(pack.since).max(0).unsigned_abs();
    let all_proven = record.is_some() && candidates.iter().all(|pack| pack.proven);
    let oldest = candidates.iter().map(age).max().unwrap_or(0);
    let due = due(&candidates, record.map(|record| record.when), now, period);
    ScrubStatus {
        period_secs: record.map(|record| record.period_secs),
        last_run: record.map(|record| record.when),
        packs: packs.len() as u64,
        bytes: bytes(&|_| true),
        proven_bytes: bytes(&|pack| pack.proven),
        proven_within_secs: all_proven.then_some(oldest),
        late_bytes: bytes(&|pack| age(pack) > period),
        due_bytes: due.iter().map(|at| candidates[*at].size).sum(),
        findings: record.map(|record| record.findings.clone()).unwrap_or_default(),
    }
}

/// One run.
struct Run<'a> {
    repo: &'a Repository,
    options: &'a ScrubOptions,
    now: i64,
    packs: Vec<(PackRef, u64)>,
    before: Option<Record>,
    record: Record,
    /// Objects that this run found damaged, or found whole.
    found: HashMap<String, Option<String>>,
    report: ScrubReport,
}

impl<'a> Run<'a> {
    fn begin(repo: &'a Repository, options: &'a ScrubOptions) -> Result<Self> {
        let (_, keeper) = repo.keeper()?;
        let now = options.now.unwrap_or_else(|| crate::clock::now().as_second());
        let packs = packs_of(repo)?;
        let before = newest(repo)?;
        let known = before.as_ref().map_or(PERIOD_SECS, |record| record.period_secs);
        let period_secs = options.period_secs.unwrap_or(known).max(DAY_SECS as u64);
        let marks = candidates(before.as_ref(), &packs, now)
            .into_iter()
            .map(|pack| (short(&pack.pack.id), Mark { proven: pack.proven, when: pack.since }));
        let record = Record {
            number: 0,
            keeper,
            when: now,
            period_secs,
            packs: marks.collect(),
            findings: before.as_ref().map(|record| record.findings.clone()).unwrap_or_default(),
        };
        let (found, report) = (HashMap::new(), ScrubReport::default());
        Ok(Self { repo, options, now, packs, before, record, found, report })
    }

    fn chosen(&self) -> Vec<(PackRef, u64)> {
        if self.options.all {
            return self.packs.clone();
        }
        let candidates = candidates(self.before.as_ref(), &self.packs, self.now);
        let last = self.before.as_ref().map(|record| record.when);
        let due = due(&candidates, last, self.now, self.record.period_secs);
        // What was found damaged is looked at each time: it may have been healed.
        let suspect: HashSet<&str> =
            self.record.findings.iter().map(|finding| finding.object.as_str()).collect();
        let mut chosen: Vec<usize> = due;
        let again =
            (0..self.packs.len()).filter(|at| suspect.contains(self.packs[*at].0.name().as_str()));
        chosen.extend(again.collect::<Vec<_>>());
        let mut seen = HashSet::new();
        chosen.retain(|at| seen.insert(*at));
        chosen.into_iter().map(|at| self.packs[at]).collect()
    }

    fn read(&mut self, chosen: &[(PackRef, u64)], monitor: &dyn Monitor) -> Result<()> {
        self.surface()?;
        let mut from = 0;
        while from < chosen.len() {
            let mut bytes = 0;
            let fits = chosen[from..].iter().take_while(|(_, size)| {
                let fits = bytes < BATCH_BYTES;
                bytes += size;
                fits
            });
            let to = from + fits.count();
            self.read_batch(&chosen[from..to], monitor)?;
            from = to;
            if from < chosen.len() {
                self.save()?;
            }
        }
        Ok(())
    }

    /// Control objects, and whether every pack is there.
    fn surface(&mut self) -> Result<()> {
        // What is no pack is looked at as a whole: what is not found now is whole, or gone.
        let is_pack = |finding: &Finding| names::parse_pack(&finding.object).is_some();
        self.record.findings.retain(is_pack);
        for problem in surface(self.repo)? {
            self.found.insert(problem.object, Some(problem.what));
        }
        Ok(())
    }

    fn read_batch(&mut self, packs: &[(PackRef, u64)], monitor: &dyn Monitor) -> Result<()> {
        let proofs: Mutex<Vec<(PackRef, Proof)>> = Mutex::default();
        let each = |pack: &PackRef, proof| {
            proofs.lock().unwrap_or_else(PoisonError::into_inner).push((*pack, proof));
            Ok(())
        };
        let store = self.repo.store();
        let threads = self.options.threads.unwrap_or_else(|| readers(store));
        let read = prove_all(store, packs, threads, monitor, &each);
        let sizes: HashMap<&PackRef, u64> =
            packs.iter().map(|(pack, size)| (pack, *size)).collect();
        for (pack, proof) in proofs.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.report.packs_read += 1;
            self.report.bytes_read += sizes.get(&pack).copied().unwrap_or(0);
            self.take(&pack, proof);
        }
        read.map(drop)
    }

    fn take(&mut self, pack: &PackRef, proof: Proof) {
        match proof {
            Ok(()) => {
                let mark = Mark { proven: true, when: self.now };
                self.record.packs.insert(short(&pack.id), mark);
                self.found.entry(pack.name()).or_insert(None);
            }
            // A collection took it meanwhile, or the index misses it and has been asked.
            Err(Damage::Missing) => {}
            Err(damage) => drop(self.found.insert(pack.name(), Some(damage.to_string()))),
        }
    }

    /// Writes down what is known; on a race, with what the other run knows.
    fn save(&mut self) -> Result<()> {
        let (key, _) = self.repo.keeper()?;
        let there: HashSet<Short> = self.packs.iter().map(|(pack, _)| short(&pack.id)).collect();
        loop {
            let known = numbers(self.repo)?;
            if let Some(other) = newest(self.repo)?
                && self.before.as_ref().is_none_or(|before| before.number != other.number)
            {
                self.record.merge(&other);
                self.before = Some(other);
            }
            self.apply_found();
            self.record.number = known.last().map_or(1, |last| last + 1);
            self.record.packs.retain(|pack, _| there.contains(pack));
            let object = self.record.seal(&self.repo.id(), &key);
            let name = names::scrub(self.record.number);
            if self.repo.store().create(&name, &object, Durability::Durable)? == Created::New {
                self.before = Some(self.record.clone());
                self.report.record = Some(self.record.number);
                return self.sweep(&known);
            }
        }
    }

    /// The newest two stay: if one is damaged, there is the other.
    fn sweep(&self, known: &[u64]) -> Result<()> {
        for number in known.iter().filter(|number| **number + 1 < self.record.number) {
            self.repo.store().delete(&names::scrub(*number))?;
        }
        Ok(())
    }

    /// What this run found counts for what it looked at; a pack that is gone is damaged no more.
    fn apply_found(&mut self) {
        let there: HashSet<String> = self.packs.iter().map(|(pack, _)| pack.name()).collect();
        let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
        for finding in std::mem::take(&mut self.record.findings) {
            let is_gone =
                names::parse_pack(&finding.object).is_some() && !there.contains(&finding.object);
            if !is_gone && !self.found.contains_key(&finding.object) {
                findings.insert(finding.object.clone(), finding);
            }
        }
        for (object, what) in &self.found {
            if let Some(what) = what {
                let finding =
                    Finding { object: object.clone(), what: what.clone(), when: self.now };
                findings.insert(object.clone(), finding);
            }
        }
        self.record.findings = findings.into_values().take(MOST_FINDINGS).collect();
    }

    fn finish(mut self, outcome: Result<()>) -> Result<ScrubReport> {
        let damaged = self.found.values().any(Option::is_some);
        let had = self.before.as_ref().is_some_and(|before| !before.findings.is_empty());
        let period = self.before.as_ref().map(|before| before.period_secs);
        let changed =
            self.report.packs_read > 0 || damaged || had || period != Some(self.record.period_secs);
        match outcome {
            Ok(()) if changed => self.save()?,
            // What was read before the interruption need not be read again.
            Err(Error::Interrupted) if changed => self.save()?,
            _ => {}
        }
        outcome?;
        self.report.status = status(self.before.as_ref(), &self.packs, self.now);
        Ok(self.report)
    }
}
