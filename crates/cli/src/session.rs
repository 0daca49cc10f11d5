//! From settings and files of this machine to an open repository, asking for secrets only where they are needed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nodekeep_repo::audit::Seen;
use nodekeep_repo::config::Config;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::id::{RepoId, SnapshotId, from_hex, to_hex};
use nodekeep_repo::keys::{Credential, Entropy, Identities, PhraseError, unlock_text};
use nodekeep_repo::repository::{Access, Pins, Repository};
use nodekeep_repo::view::View;
use nodekeep_store::{Address, Object, Place, Store};
use zeroize::Zeroizing;

use crate::commands::daemon::RoleArg;
use crate::copies::{self, Distance};
use crate::error::{Error, Result};
use crate::home::{self, Home, Keys};
use crate::output::Output;
use crate::secrets::{SecretText, Secrets, can_ask};
use crate::settings::Settings;

const IDENTITY_LINE: &str = "NODEKEEP-IDENTITY-1";

/// What every command works with.
#[derive(Debug, Clone)]
pub struct App {
    pub output: Output,
    pub settings: Settings,
    pub home: Home,
    pub secrets: Secrets,
    /// The configuration file that was named; `None`: the usual one.
    pub config: Option<PathBuf>,
}

/// What a command will do with the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Whatever the keys allow; asks for nothing.
    Look,
    /// New snapshots.
    Write,
    /// Names and content.
    Read,
    /// Members, deletions, collections.
    Own,
}

/// An open repository, and its files on this machine.
#[derive(Debug)]
pub struct Opened {
    pub repository: Repository,
    pub keys: Keys,
    /// How far it is from this machine.
    pub distance: Distance,
}

impl Opened {
    /// The same repository as it is now, without asking for keys again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn again(&self) -> Result<Self> {
        let repository = self.repository.refreshed()?;
        let opened = Self { repository, keys: self.keys.clone(), distance: self.distance };
        opened.pin()?;
        Ok(opened)
    }

    /// Remembers the newest state seen, so that older state is refused, and what was seen of open sessions.
    ///
    /// # Errors
    /// If it cannot be read or written down.
    pub fn pin(&self) -> Result<()> {
        let mut pins = self.keys.read_pins().unwrap_or_default();
        pins.raise(&self.repository.pins()?);
        home::replace_if_new(&self.keys.pins(), &pins.to_text())?;
        self.keep_sightings()
    }

    /// Remembers what a view shows: the snapshots that live and how far each writer has come. Returns how many snapshots were seen before
    /// and are gone without a record of their deletion.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn remember(&self, view: &View) -> Result<usize> {
        let mut seen = self.keys.read_seen();
        let lost = seen.observe(view).len();
        home::replace_if_new(&self.keys.seen(), &seen.to_text())?;
        let mut pins = self.keys.read_pins().unwrap_or_default();
        let committed = view.live.iter().map(|live| (live.stamp.writer, live.stamp.sequence));
        pins.raise_heads(committed);
        home::replace_if_new(&self.keys.pins(), &pins.to_text())?;
        Ok(lost)
    }

    /// Remembers a snapshot that was just committed here.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn remember_own(&self, id: SnapshotId) -> Result<()> {
        let mut seen = self.keys.read_seen();
        let writer = self.repository.writer_id()?;
        seen.committed(id, writer);
        home::replace_if_new(&self.keys.seen(), &seen.to_text())
    }

    /// Writes down what was seen of open sessions, for the next look.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_sightings(&self) -> Result<()> {
        match self.repository.sessions_remembered() {
            Some(sightings) => home::replace_if_new(&self.keys.sightings(), &sightings.to_text()),
            None => Ok(()),
        }
    }

    /// Where the repository lies.
    pub fn location(&self) -> &str {
        self.repository.store().location()
    }

    /// Every object with its size; `None` where the store has no lists.
    ///
    /// # Errors
    /// If the store fails.
    pub fn objects(&self) -> Result<Option<Vec<Object>>> {
        let store = self.repository.store();
        Ok(if store.can_list() { Some(store.list("")?) } else { None })
    }
}

/// Whether an error says that older state was found than seen before.
fn is_older(error: &Engine) -> bool {
    matches!(error, Engine::RolledBack { .. } | Engine::CheckpointRolledBack { .. })
}

