//! The end of a node: a restore makes it exit by itself, some seconds after it has answered. One that was left half done stays, takes no
//! more part in anything, and has to be ended.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::link::Link;
use crate::error::{Error, Result};
use crate::process::Process;

/// How long after each signal.
const DIES_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    ByItself,
    /// It hung, and was ended.
    Killed(i32),
    /// It still answers: somebody has started it again, or it cannot be seen from here.
    StillAnswers,
}

impl Link {
    /// The process that answers the node's commands, if it runs on this machine and can be seen.
    pub fn process(&self) -> Option<Process> {
        let address = self.rpc.address().to_socket_addrs().ok()?.next()?;
        listener(address)
    }

    /// Waits until a node that was told to restore has ended. `before` is its process as it was seen then; one that hangs is ended.
    ///
    /// # Errors
    /// If a process that hangs may not be ended.
    pub fn wait_for_end(&self, before: Option<&Process>) -> Result<Ended> {
        let is_over = || match before {
            Some(process) => !process.is_alive(),
            None => self.rpc.standing().is_err(),
        };
        if wait_until(is_over, self.ends_within) {
            return Ok(Ended::ByItself);
        }
        let Some(process) = before else { return Ok(Ended::StillAnswers) };
        for signal in [Signal::TERM, Signal::KILL] {
            let failed = Error::file("/proc", "a node that hangs cannot be ended");
            process.signal(signal).map_err(failed)?;
            if wait_until(is_over, DIES_WITHIN) {
                return Ok(Ended::Killed(process.pid));
            }
        }
        Ok(Ended::StillAnswers)
    }

    /// Overwrites and removes what a restore that broke off leaves behind: the wallet with its phrase in the clear.
    ///
    /// # Errors
    /// If it cannot be overwritten or removed.
    pub fn shred_leftovers(&self) -> Result<Vec<String>> {
        let Some(data) = &self.data else { return Ok(Vec::new()) };
        let left = [data.join("restore/wallet.sql"), data.join("backup/wallet.sql")];
        let there = left.iter().filter(|path| path.symlink_metadata().is_ok());
        there.map(|path| shred(path).map(|()| path.display().to_string())).collect()
    }
}

fn shred(path: &Path) -> Result<()> {
    let failed = |action| Error::file(path, action);
    let metadata = path.symlink_metadata().map_err(failed("cannot be read"))?;
    if metadata.is_file() {
        let overwrite = || -> io::Result<()> {
            let mut file = fs::File::options().write(true).open(path)?;
            io::copy(&mut io::Read::take(io::repeat(0), metadata.len()), &mut file)?;
            file.sync_all()
        };
        overwrite().map_err(failed("cannot be overwritten"))?;
    }
    fs::remove_file(path).map_err(failed("cannot be removed"))
}

fn wait_until(is_over: impl Fn() -> bool, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_over() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK);
    }
}

/// Who listens at an address of this machine. Java listens at all addresses, of both families.
fn listener(address: SocketAddr) -> Option<Process> {
    if !address.ip().is_loopback() {
        return None;
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_at(&table, address.port()))
        .collect();
    let holds = |pid: &i32| {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| {
            inodes.iter().any(|inode| link.as_os_str() == format!("socket:[{inode}]").as_str())
        })
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| is_java(*pid) && holds(pid)).and_then(Process::find)
}

/// Whoever else listens there passes connections on, as a container's host does: it is not the node.
fn is_java(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "java")
}

/// Inodes of the sockets that listen at a port, in a table of the kernel's.
fn listening_at(table: &str, port: u16) -> Vec<String> {
    let ending = format!(":{port:04X}");
    let inode = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let is_here = words.nth(1)?.ends_with(&ending);
        let listens = words.nth(1)? == "0A";
        words.nth(5).filter(|_| is_here && listens).map(str::to_owned)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_and_is_not_java_is_left_alone() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        assert_eq!(listening_at(&table, address.port()).len(), 1);
        assert!(listener(address).is_none());
    }

    #[test]
    fn the_table_is_read_by_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:232D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:232D 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
            2: 0100007F:232E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listening_at(table, 9005), ["4711"]);
    }

    #[test]
    fn what_is_shredded_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wallet.sql");
        fs::write(&path, b"phrase").unwrap();
        shred(&path).unwrap();
        assert!(!path.exists());
    }
}
