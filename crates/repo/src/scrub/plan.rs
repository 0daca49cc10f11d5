//! What a scrub reads today: pure, so that a calendar of months can be tried in a moment.

use crate::control::PackRef;

/// Seconds of a day.
pub const DAY_SECS: i64 = 24 * 60 * 60;

/// A pack in the store, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub pack: PackRef,
    /// Size in bytes.
    pub size: u64,
    /// When it was last proven, or, if it never was, when a scrub first saw it; Unix seconds.
    pub since: i64,
    /// Whether it was ever proven.
    pub proven: bool,
}

impl Candidate {
    /// When it is to be proven by. A date in the future is nobody's: it is due at once.
    fn due(&self, now: i64, period_secs: u64) -> i64 {
        if self.since > now {
            return i64::MIN;
        }
        self.since.saturating_add_unsigned(period_secs)
    }
}

/// Which packs to read now, as positions in `packs`, those that wait longest first: as many as the time since the last run asks for, so
/// that all are read once in a period, and every one that would be late by tomorrow.
pub fn due(packs: &[Candidate], last_run: Option<i64>, now: i64, period_secs: u64) -> Vec<usize> {
    let period = i64::try_from(period_secs.max(1)).unwrap_or(i64::MAX);
    let elapsed = match last_run {
        None => DAY_SECS.min(period),
        Some(last) => now.saturating_sub(last).clamp(0, period),
    };
    let total: u128 = packs.iter().map(|pack| u128::from(pack.size)).sum();
    let budget = (total * elapsed.unsigned_abs() as u128).div_ceil(u128::from(period_secs.max(1)));
    let mut order: Vec<usize> = (0..packs.len()).collect();
    order.sort_by_key(|at| {
        let pack = &packs[*at];
        (pack.due(now, period_secs), pack.proven, pack.pack)
    });
    let mut read = 0;
    let chosen = order.into_iter().take_while(|at| {
        let pack = &packs[*at];
        let is_late = pack.due(now, period_secs) < now.saturating_add(DAY_SECS);
        let fits = read < budget;
        read += u128::from(pack.size);
        is_late || fits
    });
    chosen.collect()
}
