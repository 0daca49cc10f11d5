//! From the tables of a profile to what they mean; a key that does not belong where it stands is named.

use std::time::Duration;

use super::{
    RawChain, RawComponent, RawCounts, RawFence, RawHealth, RawHold, RawHooks, RawLine, RawMark,
    RawOptions, RawPart, RawProfile, RawRoot, RawService, RawVariable, RawVerify,
};
use crate::kind::back::{WayBack, way_back};
use crate::profile::{
    Advance, AxonAppletsRule, AxonChunksRule, ChainRule, CommandRule, Component, Detect, FenceRule,
    HealthRule, Hold, HoldMethod, Hooks, JsonRule, JsonlRule, Kind, Line, MarkSource, MinimaPart,
    MinimaRule, Part, PostgresMethod, PostgresRule, Probe, Profile, RestoreWhile, Root, Service,
    SqliteRule, Variable, VerifyRule,
};

/// What a command may take unless the profile says otherwise, in seconds.
const COMMAND_SECS: u64 = 600;
/// The longest that a node is held unless the profile says otherwise, in seconds.
const HOLD_SECS: u64 = 120;
/// What a Minima node may take to end by itself, in seconds: it takes about three.
const ENDS_SECS: u64 = 60;
/// What a look at a node's health may take, in seconds.
const PROBE_SECS: u64 = 10;

impl RawProfile {
    pub(super) fn convert(self) -> Result<Profile, String> {
        let components = self.component.into_iter().map(RawComponent::convert);
        let components = components.collect::<Result<Vec<_>, _>>()?;
        let fence = self.fence.into_iter().map(|fence| fence.convert(&components));
        let fence = fence.collect::<Result<_, _>>()?;
        let health = self.health.into_iter().map(|health| health.convert(&components));
        let health = health.collect::<Result<_, _>>()?;
        Ok(Profile {
            name: self.name,
            title: self.title,
            about: self.about,
            tested: self.tested,
            roots: self.root.into_iter().map(RawRoot::convert).collect(),
            variables: self.variable.into_iter().map(RawVariable::convert).collect(),
            detect: Detect { all: self.detect.all, any: self.detect.any, none: self.detect.none },
            components,
            fence,
            hold: self.hold.convert()?,
            service: self.service.convert(),
            hooks: self.hooks.convert(),
            deploy: self.deploy.map(RawLine::convert),
            health,
            verify: self.verify.into_iter().map(RawVerify::convert).collect(),
            notes: self.notes,
            source: String::new(),
        })
    }
}

impl RawRoot {
    fn convert(self) -> Root {
        Root { name: self.name, about: self.about, default: self.default, optional: self.optional }
    }
}

impl RawVariable {
    fn convert(self) -> Variable {
        Variable { name: self.name, about: self.about, default: self.default }
    }
}

impl RawComponent {
    fn convert(self) -> Result<Component, String> {
        let place = format!("component `{}`", self.name);
        let kind = self.options.kind(&self.kind, &place)?;
        let parts = self.part.into_iter().map(|part| part.convert(&place));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        if self.cold && !kind.lies_somewhere() {
            return Err(format!("{place}: a stopped node cannot be asked for a `{}`", self.kind));
        }
        if !parts.is_empty() && kind != Kind::Files {
            return Err(format!("{place}: only a component of kind `files` has parts"));
        }
        Ok(Component {
            name: self.name,
            about: self.about,
            path: self.path,
            kind,
            parts,
            required: self.required,
            priority: self.priority,
            schedule: self.schedule,
            exclude: self.exclude,
            identity: self.identity,
            // What stops the node is never captured unasked.
            on_request: self.on_request || self.cold,
            cold: self.cold,
        })
    }
}

impl RawPart {
    fn convert(self, component: &str) -> Result<Part, String> {
        let place = format!("{component}, part `{}`", self.path);
        let leaves = self.path.starts_with('/') || self.path.split('/').any(|step| step == "..");
        if self.path.is_empty() || leaves {
            return Err(format!("{place}: a part lies below its component"));
        }
        let kind = self.options.kind(&self.kind, &place)?;
        if way_back(&kind) != WayBack::Files {
            return Err(format!(
                "{place}: what goes back through a program is a component of its own"
            ));
        }
        Ok(Part { path: self.path, kind, required: self.required })
    }
}

