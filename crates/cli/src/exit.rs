//! From an error to what a person and a script need: message, what to do next, code word, exit code (`docs/exit-codes.md`).

use std::io;

use nodekeep_http::token::TokenError;
use nodekeep_nodes::axon::error::Error as Axon;
use nodekeep_nodes::error::Error as Nodes;
use nodekeep_nodes::minima::error::Error as Minima;
use nodekeep_repo::error::Error as Engine;
use nodekeep_service::error::Error as Service;
use nodekeep_service::metrics::push::PushError;
use nodekeep_service::schedule::ScheduleError;
use nodekeep_store::{Op, StoreError, StoreErrorKind};
use serde_json::json;

use crate::error::Error;
use crate::output::Output;
use crate::render::shell;
use crate::settings::keys;

/// The classes of failure; each has one exit code and one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Failed,
    Usage,
    Incomplete,
    Damaged,
    WrongKey,
    NoRepository,
    NewerFormat,
    NotAllowed,
    NotFound,
    WouldOverwrite,
    NeedsConfirmation,
    Store,
    TryAgain,
    WouldRewind,
    AtRisk,
    Unprotected,
    Interrupted,
    /// The reader of our output is gone.
    Pipe,
}

impl Class {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Damaged => 4,
            Self::WrongKey => 5,
            Self::NoRepository | Self::NewerFormat => 6,
            Self::NotAllowed => 7,
            Self::NotFound => 8,
            Self::WouldOverwrite | Self::NeedsConfirmation => 9,
            Self::Store => 10,
            Self::TryAgain => 11,
            Self::WouldRewind => 12,
            Self::AtRisk => 13,
            Self::Unprotected => 14,
            Self::Interrupted => 130,
            Self::Pipe => 141,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Incomplete => "incomplete",
            Self::Damaged => "damaged",
            Self::WrongKey => "wrong-key",
            Self::NoRepository => "no-repository",
            Self::NewerFormat => "newer-format",
            Self::NotAllowed => "not-allowed",
            Self::NotFound => "not-found",
            Self::WouldOverwrite => "would-overwrite",
            Self::NeedsConfirmation => "needs-confirmation",
            Self::Store => "store-unavailable",
            Self::TryAgain => "try-again",
            Self::WouldRewind => "would-rewind",
            Self::AtRisk => "at-risk",
            Self::Unprotected => "unprotected",
            Self::Interrupted => "interrupted",
            Self::Pipe => "pipe",
        }
    }

    fn is_retryable(self) -> bool {
        matches!(self, Self::TryAgain | Self::Interrupted)
    }
}

/// Whether the same command may work when it is run again.
fn is_retryable(error: &Error, class: Class) -> bool {
    match error {
        Error::Engine(Engine::Store(store)) => store.kind.is_transient(),
        Error::Push(PushError::Refused { is_passing, .. }) => *is_passing,
        _ => class.is_retryable(),
    }
}

/// Says what went wrong, and gives the exit code.
pub fn report(error: &Error, output: &Output) -> u8 {
    if let Error::Exit(code) = error {
        return *code;
    }
    let class = class(error);
    if class == Class::Pipe {
        return class.exit_code();
    }
    let (message, hint) = (message(error), hint(error));
    let told = output.document(&json!({ "error": {
        "code": class.word(),
        "message": message,
        "hint": hint,
        "retryable": is_retryable(error, class),
    }}));
    if !output.json || told.is_err() {
        output.alert(text(&message, hint.as_deref()));
    }
    class.exit_code()
}

/// The code word, the message and what to do, for a face that is no terminal.
pub fn told(error: &Error) -> (&'static str, String, Option<String>) {
    (class(error).word(), message(error), hint(error))
}

fn text(message: &str, hint: Option<&str>) -> String {
    // A question, or several lines, have an end of their own.
    let ends = message.ends_with(['.', '?', '!']) || message.contains('\n');
    let end = if ends { "" } else { "." };
    match hint {
        Some(hint) => format!("Error: {message}{end}\n{hint}"),
        None => format!("Error: {message}{end}"),
    }
}