/// Remembers what a view shows, and says how many snapshots have vanished without a record of deletion.
///
/// # Errors
/// If the memory cannot be written down.
pub fn warn_of_lost(app: &App, opened: &Opened, view: &View) -> Result<usize> {
    let lost = opened.remember(view)?;
    if lost > 0 && !app.output.json {
        let (snapshots, are) =
            (crate::render::counted(lost as u64, "snapshot"), if lost == 1 { "is" } else { "are" });
        app.output.alert(format!(
            "{snapshots} that this machine saw {are} gone without a record of deletion. See which: nodekeep repo audit"
        ));
    }
    Ok(lost)
}

impl App {
    /// Where the repository is, or would be made.
    ///
    /// # Errors
    /// For a text that is no address.
    pub fn address(&self) -> Result<Address> {
        match &self.settings.repo {
            Some(text) => self.address_of(text),
            None => Ok(Address::Folder(self.home.repository())),
        }
    }

    /// An address as a person writes it; a folder becomes absolute.
    ///
    /// # Errors
    /// For a text that is no address.
    pub fn address_of(&self, text: &str) -> Result<Address> {
        match Address::parse(text)? {
            Address::Folder(path) => {
                let absolute = std::path::absolute(&path).map_err(Error::file(&path, "find"))?;
                Ok(Address::Folder(absolute))
            }
            address => Ok(address),
        }
    }

    /// The store at an address.
    ///
    /// # Errors
    /// If an option makes no sense, or there are no credentials.
    pub fn store_at(&self, address: &Address) -> Result<Store> {
        Ok(Store::open(address, &self.settings.remote.open_options())?)
    }

    /// The repository's store.
    ///
    /// # Errors
    /// As [`App::address`] and [`App::store_at`].
    pub fn store(&self) -> Result<Store> {
        self.store_at(&self.address()?)
    }

    /// How far a store is from this machine.
    pub fn distance(&self, address: &Address, store: &Store) -> Distance {
        match (address, store.place()) {
            (Address::Folder(folder), _) => Distance::of_folder(folder, self.home.data()),
            (_, Place::Remote { .. }) => Distance::OtherHost,
            (_, Place::ThisMachine) => Distance::ThisMachine,
        }
    }

    /// The same for another repository than the one in force. Keys that were named for that one are not for this.
    pub fn elsewhere(&self, place: &str) -> Self {
        let mut other = self.clone();
        other.settings.repo = Some(place.to_owned());
        other.settings.identity = None;
        other.settings.credential = None;
        other
    }

    /// Opens the repository with what the need asks for.
    ///
    /// # Errors
    /// If there is none, no key fits, or the keys at hand may not do what is needed.
    pub fn open(&self, need: Need) -> Result<Opened> {
        let store = self.store()?;
        let config = Repository::config_of(&store)?;
        if matches!(need, Need::Write | Need::Own) && !store.can_list() {
            return Err(Error::ReadOnlyMirror { location: store.location().to_owned() });
        }
        let keys = self.home.keys(&config.id);
        let access = self.access(need, &config, &keys, store.location())?;
        let opened = self.open_with(store, keys, &access)?;
        check(need, &opened.repository)?;
        if matches!(need, Need::Write | Need::Own) {
            opened.repository.refuse_mirror()?;
        }
        Ok(opened)
    }

    /// Opens the repository without comparing it with what was pinned: for an audit, which compares and says more.
    ///
    /// # Errors
    /// If there is none, or no key fits.
    pub fn open_unpinned(&self) -> Result<(Opened, Pins, Seen)> {
        let store = self.store()?;
        let config = Repository::config_of(&store)?;
        let keys = self.home.keys(&config.id);
        let access = self.access(Need::Look, &config, &keys, store.location())?;
        let (pins, seen) = (keys.read_pins().unwrap_or_default(), keys.read_seen());
        let distance = self.distance(&self.address()?, &store);
        let repository = Repository::open(store, &access, None)?;
        Ok((Opened { repository, keys, distance }, pins, seen))
    }

