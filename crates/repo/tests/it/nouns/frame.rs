//! The signed frame and the configuration.

use nodekeep_repo::config::Config;
use nodekeep_repo::error::Damage;
use nodekeep_repo::frame::{self, Kind};
use nodekeep_repo::id::{DomainId, RepoId};
use nodekeep_repo::wire::Encoder;

use super::key;

const KINDS: [Kind; 10] = [
    Kind::Config,
    Kind::Roster,
    Kind::Session,
    Kind::Progress,
    Kind::Outcome,
    Kind::Deletion,
    Kind::Checkpoint,
    Kind::Doomed,
    Kind::CollectionOutcome,
    Kind::Segment,
];

#[test]
fn a_frame_is_of_one_kind_and_one_repository() {
    let (ours, other) = (RepoId([1; 32]), RepoId([2; 32]));
    for kind in KINDS {
        let object = frame::seal(kind, Some(&ours), b"body", &key(1));
        let verified = frame::open(kind, Some(&ours), &object).unwrap();
        assert_eq!((verified.body, verified.signer), (b"body".as_slice(), key(1).public()));
        assert_eq!(frame::open(kind, Some(&other), &object).unwrap_err(), Damage::Signature);
        assert_eq!(frame::open(kind, None, &object).unwrap_err(), Damage::Signature);
        for wrong in KINDS.into_iter().filter(|k| *k != kind) {
            assert_eq!(frame::open(wrong, Some(&ours), &object).unwrap_err(), Damage::WrongKind);
            let mut relabelled = object.clone();
            relabelled[4] = wrong as u8;
            assert_eq!(
                frame::open(wrong, Some(&ours), &relabelled).unwrap_err(),
                Damage::Signature
            );
        }
    }
}

#[test]
fn a_newer_digit_is_a_newer_format() {
    let mut object = frame::seal(Kind::Roster, Some(&RepoId([1; 32])), b"body", &key(1));
    let open =
        |object: &[u8]| frame::open(Kind::Roster, Some(&RepoId([1; 32])), object).map(|_| ());
    for (digit, expected) in [
        (b'1', Ok(())),
        (b'2', Err(Damage::NewerFormat)),
        (b'9', Err(Damage::NewerFormat)),
        (b'0', Err(Damage::WrongKind)),
        (b'A', Err(Damage::WrongKind)),
    ] {
        object[3] = digit;
        assert_eq!(open(&object), expected, "{digit}");
    }
    object[..4].copy_from_slice(b"NKPK");
    assert_eq!(open(&object), Err(Damage::WrongKind));
}

#[test]
fn no_byte_of_a_frame_can_change() {
    let repo = RepoId([1; 32]);
    let object = frame::seal(Kind::Outcome, Some(&repo), b"some body", &key(1));
    super::batter(&object, |bytes| frame::open(Kind::Outcome, Some(&repo), bytes).is_ok());
    for at in 0..object.len() {
        let mut bytes = object.clone();
        bytes[at] ^= 0x20;
        assert!(frame::open(Kind::Outcome, Some(&repo), &bytes).is_err(), "byte {at}");
    }
}

#[test]
fn a_configuration_names_its_root_and_is_named_by_its_hash() {
    let domain = DomainId([5; 16]);
    let (config, object) = Config::create(&key(1), domain, 1 << 20, -3);
    assert_eq!(Config::open(&object).unwrap(), config);
    assert_eq!(config.id.0, *blake3::hash(&object).as_bytes());
    assert_eq!(
        (config.created, config.root, config.domain, config.pack_size),
        (-3, key(1).public(), domain, 1 << 20)
    );
    assert_ne!(
        Config::create(&key(1), domain, 1 << 20, -3).0.id,
        config.id,
        "a nonce makes each its own"
    );
    super::batter_body(Kind::Config, None, &object, &key(1), |bytes| Config::open(bytes).is_ok());
}

fn config_body(format: u64, root: &[u8; 32], pack_size: u64) -> Vec<u8> {
    let mut to = Encoder::new();
    to.varint(format).zint(0).raw(&[0; 32]).raw(root).raw(&[0; 16]).varint(pack_size).no_ext();
    to.into_bytes()
}

#[test]
fn a_configuration_has_bounds() {
    let open = |body: &[u8]| {
        Config::open(&frame::seal(Kind::Config, None, body, &key(1))).map(|c| c.pack_size)
    };
    let root = key(1).public().0;
    for size in [64 * 1024, 256 * 1024 * 1024] {
        assert_eq!(open(&config_body(1, &root, size)), Ok(size));
    }
    for size in [0, 64 * 1024 - 1, 256 * 1024 * 1024 + 1, u64::MAX] {
        assert!(matches!(open(&config_body(1, &root, size)), Err(Damage::Malformed(_))), "{size}");
    }
    assert!(matches!(open(&config_body(0, &root, 1 << 20)), Err(Damage::Malformed(_))));
    assert_eq!(open(&config_body(2, &root, 1 << 20)), Err(Damage::NewerFormat));
    assert_eq!(
        open(&config_body(1, &key(2).public().0, 1 << 20)),
        Err(Damage::Signer),
        "signed by another root"
    );
}
