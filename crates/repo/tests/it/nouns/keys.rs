//! Seals, envelopes, identities and credentials.

use std::path::Path;

use nodekeep_repo::crypto::Secret;
use nodekeep_repo::error::Damage;
use nodekeep_repo::id::{DomainId, RepoId, from_hex, to_hex};
use nodekeep_repo::keys::{
    Credential, CredentialError, DomainKeys, Entropy, Envelope, GroupSecrets, Identities, Purpose,
    Reader, ReaderError, Seal, lock_text, public_of, unlock_text,
};
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::wire::{Decoder, Encoder};
use proptest::prelude::*;

use super::{key, world};

fn test_key(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/keys");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn encoded(seal: &Seal) -> Vec<u8> {
    let mut to = Encoder::new();
    seal.encode(&mut to);
    to.into_bytes()
}

fn decoded(bytes: &[u8]) -> Option<Seal> {
    let mut from = Decoder::new(bytes);
    let seal = Seal::decode(&mut from).ok()?;
    from.end().ok().map(|()| seal)
}

#[test]
fn a_seal_opens_for_its_group_and_purpose() {
    let w = world();
    for purpose in [Purpose::Data, Purpose::Tree] {
        let seal = w.seal(1, purpose);
        let opened = seal.open(&w.repo, std::slice::from_ref(&w.group)).unwrap().unwrap();
        assert_eq!((opened.id, opened.secret), (w.content(1).id, w.content(1).secret));
        assert!(encoded(&seal).len() >= Seal::MIN_LEN);
        super::batter(&encoded(&seal), |bytes| decoded(bytes).is_some());
        assert_eq!(decoded(&encoded(&seal)), Some(seal));
    }
}

#[test]
fn a_seal_does_not_open_for_others() {
    let w = world();
    let seal = w.seal(1, Purpose::Data);
    let group = |number, fill| GroupSecrets {
        number,
        tree: Secret([fill; 32]),
        data: Some(Secret([fill; 32])),
    };
    let open =
        |seal: &Seal, groups: &[GroupSecrets]| seal.open(&w.repo, groups).map(|key| key.is_some());
    assert_eq!(open(&seal, &[]), Ok(false));
    assert_eq!(open(&seal, &[group(2, 6)]), Ok(false), "another group's number");
    assert_eq!(open(&seal, &[group(1, 99)]), Err(Damage::Seal), "another group's secrets");
    let collector = GroupSecrets { data: None, ..w.group.clone() };
    assert_eq!(open(&seal, std::slice::from_ref(&collector)), Ok(false));
    assert_eq!(open(&w.seal(1, Purpose::Tree), &[collector]), Ok(true));
    let purposes_swapped = Seal { purpose: Purpose::Tree, ..seal.clone() };
    assert_eq!(open(&purposes_swapped, std::slice::from_ref(&w.group)), Err(Damage::Seal));
}

#[test]
fn a_seal_holds_the_key_it_names_and_no_other() {
    let w = world();
    let (one, two) = (w.seal(1, Purpose::Data), w.seal(2, Purpose::Data));
    let groups = std::slice::from_ref(&w.group);
    let swapped = Seal { sealed: two.sealed, ..one.clone() };
    assert_eq!(swapped.open(&w.repo, groups).unwrap_err(), Damage::KeyMismatch);
    assert_eq!(
        one.open(&RepoId([0; 32]), groups).unwrap_err(),
        Damage::KeyMismatch,
        "another repository's id"
    );
    let short =
        Reader::parse(&Entropy::from_bytes([7; 32]).owner().recipient()).unwrap().seal(b"short");
    let owner_group =
        GroupSecrets { number: 1, tree: w.owner.age.clone(), data: Some(w.owner.age.clone()) };
    let short = Seal { sealed: short, ..one.clone() };
    assert_eq!(
        short.open(&w.repo, &[owner_group]).unwrap_err(),
        Damage::Seal,
        "a key of five bytes"
    );
    for at in (0..one.sealed.len()).step_by(3) {
        let mut damaged = one.clone();
        damaged.sealed[at] ^= 1;
        assert_eq!(damaged.open(&w.repo, groups).unwrap_err(), Damage::Seal, "byte {at}");
    }
}

fn envelope(with_data: bool) -> Envelope {
    let w = world();
    let group = if with_data { w.group } else { GroupSecrets { data: None, ..w.group } };
    Envelope { repo: w.repo, domain: w.domain.id, domain_secret: w.domain.secret, group }
}

