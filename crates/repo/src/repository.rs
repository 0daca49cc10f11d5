//! A repository: made, opened with whatever keys are at hand, and its membership changed. The verbs stand in files of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nodekeep_store::{Store, StoreErrorKind};

use crate::config::{Config, FORMAT};
use crate::control::{Checkpoint, Numbered, Stamp};
use crate::crypto::SigningKey;
use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::{MemberId, ObjectHash, RepoId};
use crate::keys::{Credential, DomainKeys, Entropy, GroupSecrets, Identities, OwnerKeys};
use crate::listing::Lists;
use crate::names;
use crate::roster::{Role, Roster};
use crate::sessions::{Memory, Sightings};
use crate::snapshot::Snapshot;

mod contents;
mod create;
mod envelopes;
mod members;
mod pins;

pub use create::CreateOptions;
pub use pins::Pins;

use envelopes::gather_keys;
use pins::check_pins;

/// Keys at hand.
#[derive(Debug, Default)]
pub struct Access {
    /// The owner's entropy: from the words, or from the identity file.
    pub owner: Option<Entropy>,
    /// Other identities that may open envelopes.
    pub identities: Identities,
    /// A writer's credential.
    pub credential: Option<Credential>,
}

/// What the keys at hand allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Names, metadata, snapshots.
    pub reads_trees: bool,
    /// File content.
    pub reads_data: bool,
    /// New snapshots.
    pub writes: bool,
    /// Members, deletions, collections.
    pub owns: bool,
}

/// What is to be known of the newest checkpoint: objects never change, so it is read once.
#[derive(Debug, Clone)]
struct Newest {
    number: u64,
    /// `None` before the first checkpoint, and for a damaged one: damage is no rollback.
    sound: Option<(ObjectHash, BTreeMap<MemberId, u64>)>,
}

/// A snapshot with its place.
#[derive(Debug, Clone)]
pub struct SnapshotRecord {
    /// Its id.
    pub id: crate::id::SnapshotId,
    /// Generation, writer, sequence.
    pub stamp: Stamp,
    /// Hash of its outcome object.
    pub outcome_hash: ObjectHash,
    /// What it holds.
    pub snapshot: Snapshot,
}

/// An open repository.
#[derive(Debug, Clone)]
pub struct Repository {
    store: Store,
    config: Config,
    roster: Roster,
    roster_hash: ObjectHash,
    domain: DomainKeys,
    groups: Arc<Vec<GroupSecrets>>,
    owner: Option<Entropy>,
    writer: Option<SigningKey>,
    newest: Arc<Mutex<Option<Newest>>>,
    sightings: Option<Memory>,
    alone: bool,
}

/// So many collections may end while something is looked up or restored.
const LOOKS: u32 = 4;
/// So many segments are read at once from a distant store: until it goes into the index, a large one takes 25 MB.
const SEGMENTS_AT_ONCE: usize = 3;

/// Reads and checks the configuration.
fn read_config(store: &Store) -> Result<Config> {
    let location = || store.location().to_owned();
    let (object, config) = match fetch::opened(store, names::CONFIG, Config::open) {
        Ok(opened) => opened,
        Err(e) if e.kind == StoreErrorKind::NotFound => {
            return Err(Error::NoRepository { location: location() });
        }
        Err(e) => return Err(e.into()),
    };
    config.map_err(|damage| match damage {
        Damage::NewerFormat => {
            Error::NewerFormat { location: location(), found: newer_number(&object), known: FORMAT }
        }
        damage => Error::damaged(names::CONFIG, damage),
    })
}

/// The format's number in a newer configuration, as far as it can be told: the digit of its frame.
fn newer_number(object: &[u8]) -> u64 {
    let digit = object.get(3).filter(|d| d.is_ascii_digit()).map_or(0, |d| u64::from(d - b'0'));
    if digit > FORMAT { digit } else { FORMAT + 1 }
}

fn read_roster(store: &Store, config: &Config) -> Result<(Roster, ObjectHash)> {
    let numbers = Lists::of(store)?.numbers(names::ROSTERS, names::roster)?;
    let Some(number) = numbers.last().copied() else {
        return Err(Error::damaged(names::roster(1), Damage::Missing));
    };
    let name = names::roster(number);
    let open = |object: &[u8]| Roster::open(object, &config.id, config.root, number);
    let (object, roster) = fetch::opened(store, &name, open)?;
    Ok((roster.map_err(|damage| Error::damaged(name, damage))?, ObjectHash::of(&object)))
}

