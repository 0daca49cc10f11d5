//! A server of this run's own: in a folder, on a socket, with checksums, and busy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// The programs of PostgreSQL: the folder with the highest version, or the search path.
fn program(name: &str) -> Command {
    let homes = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = homes.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    let found = folders.iter().rev().map(|folder| folder.join(name)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| name.into()))
}

/// Runs it to its end; what it wrote, or why it failed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{:?}: {}: {said}", command.get_program(), output.status).into())
}

/// A running server. Dropped, it is stopped.
pub struct Server {
    folder: PathBuf,
}

/// `pgbench` at work.
pub struct Load(Child);

impl Server {
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let server = Self { folder: folder.to_owned() };
        let data = server.data();
        run(program("initdb")
            .args(["-k", "-N", "-U", "postgres", "-A", "trust", "-D"])
            .arg(&data))?;
        // Small, so that WAL files are finished and checkpoints are made all the time; and durable, since rows are acknowledged.
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_wal_size = '64MB'\ncheckpoint_timeout = '30s'\nwal_level = replica\n",
            folder.display()
        );
        fs::write(data.join("postgresql.auto.conf"), settings)?;
        run(program("pg_ctl")
            .args(["start", "-w", "-l"])
            .arg(folder.join("log"))
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null()))?;
        server.query("postgres", "CREATE EXTENSION amcheck")?;
        server.query("postgres", "CREATE TABLE acknowledged (n bigint PRIMARY KEY)")?;
        run(server.client("pgbench").args(["-i", "-q", "-s", "2", "postgres"]))?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn socket(&self) -> String {
        self.folder.display().to_string()
    }

    pub fn client(&self, name: &str) -> Command {
        let mut command = program(name);
        command.env("PGHOST", &self.folder).env("PGUSER", "postgres");
        command
    }

    pub fn query(&self, database: &str, query: &str) -> Result<String> {
        let words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query];
        run(self.client("psql").args(words))
    }

    pub fn version(&self) -> Result<String> {
        run(program("postgres").arg("--version"))
    }

    pub fn load(&self) -> Result<Load> {
        let mut command = self.client("pgbench");
        command.args(["-n", "-c", "2", "-T", "86400", "postgres"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Load(command.spawn()?))
    }

    pub fn create_database(&self, database: &str) -> Result<()> {
        run(self.client("createdb").arg(database)).map(drop)
    }

    pub fn amcheck(&self, database: &str) -> Result<()> {
        run(self.client("pg_amcheck").args(["--heapallindexed", database])).map(drop)
    }

    pub fn drop_database(&self, database: &str) -> Result<()> {
        run(self.client("dropdb").arg(database)).map(drop)
    }
}

impl Load {
    /// Ends it; how many transactions it made.
    pub fn stop(mut self, server: &Server) -> Result<String> {
        self.0.kill()?;
        self.0.wait()?;
        server.query("postgres", "SELECT count(*) FROM pgbench_history")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped =
            run(program("pg_ctl").args(["stop", "-w", "-m", "immediate", "-D"]).arg(self.data()));
        if let Err(error) = stopped {
            eprintln!("test-postgres: the server was not stopped: {error}");
        }
    }
}
