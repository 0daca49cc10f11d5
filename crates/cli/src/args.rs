//! The grammar of the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::daemon::RoleArg;
use crate::commands::{
    backup, check, completions, config, daemon, drill, guard, health, init, key, maintenance, man,
    metrics, minima, node, repo, restore, runbook, schedule, snapshot, status,
};
use crate::settings::parse_rate;

/// Encrypted, deduplicated backup and exact restore, from a repository that opens with 24 words.
#[derive(Debug, Parser)]
#[command(
    name = "nodekeep",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands",
    after_help = "Run `nodekeep` alone to see what lies here and what to do next.\n\
                  Run `nodekeep COMMAND --help` for the options and examples of a command."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do; nothing: look around.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What a command is for comes before how it is typed; the parser would put it above its name.
const HELP: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

impl Cli {
    /// The grammar with its help in order.
    pub fn grammar() -> clap::Command {
        in_order(Self::command())
    }
}

fn in_order(command: clap::Command) -> clap::Command {
    command.help_template(HELP).mut_subcommands(in_order)
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// The repository: a folder, s3://BUCKET/PREFIX, or https://HOST/PATH to read a mirror [env: NODEKEEP_REPO; default: the one in your data directory]
    #[arg(long, global = true, value_name = "WHERE")]
    pub repo: Option<String>,
    /// Where an object store other than Amazon's answers [env: NODEKEEP_S3_ENDPOINT, AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Send no more than this each second, such as 10MiB [env: NODEKEEP_LIMIT_UPLOAD]
    #[arg(long, global = true, value_name = "RATE", value_parser = parse_rate)]
    pub limit_upload: Option<NonZeroUsize>,
    /// Receive no more than this each second [env: NODEKEEP_LIMIT_DOWNLOAD]
    #[arg(long, global = true, value_name = "RATE", value_parser = parse_rate)]
    pub limit_download: Option<NonZeroUsize>,
    /// Nobody else works on the repository now: asked for only where the store cannot tell (init --accept-unsafe-store)
    #[arg(long, global = true)]
    pub alone: bool,
    /// One JSON document on standard output instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Only what was asked for, and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Read with this age or SSH identity instead of the owner's [env: NODEKEEP_IDENTITY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Write with this writer credential [env: NODEKEEP_CREDENTIAL_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub credential: Option<PathBuf>,
    /// Another configuration file [env: NODEKEEP_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The most that keys are used for: a daemon says it to its jobs
    #[arg(long, global = true, value_enum, hide = true)]
    pub as_role: Option<RoleArg>,
    /// Plain text only [env: NO_COLOR]
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Init),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Check(check::Check),
    Status(status::Status),
    #[command(subcommand)]
    Node(node::Node),
    Health(health::Health),
    Drill(drill::Drill),
    Guard(guard::Guard),
    Deploy(guard::Deploy),
    #[command(subcommand)]
    Maintenance(maintenance::Maintenance),
    Runbook(runbook::Runbook),
    #[command(subcommand)]
    Schedule(schedule::Command),
    #[command(subcommand)]
    Daemon(daemon::Command),
    #[command(subcommand)]
    Metrics(metrics::Command),
    #[command(subcommand)]
    Config(config::Command),
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Repo(repo::Repo),
    #[command(subcommand)]
    Minima(minima::Minima),
    Completions(completions::Completions),
    Man(man::Man),
}
