//! The document of the fleet, as `status --all --json`, the HTTP API and the dashboard have it. What is not known is `None`, written as
//! null. No field holds a secret: a location never has credentials.

use schemars::JsonSchema;
use serde::Serialize;

use super::moment::Moment;
use crate::copies::Distance;
use crate::notify::Topic;

/// Everything in one glance.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Overview {
    /// When it was looked at.
    pub at: Moment,
    /// The program's version.
    pub version: String,
    /// The machine that looked.
    pub host: String,
    /// What the keys here can do.
    pub role: Role,
    /// Where snapshots lie.
    pub repository: Repository,
    /// Every node, by name.
    pub nodes: Vec<Node>,
    /// Every machine that wrote, by host.
    pub machines: Vec<Machine>,
    /// Jobs of this machine.
    pub jobs: Jobs,
    /// What is wrong by the schedules and the fleet, as people were told.
    pub alerts: Vec<Alert>,
}

/// What the keys can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Add snapshots; sees nothing of what others wrote.
    Writer,
    /// Read too.
    Keeper,
    /// Delete too.
    Owner,
}

/// The repository and its place.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Repository {
    /// Where it lies.
    pub location: String,
    /// Its id, hexadecimal.
    pub id: String,
    /// Bytes of all objects; unknown where the store has no lists.
    pub bytes: Option<u64>,
    /// How many objects.
    pub objects: Option<u64>,
    /// Live snapshots; unknown to a writer.
    pub snapshots: Option<u64>,
    /// How much fits there.
    pub capacity: Option<Capacity>,
    /// Bytes that it grows by in a day.
    pub growth_per_day: Option<u64>,
    /// At that growth it is full in so many days.
    pub days_until_full: Option<f64>,
    /// How far it is from this machine.
    pub distance: Distance,
    /// Whether it, or a copy, lies on another host.
    pub offsite: bool,
    /// Copies that this machine made.
    pub copies: Vec<Copy>,
    /// How far every byte is proven; `None` where nothing was ever scrubbed.
    pub scrub: Option<Scrub>,
    /// What deduplication and compression save.
    pub dedup: Option<Dedup>,
    /// Objects that cannot be read.
    pub damaged_objects: u64,
    /// Snapshots that were seen here and are gone without a record of deletion.
    pub snapshots_lost: u64,
    /// Whether the recovery words were confirmed.
    pub words_confirmed: bool,
}

/// Room for a repository, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Capacity {
    /// Of the file system, or what was set.
    pub total: u64,
    /// Of it, what is free.
    pub free: u64,
}

/// A copy of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Copy {
    /// `mirror` or `copy`.
    pub kind: String,
    /// Where.
    pub location: String,
    /// Snapshots that it holds.
    pub snapshots: u64,
    /// When it was complete.
    pub finished: Moment,
    /// How far from this machine.
    pub distance: Distance,
}

/// What scrubs found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Scrub {
    /// Of all bytes, the share that was read and found whole: 0 to 1.
    pub proven_share: f64,
    /// Since when every byte was read at least once; `None` while some never were.
    pub oldest: Option<Moment>,
    /// Objects that were found damaged.
    pub damaged: u64,
}

/// Bytes of all snapshots beside bytes of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Dedup {
    /// Sizes of all files in all snapshots.
    pub logical_bytes: u64,
    /// Bytes of all objects.
    pub stored_bytes: u64,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Node {
    /// Its name: what tells it from others in the repository.
    pub name: String,
    /// Its kind.
    pub profile: String,
    /// The same as the name, for links.
    pub id: String,
    /// Whether it is registered on this machine.
    pub here: bool,
    /// Where its newest snapshot was written.
    pub host: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
    /// Why, and what to do; the gravest first.
    pub reasons: Vec<Reason>,
    /// Its newest snapshot.
    pub newest: Option<Newest>,
    /// How many there are.
    pub snapshots: u64,
    /// When the oldest began.
    pub oldest: Option<Moment>,
    /// How much may be lost, in seconds: age of the newest complete snapshot.
    pub rpo: Target,
    /// How long a return takes, in seconds: as the last drill measured.
    pub rto: Target,
    /// The last drill.
    pub drill: Option<Drill>,
    /// The last time that a snapshot's bytes were checked.
    pub verified: Option<Verified>,
    /// What comes next.
    pub next: Option<Next>,
    /// Whether its backups are paused.
    pub paused: bool,
    /// The last look at the node itself.
    pub health: Option<Health>,
    /// Whether retention is kept to; `None` where no rule is set.
    pub retention: Option<Retention>,
    /// How many marks the fence knows of it.
    pub fence_marks: u64,
}

/// How a node stands, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no snapshot.
    Never,
    /// The last run failed.
    Failed,
    /// The newest complete snapshot is older than it may be.
    Overdue,
    /// Something would cost data or time on a bad day.
    AtRisk,
    /// The newest snapshot is complete, young enough, and away from this machine.
    Safe,
    /// A drill started the node on a copy, in time.
    Proven,
}