#[test]
fn an_envelope_carries_its_keys_to_one_repository() {
    let repo = world().repo;
    for with_data in [true, false] {
        let plain = envelope(with_data).encode();
        let read = Envelope::decode(&plain, &repo).unwrap();
        assert_eq!(*read.encode(), *plain);
        assert_eq!(read.group.data.is_some(), with_data);
        assert_eq!(read.group.public().is_some(), with_data);
        assert_eq!(
            Envelope::decode(&plain, &RepoId([0; 32])).unwrap_err(),
            Damage::OtherRepository
        );
        super::batter(&plain, |bytes| Envelope::decode(bytes, &repo).is_ok());
    }
}

#[test]
fn every_kind_of_reader_opens_its_envelope_and_no_other() {
    let owner = world().owner;
    let plain = envelope(true).encode();
    let readers: [(&str, String, Option<&str>); 4] = [
        (&owner.recipient(), owner.identity().to_string(), None),
        (&test_key("ed25519.pub"), test_key("ed25519"), None),
        (&test_key("rsa.pub"), test_key("rsa"), None),
        (&test_key("ed25519-locked.pub"), test_key("ed25519-locked"), Some("test passphrase")),
    ]
    .map(|(public, private, phrase)| (public.to_owned().leak() as &str, private, phrase));
    for (mine, (public, private, phrase)) in readers.iter().enumerate() {
        let reader = Reader::parse(public).unwrap();
        let sealed = reader.seal(&plain);
        let mut identities = Identities::new();
        identities.add_text(private, *phrase).unwrap();
        assert!(identities.knows(reader.key_text()));
        assert_eq!(*identities.open(reader.key_text(), &sealed).unwrap().unwrap(), *plain);
        assert!(
            identities.open(reader.key_text(), &sealed[..sealed.len() - 1]).unwrap().is_none(),
            "cut"
        );
        for (_, (other, _, _)) in readers.iter().enumerate().filter(|(at, _)| *at != mine) {
            let other = Reader::parse(other).unwrap();
            assert!(!identities.knows(other.key_text()));
            assert!(identities.open(other.key_text(), &sealed).is_none());
            let foreign = other.seal(&plain);
            assert!(
                identities.open(reader.key_text(), &foreign).unwrap().is_none(),
                "sealed to someone else"
            );
        }
    }
}

#[test]
fn a_passphrase_opens_what_it_sealed() {
    let reader = Reader::Passphrase(zeroize::Zeroizing::new("correct horse".to_owned()));
    let sealed = reader.seal(b"secrets");
    let mut right = Identities::new();
    right.add_passphrase("correct horse");
    assert_eq!(**right.open("scrypt", &sealed).unwrap().unwrap(), *b"secrets");
    let mut wrong = Identities::new();
    wrong.add_passphrase("incorrect horse");
    assert!(wrong.open("scrypt", &sealed).unwrap().is_none());
    assert!(Identities::new().is_empty() && Identities::new().open("scrypt", &sealed).is_none());
    assert_eq!(format!("{right:?}"), "Identities(1)");
}

