//! Index segments, and the index that they add up to.

use nodekeep_repo::control::PackRef;
use nodekeep_repo::crypto::{Gcm, Secret, hkdf};
use nodekeep_repo::error::Damage;
use nodekeep_repo::frame::{self, Kind};
use nodekeep_repo::id::{ChunkId, DomainId, MemberId, PackId, RepoId};
use nodekeep_repo::index::{Index, PackInfo, Segment};
use nodekeep_repo::keys::{DomainKeys, Purpose};
use nodekeep_repo::pack::{PackEntry, PackKind, Stream, Table};
use proptest::prelude::*;

use super::{World, key, world};

fn entry(id: u8, stored: u32) -> PackEntry {
    PackEntry { id: ChunkId([id; 32]), stored, raw: 5, stream: 0, counter: u32::from(id) }
}

fn table(seal: u32, entries: Vec<PackEntry>) -> Table {
    Table { streams: vec![Stream { seal, salt: [seal as u8; 32] }], entries }
}

fn pack(writer: MemberId, id: u8) -> PackRef {
    PackRef { writer, kind: PackKind::Data, id: PackId([id; 32]) }
}

fn segment(w: &World) -> Segment {
    let mut segment = Segment::default();
    let (one, two) = (w.seal(1, Purpose::Data), w.seal(2, Purpose::Data));
    segment.add(
        pack(w.writer_id(), 1),
        1000,
        100,
        table(0, vec![entry(1, 30), entry(2, 40)]),
        std::slice::from_ref(&one),
    );
    segment.add(
        pack(w.writer_id(), 2),
        1000,
        200,
        table(1, vec![entry(3, 50), entry(1, 60)]),
        &[two.clone(), one.clone()],
    );
    segment.add(pack(w.writer_id(), 3), 1000, 300, table(0, vec![entry(4, 70)]), &[two]);
    segment
}

#[test]
fn a_segment_is_its_object() {
    let w = world();
    let segment = segment(&w);
    assert_eq!((segment.seals.len(), segment.packs.len(), segment.entries()), (2, 3, 5));
    let named: Vec<u32> = segment.packs.iter().map(|p| p.table.streams[0].seal).collect();
    assert_eq!(named, [0, 0, 1], "streams name the segment's seals");
    let object = segment.seal(&w.repo, &w.domain, &w.writer);
    let open = |bytes: &[u8]| Segment::open(bytes, &w.writer_id(), &w.repo, &w.domain, &w.roster);
    assert_eq!(open(&object).unwrap(), segment);
    for at in (0..object.len()).step_by(5) {
        let mut bytes = object.clone();
        bytes[at] ^= 1;
        assert!(open(&bytes).is_err(), "byte {at}");
    }
}

/// An object around any plaintext, as a writer could make it.
fn object_of(w: &World, plain: &[u8]) -> Vec<u8> {
    let salt = [9; 32];
    let sealed = Gcm::new(&hkdf(&w.domain.index.0, &salt, "nodekeep/v1/index-segment"))
        .seal(0, &w.repo.0, plain);
    let body = [w.domain.id.0.as_slice(), &salt, &sealed].concat();
    frame::seal(Kind::Segment, Some(&w.repo), &body, &w.writer)
}

fn plaintext(w: &World, segment: &Segment) -> Vec<u8> {
    let object = segment.seal(&w.repo, &w.domain, &w.writer);
    let body = frame::open(Kind::Segment, Some(&w.repo), &object).unwrap().body.to_vec();
    let mut sealed = body[48..].to_vec();
    let key = hkdf(&w.domain.index.0, &body[16..48], "nodekeep/v1/index-segment");
    Gcm::new(&key).open(0, &w.repo.0, &mut sealed).unwrap().to_vec()
}

#[test]
fn a_writer_cannot_make_a_segment_that_harms() {
    let w = world();
    let mut small = Segment::default();
    small.add(
        pack(w.writer_id(), 1),
        1000,
        100,
        table(0, vec![entry(1, 30)]),
        &[w.seal(1, Purpose::Data)],
    );
    let open = |plain: &[u8]| {
        Segment::open(&object_of(&w, plain), &w.writer_id(), &w.repo, &w.domain, &w.roster)
    };
    super::batter(&plaintext(&w, &small), |plain| open(plain).is_ok());
    for (size, header_len, good) in [
        (130, 100, true),
        (129, 100, false),
        (u64::from(u32::MAX), 100, true),
        (u64::from(u32::MAX) + 1, 100, false),
        (u64::MAX, 100, false),
        (100, u32::MAX, false),
    ] {
        let mut odd = small.clone();
        (odd.packs[0].size, odd.packs[0].header_len) = (size, header_len);
        assert_eq!(open(&plaintext(&w, &odd)).is_ok(), good, "size {size}, header {header_len}");
    }
    let mut stray = small.clone();
    stray.packs[0].table.streams[0].seal = 1;
    assert!(matches!(open(&plaintext(&w, &stray)), Err(Damage::Malformed(_))));
}

