//! Which snapshots a policy keeps. Pure: the same snapshots, policy and time give the same decisions.
//!
//! A policy is applied to each [`Group`] by itself, so that a busy writer cannot push out the snapshots of another. Snapshots are in
//! the order of their writer's sequence: the dates in them are only the writer's word, and one in the future counts as now.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::id::{MemberId, SnapshotId};

/// Snapshots that are versions of one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Who wrote them.
    pub writer: MemberId,
    /// What was backed up: the paths of the roots.
    pub paths: Vec<Vec<u8>>,
}

/// What a decision looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its group.
    pub group: Group,
    /// The writer's sequence: it orders the snapshots of a group.
    pub sequence: u64,
    /// When it was made, Unix seconds, as the writer says.
    pub at: i64,
    /// Its tags: name and value.
    pub tags: Vec<(String, String)>,
}

/// What to keep. A snapshot is kept if any rule keeps it; without any rule everything is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// The newest so many.
    pub last: Option<u32>,
    /// The newest of each of so many hours that have a snapshot.
    pub hourly: Option<u32>,
    /// The same for days.
    pub daily: Option<u32>,
    /// The same for ISO weeks.
    pub weekly: Option<u32>,
    /// The same for months.
    pub monthly: Option<u32>,
    /// The same for years.
    pub yearly: Option<u32>,
    /// Everything made within so many seconds before the newest of the group.
    pub within: Option<u64>,
    /// Everything that is not older than so many seconds.
    pub older_than: Option<u64>,
    /// Everything that has one of these tags.
    pub tags: Vec<(String, String)>,
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no rule at all.
    NoPolicy,
    /// Among the newest.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// The newest of its year.
    Yearly,
    /// Close enough to the newest.
    Within,
    /// Not old enough.
    Young,
    /// Has this tag.
    Tag(String, String),
    /// No rule keeps it, but it is the newest of its group, which no policy removes.
    Newest,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::NoPolicy => "no policy",
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
            Self::Young => "not old enough",
            Self::Tag(name, value) => return write!(f, "tag {name}={value}"),
            Self::Newest => "newest of its group",
        };
        f.write_str(word)
    }
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It stays, for these reasons (at least one).
    Keep(Vec<Reason>),
    /// It goes.
    Remove,
}

impl Policy {
    /// Whether it has no rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn periods(&self) -> [(Option<u32>, Reason); 5] {
        [
            (self.hourly, Reason::Hourly),
            (self.daily, Reason::Daily),
            (self.weekly, Reason::Weekly),
            (self.monthly, Reason::Monthly),
            (self.yearly, Reason::Yearly),
        ]
    }
}

/// Decides for every snapshot, in the order given. `now` is in Unix seconds; hours to years are those of `zone`.
pub fn decide(
    snapshots: &[Dated],
    policy: &Policy,
    now: i64,
    zone: &TimeZone,
) -> Vec<(SnapshotId, Decision)> {
    let mut reasons = vec![Vec::new(); snapshots.len()];
    for group in groups(snapshots) {
        let group = GroupView { snapshots, newest_first: &group, now, zone };
        group.decide(policy, &mut reasons);
    }
    let decision = |reasons: Vec<Reason>| {
        if reasons.is_empty() { Decision::Remove } else { Decision::Keep(reasons) }
    };
    snapshots
        .iter()
        .zip(reasons)
        .map(|(snapshot, reasons)| (snapshot.id, decision(reasons)))
        .collect()
}

/// Indices of each group's snapshots, newest first.
fn groups(snapshots: &[Dated]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&Group, Vec<usize>> = BTreeMap::new();
    for (at, snapshot) in snapshots.iter().enumerate() {
        groups.entry(&snapshot.group).or_default().push(at);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|at| {
            let snapshot = &snapshots[*at];
            std::cmp::Reverse((snapshot.sequence, snapshot.at, snapshot.id))
        });
    }
    groups
}

struct GroupView<'a> {
    snapshots: &'a [Dated],
    newest_first: &'a [usize],
    now: i64,
    zone: &'a TimeZone,
}

impl GroupView<'_> {
    fn decide(&self, policy: &Policy, reasons: &mut [Vec<Reason>]) {
        if policy.is_empty() {
            self.newest_first.iter().for_each(|at| reasons[*at].push(Reason::NoPolicy));
            return;
        }
        for at in self.newest_first.iter().take(policy.last.unwrap_or(0) as usize) {
            reasons[*at].push(Reason::Last);
        }
        for (count, reason) in policy.periods() {
            self.keep_periods(count.unwrap_or(0), &reason, reasons);
        }
        self.keep_by_age(policy, reasons);
        self.keep_by_tag(policy, reasons);
        if let Some(newest) = self.newest_first.first().filter(|at| reasons[**at].is_empty()) {
            reasons[*newest].push(Reason::Newest);
        }
    }

    fn seconds(&self, at: usize) -> i64 {
        self.snapshots[at].at.min(self.now)
    }

    /// A set, not only a look at the one before: a clock that was set back must not make a period count twice.
    fn keep_periods(&self, count: u32, reason: &Reason, reasons: &mut [Vec<Reason>]) {
        let mut seen = HashSet::new();
        for at in self.newest_first {
            if seen.len() >= count as usize {
                return;
            }
            if seen.insert(period(reason, &local(self.seconds(*at), self.zone))) {
                reasons[*at].push(reason.clone());
            }
        }
    }

    fn keep_by_age(&self, policy: &Policy, reasons: &mut [Vec<Reason>]) {
        let newest = self.newest_first.first().map_or(self.now, |at| self.seconds(*at));
        let rules =
            [(policy.within, newest, Reason::Within), (policy.older_than, self.now, Reason::Young)];
        for (span, end, reason) in rules {
            let Some(span) = span else { continue };
            let from = end.saturating_sub_unsigned(span);
            for at in self.newest_first.iter().filter(|at| self.seconds(**at) >= from) {
                reasons[*at].push(reason.clone());
            }
        }
    }

    fn keep_by_tag(&self, policy: &Policy, reasons: &mut [Vec<Reason>]) {
        for at in self.newest_first {
            let has = |tag: &&(String, String)| self.snapshots[*at].tags.contains(tag);
            reasons[*at].extend(
                policy
                    .tags
                    .iter()
                    .filter(has)
                    .map(|(name, value)| Reason::Tag(name.clone(), value.clone())),
            );
        }
    }
}

fn local(seconds: i64, zone: &TimeZone) -> Zoned {
    let edge = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(edge).to_zoned(zone.clone())
}

/// Names the period that a time falls into. The offset tells apart the two hours of a day when clocks are set back.
fn period(of: &Reason, time: &Zoned) -> (i16, i16, i8, i32) {
    let week = time.date().iso_week_date();
    match of {
        Reason::Hourly => (time.year(), time.day_of_year(), time.hour(), time.offset().seconds()),
        Reason::Daily => (time.year(), time.day_of_year(), 0, 0),
        Reason::Weekly => (week.year(), i16::from(week.week()), 0, 0),
        Reason::Monthly => (time.year(), i16::from(time.month()), 0, 0),
        _ => (time.year(), 0, 0, 0),
    }
}
