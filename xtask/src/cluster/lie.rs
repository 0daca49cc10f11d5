//! A store that lies: `init` sees it and refuses, and what the documented fallback promises holds.

use nodekeep_testkit::{Size, edit};

use super::garage::Garage;
use super::machine::Ran;
use super::s3::{Request, elements};
use super::stage::Stage;
use crate::error::Error;

/// "The store refuses" and "a person must agree", see docs/exit-codes.md.
const STORE_UNAVAILABLE: i32 = 10;
const NEEDS_CONFIRMATION: i32 = 9;

const PRUNE: [&str; 6] = ["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"];

/// Refused at first; then made all the same, by somebody who was told what is not promised.
pub fn run(stage: &mut Stage<Garage>) -> Result<String, Error> {
    let site = stage.empty_site()?;
    let owner = &site.owner;
    let words = site.words();
    let words = words.to_string_lossy();
    must_say(
        &owner.run(&["init", "--words-out", &words])?,
        STORE_UNAVAILABLE,
        &["--accept-unsafe-store", "NOT as promised"],
    )?;
    let query = [("list-type", "2")];
    let request =
        Request { method: "GET", path: &site.bucket, query: &query, ..Request::default() };
    let left = elements(&stage.owner.must(request)?.body, "Key");
    if !left.is_empty() || site.words().exists() {
        return Err(Error::Broken(format!("a refused init left {left:?}, or words")));
    }
    let made = owner.run(&["init", "--accept-unsafe-store", "--words-out", &words])?;
    must_say(&made, 0, &["--alone"])?;

    let mut rng = stage.rng(9);
    owner.grow(&mut rng, Size::FULL)?;
    let mut kept = Vec::new();
    for _ in 0..stage.rounds(2, 4) {
        kept.push((owner.backup()?, owner.tree()?));
        edit(&mut rng, &owner.data(), 6).map_err(Error::file(owner.data()))?;
    }
    for (id, tree) in &kept {
        owner.must_restore(id, tree)?;
    }
    let out = owner.path("writer").to_string_lossy().into_owned();
    let add = ["key", "add", "--writer", "web", "--out", &out];
    for words in [&PRUNE[..], &add] {
        must_say(&owner.run(words)?, NEEDS_CONFIRMATION, &["--alone"])?;
    }
    owner.run(&[&PRUNE[..], &["--alone"]].concat())?.ok()?;
    owner.run(&[&add[..], &["--alone"]].concat())?.ok()?;
    owner.must_check(&["--data"])?;
    let (id, tree) = &kept[kept.len() - 1];
    owner.must_restore(id, tree)?;
    Ok(format!(
        "init refuses and leaves nothing; accepted, {} snapshots restored, prune and key add only with --alone",
        kept.len()
    ))
}

fn must_say(ran: &Ran, code: i32, words: &[&str]) -> Result<(), Error> {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    if ran.code == code && words.iter().all(|word| said.contains(word)) {
        return Ok(());
    }
    Err(Error::Broken(format!("exit code {code} and {words:?} expected: {}", ran.told())))
}
