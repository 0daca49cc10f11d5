//! What many chunks cost: on a repository that the engine's own example writes, with chunks of a kilobyte.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bed::{Bed, Ground, settle, wrong};
use super::sizes;
use super::table::{Row, Table};
use super::tree::Tree;
use crate::error::Error;
use crate::place;

/// The example that writes the repository.
const WRITER: &str = "many_chunks";
/// Files of the backup of something new.
const NEW_FILES: u64 = 100;
/// What a number is in a chunk of the example: it repeats to a kilobyte.
const WORDS: usize = 128;
/// Chunks of a whole file of the example.
const FILE_CHUNKS: u64 = 64;

/// Measures at a twentieth, a quarter and all of the chunks.
pub fn run(ground: &Ground, chunks: u64) -> Result<Table, Error> {
    let writer = build()?;
    let title = "Chunks (of a kilobyte, 16 in each pack; two snapshots, the newer one without every other file)";
    let mut table = Table::new(title, "chunks", "chunk");
    for count in sizes(chunks, [20, 4, 1], 1000) {
        let bed = ground.bed("chunks")?;
        eprintln!("writing {count} chunks");
        place::run(Command::new(&writer).arg(bed.folder()).arg(count.to_string()))?;
        bed.open()?;
        bed.expect_snapshots(2)?;
        let new = bed.folder().join("new");
        Tree::create(&new, NEW_FILES)?;
        settle();
        table.rows.push(measure(&bed, &new, count)?);
    }
    Ok(table)
}

fn build() -> Result<PathBuf, Error> {
    let mut cargo = place::cargo();
    cargo.current_dir(place::root());
    cargo.args(["build", "--release", "--locked", "--package", "nodekeep-repo"]);
    place::run(cargo.args(["--example", WRITER]))?;
    Ok(place::target().join("release/examples").join(WRITER))
}

fn measure(bed: &Bed, new: &Path, count: u64) -> Result<Row, Error> {
    let repository_mb = bed.repository_mb()?;
    let list = bed.step(count, "list", &["snapshot", "list"])?;
    let backup = ["backup".as_ref(), new.as_os_str()];
    let first = bed.step(count, "backup of something new", &backup)?;
    let unchanged = bed.step(count, "unchanged backup", &backup)?;
    let check = bed.step(count, "check", &["check"])?;
    let file = ("/many@latest", "/many/directory-000000/file-00000000");
    let restore = bed.restore_one(count, file, &first_file())?;
    let prune = ["snapshot", "prune", "--keep-last", "1"];
    let plan = bed.step(count, "plan of a prune", &[&prune[..], &["--dry-run"]].concat())?;
    let prune = bed.step(count, "prune, half is dead", &prune)?;
    bed.expect_snapshots(2)?;
    let after = bed.repository_mb()?;
    if after > repository_mb * 0.6 {
        let reason = format!("{after:.0} of {repository_mb:.0} MB are left after the prune");
        return Err(wrong(reason));
    }
    Ok(Row {
        count,
        steps: vec![list, first, unchanged, restore, check, plan, prune],
        repository_mb,
    })
}

/// The first file of the example: every other chunk of the first pair of files.
fn first_file() -> Vec<u8> {
    (0..FILE_CHUNKS).flat_map(|n| (2 * n).to_le_bytes().repeat(WORDS)).collect()
}
