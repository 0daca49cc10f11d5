//! A repository: made, opened with whatever keys are at hand, and its membership changed. The verbs stand in files of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nodekeep_store::{Created, Durability, Store, StoreErrorKind};

use crate::config::{Config, FORMAT};
use crate::control::{Checkpoint, Stamp};
use crate::crypto::{Secret, SigningKey, random};
use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::{DomainId, MemberId, ObjectHash, RepoId};
use crate::index::{Index, Segment};
use crate::keys::{
    Credential, DomainKeys, Entropy, Envelope, GroupSecrets, Identities, OwnerKeys, Reader,
};
use crate::listing::Lists;
use crate::names;
use crate::reader::ChunkReader;
use crate::roster::{Member, Role, Roster, Trust};
use crate::sessions::{Memory, Sightings};
use crate::snapshot::Snapshot;
use crate::view::{View, damaged_missing};

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

/// How to make a repository.
#[derive(Debug)]
pub struct CreateOptions {
    /// Packs are closed at this size, in bytes.
    pub pack_size: u64,
    /// Readers besides the owner, with labels.
    pub readers: Vec<(Reader, String)>,
    /// Whether the owner reads.
    pub owner_reads: bool,
    /// Label of the first writer.
    pub writer_label: String,
    /// The store does not create if absent: whoever deletes, repairs or changes members must be alone.
    pub alone: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            pack_size: 16 * 1024 * 1024,
            readers: Vec::new(),
            owner_reads: true,
            writer_label: "first writer".to_owned(),
            alone: false,
        }
    }
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

/// The highest state that a client saw; older state is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pins {
    /// Number of the roster.
    pub roster: u64,
    /// Hash of its object.
    pub roster_hash: Option<ObjectHash>,
    /// Number of the checkpoint.
    pub checkpoint: u64,
    /// Hash of its object; older clients wrote none.
    pub checkpoint_hash: Option<ObjectHash>,
    /// The highest sequence of each writer.
    pub heads: BTreeMap<MemberId, u64>,
}