/// The error and its cause, where the cause says more.
fn message(error: &Error) -> String {
    let text = match error {
        Error::Engine(Engine::Store(store)) => match &store.source {
            Some(source) if store.kind == StoreErrorKind::Io => format!("{store} ({source})"),
            _ => store.to_string(),
        },
        other => other.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}

pub fn class(error: &Error) -> Class {
    match error {
        Error::Engine(engine) => engine_class(engine),
        Error::Service(service) => service_class(service),
        Error::Minima { error, .. } => minima_class(error),
        Error::Push(PushError::Refused { .. }) => Class::Store,
        Error::ForeignPhrase => Class::WrongKey,
        Error::FewUses { .. } => Class::WouldRewind,
        Error::NodePhrase(_) => Class::WrongKey,
        Error::Token(token) => match token {
            TokenError::Name { .. } => Class::Usage,
            TokenError::Exists { .. } => Class::WouldOverwrite,
            TokenError::Unknown { .. } => Class::NotFound,
            TokenError::File { .. } | TokenError::State(_) => Class::Failed,
        },
        Error::NoDeploy { .. }
        | Error::NoChannel { .. }
        | Error::NoDrill { .. }
        | Error::NotOfANode { .. } => Class::NotFound,
        Error::BadCertificate { .. } => Class::Damaged,
        Error::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => Class::Pipe,
        Error::NoKeys { .. }
        | Error::Locked { .. }
        | Error::WrongPassphrase { .. }
        | Error::ForeignKeys { .. }
        | Error::BadIdentity { .. }
        | Error::NeedSecret { .. }
        | Error::PassphrasesDiffer
        | Error::Words { .. }
        | Error::OtherWords
        | Error::WordMismatch { .. }
        | Error::IdentityFile { .. }
        | Error::CredentialFile { .. } => Class::WrongKey,
        Error::NoIdentity | Error::ReadOnlyMirror { .. } => Class::NotAllowed,
        Error::UnsafeStore { .. } => Class::Store,
        Error::NoSnapshotOf { .. }
        | Error::NoSnapshots { .. }
        | Error::NoSource { .. }
        | Error::NotAFile { .. } => Class::NotFound,
        Error::FileExists { .. } => Class::WouldOverwrite,
        Error::Unconfirmed { .. }
        | Error::Declined
        | Error::WordsUnconfirmed
        | Error::OtherUsersRepository { .. } => Class::NeedsConfirmation,
        Error::File { .. }
        | Error::Output(_)
        | Error::Mount { .. }
        | Error::NoHome
        | Error::Exit(_) => Class::Failed,
        _ => Class::Usage,
    }
}

fn service_class(error: &Service) -> Class {
    match error {
        Service::Repo(engine) => engine_class(engine),
        Service::Node(Nodes::NodeName { .. } | Nodes::Profile { .. } | Nodes::Variable { .. }) => {
            Class::Usage
        }
        Service::Node(Nodes::Axon(axon)) => axon_class(axon),
        Service::Node(Nodes::Minima { source, .. }) => minima_class(source),
        Service::Node(Nodes::MinimaRpc(error)) if error.is_about_a_password() => Class::WrongKey,
        Service::Node(Nodes::Damaged { .. })
        | Service::State { .. }
        | Service::NotWhole { .. }
        | Service::Unsound { .. }
        | Service::NotANode { .. } => Class::Damaged,
        Service::NoNode { .. }
        | Service::NoSnapshot { .. }
        | Service::NotHeld { .. }
        | Service::Nothing { .. } => Class::NotFound,
        Service::NodeExists { .. } => Class::WouldOverwrite,
        Service::GuardLeft { .. } => Class::NeedsConfirmation,
        Service::NoComponent { .. }
        | Service::NoRemedy { .. }
        | Service::NeedsRunning { .. }
        | Service::OnlyInCopy { .. }
        | Service::NothingCold { .. }
        | Service::NothingToChoose { .. } => Class::Usage,
        Service::NoInstanceKey { .. } => Class::WrongKey,
        Service::Busy { .. } | Service::JobTaken { .. } | Service::DaemonRuns { .. } => {
            Class::TryAgain
        }
        Service::Schedule(ScheduleError::Unknown { .. }) | Service::NoJob { .. } => Class::NotFound,
        Service::Schedule(ScheduleError::Exists { .. }) => Class::WouldOverwrite,
        Service::Schedule(_) => Class::Usage,
        Service::Rewinds { .. } | Service::OnlyTogether { .. } | Service::Held { .. } => {
            Class::WouldRewind
        }
        Service::NoSigner => Class::NotAllowed,
        Service::Untouched { reason, .. } => service_class(reason),
        _ => Class::Failed,
    }
}

fn axon_class(error: &Axon) -> Class {
    match error {
        Axon::NoEnvelope { .. }
        | Axon::Secret { .. }
        | Axon::Instance { .. }
        | Axon::Key { .. } => Class::WrongKey,
        Axon::UnknownApplets { .. } => Class::NotFound,
        Axon::Exists { .. } => Class::WouldOverwrite,
        Axon::Manifest { .. } | Axon::Content { .. } | Axon::Backup { .. } => Class::Damaged,
        _ => Class::Failed,
    }
}

fn minima_class(error: &Minima) -> Class {
    match error {
        Minima::NotABackup { .. } => Class::Usage,
        Minima::WrongPassword => Class::WrongKey,
        Minima::UsedUp { .. } => Class::WouldRewind,
        Minima::TooLarge { .. } | Minima::Io(_) | Minima::Random => Class::Failed,
        Minima::Damaged { .. }
        | Minima::CutOff
        | Minima::Section { .. }
        | Minima::Wallet { .. }
        | Minima::Wire(_)
        | Minima::Chain { .. }
        | Minima::Mega { .. } => Class::Damaged,
    }
}

fn engine_class(error: &Engine) -> Class {
    match error {
        Engine::Store(store) if is_missing_file(store) => Class::NotFound,
        Engine::Store(store) => store_class(store.kind),
        Engine::Damaged { .. }
        | Engine::ChunkMissing(_)
        | Engine::RolledBack { .. }
        | Engine::CheckpointRolledBack { .. }
        | Engine::CheckpointReplaced { .. } => Class::Damaged,
        Engine::NoRepository { .. } | Engine::NoListing { .. } => Class::NoRepository,
        Engine::NewerFormat { .. } => Class::NewerFormat,
        Engine::OtherRepository { .. }
        | Engine::ForeignWords
        | Engine::NotAReader
        | Engine::WrongPassphrase { .. } => Class::WrongKey,
        Engine::WriterOnly
        | Engine::CollectorOnly
        | Engine::OwnerOnly
        | Engine::NoWriter
        | Engine::IsMirror { .. }
        | Engine::WriterRejected => Class::NotAllowed,
        Engine::NotAlone { .. } => Class::NeedsConfirmation,
        Engine::NoSnapshot { .. }
        | Engine::NoPath { .. }
        | Engine::NoMember { .. }
        | Engine::NoSession { .. }
        | Engine::SessionEnded { .. }
        | Engine::BaseMissing { .. } => Class::NotFound,
        Engine::RepositoryExists { .. }
        | Engine::NotEmpty { .. }
        | Engine::NotItsMirror { .. }
        | Engine::WouldOverwrite { .. } => Class::WouldOverwrite,
        Engine::Ambiguous { .. } | Engine::SameRepository { .. } => Class::Usage,
        Engine::Fenced(_) | Engine::RosterChanged | Engine::Busy { .. } => Class::TryAgain,
        Engine::Interrupted => Class::Interrupted,
        _ => Class::Failed,
    }
}

/// A portable file, or its folder, that was named and is not there: no damage.
fn is_missing_file(error: &StoreError) -> bool {
    error.op == Op::Open && error.kind == StoreErrorKind::NotFound
}

fn store_class(kind: StoreErrorKind) -> Class {
    match kind {
        StoreErrorKind::NotFound | StoreErrorKind::Truncated | StoreErrorKind::Damaged(_) => {
            Class::Damaged
        }
        StoreErrorKind::AlreadyExists => Class::WouldOverwrite,
        StoreErrorKind::NewerFormat => Class::NewerFormat,
        StoreErrorKind::NotAStore => Class::NoRepository,
        _ => Class::Store,
    }
}

/// What to do next, as a sentence or a command.
fn hint(error: &Error) -> Option<String> {
    let text = match error {
        Error::Engine(engine) => return engine_hint(engine),
        Error::Service(service) => return service_hint(service),
        Error::BareWord { word } => format!("A path has a slash: ./{word}"),
        Error::BadWhen { .. } => {
            "After @ comes latest, latest~2, a date (2026-11-19), a time (2026-11-19T08:00) or an id.".to_owned()
        }
        Error::LatestOfMany { groups } => latest_of_many(groups),
        Error::ShortId { .. } | Error::NoSnapshotOf { .. } => "`nodekeep snapshot list` shows what there is.".to_owned(),
        Error::NoSnapshots { .. } => "Make the first one: nodekeep backup PATH".to_owned(),
        Error::NoChannel { .. } => "Write a section [[notify]]: nodekeep config edit. See docs/notifications.md".to_owned(),
        Error::UnknownKey { key, .. } if is_section(key) => {
            "It is a section of its own, written by hand: nodekeep config edit".to_owned()
        }
        Error::UnknownKey { suggestion: Some(known), .. } => format!("Did you mean `{known}`?"),
        Error::NoKeys { location, .. } => format!(
            "Open it here with its recovery words: nodekeep init --from-words --repo {}\nOr give another key: --identity FILE, --credential FILE.",
            shell(location)
        ),
        Error::OtherUsersRepository { first } => format!(
            "Use that one: --repo {}\nOr make your own on purpose: nodekeep init",
            shell(&first.to_string_lossy())
        ),
        Error::NeedSecret { variable, .. } => format!("Set {variable}_FILE to a file that holds it, or {variable}."),
        Error::Words { likely: Some((position, word)), .. } => format!("Word {position} is most likely `{word}`."),
        Error::ForeignCommand { meant, .. } => meant.clone(),
        Error::FileNotSnapshot { .. } => "Bring it into the repository first: nodekeep snapshot import FILE".to_owned(),
        other => return fixed_hint(other).map(str::to_owned),
    };
    Some(text)
}

/// Hints that need no detail of the error.
/// Whether a name lies in a key that is a table of its own, such as `targets`.
fn is_section(name: &str) -> bool {
    name.split_once('.').is_some_and(|(table, _)| keys::find(table).is_some())
}

fn fixed_hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NoDestination => "For example: nodekeep repo copy /srv/backup /mnt/disk/backup",
        Error::Minima { error: Minima::WrongPassword, .. } => {
            "A backup that was made without a password opens without --password-file. There is no way around a forgotten password; the node's 24 words make its keys again: nodekeep minima keys derive"
        }
        Error::Minima { error: Minima::NotABackup { .. }, .. } => {
            "A node makes one with its command `backup`."
        }
        Error::NodePhrase(_) => "Four letters of each word are enough. Nothing was changed.",
        Error::NodePhraseNeedsTerminal => {
            "Everything that is in the backup can be written to a folder that only you can read: nodekeep minima decrypt FILE --output DIR/"
        }
        Error::Push(PushError::NoGateway) => {
            "Name one: nodekeep metrics push URL, or the key `push` in the section [metrics]: nodekeep config edit"
        }
        Error::Push(PushError::Credentials) => {
            "Write `user` and `password-file` into the section [metrics]: nodekeep config edit"
        }
        Error::NoDeploy { .. } => {
            "Name one when it is registered: nodekeep node add NAME --deploy LINE. Or give it here: nodekeep guard NAME -- COMMAND"
        }
        Error::NoHome => "Set NODEKEEP_HOME to a folder that only you can read.",
        Error::WrongPassphrase { .. } => {
            "If it is forgotten, the recovery words still open the repository: nodekeep key restore --force"
        }
        Error::Locked { .. } => "Set NODEKEEP_PASSPHRASE_FILE or NODEKEEP_PASSPHRASE.",
        Error::ReadOnlyMirror { .. } => {
            "A web server has no lists and takes no objects. Use the original repository, or mirror this one: nodekeep repo mirror SRC DST"
        }
        Error::UnsafeStore { .. } => {
            "Use a store that creates objects only if they are absent. If there is none: --accept-unsafe-store makes a repository that many may write to, and that only one at a time may prune, repair or change members of. docs/stores.md says what is then not promised."
        }
        Error::NoIdentity => "Bring it back with the recovery words: nodekeep key restore",
        Error::WordsNeedTerminal => {
            "Write them to a file that only you can read: nodekeep key words --words-out FILE"
        }
        Error::Unconfirmed { .. } => "Give --yes to confirm without a terminal.",
        Error::WordsUnconfirmed => "Confirm them first: nodekeep key words --confirm",
        Error::PlainOutput { .. } => {
            "A sealed portable file:  nodekeep backup PATH --output FILE.nkb\n\
             An ordinary archive:     nodekeep snapshot export latest --format tar.gz --output FILE.tar.gz"
        }
        Error::OutputName { .. } => "For example: --output backup.nkb",
        Error::NoPolicy => {
            "For example: --keep-last 7 --keep-weekly 4. Add --dry-run to see what would go."
        }
        Error::Recipient(_) => {
            "Give the key as `age1…`, \"ssh-ed25519 …\", or @FILE with one key on each line."
        }
        Error::Mount { .. } => {
            "Mounting needs /dev/fuse, the program fusermount3 (package fuse3), and an empty folder."
        }
        _ => return None,
    })
}

