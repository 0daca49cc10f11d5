//! Profiles: what a kind of node owns and how to treat it, as a TOML file that anyone can write. `docs/profiles.md` documents every key;
//! the built-in ones lie in `crates/nodes/profiles/`.

pub mod builtin;
mod folders;
mod raw;
mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use folders::usual_folders;
pub use raw::parse;
pub use template::{Variables, fill};

/// A kind of node.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: `relay`.
    pub name: String,
    /// Its name for people: `Relay Network`.
    pub title: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The version of the node that this was tried against; `None`: untested, and said so.
    pub tested: Option<String>,
    /// Folders that a node has, by the name that stands in braces. The first is the main one.
    pub roots: Vec<Root>,
    /// Other values that stand in braces.
    pub variables: Vec<Variable>,
    /// How such a node is recognised.
    pub detect: Detect,
    /// What it owns, in the order of capture.
    pub components: Vec<Component>,
    /// How it is kept still.
    pub hold: Hold,
    /// How it is stopped and started.
    pub service: Service,
    /// What runs around a backup and a restore.
    pub hooks: Hooks,
    /// What deploys a new version of it.
    pub deploy: Option<Line>,
    /// How its health is seen.
    pub health: Vec<HealthRule>,
    /// What must never run backwards.
    pub fence: Vec<FenceRule>,
    /// What a drill checks besides what each kind checks by itself.
    pub verify: Vec<VerifyRule>,
    /// What a person must know: printed by `node show` and `runbook`.
    pub notes: Vec<String>,
    /// The text it was read from: carried in every snapshot.
    pub source: String,
}

/// A folder that a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `data`, for `{data}`.
    pub name: String,
    /// What lies there.
    pub about: String,
    /// Where it usually lies; may begin with `~/` or name another root. Empty: must be given.
    pub default: String,
    /// Whether a node can do without.
    pub optional: bool,
}

/// Another value in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// `api`, for `{api}`.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Its value unless given.
    pub default: String,
}

/// How a node is recognised: paths relative to the folder looked at, with `*` for any part of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detect {
    /// All of these are there.
    pub all: Vec<String>,
    /// At least one of these is there, if any is named.
    pub any: Vec<String>,
    /// None of these is there.
    pub none: Vec<String>,
}

/// How precious a component is: the order of rescue on the worst day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Its loss is the loss of the node.
    Critical,
    /// Its loss costs data.
    High,
    /// Its loss costs time.
    #[default]
    Medium,
    /// Can be fetched or made again.
    Low,
}

/// A part of a node that is captured, listed and restored by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// `blockchain`.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Where it lies: a path with placeholders.
    pub path: String,
    /// How it is captured.
    pub kind: Kind,
    /// Things in it that are captured differently, in this order, before the rest of it. Paths are relative to `path`.
    pub parts: Vec<Part>,
    /// Whether the node is worth nothing without it.
    pub required: bool,
    /// How precious it is.
    pub priority: Priority,
    /// When it is due by itself, in the words of `nodekeep schedule`.
    pub schedule: Option<String>,
    /// Globs of what is left out, as for `nodekeep backup --exclude`.
    pub exclude: Vec<String>,
    /// Whether it makes a copy the same node: a test instance does not get it.
    pub identity: bool,
    /// Whether it is captured only when it is named: it repeats, in another form, what others hold.
    pub on_request: bool,
    /// Whether it is whole only while the node is stopped: `--cold` captures it, and stops the node for it.
    pub cold: bool,
}

/// Something in a component with a kind of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Relative to the component's path.
    pub path: String,
    /// How it is captured.
    pub kind: Kind,
    /// Whether the component is torn without it.
    pub required: bool,
}

/// How something is captured while it is in use.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Files as they are. Never called consistent where several change together, but under a hold.
    Files,
    /// A JSON document that is written anew as a whole.
    Json(JsonRule),
    /// Lines of JSON, only ever appended; a torn last line is cut.
    Jsonl(JsonlRule),
    /// Lines of JSON linked by hashes.
    JsonlChain(JsonlRule, ChainRule),
    /// A SQLite database.
    Sqlite(SqliteRule),
    /// A RocksDB database folder.
    Rocksdb,
    /// A LevelDB database folder.
    Leveldb,
    /// A PostgreSQL server.
    Postgres(PostgresRule),
    /// A git repository, or a folder of them.
    Git,
    /// What a program writes to standard output.
    Command(CommandRule),
    /// Encrypted content of an Axon, in chunks that the rows of its database name.
    AxonChunks(AxonChunksRule),
    /// Applets of an Axon with all that belongs to them, as a backup directory of Axon's own.
    AxonApplets(AxonAppletsRule),
    /// A Minima node, through its own commands.
    Minima(MinimaRule),
}

