//! What the fuzz targets call: each function hands bytes of a stranger to one parser, and must return.
//!
//! Signed and encrypted objects are signed and encrypted here first, with fixed keys: what protects a parser from strangers
//! does not protect it from a member of the roster, and would keep the fuzzer out.

pub mod axon;
mod minima;
pub mod nodes;

use std::io::{Read, Write};
use std::sync::Arc;

use nodekeep_repo::audit::Seen;
use nodekeep_repo::codec::{Decompressor, decode_unsized};
use nodekeep_repo::config::Config;
use nodekeep_repo::control::{
    Checkpoint, CollectionOutcome, Deletion, Doomed, Numbered, Outcome, Progress, Session,
};
use nodekeep_repo::crypto::{Gcm, Secret, SigningKey, hkdf};
use nodekeep_repo::frame::{self, Kind};
use nodekeep_repo::id::{DomainId, MemberId, ObjectHash, RepoId, SessionId};
use nodekeep_repo::index::{Index, Segment};
use nodekeep_repo::keys::{
    Credential, DomainKeys, Entropy, Envelope, GroupSecrets, Identities, Reader, unlock_text,
};
use nodekeep_repo::listing::Listing;
use nodekeep_repo::names;
use nodekeep_repo::pack::{Header, Layout, TRAILER_LEN, Table, open_table};
use nodekeep_repo::repository::{Pins, Repository};
use nodekeep_repo::roster::{Member, Role, Roster};
use nodekeep_repo::scrub::Record;
use nodekeep_repo::sessions::Sightings;
use nodekeep_repo::snapshot::Snapshot;
use nodekeep_repo::source::tar::TarSource;
use nodekeep_repo::source::{Directory, FileType, Source};
use nodekeep_repo::tree::Node;
use nodekeep_repo::wire::{Decoder, Encoder};
use nodekeep_store::{PortableHeader, Store};

pub use minima::{minima_archive, minima_backup, minima_frames, minima_mega, minima_wallet};

/// Fixed keys, and a roster that knows them.
struct World {
    repo: RepoId,
    domain: DomainKeys,
    root: SigningKey,
    keeper: SigningKey,
    writer: SigningKey,
    roster: Roster,
}

fn key(fill: u8) -> SigningKey {
    SigningKey::from_seed(Secret([fill; 32]))
}

impl World {
    fn new() -> Self {
        let repo = RepoId([9; 32]);
        let domain = DomainKeys::new(DomainId([3; 16]), Secret([4; 32]));
        let (root, keeper, writer) = (key(1), key(2), key(3));
        let member =
            |role, key: &SigningKey| Member::new(role, key.public().0.to_vec(), "", &repo, &domain);
        let members = vec![member(Role::Keeper, &keeper), member(Role::Writer, &writer)];
        let group = GroupSecrets { number: 1, tree: Secret([5; 32]), data: Some(Secret([6; 32])) };
        let groups = group.public().into_iter().collect();
        let roster = Roster { number: 1, previous: ObjectHash::NONE, created: 0, groups, members };
        Self { repo, domain, root, keeper, writer, roster }
    }

    fn writer_id(&self) -> MemberId {
        Member::id_of(Role::Writer, &self.writer.public().0)
    }

    fn signed(&self, kind: Kind, body: &[u8], by: &SigningKey) -> Vec<u8> {
        frame::seal(kind, Some(&self.repo), body, by)
    }
}

fn with_world(use_it: impl FnOnce(&World)) {
    thread_local! {
        static WORLD: World = World::new();
    }
    WORLD.with(use_it);
}

/// The configuration: as an object, and as a body that its root signed.
pub fn config(data: &[u8]) {
    let _ = Config::open(data);
    let _ = Config::open(&frame::seal(Kind::Config, None, data, &key(1)));
}

/// A roster, and the labels in it.
pub fn roster(data: &[u8]) {
    with_world(|w| {
        let _ = Roster::open(data, &w.repo, w.root.public(), 1);
        let object = w.signed(Kind::Roster, data, &w.root);
        let Ok(roster) = Roster::open(&object, &w.repo, w.root.public(), 1) else {
            return;
        };
        for member in &roster.members {
            let _ = (member.label(&w.repo, &w.domain), member.key_text(), member.public());
        }
        let _ = (roster.current_group(), roster.active_readers().count());
        assert_eq!(
            Roster::open(&roster.seal(&w.repo, &w.root), &w.repo, w.root.public(), 1),
            Ok(roster)
        );
    });
}

