//! Every family of metrics. All are gauges: each tells how things stand, and none counts within this process.

use crate::fleet::moment::Moment;
use crate::fleet::overview::{Code, Machine, Node, Overview, Verdict};
use crate::notify::Topic;

/// A value with the values of its family's labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

/// A family of metrics.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
    pub(super) samples: fn(&Overview) -> Vec<Sample>,
}

type Samples = fn(&Overview) -> Vec<Sample>;

const fn family(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: Samples,
) -> Family {
    Family { name, labels, help, samples }
}

const NONE: &[&str] = &[];
const NODE: &[&str] = &["node"];
const MACHINE: &[&str] = &["host", "machine"];
const COPY: &[&str] = &["kind", "location"];

/// All of them, in the order in which they are written.
pub const FAMILIES: &[Family] = &[
    family(
        "nodekeep_build_info",
        &["version"],
        "1, with the version of the program that looked.",
        |o| vec![sample([o.version.clone()], 1.0)],
    ),
    family("nodekeep_overview_timestamp_seconds", NONE, "When all of this was looked at.", |o| {
        one(Some(time(o.at)))
    }),
    family(
        "nodekeep_repository_info",
        &["id", "location", "distance"],
        "1, with where the repository is and how far that is from the machine that looked.",
        |o| {
            let r = &o.repository;
            vec![sample([r.id.clone(), r.location.clone(), word(r.distance)], 1.0)]
        },
    ),
    family("nodekeep_repository_bytes", NONE, "Bytes of all objects of the repository.", |o| {
        one(o.repository.bytes.map(float))
    }),
    family("nodekeep_repository_objects", NONE, "Objects of the repository.", |o| {
        one(o.repository.objects.map(float))
    }),
    family("nodekeep_repository_snapshots", NONE, "Live snapshots of the repository.", |o| {
        one(o.repository.snapshots.map(float))
    }),
    family(
        "nodekeep_repository_logical_bytes",
        NONE,
        "Sizes of all files in all snapshots: what the repository would be without deduplication and compression.",
        |o| one(o.repository.dedup.map(|dedup| float(dedup.logical_bytes))),
    ),
    family("nodekeep_repository_dedup_ratio", NONE, "Logical bytes by stored bytes.", |o| {
        let dedup = o.repository.dedup.filter(|dedup| dedup.stored_bytes > 0);
        one(dedup.map(|dedup| float(dedup.logical_bytes) / float(dedup.stored_bytes)))
    }),
    family(
        "nodekeep_repository_capacity_bytes",
        NONE,
        "How much fits where the repository is.",
        |o| one(o.repository.capacity.map(|capacity| float(capacity.total))),
    ),
    family("nodekeep_repository_free_bytes", NONE, "How much of that is free.", |o| {
        one(o.repository.capacity.map(|capacity| float(capacity.free)))
    }),
    family(
        "nodekeep_repository_growth_bytes_per_second",
        NONE,
        "How fast the repository grows, over the last 30 days, with what prunes gave back taken off once this machine has looked at it for a week.",
        |o| one(o.repository.growth_per_day.map(|bytes| float(bytes) / DAY_SECS)),
    ),
    family(
        "nodekeep_repository_full_in_seconds",
        NONE,
        "At that growth the room ends in so many seconds.",
        |o| one(o.repository.days_until_full.map(|days| days * DAY_SECS)),
    ),
    family(
        "nodekeep_repository_offsite",
        NONE,
        "1 if the repository or a copy of it is on another host.",
        |o| one(Some(flag(o.repository.offsite))),
    ),
    family("nodekeep_repository_damaged_objects", NONE, "Objects that cannot be read.", |o| {
        one(Some(float(o.repository.damaged_objects)))
    }),
    family(
        "nodekeep_repository_lost_snapshots",
        NONE,
        "Snapshots that were seen before and are gone without a record of deletion.",
        |o| one(Some(float(o.repository.snapshots_lost))),
    ),
    family(
        "nodekeep_scrub_proven_ratio",
        NONE,
        "Share of all bytes that a scrub read and found whole: 0 to 1.",
        |o| one(o.repository.scrub.map(|scrub| scrub.proven_share)),
    ),
    family(
        "nodekeep_scrub_oldest_timestamp_seconds",
        NONE,
        "Since then every byte was read at least once.",
        |o| one(o.repository.scrub.and_then(|scrub| scrub.oldest).map(time)),
    ),
    family("nodekeep_scrub_damaged_objects", NONE, "Objects that scrubs found damaged.", |o| {
        one(o.repository.scrub.map(|scrub| float(scrub.damaged)))
    }),
    family(
        "nodekeep_copy_timestamp_seconds",
        COPY,
        "When a copy of the repository was complete.",
        |o| {
            let copies = o.repository.copies.iter();
            copies.map(|c| sample([c.kind.clone(), c.location.clone()], time(c.finished))).collect()
        },
    ),
    family("nodekeep_copy_snapshots", COPY, "Snapshots in a copy.", |o| {
        let copies = o.repository.copies.iter();
        copies.map(|c| sample([c.kind.clone(), c.location.clone()], float(c.snapshots))).collect()
    }),
    family(
        "nodekeep_node_info",
        &["node", "profile", "host"],
        "1, with a node's kind and where its newest snapshot was written.",
        |o| {
            let host = |node: &Node| node.host.clone().unwrap_or_default();
            let nodes = o.nodes.iter();
            nodes.map(|n| sample([n.name.clone(), n.profile.clone(), host(n)], 1.0)).collect()
        },
    ),
    family(
        "nodekeep_node_state",
        &["node", "state"],
        "1 for the state that a node is in, 0 for the others: never, failed, overdue, at-risk, safe, proven.",
        states,
    ),
    family(
        "nodekeep_node_reason",
        &["node", "code"],
        "1 for each reason why a node is not better.",
        |o| {
            let each = |node: &Node| {
                let mut codes: Vec<Code> = node.reasons.iter().map(|reason| reason.code).collect();
                codes.sort_unstable();
                codes.dedup();
                let name = node.name.clone();
                codes.into_iter().map(move |code| sample([name.clone(), word(code)], 1.0))
            };
            o.nodes.iter().flat_map(each).collect()
        },
    ),
    family(
        "nodekeep_backup_last_success_timestamp_seconds",
        NODE,
        "When the newest complete snapshot of a node began.",
        |o| nodes(o, |node| node.rpo.actual.map(|age| time(o.at) - age)),
    ),
    family("nodekeep_backup_duration_seconds", NODE, "How long the newest snapshot took.", |o| {
        nodes(o, |node| node.newest.as_ref().map(|newest| newest.duration))
    }),
    family("nodekeep_backup_bytes", NODE, "Sizes of all files in the newest snapshot.", |o| {
        nodes(o, |node| node.newest.as_ref().map(|newest| float(newest.bytes)))
    }),
    family(
        "nodekeep_backup_added_bytes",
        NODE,
        "What the repository grew by with the newest snapshot.",
        |o| nodes(o, |node| node.newest.as_ref().map(|newest| float(newest.added_bytes))),
    ),
    family(
        "nodekeep_backup_complete",
        NODE,
        "1 if everything that the node needs is in the newest snapshot.",
        |o| nodes(o, |node| node.newest.as_ref().map(|newest| flag(newest.complete))),
    ),
    family("nodekeep_backup_snapshots", NODE, "Snapshots of a node.", |o| {
        nodes(o, |node| Some(float(node.snapshots)))
    }),
    family("nodekeep_backup_paused", NODE, "1 if a node's schedule is paused.", |o| {
        nodes(o, |node| Some(flag(node.paused)))
    }),
    family(
        "nodekeep_next_job_timestamp_seconds",
        &["node", "job"],
        "When the next job of a node begins.",
        |o| {
            let each = |node: &Node| {
                let next = node.next.as_ref()?;
                Some(sample([node.name.clone(), next.job.clone()], time(next.at)))
            };
            o.nodes.iter().filter_map(each).collect()
        },
    ),
    family("nodekeep_rpo_seconds", NODE, "How much of a node would be lost now.", |o| {
        nodes(o, |node| node.rpo.actual)
    }),
    family("nodekeep_rpo_target_seconds", NODE, "How much may be lost.", |o| {
        nodes(o, |node| node.rpo.target)
    }),
    family(
        "nodekeep_restore_seconds",
        NODE,
        "How long the last drill took from the first byte to the last check: the recovery time (RTO).",
        |o| nodes(o, |node| node.drill.as_ref().map(|drill| drill.seconds)),
    ),
    family("nodekeep_rto_target_seconds", NODE, "How long a return may take.", |o| {
        nodes(o, |node| node.rto.target)
    }),
    family("nodekeep_drill_timestamp_seconds", NODE, "When the last drill began.", |o| {
        nodes(o, |node| node.drill.as_ref().map(|drill| time(drill.at)))
    }),
    family(
        "nodekeep_drill_success",
        NODE,
        "1 if the last drill found everything as it should be.",
        |o| nodes(o, |node| node.drill.as_ref().map(|drill| flag(drill.ok))),
    ),
    family(
        "nodekeep_drill_started_node",
        NODE,
        "1 if the last drill started the node on the copy: only that proves that it comes back.",
        |o| nodes(o, |node| node.drill.as_ref().map(|drill| flag(drill.started))),
    ),
    family(
        "nodekeep_verification_timestamp_seconds",
        NODE,
        "When the data of a node's snapshots was last checked.",
        |o| nodes(o, |node| node.verified.as_ref().map(|verified| time(verified.at))),
    ),
    family("nodekeep_verification_success", NODE, "1 if that check found it whole.", |o| {
        nodes(o, |node| node.verified.as_ref().map(|verified| flag(verified.ok)))
    }),
    family(
        "nodekeep_health_timestamp_seconds",
        NODE,
        "When the node itself was last looked at.",
        |o| nodes(o, |node| node.health.as_ref().map(|health| time(health.at))),
    ),
    family("nodekeep_health_success", NODE, "1 if it was well.", |o| {
        nodes(o, |node| node.health.as_ref().map(|health| flag(health.ok)))
    }),
    family(
        "nodekeep_retention_met",
        NODE,
        "1 if old snapshots are deleted as the rules say.",
        |o| nodes(o, |node| node.retention.as_ref().map(|retention| flag(retention.met))),
    ),
    family(
        "nodekeep_fence_marks",
        NODE,
        "Marks that the rollback fence keeps of a node: what must never run backwards.",
        |o| nodes(o, |node| Some(float(node.fence_marks))),
    ),
    family(
        "nodekeep_machine_last_seen_timestamp_seconds",
        MACHINE,
        "When a machine last wrote.",
        |o| machines(o, |machine| time(machine.last_seen)),
    ),
    family(
        "nodekeep_machine_silent",
        MACHINE,
        "1 if that is longer ago than the machine's rhythm lets expect.",
        |o| machines(o, |machine| flag(machine.silent)),
    ),
    family(
        "nodekeep_jobs",
        &["state"],
        "Jobs of this machine that are running, and that are due and wait for their turn.",
        |o| {
            let Overview { jobs, .. } = o;
            let of = |state: &str, count| sample([state.to_owned()], float(count));
            vec![of("running", jobs.running), of("waiting", jobs.waiting)]
        },
    ),
    family("nodekeep_alerts", &["topic"], "What is wrong now, as people were told.", |o| {
        let bad = Topic::ALL.into_iter().filter(|topic| topic.is_bad());
        let count = |topic| o.alerts.iter().filter(|alert| alert.topic == topic).count() as f64;
        bad.map(|topic| sample([topic.word().to_owned()], count(topic))).collect()
    }),
];

