//! Who belongs to a repository, and how that is changed.

use std::sync::Arc;

use nodekeep_store::{Created, Durability, Store};

use super::envelopes::seal_envelopes;
use super::{Repository, now_secs, read_roster};
use crate::config::Config;
use crate::crypto::SigningKey;
use crate::error::{Error, Result};
use crate::id::{MemberId, ObjectHash};
use crate::keys::{Credential, DomainKeys, Entropy, GroupSecrets, Reader};
use crate::names;
use crate::roster::{Member, Role, Roster, Trust};

pub(super) fn writer_member(
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

pub(super) fn credential(
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

pub(super) fn publish(
    store: &Store,
    config: &Config,
    roster: &Roster,
    owner: &Entropy,
) -> Result<ObjectHash> {
    let object = roster.seal(&config.id, &owner.owner().root);
    match store.create(&names::roster(roster.number), &object, Durability::Durable)? {
        Created::New => Ok(ObjectHash::of(&object)),
        Created::Exists => Err(Error::RosterChanged),
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
