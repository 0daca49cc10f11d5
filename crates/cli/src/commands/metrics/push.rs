//! `nodekeep metrics push`.

use clap::Args;
use serde_json::json;

use super::page;
use crate::commands::daemon::host;
use crate::error::Result;
use crate::session::App;

/// Send the metrics to a Pushgateway
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any.

They are the group of the job `nodekeep` and of this host, in place of what it sent before. A user and the file of a password or token are named in the section [metrics] of the configuration, never here.

Examples:
  nodekeep metrics push http://push.example.org:9091
  nodekeep metrics push")]
pub struct Push {
    /// Where it is; without it the one of the configuration
    #[arg(value_name = "URL")]
    url: Option<String>,
}

impl Push {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut gateway = app.settings.metrics.clone();
        if let Some(url) = &self.url {
            gateway.push = Some(url.clone());
        }
        let page = page(app)?;
        let size = page.len();
        gateway.push(page, &host(app))?;
        app.output.say("The Pushgateway took the metrics.")?;
        app.output.document(&json!({ "pushed": true, "size": size }))
    }
}