const DAY_SECS: f64 = 86_400.0;

fn states(overview: &Overview) -> Vec<Sample> {
    let all = [
        Verdict::Never,
        Verdict::Failed,
        Verdict::Overdue,
        Verdict::AtRisk,
        Verdict::Safe,
        Verdict::Proven,
    ];
    let each = |node: &Node| {
        let (name, verdict) = (node.name.clone(), node.verdict);
        all.map(|state| sample([name.clone(), word(state)], flag(state == verdict)))
    };
    overview.nodes.iter().flat_map(each).collect()
}

fn sample<const N: usize>(labels: [String; N], value: f64) -> Sample {
    Sample { labels: labels.into(), value }
}

fn one(value: Option<f64>) -> Vec<Sample> {
    value.map(|value| sample([], value)).into_iter().collect()
}

fn nodes(overview: &Overview, value: impl Fn(&Node) -> Option<f64>) -> Vec<Sample> {
    let each = |node: &Node| Some(sample([node.name.clone()], value(node)?));
    overview.nodes.iter().filter_map(each).collect()
}

fn machines(overview: &Overview, value: impl Fn(&Machine) -> f64) -> Vec<Sample> {
    let each =
        |machine: &Machine| sample([machine.host.clone(), machine.id.clone()], value(machine));
    overview.machines.iter().map(each).collect()
}

/// The word by which a value is written in documents.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn time(moment: Moment) -> f64 {
    moment.second() as f64
}

fn float(number: u64) -> f64 {
    number as f64
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
