//! The whole life of a repository, by itself.

use nodekeep_testkit::{Size, edit};

use super::ceph::Ceph;
use super::stage::Stage;
use crate::error::Error;

/// Makes a repository, backs up, restores, checks and prunes; everything that comes back is compared.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let owner = &site.owner;
    let mut rng = stage.rng(1);
    let mut kept = Vec::new();
    owner.grow(&mut rng, Size::FULL)?;
    let rounds = stage.rounds(3, 6);
    for _ in 0..rounds {
        kept.push((owner.backup()?, owner.tree()?));
        edit(&mut rng, &owner.data(), 8).map_err(Error::file(owner.data()))?;
    }
    for (id, tree) in &kept {
        owner.must_restore(id, tree)?;
    }
    owner.must_check(&["--data"])?;
    owner.run(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"])?.ok()?;
    let (last, tree) = &kept[kept.len() - 1];
    if owner.ids()? != [last.as_str()] {
        return Err(Error::Broken(format!("pruned to {:?} instead of {last}", owner.ids()?)));
    }
    owner.must_restore(last, tree)?;
    let said = owner.must_check(&["--data"])?;
    let files = tree.files().len();
    Ok(format!(
        "{rounds} snapshots of {files} files restored, pruned to 1 in {} objects",
        said["objects"]
    ))
}
