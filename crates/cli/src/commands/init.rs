//! `nodekeep init`: make a repository, or open one on this machine with its recovery words.

use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::keys::{Entropy, Reader, lock_text};
use nodekeep_repo::repository::{CreateOptions, Repository};
use nodekeep_repo::roster::Trust;
use nodekeep_store::{Address, Store};
use serde_json::json;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::home::{self, Keys};
use crate::output::Output;
use crate::prompt;
use crate::render::{self, shell};
use crate::secrets::{SecretText, can_ask};
use crate::session::{App, Identity, Opened, identity_text, read_identity};
use crate::trial;

/// Make a repository, or open one on this machine with its recovery words
#[derive(Debug, Args)]
#[command(
    before_help = "A repository opens with 24 recovery words. They are shown once, on a terminal, and two of them are asked back. Without a terminal they are written to a file that only you can read, and every backup reminds you until `nodekeep key words --confirm`."
)]
#[command(after_help = "\
Role: none to make a repository; the recovery words to open one.

Examples:
  nodekeep init
  nodekeep init --repo /mnt/disk/backups --passphrase
  nodekeep init --reader age1… --reader @team.keys
  nodekeep init --from-words --repo /mnt/disk/backups")]
pub struct Init {
    /// Lock the identity on this machine with a passphrase
    #[arg(long)]
    passphrase: bool,
    /// Someone else who may read everything: an age or SSH public key, or @FILE with one on each line
    #[arg(long = "reader", value_name = "KEY")]
    readers: Vec<String>,
    /// Write the recovery words to this file instead of showing them
    #[arg(long, value_name = "FILE", conflicts_with = "from_words")]
    words_out: Option<PathBuf>,
    /// Open an existing repository with its words; never makes one
    #[arg(long, conflicts_with = "readers")]
    from_words: bool,
    /// Make it even where two programs cannot be kept apart: pruning, repair and changes of members then need --alone
    #[arg(long, conflicts_with = "from_words")]
    accept_unsafe_store: bool,
}

impl Init {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.from_words { self.open(app) } else { self.make(app) }
    }

    fn make(&self, app: &App) -> Result<()> {
        let passphrase = self.new_passphrase(app)?;
        let wish = Wish {
            readers: read_readers(&self.readers)?,
            passphrase,
            words_out: self.words_out.clone(),
            accept_unsafe_store: self.accept_unsafe_store,
        };
        let (opened, made) = create(app, &wish)?;
        app.output.say(&made.headline)?;
        app.output.say(&made.finding)?;
        app.output.say(&*made.words_text(&app.output))?;
        app.output.say(card(app, &opened, &made.words_place()))?;
        app.output.document(&made.document(&opened))?;
        made.confirm(app)
    }

    fn new_passphrase(&self, app: &App) -> Result<Option<SecretText>> {
        self.passphrase
            .then(|| app.secrets.new_passphrase("for the identity on this machine"))
            .transpose()
    }

    fn open(&self, app: &App) -> Result<()> {
        let store = app.store()?;
        let config = Repository::config_of(&store)?;
        let entropy = app.entropy(&app.secrets.words()?, &config)?;
        let passphrase = self.new_passphrase(app)?;
        let mut opened = app.open_as_owner(&entropy)?;
        keep_identity(&opened.keys, &entropy, &opened.repository, passphrase.as_ref())?;
        let enrolled = ensure_writer(&mut opened)?;
        opened.pin()?;
        let location = opened.location().to_owned();
        app.output.say(format!("Opened the repository at {location} on this machine."))?;
        app.output.say(opened_fields(&opened, enrolled))?;
        app.output.say(format!(
            "\nSee what is in it: nodekeep snapshot list{}",
            repo_option(app, &location)
        ))?;
        app.output.document(&json!({
            "repository": { "location": location, "id": opened.repository.id().hex() },
            "owner": render::fingerprint(&opened.repository.config().root.0),
            "created": false,
            "identity": opened.keys.identity(),
            "writer_enrolled": enrolled,
        }))
    }
}

