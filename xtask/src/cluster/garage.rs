//! A Garage node on loopback. It ignores `If-None-Match` and overwrites: a store that lies, so that what depends on
//! create-if-absent can be tried against one.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::ceph::{copy_files, free_ports};
use super::leash::{Daemon, Scratch, leashed};
use super::packages;
use super::s3::{Keys, S3};
use crate::error::Error;
use crate::place;

const REGION: &str = "garage";

/// Longest wait for the node to serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node; it ends, with its data, when it is dropped.
#[derive(Debug)]
pub struct Garage {
    // The daemon comes before the folder, so that it ends before that goes.
    node: Daemon,
    binary: PathBuf,
    scratch: Scratch,
    server: SocketAddr,
}

impl Garage {
    /// Builds Garage once, and starts a node with nothing in it.
    ///
    /// Must be called by the task's main thread, with which the node ends.
    pub fn start() -> Result<Self, Error> {
        let binary = built()?;
        let scratch = Scratch::new("garage")?;
        let ports = free_ports::<3>()?;
        let file = scratch.path().join("garage.toml");
        let text = configuration(scratch.path(), &ports)?;
        fs::write(&file, text).map_err(Error::file(&file))?;
        let mut command = with_environment(leashed(&binary)?, scratch.path());
        command.arg("server");
        let logs = scratch.path().join("log");
        fs::create_dir(&logs).map_err(Error::file(&logs))?;
        let node = Daemon::start(command, &logs.join("garage.out"))?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
        let mut garage = Self { node, binary, scratch, server };
        garage.wait()?;
        garage.lay_out()?;
        Ok(garage)
    }

    /// A new key that may make buckets.
    pub fn create_user(&self, name: &str) -> Result<S3, Error> {
        let said = self.tool(&["key", "create", name])?;
        self.tool(&["key", "allow", "--create-bucket", name])?;
        let field = |start: &str| {
            let lines = said.lines();
            let line = lines.map(str::trim).find(|line| line.to_lowercase().starts_with(start));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
            value
                .map(str::to_owned)
                .ok_or_else(|| Error::Broken(format!("garage key create did not say its {start}")))
        };
        let keys = Keys { access: field("key id")?, secret: field("secret key")? };
        Ok(S3 { server: self.server, region: REGION.to_owned(), keys })
    }

    /// Keeps the node's log in `folder`.
    pub fn keep_logs(&self, folder: &Path) -> Result<(), Error> {
        copy_files(&self.scratch.path().join("log"), folder)
    }

    fn tool(&self, words: &[&str]) -> Result<String, Error> {
        let mut command = with_environment(Command::new(&self.binary), self.scratch.path());
        let text = place::output(command.args(words).stdin(Stdio::null()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn wait(&mut self) -> Result<(), Error> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up && self.node.is_alive() {
            let mut command = with_environment(Command::new(&self.binary), self.scratch.path());
            let quiet = command.arg("status").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if quiet.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let kept = place::target().join("cluster").join("start");
        self.keep_logs(&kept)?;
        Err(Error::Broken(format!("garage does not answer, see {}", kept.display())))
    }

    /// Gives the node all of the store.
    fn lay_out(&self) -> Result<(), Error> {
        let id = self.tool(&["node", "id", "-q"])?;
        let id = id.split('@').next().unwrap_or_default();
        self.tool(&["layout", "assign", "-z", "dc1", "-c", "8G", id])?;
        self.tool(&["layout", "apply", "--version", "1"]).map(drop)
    }
}

/// The binary, from `NODEKEEP_GARAGE` or built by cargo into the cache.
fn built() -> Result<PathBuf, Error> {
    if let Some(binary) = std::env::var_os("NODEKEEP_GARAGE") {
        return Ok(binary.into());
    }
    let home = packages::cache().join("garage");
    let binary = home.join("bin/garage");
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!("building garage into {}, once: about 16 minutes of one core", home.display());
    let mut cargo = place::cargo();
    cargo.args(["install", "garage", "--locked", "--root"]).arg(&home);
    // Not in the workspace's target folder: nothing of it is of use there.
    cargo.env("CARGO_TARGET_DIR", home.join("target"));
    place::run(&mut cargo).map_err(|error| Error::Unfit {
        reason: format!("garage cannot be built: {error}"),
        hint: "it needs the crates of crates.io, once; or set NODEKEEP_GARAGE to a garage 2 that you have",
    })?;
    Ok(binary)
}

fn with_environment(mut command: Command, data: &Path) -> Command {
    command.env("GARAGE_CONFIG_FILE", data.join("garage.toml")).env("RUST_LOG", "garage=warn");
    command
}

fn configuration(data: &Path, [s3, rpc, admin]: &[u16; 3]) -> Result<String, Error> {
    let secret = place::read(Path::new("/proc/sys/kernel/random/uuid"))?;
    let secret: String = secret.chars().filter(char::is_ascii_hexdigit).collect();
    let data = data.display();
    Ok(format!(
        "metadata_dir = \"{data}/meta\"
data_dir = \"{data}/data\"
db_engine = \"sqlite\"
replication_factor = 1
rpc_bind_addr = \"127.0.0.1:{rpc}\"
rpc_public_addr = \"127.0.0.1:{rpc}\"
rpc_secret = \"{secret}{secret}\"
[s3_api]
s3_region = \"{REGION}\"
api_bind_addr = \"127.0.0.1:{s3}\"
root_domain = \".s3.local\"
[admin]
api_bind_addr = \"127.0.0.1:{admin}\"
"
    ))
}