#[test]
fn who_may_sign_a_segment() {
    let w = world();
    let own = segment(&w);
    let foreign = Segment {
        packs: vec![PackInfo { pack: pack(w.keeper_id(), 1), ..own.packs[0].clone() }],
        ..own.clone()
    };
    let open = |segment: &Segment, signer: &nodekeep_repo::crypto::SigningKey, prefix| {
        let object = segment.seal(&w.repo, &w.domain, signer);
        Segment::open(&object, &prefix, &w.repo, &w.domain, &w.roster).err()
    };
    assert_eq!(open(&own, &w.writer, w.writer_id()), None);
    assert_eq!(
        open(&own, &w.writer, w.keeper_id()),
        Some(Damage::Signer),
        "under another's prefix"
    );
    assert_eq!(
        open(&foreign, &w.writer, w.writer_id()),
        Some(Damage::Signer),
        "about another's packs"
    );
    assert_eq!(open(&own, &w.owner.keeper, w.writer_id()), None);
    assert_eq!(open(&foreign, &w.owner.keeper, w.keeper_id()), None, "a keeper speaks of any pack");
    assert_eq!(open(&own, &key(99), w.writer_id()), Some(Damage::Signer));
    assert_eq!(open(&own, &w.owner.root, w.writer_id()), Some(Damage::Signer));
}

#[test]
fn a_segment_belongs_to_its_domain_and_repository() {
    let w = world();
    let object = segment(&w).seal(&w.repo, &w.domain, &w.writer);
    let open = |repo: &RepoId, domain: &DomainKeys| {
        Segment::open(&object, &w.writer_id(), repo, domain, &w.roster).unwrap_err()
    };
    assert_eq!(
        open(&w.repo, &DomainKeys::new(DomainId([0; 16]), w.domain.secret.clone())),
        Damage::OtherRepository
    );
    assert_eq!(open(&w.repo, &DomainKeys::new(w.domain.id, Secret([0; 32]))), Damage::NotAuthentic);
    assert_eq!(open(&RepoId([0; 32]), &w.domain), Damage::Signature);
}

#[test]
fn the_index_knows_every_place_of_a_chunk() {
    let w = world();
    let mut index = Index::new();
    let segment = segment(&w);
    index.add(segment.clone());
    index.add(segment.clone());
    let mut more = Segment::default();
    more.add(pack(w.keeper_id(), 4), 1000, 150, table(0, vec![entry(1, 80)]), &segment.seals[..1]);
    index.add(more);
    index.sort();
    assert_eq!(
        (index.packs.len(), index.seals.len(), index.entries().len()),
        (4, 2, 6),
        "what is known is passed over"
    );
    let places = |id: u8| -> Vec<(u32, u32, u32)> {
        index.places(&ChunkId([id; 32])).iter().map(|p| (p.pack, p.offset, p.stored)).collect()
    };
    assert_eq!(places(1), [(0, 100, 30), (1, 250, 60), (3, 150, 80)]);
    assert_eq!(places(2), [(0, 130, 40)]);
    assert_eq!(places(3), [(1, 200, 50)]);
    assert_eq!(places(4), [(2, 300, 70)]);
    assert_eq!(places(0), []);
    assert_eq!(places(9), []);
    let positions: Vec<_> =
        [0, 1, 2, 3, 4, 9].map(|id: u8| index.position(&ChunkId([id; 32]))).to_vec();
    assert_eq!(positions, [None, Some(0), Some(3), Some(4), Some(5), None]);
    let place = &index.places(&ChunkId([4; 32]))[0];
    assert_eq!(index.pack(place).pack, pack(w.writer_id(), 3));
    let (seal, salt) = index.stream(place);
    assert_eq!((seal.key, salt), (w.content(2).id, &[0; 32]));
    assert_eq!(index.pack_number(&PackId([4; 32])), Some(3));
    assert_eq!(index.pack_number(&PackId([5; 32])), None);
}

#[test]
fn an_empty_index_knows_nothing() {
    let mut index = Index::new();
    index.sort();
    assert_eq!(
        (index.places(&ChunkId([1; 32])), index.position(&ChunkId([1; 32]))),
        ([].as_slice(), None)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_agrees_with_a_list(packs in prop::collection::vec(prop::collection::vec((0u8..20, 17u32..1000), 0..12), 0..8)) {
        let w = world();
        let mut index = Index::new();
        let mut list = Vec::new();
        for (number, chunks) in packs.iter().enumerate() {
            let entries: Vec<_> = chunks.iter().map(|(id, stored)| entry(*id, *stored)).collect();
            let mut offset = 64;
            for e in &entries {
                list.push((e.id, number as u32, offset, e.stored));
                offset += e.stored;
            }
            let mut segment = Segment::default();
            segment.add(pack(w.writer_id(), number as u8), 1 << 20, 64, table(0, entries), &[w.seal(1, Purpose::Data)]);
            index.add(segment);
        }
        index.sort();
        for id in (0..20).map(|id| ChunkId([id; 32])) {
            let mut expected: Vec<_> = list.iter().filter(|p| p.0 == id).map(|p| (p.1, p.2, p.3)).collect();
            let mut found: Vec<_> = index.places(&id).iter().map(|p| (p.pack, p.offset, p.stored)).collect();
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected.clone());
            prop_assert_eq!(index.position(&id).is_some(), !expected.is_empty());
        }
    }
}
