//! Envelopes: they carry the secrets of reader groups to whoever may read.

use nodekeep_store::{Durability, Store};

use super::Access;
use crate::config::Config;
use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::ObjectHash;
use crate::keys::{DomainKeys, Entropy, Envelope, GroupSecrets, Identities, Reader};
use crate::names;
use crate::roster::{Member, Role, Roster};
use crate::view::damaged_missing;

/// Writes the envelopes that readers and collectors lack for `groups`. `given` knows passphrases, which a roster does not.
pub(super) fn seal_envelopes(
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

pub(super) struct Keys {
    pub(super) domain: DomainKeys,
    pub(super) groups: Vec<GroupSecrets>,
}

/// Opens every envelope that a key at hand opens.
pub(super) fn gather_keys(
    store: &Store,
    config: &Config,
    roster: &Roster,
    access: &Access,
) -> Result<Keys> {
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
