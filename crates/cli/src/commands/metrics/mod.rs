//! `nodekeep metrics`: how every node stands, for Prometheus and Grafana.

mod dashboard;
mod push;
mod rules;
mod show;
mod textfile;

use clap::Subcommand;
use jiff::Timestamp;
use nodekeep_service::metrics::exposition;

use crate::error::Result;
use crate::fleet::sources;
use crate::nodes;
use crate::session::{App, Need};

/// How every node stands, for Prometheus and Grafana
#[derive(Debug, Subcommand)]
pub enum Command {
    Show(show::Show),
    Textfile(textfile::Textfile),
    Push(push::Push),
    Rules(rules::Rules),
    Dashboard(dashboard::Dashboard),
}

impl Command {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Show(args) => args.run(app),
            Self::Textfile(args) => args.run(app),
            Self::Push(args) => args.run(app),
            Self::Rules(args) => args.run(app),
            Self::Dashboard(args) => args.run(app),
        }
    }
}

/// The page of metrics, now.
fn page(app: &App) -> Result<String> {
    let opened = app.open(Need::Look)?;
    let state = nodes::state(app);
    Ok(exposition(&sources(app, &opened, &state)?.overview(Timestamp::now())?))
}