impl Pins {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let hash = |hash: Option<ObjectHash>| hash.unwrap_or(ObjectHash::NONE);
        let mut text = format!(
            "roster = {} {}\ncheckpoint = {} {}\n",
            self.roster,
            hash(self.roster_hash),
            self.checkpoint,
            hash(self.checkpoint_hash)
        );
        for (writer, head) in &self.heads {
            text.push_str(&format!("head = {writer} {head}\n"));
        }
        text
    }

    /// Reads the file's text; what is unreadable counts as nothing pinned.
    pub fn from_text(text: &str) -> Self {
        let mut pins = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let (first, second) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            let hash = || ObjectHash::parse(second).filter(|hash| *hash != ObjectHash::NONE);
            let number = || first.parse().unwrap_or(0);
            match key {
                "roster" => (pins.roster, pins.roster_hash) = (number(), hash()),
                "checkpoint" => (pins.checkpoint, pins.checkpoint_hash) = (number(), hash()),
                "head" => pins.heads.extend(MemberId::parse(first).zip(second.parse().ok())),
                _ => (),
            }
        }
        pins
    }

    /// Takes over what is higher in `other`: pins rise and never fall.
    pub fn raise(&mut self, other: &Self) {
        if other.roster > self.roster {
            (self.roster, self.roster_hash) = (other.roster, other.roster_hash);
        }
        if other.checkpoint > self.checkpoint {
            (self.checkpoint, self.checkpoint_hash) = (other.checkpoint, other.checkpoint_hash);
        } else if other.checkpoint == self.checkpoint {
            self.checkpoint_hash = self.checkpoint_hash.or(other.checkpoint_hash);
        }
        self.raise_heads(other.heads.iter().map(|(writer, head)| (*writer, *head)));
    }

    /// The same for heads alone.
    pub fn raise_heads(&mut self, heads: impl IntoIterator<Item = (MemberId, u64)>) {
        for (writer, head) in heads {
            let pinned = self.heads.entry(writer).or_default();
            *pinned = (*pinned).max(head);
        }
    }
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

    /// Makes a repository and its first writer. One whose creation by the same owner was interrupted is completed.
    ///
    /// # Errors
    /// If there is a repository already, the place holds other things, or the store fails.
    pub fn create(
        store: Store,
        owner: &Entropy,
        options: &CreateOptions,
    ) -> Result<(Self, Credential)> {
        let config = create_config(&store, owner, options)?;
        let domain = DomainKeys::new(config.domain, Secret::random());
        let group = GroupSecrets::random(1);
        let signing = SigningKey::random();
        let mut members = first_members(&config, &domain, owner, options);
        members.push(writer_member(&config, &domain, &signing, &options.writer_label, Trust::All));
        seal_envelopes(
            &store,
            &config,
            &domain,
            &mut members,
            std::slice::from_ref(&group),
            owner,
            &options.readers,
        )?;
        let roster = Roster {
            number: 1,
            previous: ObjectHash::NONE,
            created: now_secs(),
            groups: group.public().into_iter().collect(),
            members,
        };
        let roster_hash = publish(&store, &config, &roster, owner)?;
        let credential = credential(&store, &config, &domain, &signing);
        let groups = Arc::new(vec![group]);
        let repository = Self {
            store,
            config,
            roster,
            roster_hash,
            domain,
            groups,
            owner: Some(owner.clone()),
            writer: Some(signing),
            newest: Arc::default(),
            sightings: None,
            alone: false,
        };
        Ok((repository, credential))
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

    /// The control state now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn view(&self) -> Result<View> {
        View::load(&self.store, &self.config.id, &self.roster)
    }

    /// Reads the roster again: another client may have changed it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn current_roster(&self) -> Result<Roster> {
        Ok(read_roster(&self.store, &self.config)?.0)
    }

    /// The same repository with the roster in force now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn refreshed(&self) -> Result<Self> {
        let (roster, roster_hash) = read_roster(&self.store, &self.config)?;
        Ok(Self { roster, roster_hash, ..self.clone() })
    }

    /// The same repository in another store: a replica of it.
    pub(crate) fn at(&self, store: Store) -> Self {
        Self { store, newest: Arc::default(), ..self.clone() }
    }

    /// The live snapshots by start, oldest first.
    ///
    /// # Errors
    /// If one cannot be opened, or the key does not read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let (records, mut problems) = self.snapshots_in(&self.view()?)?;
        match problems.pop() {
            None => Ok(records),
            Some((_, error)) => Err(error),
        }
    }

    /// The live snapshots of a view, oldest first, and those that do not open.
    ///
    /// # Errors
    /// If the key does not read.
    #[expect(clippy::type_complexity, reason = "a list of results, split")]
    pub fn snapshots_in(&self, view: &View) -> Result<(Vec<SnapshotRecord>, Vec<(String, Error)>)> {
        self.needs_trees()?;
        let reader = self.reader(Arc::new(Index::new()));
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        for live in &view.live {
            match reader.snapshot(live) {
                Ok(snapshot) => records.push(SnapshotRecord {
                    id: live.stamp.session,
                    stamp: live.stamp,
                    outcome_hash: live.hash,
                    snapshot,
                }),
                Err(error) => problems.push((live.name(), error)),
            }
        }
        records.sort_by_key(|r| (r.snapshot.started_ms, r.stamp.sequence, r.id));
        Ok((records, problems))
    }

    /// One segment.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn segment(&self, writer: &MemberId, hash: &ObjectHash) -> Result<Segment> {
        let name = names::segment(writer, hash);
        let open = |object: &[u8]| {
            hash.check(object)?;
            Segment::open(object, writer, &self.config.id, &self.domain, &self.roster)
        };
        let opened = fetch::opened(&self.store, &name, open);
        let (_, segment) = opened.map_err(|e| damaged_missing(&name, e.into()))?;
        segment.map_err(|damage| Error::damaged(name, damage))
    }

    /// The whole index of a view.
    ///
    /// # Errors
    /// If a segment is missing or damaged: `repo repair` rebuilds it from the packs.
    pub fn index(&self, view: &View) -> Result<Index> {
        let (index, mut problems) = self.index_with_problems(view)?;
        match problems.pop() {
            None => Ok(index),
            Some(error) => Err(error),
        }
    }

    /// The index of a view as far as it can be read, and what could not.
    ///
    /// # Errors
    /// If the store fails otherwise than by a missing object.
    pub fn index_with_problems(&self, view: &View) -> Result<(Index, Vec<Error>)> {
        let mut index = Index::new();
        let mut problems = Vec::new();
        for some in view.segments.chunks(fetch::in_flight(&self.store).min(SEGMENTS_AT_ONCE)) {
            for read in fetch::map(&self.store, some, |(writer, hash)| self.segment(writer, hash)) {
                match read {
                    Ok(segment) => index.add(segment),
                    Err(error @ Error::Damaged { .. }) => problems.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        index.sort();
        Ok((index, problems))
    }

    /// The index of now as far as it can be read, and what could not: looked up again if a collection has replaced a segment meanwhile.
    ///
    /// # Errors
    /// If the store fails otherwise than by a missing object.
    pub fn index_as_it_is(&self) -> Result<(Index, Vec<Error>)> {
        let mut view = self.view()?;
        for _ in 0..LOOKS {
            let (index, problems) = self.index_with_problems(&view)?;
            if problems.is_empty() {
                return Ok((index, problems));
            }
            let now = self.view()?;
            if now.segments == view.segments {
                return Ok((index, problems));
            }
            view = now;
        }
        self.index_with_problems(&view)
    }

    /// Reads chunks while collections go on: what is missing is looked up again before it counts as lost (`docs/format.md`, section 7.4).
    pub fn lasting_reader(&self, index: Arc<Index>) -> ChunkReader {
        self.reader(index).looking_again(self, LOOKS)
    }

    /// Reads chunks by an index, and by nothing else.
    pub fn reader(&self, index: Arc<Index>) -> ChunkReader {
        ChunkReader::new(
            self.store.clone(),
            self.config.id,
            self.domain.clone(),
            self.groups.clone(),
            index,
        )
    }
}

fn now_secs() -> i64 {
    crate::clock::now().as_second()
}

fn create_config(store: &Store, owner: &Entropy, options: &CreateOptions) -> Result<Config> {
    let location = || store.location().to_owned();
    if Repository::exists(store)? {
        let config = read_config(store)?;
        let unfinished =
            config.root == owner.owner().root.public() && store.list(names::ROSTERS)?.is_empty();
        return if unfinished {
            Ok(config)
        } else {
            Err(Error::RepositoryExists { location: location() })
        };
    }
    let domain = DomainId(random());
    let (config, object) = Config::create_on(
        &owner.owner().root,
        domain,
        options.pack_size,
        now_secs(),
        options.alone,
    );
    match store.create(names::CONFIG, &object, Durability::Durable)? {
        Created::New => Ok(config),
        Created::Exists => Err(Error::RepositoryExists { location: location() }),
    }
}

fn first_members(
    config: &Config,
    domain: &DomainKeys,
    owner: &Entropy,
    options: &CreateOptions,
) -> Vec<Member> {
    let keys = owner.owner();
    let member =
        |role, key: Vec<u8>, label: &str| Member::new(role, key, label, &config.id, domain);
    let mut members = vec![member(Role::Keeper, keys.keeper.public().0.to_vec(), "owner")];
    if options.owner_reads {
        members.push(member(Role::Reader, keys.recipient().into_bytes(), "owner"));
    }
    let reader = |(r, label): &(Reader, String)| {
        member(Role::Reader, r.key_text().as_bytes().to_vec(), label)
    };
    members.extend(options.readers.iter().map(reader));
    members
}

fn writer_member(
    config: &Config,
    domain: &DomainKeys,
    key: &SigningKey,
    label: &str,
    trust: Trust,
) -> Member {
    let mut member = Member::new(Role::Writer, key.public().0.to_vec(), label, &config.id, domain);
    member.trust = trust;
    member
}

fn credential(
    store: &Store,
    config: &Config,
    domain: &DomainKeys,
    signing: &SigningKey,
) -> Credential {
    Credential {
        repo: config.id,
        location: store.location().to_owned(),
        signing: signing.clone(),
        domain: domain.clone(),
    }
}

/// Writes the envelopes that readers and collectors lack for `groups`. `given` knows passphrases, which a roster does not.
fn seal_envelopes(
    store: &Store,
    config: &Config,
    domain: &DomainKeys,
    members: &mut [Member],
    groups: &[GroupSecrets],
    owner: &Entropy,
    given: &[(Reader, String)],
) -> Result<()> {
    let own = owner.owner().recipient();
    for member in members.iter_mut().filter(|m| m.revoked.is_none()) {
        if !matches!(member.role, Role::Reader | Role::Collector) {
            continue;
        }
        let text = member.key_text().unwrap_or_default().to_owned();
        let known = given.iter().map(|(r, _)| r).find(|r| r.key_text() == text).cloned();
        let reader = match known {
            Some(reader) => reader,
            None if text == own => Reader::Age(text),
            None => Reader::parse(&text).map_err(|_| Error::NotAReader)?,
        };
        for group in groups {
            if member.envelopes.iter().all(|(number, _)| *number != group.number) {
                let hash = write_envelope(store, config, domain, &reader, member.role, group)?;
                member.envelopes.push((group.number, hash));
            }
        }
    }
    Ok(())
}

fn write_envelope(
    store: &Store,
    config: &Config,
    domain: &DomainKeys,
    reader: &Reader,
    role: Role,
    group: &GroupSecrets,
) -> Result<ObjectHash> {
    let mut group = group.clone();
    if role == Role::Collector {
        group.data = None;
    }
    let envelope = Envelope {
        repo: config.id,
        domain: domain.id,
        domain_secret: domain.secret.clone(),
        group,
    };
    let object = reader.seal(&envelope.encode());
    let hash = ObjectHash::of(&object);
    store.create(&names::envelope(&hash), &object, Durability::Durable)?;
    Ok(hash)
}

fn publish(store: &Store, config: &Config, roster: &Roster, owner: &Entropy) -> Result<ObjectHash> {
    let object = roster.seal(&config.id, &owner.owner().root);
    match store.create(&names::roster(roster.number), &object, Durability::Durable)? {
        Created::New => Ok(ObjectHash::of(&object)),
        Created::Exists => Err(Error::RosterChanged),
    }
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

fn check_pins(roster: &Roster, hash: ObjectHash, pins: Option<&Pins>) -> Result<()> {
    let Some(pins) = pins else { return Ok(()) };
    let changed =
        pins.roster == roster.number && pins.roster_hash.is_some_and(|pinned| pinned != hash);
    if roster.number < pins.roster || changed {
        return Err(Error::RolledBack { found: roster.number, pinned: pins.roster });
    }
    Ok(())
}

struct Keys {
    domain: DomainKeys,
    groups: Vec<GroupSecrets>,
}

/// Opens every envelope that a key at hand opens.
fn gather_keys(store: &Store, config: &Config, roster: &Roster, access: &Access) -> Result<Keys> {
    let mut identities = Identities::new();
    if let Some(owner) = &access.owner {
        identities.add_text(&owner.owner().identity(), None).map_err(|_| Error::NotAReader)?;
    }
    let mut domain = access.credential.as_ref().map(|c| c.domain.clone());
    let mut groups: Vec<GroupSecrets> = Vec::new();
    for source in [&identities, &access.identities] {
        open_envelopes(store, config, roster, source, &mut domain, &mut groups)?;
    }
    groups.sort_by_key(|g| g.number);
    match domain {
        Some(domain) => Ok(Keys { domain, groups }),
        None => Err(Error::NotAReader),
    }
}

fn open_envelopes(
    store: &Store,
    config: &Config,
    roster: &Roster,
    identities: &Identities,
    domain: &mut Option<DomainKeys>,
    groups: &mut Vec<GroupSecrets>,
) -> Result<()> {
    for member in roster.members.iter().filter(|m| matches!(m.role, Role::Reader | Role::Collector))
    {
        let Some(key) = member.key_text() else {
            continue;
        };
        for (number, hash) in &member.envelopes {
            let held = groups.iter().any(|g| g.number == *number && g.data.is_some());
            if held || !identities.knows(key) {
                continue;
            }
            let envelope = open_envelope(store, config, identities, key, hash)?;
            check_envelope(&envelope, config, roster, hash)?;
            *domain = Some(DomainKeys::new(envelope.domain, envelope.domain_secret));
            groups.push(envelope.group);
        }
    }
    Ok(())
}

fn open_envelope(
    store: &Store,
    config: &Config,
    identities: &Identities,
    key: &str,
    hash: &ObjectHash,
) -> Result<Envelope> {
    let name = names::envelope(hash);
    let opened = fetch::opened(store, &name, |object| hash.check(object));
    let (object, sound) = opened.map_err(|e| damaged_missing(&name, e.into()))?;
    sound.map_err(|damage| Error::damaged(name.clone(), damage))?;
    match identities.open(key, &object) {
        Some(Some(plain)) => {
            Envelope::decode(&plain, &config.id).map_err(|damage| Error::damaged(name, damage))
        }
        Some(None) if key == "scrypt" => Err(Error::WrongPassphrase { object: name }),
        _ => Err(Error::damaged(name, Damage::Seal)),
    }
}

/// The secrets in an envelope must be those of the roster's group: a stranger's envelope could otherwise divert what is written.
fn check_envelope(
    envelope: &Envelope,
    config: &Config,
    roster: &Roster,
    hash: &ObjectHash,
) -> Result<()> {
    let listed = roster.groups.iter().find(|g| g.number == envelope.group.number);
    let same_tree = listed.is_some_and(|g| g.tree == crate::keys::public_of(&envelope.group.tree));
    if same_tree && envelope.domain == config.domain {
        Ok(())
    } else {
        Err(Error::damaged(names::envelope(hash), Damage::KeyMismatch))
    }
}

/// Changes of membership. Each writes small objects only: envelopes and a roster.
impl Repository {
    fn owner_entropy(&self) -> Result<&Entropy> {
        self.owner.as_ref().ok_or(Error::OwnerOnly)
    }

    /// Publishes `change` of the roster in force; on a race, begins again from the newer roster.
    fn change_roster(&mut self, change: impl Fn(&Self, &mut Roster) -> Result<()>) -> Result<()> {
        self.needs_alone()?;
        loop {
            let owner = self.owner_entropy()?.clone();
            let (current, hash) = read_roster(&self.store, &self.config)?;
            let mut next = current;
            next.number += 1;
            next.previous = hash;
            next.created = now_secs();
            change(self, &mut next)?;
            match publish(&self.store, &self.config, &next, &owner) {
                Ok(hash) => {
                    self.roster = next;
                    self.roster_hash = hash;
                    return Ok(());
                }
                Err(Error::RosterChanged) => continue,
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds a writer; its credential is returned once and kept nowhere else.
    ///
    /// # Errors
    /// If the owner's keys are not held, or the store fails.
    pub fn enroll_writer(&mut self, label: &str, trust: Trust) -> Result<Credential> {
        let signing = SigningKey::random();
        self.change_roster(|repo, roster| {
            roster.members.push(writer_member(&repo.config, &repo.domain, &signing, label, trust));
            Ok(())
        })?;
        Ok(credential(&self.store, &self.config, &self.domain, &signing))
    }

    /// Uses a credential for writing from now on.
    pub fn set_writer(&mut self, credential: &Credential) {
        self.writer = Some(credential.signing.clone());
    }

    /// Adds a reader or collector, or gives a removed one access again: it can read everything that the owner can.
    ///
    /// # Errors
    /// If the owner's keys are not held, or the store fails.
    pub fn add_reader(&mut self, reader: &Reader, label: &str, role: Role) -> Result<MemberId> {
        let key = reader.key_text().as_bytes().to_vec();
        let id = Member::id_of(role, &key);
        self.change_roster(|repo, roster| {
            match roster.members.iter_mut().find(|m| m.id == id) {
                Some(member) => member.revoked = None,
                None => roster.members.push(Member::new(
                    role,
                    key.clone(),
                    label,
                    &repo.config.id,
                    &repo.domain,
                )),
            }
            repo.complete_envelopes(roster, &repo.groups)
        })?;
        Ok(id)
    }

    fn complete_envelopes(&self, roster: &mut Roster, groups: &[GroupSecrets]) -> Result<()> {
        let owner = self.owner_entropy()?;
        seal_envelopes(
            &self.store,
            &self.config,
            &self.domain,
            &mut roster.members,
            groups,
            owner,
            &[],
        )
    }

    /// Removes a member. A reader cannot read what is written after; what it could read before, it still can.
    /// A writer's later statements are invalid.
    ///
    /// # Errors
    /// If the owner's keys are not held, there is no such member, or the store fails.
    pub fn remove_member(&mut self, id: &MemberId) -> Result<()> {
        let heads = self.view()?.heads;
        let member = self.roster.member(id).ok_or_else(|| Error::NoMember { wanted: id.hex() })?;
        let reads = matches!(member.role, Role::Reader | Role::Collector);
        let from = if reads { 0 } else { heads.get(id).map_or(0, |head| head.saturating_add(1)) };
        self.change_roster(|_, roster| {
            for member in roster.members.iter_mut().filter(|m| m.id == *id) {
                member.revoked = Some(from);
            }
            Ok(())
        })?;
        if reads { self.rotate().map(|_| ()) } else { Ok(()) }
    }

    /// Makes a new reader group: what is written from now on is closed to former readers. Returns its number.
    ///
    /// # Errors
    /// If the owner's keys are not held, or the store fails.
    pub fn rotate(&mut self) -> Result<u64> {
        let group = std::cell::RefCell::new(None);
        self.change_roster(|repo, roster| {
            let number = roster.current_group().number + 1;
            let fresh = GroupSecrets::random(number);
            roster.groups.extend(fresh.public());
            repo.complete_envelopes(roster, std::slice::from_ref(&fresh))?;
            *group.borrow_mut() = Some(fresh);
            Ok(())
        })?;
        let mut groups = self.groups.as_ref().clone();
        groups.extend(group.into_inner());
        self.groups = Arc::new(groups);
        Ok(self.roster.current_group().number)
    }
}
