//! `nodekeep drill`: prove that a node comes back.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nodekeep_nodes::kind::Check;
use nodekeep_repo::id::SnapshotId;
use nodekeep_service::certificate::{Certificate, DrillResult, Signed};
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::records::{CERTIFICATE, of_kind_with_ids};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::refs;
use crate::render::{self, Table};
use crate::session::{App, Need, Opened};
use crate::target;

/// Restore a node into a sandbox, check it by its own rules, and sign what was found
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Role: a reader that also holds a writer credential: it signs the certificate.

The node is not touched. The certificate names the sandbox, every step that was skipped and why, and the key that signed it; it says `proven` only if the profile started the node on the copy.

Exit code 4: something in the copy is not as it should be.

Examples:
  nodekeep drill guts
  nodekeep drill guts@2026-11-19 --sandbox /mnt/big
  nodekeep drill list
  nodekeep drill show 4f2a91c0 > certificate.json
  nodekeep drill verify-certificate certificate.json"
)]
pub struct Drill {
    #[command(subcommand)]
    command: Option<Command>,
    /// The node, or one of its snapshots
    #[arg(value_name = "NODE[@WHEN]", required = true)]
    snapshot: Option<String>,
    /// The newest snapshot, as without it
    #[arg(long, hide = true)]
    latest: bool,
    /// Where to restore to, below it
    #[arg(long, value_name = "DIR")]
    sandbox: Option<PathBuf>,
    /// Leave the sandbox there afterwards
    #[arg(long)]
    keep: bool,
}

/// What else can be done with drills.
#[derive(Debug, Subcommand)]
enum Command {
    /// List the drills of all nodes, or of one
    List {
        /// Only this node
        node: Option<String>,
    },
    /// Print a certificate with its signature
    Show {
        /// Start of the drill's id
        id: String,
    },
    /// Check a certificate's signature, and whose it is
    VerifyCertificate {
        /// As `drill show` prints it
        file: PathBuf,
    },
}

impl Drill {
    pub fn run(&self, app: &App) -> Result<()> {
        match (&self.command, &self.snapshot) {
            (Some(Command::List { node }), _) => list(app, node.as_deref()),
            (Some(Command::Show { id }), _) => show(app, id),
            (Some(Command::VerifyCertificate { file }), _) => verify(app, file),
            (None, Some(snapshot)) => self.drill(app, snapshot),
            (None, None) => Err(Error::Options("name a node")),
        }
    }

    fn drill(&self, app: &App, text: &str) -> Result<()> {
        let reference = refs::parse(text)?;
        let target = target::find(app.open(Need::Read)?.repository, &reference)?;
        let snapshot = NodeSnapshot::of(&target.record)
            .ok_or_else(|| Error::NotOfANode { snapshot: target.record.id.short() })??;
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Drilling");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let folder = match &self.sandbox {
            Some(folder) => std::path::absolute(folder).map_err(Error::file(folder, "find"))?,
            None => app.home.scratch()?,
        };
        let drilled = ground.drill(&snapshot, &folder, self.keep)?;
        progress.close();
        app.output.say(text_of(&drilled.certificate, drilled.id))?;
        app.output.document(&document(drilled.id, &drilled.signed, &drilled.certificate))?;
        match drilled.certificate.result {
            DrillResult::Failed => Err(Error::Exit(exit::Class::Damaged.exit_code())),
            DrillResult::Proven | DrillResult::Restored => Ok(()),
        }
    }
}

fn text_of(certificate: &Certificate, id: SnapshotId) -> String {
    let steps: Vec<String> = certificate.steps.iter().map(step_text).collect();
    let fields = render::fields(&[
        ("drill", id.short()),
        (
            "snapshot",
            format!(
                "{}, captured {}",
                render::short(&certificate.snapshot),
                render::time::told(&certificate.captured_at)
            ),
        ),
        ("result", certificate.result.words().to_owned()),
        (
            "recovery",
            format!("{:.1} s, {}", certificate.recovery_secs, render::size(certificate.bytes)),
        ),
        ("sandbox", certificate.sandbox.clone()),
        ("signed by", certificate.signer.clone()),
    ]);
    format!("Drilled the node {}\n{fields}\n\n{}", certificate.node, steps.join("\n"))
}