impl Kind {
    /// As profiles name it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Json(_) => "json",
            Self::Jsonl(_) => "jsonl",
            Self::JsonlChain(..) => "jsonl-chain",
            Self::Sqlite(_) => "sqlite",
            Self::Rocksdb => "rocksdb",
            Self::Leveldb => "leveldb",
            Self::Postgres(_) => "postgres",
            Self::Git => "git",
            Self::Command(_) => "command",
            Self::AxonChunks(_) => "axon-chunks",
            Self::AxonApplets(_) => "axon-applets",
            Self::Minima(_) => "minima",
        }
    }

    /// The components that it cannot do without.
    pub fn others(&self) -> Vec<&str> {
        match self {
            Self::AxonChunks(rule) => vec![&rule.database],
            Self::AxonApplets(rule) => vec![&rule.database, &rule.chunks, &rule.environment],
            _ => Vec::new(),
        }
    }

    /// Whether something lies at the component's path in a living node. Other state only a program gives.
    pub fn lies_somewhere(&self) -> bool {
        !matches!(
            self,
            Self::Command(_) | Self::Postgres(_) | Self::AxonApplets(_) | Self::Minima(_)
        )
    }
}

/// A JSON document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonRule {
    /// Counters of the position and where they stand: a JSON pointer in which `*` is every entry.
    pub counts: BTreeMap<String, String>,
}

/// Lines of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonlRule {
    /// What a line is, in the plural: the counter of the position.
    pub counts: Option<String>,
}

/// How lines are linked by hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRule {
    /// The field with a line's own hash, in hexadecimal.
    pub hash: String,
    /// The field with the hash of the line before.
    pub previous: String,
    /// The field that counts up by one, if there is one.
    pub index: Option<String>,
    /// Hash function: only `sha256`.
    pub function: String,
    /// The fields that are hashed, in this order, as one JSON object without white space, each value in its raw text.
    pub over: Vec<String>,
}

/// A SQLite database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqliteRule {
    /// Counters of the position and the queries that give them: one row, one number.
    pub counts: BTreeMap<String, String>,
}

/// How PostgreSQL is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PostgresMethod {
    /// `pg_basebackup` with the WAL it needs: the whole server, restored as files.
    #[default]
    Base,
    /// `pg_dump` in its custom format: one database, restored into any newer server.
    Dump,
}

/// A PostgreSQL server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresRule {
    /// How.
    pub method: PostgresMethod,
    /// Connection string with placeholders, without a password: that comes from `~/.pgpass` or a service file.
    pub connection: String,
    /// For a dump: when it goes back.
    pub restore_while: RestoreWhile,
}

/// When a dump goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreWhile {
    /// While the node is stopped: a database that it would write to meanwhile.
    #[default]
    Stopped,
    /// While it runs: the node itself takes it.
    Running,
}

/// A program that writes a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRule {
    /// Writes it to standard output.
    pub dump: Line,
    /// Reads it from standard input.
    pub restore: Option<Line>,
    /// When that runs.
    pub restore_while: RestoreWhile,
    /// Checks one that lies at `{file}`.
    pub check: Option<Line>,
}

/// Chunks of an Axon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AxonChunksRule {
    /// The component whose rows name them.
    pub database: String,
}

/// Applets of an Axon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AxonAppletsRule {
    /// The component that holds their rows.
    pub database: String,
    /// The component that holds their content.
    pub chunks: String,
    /// The component with the secret that opens the instance's key.
    pub environment: String,
}

/// What is taken of a Minima node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinimaPart {
    /// Wallet, keys with their uses, cascade, chain, settings, history: what its `backup` holds.
    #[default]
    State,
    /// Every block of its archive.
    Archive,
    /// Every unspent coin there is: for nodes with `-megammr`.
    Mega,
}

/// A Minima node and the folder that it shares with us. Every value may have placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinimaRule {
    /// What is taken.
    pub take: MinimaPart,
    /// Where its commands are answered.
    pub rpc: String,
    /// File with its `-rpcpassword`; empty: it has none.
    pub password_file: String,
    /// Its `1.0` folder on this machine; empty: it cannot be seen from here.
    pub data: String,
    /// The shared folder on this machine.
    pub exchange: String,
    /// The same as the node sees it; empty: under the same name.
    pub inside: String,
    /// How long it may take to end by itself after it took something; one that hangs for longer is ended.
    pub ends_within: Duration,
}

/// A command of a profile, with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Program and arguments. A single text in the profile means `/bin/sh -c`.
    pub argv: Vec<String>,
    /// How long it may run.
    pub patience: Duration,
}

/// How a node is kept still while it is captured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hold {
    /// The way.
    pub method: HoldMethod,
    /// Enters maintenance, or freezes.
    pub enter: Option<Line>,
    /// Leaves it; runs on every way out.
    pub exit: Option<Line>,
    /// For `freeze`: file with the process id, or a cgroup's folder.
    pub process: Option<String>,
    /// For `lvm`: volume group and volume, `vg0/guts-data`; for `zfs`: the dataset.
    pub volume: Option<String>,
    /// For `lvm`: room for changes meanwhile, as `lvcreate -L` takes it.
    pub size: Option<String>,
    /// The longest that the node may be held.
    pub patience: Duration,
}

