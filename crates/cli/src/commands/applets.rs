//! Applets of an Axon: what `restore` and `snapshot export` have in common when rows are meant instead of files.

use std::path::Path;

use clap::Args;
use nodekeep_nodes::axon::chunks::Flaw;
use nodekeep_nodes::axon::key::Recipient;
use nodekeep_nodes::axon::rekey::Rekeyed;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_service::applets::Unpacked;
use nodekeep_service::backup::Ground;
use nodekeep_service::find::NodeSnapshot;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::render;

/// The component that holds them.
pub const APPLETS: &str = "applets";

/// Which applets, and for whom.
#[derive(Debug, Default, Args)]
pub struct Choosing {
    /// Of applets only these, as rows: NAME[,NAME]
    #[arg(long, value_name = "NAME", alias = "applet", help_heading = "Applets of an Axon")]
    pub select: Vec<String>,
    /// Without the encrypted content: only what names it
    #[arg(long, help_heading = "Applets of an Axon")]
    pub skip_chunks: bool,
    /// Make envelopes for other instances, with the key of the one that was backed up; chunks stay as they are
    #[arg(long, help_heading = "Applets of an Axon")]
    pub rekey: bool,
    /// With --rekey: drop the envelopes of everybody else but users' own
    #[arg(long, requires = "rekey", help_heading = "Applets of an Axon")]
    pub prune: bool,
}

impl Choosing {
    /// Whether anything was said that only applets understand.
    pub fn is_meant(&self) -> bool {
        !self.select.is_empty() || self.rekey
    }

    /// Makes envelopes, if that is wanted.
    ///
    /// # Errors
    /// If there is nobody to make them for, or some content does not open.
    pub fn give_keys(
        &self,
        ground: &Ground<'_>,
        from: (&NodeSnapshot, &[SnapshotRecord]),
        unpacked: &mut Unpacked,
        recipients: &[Recipient],
    ) -> Result<Option<Rekeyed>> {
        if !self.rekey {
            return Ok(None);
        }
        if recipients.is_empty() {
            return Err(Error::Options(
                "--rekey needs somebody to make envelopes for: --recipient FILE with the public key of an instance",
            ));
        }
        Ok(Some(ground.rekey_applets(from, unpacked, recipients, self.prune)?))
    }
}

/// Public keys from files: PEM, or what an instance answers at `/api/identity/public_key/`.
///
/// # Errors
/// If a file cannot be read or holds no public key.
pub fn recipients(files: &[String]) -> Result<Vec<Recipient>> {
    files.iter().map(|file| recipient(Path::new(file.strip_prefix('@').unwrap_or(file)))).collect()
}

fn recipient(file: &Path) -> Result<Recipient> {
    let text = std::fs::read_to_string(file).map_err(Error::file(file, "read"))?;
    let answer: Option<Value> = serde_json::from_str(&text).ok();
    let key = answer.as_ref().and_then(|answer| {
        answer.as_object()?.values().filter_map(Value::as_str).find(|text| text.contains("BEGIN"))
    });
    let name = file.display().to_string();
    Recipient::from_pem(&name, key.unwrap_or(&text))
        .map_err(|error| nodekeep_service::error::Error::from(error).into())
}

/// What envelopes were made, in a line.
pub fn rekeyed_text(rekeyed: Option<&Rekeyed>) -> String {
    rekeyed.map_or_else(String::new, |done| {
        format!(
            "{} of {}: {} made, {} dropped",
            render::count(done.changed as u64),
            render::counted(done.manifests as u64, "manifest"),
            render::counted(done.added as u64, "envelope"),
            render::count(done.dropped as u64),
        )
    })
}

/// The same as a document.
pub fn rekeyed_document(rekeyed: Option<&Rekeyed>) -> Value {
    rekeyed.map_or(Value::Null, |done| {
        json!({
            "manifests": done.manifests,
            "changed": done.changed,
            "added": done.added,
            "dropped": done.dropped,
        })
    })
}

/// Chunks that are not there, each on a line.
pub fn missing_text(missing: &[(String, Flaw)]) -> String {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = missing
        .iter()
        .take(SHOWN)
        .map(|(of, flaw)| render::path(format!("  {of}: {flaw}").as_bytes()))
        .collect();
    if missing.len() > SHOWN {
        lines.push(format!("  … and {} more (see --json)", missing.len() - SHOWN));
    }
    lines.join("\n")
}

/// The same as a document.
pub fn missing_document(missing: &[(String, Flaw)]) -> Value {
    missing
        .iter()
        .map(|(of, flaw)| json!({ "of": of, "name": format!("{}.chunk", flaw.index), "why": flaw.to_string() }))
        .collect()
}