fn latest_of_many(groups: &[String]) -> String {
    let spelled = groups.iter().map(|path| format!("  {}", shell(&format!("{path}@latest"))));
    let lines: Vec<String> = spelled.collect();
    format!("Say whose latest:\n{}", lines.join("\n"))
}

fn service_hint(error: &Service) -> Option<String> {
    let text = match error {
        Service::Repo(engine) => return engine_hint(engine),
        Service::NoNode { name, .. } => format!(
            "Register it: nodekeep node add {name} --profile PROFILE\nA path has a slash: ./{name}"
        ),
        Service::NodeExists { name, .. } => {
            format!("Take another name, or forget that one first: nodekeep node remove {name}")
        }
        Service::Rewinds { .. } => {
            "Nothing was changed. Choose a remedy for each, or see the plan with --dry-run.".to_owned()
        }
        Service::Held { node, .. } => format!(
            "If that machine is certainly off for good: nodekeep node retire {node} --from-repo\nFor a test instance: --as-copy --target DIR"
        ),
        Service::Node(Nodes::Axon(Axon::NoEnvelope { .. })) => {
            "Give --rekey: envelopes are then made with the key of the instance that was backed up.".to_owned()
        }
        Service::Node(Nodes::Peer { .. }) => {
            "It must be the main port of a node (9001, unless it was started with another -port) or of `nodekeep minima serve`, and it must be reachable from here.".to_owned()
        }
        Service::OnlyInCopy { .. } => {
            "Restore it into a sandbox and check it there: nodekeep drill NODE".to_owned()
        }
        Service::NoInstanceKey { node } => {
            format!("Back up the instance whole, where it runs: nodekeep backup {node}")
        }
        Service::NothingToChoose { choosers, .. } if !choosers.is_empty() => {
            format!("For example: --component {} --select NAME", choosers[0])
        }
        Service::DaemonRuns { .. } => "See what it does: nodekeep daemon status".to_owned(),
        Service::Schedule(ScheduleError::Unknown { .. }) => {
            "See which there are: nodekeep schedule list".to_owned()
        }
        Service::Busy { .. } => "Wait for it to end, and run this again.".to_owned(),
        Service::NoSigner => {
            "Give the machine a credential: nodekeep key add --writer NAME --out FILE, then --credential FILE".to_owned()
        }
        Service::Unsound { .. } | Service::NotWhole { .. } => {
            "Nothing was put in place. Take an older snapshot (NODE@latest~1), or leave the component out: --skip NAME".to_owned()
        }
        Service::NoSnapshot { .. } => "`nodekeep snapshot list` shows what there is.".to_owned(),
        Service::NotHeld { component, .. } => format!(
            "Take the latest that has it: NODE@latest --component {component}"
        ),
        Service::OnlyTogether { component, with } => format!(
            "Nothing was changed. Restore both: --component {component} --component {with}. If the snapshot has only this one, look at it beside: --as-copy --target DIR"
        ),
        Service::NeedsRunning { component, .. } => format!(
            "Start the node, or restore without --leave-stopped. Or leave it out for now: --skip {component}"
        ),
        _ => return None,
    };
    Some(text)
}

