//! `nodekeep guard NODE -- COMMAND…` and `nodekeep deploy NODE`: a command between a verified backup and a look at the node.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use nodekeep_nodes::health::{self, Seen};
use nodekeep_nodes::node::Node;
use nodekeep_repo::backup::BackupOptions;
use nodekeep_service::backup::Ground;
use nodekeep_service::capture;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::guard::{self, Guard as Journal};
use nodekeep_service::restore::Wish;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exit::Class;
use crate::interrupt;
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::render;
use crate::session::{App, Need, Opened};

/// How long a node may take to be well after its command.
const PATIENCE_SECS: u64 = 120;
/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Run a command between a verified backup and a look at the node; roll back if it goes wrong
#[derive(Debug, Args)]
#[command(after_help = "\
Role: a reader that also holds a writer credential.

First the node is backed up, and the snapshot is verified: all chunks are there, sizes add up, a sample is read back. If that fails the command is not run. Then the command runs with its own input and output, and the node is looked at until it is well.
A rollback is an ordinary restore of that snapshot: where the fence refuses it, nothing is changed, and the remedies are named.
Each phase is written down: after a crash the next start says what was cut off.

Exit code: 0 if the command succeeded and the node is well. The command's own code if it failed, rolled back or not. 1 if the node is not well. 3 or 4 if the backup is not whole or not sound: the command was not run; 3 also if what was rolled back to is in place and not well. 12 if the fence refuses the rollback.

Examples:
  nodekeep guard guts --on-failure rollback -- systemctl restart guts
  nodekeep guard relay -- sh -c 'npm ci && pm2 restart relay'
  nodekeep guard guts --forget")]
pub struct Guard {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    terms: Terms,
    /// Forget what a crash left of an earlier one: all is well now
    #[arg(long, conflicts_with = "command")]
    forget: bool,
    /// The command
    #[arg(value_name = "COMMAND", last = true, required_unless_present = "forget")]
    command: Vec<String>,
}

/// Run a node's deploy command; with `pre-deployment-backup = true` as `nodekeep guard` does
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; with a backup as `nodekeep guard`.

The command is the one of `nodekeep node add --deploy LINE`, or the key `deploy` of the profile.

Examples:
  nodekeep config set pre-deployment-backup true
  nodekeep deploy guts --on-failure rollback")]
pub struct Deploy {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    terms: Terms,
    /// Back up first, whatever the configuration says
    #[arg(long)]
    guard: bool,
}

/// What is done when it goes wrong.
#[derive(Debug, Clone, Copy, Args)]
struct Terms {
    /// What to do if the command fails, or the node is not well afterwards
    #[arg(long, value_enum, value_name = "HOW", default_value_t = OnFailure::Ask)]
    on_failure: OnFailure,
    /// How long the node may take to be well, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECS)]
    patience: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnFailure {
    /// Restore the snapshot, unless the fence refuses
    Rollback,
    /// Leave it as it is, and say how to roll back
    Keep,
    /// Ask; without a terminal as keep
    Ask,
}

impl Guard {
    pub fn run(&self, app: &App) -> Result<()> {
        let state = nodes::state(app);
        if self.forget {
            let was_there = guard::forget(&state.of(&self.node)?, &self.node)?;
            let word = if was_there { "Forgotten." } else { "Nothing was left." };
            app.output.say(word)?;
            return app.output.document(&json!({ "node": self.node, "forgotten": was_there }));
        }
        let node = state.load(&self.node)?;
        guarded(app, &node, &self.command, self.terms)
    }
}

impl Deploy {
    pub fn run(&self, app: &App) -> Result<()> {
        let node = nodes::state(app).load(&self.node)?;
        let program = node.deploy()?.ok_or_else(|| Error::NoDeploy { node: self.node.clone() })?;
        if self.guard || app.settings.pre_deployment_backup {
            return guarded(app, &node, &program.argv, self.terms);
        }
        let code = launch(app, &program.argv)?;
        let told = Told { node: &self.node, snapshot: None, code, seen: &[], ended: Ended::Kept };
        app.output.document(&told.document())?;
        conclude(code)
    }
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Kept,
    RolledBack,
    /// What was before is in place, and somebody must look.
    RolledBackIll,
}

struct Told<'a> {
    node: &'a str,
    snapshot: Option<String>,
    code: u8,
    seen: &'a [Seen],
    ended: Ended,
}

