//! `nodekeep daemon run`.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use nodekeep_repo::error::Error as Engine;
use nodekeep_service::daemon::{Daemon, Event, Terms, Watcher};
use nodekeep_service::diary::{Diary, Level, Line};
use nodekeep_service::notify::alerts::Condition;
use nodekeep_service::notify::channel::Channel;
use nodekeep_service::notify::fleet::conditions;
use nodekeep_service::schedule::decide::Ending;
use sd_notify::NotifyState;

use super::web::Web;
use super::{RoleArg, host, options, program};
use crate::commands::{config, schedule};
use crate::error::{Error, Result};
use crate::fleet::sources;
use crate::interrupt;
use crate::nodes;
use crate::session::{App, Need};
use crate::settings::Settings;

/// How often the fleet is looked at.
const FLEET_EVERY: Duration = Duration::from_secs(15 * 60);
/// How often a wish to stop is looked at while there is nothing to do.
const LOOK: Duration = Duration::from_millis(200);

/// Work in the foreground until stopped
#[derive(Debug, Args)]
#[command(after_help = "\
Role: the one named with --role. Jobs that need more are left alone, and no key that the role does not need is read.

SIGTERM ends it in good order: running jobs are asked to end, and holds are released. SIGHUP makes it read schedules, channels, targets and the dashboard's certificate at once. Each line it writes is an event; with --json, a JSON document on a line.

It serves the dashboard at http://127.0.0.1:7717/ unless the configuration says otherwise (http.listen); sign in with a token: nodekeep daemon token add.

Examples:
  nodekeep daemon run --role writer
  nodekeep daemon run --role owner --max-jobs 4")]
pub struct Run {
    /// What this daemon may do
    #[arg(long, value_enum, default_value_t = RoleArg::Owner)]
    role: RoleArg,
    /// Jobs at a time; those of one node never meet
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    max_jobs: u8,
    /// The dashboard's files from this folder instead of those in the program: for work on them
    #[arg(long, value_name = "DIR", hide = true)]
    assets: Option<PathBuf>,
}

impl Run {
    pub fn run(&self, app: &App) -> Result<()> {
        interrupt::watch();
        interrupt::watch_reload();
        let mut runner = vec![program()?.display().to_string()];
        runner.extend(options(app));
        runner.extend(["daemon", "run-job", "--role", self.role.word()].map(str::to_owned));
        let terms = Terms {
            machine: schedule::machine(app)?,
            host: host(app),
            role: self.role.role(),
            jobs: usize::from(self.max_jobs),
            runner,
        };
        let daemon = Daemon::new(app.home.data().to_owned(), terms)?;
        let channels = app.settings.notify.clone();
        let web = Web::new(app, self.role, self.assets.clone());
        let diary = Diary::open(app.home.data())?;
        let mut fleet = FleetWatch::new(app);
        fleet.app.settings.role = Some(self.role);
        let mut face = Face { app, watchdog: watchdog(), channels, web, diary, fleet };
        face.serve();
        tell(&[NotifyState::Ready]);
        daemon.run(&mut face)?;
        drop(face);
        tell(&[NotifyState::Stopping]);
        Ok(())
    }
}

/// How often systemd wants to hear from us, if at all: half of its patience.
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

/// Without systemd nobody listens.
fn tell(states: &[NotifyState<'_>]) {
    _ = sd_notify::notify(states);
}

struct Face<'a> {
    app: &'a App,
    watchdog: Option<Duration>,
    /// As they were when the configuration could last be read.
    channels: Vec<Channel>,
    web: Web,
    diary: Diary,
    fleet: FleetWatch,
}

impl Face<'_> {
    /// Serves the dashboard, if it should and does not: what stands in its way keeps no job from its time.
    fn serve(&mut self) {
        if let Some(event) = self.web.keep() {
            self.happened(&event);
        }
    }
}

/// Looks at the fleet now and then, beside the loop: a repository that does not answer keeps nothing else from its time.
struct FleetWatch {
    /// With the keys of the daemon's role and no others.
    app: App,
    looked: Option<Instant>,
    look: Option<JoinHandle<Result<Vec<Condition>>>>,
}

impl FleetWatch {
    fn new(app: &App) -> Self {
        Self { app: app.clone(), looked: None, look: None }
    }

    /// What the last look showed, once; begins the next when it is time.
    fn take(&mut self) -> Option<Result<Vec<Condition>>> {
        if self.look.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.look.take().and_then(|look| look.join().ok());
        }
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= FLEET_EVERY);
        if self.look.is_none() && is_due {
            let app = self.app.clone();
            self.looked = Some(Instant::now());
            self.look = Some(std::thread::spawn(move || look_at_fleet(&app)));
        }
        None
    }
}

