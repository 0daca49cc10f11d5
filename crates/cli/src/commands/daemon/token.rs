//! `nodekeep daemon token`: who may ask the dashboard and its API.

use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use nodekeep_http::token::{Role, Tokens};
use serde_json::json;

use crate::error::{Error, Result};
use crate::render::{Table, time};
use crate::session::App;

/// Tokens for the dashboard and its API
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Only hashes are kept: a token is shown once, when it is made. See docs/api.md.")]
pub enum Token {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Make a token, and show it this once
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

read sees everything, also the files in snapshots, as far as the daemon's own keys read them. operate also starts and stops jobs. admin also restores.

Examples:
  nodekeep daemon token add phone --role read
  nodekeep daemon token add prometheus --role read --expires 365d
  nodekeep daemon token add me --role admin")]
pub struct Add {
    /// What it is called: jobs that it starts say so
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: Access,
    /// It ends after so long: 12h, 90d
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    expires: Option<SignedDuration>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Access {
    /// See
    Read,
    /// Start and stop jobs too
    Operate,
    /// Restore too
    Admin,
}

/// List tokens: their names and roles
#[derive(Debug, Args)]
#[command(after_help = "Role: none.")]
pub struct List {}

/// Remove a token: what it opened is closed at once
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep daemon token remove phone")]
pub struct Remove {
    /// Which
    name: String,
}

impl Token {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Add(args) => args.run(app),
            Self::List(args) => args.run(app),
            Self::Remove(args) => args.run(app),
        }
    }
}

impl Access {
    fn role(self) -> Role {
        match self {
            Self::Read => Role::Read,
            Self::Operate => Role::Operate,
            Self::Admin => Role::Admin,
        }
    }
}

impl Add {
    fn run(&self, app: &App) -> Result<()> {
        let now = Timestamp::now();
        let end =
            |age| now.checked_add(age).map_err(|_| Error::Options("--expires is too far off"));
        let expires = self.expires.map(end).transpose()?;
        let role = self.role.role();
        let token = tokens(app).add(&self.name, role, expires)?;
        app.output.answer(token.as_str())?;
        app.output.remark("This is the only time that it is shown. Keep it like a password.");
        app.output.document(&json!({
            "name": self.name,
            "role": role,
            "expires": expires.map(|end| end.to_string()),
            "token": token.as_str(),
        }))
    }
}

impl List {
    fn run(&self, app: &App) -> Result<()> {
        let all = tokens(app).all()?;
        let mut table = Table::new(&["name", "role", "made", "expires"]);
        for token in &all {
            let day = |at: Timestamp| time::date_time(at.as_millisecond());
            let expires = token.expires.map_or_else(|| "never".to_owned(), day);
            table.row([token.name.clone(), token.role.word().into(), day(token.made), expires]);
        }
        match table.is_empty() {
            true => app
                .output
                .say("There are no tokens yet: nodekeep daemon token add NAME --role read")?,
            false => app.output.answer(table.text())?,
        }
        let documents = all.iter().map(|token| {
            json!({
                "name": token.name,
                "role": token.role,
                "made": token.made.to_string(),
                "expires": token.expires.map(|end| end.to_string()),
            })
        });
        app.output.document(&json!({ "tokens": documents.collect::<Vec<_>>() }))
    }
}

impl Remove {
    fn run(&self, app: &App) -> Result<()> {
        tokens(app).remove(&self.name)?;
        app.output.say(format!("The token {} opens nothing any more.", self.name))?;
        app.output.document(&json!({ "name": self.name, "removed": true }))
    }
}

fn tokens(app: &App) -> Tokens {
    Tokens::new(app.home.data())
}

/// Hours or days.
fn parse_age(text: &str) -> Result<SignedDuration, String> {
    let bad = || "say hours or days: 12h, 90d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: i64 = number.parse().ok().filter(|n| (1..=36_500).contains(n)).ok_or_else(bad)?;
    match unit {
        "h" => Ok(SignedDuration::from_hours(number)),
        "d" => Ok(SignedDuration::from_hours(24 * number)),
        _ => Err(bad()),
    }
}
