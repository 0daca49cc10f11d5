//! Writes numbered rows, one transaction each, and knows the last that was acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::Result;
use crate::server::Server;

pub struct Writer {
    acknowledged: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Writer {
    pub fn start(server: &Server) -> Result<Self> {
        let mut command = server.client("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (acknowledged, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (last, stop) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
        let thread = Some(thread::spawn(move || write(child, &last, &stop)));
        Ok(Self { acknowledged, is_over, thread })
    }

    /// The last row that is certainly there.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Ends it; how many rows it wrote.
    pub fn stop(mut self) -> Result<u64> {
        self.is_over.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(result)) => result?,
            _ => return Err("the writer panicked".into()),
        }
        Ok(self.acknowledged())
    }
}

fn write(mut child: Child, last: &AtomicU64, is_over: &AtomicBool) -> std::io::Result<()> {
    let mut to = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let mut lines =
        BufReader::new(child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?).lines();
    for number in 1.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        writeln!(to, "INSERT INTO acknowledged VALUES ({number}) RETURNING n;")?;
        let answer = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
        if answer != number.to_string() {
            return Err(std::io::Error::other(format!("psql answered {answer}")));
        }
        last.store(number, Ordering::SeqCst);
    }
    drop(to);
    child.wait().map(drop)
}