/// Every other control object. The first byte says which.
pub fn control(data: &[u8]) {
    let Some((which, body)) = data.split_first() else {
        return;
    };
    with_world(|w| {
        let (repo, roster) = (&w.repo, &w.roster);
        let place = |role| names::InGeneration {
            generation: 0,
            member: w.writer_id(),
            session: SessionId([0; 16]),
            role,
        };
        let kept = |kind| w.signed(kind, body, &w.keeper);
        let written = |kind| w.signed(kind, body, &w.writer);
        let _ = match which % 8 {
            _ if *which == u8::MAX => Record::open(&kept(Kind::Scrub), 1, repo, roster).is_ok(),
            0 => Session::open(&written(Kind::Session), &place(names::Role::Session), repo, roster)
                .is_ok(),
            1 => Progress::open(
                &written(Kind::Progress),
                &place(names::Role::Progress(0)),
                repo,
                roster,
            )
            .is_ok(),
            2 => Outcome::open(&written(Kind::Outcome), &place(names::Role::Outcome), repo, roster)
                .is_ok(),
            3 => Outcome::open_folded(&written(Kind::Outcome), repo, roster).is_ok(),
            4 => Deletion::open(&kept(Kind::Deletion), None, repo, roster).is_ok(),
            5 => Checkpoint::open(&kept(Kind::Checkpoint), 1, repo, roster).is_ok(),
            6 => Doomed::open(&kept(Kind::Doomed), 1, repo, roster).is_ok(),
            _ => CollectionOutcome::open(&kept(Kind::CollectionOutcome), 1, repo, roster).is_ok(),
        };
        let _ = frame::open(Kind::Outcome, Some(repo), data);
    });
}

/// An index segment: its plaintext, sealed by a writer or (by the first byte) a keeper, and what it adds to an index.
pub fn segment(data: &[u8]) {
    let Some((which, plain)) = data.split_first() else {
        return;
    };
    with_world(|w| {
        let salt = [7; 32];
        let sealed = Gcm::new(&hkdf(&w.domain.index.0, &salt, "nodekeep/v1/index-segment"))
            .seal(0, &w.repo.0, plain);
        let body = [w.domain.id.0.as_slice(), &salt, &sealed].concat();
        let signer = if which % 2 == 0 { &w.writer } else { &w.keeper };
        let open =
            |object: &[u8]| Segment::open(object, &w.writer_id(), &w.repo, &w.domain, &w.roster);
        let _ = open(data);
        let _ = open(&w.signed(Kind::Segment, data, signer));
        let Ok(segment) = open(&w.signed(Kind::Segment, &body, signer)) else {
            return;
        };
        let mut index = Index::new();
        index.add(segment.clone());
        index.add(segment);
        index.sort();
        for entry in index.entries() {
            let _ = (index.pack(entry), index.stream(entry), index.places(&entry.id));
        }
    });
}

/// A pack: header, trailer, and a table that whoever knows the domain sealed.
pub fn pack(data: &[u8]) {
    let _ = Header::decode(data);
    let mut from = Decoder::new(data);
    let _ = Table::decode(&mut from, 2);
    let Some((trailer, rest)) = data.split_first_chunk::<TRAILER_LEN>() else {
        return;
    };
    let _ = Layout::decode(trailer, rest.len() as u64);
    with_world(|w| {
        let kind = nodekeep_repo::pack::PackKind::Data;
        let header = Header { kind, repo: w.repo, domain: w.domain.id, seals: Vec::new() }.encode();
        let salt = [7; 32];
        let sealed = Gcm::new(&hkdf(&w.domain.index.0, &salt, "nodekeep/v1/pack-table"))
            .seal(0, &header, data);
        let table = [salt.as_slice(), &sealed].concat();
        let layout = Layout {
            header_len: header.len() as u32,
            table_at: header.len() as u64,
            table_len: table.len() as u32,
        };
        let _ = open_table(&header, &table, &layout, &w.domain.index);
        let _ = open_table(data, data, &layout, &w.domain.index);
    });
}

/// A tree chunk. A leaf that decodes has one form only.
pub fn tree(data: &[u8]) {
    let again = match Node::decode(data) {
        Err(_) => return,
        Ok(Node::Split(parts)) => Node::encode_split(&parts),
        Ok(Node::Leaf(entries)) => {
            let encoded: Vec<Vec<u8>> = entries
                .iter()
                .map(|entry| {
                    let mut to = Encoder::new();
                    entry.encode(&mut to);
                    to.into_bytes()
                })
                .collect();
            Node::encode_leaf(encoded.iter().map(Vec::as_slice))
        }
    };
    assert_eq!(again, data);
}

/// A snapshot.
pub fn snapshot(data: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(data) {
        assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
    }
}

/// The plaintext of an envelope, and an age file in its place.
pub fn envelope(data: &[u8]) {
    let repo = RepoId([9; 32]);
    if let Ok(envelope) = Envelope::decode(data, &repo) {
        let _ = envelope.group.public();
        assert!(Envelope::decode(&envelope.encode(), &repo).is_ok());
    }
    let owner = Entropy::from_bytes([7; 32]).owner();
    let mut identities = Identities::new();
    if identities.add_text(&owner.identity(), None).is_ok() {
        let _ = identities.open(&owner.recipient(), data);
    }
}

