//! A restored data folder, started where nobody else sees it: no network, no archiving, no replication, a socket of its own. Starting
//! changes the copy, so it is never the one that is to be kept.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::tools::{Tool, version_of};
use crate::command::Program;
use crate::error::{Error, Result};
use crate::kind::{Outcome, Verified};

/// Between two looks at a server that starts.
const LOOK: Duration = Duration::from_millis(100);
/// What a query may take besides waiting for the server.
const QUERY: Duration = Duration::from_secs(60);
/// The role that a server is made with, at Debian and nearly everywhere.
const ROLE: &str = "postgres";
/// Takes the part of another user.
const SETPRIV: &str = "setpriv";

/// A started copy. Dropped, it is stopped.
#[derive(Debug)]
pub struct Sandbox {
    data: PathBuf,
    socket: PathBuf,
    version: u32,
    user: Option<(u32, u32)>,
}

/// Starts a copy in a sandbox, waits until it has recovered, looks at every table and index, stops it, and checks its page checksums.
/// `folder` must not exist; its path should be short, because a socket lies in it. The copy is not as it was afterwards.
///
/// # Errors
/// If a tool cannot be started or hangs. What the copy itself fails at is a check that failed.
pub fn check_started(data: &Path, folder: &Path, patience: Duration) -> Result<Verified> {
    let mut verified = Verified::default();
    let sandbox = match Sandbox::start(data, folder, patience) {
        Ok(sandbox) => sandbox,
        Err(error @ Error::Unsupported { .. }) => {
            verified.check("start", Outcome::Skipped, error.to_string());
            return Ok(verified);
        }
        Err(error) => {
            verified.check("start", Outcome::Failed, error.to_string());
            return Ok(verified);
        }
    };
    verified.check("start", Outcome::Passed, "it started and recovered");
    let arguments = ["--all", "--install-missing", "--heapallindexed"];
    let looked = sandbox.tool("pg_amcheck").map(|tool| tool.program(&arguments, patience));
    sandbox.judge(&mut verified, "pg_amcheck", looked)?;
    sandbox.stop()?;
    let shown = sandbox.data.display().to_string();
    let sums =
        sandbox.tool("pg_checksums").map(|t| t.program(&["--check", "-D", &shown], patience));
    match sums.as_ref().map(|sums| sandbox.as_user(sums.clone()).run()) {
        Some(Err(Error::Failed { stderr, .. })) if stderr.contains("not enabled") => {
            verified.check("pg_checksums", Outcome::Skipped, "the server keeps no page checksums");
        }
        _ => sandbox.judge(&mut verified, "pg_checksums", sums)?,
    }
    Ok(verified)
}

impl Sandbox {
    /// Starts a copy and waits until it has recovered.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it cannot be tried here; otherwise what the server said.
    pub fn start(data: &Path, folder: &Path, patience: Duration) -> Result<Self> {
        let unsupported = |reason: String| Error::Unsupported { path: data.to_owned(), reason };
        let version = version_of(data)
            .ok_or_else(|| unsupported("this is no data folder of PostgreSQL".to_owned()))?;
        let user = user_of(data)?;
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.map_err(Error::file(folder, "cannot be made"))?;
        let sandbox = Self { data: data.to_owned(), socket: folder.to_owned(), version, user };
        sandbox.prepare()?;
        let missing = || unsupported(format!("PostgreSQL {version} is not on this machine"));
        let control = sandbox.tool("pg_ctl").ok_or_else(missing)?;
        let seconds = patience.as_secs().max(1).to_string();
        let (data, log) = (data.display().to_string(), folder.join("log").display().to_string());
        let options = sandbox.options();
        let words = ["start", "-w", "-t", &seconds, "-D", &data, "-l", &log, "-o", &options];
        // The server stays: it must not be ended with the program that started it.
        let started = sandbox.as_user(control.program(&words, patience + QUERY));
        sandbox.launch(&started, patience)?;
        sandbox.wait(patience)?;
        Ok(sandbox)
    }

    /// What a query answers: rows by lines, columns by `|`.
    ///
    /// # Errors
    /// If it fails.
    pub fn query(&self, database: &str, query: &str) -> Result<String> {
        let tool = self.tool("psql").ok_or_else(|| self.missing("psql"))?;
        let words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query];
        let done = self.connected(tool.program(&words, QUERY)).run()?;
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Stops it.
    ///
    /// # Errors
    /// If it does not stop.
    pub fn stop(&self) -> Result<()> {
        let tool = self.tool("pg_ctl").ok_or_else(|| self.missing("pg_ctl"))?;
        let data = self.data.display().to_string();
        let words = ["stop", "-w", "-m", "fast", "-D", &data];
        self.as_user(tool.program(&words, QUERY)).run().map(drop)
    }