fn opened_fields(opened: &Opened, enrolled: bool) -> String {
    let writer = match (enrolled, opened.repository.writer_id().is_ok()) {
        (true, _) => "a new writer for this machine",
        (false, true) => "the writer of this machine",
        (false, false) => "nobody: a mirror is only read",
    };
    render::fields(&[
        ("id", opened.repository.id().hex()),
        ("owner", render::fingerprint(&opened.repository.config().root.0)),
        ("identity", opened.keys.identity().display().to_string()),
        ("writes as", writer.to_owned()),
    ])
}

/// ` --repo PATH`, unless the place is the one that is used anyway.
pub fn repo_option(app: &App, location: &str) -> String {
    if Path::new(location) == app.home.repository() {
        String::new()
    } else {
        format!(" --repo {}", shell(location))
    }
}

/// What a new repository should be like.
#[derive(Debug, Default)]
pub struct Wish {
    pub readers: Vec<(Reader, String)>,
    pub passphrase: Option<SecretText>,
    pub words_out: Option<PathBuf>,
    /// Whether a store that keeps less than its promises will do.
    pub accept_unsafe_store: bool,
}

/// What there is to say about a repository that was just made.
#[derive(Debug)]
pub struct Made {
    /// The first line.
    pub headline: String,
    /// What the store was found to be.
    pub finding: String,
    words: SecretText,
    /// Where the words were written; `None`: they are shown.
    words_file: Option<PathBuf>,
    /// Stands until the words are confirmed.
    reminder: PathBuf,
}

/// Makes a repository and keeps its keys on this machine. What was interrupted is completed by the next run:
/// the secret is on disk before the first object is.
///
/// # Errors
/// If there is one already, or something cannot be written.
pub fn create(app: &App, wish: &Wish) -> Result<(Opened, Made)> {
    let address = app.address()?;
    let store = app.store_at(&address)?;
    refuse_existing(app, &store, wish)?;
    let finding = trial::of(&address, &store)?;
    if let Some(how) = finding.unsafe_because.clone().filter(|_| !wish.accept_unsafe_store) {
        return Err(Error::UnsafeStore { location: store.location().to_owned(), how });
    }
    let pending = app.home.creating(store.location());
    let entropy = pending_entropy(&pending)?;
    let options = CreateOptions {
        readers: wish.readers.clone(),
        writer_label: machine_label(),
        alone: finding.unsafe_because.is_some(),
        ..CreateOptions::default()
    };
    let repository = make_or_adopt(app, store, &entropy, &options)?;
    let keys = app.home.keys(&repository.id());
    let words = entropy.words();
    let words_file = write_words(app, wish, &repository, &words)?;
    home::replace(&keys.unconfirmed(), &marker(words_file.as_deref()))?;
    keep_identity(&keys, &entropy, &repository, wish.passphrase.as_ref())?;
    let distance = app.distance(&address, repository.store());
    let opened = Opened { repository, keys, distance };
    opened.pin()?;
    home::remove(&pending)?;
    let id = opened.repository.id().hex();
    let headline = format!("Made a repository at {} ({}).", opened.location(), render::short(&id));
    let reminder = opened.keys.unconfirmed();
    Ok((opened, Made { headline, finding: finding.text(), words, words_file, reminder }))
}

/// A creation that was cut off when all but the keys on this machine was done is completed by writing those.
fn make_or_adopt(
    app: &App,
    store: Store,
    entropy: &Entropy,
    options: &CreateOptions,
) -> Result<Repository> {
    match Repository::create(store.clone(), entropy, options) {
        Ok((repository, credential)) => {
            home::replace(&app.home.keys(&repository.id()).writer(), &credential.to_text())?;
            Ok(repository)
        }
        Err(Engine::RepositoryExists { .. })
            if Repository::config_of(&store)?.root == entropy.owner().root.public() =>
        {
            let mut opened = app.open_as_owner(entropy)?;
            ensure_writer(&mut opened)?;
            Ok(opened.repository)
        }
        Err(error) => Err(error.into()),
    }
}

