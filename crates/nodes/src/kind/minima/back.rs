//! The way back of a node's state: sealed anew under a password that nobody keeps, taken by the running node, which ends by itself.

use std::path::Path;
use std::time::Duration;

use super::{first_failed, read_state, rules};
use crate::error::{Error, Result};
use crate::kind::back::{GiveBack, Returned, WayBack};
use crate::kind::{Outcome, Verified};
use crate::minima::backup::{self, Contents, Section};
use crate::minima::chain::Tree;
use crate::minima::ending::Ended;
use crate::minima::link::{Link, one_time_password};
use crate::minima::rpc::RpcError;
use crate::minima::wallet::Wallet;
use crate::minima::wire::{Reader, hex};
use crate::profile::{MinimaPart, MinimaRule};

/// How long a new node may take to make its keys: about three minutes on a small machine.
pub const KEYS_WITHIN: Duration = Duration::from_secs(900);

/// State goes through the node. Blocks and coins are put in place as files, for whoever is to be served from them.
pub fn way_back(rule: &MinimaRule) -> WayBack {
    match rule.take {
        MinimaPart::State => WayBack::WhileRunning,
        MinimaPart::Archive | MinimaPart::Mega => WayBack::Files,
    }
}

/// Looks whether a copy can be given to the node, before anything is touched.
///
/// # Errors
/// If the copy is not sound, or the node cannot be spoken to as the rule says.
pub fn can_take(back: &GiveBack<'_>, rule: &MinimaRule) -> Result<()> {
    Link::of(rule, back.variables)?;
    check(back.copy)
}

/// Gives it to the node, which ends by itself.
///
/// # Errors
/// If it is not sound or not taken.
pub fn give_back(back: &GiveBack<'_>, rule: &MinimaRule) -> Result<Returned> {
    check(back.copy)?;
    let link = Link::of(rule, back.variables)?;
    let said = give(&link, &read_state(back.copy)?)?;
    Ok(Returned { said, ends_node: true })
}

/// Refuses a copy that is not sound: the node would notice only when its own state is gone.
///
/// # Errors
/// What is wrong with it.
pub fn check(copy: &Path) -> Result<()> {
    let found = rules::contents(&read_state(copy)?, rules::Keys::All);
    if let Some(bad) = first_failed(&found) {
        let reason = format!("it is not given to the node: {}: {}", bad.name, bad.detail);
        return Err(Error::Damaged { path: copy.to_owned(), reason });
    }
    Ok(())
}

/// Gives a state to the node and waits until it has ended. Says what was done.
///
/// # Errors
/// If it is refused; if the node hangs and cannot be ended.
pub fn give(link: &Link, contents: &Contents) -> Result<Vec<String>> {
    link.rpc.wait_for_keys(KEYS_WITHIN)?;
    let password = one_time_password()?;
    let sealed = backup::seal(contents, &password)
        .map_err(|source| Error::Minima { path: "backup".into(), source })?;
    let parcel = link.send(sealed.as_slice(), "bak")?;
    let process = link.process();
    let taken = link.rpc.take_back(&parcel.inside, &password);
    let said = end(link, process.as_ref(), taken.err())?;
    drop(parcel);
    Ok(said)
}

/// After a command that makes the node end: waits for that, removes what a broken one leaves, and says what happened.
///
/// # Errors
/// What the command gave, if that says that nothing was begun; otherwise if the node cannot be ended.
pub fn end(
    link: &Link,
    process: Option<&crate::process::Process>,
    failed: Option<RpcError>,
) -> Result<Vec<String>> {
    let open = match failed {
        Some(error) if !error.is_open() => {
            link.shred_leftovers()?;
            return Err(error.into());
        }
        other => other,
    };
    let mut said: Vec<String> = open.iter().map(|error| format!("{error}")).collect();
    let ended = link.wait_for_end(process)?;
    said.push(match ended {
        Ended::ByItself => "the node took it and ended by itself".to_owned(),
        Ended::Killed(pid) => format!("the node took it and hung: its process {pid} was ended"),
        Ended::StillAnswers => "the node took it, and answers".to_owned(),
    });
    if ended != Ended::StillAnswers {
        said.extend(link.put_stale_coins_aside()?);
    }
    let left = link.shred_leftovers()?;
    said.extend(left.into_iter().map(|path| format!("{path} was overwritten and removed")));
    Ok(said)
}

/// Compares the keys, coins and tip of the node with a copy.
///
/// # Errors
/// If the copy cannot be read or the node does not answer.
pub fn compare(back: &GiveBack<'_>, rule: &MinimaRule) -> Result<Verified> {
    let link = &Link::of(rule, back.variables)?;
    compare_with(link, &read_state(back.copy)?, back.copy)
}

/// Compares a node with a state; `origin` is named in errors.
///
/// # Errors
/// If the state is damaged or the node does not answer.
pub fn compare_with(link: &Link, contents: &Contents, origin: &Path) -> Result<Verified> {
    let bad = |source| Error::Minima { path: origin.to_owned(), source };
    let wallet = Wallet::parse(contents.section(Section::Wallet)).map_err(bad)?;
    let mut reader = Reader::new(contents.section(Section::ChainTree));
    let tree = Tree::read(&mut reader).map_err(bad)?;
    let mut verified = Verified::default();
    keys(link, &wallet, &mut verified)?;
    coins(link, &tree, &mut verified)?;
    tip(link, &tree, &mut verified)?;
    Ok(verified)
}

fn keys(link: &Link, wallet: &Wallet, verified: &mut Verified) -> Result<()> {
    let live = link.rpc.keys()?;
    let has = |key: &&crate::minima::wallet::Key| {
        live.iter().any(|own| own.public == key.public && own.uses >= key.uses)
    };
    let there = wallet.keys.iter().filter(has).count();
    let lowest = live.iter().map(|key| key.uses).min().unwrap_or(0);
    let outcome = if there == wallet.keys.len() { Outcome::Passed } else { Outcome::Failed };
    let detail = format!(
        "{there} of {} keys are there with at least their uses; each has {lowest} or more",
        wallet.keys.len()
    );
    verified.check("keys", outcome, detail);
    Ok(())
}

/// Coins may have been spent since; the node says so as soon as it is in touch with others.
fn coins(link: &Link, tree: &Tree, verified: &mut Verified) -> Result<()> {
    let live = link.rpc.coins()?;
    let copied: Vec<String> =
        tree.unspent().iter().map(|coin| format!("0x{}", hex(&coin.id))).collect();
    let there = copied.iter().filter(|id| live.contains(id)).count();
    let detail =
        format!("{there} of {} coins of the copy are there; {} in all", copied.len(), live.len());
    let outcome = if there == copied.len() { Outcome::Passed } else { Outcome::Skipped };
    verified.check("coins", outcome, detail);
    Ok(())
}

fn tip(link: &Link, tree: &Tree, verified: &mut Verified) -> Result<()> {
    let standing = link.rpc.standing()?;
    let copied = tree.tip().map_or(0, |tip| tip.header.number);
    let outcome = if standing.block >= copied { Outcome::Passed } else { Outcome::Failed };
    let detail = format!("the node stands at block {}, the copy at {copied}", standing.block);
    verified.check("tip", outcome, detail);
    Ok(())
}
