//! `nodekeep daemon notify-test`.

use clap::Args;
use jiff::Timestamp;
use nodekeep_service::notify::{Message, Topic};
use serde_json::{Value, json};

use super::host;
use crate::error::{Error, Result};
use crate::exit;
use crate::session::App;

/// Send a message to every channel, or to one, and say whether it was taken
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. Channels are the sections [[notify]] of the configuration.

Exit code 10: a channel did not take it.

Examples:
  nodekeep daemon notify-test
  nodekeep daemon notify-test ops")]
pub struct NotifyTest {
    /// Only this channel
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,
}

impl NotifyTest {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut channels = app.settings.notify.clone();
        channels.retain(|channel| self.channel.as_ref().is_none_or(|name| channel.name == *name));
        if channels.is_empty() {
            return Err(Error::NoChannel { name: self.channel.clone() });
        }
        let message = Message {
            topic: Topic::Success,
            title: "a test".to_owned(),
            text: "Nodekeep can reach you this way.".to_owned(),
            node: None,
            host: host(app),
            at: Timestamp::now(),
        };
        let mut documents: Vec<Value> = Vec::new();
        for channel in &channels {
            let refused = channel.send(&message).err().map(|refused| refused.reason);
            match &refused {
                None => app.output.say(format!("{}: taken", channel.name))?,
                Some(reason) => app.output.alert(format!("{}: NOT taken: {reason}", channel.name)),
            }
            documents.push(json!({ "channel": channel.name, "refused": refused }));
        }
        let all_taken = documents.iter().all(|document| document["refused"].is_null());
        app.output.document(&json!({ "channels": documents }))?;
        match all_taken {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Store.exit_code())),
        }
    }
}