impl RawOptions {
    /// The kind with its options; any that belongs to another kind is refused.
    fn kind(mut self, word: &str, place: &str) -> Result<Kind, String> {
        let kind = match word {
            "files" => Kind::Files,
            "json" => Kind::Json(self.json(place)?),
            "jsonl" => Kind::Jsonl(self.jsonl(place)?),
            "jsonl-chain" => {
                let chain = self.chain.take();
                let chain = chain.ok_or_else(|| format!("{place}: a jsonl-chain needs `chain`"))?;
                Kind::JsonlChain(self.jsonl(place)?, chain.convert(place)?)
            }
            "sqlite" => Kind::Sqlite(self.sqlite(place)?),
            "rocksdb" => Kind::Rocksdb,
            "leveldb" => Kind::Leveldb,
            "postgres" => Kind::Postgres(self.postgres(place)?),
            "git" => Kind::Git,
            "command" => Kind::Command(self.command(place)?),
            "axon-chunks" => Kind::AxonChunks(AxonChunksRule {
                database: named(self.database.take(), "database", place)?,
            }),
            "axon-applets" => Kind::AxonApplets(AxonAppletsRule {
                database: named(self.database.take(), "database", place)?,
                chunks: named(self.chunks.take(), "chunks", place)?,
                environment: named(self.environment.take(), "environment", place)?,
            }),
            "minima" => Kind::Minima(self.minima(place)?),
            other => return Err(format!("{place}: unknown kind `{other}`; {KINDS}")),
        };
        match self.leftover() {
            Some(option) => Err(format!("{place}: `{option}` is no option of kind `{word}`")),
            None => Ok(kind),
        }
    }

    fn json(&mut self, place: &str) -> Result<JsonRule, String> {
        let is_pointer = |at: &String| at.is_empty() || at.starts_with('/');
        match self.counts.take() {
            None => Ok(JsonRule::default()),
            Some(RawCounts::Queries(counts)) if counts.values().all(is_pointer) => {
                Ok(JsonRule { counts })
            }
            Some(_) => Err(format!(
                "{place}: `counts` names places: counts = {{ votes = \"/places/*/total\" }}"
            )),
        }
    }

    fn jsonl(&mut self, place: &str) -> Result<JsonlRule, String> {
        match self.counts.take() {
            None => Ok(JsonlRule::default()),
            Some(RawCounts::Lines(counts)) => Ok(JsonlRule { counts: Some(counts) }),
            Some(RawCounts::Queries(_)) => {
                Err(format!("{place}: `counts` is what a line is: counts = \"blocks\""))
            }
        }
    }

    fn sqlite(&mut self, place: &str) -> Result<SqliteRule, String> {
        match self.counts.take() {
            None => Ok(SqliteRule::default()),
            Some(RawCounts::Queries(counts)) => Ok(SqliteRule { counts }),
            Some(RawCounts::Lines(_)) => Err(format!(
                "{place}: `counts` names queries: counts = {{ users = \"SELECT count(*) FROM users\" }}"
            )),
        }
    }

    fn postgres(&mut self, place: &str) -> Result<PostgresRule, String> {
        let method = match self.method.take().as_deref() {
            None | Some("base") => PostgresMethod::Base,
            Some("dump") => PostgresMethod::Dump,
            Some(other) => {
                return Err(format!("{place}: method `{other}` is neither `base` nor `dump`"));
            }
        };
        let restore_while = match method {
            PostgresMethod::Dump => self.restore_while.take().unwrap_or_default(),
            // Files are put in place; the option is left over, and refused.
            PostgresMethod::Base => RestoreWhile::default(),
        };
        let connection = self.connection.take().unwrap_or_default();
        Ok(PostgresRule { method, connection, restore_while })
    }

    fn command(&mut self, place: &str) -> Result<CommandRule, String> {
        let dump = self.dump.take().map(RawLine::convert);
        Ok(CommandRule {
            dump: dump.ok_or_else(|| format!("{place}: a command needs `dump`"))?,
            restore: self.restore.take().map(RawLine::convert),
            restore_while: self.restore_while.take().unwrap_or_default(),
            check: self.check.take().map(RawLine::convert),
        })
    }

