//! Everything that stops a command, typed; `exit.rs` adds the exit code, the code word and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::keys::{CredentialError, PhraseError, ReaderError};
use nodekeep_store::StoreError;
use thiserror::Error;

/// Why a command stopped.
#[derive(Debug, Error)]
pub enum Error {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] Engine),
    /// A node, or its use-cases.
    #[error(transparent)]
    Service(#[from] nodekeep_service::error::Error),
    /// A token of the dashboard.
    #[error(transparent)]
    Token(#[from] nodekeep_http::token::TokenError),
    /// Metrics that nobody took.
    #[error(transparent)]
    Push(#[from] nodekeep_service::metrics::push::PushError),
    /// A node without a command to deploy it.
    #[error("the node `{node}` has no deploy command")]
    NoDeploy { node: String },
    /// A snapshot of files where one of a node is needed.
    #[error("snapshot {snapshot} is of no node")]
    NotOfANode { snapshot: String },
    /// No drill of this id.
    #[error("there is no drill {wanted}")]
    NoDrill { wanted: String },
    /// A certificate that is not believed.
    #[error("{}: {why}", path.display())]
    BadCertificate { path: PathBuf, why: String },
    /// Something that only nodes of another profile can do.
    #[error("the node `{node}` has the profile `{profile}`, which has no such maintenance")]
    NotForProfile { node: String, profile: String },
    /// A folder for a node whose old tools are not known.
    #[error(
        "the node `{node}` has the profile `{profile}`, and no backups of its own tools are known"
    )]
    NoOldTool { node: String, profile: String },
    /// Counters that would repeat uses.
    #[error(
        "--key-uses {given} is below {least}: keys have been used so often, with the margin, that lower counters would sign with spent uses"
    )]
    FewUses { given: u64, least: u64 },
    /// Words that did not make a wallet.
    #[error("these words did not make the keys of this wallet: the node was told nothing")]
    ForeignPhrase,
    /// A file of a Minima node.
    #[error("{}: {error}", path.display())]
    Minima { path: PathBuf, error: nodekeep_nodes::minima::error::Error },
    /// Words that are no seed phrase of a node.
    #[error("{0}")]
    NodePhrase(nodekeep_nodes::minima::phrase::PhraseError),
    /// A password that a node cannot be given.
    #[error("a node cannot be given this password: {why}")]
    NodePassword { why: &'static str },
    /// A node's phrase would have to be printed where no person reads.
    #[error("a node's seed phrase is shown on a terminal only")]
    NodePhraseNeedsTerminal,
    /// A file of this machine.
    #[error("cannot {action} {}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    /// Standard output or error is gone.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// A file that must not be overwritten exists.
    #[error("{} exists already, and nothing is overwritten", path.display())]
    FileExists { path: PathBuf },
    /// Neither `HOME` nor `NODEKEEP_HOME` is set.
    #[error("there is no home directory to keep keys in")]
    NoHome,
    /// A word without a slash where a path or snapshot belongs.
    #[error("`{word}` is the name of a node; nodes and paths are not backed up together")]
    BareWord { word: String },
    /// A snapshot reference that cannot be read.
    #[error("`{wanted}` does not say which snapshot: `{part}` is no date, time or id")]
    BadWhen { wanted: String, part: String },
    /// An id that is too short to mean one snapshot.
    #[error("`{wanted}` is too short for an id: give at least 4 digits")]
    ShortId { wanted: String },
    /// `latest` with several sets of paths.
    #[error("`latest` means one set of paths, and this repository has {}", groups.len())]
    LatestOfMany { groups: Vec<String> },
    /// No snapshot of this path.
    #[error("no snapshot of {path}{when}")]
    NoSnapshotOf { path: String, when: String },
    /// The repository holds no snapshot at all.
    #[error("there is no snapshot in {location} yet")]
    NoSnapshots { location: String },
    /// A portable file where only snapshots of the repository make sense.
    #[error("{} is a portable file, not a snapshot of the repository", path.display())]
    FileNotSnapshot { path: PathBuf },
    /// A key in the configuration file that means nothing.
    #[error("{}: unknown key `{key}`", path.display())]
    UnknownKey { path: PathBuf, key: String, suggestion: Option<&'static str> },
    /// A value of the configuration file or environment that cannot be used.
    #[error("{origin}: `{key}` must be {expected}")]
    BadSetting { origin: String, key: String, expected: &'static str },
    /// The configuration file is not TOML.
    #[error("{}: {message}", path.display())]
    BadConfig { path: PathBuf, message: String },
    /// No channel to tell anybody by.
    #[error("there is no channel{}", name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default())]
    NoChannel { name: Option<String> },
    /// An editor that did not end well.
    #[error("`{editor}` did not end well; nothing was changed")]
    Editor { editor: String },
    /// A copy into nowhere.
    #[error("where to copy to is not said")]
    NoDestination,
    /// The text is no address. It is not repeated: it may hold a password.
    #[error("the repository's address cannot be used: {0}")]
    Address(#[from] nodekeep_store::AddressError),
    /// Something that a web server cannot do.
    #[error("{location} is a mirror on a web server: it can be read, and nothing else")]
    ReadOnlyMirror { location: String },
    /// The store does not keep what every repository rests on.
    #[error("{location} is not safe to write to from two places: {how}")]
    UnsafeStore { location: String, how: String },
    /// Source and destination are one.
    #[error("a mirror cannot be made of {location} in itself")]
    SamePlace { location: String },
    /// The repository is here, its keys are not.
    #[error("the repository at {location} is here, but its keys are not in {}", home.display())]
    NoKeys { location: String, home: PathBuf },
    /// The embedded repository of someone else on this machine.
    #[error("{} is the repository of another user of this machine; a second one is rarely meant", first.display())]
    OtherUsersRepository { first: PathBuf },
    /// The identity is locked and no passphrase is at hand.
    #[error("the identity {} is locked with a passphrase", path.display())]
    Locked { path: PathBuf },
    /// The passphrase does not open the identity.
    #[error("the passphrase does not open {}", path.display())]
    WrongPassphrase { path: PathBuf },
    /// The identity is locked already.
    #[error("the identity is locked already")]
    AlreadyLocked,
    /// The identity is not locked.
    #[error("the identity is not locked")]
    NotLocked,
    /// An identity or credential file of another repository.
    #[error("{} belongs to another repository ({found})", path.display())]
    ForeignKeys { path: PathBuf, found: String },
    /// An identity file of ours that is damaged.
    #[error("{} is not a complete identity file", path.display())]
    BadIdentity { path: PathBuf },
    /// The owner's identity is not on this machine.
    #[error("the owner's identity is not on this machine")]
    NoIdentity,
    /// A secret is needed and nobody can be asked.
    #[error("{what} is needed, and there is no terminal to ask on")]
    NeedSecret { what: &'static str, variable: &'static str },
    /// Two entries of a new passphrase differ.
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    /// A passphrase without a character.
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    /// The recovery words are wrong.
    #[error("{error}")]
    Words { error: PhraseError, likely: Option<(usize, &'static str)> },
    /// Words that are not those of this machine's identity.
    #[error("these are valid recovery words, but not those of this repository")]
    OtherWords,
    /// The words asked back were wrong.
    #[error("word {position} is another one")]
    WordMismatch { position: usize },
    /// Words would have to be printed where no person reads.
    #[error("recovery words are shown on a terminal only")]
    WordsNeedTerminal,
    /// A recipient cannot be read.
    #[error(transparent)]
    Recipient(#[from] ReaderError),
    /// An identity given by `--identity` cannot be read.
    #[error("{}: {error}", path.display())]
    IdentityFile { path: PathBuf, error: ReaderError },
    /// A writer credential cannot be read.
    #[error("{}: {error}", path.display())]
    CredentialFile { path: PathBuf, error: CredentialError },
    /// A person must agree first.
    #[error("{what} needs to be confirmed")]
    Unconfirmed { what: &'static str },
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
    /// A wipe before the words are safe.
    #[error(
        "the recovery words are not confirmed yet: without them a wipe loses every backup for good"
    )]
    WordsUnconfirmed,
    /// No path to back up.
    #[error("{} does not exist", path.display())]
    NoSource { path: PathBuf },
    /// A portable file with a name of something else.
    #[error("{} would be an ordinary archive, and a backup is sealed", path.display())]
    PlainOutput { path: PathBuf },
    /// A name that says nothing about the format.
    #[error("{}: a portable file ends in .nkb", path.display())]
    OutputName { path: PathBuf },
    /// An option of another program.
    #[error("{option} has no meaning here: {why}")]
    ForeignOption { option: &'static str, why: &'static str },
    /// A command of another program.
    #[error("`{command}` is `restore` here")]
    ForeignCommand { command: String, meant: String },
    /// An argument that cannot be read.
    #[error("`{value}`: {expected}")]
    BadArgument { value: String, expected: &'static str },
    /// Arguments that do not parse; the parser's words.
    #[error("{0}")]
    Parse(String),
    /// Options that exclude or need each other.
    #[error("{0}")]
    Options(&'static str),
    /// A prune without a rule would keep nothing or everything.
    #[error("no rule says what to keep")]
    NoPolicy,
    /// A pattern cannot be read.
    #[error("`{pattern}`: {message}")]
    Pattern { pattern: String, message: String },
    /// `cat` of something that is no file.
    #[error("`{path}` is a {what}, not a file")]
    NotAFile { path: String, what: &'static str },
    /// Mounting failed.
    #[error("cannot mount on {}: {source}", path.display())]
    Mount { path: PathBuf, source: io::Error },
    /// The command finished, and its result was printed; only the exit code is left to say.
    #[error("finished with exit code {0}")]
    Exit(u8),
}

/// What commands return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of a file, for `map_err`.
    pub fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, action, source }
    }
}

impl From<nodekeep_service::schedule::ScheduleError> for Error {
    fn from(error: nodekeep_service::schedule::ScheduleError) -> Self {
        Self::Service(error.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Engine(Engine::Store(error))
    }
}

impl From<nodekeep_nodes::error::Error> for Error {
    fn from(error: nodekeep_nodes::error::Error) -> Self {
        Self::Service(error.into())
    }
}
