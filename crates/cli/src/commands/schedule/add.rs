//! `nodekeep schedule add`.

use clap::{Args, ValueEnum};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nodekeep_service::schedule::job::Job;
use nodekeep_service::schedule::rhythm::Pattern;
use nodekeep_service::schedule::{Schedule, USUAL_RETRIES};
use serde_json::json;

use super::{book, document, machine, moment_text, next_of, when_text};
use crate::commands::keep::KeepArgs;
use crate::error::{Error, Result};
use crate::nodes;
use crate::session::App;

/// Do something to a node, or to the repository, again and again
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none to set it up. A backup needs a writer; check, scrub, drill and copy a keeper; prune the owner.

With --keep-… beside a backup a second schedule is set up, which prunes this node's snapshots an hour later.
A fixed time that the change of the clock leaves out is taken right after the gap; one that comes twice is taken once. hourly and patterns with * follow the clock.

Examples:
  nodekeep schedule add guts --frequency hourly --jitter 5m --catch-up
  nodekeep schedule add guts --frequency daily --time 02:00 --keep-last 7 --keep-weekly 4
  nodekeep schedule add guts --frequency daily --time 02:00 --own-schedules
  nodekeep schedule add guts --frequency '*/10 * * * *' --component consensus --name guts-consensus
  nodekeep schedule add guts --job drill --frequency weekly --day sunday --time 04:00
  nodekeep schedule add --job scrub --every-days 30 --frequency daily --time 05:00
  nodekeep schedule add --job copy --to s3://offsite/backups --frequency weekly --time 03:00

Also spelled: backup schedule.")]
pub struct Add {
    /// The node; without one, the repository as a whole
    #[arg(value_name = "NODE")]
    node: Option<String>,
    #[arg(long, value_name = "NODE", hide = true, conflicts_with = "node")]
    canister_id: Option<String>,
    /// hourly, daily, weekly, or a cron pattern of five fields
    #[arg(long, value_name = "FREQUENCY")]
    frequency: String,
    /// The time of day; with hourly, 00:MM for the minute
    #[arg(long, value_name = "HH:MM", value_parser = parse_time)]
    time: Option<Time>,
    /// The day of the week, with weekly [default: sunday]
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    day: Option<Weekday>,
    /// What is done
    #[arg(long, value_enum, default_value_t = What::Backup)]
    job: What,
    /// Only this component of the node
    #[arg(long, value_name = "COMPONENT")]
    component: Vec<String>,
    /// Also set up what the profile says of components that are due more often
    #[arg(long, conflicts_with_all = ["component", "name"])]
    own_schedules: bool,
    /// With --job check: read and decrypt every byte
    #[arg(long)]
    data: bool,
    /// With --job scrub: in how many days every byte is read once
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    every_days: u16,
    /// With --job copy: the other repository
    #[arg(long, value_name = "REPO")]
    to: Option<String>,
    #[command(flatten)]
    keep: KeepArgs,
    /// Begin up to this much later, so that many machines do not come at once: 30m, 90s, 1h
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "0s")]
    jitter: u32,
    /// Make up for a run that was missed while the machine was off: once, however many were missed
    #[arg(long)]
    catch_up: bool,
    /// How often a run that failed for the moment is tried again
    #[arg(long, value_name = "N", default_value_t = USUAL_RETRIES, value_parser = clap::value_parser!(u32).range(0..=6))]
    retries: u32,
    /// How long after a failure it is tried again; three times as long after each further one
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "5m")]
    retry_after: u32,
    /// Whose clock is meant [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What the schedule is called [default: the node's name and the job]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A snapshot of the node
    Backup,
    /// The node's health, and its marks
    Health,
    /// The newest snapshot, or the whole repository, is checked
    Check,
    /// A share of the repository is read each time
    Scrub,
    /// The newest snapshot is restored into a sandbox and checked
    Drill,
    /// The repository is copied to another
    Copy,
    /// Old snapshots are deleted
    Prune,
}

impl Add {
    fn node(&self) -> Option<&String> {
        self.node.as_ref().or(self.canister_id.as_ref())
    }

