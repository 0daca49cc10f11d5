//! Machines that wrote to the repository, and which of them went silent: pure, from what they wrote and when.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::moment::Moment;
use super::overview::Machine;

/// A machine may stay away twice as long as usual, and so long besides.
const SLACK: SignedDuration = SignedDuration::from_hours(1);
/// The usual pause is taken from so many of the newest writings.
const LOOKED_AT: usize = 20;
/// With fewer writings nothing is usual.
const LEAST: usize = 3;

/// Something that a machine wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// Which machine: its own id where it is told, else its key's.
    pub machine: String,
    /// Its name.
    pub host: String,
    /// When.
    pub at: Moment,
}

/// What a machine does by plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duty {
    /// The nodes whose newest snapshot it wrote.
    pub nodes: Vec<String>,
    /// The longest pause between two backups by their schedules; `None` if none is known.
    pub pause: Option<SignedDuration>,
}

/// All machines, by host. `duties` are by the machine's id.
pub fn machines(
    writings: &[Writing],
    duties: &BTreeMap<String, Duty>,
    now: Timestamp,
) -> Vec<Machine> {
    let mut by_id: BTreeMap<&str, Vec<&Writing>> = BTreeMap::new();
    for writing in writings {
        by_id.entry(&writing.machine).or_default().push(writing);
    }
    let mut machines: Vec<Machine> = by_id
        .into_iter()
        .filter_map(|(id, of_it)| machine(id, of_it, duties.get(id), now))
        .collect();
    machines.sort_by(|a, b| (&a.host, &a.id).cmp(&(&b.host, &b.id)));
    machines
}

fn machine(
    id: &str,
    mut of_it: Vec<&Writing>,
    duty: Option<&Duty>,
    now: Timestamp,
) -> Option<Machine> {
    of_it.sort_by_key(|writing| writing.at);
    let last = of_it.last()?;
    let duty = duty.cloned().unwrap_or_default();
    let times: Vec<Moment> = of_it.iter().map(|writing| writing.at).collect();
    // A machine whose nodes are backed up elsewhere now has nothing to say any more.
    let has_duty = !duty.nodes.is_empty();
    let pause = duty.pause.or_else(|| usual_pause(&times)).filter(|_| has_duty);
    Some(Machine {
        id: id.to_owned(),
        host: last.host.clone(),
        last_seen: last.at,
        nodes: duty.nodes,
        silent: is_silent(last.at, pause, now),
    })
}

/// Whether a machine stayed away for well past its rhythm. Without a rhythm nobody can say.
pub fn is_silent(last: Moment, pause: Option<SignedDuration>, now: Timestamp) -> bool {
    pause.is_some_and(|pause| last.age(now) > pause.saturating_mul(2).saturating_add(SLACK))
}

/// The pause in the middle of the newest ones; `times` are in order.
fn usual_pause(times: &[Moment]) -> Option<SignedDuration> {
    if times.len() < LEAST {
        return None;
    }
    let newest = &times[times.len().saturating_sub(LOOKED_AT)..];
    let mut pauses: Vec<SignedDuration> =
        newest.windows(2).map(|two| two[1].time().duration_since(two[0].time())).collect();
    pauses.sort();
    pauses.get(pauses.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Moment {
        Moment::of_millis(hours * 3_600_000)
    }

    fn writings(hours: &[i64]) -> Vec<Writing> {
        let writing =
            |h: &i64| Writing { machine: "m".to_owned(), host: "rack1".to_owned(), at: at(*h) };
        hours.iter().map(writing).collect()
    }

    fn duties(pause: Option<i64>) -> BTreeMap<String, Duty> {
        let pause = pause.map(SignedDuration::from_hours);
        [("m".to_owned(), Duty { nodes: vec!["guts".to_owned()], pause })].into()
    }

    #[test]
    fn silence_is_well_past_the_rhythm() {
        let cases: [(&[i64], Option<i64>, i64, bool); 7] = [
            // Daily by schedule: 49 hours are allowed.
            (&[0], Some(24), 49, false),
            (&[0], Some(24), 50, true),
            // Daily by habit, with one long pause in it.
            (&[0, 24, 48, 200, 224], None, 224 + 49, false),
            (&[0, 24, 48, 200, 224], None, 224 + 50, true),
            // No habit yet.
            (&[0, 24], None, 10_000, false),
            // The schedule counts more than the habit.
            (&[0, 1, 2, 3], Some(24), 40, false),
            // A clock that was ahead.
            (&[90], Some(24), 40, false),
        ];
        for (hours, pause, now, silent) in cases {
            let found = machines(&writings(hours), &duties(pause), at(now).time());
            assert_eq!(found[0].silent, silent, "{hours:?} {pause:?} {now}");
        }
    }

    #[test]
    fn a_machine_without_a_node_is_missed_by_nobody() {
        let found = machines(&writings(&[0, 1, 2, 3]), &BTreeMap::new(), at(10_000).time());
        assert_eq!((found.len(), found[0].silent, found[0].last_seen), (1, false, at(3)));
    }
}
