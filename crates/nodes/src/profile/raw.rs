//! The TOML of a profile: read with every unknown key refused by its name, then checked for what belongs together.

mod check;
mod convert;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::check::check;
use super::{FenceKind, HoldMethod, Priority, Profile, RestoreWhile};
use crate::error::{Error, Result};

/// Reads a profile.
///
/// # Errors
/// [`Error::Profile`] names `origin` and the key.
pub fn parse(text: &str, origin: &str) -> Result<Profile> {
    let bad = |reason: String| Error::Profile { origin: origin.to_owned(), reason };
    let raw: RawProfile =
        toml::from_str(text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
    let mut profile = raw.convert().map_err(bad)?;
    text.clone_into(&mut profile.source);
    check(&profile).map_err(bad)?;
    Ok(profile)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawProfile {
    name: String,
    title: String,
    about: String,
    tested: Option<String>,
    deploy: Option<RawLine>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    root: Vec<RawRoot>,
    #[serde(default)]
    variable: Vec<RawVariable>,
    #[serde(default)]
    detect: RawDetect,
    #[serde(default)]
    component: Vec<RawComponent>,
    #[serde(default)]
    hold: RawHold,
    #[serde(default)]
    service: RawService,
    #[serde(default)]
    hooks: RawHooks,
    #[serde(default)]
    health: Vec<RawHealth>,
    #[serde(default)]
    fence: Vec<RawFence>,
    #[serde(default)]
    verify: Vec<RawVerify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoot {
    name: String,
    about: String,
    #[serde(default)]
    default: String,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariable {
    name: String,
    about: String,
    default: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetect {
    #[serde(default)]
    all: Vec<String>,
    #[serde(default)]
    any: Vec<String>,
    #[serde(default)]
    none: Vec<String>,
}

/// The keys of every kind are known to components and parts alike; which belong together is checked when they are converted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawComponent {
    name: String,
    about: String,
    path: String,
    #[serde(default = "files")]
    kind: String,
    #[serde(default)]
    options: RawOptions,
    #[serde(default)]
    part: Vec<RawPart>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    priority: Priority,
    schedule: Option<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    identity: bool,
    #[serde(default)]
    on_request: bool,
    #[serde(default)]
    cold: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    path: String,
    kind: String,
    #[serde(default)]
    options: RawOptions,
    #[serde(default)]
    required: bool,
}

/// Options of kinds.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOptions {
    counts: Option<RawCounts>,
    chain: Option<RawChain>,
    method: Option<String>,
    connection: Option<String>,
    dump: Option<RawLine>,
    restore: Option<RawLine>,
    restore_while: Option<RestoreWhile>,
    check: Option<RawLine>,
    database: Option<String>,
    chunks: Option<String>,
    environment: Option<String>,
    take: Option<String>,
    rpc: Option<String>,
    password_file: Option<String>,
    data: Option<String>,
    exchange: Option<String>,
    inside: Option<String>,
    ends_within_secs: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCounts {
    Lines(String),
    Queries(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    hash: String,
    previous: String,
    index: Option<String>,
    function: String,
    over: Vec<String>,
}

/// A text for the shell, a list of words, or either with a patience.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum RawLine {
    Shell(String),
    Words(Vec<String>),
    Patient {
        run: Box<RawLine>,
        #[serde(rename = "patience-secs")]
        patience_secs: u64,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawHold {
    #[serde(default)]
    method: HoldMethod,
    enter: Option<RawLine>,
    exit: Option<RawLine>,
    process: Option<String>,
    volume: Option<String>,
    size: Option<String>,
    patience_secs: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawService {
    stop: Option<RawLine>,
    start: Option<RawLine>,
    running: Option<RawLine>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawHooks {
    #[serde(default)]
    before_backup: Vec<RawLine>,
    #[serde(default)]
    after_backup: Vec<RawLine>,
    #[serde(default)]
    before_restore: Vec<RawLine>,
    #[serde(default)]
    after_restore: Vec<RawLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawHealth {
    name: String,
    http: Option<String>,
    pointer: Option<String>,
    equals: Option<String>,
    advances_within_secs: Option<u64>,
    tcp: Option<String>,
    command: Option<RawLine>,
    /// The component whose options say how the node is reached.
    minima: Option<String>,
    patience_secs: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFence {
    name: String,
    about: String,
    kind: FenceKind,
    component: String,
    #[serde(default)]
    also_in: Vec<String>,
    mark: RawMark,
    advance: Option<RawLine>,
    #[serde(default)]
    margin_floor: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum RawMark {
    Json {
        file: String,
        pointer: String,
    },
    Jsonl {
        file: String,
        key: Option<String>,
        value: String,
    },
    Sqlite {
        #[serde(default)]
        file: String,
        query: String,
    },
    Lines {
        file: String,
    },
    Command(RawLine),
    /// With the options of its component.
    Minima,
    Slashing {
        file: Option<String>,
        export: Option<RawLine>,
        import: Option<RawLine>,
    },
    Content {
        files: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawVerify {
    name: String,
    command: RawLine,
    #[serde(default)]
    starts_node: bool,
}

fn files() -> String {
    "files".to_owned()
}
