//! Repairing what can be repaired: index segments are rebuilt from the packs' own tables, and a checkpoint is made that stands on its own
//! again. Content that is gone stays gone: the report says which snapshots and files it was in.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::check::{CheckOptions, Problem};
use crate::collect::finish::{Finish, SegmentRef, sweep_leftovers, write_segment};
use crate::control::PackRef;
use crate::error::{Error, Result};
use crate::fetch;
use crate::heal;
pub use crate::heal::{Donor, RepairOptions};
use crate::index::{PackInfo, SEGMENT_ENTRIES, Segment};
use crate::monitor::Monitor;
use crate::names;
use crate::packs::open_table_of;
use crate::repository::Repository;
use crate::sessions;
use crate::view::View;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// Index segments that were missing or damaged.
    pub segments_lost: Vec<String>,
    /// Control objects that were damaged, and are done without now.
    pub control_lost: Vec<String>,
    /// Packs that were found without an index entry and have one again.
    pub packs_recovered: u64,
    /// Packs whose own table cannot be read: nothing in them can be found.
    pub packs_unreadable: Vec<String>,
    /// Packs that the index named and that are missing or cut short. What of them is not there any more is out of the index now, so
    /// that the next backup that meets the same content stores it again; one that ignores its cache meets all of it.
    pub packs_dropped: Vec<String>,
    /// Packs that were read and are not what their names say. They are out of the index, and what was whole in them lies elsewhere.
    pub packs_damaged: Vec<String>,
    /// Chunks that were whole in damaged packs, and lie elsewhere now.
    pub chunks_rescued: u64,
    /// What was brought back, and from where.
    pub healed: Vec<Healed>,
    /// Number of the checkpoint that was written; `None` if there was nothing to repair.
    pub checkpoint: Option<u64>,
    /// What is still wrong, with the snapshots and files that it hits.
    pub lost: Vec<Problem>,
}

/// Lost content that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    /// Where it was found: the place of a repository, or `files`.
    pub from: String,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of them, as stored here.
    pub bytes: u64,
}

impl Repository {
    /// Repairs the repository with nothing but what it holds. A backup that runs meanwhile begins again.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`], or if the store fails or the work is interrupted: it can be begun again at any time.
    pub fn repair(&self, monitor: &dyn Monitor) -> Result<RepairReport> {
        self.repair_with(&RepairOptions::default(), monitor)
    }

    /// Repairs the repository, and brings back what is lost from where it can still be found. A backup that runs meanwhile begins again.
    ///
    /// # Errors
    /// As [`Repository::repair`], or if a donor's store fails. What donors lack, or have damaged themselves, is no error: it stays lost.
    pub fn repair_with(
        &self,
        options: &RepairOptions<'_>,
        monitor: &dyn Monitor,
    ) -> Result<RepairReport> {
        self.keeper()?;
        self.needs_trees()?;
        self.needs_alone()?;
        let repo = self.refreshed()?;
        let mut report = loop {
            let view = repo.view()?;
            scoped!("repair", repo.roster_hash());
            sweep_leftovers(&repo, &view)?;
            let mut rebuild = Rebuild::new(&repo, monitor)?;
            if rebuild.run()? {
                break rebuild.report;
            }
            // Another keeper made a checkpoint meanwhile: look again.
        };
        heal::heal(&repo, options, monitor, &mut report)?;
        report.lost = repo.check(&CheckOptions::default(), monitor)?.problems;
        Ok(report)
    }
}

struct Rebuild<'a> {
    repo: &'a Repository,
    monitor: &'a dyn Monitor,
    view: View,
    /// Packs in the store before the view was loaded, with their sizes in bytes; and those that were asked for by name since.
    sizes: BTreeMap<PackRef, u64>,
    /// Segments in the store before the view was loaded.
    listed: BTreeSet<SegmentRef>,
    /// Packs that the new index has.
    described: HashSet<PackRef>,
    sound: BTreeSet<SegmentRef>,
    open: Segment,
    report: RepairReport,
}

impl<'a> Rebuild<'a> {
    fn new(repo: &'a Repository, monitor: &'a dyn Monitor) -> Result<Self> {
        let listed = repo.store().list(names::WRITERS)?;
        let pack = |object: &nodekeep_store::Object| {
            let (writer, kind, id) = names::parse_pack(&object.name)?;
            Some((PackRef { writer, kind, id }, object.size))
        };
        Ok(Self {
            repo,
            monitor,
            view: repo.view()?,
            sizes: listed.iter().filter_map(pack).collect(),
            listed: listed.iter().filter_map(|object| names::parse_segment(&object.name)).collect(),
            described: HashSet::new(),
            sound: BTreeSet::new(),
            open: Segment::default(),
            report: RepairReport::default(),
        })
    }

    /// False if it must be begun again.
    fn run(&mut self) -> Result<bool> {
        let control = self.view.problems.iter().map(|bad| bad.object.clone());
        self.report.control_lost =
            control.filter(|name| !name.starts_with(names::COLLECTIONS)).collect();
        self.take_segments()?;
        if !self.report.segments_lost.is_empty() || !self.report.control_lost.is_empty() {
            self.recover_packs()?;
        }
        self.flush()?;
        let report = &self.report;
        let sound = report.segments_lost.is_empty()
            && report.control_lost.is_empty()
            && report.packs_dropped.is_empty();
        if sound { Ok(true) } else { self.publish() }
    }