    /// Opens the repository with the owner's entropy and whatever credential is here.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open_as_owner(&self, owner: &Entropy) -> Result<Opened> {
        let store = self.store()?;
        let config = Repository::config_of(&store)?;
        let keys = self.home.keys(&config.id);
        let access = Access {
            owner: Some(owner.clone()),
            credential: self.credential(&keys)?,
            ..Access::default()
        };
        self.open_with(store, keys, &access)
    }

    fn open_with(&self, store: Store, keys: Keys, access: &Access) -> Result<Opened> {
        let pins = keys.read_pins();
        let distance = self.distance(&self.address()?, &store);
        let mut repository = match Repository::open(store.clone(), access, pins.as_ref()) {
            Err(error) if is_older(&error) && self.may_be_older(&store, &keys) => {
                self.output.remark(format!("{error}. It is a mirror, and perhaps not the newest."));
                let repository = Repository::open(store, access, None)?;
                return Ok(Opened { repository, keys, distance });
            }
            result => result?,
        };
        repository.remember_sessions(keys.read_sightings());
        if self.settings.alone {
            repository.declare_alone();
        }
        let opened = Opened { repository, keys, distance };
        opened.pin()?;
        Ok(opened)
    }

    /// A mirror lags behind its original: one on a web server, or one that this machine made.
    fn may_be_older(&self, store: &Store, keys: &Keys) -> bool {
        let made_here = |copy: &copies::CopyRecord| copy.location == store.location();
        !store.can_list() || copies::known(keys).iter().any(made_here)
    }

    fn access(&self, need: Need, config: &Config, keys: &Keys, location: &str) -> Result<Access> {
        let mut access = Access { credential: self.credential(keys)?, ..Access::default() };
        // A writer's daemon holds nothing that reads: no identity is so much as opened.
        if self.settings.role == Some(RoleArg::Writer) {
            return if access.credential.is_some() {
                Ok(access)
            } else {
                Err(no_keys(location, &self.home))
            };
        }
        if let Some(path) = &self.settings.identity {
            self.add_identity(path, config, &mut access)?;
        }
        let has_reader = access.owner.is_some() || !access.identities.is_empty();
        if access.owner.is_none() && !(has_reader && need != Need::Own) {
            access.owner =
                self.owner(need, config, keys, access.credential.is_some() || has_reader)?;
        }
        let nothing =
            access.owner.is_none() && access.identities.is_empty() && access.credential.is_none();
        if nothing { Err(no_keys(location, &self.home)) } else { Ok(access) }
    }

    /// The owner's entropy: from the identity file, or from words where no other key is at hand.
    fn owner(
        &self,
        need: Need,
        config: &Config,
        keys: &Keys,
        has_other: bool,
    ) -> Result<Option<Entropy>> {
        match read_identity(&keys.identity())? {
            Some(Identity::Open(entropy, id)) if id == config.id => return Ok(Some(entropy)),
            Some(Identity::Open(_, id)) => {
                return Err(Error::ForeignKeys { path: keys.identity(), found: id.hex() });
            }
            Some(Identity::Locked(text))
                if matches!(need, Need::Read | Need::Own) || !has_other =>
            {
                return self.unlock(&keys.identity(), &text).map(|(entropy, _)| Some(entropy));
            }
            Some(Identity::Locked(_)) => return Ok(None),
            None => {}
        }
        let asks = matches!(need, Need::Read | Need::Own) && !has_other && can_ask();
        match self.secrets.given_words()? {
            Some(words) => self.entropy(&words, config).map(Some),
            None if asks => self.entropy(&self.secrets.words()?, config).map(Some),
            None => Ok(None),
        }
    }

    /// The entropy of words, checked against the repository; on a checksum failure the likely word is searched.
    ///
    /// # Errors
    /// [`Error::Words`], or [`Error::OtherWords`] for those of another repository.
    pub fn entropy(&self, words: &str, config: &Config) -> Result<Entropy> {
        let entropy = Entropy::from_words(words).map_err(|error| {
            let likely = match error {
                PhraseError::Checksum => Entropy::repair(words, config.root),
                _ => None,
            };
            Error::Words { error, likely }
        })?;
        if entropy.owner().root.public() == config.root {
            Ok(entropy)
        } else {
            Err(Error::OtherWords)
        }
    }

    /// Opens a locked identity; asks for the passphrase.
    ///
    /// # Errors
    /// [`Error::Locked`] if nobody can be asked, [`Error::WrongPassphrase`].
    pub fn unlock(&self, path: &Path, locked: &str) -> Result<(Entropy, RepoId)> {
        let passphrase = match self.secrets.passphrase("the identity") {
            Err(Error::NeedSecret { .. }) => {
                return Err(Error::Locked { path: path.to_owned() });
            }
            result => result?,
        };
        let wrong = || Error::WrongPassphrase { path: path.to_owned() };
        let text = unlock_text(locked, &passphrase).ok_or_else(wrong)?;
        parse_identity(&text).ok_or_else(|| Error::BadIdentity { path: path.to_owned() })
    }

    /// The writer credential: the one named, or the one kept for this repository.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn credential(&self, keys: &Keys) -> Result<Option<Credential>> {
        let path = match &self.settings.credential {
            Some(path) => path.clone(),
            None if keys.writer().exists() => keys.writer(),
            None => return Ok(None),
        };
        let text = read_private(&path)?;
        let bad = |error| Error::CredentialFile { path: path.clone(), error };
        Credential::from_text(&text).map(Some).map_err(bad)
    }

    fn add_identity(&self, path: &Path, config: &Config, access: &mut Access) -> Result<()> {
        match read_identity(path)? {
            Some(Identity::Open(entropy, _)) => access.owner = Some(entropy),
            Some(Identity::Locked(text)) => {
                let (entropy, id) = self.unlock(path, &text)?;
                if id != config.id {
                    return Err(Error::ForeignKeys { path: path.to_owned(), found: id.hex() });
                }
                access.owner = Some(entropy);
            }
            None => self.add_foreign_identity(path, &mut access.identities)?,
        }
        Ok(())
    }

    /// An age or SSH identity; an encrypted SSH key needs a passphrase.
    ///
    /// # Errors
    /// If the file holds neither.
    pub fn add_foreign_identity(&self, path: &Path, identities: &mut Identities) -> Result<()> {
        let text = read_private(path)?;
        let passphrase = match is_encrypted_ssh(&text) {
            true => Some(self.secrets.passphrase(&path.display().to_string())?),
            false => None,
        };
        let added = identities.add_text(&text, passphrase.as_ref().map(|phrase| phrase.as_str()));
        added.map_err(|error| Error::IdentityFile { path: path.to_owned(), error })
    }
}