impl Repository {
    /// Whether there is a repository.
    ///
    /// # Errors
    /// If the store cannot tell.
    pub fn exists(store: &Store) -> Result<bool> {
        match store.size(names::CONFIG) {
            Ok(_) => Ok(true),
            Err(e) if e.kind == StoreErrorKind::NotFound => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The public configuration, without any key.
    ///
    /// # Errors
    /// If there is no repository, or its configuration is damaged or newer.
    pub fn config_of(store: &Store) -> Result<Config> {
        read_config(store)
    }

    /// Opens a repository with the keys at hand. `pins` is what this client saw before.
    ///
    /// # Errors
    /// If there is none, no key fits, it is damaged, or shows older state than pinned.
    pub fn open(store: Store, access: &Access, pins: Option<&Pins>) -> Result<Self> {
        let config = read_config(&store)?;
        check_access(&store, &config, access)?;
        let (roster, roster_hash) = read_roster(&store, &config)?;
        check_pins(&roster, roster_hash, pins)?;
        let keys = gather_keys(&store, &config, &roster, access)?;
        let writer = access.credential.as_ref().map(|c| c.signing.clone());
        let repo = Self {
            store,
            config,
            roster,
            roster_hash,
            domain: keys.domain,
            groups: Arc::new(keys.groups),
            owner: access.owner.clone(),
            writer,
            newest: Arc::default(),
            sightings: None,
            alone: false,
        };
        repo.check_checkpoint(pins)?;
        Ok(repo)
    }

    /// Refuses a checkpoint that is older than the one pinned, or another one under its number.
    fn check_checkpoint(&self, pins: Option<&Pins>) -> Result<()> {
        let Some(pins) = pins.filter(|pins| pins.checkpoint > 0) else {
            return Ok(());
        };
        let newest = self.newest_checkpoint()?;
        if newest.number < pins.checkpoint && !self.has_begun(pins.checkpoint)? {
            let (found, pinned) = (newest.number, pins.checkpoint);
            return Err(Error::CheckpointRolledBack { found, pinned });
        }
        match (newest.sound, pins.checkpoint_hash) {
            (Some((found, _)), Some(pinned))
                if newest.number == pins.checkpoint && found != pinned =>
            {
                Err(Error::CheckpointReplaced { number: newest.number })
            }
            _ => Ok(()),
        }
    }

    /// Whether there is anything of a generation: then its checkpoint is lost, which is damage that a repair mends, and no older state.
    fn has_begun(&self, generation: u64) -> Result<bool> {
        let listed = Lists::of(&self.store)?.names(&names::generation(generation))?;
        Ok(listed.iter().any(|name| names::parse_in_generation(name).is_some()))
    }

    /// The newest checkpoint, listed now, and read unless it was read before.
    fn newest_checkpoint(&self) -> Result<Newest> {
        let numbers = Lists::of(&self.store)?.numbers(names::CHECKPOINTS, names::checkpoint)?;
        let number = numbers.last().copied().unwrap_or(0);
        let mut known = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = known.as_ref().filter(|newest| newest.number == number) {
            return Ok(newest.clone());
        }
        let newest = Newest { number, sound: self.read_checkpoint(number)? };
        *known = Some(newest.clone());
        Ok(newest)
    }

    fn read_checkpoint(
        &self,
        number: u64,
    ) -> Result<Option<(ObjectHash, BTreeMap<MemberId, u64>)>> {
        if number == 0 {
            return Ok(None);
        }
        let open = |object: &[u8]| Checkpoint::open(object, number, &self.config.id, &self.roster);
        let opened = fetch::opened(&self.store, &names::checkpoint(number), open);
        let Some((object, checkpoint)) = fetch::if_there(opened)? else {
            return Ok(None);
        };
        Ok(checkpoint
            .ok()
            .map(|sound| (ObjectHash::of(&object), sound.heads.into_iter().collect())))
    }

    /// Says that nobody else works on the repository now: on a store that does not create if absent, no program can find that out.
    pub fn declare_alone(&mut self) {
        self.alone = true;
    }

    /// Refuses what can do harm beside others, where the store cannot keep them apart.
    ///
    /// # Errors
    /// [`Error::NotAlone`].
    pub fn needs_alone(&self) -> Result<()> {
        let location = || self.store.location().to_owned();
        let may = !self.config.alone || self.alone;
        if may { Ok(()) } else { Err(Error::NotAlone { location: location() }) }
    }

    /// Refuses a mirror: what is written there, the original never sees, and the next mirroring closes its generation.
    ///
    /// # Errors
    /// [`Error::IsMirror`], or if the store cannot be listed.
    pub fn refuse_mirror(&self) -> Result<()> {
        let listings = self.store.list(names::LISTING_PREFIX)?;
        let location = || self.store.location().to_owned();
        let is_mirror = listings.iter().any(|o| names::LISTINGS.contains(&o.name.as_str()));
        if is_mirror { Err(Error::IsMirror { location: location() }) } else { Ok(()) }
    }

    /// Remembers open sessions from now on, so that their life is judged by this client's own clock.
    pub fn remember_sessions(&mut self, sightings: Sightings) {
        self.sightings = Some(Arc::new(Mutex::new(sightings)));
    }

    /// What is remembered of open sessions.
    pub fn sessions_remembered(&self) -> Option<Sightings> {
        let memory = self.sightings.as_ref()?;
        Some(memory.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(crate) fn sightings(&self) -> Option<&Memory> {
        self.sightings.as_ref()
    }

    /// The repository's id.
    pub fn id(&self) -> RepoId {
        self.config.id
    }

    /// The genesis configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The roster in force.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Hash of its object.
    #[cfg(feature = "simulate")]
    pub(crate) fn roster_hash(&self) -> ObjectHash {
        self.roster_hash
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Domain keys.
    pub fn domain(&self) -> &DomainKeys {
        &self.domain
    }

    /// The reader groups' secrets that are held.
    pub fn groups(&self) -> &[GroupSecrets] {
        &self.groups
    }

    /// The owner's keys, if held.
    pub fn owner_keys(&self) -> Option<OwnerKeys> {
        self.owner.as_ref().map(Entropy::owner)
    }

    /// The writer's signing key, if held.
    pub fn writer_key(&self) -> Option<&SigningKey> {
        self.writer.as_ref()
    }

    /// The member id of the writer at hand, if it may write.
    ///
    /// # Errors
    /// [`Error::NoWriter`] without a credential, [`Error::WriterRejected`] if the roster does not have it.
    pub fn writer_id(&self) -> Result<MemberId> {
        let key = self.writer.as_ref().ok_or(Error::NoWriter)?;
        let member =
            self.roster.signer(Role::Writer, &key.public()).ok_or(Error::WriterRejected)?;
        if member.revoked.is_none() { Ok(member.id) } else { Err(Error::WriterRejected) }
    }

    /// The owner's keeper: key and member id.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`] if the owner's keys are not held.
    pub fn keeper(&self) -> Result<(SigningKey, MemberId)> {
        let key = self.owner_keys().ok_or(Error::OwnerOnly)?.keeper;
        let member = self.roster.signer(Role::Keeper, &key.public()).ok_or(Error::OwnerOnly)?;
        Ok((key, member.id))
    }

    /// What the keys at hand allow.
    pub fn capability(&self) -> Capability {
        Capability {
            reads_trees: !self.groups.is_empty(),
            reads_data: self.groups.iter().any(|g| g.data.is_some()),
            writes: self.writer_id().is_ok(),
            owns: self.owner.is_some(),
        }
    }

    /// Refuses where names cannot be read.
    ///
    /// # Errors
    /// [`Error::WriterOnly`].
    pub fn needs_trees(&self) -> Result<()> {
        if self.capability().reads_trees { Ok(()) } else { Err(Error::WriterOnly) }
    }

    /// Refuses where content cannot be read.
    ///
    /// # Errors
    /// [`Error::WriterOnly`], [`Error::CollectorOnly`].
    pub fn needs_data(&self) -> Result<()> {
        self.needs_trees()?;
        if self.capability().reads_data { Ok(()) } else { Err(Error::CollectorOnly) }
    }

    /// What to pin after this opening.
    ///
    /// # Errors
    /// If the checkpoints cannot be listed.
    pub fn pins(&self) -> Result<Pins> {
        let newest = self.newest_checkpoint()?;
        let (hash, heads) = newest.sound.unzip();
        Ok(Pins {
            roster: self.roster.number,
            roster_hash: Some(self.roster_hash),
            // What cannot be read may not be what it says.
            checkpoint: if hash.is_some() { newest.number } else { 0 },
            checkpoint_hash: hash,
            heads: heads.unwrap_or_default(),
        })
    }
}

fn now_secs() -> i64 {
    crate::clock::now().as_second()
}

fn check_access(store: &Store, config: &Config, access: &Access) -> Result<()> {
    if access.owner.as_ref().is_some_and(|e| e.owner().root.public() != config.root) {
        return Err(Error::ForeignWords);
    }
    match &access.credential {
        Some(c) if c.repo != config.id => Err(Error::OtherRepository {
            location: store.location().to_owned(),
            found: config.id,
            expected: c.repo,
        }),
        _ => Ok(()),
    }
}
