//! A server with a repository of three snapshots behind it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use nodekeep_http::assets::Assets;
use nodekeep_http::settings::Settings;
use nodekeep_http::token::{Role as Access, Tokens};
use nodekeep_http::{Fleet, Problem, Server, Site};
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access as Keys, CreateOptions, Repository};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_service::copies::Distance;
use nodekeep_service::fleet::gather::{Place, Sources, Stored};
use nodekeep_service::fleet::overview::{Detail, Overview};
use nodekeep_service::jobs::runner::Launch;
use nodekeep_service::notify::Topic;
use nodekeep_service::notify::channel::{Body, Channel, Secret, Transport};
use nodekeep_service::schedule::job::Role;
use nodekeep_service::state::State;
use nodekeep_store::Store;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::client::Client;

/// Stands in the address of a channel; no answer may hold it.
pub const CHANNEL_SECRET: &str = "T0PSECRETCHANNELKEY";

pub struct House {
    pub folder: TempDir,
    pub server: Server,
    pub admin: String,
    /// The owner's 24 words.
    pub words: String,
}

/// Makes a house whose daemon has these keys.
pub struct Plan {
    pub role: Role,
    pub settings: Settings,
}

impl Default for Plan {
    fn default() -> Self {
        let settings = Settings { listen: Some("127.0.0.1:0".to_owned()), ..Settings::default() };
        Self { role: Role::Owner, settings }
    }
}

impl House {
    pub fn new() -> Self {
        Plan::default().build()
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn client(&self) -> Client {
        Client { address: self.address(), token: Some(self.admin.clone()) }
    }

    pub fn nobody(&self) -> Client {
        Client { address: self.address(), token: None }
    }

    pub fn with(&self, name: &str, role: Access) -> Client {
        let token = Tokens::new(&self.state()).add(name, role, None).unwrap();
        Client { address: self.address(), token: Some(token.to_string()) }
    }
}

impl Plan {
    pub fn build(self) -> House {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let place = folder.path().join("repository");
        let owner = Entropy::random();
        let (repository, credential) =
            Repository::create(Store::local(place.clone()), &owner, &CreateOptions::default())
                .unwrap();
        fill(&repository, &folder.path().join("data"));
        let credential = credential.to_text().to_string();
        let admin = Tokens::new(&state).add("me", Access::Admin, None).unwrap().to_string();
        let is_writer = self.role == Role::Writer;
        let entropy = owner.clone();
        let open = Arc::new(move || {
            let credential = Some(nodekeep_repo::keys::Credential::from_text(&credential).unwrap());
            let owner = (!is_writer).then(|| entropy.clone());
            let keys = Keys { owner, credential, ..Keys::default() };
            Repository::open(Store::local(place.clone()), &keys, None).map_err(Problem::from)
        });
        let opener = Arc::clone(&open);
        let site = Site {
            folder: state.clone(),
            machine: "0".repeat(32),
            host: "here".to_owned(),
            version: "0.0.0",
            role: self.role,
            open: Box::new(move || opener()),
            fleet: Box::new(Face { state: State::new(state), open }),
            program: Launch { program: "/bin/false".into(), options: Vec::new() },
            channels: Box::new(|| vec![channel()]),
            nudge: Box::new(|| {}),
            assets: Assets::Built,
        };
        let server = Server::start(self.settings.terms().unwrap().unwrap(), site).unwrap();
        let words = owner.words().to_string();
        House { folder, server, admin, words }
    }
}

fn channel() -> Channel {
    let url = format!("https://hooks.example.org/services/{CHANNEL_SECRET}");
    Channel {
        name: "ops".to_owned(),
        on: vec![Topic::Failure],
        nodes: Vec::new(),
        transport: Transport::Web {
            url: Secret::Given(Zeroizing::new(url)),
            token: None,
            body: Body::Slack,
        },
    }
}

struct Face<F> {
    state: State,
    open: Arc<F>,
}

impl<F> Face<F>
where
    F: Fn() -> Result<Repository, Problem> + Send + Sync,
{
    fn with<T>(
        &self,
        ask: impl FnOnce(&Sources<'_>) -> nodekeep_service::error::Result<T>,
    ) -> Result<T, Problem> {
        let repository = (self.open)()?;
        let place = Place {
            distance: Distance::OtherHost,
            folder: None,
            capacity: None,
            copies: Vec::new(),
            lost: 0,
            words_confirmed: true,
        };
        let sources = Sources {
            repository: &repository,
            state: &self.state,
            host: "here".to_owned(),
            version: "0.0.0".to_owned(),
            place,
            targets: Default::default(),
        };
        Ok(ask(&sources)?)
    }
}

impl<F> Fleet for Face<F>
where
    F: Fn() -> Result<Repository, Problem> + Send + Sync,
{
    fn stored(&self, _: Option<&Stored>) -> Result<Stored, Problem> {
        self.with(|sources| Stored::read(sources.repository))
    }

    fn overview(&self, stored: &Stored) -> Result<Overview, Problem> {
        self.with(|sources| sources.overview_of(stored, Timestamp::now()))
    }

    fn node(&self, stored: &Stored, name: &str) -> Result<Option<Detail>, Problem> {
        self.with(|sources| sources.node_of(stored, name, Timestamp::now()))
    }
}

/// Three snapshots of a folder that changes, with names that are no text.
fn fill(repository: &Repository, data: &Path) {
    fs::create_dir(data).unwrap();
    fs::create_dir(data.join("sub")).unwrap();
    fs::write(data.join("a.txt"), "first").unwrap();
    fs::write(data.join("sub/page.html"), "<script>alert(1)</script>").unwrap();
    fs::write(data.join(std::ffi::OsStr::from_bytes(b"b\xff %?#")), "odd").unwrap();
    backup(repository, data);
    fs::write(data.join("a.txt"), "second, longer").unwrap();
    fs::write(data.join("big"), vec![7; 3 << 20]).unwrap();
    backup(repository, data);
    fs::remove_file(data.join("sub/page.html")).unwrap();
    backup(repository, data);
}

fn backup(repository: &Repository, data: &Path) {
    let source = FsSource::new(vec![data.to_owned()]).unwrap();
    repository.backup(&source, &BackupOptions::default(), &Silent).unwrap();
}
