//! A repository is made.

use std::sync::Arc;

use nodekeep_store::{Created, Durability, Store};

use super::envelopes::seal_envelopes;
use super::members::{credential, publish, writer_member};
use super::{Repository, now_secs, read_config};
use crate::config::Config;
use crate::crypto::{Secret, SigningKey, random};
use crate::error::{Error, Result};
use crate::id::{DomainId, ObjectHash};
use crate::keys::{Credential, DomainKeys, Entropy, GroupSecrets, Reader};
use crate::names;
use crate::roster::{Member, Role, Roster, Trust};

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

impl Repository {
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