    fn tool(&self, name: &str) -> Option<Tool> {
        Tool::of_version(name, Some(self.version))
    }

    fn missing(&self, name: &str) -> Error {
        let reason = format!("{name} of PostgreSQL {} is not on this machine", self.version);
        Error::Unsupported { path: self.data.clone(), reason }
    }

    /// Debian keeps the configuration elsewhere, and whatever came with the copy was meant for the node and not for here.
    fn prepare(&self) -> Result<()> {
        let files = [
            ("postgresql.conf", ""),
            ("pg_hba.conf", "local all all trust\n"),
            ("pg_ident.conf", ""),
        ];
        for (name, text) in files {
            let path = self.socket.join(name);
            fs::write(&path, text).map_err(Error::file(&path, "cannot be written"))?;
            self.give(&path)?;
        }
        self.give(&self.socket)?;
        // Left by the server that was copied: it names a process of another life.
        _ = fs::remove_file(self.data.join("postmaster.pid"));
        let private = fs::set_permissions(&self.data, Permissions::from_mode(0o700));
        private.map_err(Error::file(&self.data, "cannot be made private"))
    }

    fn give(&self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.user else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(Error::file(path, "cannot be given away"))
    }

    /// On the command line, where they stand above all that the copy brings.
    fn options(&self) -> String {
        let folder = self.socket.display();
        let settings = [
            format!("config_file={folder}/postgresql.conf"),
            format!("hba_file={folder}/pg_hba.conf"),
            format!("ident_file={folder}/pg_ident.conf"),
            format!("unix_socket_directories={folder}"),
            "listen_addresses=".to_owned(),
            "archive_mode=off".to_owned(),
            "max_logical_replication_workers=0".to_owned(),
            "shared_preload_libraries=".to_owned(),
            "fsync=off".to_owned(),
        ];
        settings.map(|setting| format!("-c '{setting}'")).join(" ")
    }

    fn launch(&self, start: &Program, patience: Duration) -> Result<()> {
        let mut launched = start.launch(&self.socket.join("start.log"))?;
        let deadline = Instant::now() + patience + QUERY;
        loop {
            let lost = Error::file(&self.socket, "the start cannot be followed");
            match launched.ended().map_err(lost)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    let program = start.name().to_owned();
                    return Err(Error::Failed {
                        program,
                        status: status.to_string(),
                        stderr: self.said(),
                    });
                }
                None if Instant::now() >= deadline => {
                    return Err(Error::Hung { program: start.name().to_owned(), patience });
                }
                None => thread::sleep(LOOK),
            }
        }
    }

    /// A server answers before it has recovered.
    fn wait(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.query("postgres", "SELECT pg_is_in_recovery()");
            if matches!(answer.as_deref(), Ok("f")) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let reason = "it did not come to the end of its recovery";
                let path = self.data.clone();
                return Err(Error::Restless { path, patience, reason: reason.to_owned() });
            }
            thread::sleep(LOOK);
        }
    }

    fn judge(&self, verified: &mut Verified, name: &str, program: Option<Program>) -> Result<()> {
        match program.map(|program| self.connected(program).run()) {
            None => verified.check(name, Outcome::Skipped, self.missing(name).to_string()),
            Some(done) => {
                super::outcome(verified, name, done.map(|_| "nothing is wrong".to_owned()))?
            }
        }
        Ok(())
    }

    fn connected(&self, program: Program) -> Program {
        let mut program = self.as_user(program);
        let socket = self.socket.display().to_string();
        program.environment =
            vec![("PGHOST".to_owned(), socket), ("PGUSER".to_owned(), ROLE.to_owned())];
        program
    }

    /// PostgreSQL refuses to run as root: then it runs as whom the copy belongs to.
    fn as_user(&self, program: Program) -> Program {
        let Some((user, group)) = self.user else { return program };
        let words = [
            SETPRIV,
            "--reuid",
            &user.to_string(),
            "--regid",
            &group.to_string(),
            "--clear-groups",
        ];
        let argv =
            words.iter().map(|word| (*word).to_owned()).chain(program.argv.clone()).collect();
        Program { argv, folder: Some(self.socket.clone()), ..program }
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(self.socket.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.data.join("postmaster.pid").exists() {
            _ = self.stop();
        }
    }
}

/// As whom it must run, if not as ourselves.
fn user_of(data: &Path) -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let owner = fs::metadata(data).map_err(Error::file(data, "cannot be read"))?;
    if owner.uid() == 0 {
        let reason =
            "it belongs to root, as whom PostgreSQL does not run: give it to the server's user";
        return Err(Error::Unsupported { path: data.to_owned(), reason: reason.to_owned() });
    }
    Ok(Some((owner.uid(), owner.gid())))
}
