//! What many small files cost.

use super::bed::{Bed, Ground, settle};
use super::sizes;
use super::table::{Row, Table};
use super::tree::{self, FOLDER_FILES, Tree};
use crate::error::Error;

/// One folder in so many changes before the last backup.
const CHANGED: u64 = 100;

/// Measures at a hundredth, a tenth and all of the files.
pub fn run(ground: &Ground, files: u64) -> Result<Table, Error> {
    let mut table =
        Table::new("Small files (300 to 1,000 bytes, a hundred in each folder)", "files", "file");
    for count in sizes(files, [100, 10, 1], 100) {
        let scratch = ground.scratch("files-tree")?;
        let root = scratch.path.join("tree");
        eprintln!("writing {count} files");
        let tree = Tree::create(&root, count)?;
        settle();
        let bed = ground.bed("files")?;
        bed.init()?;
        table.rows.push(measure(&bed, &tree, &root, count)?);
    }
    Ok(table)
}

fn measure(bed: &Bed, tree: &Tree<'_>, root: &std::path::Path, count: u64) -> Result<Row, Error> {
    let backup = ["backup".as_ref(), root.as_os_str()];
    let first = bed.step(count, "first backup", &backup)?;
    let repository_mb = bed.repository_mb()?;
    let unchanged = bed.step(count, "unchanged", &backup)?;
    let check = bed.step(count, "check", &["check"])?;
    let wanted = count / 2;
    let find = bed.step(count, "find one name", &["snapshot", "find", &tree::name(wanted)])?;
    let path = tree.path(wanted).to_string_lossy().into_owned();
    let restore = bed.restore_one(count, ("latest", &path), &Tree::content(wanted, 0))?;
    let all = bed.restore_all(count, root)?;
    let idle = ["snapshot", "prune", "--keep-last", "9"];
    let idle = bed.step(count, "prune, nothing to do", &idle)?;
    change(tree, count)?;
    settle();
    let changed = bed.step(count, "1% changed", &backup)?;
    bed.expect_snapshots(3)?;
    let prune = ["snapshot", "prune", "--keep-last", "1"];
    let prune = bed.step(count, "prune to the newest", &prune)?;
    bed.expect_snapshots(1)?;
    let steps = vec![first, unchanged, changed, restore, all, find, check, idle, prune];
    Ok(Row { count, steps, repository_mb })
}

/// Gives every file of one folder in [`CHANGED`] another content.
fn change(tree: &Tree<'_>, count: u64) -> Result<(), Error> {
    let folders = (0..count.div_ceil(FOLDER_FILES)).step_by(CHANGED as usize);
    let mut files = folders.flat_map(|folder| {
        let first = folder * FOLDER_FILES;
        first..count.min(first + FOLDER_FILES)
    });
    files.try_for_each(|number| tree.write(number, 1))
}
