//! A node's health, seen from outside by its profile's rules: does it answer, does it say what it should, does it go on.

mod http;

use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::command::Program;
use crate::minima::link::Link;
use crate::node::Node;
use crate::profile::{HealthRule, MinimaRule, Probe, Variables, fill};

/// Between two looks at a node that is awaited.
const PAUSE: Duration = Duration::from_millis(500);

/// What one rule has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The rule's name.
    pub name: String,
    /// Whether it is as it should be.
    pub is_well: bool,
    /// What was seen, or why nothing was.
    pub detail: String,
    /// How long the look took.
    pub took: Duration,
}

/// Looks at a node by each of its rules, in their order. A rule that advances takes as long as its node may.
pub fn look(node: &Node) -> Vec<Seen> {
    let variables = node.variables();
    node.profile.health.iter().map(|rule| look_by(rule, &variables)).collect()
}

/// Looks again until every rule is content or the patience ends. Returns what was seen last.
pub fn wait_until_healthy(node: &Node, patience: Duration) -> Vec<Seen> {
    let deadline = Instant::now() + patience;
    loop {
        let seen = look(node);
        let is_over = Instant::now() + PAUSE >= deadline;
        if is_over || seen.iter().all(|one| one.is_well) {
            return seen;
        }
        thread::sleep(PAUSE);
    }
}

fn look_by(rule: &HealthRule, variables: &Variables) -> Seen {
    let begun = Instant::now();
    let found = match &rule.probe {
        Probe::Http { url, pointer, equals, advances_within } => {
            fill(url, variables).map_err(|error| error.to_string()).and_then(|url| {
                let wanted = http::Wanted {
                    pointer: pointer.as_deref(),
                    equals: equals.as_deref(),
                    advances_within: *advances_within,
                };
                http::look(&url, &wanted, rule.patience)
            })
        }
        Probe::Tcp { address } => fill(address, variables)
            .map_err(|error| error.to_string())
            .and_then(|address| connect(&address, rule.patience)),
        Probe::Minima(minima) => answers(minima, variables, rule.patience),
        Probe::Command(line) => Program::of(line, variables)
            .and_then(|program| {
                let patience = program.patience.min(rule.patience);
                Program { patience, ..program }.run()
            })
            .map(|done| first_line(&done.stdout))
            .map_err(|error| error.to_string()),
    };
    let is_well = found.is_ok();
    let detail = found.unwrap_or_else(|reason| reason);
    Seen { name: rule.name.clone(), is_well, detail, took: begun.elapsed() }
}

fn answers(rule: &MinimaRule, variables: &Variables, patience: Duration) -> Result<String, String> {
    let link = Link::of(rule, variables).map_err(|error| error.to_string())?;
    let standing = link.rpc.standing_within(patience).map_err(|error| error.to_string())?;
    Ok(format!("it answers, and stands at block {}", standing.block))
}

fn connect(address: &str, patience: Duration) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let mut last = format!("{address}: no such host");
    // A name may have several addresses, of which one answers.
    for one in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&one, patience) {
            Ok(_) => return Ok(format!("{address} answers")),
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

fn first_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().next().unwrap_or("it succeeded").trim().to_owned()
}