    fn minima(&mut self, place: &str) -> Result<MinimaRule, String> {
        let take = match self.take.take().as_deref() {
            None | Some("state") => MinimaPart::State,
            Some("archive") => MinimaPart::Archive,
            Some("megammr") => MinimaPart::Mega,
            Some(other) => {
                return Err(format!(
                    "{place}: take `{other}` is none of `state`, `archive` and `megammr`"
                ));
            }
        };
        let needs = |key: &str| format!("{place}: a minima needs `{key}`");
        Ok(MinimaRule {
            take,
            rpc: self.rpc.take().ok_or_else(|| needs("rpc"))?,
            exchange: self.exchange.take().ok_or_else(|| needs("exchange"))?,
            password_file: self.password_file.take().unwrap_or_default(),
            data: self.data.take().unwrap_or_default(),
            inside: self.inside.take().unwrap_or_default(),
            ends_within: Duration::from_secs(self.ends_within_secs.take().unwrap_or(ENDS_SECS)),
        })
    }

    fn leftover(&self) -> Option<&'static str> {
        let present = [
            ("counts", self.counts.is_some()),
            ("chain", self.chain.is_some()),
            ("method", self.method.is_some()),
            ("connection", self.connection.is_some()),
            ("dump", self.dump.is_some()),
            ("restore", self.restore.is_some()),
            ("restore-while", self.restore_while.is_some()),
            ("check", self.check.is_some()),
            ("database", self.database.is_some()),
            ("chunks", self.chunks.is_some()),
            ("environment", self.environment.is_some()),
            ("take", self.take.is_some()),
            ("rpc", self.rpc.is_some()),
            ("password-file", self.password_file.is_some()),
            ("data", self.data.is_some()),
            ("exchange", self.exchange.is_some()),
            ("inside", self.inside.is_some()),
            ("ends-within-secs", self.ends_within_secs.is_some()),
        ];
        present.iter().find(|(_, is_there)| *is_there).map(|(name, _)| *name)
    }
}

/// Every kind, for messages.
const KINDS: &str = "kinds are files, json, jsonl, jsonl-chain, sqlite, rocksdb, leveldb, postgres, git, command, axon-chunks, axon-applets and minima";

/// The name of another component.
fn named(given: Option<String>, option: &str, place: &str) -> Result<String, String> {
    given.ok_or_else(|| format!("{place}: `{option}` names the component that holds it"))
}

impl RawChain {
    fn convert(self, place: &str) -> Result<ChainRule, String> {
        if self.function != "sha256" {
            return Err(format!(
                "{place}: hash function `{}` is not known; sha256 is",
                self.function
            ));
        }
        let Self { hash, previous, index, function, over } = self;
        Ok(ChainRule { hash, previous, index, function, over })
    }
}

impl RawLine {
    fn convert(self) -> Line {
        let patience = Duration::from_secs(COMMAND_SECS);
        match self {
            Self::Shell(line) => {
                Line { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), line], patience }
            }
            Self::Words(argv) => Line { argv, patience },
            Self::Patient { run, patience_secs } => {
                Line { patience: Duration::from_secs(patience_secs), ..run.convert() }
            }
        }
    }
}

fn lines(raw: Vec<RawLine>) -> Vec<Line> {
    raw.into_iter().map(RawLine::convert).collect()
}

impl RawHold {
    fn convert(self) -> Result<Hold, String> {
        let needs = |key: &str| Err(format!("hold: this method needs `{key}`"));
        match self.method {
            HoldMethod::Maintenance if self.enter.is_none() => needs("enter"),
            HoldMethod::Maintenance if self.exit.is_none() => needs("exit"),
            HoldMethod::Freeze if self.process.is_none() => needs("process"),
            HoldMethod::Lvm | HoldMethod::Zfs if self.volume.is_none() => needs("volume"),
            _ => Ok(()),
        }?;
        Ok(Hold {
            method: self.method,
            enter: self.enter.map(RawLine::convert),
            exit: self.exit.map(RawLine::convert),
            process: self.process,
            volume: self.volume,
            size: self.size,
            patience: Duration::from_secs(self.patience_secs.unwrap_or(HOLD_SECS)),
        })
    }
}