    pub fn run(&self, app: &App) -> Result<()> {
        self.check(app)?;
        let own = self.own(app)?;
        let mut schedules = self.schedules()?;
        let main = schedules[0].clone();
        if self.own_schedules {
            for (component, frequency) in &own {
                schedules.push(of_component(&main, component, frequency)?);
            }
        }
        let machine = machine(app)?;
        let plans: Vec<_> =
            schedules.iter().map(|schedule| schedule.plan(&machine)).collect::<Result<_, _>>()?;
        book(app).add(&schedules)?;
        for plan in &plans {
            let schedule = &plan.schedule;
            app.output.say(format!(
                "{}: nodekeep {}\n  {}",
                schedule.name,
                schedule.job.arguments(schedule.node.as_deref()).join(" "),
                when_text(schedule)
            ))?;
            if let Some(next) = next_of(plan, Timestamp::now()) {
                app.output.say(format!("  next: {}", moment_text(next, &schedule.zone)))?;
            }
        }
        if let (false, [(component, frequency), ..]) = (self.own_schedules, own.as_slice()) {
            app.output.remark(format!(
                "\nThe profile would back up `{component}` {frequency}. Add that too: --own-schedules"
            ));
        }
        if !nodekeep_service::daemon::is_running(app.home.data())? {
            app.output.remark("\nNo daemon runs here, so nothing is done yet. Start it: nodekeep daemon install, or write lines for cron: nodekeep schedule export --format cron");
        }
        let past = Default::default();
        let documents: Vec<_> = plans.iter().map(|plan| document(plan, &past)).collect();
        app.output.document(&json!({ "schedules": documents }))
    }

    /// Refuses what cannot be meant, before anything is written.
    fn check(&self, app: &App) -> Result<()> {
        let refuse = |text: &str| Err(Error::Parse(text.to_owned()));
        let is_of_node = matches!(self.job, What::Backup | What::Health | What::Drill);
        match (self.node(), is_of_node) {
            (None, true) => return refuse("which node? nodekeep schedule add NODE …"),
            (Some(_), false) if matches!(self.job, What::Scrub | What::Copy) => {
                return refuse("scrub and copy are done to the repository: leave out the node");
            }
            _ => {}
        }
        if let Some(name) = self.node() {
            let node = nodes::state(app).load(name)?;
            for component in &self.component {
                node.component(component).map_err(nodekeep_service::error::Error::from)?;
            }
        }
        if !self.component.is_empty() && self.job != What::Backup {
            return refuse("--component goes with a backup");
        }
        if (self.to.is_some()) != (self.job == What::Copy) {
            return refuse("--to REPO goes with --job copy, and copy needs it");
        }
        let keeps = !self.keep.keep().is_empty();
        match self.job {
            What::Prune if !keeps => {
                refuse("prune needs a rule that keeps something: --keep-last 7")
            }
            What::Backup | What::Prune => Ok(()),
            _ if keeps => refuse("--keep-… goes with a backup or with prune"),
            _ => Ok(()),
        }
    }

    /// Components that the profile wants at other times than all of the node, with their frequencies.
    fn own(&self, app: &App) -> Result<Vec<(String, String)>> {
        let (Some(name), What::Backup, true) = (self.node(), self.job, self.component.is_empty())
        else {
            return Ok(Vec::new());
        };
        let node = nodes::state(app).load(name)?;
        let own = node.profile.components.iter().filter_map(|component| {
            let frequency = component.schedule.clone().filter(|own| *own != self.frequency)?;
            Some((component.name.clone(), frequency))
        });
        // What is due no more often than the whole is in it.
        Ok(own.filter(|(_, own)| is_oftener(own, &self.frequency)).collect())
    }