/// A writer's credential, and what a client pins and remembers.
pub fn credential(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Pins::from_text(text);
    let _ = (Seen::from_text(text), Sightings::from_text(text));
    if let Ok(credential) = Credential::from_text(text) {
        assert!(Credential::from_text(&credential.to_text()).is_ok());
    }
}

/// Identities, recipients, recovery words, and a locked identity.
pub fn identity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Identities::new().add_text(text, None);
    let _ = (Reader::parse(text), Entropy::from_words(text));
    // scrypt's work is bounded, but not so that a fuzzer would want it.
    if !text.contains("scrypt") && !text.contains("c2NyeXB0") {
        let _ = unlock_text(text, "passphrase");
    }
}

/// A portable file: as a store, every object read, and as a repository.
pub fn portable(data: &[u8]) {
    let Ok(mut file) = tempfile::NamedTempFile::new() else {
        return;
    };
    if file.write_all(data).is_err() {
        return;
    }
    let _ = PortableHeader::read(file.path());
    let Ok(store) = Store::portable(file.path()) else {
        return;
    };
    for object in store.list("").unwrap_or_default() {
        let _ = store.get(&object.name);
    }
    let _ = Repository::config_of(&store);
}

/// A portable file whose header and directory agree with its footer, as anyone can make it.
pub fn portable_directory(data: &[u8]) {
    let header = [b"NKB1".as_slice(), &[1; 16], &[1, 0, 0]].concat();
    let Some((split, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let at = usize::from(u16::from_le_bytes(*split)) % (rest.len() + 1);
    let (records, directory) = rest.split_at(at);
    let hash = blake3::hash(&[&header, directory].concat());
    let directory_at = ((header.len() + records.len()) as u64).to_le_bytes();
    let directory_len = (directory.len() as u64).to_le_bytes();
    portable(
        &[&header, records, directory, &directory_at, &directory_len, hash.as_bytes(), b"NKBE"]
            .concat(),
    );
}

/// A tar archive whose headers have right checksums, everything in it listed and the beginning of each file read.
pub fn tar(data: &[u8]) {
    let mut archive = data.to_vec();
    for block in archive.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("archive");
    if std::fs::write(&path, &archive).is_err() {
        return;
    }
    let Ok(source) = TarSource::open(&path, folder.path()) else {
        return;
    };
    let directories =
        source.roots().unwrap_or_default().into_iter().filter_map(|root| root.directory);
    let mut queue: Vec<Arc<dyn Directory>> = directories.collect();
    while let Some(directory) = queue.pop() {
        for item in directory.list().map(|listing| listing.items).unwrap_or_default() {
            assert!(!item.name.is_empty() && !item.name.contains(&b'/') && item.name != b"..");
            let _ = directory.details(&item);
            match item.stat.file_type {
                FileType::Directory => queue.extend(directory.enter(&item.name)),
                FileType::File => read_some(&*directory, &item.name, item.stat.size),
                _ => (),
            }
        }
    }
}

fn read_some(directory: &dyn Directory, name: &[u8], size: u64) {
    let Ok(mut content) = directory.open(name) else {
        return;
    };
    let _ = content.extents(size);
    let _ = content.take(1 << 16).read_to_end(&mut Vec::new());
}

/// The codec. The first two bytes are the raw length that is claimed.
pub fn codec(data: &[u8]) {
    let Some((len, coded)) = data.split_first_chunk::<2>() else {
        return;
    };
    let raw_len = usize::from(u16::from_le_bytes(*len));
    let mut out = Vec::new();
    if Decompressor::new().decode(coded, raw_len, &mut out).is_ok() {
        assert_eq!(out.len(), raw_len);
    }
    if let Ok(out) = decode_unsized(coded, 1 << 20) {
        assert!(out.len() <= 1 << 20);
    }
}

/// Names of objects: one that is read is spelled as it would be made.
pub fn object_names(data: &[u8]) {
    if let Some(listing) = Listing::from_bytes(data) {
        assert_eq!(Listing::from_bytes(listing.to_text().as_bytes()), Some(listing));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some((writer, kind, id)) = names::parse_pack(text) {
        assert_eq!(names::pack(&writer, kind, &id), text);
    }
    if let Some((writer, hash)) = names::parse_segment(text) {
        assert_eq!(names::segment(&writer, &hash), text);
    }
    if let Some(place) = names::parse_in_generation(text) {
        let (generation, member, session) = (place.generation, place.member, place.session);
        let made = match place.role {
            names::Role::Session => names::session(generation, &member, &session),
            names::Role::Progress(k) => names::progress(generation, &member, &session, k),
            names::Role::Outcome => names::outcome(generation, &member, &session),
            names::Role::Deleted => names::deletion(generation, &member, &session),
        };
        assert_eq!(made, text);
    }
}
