//! `nodekeep daemon unit`, `install` and `uninstall`: the daemon under systemd.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde_json::json;

use super::{RoleArg, options, program};
use crate::error::{Error, Result};
use crate::home;
use crate::render::shell;
use crate::session::App;

const UNIT: &str = "nodekeep.service";

/// Print the unit that `install` would write
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep daemon unit --role writer")]
pub struct Unit {
    /// What the daemon may do
    #[arg(long, value_enum, default_value_t = RoleArg::Owner)]
    role: RoleArg,
}

/// Write the unit, enable it and start the daemon
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. As root the unit is one of the system, else one of the user; `loginctl enable-linger` lets the latter run without a login.

Examples:
  nodekeep daemon install
  sudo nodekeep daemon install --role writer")]
pub struct Install {
    /// What the daemon may do
    #[arg(long, value_enum, default_value_t = RoleArg::Owner)]
    role: RoleArg,
    /// Write the file, and leave the rest to you
    #[arg(long)]
    no_start: bool,
}

/// Stop the daemon, and remove its unit
#[derive(Debug, Args)]
#[command(after_help = "Role: none. Schedules, jobs and snapshots stay.")]
pub struct Uninstall {}

impl Unit {
    pub fn run(&self, app: &App) -> Result<()> {
        let text = unit(app, self.role)?;
        app.output.answer(text.trim_end())?;
        app.output.document(&json!({ "unit": text }))
    }
}

impl Install {
    pub fn run(&self, app: &App) -> Result<()> {
        let path = folder()?.join(UNIT);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder, "make"))?;
        }
        home::replace_public(&path, &unit(app, self.role)?)?;
        app.output.say(format!("Wrote {}.", path.display()))?;
        let lines = [vec!["daemon-reload"], vec!["enable", "--now", UNIT]];
        let done = !self.no_start && lines.iter().all(|line| systemctl(line));
        match done {
            true => app.output.say("The daemon runs, and starts with the machine.")?,
            false => {
                let line = format!("systemctl{} enable --now {UNIT}", user_option());
                app.output.remark(format!("Start it: {line}"));
            }
        }
        app.output.document(&json!({ "unit": path, "started": done }))
    }
}

impl Uninstall {
    pub fn run(&self, app: &App) -> Result<()> {
        let path = folder()?.join(UNIT);
        let stopped = systemctl(&["disable", "--now", UNIT]);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                app.output.say(format!("There is no {}.", path.display()))?;
            }
            result => {
                result.map_err(Error::file(&path, "remove"))?;
                // Else systemd goes on knowing it until the next restart.
                systemctl(&["daemon-reload"]);
                app.output.say(format!("Removed {}.", path.display()))?;
            }
        }
        if !stopped {
            app.output.remark("systemd did not stop it; stop it by hand if it still runs");
        }
        app.output.document(&json!({ "unit": path, "stopped": stopped }))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn user_option() -> &'static str {
    if is_root() { "" } else { " --user" }
}

/// Where systemd looks for units of this user, or of the system.
fn folder() -> Result<PathBuf> {
    if is_root() {
        return Ok("/etc/systemd/system".into());
    }
    let below = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = below("XDG_CONFIG_HOME").or_else(|| Some(below("HOME")?.join(".config")));
    config.map(|config| config.join("systemd/user")).ok_or(Error::NoHome)
}

fn systemctl(words: &[&str]) -> bool {
    let mut command = Command::new("systemctl");
    if !is_root() {
        command.arg("--user");
    }
    command.args(words).status().is_ok_and(|status| status.success())
}

/// The unit's text. Only the daemon itself is signalled (`KillMode=process`): it asks its jobs to end and waits for them, what watches over a
/// frozen node outlives it, and so does a node that a job started. Nothing is walled off, for jobs and the nodes that they start inherit it. Where the state lies is said, for systemd starts it without this user's environment.
fn unit(app: &App, role: RoleArg) -> Result<String> {
    let mut words = vec![program()?.display().to_string()];
    words.extend(options(app));
    words.extend(["daemon", "run", "--role", role.word()].map(str::to_owned));
    // systemd reads `%` as a placeholder.
    let command = words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ");
    let command = command.replace('%', "%%");
    let target = if is_root() { "multi-user.target" } else { "default.target" };
    Ok(format!(
        "[Unit]\nDescription=Nodekeep: backups, checks and drills of this machine's nodes\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=notify\nExecStart={command}\nExecReload=/bin/kill -HUP $MAINPID\n{}Restart=on-failure\nRestartSec=10\nWatchdogSec=120\nKillMode=process\nTimeoutStopSec=300\nNice=10\nIOSchedulingClass=idle\n\n[Install]\nWantedBy={target}\n",
        environment(app),
    ))
}

/// The lines of a unit that say where this user's files lie: systemd gives a service of the system not even a `HOME`.
pub fn environment(app: &App) -> String {
    let line = |(name, path): (&str, PathBuf)| {
        let path = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        format!("Environment=\"{name}={}\"\n", path.replace('%', "%%"))
    };
    app.home.variables().into_iter().map(line).collect()
}
