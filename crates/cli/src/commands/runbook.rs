//! `nodekeep runbook`.

use clap::Args;
use jiff::Timestamp;
use nodekeep_nodes::runbook::{Facts, runbook};
use nodekeep_service::certificate::Signed;
use nodekeep_service::find;
use nodekeep_service::records::{CERTIFICATE, of_kind};
use serde_json::json;

use crate::commands::{backup::parse_tag, machine_label};
use crate::copies;
use crate::error::Result;
use crate::nodes;
use crate::session::{App, Need};

/// Print what to do on the worst day, for this very node
#[derive(Debug, Args)]
#[command(after_help = "\
Role: reader, to name the last backup and drill. Print it, and keep it away from the machine.

Examples:
  nodekeep runbook guts --contact \"operator=Ada, +44 20 7946 0000\" > runbook.txt")]
pub struct Runbook {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Whom to call, and what for
    #[arg(long, value_name = "WHAT=WHO", value_parser = parse_tag)]
    contact: Vec<(String, String)>,
}

impl Runbook {
    pub fn run(&self, app: &App) -> Result<()> {
        let state = nodes::state(app);
        let node = state.load(&self.name)?;
        let opened = app.open(Need::Look)?;
        let mut facts = Facts {
            made_at: Timestamp::now().to_string(),
            host: app.settings.host.clone().unwrap_or_else(machine_label),
            repositories: vec![opened.location().to_owned()],
            last_backup: None,
            last_drill: None,
            notes: Vec::new(),
            contacts: self.contact.clone(),
        };
        let copies = copies::known(&opened.keys);
        facts.repositories.extend(copies.into_iter().map(|copy| copy.location));
        if opened.repository.capability().reads_trees {
            let all = opened.repository.snapshots()?;
            if let Some(newest) = find::of_node(&all, &self.name).0.pop() {
                let id = newest.record.id.short();
                facts.last_backup = Some(format!("{}, snapshot {id}", newest.manifest.captured_at));
                facts.notes =
                    newest.manifest.components.into_iter().flat_map(|c| c.notes).collect();
            }
            let newest = of_kind::<Signed>(&all, &self.name, CERTIFICATE).pop();
            let drill = newest.and_then(|signed| signed.open().ok());
            facts.last_drill =
                drill.map(|c| format!("{}: {}, {:.0} s", c.at, c.result.words(), c.recovery_secs));
        }
        let text = runbook(&node, &facts)?;
        app.output.answer(&text)?;
        app.output.document(&json!({ "node": self.name, "runbook": text }))
    }
}
