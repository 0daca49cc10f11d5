//! `nodekeep minima fetch-archive`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::minima::peer;
use nodekeep_nodes::minima::store::BlockStore;
use serde_json::json;

use crate::error::Result;
use crate::render;
use crate::session::App;

/// Download a node's archive blocks into a folder, only those that are new; each is checked
#[derive(Debug, Args)]
#[command(after_help = "\
HOST is the main port of a node with -archive, or of `nodekeep minima serve`. Every block must be sound and follow the one before. Blocks lie in runs of 256 that do not change, so that a backup of the folder costs only what is new.

Examples:
  nodekeep minima fetch-archive 192.168.1.5:9001 --into ./blocks
  nodekeep backup ./blocks
  nodekeep minima serve --from ./blocks")]
pub struct FetchArchive {
    /// The node
    #[arg(value_name = "HOST:PORT")]
    host: String,
    /// The folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

impl FetchArchive {
    pub fn run(&self, app: &App) -> Result<()> {
        let store = BlockStore::open(&self.into)?;
        let fetched = peer::fetch(&self.host, &store, |_| ())?;
        let extent = store.extent()?;
        let newest = extent.last.map(|last| last.number);
        app.output.say(format!(
            "Fetched {} new blocks from {}",
            render::count(fetched.new),
            self.host
        ))?;
        app.output.say(render::fields(&[
            ("folder", self.into.display().to_string()),
            ("blocks", format!("{} to {}", extent.first.unwrap_or(0), newest.unwrap_or(0))),
            (
                "dropped",
                match fetched.dropped {
                    0 => String::new(),
                    dropped => format!("{dropped}, as the chain went another way since"),
                },
            ),
        ]))?;
        app.output.document(&json!({
            "host": self.host,
            "folder": self.into,
            "new": fetched.new,
            "dropped": fetched.dropped,
            "first_block": extent.first,
            "newest_block": newest,
        }))
    }
}
