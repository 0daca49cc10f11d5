//! `nodekeep minima keys derive`.

use clap::Args;
use nodekeep_nodes::minima::address::Address;
use nodekeep_nodes::minima::keys::Seed;
use nodekeep_nodes::minima::phrase::WORDS;
use serde_json::json;

use super::super::opening::PhraseFrom;
use crate::error::Result;
use crate::render::Table;
use crate::session::App;

/// Show the public keys and addresses that 24 words make; no secret
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; the words.

A Minima phrase has no checksum: any words make some wallet. Compare the first address with one that you know.

Examples:
  nodekeep minima keys derive
  nodekeep minima keys derive --node-phrase-file words --count 64")]
pub struct Derive {
    #[command(flatten)]
    phrase: PhraseFrom,
    /// How many; half a second each. A node makes 64 at its first start
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
}

impl Derive {
    pub fn run(&self, app: &App) -> Result<()> {
        let phrase = self.phrase.needed(app)?;
        let words = phrase.words();
        if words != WORDS {
            app.output.remark(format!("These are {words} words; a node draws {WORDS}."));
        }
        let seed = Seed::of(&phrase);
        let keys: Vec<_> = (0..self.count)
            .map(|index| seed.private_key(index).public_key())
            .map(|public| (public, Address::of_key(&public)))
            .collect();
        let mut table = Table::new(&[">key", "public key", "address"]);
        for (index, (public, address)) in keys.iter().enumerate() {
            table.row([index.to_string(), public.to_string(), address.checked()]);
        }
        app.output.answer(table.text())?;
        let document = keys.iter().map(|(public, address)| {
            json!({
                "public": public.to_string(),
                "address": address.to_string(),
                "checked": address.checked(),
            })
        });
        app.output.document(&json!({ "words": words, "keys": document.collect::<Vec<_>>() }))
    }
}