/// The ways to keep a node still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldMethod {
    /// Not at all: each kind is consistent in itself.
    #[default]
    None,
    /// The node's own maintenance mode.
    Maintenance,
    /// Stop, capture, start.
    Stop,
    /// SIGSTOP or the cgroup freezer, for a bounded time.
    Freeze,
    /// A snapshot of a logical volume.
    Lvm,
    /// A snapshot of a ZFS dataset.
    Zfs,
}

/// How a node is stopped and started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Stops it and returns when it has stopped.
    pub stop: Option<Line>,
    /// Starts it.
    pub start: Option<Line>,
    /// Succeeds while it runs.
    pub running: Option<Line>,
}

/// What runs around a backup and a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before the hold is entered.
    pub before_backup: Vec<Line>,
    /// After the hold was released, whatever came of it.
    pub after_backup: Vec<Line>,
    /// Before a restore stops the node.
    pub before_restore: Vec<Line>,
    /// After state is in place, before the node starts: `migrate`, an edit of the configuration.
    pub after_restore: Vec<Line>,
}

/// One look at a node's health.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthRule {
    /// What it says.
    pub name: String,
    /// How.
    pub probe: Probe,
    /// How long it may take.
    pub patience: Duration,
}

/// Ways to look.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// GET answers with a status of 200 to 299.
    Http {
        /// With placeholders.
        url: String,
        /// JSON pointer to a value that is looked at.
        pointer: Option<String>,
        /// The value that it must have, as text.
        equals: Option<String>,
        /// Whether it is a number that must be higher at the next look, and this far apart.
        advances_within: Option<Duration>,
    },
    /// A TCP port answers.
    Tcp {
        /// `HOST:PORT` with placeholders.
        address: String,
    },
    /// A command succeeds.
    Command(Line),
    /// A Minima node answers, with its password if it has one.
    Minima(MinimaRule),
}

/// State that must never run backwards.
#[derive(Debug, Clone, PartialEq)]
pub struct FenceRule {
    /// Unique in the profile.
    pub name: String,
    /// What a rewind would do, in a sentence: shown when it is refused.
    pub about: String,
    /// What kind of state it is.
    pub kind: FenceKind,
    /// The component that holds it.
    pub component: String,
    /// Components that hold it too, where it can be neither read nor raised: they are put back together with `component` alone.
    pub also_in: Vec<String>,
    /// How the mark is read.
    pub mark: MarkSource,
    /// How a restored copy is brought to a higher mark, where the mark's source does not tell by itself.
    pub advance: Option<Advance>,
    /// Added to a mark when the live node is gone, at least: what may have happened since.
    pub margin_floor: u64,
}

/// How numbers are raised in a copy that is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// For `sqlite`: a statement that gets the key as `:key` and the number as `:value`, once for each.
    Statement(String),
    /// For `jsonl`: a line that is appended, with `{key}` and `{value}` in it, once for each.
    Appended(String),
    /// For `command`: runs with `{key}` and `{value}`, once for each.
    Command(Line),
}

/// Kinds of state that must never run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceKind {
    /// Uses of one-time keys.
    KeyUses,
    /// Nonces of accounts.
    Nonce,
    /// A slashing-protection database (EIP-3076).
    SlashingProtection,
    /// Height, round and step that a validator signed last.
    ValidatorState,
    /// Ratchets of an end-to-end protocol: Signal sessions and sender keys.
    Ratchet,
    /// Payment channels.
    Channel,
}

/// Where a mark is read, in the component's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkSource {
    /// Numbers in a JSON file: a pointer to an object of numbers by key, or to one number.
    Json {
        /// Relative to the component.
        file: String,
        /// JSON pointer.
        pointer: String,
    },
    /// The highest number of a field for each key, over lines of JSON.
    Jsonl {
        /// Relative to the component.
        file: String,
        /// Field with the key; absent: one mark for all.
        key: Option<String>,
        /// Field with the number.
        value: String,
    },
    /// Rows of key and number.
    Sqlite {
        /// Relative to the component; empty if the component is the database.
        file: String,
        /// Gives two columns.
        query: String,
    },
    /// The number of lines or records: a log that only grows.
    Lines {
        /// Relative to the component.
        file: String,
    },
    /// Standard output of a command: lines of key, white space, number.
    Command(Line),
    /// Uses of a Minima wallet's keys: of a running node by asking it, of a copy by reading its wallet.
    Minima(MinimaRule),
    /// An EIP-3076 interchange document: a file, or what a command writes.
    Slashing {
        /// Relative to the component.
        file: Option<String>,
        /// Exports it.
        export: Option<Line>,
        /// Imports one that lies at `{file}`.
        import: Option<Line>,
    },
    /// No number: any older content is a rewind. The mark is a digest of these files.
    Content {
        /// Relative to the component, with `*`.
        files: Vec<String>,
    },
}

/// One check of a restored copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyRule {
    /// What it shows.
    pub name: String,
    /// The check: roots point into the sandbox.
    pub command: Line,
    /// Whether it starts the node itself: only then may a certificate call it proven.
    pub starts_node: bool,
}