/// An unfinished creation of ours is no existing repository; a complete one is.
fn refuse_existing(app: &App, store: &Store, wish: &Wish) -> Result<()> {
    if let Some(path) = wish.words_out.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::FileExists { path: path.clone() });
    }
    let location = store.location().to_owned();
    let unfinished = app.home.creating(&location).exists();
    if Repository::exists(store)? && !unfinished {
        return Err(Engine::RepositoryExists { location }.into());
    }
    if !store.can_list() {
        return Err(Error::ReadOnlyMirror { location });
    }
    let occupied = || match app.address() {
        Ok(Address::Folder(folder)) => {
            Ok(std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
        }
        // What an earlier trial could not delete does not count.
        _ => Ok::<bool, Error>(store.list("")?.iter().any(|o| !o.name.starts_with("probe/"))),
    };
    let holds_other = !unfinished && occupied()?;
    if holds_other { Err(Engine::NotEmpty { location }.into()) } else { Ok(()) }
}

fn pending_entropy(pending: &Path) -> Result<Entropy> {
    let no_id = nodekeep_repo::id::RepoId([0; 32]);
    if let Some(Identity::Open(entropy, _)) = read_identity(pending)? {
        return Ok(entropy);
    }
    let entropy = Entropy::random();
    home::replace(pending, &identity_text(&entropy, &no_id))?;
    Ok(entropy)
}

/// On a terminal words are shown; otherwise, or if asked, they are written.
fn write_words(
    app: &App,
    wish: &Wish,
    repository: &Repository,
    words: &str,
) -> Result<Option<PathBuf>> {
    let shown = can_ask() && !app.output.json && !app.output.quiet;
    let path = match &wish.words_out {
        Some(path) => std::path::absolute(path).map_err(Error::file(path, "find"))?,
        None if shown => return Ok(None),
        None => app.home.words_file(render::short(&repository.id().hex()), words),
    };
    let text = Zeroizing::new(format!("{words}\n"));
    match home::write_new(&path, &text) {
        // An interrupted creation wrote them already.
        Err(Error::FileExists { .. })
            if std::fs::read_to_string(&path).is_ok_and(|there| there == *text) => {}
        result => result?,
    }
    Ok(Some(path))
}

fn marker(file: Option<&Path>) -> String {
    file.map_or(String::new(), |path| format!("{}\n", path.display()))
}

/// Writes the identity file, locked if there is a passphrase.
///
/// # Errors
/// If it cannot be written.
pub fn keep_identity(
    keys: &Keys,
    entropy: &Entropy,
    repository: &Repository,
    passphrase: Option<&SecretText>,
) -> Result<()> {
    let text = identity_text(entropy, &repository.id());
    match passphrase {
        Some(passphrase) => home::replace(&keys.identity(), &lock_text(&text, passphrase)),
        None => home::replace(&keys.identity(), &text),
    }
}

/// Enrols a writer for this machine if there is none that may write; never in a mirror. True if it did.
///
/// # Errors
/// If the roster cannot be changed.
pub fn ensure_writer(opened: &mut Opened) -> Result<bool> {
    let store = opened.repository.store();
    let is_mirror = !store.can_list() || opened.repository.refuse_mirror().is_err();
    if opened.repository.writer_id().is_ok() || is_mirror {
        return Ok(false);
    }
    let credential = opened.repository.enroll_writer(&machine_label(), Trust::All)?;
    home::replace(&opened.keys.writer(), &credential.to_text())?;
    opened.repository.set_writer(&credential);
    Ok(true)
}

