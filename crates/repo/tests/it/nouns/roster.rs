//! The roster: members, labels, revocation, and who may sign it.

use nodekeep_repo::crypto::Secret;
use nodekeep_repo::error::Damage;
use nodekeep_repo::frame::{self, Kind};
use nodekeep_repo::id::{DomainId, ObjectHash, RepoId};
use nodekeep_repo::keys::{DomainKeys, GroupSecrets};
use nodekeep_repo::roster::{Member, Role, Roster, Trust};
use nodekeep_repo::wire::Encoder;

use super::{World, key, world};

/// A roster with every role and every optional part.
fn full(w: &World) -> Roster {
    let mut roster = w.roster.clone();
    roster.groups.extend(GroupSecrets { number: 5, ..w.group.clone() }.public());
    let recipient = w.owner.recipient().into_bytes();
    let mut reader = Member::new(Role::Reader, recipient.clone(), "owner", &w.repo, &w.domain);
    reader.envelopes = vec![(1, ObjectHash([1; 32])), (5, ObjectHash([2; 32]))];
    let mut collector = Member::new(Role::Collector, recipient, "", &w.repo, &w.domain);
    collector.revoked = Some(0);
    let mut writer = Member::new(Role::Writer, vec![1; 32], "näme", &w.repo, &w.domain);
    (writer.trust, writer.revoked) = (Trust::Own, Some(17));
    roster.members.extend([reader, collector, writer]);
    roster
}

#[test]
fn a_roster_is_its_object() {
    let w = world();
    for roster in [w.roster.clone(), full(&w)] {
        let object = roster.seal(&w.repo, &w.owner.root);
        let open = |bytes: &[u8]| Roster::open(bytes, &w.repo, w.owner.root.public(), 1);
        assert_eq!(open(&object).unwrap(), roster);
        super::batter_body(Kind::Roster, Some(&w.repo), &object, &w.owner.root, |bytes| {
            open(bytes).is_ok()
        });
    }
}

#[test]
fn only_the_root_signs_and_only_under_its_number() {
    let w = world();
    let object = w.roster.seal(&w.repo, &w.owner.root);
    let root = w.owner.root.public();
    assert_eq!(Roster::open(&object, &w.repo, root, 2).unwrap_err(), Damage::Name);
    assert_eq!(Roster::open(&object, &w.repo, key(1).public(), 1).unwrap_err(), Damage::Signer);
    assert_eq!(Roster::open(&object, &RepoId([0; 32]), root, 1).unwrap_err(), Damage::Signature);
    for other in [&w.owner.keeper, &w.writer] {
        let forged = w.roster.seal(&w.repo, other);
        assert_eq!(Roster::open(&forged, &w.repo, root, 1).unwrap_err(), Damage::Signer);
    }
}

#[test]
fn groups_ascend_and_one_is_there() {
    let w = world();
    let root = w.owner.root.public();
    let group = |number| GroupSecrets { number, ..w.group.clone() }.public().unwrap();
    for (numbers, good) in [
        (vec![1], true),
        (vec![1, 2, 9], true),
        (vec![], false),
        (vec![2, 1], false),
        (vec![1, 1], false),
    ] {
        let groups: Vec<_> = numbers.iter().map(|n| group(*n)).collect();
        let roster = Roster { groups, ..w.roster.clone() };
        let opened = Roster::open(&roster.seal(&w.repo, &w.owner.root), &w.repo, root, 1);
        assert_eq!(opened.is_ok(), good, "{numbers:?}");
        if let Ok(roster) = opened {
            assert_eq!(Some(roster.current_group().number), numbers.last().copied());
        }
    }
}

