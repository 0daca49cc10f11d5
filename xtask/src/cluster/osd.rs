//! A third of the cluster dies, in the middle of a backup and in the middle of a restore.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nodekeep_testkit::Size;

use super::ceph::{Ceph, OSDS};
use super::machine::{Machine, Ran, Running, snapshot_of};
use super::s3::{Request, elements};
use super::stage::{Site, Stage};
use crate::error::Error;

/// Kills an OSD in each round, by turns in a backup and in a restore; work goes on, or fails and then succeeds.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let owner = &site.owner;
    let mut rng = stage.rng(3);
    owner.grow(&mut rng, Size::SMALL)?;
    let mut told = Vec::new();
    for round in 0..stage.rounds(1, 3) {
        let victim = rng.below(OSDS);
        owner.add_file(&mut rng, &format!("large-{round}"), if stage.quick { 96 } else { 160 })?;
        let tree = owner.tree()?;

        let packs = packs(stage, &site)?;
        let backup = begin_backup(owner)?;
        let backup = wait_until(backup, || Ok(self::packs(stage, &site)? > packs))?;
        stage.cluster.kill_osd(victim);
        let (id, words) = conclude_backup(owner, backup.finish()?)?;
        told.push(format!("backup without osd.{victim} {words}"));
        revive(stage, victim)?;

        let victim = rng.below(OSDS);
        let target = owner.path("restored");
        let restore = begin_restore(owner, &id, &target)?;
        let restore = wait_until(restore, || Ok(bytes_below(owner.path("."), &target)? > 0))?;
        stage.cluster.kill_osd(victim);
        let words = conclude_restore(owner, restore.finish()?, &id, &target)?;
        owner.compare(&id, &target, &tree)?;
        told.push(format!("restore without osd.{victim} {words}"));
        revive(stage, victim)?;
    }
    owner.must_check(&["--data"])?;
    Ok(told.join("; "))
}

fn begin_backup(owner: &Machine) -> Result<Running, Error> {
    owner.begin(&["backup", &owner.data().to_string_lossy(), "--json"])
}

fn begin_restore(owner: &Machine, id: &str, target: &Path) -> Result<Running, Error> {
    owner.begin(&["restore", id, "--target", &target.to_string_lossy(), "--quiet"])
}

fn revive(stage: &mut Stage<Ceph>, number: usize) -> Result<(), Error> {
    stage.cluster.start_osd(number)?;
    stage.cluster.settle()
}

/// Waits until the work is under way; it fails if it ended before.
fn wait_until(
    mut running: Running,
    is_under_way: impl Fn() -> Result<bool, Error>,
) -> Result<Running, Error> {
    while !is_under_way()? {
        thread::sleep(Duration::from_millis(5));
        if !running.is_alive() {
            let told = running.finish()?.told();
            return Err(Error::Broken(format!("it ended before an OSD could be killed: {told}")));
        }
    }
    Ok(running)
}

/// How many packs the bucket holds.
fn packs(stage: &Stage<Ceph>, site: &Site) -> Result<usize, Error> {
    let query = [("list-type", "2"), ("prefix", "repo/w/")];
    let request =
        Request { method: "GET", path: &site.bucket, query: &query, ..Request::default() };
    let answer = stage.owner.must(request)?;
    let names = elements(&answer.body, "Key");
    Ok(names.iter().filter(|name| name.contains("/d/")).count())
}

/// Bytes in the folders beside the machine's data: where a restore puts its files before they are in place.
fn bytes_below(folder: impl AsRef<Path>, target: &Path) -> Result<u64, Error> {
    let mut sum = 0;
    for entry in fs::read_dir(&folder).map_err(Error::file(folder.as_ref()))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let stem = target.file_name().unwrap_or_default().to_string_lossy();
        if name.contains(stem.as_ref()) {
            sum += bytes_of(&entry.path());
        }
    }
    Ok(sum)
}

/// Files may come and go while they are counted.
fn bytes_of(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_of(&entry.path())).sum()
}

fn conclude_backup(owner: &Machine, ran: Ran) -> Result<(String, String), Error> {
    if ran.code == 0 {
        return Ok((snapshot_of(&ran)?, went_on(&ran)));
    }
    let failed = must_be_clean(&ran)?;
    Ok((owner.backup()?, failed))
}

fn conclude_restore(owner: &Machine, ran: Ran, id: &str, target: &Path) -> Result<String, Error> {
    if ran.code == 0 {
        return Ok(went_on(&ran));
    }
    let failed = must_be_clean(&ran)?;
    begin_restore(owner, id, target)?.finish()?.ok()?;
    Ok(failed)
}

fn went_on(ran: &Ran) -> String {
    format!("went on ({:.1} s)", ran.took.as_secs_f64())
}

/// A failure must be one that docs/exit-codes.md has for stores: unavailable, or to be tried again.
fn must_be_clean(ran: &Ran) -> Result<String, Error> {
    match ran.code {
        10 | 11 => Ok(format!("failed with {} and succeeded when repeated", ran.code)),
        _ => Err(Error::Broken(ran.told())),
    }
}