fn step_text(step: &Check) -> String {
    format!("  {}", nodes::check_text(&step.name, step))
}

fn document(id: SnapshotId, signed: &Signed, certificate: &Certificate) -> Value {
    json!({ "drill": id.hex(), "certificate": certificate, "signed": signed })
}

fn drills(opened: &Opened, node: Option<&str>) -> Result<Vec<(SnapshotId, Signed)>> {
    let all = opened.repository.snapshots()?;
    let nodes: std::collections::BTreeSet<&str> = all
        .iter()
        .flat_map(|record| &record.snapshot.tags)
        .filter(|(name, _)| name == nodekeep_service::find::TAG)
        .map(|(_, value)| value.as_str())
        .collect();
    let wanted = nodes.into_iter().filter(|name| node.is_none_or(|node| node == *name));
    Ok(wanted.flat_map(|name| of_kind_with_ids(&all, name, CERTIFICATE)).collect())
}

fn list(app: &App, node: Option<&str>) -> Result<()> {
    let opened = app.open(Need::Read)?;
    let mut table = Table::new(&["drill", "node", "when", "snapshot", ">recovery", "result"]);
    let mut documents = Vec::new();
    for (id, signed) in drills(&opened, node)? {
        let trusted = signed.open_for(opened.repository.roster(), &opened.repository.id().hex());
        let (node, at, snapshot, secs, result) = match &trusted {
            Ok(c) => (
                c.node.clone(),
                c.at.clone(),
                c.snapshot.clone(),
                format!("{:.1} s", c.recovery_secs),
                c.result.words().to_owned(),
            ),
            Err(why) => (
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                format!("not believed: {why}"),
            ),
        };
        table.row([id.short(), node, at, render::short(&snapshot).to_owned(), secs, result]);
        documents.push(json!({ "drill": id.hex(), "certificate": trusted.as_ref().ok(), "distrust": trusted.err().map(|why| why.to_string()) }));
    }
    match table.is_empty() {
        true => app.output.say("No drills yet: nodekeep drill NODE")?,
        false => app.output.answer(table.text())?,
    }
    app.output.document(&json!({ "drills": documents }))
}

fn show(app: &App, id: &str) -> Result<()> {
    let opened = app.open(Need::Read)?;
    let found = drills(&opened, None)?.into_iter().find(|(known, _)| known.hex().starts_with(id));
    let (_, signed) = found.ok_or_else(|| Error::NoDrill { wanted: id.to_owned() })?;
    let text = serde_json::to_string_pretty(&signed).map_err(|e| Error::Output(e.into()))?;
    app.output.answer(text)?;
    app.output.document(&signed)
}

fn verify(app: &App, file: &PathBuf) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(Error::file(file, "read"))?;
    let signed: Signed = serde_json::from_str(&text)
        .map_err(|error| Error::BadCertificate { path: file.clone(), why: error.to_string() })?;
    let opened = app.open(Need::Look)?;
    let certificate = signed
        .open_for(opened.repository.roster(), &opened.repository.id().hex())
        .map_err(|why| Error::BadCertificate { path: file.clone(), why: why.to_string() })?;
    app.output.answer(format!(
        "The certificate is genuine: signed by member {} of this repository.\n{}: {}, {:.1} s, snapshot {} of {}",
        certificate.signer,
        certificate.node,
        certificate.result.words(),
        certificate.recovery_secs,
        render::short(&certificate.snapshot),
        certificate.captured_at,
    ))?;
    app.output.document(&json!({ "genuine": true, "certificate": certificate }))
}