#[test]
fn a_members_id_follows_from_role_and_key() {
    let w = world();
    let id = Member::id_of(Role::Writer, &[1; 32]);
    let bytes = [[3, 32].as_slice(), &[1; 32]].concat();
    assert_eq!(id.0, blake3::hash(&bytes).as_bytes()[..16]);
    assert_ne!(id, Member::id_of(Role::Keeper, &[1; 32]));
    let mut roster = w.roster.clone();
    roster.members[1].id = roster.members[0].id;
    let opened =
        Roster::open(&roster.seal(&w.repo, &w.owner.root), &w.repo, w.owner.root.public(), 1);
    assert!(
        matches!(opened, Err(Damage::Malformed(m)) if m.what == "a member's id does not follow from its key")
    );
}

#[test]
fn unknown_roles_and_trusts_are_refused() {
    let w = world();
    for (role, trust, good) in
        [(3, 1, true), (3, 0, true), (0, 1, false), (5, 1, false), (3, 2, false)]
    {
        let mut id = Encoder::new();
        id.u8(role).blob(&[1; 32]);
        let mut to = Encoder::new();
        to.varint(1).raw(&[0; 32]).zint(0).u8(1).varint(1).raw(&[0; 64]).u8(1);
        to.raw(&blake3::hash(id.as_bytes()).as_bytes()[..16])
            .u8(role)
            .blob(&[1; 32])
            .u8(0)
            .u8(trust)
            .u8(0)
            .blob(b"")
            .no_ext();
        let object = frame::seal(Kind::Roster, Some(&w.repo), to.as_bytes(), &w.owner.root);
        let opened = Roster::open(&object, &w.repo, w.owner.root.public(), 1);
        assert_eq!(opened.is_ok(), good, "role {role}, trust {trust}");
    }
}

#[test]
fn labels_open_for_the_domain_and_this_member_only() {
    let w = world();
    let member = &w.roster.members[1];
    assert_eq!(member.label(&w.repo, &w.domain).as_deref(), Some("node 1"));
    let other = DomainKeys::new(DomainId([3; 16]), Secret([40; 32]));
    assert_eq!(member.label(&w.repo, &other), None);
    assert_eq!(member.label(&RepoId([0; 32]), &w.domain), None);
    let moved = Member { label: member.label.clone(), ..w.roster.members[0].clone() };
    assert_eq!(moved.label(&w.repo, &w.domain), None, "a label of another member");
    for label in [vec![], vec![0; 11], vec![0; 12], vec![0; 50]] {
        assert_eq!(Member { label, ..member.clone() }.label(&w.repo, &w.domain), None);
    }
}

#[test]
fn members_are_found_by_id_and_by_key_in_their_role() {
    let w = world();
    let roster = full(&w);
    assert_eq!(roster.member(&w.writer_id()).unwrap().public(), Some(w.writer.public()));
    assert!(roster.signer(Role::Writer, &w.writer.public()).is_some());
    assert!(roster.signer(Role::Keeper, &w.writer.public()).is_none());
    assert!(roster.member(&nodekeep_repo::id::MemberId([0; 16])).is_none());
    let readers: Vec<_> = roster.active_readers().map(|m| m.role).collect();
    assert_eq!(readers, [Role::Reader], "the collector is removed, writers and keepers are none");
    let reader = roster.members.iter().find(|m| m.role == Role::Reader).unwrap();
    assert_eq!((reader.key_text(), reader.public()), (Some(w.owner.recipient().as_str()), None));
}

#[test]
fn revocation_counts_from_its_sequence() {
    let w = world();
    let mut member = w.roster.members[1].clone();
    assert!(member.valid_at(0) && member.valid_at(u64::MAX));
    member.revoked = Some(5);
    assert_eq!([0, 4, 5, 6].map(|s| member.valid_at(s)), [true, true, false, false]);
    member.revoked = Some(0);
    assert!(!member.valid_at(0));
}

#[test]
fn roles_have_words() {
    let words = [Role::Reader, Role::Collector, Role::Writer, Role::Keeper].map(Role::word);
    assert_eq!(words, ["reader", "collector", "writer", "keeper"]);
}
