//! The scrub's record: which packs were proven when, and what was found (`docs/format.md`, section 4.10). A keeper signs it, so that nobody
//! else can say that a pack was read.

use std::collections::BTreeMap;

use crate::control::{Numbered, Statement};
use crate::frame::Kind;
use crate::id::{MemberId, PackId};
use crate::wire::{Decoder, Encoder, Malformed};

/// No record names more damaged objects: the rest is found again.
pub const MOST_FINDINGS: usize = 10_000;

/// The start of a pack's id: enough to know it by.
pub type Short = [u8; 8];

/// What is known of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Whether it was read and found to be what its name says.
    pub proven: bool,
    /// When; for one that was not, when it was first seen. Unix seconds.
    pub when: i64,
}

/// A damaged object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Its name in the store.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// When it was found, Unix seconds.
    pub when: i64,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number, from 1.
    pub number: u64,
    /// Who scrubbed.
    pub keeper: MemberId,
    /// When, Unix seconds.
    pub when: i64,
    /// Every byte is to be proven within so many seconds.
    pub period_secs: u64,
    /// What is known of each pack in the store.
    pub packs: BTreeMap<Short, Mark>,
    /// Objects that were found damaged, and not found whole since.
    pub findings: Vec<Finding>,
}

/// The short name of a pack.
pub fn short(id: &PackId) -> Short {
    let mut short = [0; 8];
    short.copy_from_slice(&id.0[..8]);
    short
}

impl Statement for Record {
    const KIND: Kind = Kind::Scrub;

    fn encode(&self, to: &mut Encoder) {
        to.varint(self.number).raw(&self.keeper.0).zint(self.when).varint(self.period_secs);
        to.list(&self.groups(), |to, (mark, packs)| {
            to.zint(mark.when).u8(u8::from(mark.proven));
            to.list(packs, |to, pack| {
                to.raw(pack);
            });
        });
        to.list(&self.findings, |to, finding| {
            to.blob(finding.object.as_bytes()).blob(finding.what.as_bytes()).zint(finding.when);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (number, keeper) = (from.varint()?, MemberId::decode(from)?);
        let (when, period_secs) = (from.zint()?, from.varint()?);
        let groups = from.list(3, |from| {
            let mark = Mark { when: from.zint()?, proven: decode_flag(from)? };
            Ok((mark, from.list(8, |from| from.array())?))
        })?;
        let findings = from.list(3, |from| {
            Ok(Finding { object: from.str()?, what: from.str()?, when: from.zint()? })
        })?;
        let mut packs = BTreeMap::new();
        for (mark, group) in groups {
            packs.extend(group.into_iter().map(|pack: Short| (pack, mark)));
        }
        Ok(Self { number, keeper, when, period_secs, packs, findings })
    }
}

impl Numbered for Record {
    fn number(&self) -> u64 {
        self.number
    }

    fn keeper(&self) -> &MemberId {
        &self.keeper
    }
}

impl Record {
    /// Packs with the same mark.
    fn groups(&self) -> Vec<(Mark, Vec<Short>)> {
        let mut groups: BTreeMap<Mark, Vec<Short>> = BTreeMap::new();
        for (pack, mark) in &self.packs {
            groups.entry(*mark).or_default().push(*pack);
        }
        groups.into_iter().collect()
    }

    /// Takes over what another record, or another run, knows: the later proof counts.
    pub(super) fn merge(&mut self, other: &Self) {
        for (pack, mark) in &other.packs {
            let known = self.packs.entry(*pack).or_insert(*mark);
            *known = later(*known, *mark);
        }
        for finding in &other.findings {
            if self.findings.iter().all(|known| known.object != finding.object) {
                self.findings.push(finding.clone());
            }
        }
    }
}

fn decode_flag(from: &mut Decoder<'_>) -> Result<bool, Malformed> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(from.malformed("neither seen nor proven")),
    }
}

/// Of two proofs the later, of two first sights the earlier; a proof beats a sight.
fn later(a: Mark, b: Mark) -> Mark {
    match (a.proven, b.proven) {
        (true, true) => a.max(b),
        (false, false) => a.min(b),
        (true, false) => a,
        (false, true) => b,
    }
}
