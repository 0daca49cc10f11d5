//! `nodekeep maintenance rekey`: envelopes for the applets of an Axon in use.

use clap::Args;
use nodekeep_nodes::axon::key::Recipient;
use nodekeep_service::applets::{component_of, rekey_live, trusted_by};
use serde_json::json;

use crate::commands::applets::{recipients, rekeyed_document, rekeyed_text};
use crate::error::{Error, Result};
use crate::nodes;
use crate::prompt;
use crate::session::App;

/// For whom.
#[derive(Debug, Args)]
pub struct Rekey {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Also for the instance whose public key is in this file: PEM, or what /api/identity/public_key/ answers
    #[arg(long, value_name = "FILE")]
    recipient: Vec<String>,
    /// Drop the envelopes of everybody else but users' own
    #[arg(long)]
    prune: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Rekey {
    pub fn run(&self, app: &App) -> Result<()> {
        let node = nodes::state(app).load(&self.name)?;
        let Some((_, rule)) = component_of(&node) else {
            let profile = node.profile.name.clone();
            return Err(Error::NotForProfile { node: self.name.clone(), profile });
        };
        let database = node.component(&rule.database)?.path;
        let known = trusted_by(&node)?;
        for (name, why) in &known.unusable {
            app.output.alert(format!("{name} gets no envelope: {why}"));
        }
        let mut all = known.recipients();
        all.extend(recipients(&self.recipient)?);
        let names: Vec<&str> = all.iter().map(|recipient| recipient.name.as_str()).collect();
        let what = format!("Makes envelopes in {} for {}", database.display(), names.join(", "));
        prompt::confirm(&app.output, self.yes, "writing into a database in use", &what)?;
        let done = rekey_live(&node, &all, self.prune)?;
        app.output.say(format!("Re-keyed {}.", rekeyed_text(Some(&done))))?;
        let shown = |recipient: &Recipient| json!({ "name": recipient.name, "fingerprint": recipient.fingerprint.to_string() });
        app.output.document(&json!({
            "node": self.name,
            "database": database,
            "recipients": all.iter().map(shown).collect::<Vec<_>>(),
            "rekeyed": rekeyed_document(Some(&done)),
        }))
    }
}
