//! `nodekeep maintenance`: a node's own maintenance mode, and what its old tools did.

mod rekey;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use nodekeep_nodes::hold;
use nodekeep_nodes::kind::Verified;
use nodekeep_nodes::relay::{self, Folders, maintenance};
use nodekeep_service::error::Error as Service;
use nodekeep_service::holding::site;
use serde_json::json;

use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::prompt;
use crate::session::App;

/// Keep a node still, check it, and mend it
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Role: none. `validate`, `fix`, `clear-cache` and `reset` are for nodes of the profile `relay`, `rekey` for those of `axon`.

`maintenance backup NODE` is `backup NODE`.")]
pub enum Maintenance {
    /// Pause the node's writes until `exit`
    Enter(Name),
    /// Let the node write again; also releases what a crash left held
    Exit(Name),
    /// Show what is held
    Status(Name),
    /// Check the node's data by its own rules; changes nothing
    Validate(Name),
    /// Mend what can be mended: permissions, missing folders, torn last lines
    Fix(Change),
    /// Remove caches
    ClearCache(Change),
    /// Reset the system's state as its own tool does
    Reset(Change),
    /// Make envelopes for applets of an Axon in use, for all that it trusts now
    Rekey(rekey::Rekey),
}

/// A node.
#[derive(Debug, Args)]
pub struct Name {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
}

/// A change to a node.
#[derive(Debug, Args)]
pub struct Change {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Show what would be done; touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Maintenance {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Enter(node) => enter(app, &node.name),
            Self::Exit(node) => leave(app, &node.name),
            Self::Status(node) => status(app, &node.name),
            Self::Validate(node) => validate(app, &node.name),
            Self::Fix(change) => change.run(app, maintenance::fix),
            Self::ClearCache(change) => change.run(app, maintenance::clear_cache),
            Self::Reset(change) => change.run(app, maintenance::reset),
            Self::Rekey(args) => args.run(app),
        }
    }
}

fn enter(app: &App, name: &str) -> Result<()> {
    let state = nodes::state(app);
    let node = state.load(name)?;
    let note = hold::enter_maintenance(&node, &site(&state.of(name)?)).map_err(Service::from)?;
    let text = note.map_or_else(|| format!("{name} is in maintenance."), |note| note.text);
    app.output.say(format!("{text}\nLet it go: nodekeep maintenance exit {name}"))?;
    app.output.document(&json!({ "node": name, "entered": true, "note": text }))
}

fn leave(app: &App, name: &str) -> Result<()> {
    let state = nodes::state(app);
    state.load(name)?;
    let folder = site(&state.of(name)?).folder;
    let released =
        hold::exit_maintenance(&folder, name, Timestamp::now()).map_err(Service::from)?;
    match released.is_empty() {
        true => app.output.say(format!("Nothing of {name} was held."))?,
        false => app.output.say(format!("Released: {}", released.join("; ")))?,
    }
    app.output.document(&json!({ "node": name, "released": released }))
}

fn status(app: &App, name: &str) -> Result<()> {
    let state = nodes::state(app);
    state.load(name)?;
    let standing = hold::status(&site(&state.of(name)?).folder, name).map_err(Service::from)?;
    let held = |one: &hold::Outstanding| {
        let who = match (one.is_manual, standing.is_busy) {
            (true, _) => "by hand",
            (false, true) => "by a backup that runs",
            (false, false) => "left by a crash: the next backup releases it",
        };
        format!("held since {}, {who}: {}", one.since, one.step.about)
    };
    let lines: Vec<String> = standing.outstanding.iter().map(held).collect();
    match lines.is_empty() {
        true => app.output.answer(format!("{name} is not held."))?,
        false => app.output.answer(lines.join("\n"))?,
    }
    app.output.document(&json!({ "node": name, "held": lines }))
}

fn folders(app: &App, name: &str) -> Result<Folders> {
    let node = nodes::state(app).load(name)?;
    match node.registration.paths.get("data") {
        Some(data) if node.profile.name == "relay" => Ok(Folders::of(data.clone())),
        _ => Err(Error::NotForProfile { node: name.to_owned(), profile: node.profile.name }),
    }
}

fn validate(app: &App, name: &str) -> Result<()> {
    let report = relay::check::validate(&folders(app, name)?)?;
    app.output.answer(report_text(&report))?;
    app.output.document(&json!({ "node": name, "sound": report.is_sound(), "checks": report.checks, "position": report.position }))?;
    match report.is_sound() {
        true => Ok(()),
        false => Err(Error::Exit(exit::Class::Damaged.exit_code())),
    }
}

fn report_text(report: &Verified) -> String {
    let line = |check: &nodekeep_nodes::kind::Check| nodes::check_text(&check.name, check);
    let lines: Vec<String> = report.checks.iter().map(line).collect();
    format!("{}\n{}", lines.join("\n"), report.position.text())
}

impl Change {
    fn run(
        &self,
        app: &App,
        plan: impl Fn(&Folders) -> nodekeep_nodes::error::Result<maintenance::Plan>,
    ) -> Result<()> {
        let plan = plan(&folders(app, &self.name)?)?;
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let document = json!({ "node": self.name, "steps": steps, "dry_run": self.dry_run });
        if steps.is_empty() {
            app.output.say("Nothing to do.")?;
            return app.output.document(&document);
        }
        app.output.answer(steps.join("\n"))?;
        if self.dry_run {
            return app.output.document(&document);
        }
        let what =
            format!("This changes {}; back it up first: nodekeep backup {}", self.name, self.name);
        prompt::confirm(&app.output, self.yes, "changing a node's data", &what)?;
        plan.apply()?;
        app.output.say("Done.")?;
        app.output.document(&document)
    }
}
