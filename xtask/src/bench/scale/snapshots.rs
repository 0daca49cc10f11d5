//! What many snapshots of one tree cost.

use std::path::Path;

use super::bed::{Bed, Ground, settle};
use super::sizes;
use super::table::{Row, Table};
use super::tree::{self, Tree};
use crate::error::Error;

/// Files of the tree.
const FILES: u64 = 20_000;
/// Files that change from one snapshot to the next.
const CHANGES: u64 = 20;

/// Measures after 1, a tenth and all of the snapshots.
pub fn run(ground: &Ground, snapshots: u64) -> Result<Table, Error> {
    let title =
        format!("Snapshots (of {FILES} small files, {CHANGES} changed between each and the next)");
    let mut table = Table::new(&title, "snapshots", "snapshot");
    let sizes = sizes(snapshots, [snapshots, 10, 1], 1);
    let scratch = ground.scratch("snapshots-tree")?;
    let root = scratch.path.join("tree");
    eprintln!("writing {FILES} files");
    let tree = Tree::create(&root, FILES)?;
    let bed = ground.bed("snapshots")?;
    bed.init()?;
    for number in 1..=snapshots {
        settle();
        bed.run(&["backup".as_ref(), root.as_os_str()])?;
        if sizes.contains(&number) {
            table.rows.push(measure(&bed, &root, number)?);
        }
        change(&tree, number)?;
    }
    Ok(table)
}

fn change(tree: &Tree<'_>, version: u64) -> Result<(), Error> {
    let stride = FILES / CHANGES;
    (0..CHANGES).try_for_each(|n| tree.write((n * stride + version * 7) % FILES, version))
}

/// What changes the repository is done to a copy of it.
fn measure(bed: &Bed, root: &Path, count: u64) -> Result<Row, Error> {
    let repository_mb = bed.repository_mb()?;
    bed.expect_snapshots(count)?;
    let list = bed.step(count, "list", &["snapshot", "list"])?;
    let name = tree::name(FILES / 2);
    let find = bed.step(count, "find one name", &["snapshot", "find", &name])?;
    let check = bed.step(count, "check", &["check"])?;
    let keep = (count / 2).max(1).to_string();
    let plan = ["snapshot", "prune", "--keep-last", &keep, "--dry-run"];
    let plan = bed.step(count, "plan of a prune", &plan)?;
    let fork = bed.fork()?;
    let unchanged = fork.step(count, "unchanged backup", &["backup".as_ref(), root.as_os_str()])?;
    let prune = ["snapshot", "prune", "--keep-last", &keep];
    let prune = fork.step(count, "prune of half", &prune)?;
    fork.expect_snapshots((count / 2).max(1))?;
    Ok(Row { count, steps: vec![list, find, unchanged, check, plan, prune], repository_mb })
}
