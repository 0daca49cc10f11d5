//! Scenarios with two collectors.

use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::simulate::Bug;

use super::super::cast::{Cast, files, large};
use super::super::explore::{Actor, Explorer};
use super::super::faults::Faults;
use super::{IMPATIENT, NONE, PATIENT, explorer, half_used, may, reusing, stocked};

pub(super) fn two_collectors(both_delete: bool, faults: Faults, bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let [first, second] = half_used(&mut cast);
    let mut gone = vec![first];
    if both_delete {
        gone.push(cast.back_up(1, "third", &files(&[("z", large(b'z'))])));
    }
    let actors = [
        may(cast.collector("collector", vec![first], PATIENT)),
        may(cast.collector("second collector", gone[1..].to_vec(), PATIENT)),
    ];
    explorer(&cast, &actors, vec![second], gone, faults, false)
}

/// One snapshot, which the first collector deletes and the writer could still use. The second has no more to delete: it meets what the first
/// has left, or has not yet done.
pub(super) fn successor(patience_secs: u64, bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let only = cast.back_up(0, "only", &files(&[("y", large(b'y'))]));
    let actors = with_collectors(&mut cast, only, patience_secs);
    explorer(&cast, &actors, vec![], vec![only], NONE, false)
}

pub(super) fn successor_large(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let actors = with_collectors(&mut cast, second, IMPATIENT);
    explorer(&cast, &actors, vec![first], vec![second], NONE, false)
}

fn with_collectors(cast: &mut Cast, deleted: SnapshotId, patience_secs: u64) -> [Actor; 3] {
    [
        may(reusing(cast)),
        may(cast.collector("collector", vec![deleted], PATIENT)),
        may(cast.collector("second collector", vec![], patience_secs)),
    ]
}