fn engine_hint(error: &Engine) -> Option<String> {
    let text = match error {
        Engine::Store(store) if is_missing_file(store) => {
            "Check the path: the file, or the folder it is to lie in.".to_owned()
        }
        Engine::Store(store) => return store_hint(store.kind).map(str::to_owned),
        Engine::NoRepository { location } => {
            format!("Make one there: nodekeep init --repo {}", shell(location))
        }
        Engine::RepositoryExists { location } => {
            format!(
                "Open it on this machine: nodekeep init --from-words --repo {}",
                shell(location)
            )
        }
        Engine::BaseMissing { .. } => {
            "Put the base beside the file, or name it: --base FILE".to_owned()
        }
        other => return fixed_engine_hint(other).map(str::to_owned),
    };
    Some(text)
}

fn fixed_engine_hint(error: &Engine) -> Option<&'static str> {
    Some(match error {
        Engine::WrongPassphrase { .. } => "Try again, or give a recipient's key: --identity FILE",
        Engine::NotEmpty { .. } => "Choose an empty folder, or one that does not exist yet.",
        Engine::NewerFormat { .. } => "Install a newer Nodekeep to use it.",
        Engine::Damaged { .. } | Engine::ChunkMissing(_) => {
            "See what is hit: nodekeep check --data\nRebuild what can be rebuilt: nodekeep repo repair"
        }
        Engine::WriterOnly => {
            "A writer only adds. Reading needs the owner's identity (nodekeep init --from-words) or a reader's key (--identity FILE)."
        }
        Engine::CollectorOnly => "A collector sees names only. Use a reader's key: --identity FILE",
        Engine::OwnerOnly => {
            "Bring the owner's identity here with the recovery words: nodekeep init --from-words"
        }
        Engine::NoWriter => {
            "The owner makes one: nodekeep key add --writer NAME --out FILE. Then give --credential FILE."
        }
        Engine::WriterRejected => {
            "Ask the owner for a new credential: nodekeep key add --writer NAME --out FILE"
        }
        Engine::NotAReader => {
            "Give a key that is in the roster: --identity FILE, or the recovery words: nodekeep init --from-words"
        }
        Engine::ForeignWords => "Check --repo, or the sheet that the words are on.",
        Engine::RolledBack { .. }
        | Engine::CheckpointRolledBack { .. }
        | Engine::CheckpointReplaced { .. } => {
            "If someone restored the store from an old copy, everything after that copy is missing there. Find the newer one first.\nSee what is gone: nodekeep repo audit\nIf the older state is all there is: nodekeep repo audit --accept"
        }
        Engine::NoListing { .. } => {
            "Make what the web server serves with `nodekeep repo mirror`: it leaves the listing that a web server lacks."
        }
        Engine::IsMirror { .. } => {
            "Use the original. If it is lost, make this its successor: nodekeep repo mirror --promote"
        }
        Engine::NotAlone { .. } => {
            "This repository was made with --accept-unsafe-store. Be sure that no other Nodekeep works on it now, then give --alone."
        }
        Engine::NoSession { .. } => "`nodekeep repo sessions` shows those that are open.",
        Engine::NotItsMirror { .. } => {
            "Nothing was changed there. See who wrote what: nodekeep repo audit, for each of the two."
        }
        Engine::NoSnapshot { .. } => "`nodekeep snapshot list` shows what there is.",
        Engine::Ambiguous { .. } => "Give more digits of the id.",
        Engine::SameRepository { .. } => {
            "A copy goes into another repository (nodekeep init --repo PLACE makes one); a replica of this one is made by `nodekeep repo mirror`."
        }
        Engine::NoPath { .. } => {
            "`nodekeep snapshot ls ID` shows what is in it; `nodekeep snapshot find PATTERN` searches all."
        }
        Engine::NoMember { .. } => "`nodekeep key list` shows the members.",
        Engine::WouldOverwrite { .. } => {
            "See the plan with --dry-run, then give --force, or another --target."
        }
        Engine::Fenced(_) | Engine::RosterChanged => "Nothing is lost. Run it again.",
        Engine::Interrupted => "Nothing is half done. Run it again to continue.",
        _ => return None,
    })
}

fn store_hint(kind: StoreErrorKind) -> Option<&'static str> {
    Some(match kind {
        StoreErrorKind::PermissionDenied => {
            "Run it as the user who owns the repository; in a bucket, with keys whose policy allows it."
        }
        StoreErrorKind::NoSpace => {
            "Free some space, or delete old snapshots: nodekeep snapshot prune --keep-last N"
        }
        StoreErrorKind::ReadOnly => {
            "Mount the file system writable, or use another repository: --repo PATH"
        }
        StoreErrorKind::NotFound | StoreErrorKind::Truncated | StoreErrorKind::Damaged(_) => {
            "See what is hit: nodekeep check --data"
        }
        StoreErrorKind::NewerFormat => "Install a newer Nodekeep to use it.",
        StoreErrorKind::NotAStore => "Give the folder that holds the file `config`.",
        StoreErrorKind::AlreadyExists => "Choose another name.",
        _ => return None,
    })
}
