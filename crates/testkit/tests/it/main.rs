//! The test tools against themselves: what they put on disk is what they describe, and what they see is what is there.

mod proxy;
mod simulate;

use nodekeep_testkit::{Abilities, Kind, Rng, Size, Tree, edit, random};

#[test]
fn a_tree_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let can = Abilities::probe(dir.path()).unwrap();
    for seed in 0..3 {
        let tree = random(&mut Rng::new(seed), can, Size::FULL);
        let target = dir.path().join(seed.to_string());
        std::fs::create_dir(&target).unwrap();
        tree.write(&target).unwrap();
        tree.assert_same(&Tree::read(&target).unwrap(), "as written");
    }
}

#[test]
fn every_edit_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let can = Abilities::probe(dir.path()).unwrap();
    let mut rng = Rng::new(7);
    random(&mut rng, can, Size::SMALL).write(dir.path()).unwrap();
    for _ in 0..30 {
        let before = Tree::read(dir.path()).unwrap();
        let said = edit(&mut rng, dir.path(), 1).unwrap();
        assert_ne!(before, Tree::read(dir.path()).unwrap(), "{said:?}");
    }
}

#[test]
fn differences_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), vec![1; 300_000]).unwrap();
    let tree = Tree::read(dir.path()).unwrap();
    assert_eq!(tree.differences(&tree), Vec::<String>::new());
    type Change = fn(&mut Tree);
    let changes: [(&str, Change); 5] = [
        ("file: missing", |t| drop(t.nodes.remove(b"file".as_slice()))),
        ("file: other bytes from 7 on", |t| change(t, |bytes| bytes[7] = 0)),
        ("file: 299999 bytes instead of 300000", |t| change(t, |bytes| bytes.truncate(299_999))),
        ("instead of", |t| t.nodes.get_mut(b"file".as_slice()).unwrap().meta.mtime.1 ^= 1),
        ("more: should not be there", |t| {
            let node = t.nodes[b"file".as_slice()].clone();
            t.nodes.insert(b"more".to_vec(), node);
        }),
    ];
    for (expected, make) in changes {
        let mut other = tree.clone();
        make(&mut other);
        let lines = tree.differences(&other);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{expected}: {lines:?}");
    }
}

fn change(tree: &mut Tree, how: impl FnOnce(&mut Vec<u8>)) {
    if let Some(Kind::File { bytes, .. }) =
        tree.nodes.get_mut(b"file".as_slice()).map(|n| &mut n.kind)
    {
        how(bytes);
    }
}
