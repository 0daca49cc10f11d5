//! What fuzzing of Minima's parsers begins with, in `fuzz/seeds`: every kind of input once, small, and of this scene.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use nodekeep_nodes::minima::backup::Section;
use nodekeep_nodes::minima::wire::Write as _;

use nodekeep_testkit::minima::scene::{self, World, named};

use super::golden::golden;

/// Each file below the folder, with its bytes.
fn seeds() -> BTreeMap<&'static str, Vec<u8>> {
    let contents = scene::contents();
    let world = World::small();
    let ibd = scene::ibd(None, &world.blocks);
    let carried = scene::ibd(Some(&world.blocks[..3]), &world.blocks[3..]);
    let section = |which: u8| {
        let section = Section::ALL[usize::from(which)];
        [&[which], contents.section(section)].concat()
    };
    let frame = |payload: &[u8]| {
        let mut out = Vec::new();
        out.data(payload);
        out
    };
    let mut coins = vec![22];
    coins.whole(1).whole(1).data(&named("mine").0).whole(1).data(&named("key").0);
    let requests = [frame(&[15, 0, 1, 0xff]), frame(&[15, 0, 1, 0]), frame(&coins)].concat();
    [
        ("minima_archive/block", world.blocks[3].bytes.clone()),
        ("minima_archive/blocks", ibd.clone()),
        ("minima_archive/blocks-after-a-cascade", carried),
        ("minima_archive/packed", golden("golden.raw.dat")),
        ("minima_backup/whole", [&[0], contents.plaintext().to_vec().as_slice()].concat()),
        ("minima_backup/cascade", section(1)),
        ("minima_backup/tree", section(2)),
        ("minima_backup/settings", section(3)),
        ("minima_backup/history", section(5)),
        ("minima_frames/requests", requests),
        ("minima_frames/answer", frame(&[&[16], ibd.as_slice()].concat())),
        ("minima_mega/coins", scene::mega()),
        ("minima_wallet/two-keys", scene::wallet([3, 0]).into_bytes()),
        ("minima_wallet/wiped", scene::wiped(&scene::wallet([1, 7])).into_bytes()),
    ]
    .into()
}

/// With NODEKEEP_WRITE_SEEDS they are written.
#[test]
fn fuzzing_begins_with_what_is_written_here() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (name, bytes) in seeds() {
        let path = folder.join(name);
        if std::env::var_os("NODEKEEP_WRITE_SEEDS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "{name} is another: write the seeds anew");
    }
}