impl RawService {
    fn convert(self) -> Service {
        Service {
            stop: self.stop.map(RawLine::convert),
            start: self.start.map(RawLine::convert),
            running: self.running.map(RawLine::convert),
        }
    }
}

impl RawHooks {
    fn convert(self) -> Hooks {
        Hooks {
            before_backup: lines(self.before_backup),
            after_backup: lines(self.after_backup),
            before_restore: lines(self.before_restore),
            after_restore: lines(self.after_restore),
        }
    }
}

impl RawHealth {
    fn convert(self, components: &[Component]) -> Result<HealthRule, String> {
        let probe = match (self.http, self.tcp, self.command, self.minima) {
            (Some(url), None, None, None) => Probe::Http {
                url,
                pointer: self.pointer,
                equals: self.equals,
                advances_within: self.advances_within_secs.map(Duration::from_secs),
            },
            (None, Some(address), None, None) => Probe::Tcp { address },
            (None, None, Some(command), None) => Probe::Command(command.convert()),
            (None, None, None, Some(component)) => Probe::Minima(rule_of(components, &component)?),
            _ => {
                return Err(format!(
                    "health `{}`: one of http, tcp, command and minima",
                    self.name
                ));
            }
        };
        let patience = Duration::from_secs(self.patience_secs.unwrap_or(PROBE_SECS));
        Ok(HealthRule { name: self.name, probe, patience })
    }
}

/// How the node with this component is reached.
fn rule_of(components: &[Component], name: &str) -> Result<MinimaRule, String> {
    let rules = components.iter().filter(|component| component.name == name);
    let mut rules = rules.filter_map(|component| match &component.kind {
        Kind::Minima(rule) => Some(rule.clone()),
        _ => None,
    });
    rules.next().ok_or_else(|| format!("there is no component `{name}` of kind `minima`"))
}

impl RawFence {
    fn convert(self, components: &[Component]) -> Result<FenceRule, String> {
        let owner = components.iter().find(|component| component.name == self.component);
        let mark = self.mark.convert(owner.map(|component| &component.kind));
        let mark = mark.map_err(|reason| format!("fence `{}`: {reason}", self.name))?;
        let advance = match (self.advance, &mark) {
            (None, _) => None,
            (Some(RawLine::Shell(text)), MarkSource::Sqlite { .. }) => {
                Some(Advance::Statement(text))
            }
            (Some(RawLine::Shell(text)), MarkSource::Jsonl { .. }) => Some(Advance::Appended(text)),
            (Some(line), MarkSource::Command(_)) => Some(Advance::Command(line.convert())),
            (Some(_), _) => {
                return Err(format!(
                    "fence `{}`: `advance` is a statement for `sqlite`, a line for `jsonl`, or a command for `command`",
                    self.name
                ));
            }
        };
        if let Some(other) =
            self.also_in.iter().find(|name| !components.iter().any(|c| c.name == **name))
        {
            return Err(format!("fence `{}`: there is no component `{other}`", self.name));
        }
        Ok(FenceRule {
            name: self.name,
            about: self.about,
            kind: self.kind,
            component: self.component,
            also_in: self.also_in,
            mark,
            advance,
            margin_floor: self.margin_floor,
        })
    }
}

impl RawMark {
    fn convert(self, owner: Option<&Kind>) -> Result<MarkSource, String> {
        Ok(match self {
            Self::Json { file, pointer } => MarkSource::Json { file, pointer },
            Self::Jsonl { file, key, value } => MarkSource::Jsonl { file, key, value },
            Self::Sqlite { file, query } => MarkSource::Sqlite { file, query },
            Self::Lines { file } => MarkSource::Lines { file },
            Self::Command(line) => MarkSource::Command(line.convert()),
            Self::Slashing { file, export, import } => MarkSource::Slashing {
                file,
                export: export.map(RawLine::convert),
                import: import.map(RawLine::convert),
            },
            Self::Content { files } => MarkSource::Content { files },
            Self::Minima => match owner {
                Some(Kind::Minima(rule)) => MarkSource::Minima(rule.clone()),
                _ => return Err("mark `minima` is of a component of kind `minima`".to_owned()),
            },
        })
    }
}

impl RawVerify {
    fn convert(self) -> VerifyRule {
        let Self { name, command, starts_node } = self;
        VerifyRule { name, command: command.convert(), starts_node }
    }
}