    /// Keeps segments all of whose packs are there, and what is there of the others.
    fn take_segments(&mut self) -> Result<()> {
        for source in self.view.segments.clone() {
            self.check_interrupted()?;
            match self.repo.segment(&source.0, &source.1) {
                Ok(segment) => self.take_segment(source, segment)?,
                Err(Error::Damaged { object, .. }) => self.report.segments_lost.push(object),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_segment(&mut self, source: SegmentRef, segment: Segment) -> Result<()> {
        self.ask_for_unlisted(&segment.packs)?;
        let (there, gone): (Vec<_>, Vec<_>) = segment
            .packs
            .into_iter()
            .partition(|info| self.sizes.get(&info.pack) == Some(&info.size));
        self.described.extend(there.iter().map(|info| info.pack));
        if gone.is_empty() {
            self.sound.insert(source);
            return Ok(());
        }
        self.report.packs_dropped.extend(gone.iter().map(|info| info.pack.name()));
        // What is cut short is not to be taken in again by its name.
        self.described.extend(gone.iter().map(|info| info.pack));
        let rest = gone.into_iter().filter_map(|info| self.rest_of(info));
        for info in rest.chain(there).collect::<Vec<_>>() {
            self.open.add(info.pack, info.size, info.header_len, info.table, &segment.seals);
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// Asks for packs by their names before they count as missing: what a backup wrote and committed between the list and the view is in the
    /// view only, and a list of packs may be an old one.
    fn ask_for_unlisted(&mut self, packs: &[PackInfo]) -> Result<()> {
        if planted!(TrustListing) {
            return Ok(());
        }
        for info in packs {
            if self.sizes.get(&info.pack) == Some(&info.size) {
                continue;
            }
            match fetch::if_there(self.repo.store().size(&info.pack.name()))? {
                Some(size) => self.sizes.insert(info.pack, size),
                None => self.sizes.remove(&info.pack),
            };
        }
        Ok(())
    }

    /// A pack as far as it is there: the chunks that end before it does; `None` if there are none.
    fn rest_of(&self, mut info: PackInfo) -> Option<PackInfo> {
        info.size = *self.sizes.get(&info.pack)?;
        let mut end = u64::from(info.header_len);
        let whole = info.table.entries.iter().take_while(|entry| {
            end += u64::from(entry.stored);
            end <= info.size
        });
        let whole = whole.count();
        info.table.entries.truncate(whole);
        (whole > 0).then_some(info)
    }

    /// Asks every pack that no segment describes for its own table, but for condemned ones: these never return.
    fn recover_packs(&mut self) -> Result<()> {
        let outcomes =
            self.view.collections.iter().filter_map(|collection| collection.outcome.as_ref());
        let condemned: HashSet<PackRef> =
            outcomes.filter_map(|outcome| outcome.condemned.clone()).flatten().collect();
        let is_new = |(pack, _): &(&PackRef, &u64)| {
            !self.described.contains(pack) && !condemned.contains(pack)
        };
        let new: Vec<(PackRef, u64)> =
            self.sizes.iter().filter(is_new).map(|(pack, size)| (*pack, *size)).collect();
        for (pack, size) in new {
            self.check_interrupted()?;
            match open_table_of(self.repo, &pack, size) {
                Ok(opened) => {
                    self.open.add(
                        pack,
                        size,
                        opened.layout.header_len,
                        opened.table,
                        &opened.header.seals,
                    );
                    self.described.insert(pack);
                    self.report.packs_recovered += 1;
                    self.flush_if_full()?;
                }
                Err(Error::Damaged { object, .. }) => self.report.packs_unreadable.push(object),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.monitor.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn flush_if_full(&mut self) -> Result<()> {
        if self.open.entries() >= SEGMENT_ENTRIES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let segment = std::mem::take(&mut self.open);
        if !segment.packs.is_empty() {
            let (key, keeper) = self.repo.keeper()?;
            self.sound.insert(write_segment(self.repo, &key, keeper, &segment)?);
        }
        Ok(())
    }

    /// Makes the checkpoint, and removes what it replaces. Collections that are not over stay for the next collection to settle.
    fn publish(&mut self) -> Result<bool> {
        let collections =
            self.view.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.collections);
        let finish = Finish {
            repo: self.repo,
            condemned: std::collections::BTreeSet::new(),
            collections,
            fresh: Vec::new(),
            stale: Vec::new(),
        };
        if sessions::end_earlier(self.repo, &self.view)? {
            return Ok(false);
        }
        let Some(number) = finish.checkpoint(&self.view, &self.sound)? else {
            return Ok(false);
        };
        let mut old: BTreeSet<SegmentRef> = self.view.segments.iter().copied().collect();
        if self.view.sessions.is_empty() {
            // No session can come to name them: a session names its own only.
            old.extend(&self.listed);
        }
        scoped!("repaired", self.report);
        finish.sweep(number, &old, &self.sound)?;
        for name in
            self.report.control_lost.iter().filter(|name| name.starts_with(names::CHECKPOINTS))
        {
            self.repo.store().delete(name)?;
        }
        self.report.checkpoint = Some(number);
        Ok(true)
    }
}