/// Targets are those of the configuration as it is now.
fn look_at_fleet(app: &App) -> Result<Vec<Condition>> {
    let mut app = app.clone();
    if let Ok(targets) = Settings::targets(&config::file::path(&app)) {
        app.settings.targets = targets;
    }
    let opened = match app.open(Need::Look) {
        // Nothing was backed up yet.
        Err(Error::Engine(Engine::NoRepository { .. })) => return Ok(Vec::new()),
        opened => opened?,
    };
    let state = nodes::state(&app);
    Ok(conditions(&sources(&app, &opened, &state)?.overview(Timestamp::now())?))
}

impl Watcher for Face<'_> {
    fn happened(&mut self, event: &Event) {
        let now = Timestamp::now();
        // What cannot be kept is at least printed.
        _ = self.diary.note(line(event, now));
        if self.app.output.json {
            let document = serde_json::json!({ "at": now.to_string(), "event": event });
            self.app.output.alert(document);
        } else {
            let clock = crate::render::time::exact(now.as_millisecond());
            self.app.output.alert(format!("{clock}  {}", sentence(event)));
        }
    }

    fn channels(&mut self) -> Vec<Channel> {
        match Settings::channels(&config::file::path(self.app)) {
            Ok(channels) => self.channels = channels,
            Err(error) => {
                self.happened(&Event::Trouble { message: error.to_string() });
            }
        }
        self.channels.clone()
    }

    fn fleet(&mut self) -> Option<Vec<Condition>> {
        match self.fleet.take()? {
            Ok(conditions) => Some(conditions),
            Err(error) => {
                let message = format!("the fleet cannot be looked at: {error}");
                self.happened(&Event::Trouble { message });
                None
            }
        }
    }

    fn sleep(&mut self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut told = Instant::now();
        while Instant::now() < until && !interrupt::asked() && !self.web.was_nudged() {
            if interrupt::reload_asked() {
                self.fleet.looked = None;
                self.happened(&Event::Reloaded);
                if let Some(event) = self.web.reload() {
                    self.happened(&event);
                }
                return false;
            }
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            if self.watchdog.is_some_and(|often| told.elapsed() >= often) {
                tell(&[NotifyState::Watchdog]);
                told = Instant::now();
            }
        }
        interrupt::asked()
    }

    fn looked(&mut self, running: usize, wake: Option<Timestamp>) {
        self.serve();
        let next = wake.map(|wake| crate::render::time::date_time(wake.as_millisecond()));
        let next = next.map_or_else(String::new, |next| format!(", next at {next}"));
        let status = format!("{}{next}", crate::render::counted(running as u64, "job"));
        tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }
}

/// An event as it is kept.
fn line(event: &Event, at: Timestamp) -> Line {
    let level = match event {
        Event::Ended(record) => match record.ended.as_ref().map(|ended| ended.ending) {
            Some(Ending::Done) | None => Level::Info,
            Some(Ending::Retry) => Level::Warn,
            Some(Ending::Failed) => Level::Error,
        },
        Event::Told(message) if message.topic.is_bad() => Level::Warn,
        Event::Skipped { .. } | Event::Untold { .. } => Level::Warn,
        Event::Trouble { .. } => Level::Error,
        _ => Level::Info,
    };
    let (node, job) = match event {
        Event::Began(record) | Event::Ended(record) => {
            (record.node().map(str::to_owned), Some(record.id.to_string()))
        }
        Event::Told(message) => (message.node.clone(), None),
        _ => (None, None),
    };
    Line { number: 0, at, level, text: sentence(event), node, job }
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Began(record) => {
            let again = match record.attempt {
                1 => String::new(),
                attempt => format!(" (try {attempt})"),
            };
            let missed = match record.missed {
                0 => String::new(),
                missed => format!(", for {missed} that were missed too"),
            };
            let by =
                record.by.as_ref().map_or_else(String::new, |by| format!(", asked for by {by}"));
            format!("{} began{again}{missed}{by}: job {}", record.title(), record.id)
        }
        Event::Ended(record) => {
            let ended = record.ended.as_ref();
            let message = ended.and_then(|ended| ended.message.clone()).unwrap_or_default();
            match ended.map(|ended| ended.ending) {
                Some(Ending::Done) => format!("{} done: job {}", record.title(), record.id),
                Some(Ending::Retry) if record.schedule.is_some() => format!(
                    "{} failed, and is tried again: {message} (job {})",
                    record.title(),
                    record.id
                ),
                _ => format!("{} FAILED: {message} (job {})", record.title(), record.id),
            }
        }
        Event::Skipped { schedule, count } => {
            let runs = crate::render::counted(*count as u64, "run");
            format!("{schedule}: {runs} missed while nobody was here")
        }
        Event::Told(message) => format!("told: {}. {}", message.title, message.text),
        Event::Untold { channel, reason } => {
            format!("a message for {channel} is given up: {reason}")
        }
        Event::Serving { address } => format!("the dashboard is at {address}"),
        Event::Reloaded => "schedules, channels and targets are read again".to_owned(),
        Event::Trouble { message } => format!("trouble: {message}"),
    }
}