#[test]
fn a_locked_text_opens_with_its_passphrase() {
    let locked = lock_text("the text", "phrase");
    assert!(locked.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    assert_eq!(unlock_text(&locked, "phrase").unwrap().as_str(), "the text");
    assert!(unlock_text(&locked, "other").is_none());
    assert!(unlock_text(&locked.replacen('A', "B", 9), "phrase").is_none());
    assert!(unlock_text("", "phrase").is_none());
}

#[test]
fn readers_that_cannot_be_sealed_to_are_refused() {
    let parse = |text: &str| Reader::parse(text).unwrap_err();
    assert!(matches!(parse(&test_key("ecdsa.pub")), ReaderError::Unknown(_)));
    assert!(matches!(parse("ssh-dss AAAAB3NzaC1kc3MAAACBAP"), ReaderError::UnsupportedSsh(_)));
    assert!(matches!(parse("ssh-ed25519 AAAA"), ReaderError::UnsupportedSsh(_)));
    assert!(matches!(parse("age1qqqq"), ReaderError::Unknown(_)));
    assert!(matches!(parse(""), ReaderError::Unknown(_)));
    let mut recipient = world().owner.recipient();
    recipient.replace_range(10..11, if &recipient[10..11] == "q" { "p" } else { "q" });
    assert!(matches!(parse(&recipient), ReaderError::Unknown(_)), "a mistyped recipient");
    let commented = Reader::parse(&format!("  {}\n", test_key("ed25519.pub"))).unwrap();
    assert_eq!(commented.key_text().split(' ').count(), 2, "the comment of an SSH key is dropped");
}

#[test]
fn identities_that_are_none_are_refused() {
    let add = |text: &str, phrase| Identities::new().add_text(text, phrase);
    let locked = test_key("ed25519-locked");
    let bad: [(&str, Option<&str>); 6] = [
        ("", None),
        ("AGE-SECRET-KEY-1QQQQ", None),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", None),
        (&test_key("ed25519.pub"), None),
        (&locked, None),
        (&locked, Some("wrong")),
    ];
    for (text, phrase) in bad {
        assert_eq!(add(text, phrase), Err(ReaderError::Identity), "{text}");
    }
    let own = world().owner.identity();
    let mut two = Identities::new();
    let other = Entropy::from_bytes([1; 32]).owner();
    two.add_text(&format!("# a comment\n{}\n\n  {}\n", *own, *other.identity()), None).unwrap();
    assert!(two.knows(&other.recipient()) && two.knows(&world().owner.recipient()));
}

#[test]
fn public_keys_follow_from_secrets() {
    // RFC 7748, 6.1: Bob's pair.
    let secret =
        from_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").unwrap();
    let public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    assert_eq!(to_hex(&public_of(&Secret(secret))), public);
    assert_ne!(public_of(&Secret([1; 32])), public_of(&Secret([2; 32])));
    assert_eq!(public_of(&world().group.tree), world().group.public().unwrap().tree);
}

fn credential() -> Credential {
    let w = world();
    Credential {
        repo: w.repo,
        location: "/srv/a = b".to_owned(),
        signing: w.writer,
        domain: w.domain,
    }
}

#[test]
fn a_credential_is_its_text() {
    let text = credential().to_text();
    let read = Credential::from_text(&text).unwrap();
    assert_eq!((read.repo, read.location.as_str()), (world().repo, "/srv/a = b"));
    assert_eq!((read.signing.public(), read.domain.id), (key(8).public(), world().domain.id));
    assert_eq!(*read.to_text(), *text);
    assert!(!format!("{read:?}").contains("0808"), "secrets do not print");
}

#[test]
fn a_credential_names_the_line_that_is_wrong() {
    let text = credential().to_text();
    assert_eq!(Credential::from_text("").unwrap_err(), CredentialError::NotACredential);
    assert_eq!(
        Credential::from_text(&text.replace("WRITER-1", "WRITER-2")).unwrap_err(),
        CredentialError::NotACredential
    );
    for name in ["repository", "location", "seed", "domain", "secret"] {
        let missing = text.replace(&format!("\n{name} = "), &format!("\nx{name} = "));
        assert_eq!(Credential::from_text(&missing).unwrap_err(), CredentialError::Field(name));
    }
    for name in ["repository", "seed", "domain", "secret"] {
        let odd = text.replace(&format!("\n{name} = "), &format!("\n{name} = 0"));
        let error = Credential::from_text(&odd).unwrap_err();
        assert_eq!(error, CredentialError::Field(name));
        assert!(!error.to_string().contains("0808"), "never the content");
    }
}

#[test]
fn keys_of_a_domain_differ_from_each_other_and_from_other_domains() {
    let domain = |fill| DomainKeys::new(DomainId([0; 16]), Secret([fill; 32]));
    let keys = |d: &DomainKeys| {
        let ids = [PackKind::Data, PackKind::Tree].map(|kind| d.id_key(kind).0);
        let mut all = vec![ids[0], ids[1], d.file_key().0, d.name_key().0, d.index.0, d.labels.0];
        all.extend([d.chunk_id(PackKind::Data, b"x").0, d.chunk_id(PackKind::Tree, b"x").0]);
        all.push(*d.file_hasher().update(b"x").finalize().as_bytes());
        all
    };
    let mut all = [keys(&domain(1)), keys(&domain(2))].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 18);
    assert_eq!(domain(1).name_mark(b"x"), domain(1).name_mark(b"x"));
    assert_ne!(domain(1).chunking().gear, domain(2).chunking().gear);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_a_credential_or_an_error(text in "(NODEKEEP-WRITER-1\n)?(([a-z]{1,10}|seed|domain) ?= ?[0-9a-f]{0,70}\n){0,8}") {
        let _ = Credential::from_text(&text);
    }

    #[test]
    fn any_text_is_an_identity_or_an_error(text in "(-----BEGIN OPENSSH PRIVATE KEY-----\n|AGE-SECRET-KEY-1)?\\PC{0,80}") {
        let _ = (Identities::new().add_text(&text, Some("x")).is_ok(), Reader::parse(&text).is_ok());
    }
}
