//! What the server works with: what a face gave it, and what it keeps while it runs.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nodekeep_repo::repository::Repository;
use nodekeep_service::jobs::journal::Journal;
use nodekeep_service::jobs::runner::Launch;
use nodekeep_service::notify::channel::Channel;
use nodekeep_service::notify::desk::Desk;
use nodekeep_service::schedule::book::Book;
use nodekeep_service::schedule::job::Role;
use tokio::sync::{Semaphore, watch};

use crate::answer::overview::{Fleet, Overviews};
use crate::answer::plans::Plans;
use crate::assets::Assets;
use crate::events::Events;
use crate::library::Library;
use crate::limit::Limit;
use crate::problem::Problem;
use crate::session::Sessions;
use crate::settings::Terms;
use crate::token::Tokens;

/// Reads of the repository at a time: more wait.
const READS: usize = 6;
/// Downloads at a time: more are told to come back.
const DOWNLOADS: usize = 4;

/// Opens the repository with the keys that the daemon's role may use.
pub type Opener = Box<dyn Fn() -> Result<Repository, Problem> + Send + Sync>;

/// What a face gives.
pub struct Site {
    /// Where this machine's state lies.
    pub folder: PathBuf,
    /// What tells this machine from others.
    pub machine: String,
    /// What people call it.
    pub host: String,
    /// The program's version.
    pub version: &'static str,
    /// The most that the daemon may do.
    pub role: Role,
    /// Opens the repository.
    pub open: Opener,
    /// Looks at the fleet.
    pub fleet: Box<dyn Fleet>,
    /// The program itself, for dry runs.
    pub program: Launch,
    /// Who is told of what, as the configuration says now.
    pub channels: Box<dyn Fn() -> Vec<Channel> + Send + Sync>,
    /// Asks the daemon to look at once.
    pub nudge: Box<dyn Fn() + Send + Sync>,
    /// The dashboard's files.
    pub assets: Assets,
}

/// All of it.
pub struct House {
    /// What the face gave.
    pub site: Site,
    /// Where it listens, and to whom.
    pub terms: Terms,
    /// Who may.
    pub tokens: Tokens,
    /// Who signed in.
    pub sessions: Sessions,
    /// The repository.
    pub library: Arc<Library>,
    /// What was last seen of the fleet.
    pub overviews: Overviews,
    /// Plans that wait for a word.
    pub plans: Plans,
    /// Tells who listens.
    pub events: Events,
    /// Jobs of this machine.
    pub journal: Journal,
    /// Schedules of this machine.
    pub book: Book,
    /// Who was told.
    pub desk: Desk,
    /// Tokens that did not fit, by address.
    pub failures: Limit<IpAddr>,
    /// Requests, by token.
    pub requests: Limit<String>,
    /// Reads of the repository.
    pub reads: Arc<Semaphore>,
    /// Downloads.
    pub downloads: Arc<Semaphore>,
}

impl House {
    /// With nothing kept yet.
    pub fn new(mut site: Site, terms: Terms, stopped: watch::Receiver<bool>) -> Self {
        let folder = site.folder.clone();
        let closed: Opener = Box::new(|| Err(Problem::failed("the repository is open already")));
        let open = std::mem::replace(&mut site.open, closed);
        Self {
            tokens: Tokens::new(&folder),
            sessions: Sessions::default(),
            library: Arc::new(Library::new(open)),
            overviews: Overviews::default(),
            plans: Plans::default(),
            events: Events::new(stopped),
            journal: Journal::new(folder.join("jobs")),
            book: Book::new(folder.clone()),
            desk: Desk::new(&folder, site.machine.clone(), site.host.clone()),
            failures: Limit::new(10, Duration::from_secs(6)),
            requests: Limit::new(200, Duration::from_millis(50)),
            reads: Arc::new(Semaphore::new(READS)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
            site,
            terms,
        }
    }
}
