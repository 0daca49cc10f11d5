//! Coins that are missing after a node was brought back: an archive has only those of its own blocks, and a peer only what it knows.

use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::minima::backup::{Contents, Section};
use nodekeep_nodes::minima::chain::Tree;
use nodekeep_nodes::minima::coin::{Coin, Token};
use nodekeep_nodes::minima::link::Link;
use nodekeep_nodes::minima::number::Number;
use nodekeep_nodes::minima::wallet::Wallet;
use nodekeep_nodes::minima::wire::{Reader, hex};

use crate::error::Result;

/// How long a node that was just started may take to find its coins.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What a state had of a wallet.
struct Had {
    wallet: Wallet,
    tree: Tree,
}

/// Holds the coins of the node against those of the first of these states that has its wallet.
///
/// # Errors
/// If the node does not answer.
pub(super) fn compare(link: &Link, states: &[&Contents], verified: &mut Verified) -> Result<()> {
    let rpc = &link.rpc;
    let keys = rpc.keys().map_err(nodekeep_nodes::error::Error::from)?;
    let is_own = |had: &Had| {
        let mut own = had.wallet.keys.iter();
        own.any(|key| keys.iter().any(|live| live.public == key.public))
    };
    let Some(had) = states.iter().filter_map(|state| read(state)).find(is_own) else {
        let detail = "no earlier state of this wallet is at hand: compare the balance yourself";
        verified.check("coins", Outcome::Skipped, detail);
        return Ok(());
    };
    let before = had.tree.unspent();
    let deadline = Instant::now() + SETTLES_WITHIN;
    let missing = loop {
        let live = rpc.coins().map_err(nodekeep_nodes::error::Error::from)?;
        let is_missing = |coin: &&&Coin| !live.contains(&format!("0x{}", hex(&coin.id)));
        let missing: Vec<&Coin> = before.iter().filter(is_missing).copied().collect();
        if missing.is_empty() || Instant::now() >= deadline {
            break missing;
        }
        thread::sleep(LOOK);
    };
    match missing.is_empty() {
        true => {
            let detail = format!("all {} coins that it had before are there", before.len());
            verified.check("coins", Outcome::Passed, detail);
        }
        false => verified.check("coins", Outcome::Failed, told(&missing, before.len())),
    }
    Ok(())
}

/// What cannot be read tells nothing.
fn read(state: &Contents) -> Option<Had> {
    let wallet = Wallet::parse(state.section(Section::Wallet)).ok()?;
    let tree = Tree::read(&mut Reader::new(state.section(Section::ChainTree))).ok()?;
    Some(Had { wallet, tree })
}

fn told(missing: &[&Coin], all: usize) -> String {
    let minima = missing.iter().filter(|coin| coin.token == Token::Minima);
    let sum = minima
        .map(|coin| coin.amount)
        .try_fold(Number::from(0), |sum, amount| sum.plus(&amount))
        .map_or_else(|| "an unknown amount of".to_owned(), |sum| sum.to_string());
    format!(
        "{} of {all} coins that it had before are missing, {sum} Minima in them: they were spent since, or its source does not reach back to them. Bring it back from a node with all coins (--from HOST:PORT), or from its snapshot",
        missing.len()
    )
}
