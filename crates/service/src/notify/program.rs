//! Messages to a program of the user's.

use std::time::Duration;

use nodekeep_nodes::command::Program;

use super::Message;
use super::channel::Refused;

/// A program that tells somebody has as long as a person has patience with a telephone.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(argv: &[String], message: &Message) -> Result<(), Refused> {
    let variables = [
        ("NODEKEEP_TOPIC", message.topic.word().to_owned()),
        ("NODEKEEP_TITLE", message.title.clone()),
        ("NODEKEEP_TEXT", message.text.clone()),
        ("NODEKEEP_NODE", message.node.clone().unwrap_or_default()),
        ("NODEKEEP_HOST", message.host.clone()),
        ("NODEKEEP_AT", message.at.to_string()),
    ];
    let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let program = Program { patience: PATIENCE, environment, ..Program::new(argv.to_vec()) };
    let text = serde_json::to_vec(message).unwrap_or_default();
    let fed = program.feed(&mut text.as_slice());
    fed.map(|_| ()).map_err(|error| Refused::later(error.to_string()))
}