    /// The schedule, and that of its clean-up if rules stand beside a backup.
    fn schedules(&self) -> Result<Vec<Schedule>> {
        let zone = self.zone.clone().unwrap_or_else(zone_here);
        let when = Pattern::of(&self.frequency, self.time, self.day)?;
        let main = Schedule {
            name: self.name.clone().unwrap_or_else(|| self.usual_name(self.job)).parse()?,
            node: self.node().cloned(),
            job: self.job(),
            when,
            zone,
            jitter_secs: self.jitter,
            catch_up: self.catch_up,
            retries: self.retries,
            retry_after_secs: self.retry_after,
            paused: false,
            since: Timestamp::now(),
        };
        let keep = self.keep.keep();
        if self.job != What::Backup || keep.is_empty() {
            return Ok(vec![main]);
        }
        let prune = Schedule {
            name: format!("{}-prune", main.name).parse()?,
            job: Job::Prune { keep },
            when: Pattern::of("daily", Some(self.prune_time()), None)?,
            ..main.clone()
        };
        Ok(vec![main, prune])
    }

    /// An hour after the backup; at four where the backup names no hour.
    fn prune_time(&self) -> Time {
        match self.time {
            Some(time) if self.frequency != "hourly" => {
                time.wrapping_add(SignedDuration::from_hours(1))
            }
            _ => jiff::civil::time(4, 0, 0, 0),
        }
    }

    fn usual_name(&self, job: What) -> String {
        let word = job.to_possible_value().map_or(String::new(), |v| v.get_name().to_owned());
        match (self.node(), job) {
            (Some(node), What::Backup) => match self.component.as_slice() {
                [] => node.clone(),
                components => format!("{node}-{}", components.join("-")),
            },
            (Some(node), _) => format!("{node}-{word}"),
            (None, _) => word,
        }
    }

    fn job(&self) -> Job {
        match self.job {
            What::Backup => Job::Backup { components: self.component.clone() },
            What::Health => Job::Health,
            What::Check => Job::Check { data: self.data },
            What::Scrub => Job::Scrub { every_days: self.every_days },
            What::Drill => Job::Drill,
            What::Copy => Job::Copy { to: self.to.clone().unwrap_or_default() },
            What::Prune => Job::Prune { keep: self.keep.keep() },
        }
    }
}

/// A component's own schedule, beside that of the whole.
fn of_component(main: &Schedule, component: &str, frequency: &str) -> Result<Schedule> {
    Ok(Schedule {
        name: format!("{}-{component}", main.name).parse()?,
        job: Job::Backup { components: vec![component.to_owned()] },
        when: Pattern::of(frequency, None, None)?,
        ..main.clone()
    })
}

/// Of two frequencies; a cron pattern is taken at its word.
fn is_oftener(one: &str, other: &str) -> bool {
    let rank = |word: &str| ["weekly", "daily", "hourly"].iter().position(|known| *known == word);
    match (rank(one), rank(other)) {
        (Some(one), Some(other)) => one > other,
        _ => true,
    }
}

/// The zone of this machine by its name; UTC where it has none.
pub fn zone_here() -> String {
    TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

fn parse_time(text: &str) -> Result<Time, String> {
    let bad = || "a time of day is written 02:00".to_owned();
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let (hour, minute) = (hour.parse().map_err(|_| bad())?, minute.parse().map_err(|_| bad())?);
    Time::new(hour, minute, 0, 0).map_err(|_| bad())
}

fn parse_day(text: &str) -> Result<Weekday, String> {
    let days = [
        ("sunday", Weekday::Sunday),
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
    ];
    let text = text.to_lowercase();
    let found = days.iter().find(|(name, _)| text.len() >= 3 && name.starts_with(&text));
    found.map(|(_, day)| *day).ok_or_else(|| "a day of the week: monday, tuesday, …".to_owned())
}

/// Reads `90s`, `30m`, `1h` as seconds; at most a day.
fn parse_span(text: &str) -> Result<u32, String> {
    let bad = || "a span up to a day is written 90s, 30m or 1h".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let number: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
    let seconds = match unit {
        's' => Some(number),
        'm' => number.checked_mul(60),
        'h' => number.checked_mul(3600),
        _ => None,
    };
    seconds.filter(|seconds| *seconds <= 24 * 3600).ok_or_else(bad)
}
