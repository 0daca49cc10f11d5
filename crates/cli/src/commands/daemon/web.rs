//! The dashboard beside the daemon's loop: begun with it, tried again where its port was taken, ended with it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nodekeep_http::assets::Assets;
use nodekeep_http::settings::Terms;
use nodekeep_http::{Fleet, Problem, Server, Site};
use nodekeep_service::daemon::Event;
use nodekeep_service::fleet::gather::{Sources, Stored};
use nodekeep_service::fleet::overview::{Detail, Overview};

use super::{RoleArg, host, launch};
use crate::commands::schedule;
use crate::error::Result;
use crate::exit;
use crate::nodes;
use crate::session::{App, Need, Opened};
use crate::settings::Settings;

/// After so long a port that was taken is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// The server, and what it is begun with.
pub struct Web {
    app: App,
    role: RoleArg,
    assets: Option<PathBuf>,
    server: Option<Server>,
    tried: Option<Instant>,
    nudge: Arc<AtomicBool>,
    said: Option<String>,
}

impl Web {
    /// Not begun yet. The role goes for what it opens too: a writer's daemon reads no identity.
    pub fn new(app: &App, role: RoleArg, assets: Option<PathBuf>) -> Self {
        let mut app = app.clone();
        app.settings.role = Some(role);
        let (server, tried, nudge, said) = Default::default();
        Self { app, role, assets, server, tried, nudge, said }
    }

    /// Whether something waits for the daemon's loop.
    pub fn was_nudged(&self) -> bool {
        self.nudge.swap(false, Ordering::AcqRel)
    }

    /// Begins it if it should run and does not. What came of it is told once, not each minute.
    pub fn keep(&mut self) -> Option<Event> {
        if self.server.is_some() || self.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return None;
        }
        self.tried = Some(Instant::now());
        let terms = self.app.settings.http.terms().ok().flatten()?;
        let scheme = if terms.tls.is_some() { "https" } else { "http" };
        match self.start(terms) {
            Ok(server) => {
                let address = format!("{scheme}://{}/", server.address());
                self.server = Some(server);
                Some(Event::Serving { address })
            }
            Err(message) if self.said.as_ref() == Some(&message) => None,
            Err(message) => {
                self.said = Some(message.clone());
                Some(Event::Trouble { message })
            }
        }
    }

    /// Reads the certificate again. What is wrong with it is told; the one from before goes on.
    pub fn reload(&self) -> Option<Event> {
        let error = self.server.as_ref()?.reload().err()?;
        Some(Event::Trouble { message: error.to_string() })
    }

    fn start(&self, terms: Terms) -> std::result::Result<Server, String> {
        let site = self.site().map_err(|error| error.to_string())?;
        Server::start(terms, site).map_err(|error| error.to_string())
    }

    fn site(&self) -> Result<Site> {
        let app = self.app.clone();
        let nudge = Arc::clone(&self.nudge);
        let config = super::super::config::file::path(&app);
        let known = app.settings.notify.clone();
        let mut program = launch(&app)?;
        program.options.extend(["--as-role".to_owned(), self.role.word().to_owned()]);
        Ok(Site {
            folder: app.home.data().to_owned(),
            machine: schedule::machine(&app)?,
            host: host(&app),
            version: env!("CARGO_PKG_VERSION"),
            role: self.role.role(),
            program,
            fleet: Box::new(Looker { app: self.app.clone(), kept: Mutex::default() }),
            channels: Box::new(move || {
                Settings::channels(&config).unwrap_or_else(|_| known.clone())
            }),
            nudge: Box::new(move || nudge.store(true, Ordering::Release)),
            assets: self.assets.clone().map_or(Assets::Built, Assets::Folder),
            open: Box::new(move || match app.open(Need::Look) {
                Ok(opened) => Ok(opened.repository),
                Err(error) => Err(problem(&error)),
            }),
        })
    }
}

/// Looks at the fleet with this machine's settings.
struct Looker {
    app: App,
    /// What the last look opened.
    kept: Mutex<Option<Arc<Kept>>>,
}

/// The repository, open, as it was when it was last looked at.
struct Kept {
    opened: Opened,
    lost: u64,
}

impl Looker {
    /// Looks at the repository. Keys are asked for again only where what is open cannot be read any more.
    fn look(&self, before: Option<&Stored>) -> Result<Stored> {
        let open = || self.app.open(Need::Look);
        let opened = match self.held() {
            Some(kept) => kept.opened.again().or_else(|_| open())?,
            None => open()?,
        };
        let view = opened.repository.view()?;
        let stored = Stored::of(&opened.repository, &view, before)?;
        let lost = opened.remember(&view)? as u64;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(Kept { opened, lost }));
        Ok(stored)
    }

    fn held(&self) -> Option<Arc<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was looked at, with the targets of the configuration as it is now.
    fn with<T>(
        &self,
        ask: impl FnOnce(&Sources<'_>) -> nodekeep_service::error::Result<T>,
    ) -> std::result::Result<T, Problem> {
        let looked = || -> Result<T> {
            let mut app = self.app.clone();
            if let Ok(targets) = Settings::targets(&super::super::config::file::path(&app)) {
                app.settings.targets = targets;
            }
            let kept = match self.held() {
                Some(kept) => kept,
                None => Arc::new(Kept { opened: app.open(Need::Look)?, lost: 0 }),
            };
            let state = nodes::state(&app);
            Ok(ask(&crate::fleet::sources_with(&app, &kept.opened, &state, kept.lost)?)?)
        };
        looked().map_err(|error| problem(&error))
    }
}

impl Fleet for Looker {
    fn stored(&self, before: Option<&Stored>) -> std::result::Result<Stored, Problem> {
        self.look(before).map_err(|error| problem(&error))
    }

    fn overview(&self, stored: &Stored) -> std::result::Result<Overview, Problem> {
        self.with(|sources| sources.overview_of(stored, Timestamp::now()))
    }

    fn node(&self, stored: &Stored, name: &str) -> std::result::Result<Option<Detail>, Problem> {
        self.with(|sources| sources.node_of(stored, name, Timestamp::now()))
    }
}

/// Why the repository cannot be opened, as an answer.
fn problem(error: &crate::error::Error) -> Problem {
    let (code, message, hint) = exit::told(error);
    Problem::unavailable(code, message, hint)
}
