//! The program itself, asked what it would do: in a process of its own, with patience and a bound on what it may say.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_service::jobs::runner::Launch;
use serde_json::Value;

use crate::problem::Problem;

/// A plan takes no longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of its output.
const MOST: u64 = 8 * 1024 * 1024;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Its document, or what it says is wrong.
///
/// # Errors
/// If it cannot be started, takes too long, or says nothing that can be read.
pub fn document(launch: &Launch, arguments: &[String]) -> Result<Value, Problem> {
    let output = output(launch, true, arguments)?;
    serde_json::from_slice(&output).map_err(|error| {
        Problem::failed(format!("the dry run said nothing that can be read: {error}"))
    })
}

/// Its lines for people.
///
/// # Errors
/// As [`document`].
pub fn lines(launch: &Launch, arguments: &[String]) -> Result<Vec<String>, Problem> {
    let output = output(launch, false, arguments)?;
    Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
}

fn output(launch: &Launch, json: bool, arguments: &[String]) -> Result<Vec<u8>, Problem> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.options).arg(if json { "--json" } else { "--no-color" }).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let failed = |error: std::io::Error| Problem::failed(format!("the dry run: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|out| out.take(MOST).read_to_end(&mut bytes));
        read.transpose().map(|_| bytes)
    });
    wait(&mut child).map_err(failed)?;
    let bytes = reader.join().map_err(|_| Problem::failed("the dry run was cut short"))?;
    bytes.map_err(failed)
}

/// Waits for its end; what takes too long is killed.
fn wait(child: &mut Child) -> std::io::Result<()> {
    let until = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
