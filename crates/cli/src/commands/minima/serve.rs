//! `nodekeep minima serve`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use nodekeep_nodes::kind::minima::read_state;
use nodekeep_nodes::minima::serve::{self, Event, Limits};
use nodekeep_nodes::minima::supply::{Copies, Supply};
use nodekeep_nodes::profile::{Kind, MinimaPart};
use nodekeep_service::drill::in_sandbox;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::restore::place::{bring_all, placements};
use serde_json::json;

use crate::error::{Error, Result};
use crate::interrupt;
use crate::nodes;
use crate::progress::Progress;
use crate::render;
use crate::session::App;
use crate::target;

/// Between two looks whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Give blocks and coins to nodes that bring themselves back
#[derive(Debug, Args)]
#[command(after_help = "\
A node fetches from it with `megammrsync action:resync host:HOST:PORT` (from a .megammr, or a snapshot with the component megammr) or `archive action:resync host:HOST:PORT` (from anything). `nodekeep restore NODE --from HOST:PORT` does that with the dangerous steps made safe.

It keeps running until it is told to stop (Ctrl-C). It asks nobody who they are: listen at an address that only your nodes reach.

Examples:
  nodekeep minima serve --from mynode@latest
  nodekeep minima serve --from full.megammr --listen 192.168.1.5:9001
  nodekeep minima serve --from ./blocks")]
pub struct Serve {
    /// A snapshot of a node, a .megammr, a .raw.dat, or a folder of `fetch-archive`
    #[arg(long, value_name = "SNAPSHOT|FILE|DIR")]
    from: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001")]
    listen: String,
    /// How many nodes at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
}

/// A folder that is removed afterwards.
struct Sandbox(PathBuf);

impl Drop for Sandbox {
    fn drop(&mut self) {
        // What cannot be removed lies in our own scratch folder.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Serve {
    pub fn run(&self, app: &App) -> Result<()> {
        let listener = TcpListener::bind(&self.listen)
            .map_err(Error::file(Path::new(&self.listen), "listen at"))?;
        let folder = app.home.scratch()?.join(format!("serve-{}", std::process::id()));
        let sandbox = Sandbox(folder);
        let supply = self.supply(app, &sandbox.0)?;
        let extent = supply.blocks.extent()?;
        let address =
            listener.local_addr().map_err(Error::file(Path::new(&self.listen), "find"))?;
        let newest = extent.last.map_or(0, |last| last.number);
        let coins = supply.coins.as_ref().map(|coins| coins.mega.coins);
        app.output.say(format!("Serving at {address}"))?;
        app.output.say(render::fields(&[
            ("blocks", format!("{} to {newest}", extent.first.unwrap_or(0))),
            ("coins", coins.map_or_else(|| "none: blocks only".to_owned(), render::count)),
        ]))?;
        app.output.document(&json!({
            "listen": address.to_string(),
            "first_block": extent.first,
            "newest_block": newest,
            "coins": coins,
        }))?;
        interrupt::watch();
        let stop = AtomicBool::new(false);
        let limits = Limits { clients: self.clients.into(), ..Limits::default() };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !interrupt::asked() {
                    thread::sleep(LOOK);
                }
                stop.store(true, Ordering::Relaxed);
            });
            serve::serve(&listener, &supply, limits, &stop, &|event| {
                app.output.remark(told(&event))
            })
        })
        .map_err(Error::file(Path::new(&self.listen), "listen at"))
    }

    fn supply(&self, app: &App, sandbox: &Path) -> Result<Supply> {
        let path = Path::new(&self.from);
        if path.exists() && !self.from.contains('@') {
            return Ok(Supply::of(path, &sandbox.join("blocks"))?);
        }
        let target = target::open(app, &self.from, &[])?;
        let Some(snapshot) = NodeSnapshot::of(&target.record).transpose()? else {
            return Err(Error::NotOfANode { snapshot: target.record.id.short() });
        };
        let node = in_sandbox(&snapshot.node()?, sandbox);
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Unpacking");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let is_minima = |name: &str| {
            let mut components = node.profile.components.iter();
            components.any(|one| one.name == name && matches!(one.kind, Kind::Minima(_)))
        };
        bring_all(&ground, &snapshot, &placements(&snapshot, &node, is_minima)?)?;
        progress.close();
        let place = |wanted: MinimaPart| {
            let components = node.components().unwrap_or_default();
            let mut held = components.into_iter().filter(|one| one.path.exists());
            held.find(
                |one| matches!(&one.component.kind, Kind::Minima(rule) if rule.take == wanted),
            )
            .map(|one| one.path)
        };
        let state = place(MinimaPart::State).map(|path| read_state(&path)).transpose()?;
        let (archive, mega) = (place(MinimaPart::Archive), place(MinimaPart::Mega));
        let copies =
            Copies { state: state.as_ref(), archive: archive.as_deref(), mega: mega.as_deref() };
        Ok(Supply::of_copies(&copies, &sandbox.join("blocks"))?)
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Asked(from) => format!("{from}: asked whether we are here"),
        Event::Blocks(from, first, count) => {
            format!("{from}: wanted blocks from {first} on, got {count}")
        }
        Event::Coins(from, count) => format!("{from}: got the chain and {count} coins"),
        Event::Refused(from, why) => format!("{from}: sent away: {why}"),
        Event::Missed(error) => format!("somebody could not be let in: {error}"),
    }
}
