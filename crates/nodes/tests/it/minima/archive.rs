//! Archives: read block by block, each following the one before.

use std::io::Write as _;

use nodekeep_nodes::minima::archive;
use nodekeep_nodes::minima::ibd::Blocks;
use nodekeep_nodes::minima::wire::Reader;

use nodekeep_testkit::minima::scene::{self, World};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn an_archive_gives_its_blocks_byte_for_byte() {
    let world = World::small();
    let file = gzip(&scene::ibd(None, &world.blocks));
    let mut blocks = archive::begin(file.as_slice()).unwrap();
    for made in &world.blocks {
        let block = blocks.next_block().unwrap().unwrap();
        assert_eq!((block.block.header().id, &block.bytes), (made.id, &made.bytes));
    }
    assert!(blocks.next_block().unwrap().is_none());
    archive::finish(blocks).unwrap();
    let summary = archive::verify(file.as_slice()).unwrap();
    assert_eq!((summary.blocks, summary.first, summary.tip.unwrap().number), (6, Some(1), 6));
}

#[test]
fn blocks_follow_their_cascade() {
    let world = World::small();
    let bytes = scene::ibd(Some(&world.blocks[..3]), &world.blocks[3..]);
    let blocks = Blocks::begin(Reader::new(bytes.as_slice())).unwrap();
    let carried = blocks.cascade.as_ref().unwrap();
    assert_eq!(carried.bytes, scene::cascade(&world.blocks[..3]));
    assert_eq!(carried.cascade.tip.as_ref().unwrap().number, 3);
    blocks.finish().unwrap().end().unwrap();
    let gap = scene::ibd(Some(&world.blocks[..2]), &world.blocks[3..]);
    let error = archive::verify(gzip(&gap).as_slice()).unwrap_err().to_string();
    assert!(error.contains("block 4") && error.contains("does not follow"), "{error}");
}

#[test]
fn nothing_may_be_missing_or_follow() {
    let world = World::small();
    let good = scene::ibd(None, &world.blocks);
    let verify = |bytes: &[u8]| archive::verify(bytes);
    let surplus = [good.as_slice(), &[0]].concat();
    assert!(verify(&gzip(&surplus)).is_err());
    assert!(verify(&[gzip(&good), vec![0]].concat()).is_err());
    assert!(verify(&gzip(&good[..good.len() - 1])).is_err());
    let packed = gzip(&good);
    assert!(verify(&packed[..packed.len() - 4]).is_err(), "the checksum is looked at");
    let mut damaged = packed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(verify(&damaged).is_err(), "the checksum is right");
}
