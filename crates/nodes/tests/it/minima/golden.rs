//! Frozen files of a synthetic node in `testdata/minima`: sealed and packed by `make.py` with OpenSSL and Python, and read here for ever.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use nodekeep_nodes::minima::archive;
use nodekeep_nodes::minima::backup::{LIMIT, Section, open};
use nodekeep_nodes::minima::frame::{self, Request};
use nodekeep_nodes::minima::mega;
use nodekeep_nodes::minima::password::Password;
use nodekeep_nodes::minima::verify::{self, Keys, Parts};
use nodekeep_nodes::minima::wire::{Hash, Write, hex};

use nodekeep_testkit::minima::scene::{self, World};

/// A frozen file.
pub fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/minima");
    fs::read(folder.join(name)).unwrap()
}

/// What the frozen files are, so that none is changed or made anew without being seen.
#[test]
fn the_files_are_the_frozen_ones() {
    let hash = |name| Hash::of(&golden(name)).to_string();
    assert_eq!(
        hash("golden.bak"),
        "0x2628F99E260F9DFC872FDF24B4A8787C24706135E91E9E6E63086C0D1AF0F1E0"
    );
    assert_eq!(
        hash("golden.raw.dat"),
        "0x8C44911ACE8506E6AACE4041DF931A196B958E259ABD187BC88ACD0312B4976E"
    );
    assert_eq!(
        hash("golden.megammr"),
        "0x1403691598579DB6DB5CF38AC5FE37D41C29D81915975F4235ED449E444D583E"
    );
}

#[test]
fn the_backup_opens_and_every_rule_holds() {
    let file = golden("golden.bak");
    let password = Password::new("a golden pässword".to_owned().into());
    let contents = open(&file, &password, LIMIT).unwrap();
    assert!(open(&file, &Password::none(), LIMIT).is_err());
    let verified = verify::contents(&contents, Keys::All);
    assert!(verified.is_sound() && verified.checks.len() >= 9, "{:?}", verified.checks);
    let parts = Parts::read(&contents).unwrap();
    assert_eq!(parts.wallet.keys.iter().map(|key| key.uses).collect::<Vec<_>>(), [3, 0]);
    assert_eq!((parts.cascade.blocks, parts.chain.blocks.len(), parts.history.len()), (3, 3, 1));
    assert_eq!(parts.chain.tip().unwrap().header.id, World::small().tip().id);
    // Not only readable: the writer of these tests still writes the same bytes.
    assert_eq!(contents.section(Section::ChainTree), scene::tree(&World::small().blocks[3..]));
}

#[test]
fn the_archive_and_the_coins_are_read_to_their_end() {
    let summary = archive::verify(golden("golden.raw.dat").as_slice()).unwrap();
    assert_eq!((summary.blocks, summary.first, summary.tip.unwrap().number), (6, Some(1), 6));
    let found = mega::verify(golden("golden.megammr").as_slice()).unwrap();
    assert_eq!((found.range.block, found.range.leaves, found.coins, found.blocks), (3, 5, 4, 3));
}

/// Frames as the real node was heard to send them; the addresses are ours.
#[test]
fn frames_are_those_of_the_node() {
    let request = |text: &str| {
        let bytes: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect();
        let mut rest = bytes.as_slice();
        let length = Request::length(&mut rest).unwrap().unwrap();
        let request = Request::read(&mut rest, length).unwrap();
        assert!(rest.is_empty());
        request
    };
    assert!(matches!(request("000000040f0001ff"), Request::Ping));
    assert!(matches!(request("000000040f000100"), Request::Blocks(0)));
    assert!(matches!(request("000000060f00030100ff"), Request::Blocks(65_791)));
    let mut wanted = String::from("0000007216000101000102");
    let named: Vec<Hash> = ["one", "two", "three"].map(scene::named).to_vec();
    wanted += &format!("00000020{}00000020{}", hex(&named[0].0), hex(&named[1].0));
    wanted += &format!("00010100000020{}", hex(&named[2].0));
    let size = wanted.len() / 2 - 4;
    wanted.replace_range(..8, &format!("{size:08x}"));
    assert!(matches!(request(&wanted), Request::Coins(_)));
    let mut answer = Vec::new();
    answer.data(&[&[16], scene::ibd(None, &World::small().blocks).as_slice()].concat());
    let mut blocks = frame::answer(answer.as_slice()).unwrap();
    assert_eq!(blocks.next_block().unwrap().unwrap().block.header().number, 1);
}

/// The writer of these tests makes what is frozen. With NODEKEEP_PLAIN it puts it there, for `make.py`.
#[test]
fn the_frozen_files_are_what_is_written_here() {
    let archive = scene::ibd(None, &World::small().blocks);
    if let Some(folder) = std::env::var_os("NODEKEEP_PLAIN").map(PathBuf::from) {
        fs::write(folder.join("contents"), scene::contents().plaintext()).unwrap();
        fs::write(folder.join("archive"), &archive).unwrap();
        fs::write(folder.join("mega"), scene::mega()).unwrap();
    }
    let password = Password::new("a golden pässword".to_owned().into());
    assert_eq!(open(&golden("golden.bak"), &password, LIMIT).unwrap(), scene::contents());
    let mut unpacked = Vec::new();
    let packed = golden("golden.raw.dat");
    flate2::bufread::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, archive);
    assert_eq!(golden("golden.megammr"), scene::mega());
}