/// Why a node stands as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// For machines.
    pub code: Code,
    /// A sentence.
    pub text: String,
    /// A command that helps.
    #[serde(rename = "do")]
    pub remedy: Option<String>,
    /// Whether it keeps the node from being safe; otherwise it only keeps it from being proven, or is worth knowing.
    pub risk: bool,
}

/// What there is to say of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No snapshot.
    Never,
    /// The last backup failed.
    Failed,
    /// The newest complete snapshot is too old.
    Overdue,
    /// Its machine wrote nothing for longer than usual.
    Silent,
    /// The newest snapshot lacks something that the node needs.
    Incomplete,
    /// The last drill found something wrong.
    DrillFailed,
    /// The last check of a snapshot found something wrong.
    VerifyFailed,
    /// Its data was not checked for longer than the target allows.
    VerifyOld,
    /// Objects of the repository are damaged.
    Damaged,
    /// Neither the repository nor a copy lies on another host.
    NotOffsite,
    /// Newer than every copy on another host.
    CopyOld,
    /// The last drill took longer than a return may.
    RtoMissed,
    /// The last drill is too old.
    DrillOld,
    /// No drill, though one is asked for.
    NeverDrilled,
    /// The last drill did not start the node.
    DrillDidNotStart,
    /// There is hardly room left.
    NearlyFull,
    /// Old snapshots are not deleted as the rules say.
    RetentionNotMet,
    /// The node itself is not well.
    Unwell,
    /// Backups are paused.
    Paused,
    /// No schedule is known.
    NoSchedule,
}

/// A node's newest snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Newest {
    /// Its id, hexadecimal.
    pub snapshot: String,
    /// When it began.
    pub at: Moment,
    /// Whether everything that the node needs is in it.
    pub complete: bool,
    /// Size of its files.
    pub bytes: u64,
    /// Bytes that the repository grew by.
    pub added_bytes: u64,
    /// How long it took, in seconds.
    pub duration: f64,
    /// How far the node had come, in its terms.
    pub position: Option<String>,
}

/// A target in seconds, and how it is met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Target {
    /// What was set.
    pub target: Option<f64>,
    /// What is.
    pub actual: Option<f64>,
    /// Whether it is met; `None` if either is not known.
    pub met: Option<bool>,
}

impl Target {
    /// Of what was set and what is.
    pub fn of(target: Option<f64>, actual: Option<f64>) -> Self {
        let met = target.zip(actual).map(|(target, actual)| actual <= target);
        Self { target, actual, met }
    }
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Drill {
    /// When it began.
    pub at: Moment,
    /// Whether all that was looked at was as it should be.
    pub ok: bool,
    /// Whether the node was started on the copy.
    pub started: bool,
    /// From the first byte to the last check, in seconds.
    pub seconds: f64,
    /// Id of the certificate's record, hexadecimal.
    pub certificate: Option<String>,
}

/// A check of a node's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// When.
    pub at: Moment,
    /// Whether it is whole.
    pub ok: bool,
    /// How it was looked at.
    pub how: String,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Next {
    /// The job's word.
    pub job: String,
    /// When it begins.
    pub at: Moment,
}

/// A look at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Health {
    /// When.
    pub at: Moment,
    /// Whether all was well.
    pub ok: bool,
    /// What was seen.
    pub text: String,
}

/// Whether rules about old snapshots are kept to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Retention {
    /// Whether they are.
    pub met: bool,
    /// A sentence.
    pub text: String,
}

/// A machine that wrote to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Machine {
    /// What tells it from others.
    pub id: String,
    /// Its name.
    pub host: String,
    /// When it last wrote.
    pub last_seen: Moment,
    /// The nodes whose newest snapshot it wrote.
    pub nodes: Vec<String>,
    /// Whether that is longer ago than its rhythm lets expect.
    pub silent: bool,
}

/// Jobs of this machine, now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Jobs {
    /// That run.
    pub running: u64,
    /// That are due and wait for their turn.
    pub waiting: u64,
}

/// Something wrong that people were told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Alert {
    /// The same as long as the same is wrong.
    pub key: String,
    /// What about.
    pub topic: Topic,
    /// In a few words.
    pub title: String,
    /// In sentences.
    pub text: String,
    /// The node, if it is about one.
    pub node: Option<String>,
    /// Since when.
    pub since: Moment,
}

/// One node with its parts: what a page about it shows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Detail {
    /// As in the overview.
    #[serde(flatten)]
    pub node: Node,
    /// Components of its newest snapshot.
    pub components: Vec<Component>,
    /// What the fence knows.
    pub fence: Vec<Mark>,
}

/// A component in a node's newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How it came out.
    #[schemars(with = "String")]
    pub status: nodekeep_nodes::manifest::Status,
    /// Size in bytes.
    pub bytes: u64,
    /// How far it had come.
    pub position: Option<String>,
    /// What a person should know.
    pub note: Option<String>,
}

/// A mark of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mark {
    /// What must not run backwards.
    pub what: String,
    /// How far it had come.
    pub value: String,
    /// When and where that was read.
    pub note: Option<String>,
}
