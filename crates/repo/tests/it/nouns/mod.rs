//! Every noun of the format: its round trip, its bounds, and its decoder against damage and malice.

mod chunker;
mod codec;
mod control;
mod crypto;
mod frame;
mod index;
mod keys;
mod names;
mod pack;
mod roster;
mod snapshot;
mod tree;
mod wire;
mod words;

pub use chunker::cuts;

use nodekeep_repo::crypto::{Secret, SigningKey};
use nodekeep_repo::frame::Kind;
use nodekeep_repo::id::{DomainId, ObjectHash, RepoId, SessionId};
use nodekeep_repo::keys::{
    ContentKey, DomainKeys, Entropy, GroupSecrets, OwnerKeys, Purpose, Seal,
};
use nodekeep_repo::roster::{Member, Role, Roster};
use nodekeep_repo::wire::Encoder;

/// Fixed keys and a roster made of them.
pub struct World {
    pub owner: OwnerKeys,
    pub repo: RepoId,
    pub domain: DomainKeys,
    pub group: GroupSecrets,
    pub writer: SigningKey,
    pub roster: Roster,
}

pub fn key(fill: u8) -> SigningKey {
    SigningKey::from_seed(Secret([fill; 32]))
}

pub fn world() -> World {
    let owner = Entropy::from_bytes([7; 32]).owner();
    let repo = RepoId([9; 32]);
    let domain = DomainKeys::new(DomainId([3; 16]), Secret([4; 32]));
    let group = GroupSecrets { number: 1, tree: Secret([5; 32]), data: Some(Secret([6; 32])) };
    let writer = key(8);
    let member = |role, key: &SigningKey, label| {
        Member::new(role, key.public().0.to_vec(), label, &repo, &domain)
    };
    let members =
        vec![member(Role::Keeper, &owner.keeper, "owner"), member(Role::Writer, &writer, "node 1")];
    let groups = group.public().into_iter().collect();
    let roster =
        Roster { number: 1, previous: ObjectHash::NONE, created: 1_700_000_000, groups, members };
    World { owner, repo, domain, group, writer, roster }
}

impl World {
    pub fn writer_id(&self) -> nodekeep_repo::id::MemberId {
        Member::id_of(Role::Writer, &self.writer.public().0)
    }

    pub fn keeper_id(&self) -> nodekeep_repo::id::MemberId {
        Member::id_of(Role::Keeper, &self.owner.keeper.public().0)
    }

    pub fn content(&self, fill: u8) -> ContentKey {
        ContentKey::new(&self.repo, Secret([fill; 32]))
    }

    pub fn seal(&self, fill: u8, purpose: Purpose) -> Seal {
        Seal::close(&self.content(fill), purpose, &self.group.public().unwrap())
    }
}

pub fn session_id(fill: u8) -> SessionId {
    SessionId([fill; 16])
}

/// A small generator of fixed bytes: xorshift64*.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Numbers that no short input can count up to.
const HUGE: [u64; 5] = [1 << 20, u32::MAX as u64, 1 << 40, 1 << 63, u64::MAX];

/// Everything that a stranger may do to an encoding: cut it, lengthen it, change a byte, put a huge number anywhere.
pub fn damaged(valid: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for at in 0..valid.len() {
        for change in [1, 0x7f, 0x80, 0xff] {
            let mut bytes = valid.to_vec();
            bytes[at] ^= change;
            out.push(bytes);
        }
        let number = HUGE[at % HUGE.len()];
        let huge = Encoder::new().varint(number).as_bytes().to_vec();
        out.push([&valid[..at], &huge, &valid[at + 1..]].concat());
    }
    out.extend((0..64).map(|seed| noise(seed * 2 + 1, valid.len().min(200))));
    out
}

/// A decoder must refuse each truncation and each lengthening, and survive everything else.
pub fn batter(valid: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(valid), "the valid encoding is accepted");
    for len in 0..valid.len() {
        assert!(!accepts(&valid[..len]), "cut to {len} of {} bytes", valid.len());
    }
    assert!(!accepts(&[valid, &[0]].concat()), "a byte more");
    for bytes in damaged(valid) {
        accepts(&bytes);
    }
}

/// As [`batter`] for the body of a signed object, signed again each time: the signature must not be what protects the decoder.
pub fn batter_body(
    kind: Kind,
    repo: Option<&RepoId>,
    object: &[u8],
    key: &SigningKey,
    accepts: impl Fn(&[u8]) -> bool,
) {
    let body = nodekeep_repo::frame::open(kind, repo, object).unwrap().body;
    batter(body, |body| accepts(&nodekeep_repo::frame::seal(kind, repo, body, key)));
    for at in 0..object.len() {
        let mut bytes = object.to_vec();
        bytes[at] ^= 1;
        assert!(!accepts(&bytes), "byte {at} of a signed object changed");
    }
}
