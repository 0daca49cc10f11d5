//! `nodekeep minima show`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::minima::address::Address;
use nodekeep_nodes::minima::backup::Section;
use nodekeep_nodes::minima::chain::Block;
use nodekeep_nodes::minima::coin::{Coin, Token};
use nodekeep_nodes::minima::number::Number;
use nodekeep_nodes::minima::verify::Parts;
use nodekeep_nodes::minima::wallet::{Key, Secrets};
use nodekeep_nodes::minima::wire::hex;
use serde_json::{Value, json};

use super::opening::{self, Opened, PasswordFrom};
use crate::error::{Error, Result};
use crate::prompt;
use crate::render::{self, Table};
use crate::session::App;

/// Show what is in a node's backup: tip, coins, keys with their uses, addresses; no secret
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; the backup's password.

Examples:
  nodekeep minima show node.bak
  nodekeep minima show node.bak --password-file pw --json")]
pub struct Show {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    password: PasswordFrom,
    /// Show the 24 words too; on a terminal only
    #[arg(long)]
    reveal_phrase: bool,
}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.reveal_phrase && (app.output.json || !std::io::stdout().is_terminal()) {
            return Err(Error::NodePhraseNeedsTerminal);
        }
        let opened = self.password.open(app, &self.file)?;
        let parts = Parts::read(&opened.contents)
            .map_err(|error| Error::Minima { path: self.file.clone(), error })?;
        app.output.answer(text(&parts, &opened))?;
        if self.reveal_phrase {
            reveal(app, &parts)?;
        }
        opening::warn(&app.output, &opened);
        app.output.document(&self.document(&parts, &opened))
    }

    fn document(&self, parts: &Parts, opened: &Opened) -> Value {
        let sections = Section::ALL.map(|section| {
            json!({ "name": section.file_name(), "size": opened.contents.section(section).len() })
        });
        json!({
            "file": self.file,
            "protected": opened.is_protected,
            "sections": sections,
            "tip": parts.chain.tip().map(block),
            "root": parts.chain.root().map(block),
            "cascade_blocks": parts.cascade.blocks,
            "chain_blocks": parts.chain.blocks.len(),
            "transactions": parts.history.len(),
            "phrase": parts.phrase(),
            "keys": parts.wallet.keys.iter().map(key).collect::<Vec<_>>(),
            "addresses": parts.wallet.scripts.iter().map(|script| json!({
                "address": script.address.to_string(),
                "checked": script.address.checked(),
                "public": script.public.map(|public| public.to_string()),
                "default": script.default,
                "tracked": script.tracked,
            })).collect::<Vec<_>>(),
            "coins": parts.chain.unspent().into_iter().map(coin).collect::<Vec<_>>(),
            "balance": balance(parts).map(|sum| sum.to_string()),
        })
    }
}

fn block(block: &Block) -> Value {
    let header = &block.header;
    let time = i64::try_from(header.time_ms).ok().map(render::json::time);
    json!({ "block": header.number, "id": header.id.to_string(), "time": time })
}

fn key(key: &Key) -> Value {
    json!({
        "public": key.public.to_string(),
        "address": Address::of_key(&key.public).to_string(),
        "uses": key.uses,
        "max_uses": key.max_uses,
        "private": key.private.is_some(),
    })
}

fn coin(coin: &Coin) -> Value {
    let (token, name) = match &coin.token {
        Token::Minima => (None, None),
        Token::Other { id, description } => {
            let name = description.as_ref().map(|(name, _)| name.clone());
            (Some(format!("0x{}", hex(id))), name)
        }
    };
    json!({
        "coin": format!("0x{}", hex(&coin.id)),
        "address": format!("0x{}", hex(&coin.address)),
        "amount": coin.worth().unwrap_or(coin.amount).to_string(),
        "token": token,
        "token_name": name,
        "block": coin.created,
    })
}

/// All Minima in the wallet, if it can be added up.
fn balance(parts: &Parts) -> Option<Number> {
    let coins = parts.chain.unspent();
    let mut minima = coins.iter().filter(|coin| coin.token == Token::Minima);
    minima.try_fold(Number::from(0), |sum, coin| sum.plus(&coin.amount))
}

fn text(parts: &Parts, opened: &Opened) -> String {
    let coins = parts.chain.unspent();
    let tokens = coins.iter().filter(|coin| coin.token != Token::Minima).count();
    let minima = balance(parts).map_or("?".to_owned(), |sum| sum.to_string());
    let uses = parts.wallet.keys.iter().map(|key| key.uses).max().unwrap_or(0);
    let keys = render::counted(parts.wallet.keys.len() as u64, "key");
    let holds = match tokens {
        0 => format!("{minima} Minima in {}", render::counted(coins.len() as u64, "coin")),
        tokens => {
            let plain = render::counted((coins.len() - tokens) as u64, "coin");
            format!(
                "{minima} Minima in {plain}, and {}",
                render::counted(tokens as u64, "coin of tokens")
            )
        }
    };
    let pairs = [
        ("tip", tip_text(parts)),
        (
            "chain",
            format!(
                "{} after a cascade of {}",
                render::counted(parts.chain.blocks.len() as u64, "block"),
                render::count(parts.cascade.blocks)
            ),
        ),
        ("holds", holds),
        ("keys", format!("{keys}, the most used one with {} uses", render::count(uses))),
        ("phrase", parts.phrase().to_owned()),
        ("password", if opened.is_protected { "yes" } else { "NONE" }.to_owned()),
    ];
    format!("{}\n\n{}", render::fields(&pairs), keys_text(parts))
}

fn tip_text(parts: &Parts) -> String {
    let Some(tip) = parts.chain.tip() else {
        return "none".to_owned();
    };
    let header = &tip.header;
    let time = i64::try_from(header.time_ms).map_or("?".to_owned(), render::time::date_time);
    format!("block {} of {time}, {}", header.number, header.id)
}

fn keys_text(parts: &Parts) -> String {
    let mut table = Table::new(&[">key", ">uses", ">of", "address"]);
    for (index, key) in parts.wallet.keys.iter().enumerate() {
        table.row([
            index.to_string(),
            render::count(key.uses),
            render::count(key.max_uses),
            Address::of_key(&key.public).checked(),
        ]);
    }
    table.text()
}

fn reveal(app: &App, parts: &Parts) -> Result<()> {
    match &parts.wallet.secrets {
        Secrets::Present { phrase, .. } => {
            app.output.answer(format!("\n{}", *prompt::words_grid(phrase.reveal())))
        }
        Secrets::Wiped => {
            app.output.alert(format!(
                "The phrase is {}: it is not in this backup in the clear.",
                parts.phrase()
            ));
            Ok(())
        }
    }
}