fn no_keys(location: &str, home: &Home) -> Error {
    Error::NoKeys { location: location.to_owned(), home: home.data().to_owned() }
}

fn check(need: Need, repository: &Repository) -> Result<()> {
    match need {
        Need::Look => {}
        Need::Write => _ = repository.writer_id()?,
        Need::Read => repository.needs_trees()?,
        Need::Own if !repository.capability().owns => return Err(Engine::OwnerOnly.into()),
        Need::Own => {}
    }
    Ok(())
}

/// An identity file of ours.
pub enum Identity {
    /// Not locked.
    Open(Entropy, RepoId),
    /// Locked with a passphrase: its text.
    Locked(String),
}

/// Reads an identity file; `None` if it is not there, or not one of ours.
///
/// # Errors
/// If it cannot be read, or is ours and damaged.
pub fn read_identity(path: &Path) -> Result<Option<Identity>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => Zeroizing::new(result.map_err(Error::file(path, "read"))?),
    };
    if text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
        return Ok(Some(Identity::Locked(text.to_string())));
    }
    if !text.starts_with(IDENTITY_LINE) {
        return Ok(None);
    }
    match parse_identity(&text) {
        Some((entropy, id)) => Ok(Some(Identity::Open(entropy, id))),
        None => Err(Error::BadIdentity { path: path.to_owned() }),
    }
}

fn parse_identity(text: &str) -> Option<(Entropy, RepoId)> {
    let mut lines = text.lines();
    if lines.next()? != IDENTITY_LINE {
        return None;
    }
    let id = RepoId::parse(lines.next()?.trim())?;
    Some((Entropy::from_bytes(from_hex(lines.next()?.trim())?), id))
}

/// The text of an identity file.
pub fn identity_text(entropy: &Entropy, id: &RepoId) -> SecretText {
    let hex = Zeroizing::new(to_hex(entropy.bytes()));
    Zeroizing::new(format!("{IDENTITY_LINE}\n{id}\n{}\n", *hex))
}

fn read_private(path: &Path) -> Result<SecretText> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(Error::file(path, "read"))
}

/// OpenSSH says in the key's head which cipher protects it; the older PEM form says `ENCRYPTED`.
fn is_encrypted_ssh(text: &str) -> bool {
    if text.contains("ENCRYPTED") {
        return true;
    }
    let mut key = Identities::new();
    text.contains("OPENSSH PRIVATE KEY") && key.add_text(text, None).is_err()
}