/// This machine's name, for labels and snapshots.
pub fn machine_label() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Made {
    /// The words, or where they are.
    pub fn words_text(&self, output: &Output) -> Zeroizing<String> {
        let text = match &self.words_file {
            Some(path) => format!(
                "Its 24 recovery words are in {}, which only you can read.\n\
                 Copy them to paper, then confirm them: nodekeep key words --confirm",
                path.display()
            ),
            None => format!(
                "\n{}\nWrite them on paper, in order. They open every backup, on any machine; nothing else does if\n\
                 this machine is lost. Whoever has them has your backups.\n\n{}\n",
                output.bold("These 24 words are your recovery words."),
                *prompt::words_grid(&self.words)
            ),
        };
        Zeroizing::new(text)
    }

    /// Whether the words wait in a file instead of having been shown.
    pub fn words_are_written(&self) -> bool {
        self.words_file.is_some()
    }

    fn words_place(&self) -> String {
        match &self.words_file {
            Some(path) => format!("24 words, in {} until you confirm them", path.display()),
            None => "24 words, on your paper".to_owned(),
        }
    }

    /// Asks for two of the words if they were shown. A wrong answer leaves them unconfirmed; it undoes nothing.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub fn confirm(&self, app: &App) -> Result<()> {
        if self.words_file.is_some() {
            return Ok(());
        }
        app.output.alert("\nTwo of them, to be sure.");
        match prompt::ask_two_words(&app.output, &self.words) {
            Ok(()) => {
                home::remove(&self.reminder)?;
                app.output.say("Confirmed.")
            }
            Err(Error::WordMismatch { .. }) => {
                app.output.remark("Not confirmed yet. Show them again: nodekeep key words");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn document(&self, opened: &Opened) -> serde_json::Value {
        let repository = &opened.repository;
        json!({
            "repository": { "location": opened.location(), "id": repository.id().hex() },
            "owner": render::fingerprint(&repository.config().root.0),
            "created": true,
            "identity": opened.keys.identity(),
            "words_file": self.words_file,
            "store": { "finding": self.finding, "safe": !repository.config().alone },
        })
    }
}

/// What to keep beside the words, away from this machine.
fn card(app: &App, opened: &Opened, words: &str) -> String {
    let location = opened.location();
    let remote = &app.settings.remote;
    let is_bucket = location.starts_with("s3://");
    let endpoint = remote.endpoint_in_force().filter(|_| is_bucket);
    let credentials = if is_bucket {
        "an access key that may read the bucket; it is not on this card"
    } else {
        ""
    };
    let fields = render::fields(&[
        ("repository", location.to_owned()),
        ("endpoint", endpoint.clone().unwrap_or_default()),
        ("region", remote.region.clone().filter(|_| is_bucket).unwrap_or_default()),
        ("id", opened.repository.id().hex()),
        ("owner", render::fingerprint(&opened.repository.config().root.0)),
        ("keys", opened.keys.folder().display().to_string()),
        ("words", words.to_owned()),
        ("also needed", credentials.to_owned()),
    ]);
    let mut place = format!(" --repo {}", shell(location));
    if let Some(endpoint) = &endpoint {
        place.push_str(&format!(" --s3-endpoint {}", shell(endpoint)));
    }
    let variables =
        if is_bucket { "    export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…\n" } else { "" };
    format!(
        "\nEmergency card: print it, and keep it away from this machine.\n\n{fields}\n\n  \
         On the worst day, on any machine with the program and a way to the repository or a copy:\n\
         {variables}    \
         nodekeep restore{place}     asks for the words, and lists what is there\n    \
         nodekeep restore latest --target DIR{place}"
    )
}

/// Reads `--reader` values: keys, or @FILE with one key on each line. A comment after an SSH key is its label.
///
/// # Errors
/// If one is no key.
pub fn read_readers(texts: &[String]) -> Result<Vec<(Reader, String)>> {
    let mut readers = Vec::new();
    for text in texts {
        match text.strip_prefix('@') {
            Some(path) => readers.extend(readers_of_file(Path::new(path))?),
            None => readers.push((Reader::parse(text)?, label_of(text))),
        }
    }
    Ok(readers)
}

fn readers_of_file(path: &Path) -> Result<Vec<(Reader, String)>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Ok((Reader::parse(line)?, label_of(line)))).collect()
}

fn label_of(key: &str) -> String {
    key.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
}
