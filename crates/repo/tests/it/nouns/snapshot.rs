//! The snapshot.

use nodekeep_repo::snapshot::{Counts, Root, Snapshot};
use proptest::prelude::*;

use super::session_id;
use super::tree::{any_entry, every_kind};

pub fn full() -> Snapshot {
    let owner = |id, name: &str| (id, name.to_owned());
    let roots = every_kind()
        .into_iter()
        .take(2)
        .map(|entry| Root { path: [b"/", entry.name.as_slice()].concat(), entry });
    Snapshot {
        started_ms: 1_700_000_000_123,
        finished_ms: -1,
        host: "hôst".to_owned(),
        user: "root".to_owned(),
        program: "nodekeep 0".to_owned(),
        roots: roots.collect(),
        tags: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
        excludes: vec!["*.tmp".to_owned()],
        users: vec![owner(0, "root"), owner(u32::MAX, "nobody")],
        groups: vec![owner(0, "wheel")],
        counts: Counts {
            files: 1,
            dirs: 2,
            bytes: 3,
            bytes_read: 4,
            chunks_added: 5,
            bytes_added: u64::MAX,
        },
        errors: vec![(b"/x\xff".to_vec(), "permission denied".to_owned())],
        parent: Some(session_id(9)),
        incomplete: true,
        attachments: vec![("manifest".to_owned(), vec![0, 1, 2])],
    }
}

#[test]
fn a_snapshot_is_its_plaintext() {
    for snapshot in [full(), Snapshot::default()] {
        assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot.clone()));
        super::batter(&snapshot.encode(), |bytes| Snapshot::decode(bytes).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_snapshot_is_kept(
        roots in prop::collection::vec((any::<Vec<u8>>(), any_entry()), 0..4),
        texts: [String; 3],
        tags: Vec<(String, String)>,
        errors: Vec<(Vec<u8>, String)>,
        times: [i64; 2],
        parent: Option<[u8; 16]>,
        incomplete: bool,
    ) {
        let [host, user, program] = texts;
        let roots = roots.into_iter().map(|(path, entry)| Root { path, entry }).collect();
        let parent = parent.map(nodekeep_repo::id::SessionId);
        let [started_ms, finished_ms] = times;
        let snapshot = Snapshot {
            roots, host, user, program, tags, errors, started_ms, finished_ms, parent, incomplete, ..full()
        };
        prop_assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_an_error(bytes: Vec<u8>) {
        let _ = Snapshot::decode(&bytes);
    }
}