impl Told<'_> {
    fn document(&self) -> Value {
        let look =
            |one: &Seen| json!({ "name": one.name, "well": one.is_well, "detail": one.detail });
        json!({
            "node": self.node,
            "snapshot": self.snapshot,
            "code": self.code,
            "looks": self.seen.iter().map(look).collect::<Vec<_>>(),
            "well": self.seen.iter().all(|one| one.is_well),
            "rolled_back": matches!(self.ended, Ended::RolledBack | Ended::RolledBackIll),
        })
    }
}

fn conclude(code: u8) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Error::Exit(code)) }
}

fn guarded(app: &App, node: &Node, command: &[String], terms: Terms) -> Result<()> {
    let state = nodes::state(app);
    let mut journal = Journal::begin(&state.of(node.name())?, node.name(), Timestamp::now())?;
    let opened = app.open(Need::Read)?;
    opened.repository.writer_id()?;
    let progress = Progress::start(&app.output, "Backing up");
    let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
    let snapshot = before(app, &opened, &ground, node);
    progress.close();
    let snapshot = snapshot?;
    journal.backed_up(snapshot.record.id)?;
    interrupt::watch();
    let code = match launch(app, command) {
        Ok(code) => code,
        // It was not even started: nothing was changed.
        Err(error) => return journal.done().map_err(Error::from).and(Err(error)),
    };
    interrupt::forgive();
    let seen = match code {
        0 => health::wait_until_healthy(node, Duration::from_secs(terms.patience)),
        _ => Vec::new(),
    };
    let is_well = seen.iter().all(|one| one.is_well);
    let mut told = Told {
        node: node.name(),
        snapshot: Some(snapshot.record.id.hex()),
        code,
        seen: &seen,
        ended: if code == 0 && is_well { Ended::Well } else { Ended::Kept },
    };
    if told.ended == Ended::Kept {
        say_wrong(app, &told);
        if wants_rollback(app, terms.on_failure)? {
            journal.roll_back()?;
            match roll_back(app, &ground, node, &snapshot) {
                Ok(ended) => told.ended = ended,
                // Nothing was changed, and the person has been told what can be done.
                Err(error) if is_refusal(&error) => {
                    return journal.done().map_err(Error::from).and(Err(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
    journal.done()?;
    finish(app, &told)
}

fn is_refusal(error: &Error) -> bool {
    use nodekeep_service::error::Error as Service;
    matches!(error, Error::Service(Service::Rewinds { .. } | Service::Held { .. }))
}

/// The backup that a rollback would go to: whole and verified, or an error.
fn before(app: &App, opened: &Opened, ground: &Ground<'_>, node: &Node) -> Result<NodeSnapshot> {
    let options = BackupOptions {
        cache: Some(app.home.cache(&opened.repository.id())),
        host: ground.host.clone(),
        program: ground.program.clone(),
        tags: vec![("guard".to_owned(), "before".to_owned())],
        ..BackupOptions::default()
    };
    let done = ground.backup(node, &capture::Wish::default(), &options)?;
    opened.pin()?;
    let id = done.report.snapshot.filter(|_| done.is_whole());
    let id = id.ok_or_else(|| {
        app.output.alert("The backup is not whole; the command was not run.");
        Error::Exit(Class::Incomplete.exit_code())
    })?;
    opened.remember_own(id)?;
    let records = opened.repository.snapshots()?;
    let record = records.iter().find(|record| record.id == id);
    let snapshot =
        record.and_then(NodeSnapshot::of).ok_or(Error::NotOfANode { snapshot: id.short() })??;
    let seen = ground.verify(&snapshot)?;
    if !seen.is_sound() {
        app.output
            .alert(format!("The backup is not sound: {}. The command was not run.", seen.text()));
        return Err(Error::Exit(Class::Damaged.exit_code()));
    }
    app.output.remark(format!("Backed up and verified: snapshot {}, {}.", id.short(), seen.text()));
    Ok(snapshot)
}

/// Runs a command with our input and output, for as long as it takes; its exit code. With `--json` its output goes to standard error.
fn launch(app: &App, words: &[String]) -> Result<u8> {
    let (program, arguments) = words.split_first().ok_or(Error::Options("say which command"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if app.output.json {
        let other = std::io::stderr().as_fd().try_clone_to_owned().map_err(Error::Output)?;
        command.stdout(Stdio::from(other));
    }
    let cannot = || Error::file(program.as_ref(), "run");
    let mut child = command.spawn().map_err(cannot())?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut was_told = false;
    loop {
        if let Some(status) = child.try_wait().map_err(cannot())? {
            return Ok(code_of(status));
        }
        if let (true, false, Some(pid)) = (interrupt::asked(), was_told, pid) {
            was_told = true;
            // At a terminal it has heard it already; one that has ended hears nothing.
            _ = kill_process(pid, Signal::TERM);
        }
        thread::sleep(LOOK);
    }
}

/// As a shell says it: 128 and the signal's number.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn say_wrong(app: &App, told: &Told<'_>) {
    let ill = told.seen.iter().filter(|one| !one.is_well);
    let ill: Vec<String> =
        ill.map(|one| format!("{}: {}", one.name, render::path(one.detail.as_bytes()))).collect();
    app.output.alert(match told.code {
        0 => format!("The command succeeded, and {} is not well: {}.", told.node, ill.join("; ")),
        code => format!("The command failed with exit code {code}."),
    });
}

fn wants_rollback(app: &App, how: OnFailure) -> Result<bool> {
    match how {
        OnFailure::Rollback => Ok(true),
        OnFailure::Keep => Ok(false),
        OnFailure::Ask => {
            let details = "Rolling back restores what was there before the command";
            match prompt::confirm(&app.output, false, "rolling back", details) {
                Ok(()) => Ok(true),
                Err(Error::Unconfirmed { .. } | Error::Declined) => Ok(false),
                Err(error) => Err(error),
            }
        }
    }
}

/// An ordinary restore: the fence is asked, and a refusal changes nothing.
fn roll_back(
    app: &App,
    ground: &Ground<'_>,
    node: &Node,
    snapshot: &NodeSnapshot,
) -> Result<Ended> {
    let all = ground.repository.snapshots()?;
    let restored = ground.restore_node(node, snapshot, &all, &Wish::default())?;
    app.output.remark(format!(
        "Rolled back to snapshot {} in {}.",
        snapshot.record.id.short(),
        render::duration(restored.took)
    ));
    for path in &restored.aside {
        app.output.remark(format!("What the command left lies in {}", path.display()));
    }
    if restored.problems.is_empty() {
        return Ok(Ended::RolledBack);
    }
    app.output.alert(format!("In place, but:\n{}", render::indent(&restored.problems.join("\n"))));
    Ok(Ended::RolledBackIll)
}

fn finish(app: &App, told: &Told<'_>) -> Result<()> {
    let at = told.snapshot.as_deref().map_or("", render::short);
    match told.ended {
        Ended::Well => {
            app.output.remark(format!("{} is well. Before it: snapshot {at}.", told.node))
        }
        Ended::Kept => app.output.alert(format!(
            "It was left as it is. To roll back: nodekeep restore {}@{at}",
            told.node
        )),
        Ended::RolledBack | Ended::RolledBackIll => {}
    }
    app.output.document(&told.document())?;
    match (told.code, told.ended) {
        (0, Ended::Well) => Ok(()),
        (_, Ended::RolledBackIll) => Err(Error::Exit(Class::Incomplete.exit_code())),
        (0, _) => Err(Error::Exit(Class::Failed.exit_code())),
        (code, _) => conclude(code),
    }
}
