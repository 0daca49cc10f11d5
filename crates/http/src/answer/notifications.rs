//! `/notifications`: who is told of what, and whether they were.

use jiff::Timestamp;
use nodekeep_service::notify::channel::Channel;
use nodekeep_service::notify::sent::Try;
use nodekeep_service::notify::{Message, Topic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;
use crate::call::Call;
use crate::problem::Problem;

/// Tries that are listed.
const LISTED: usize = 100;

/// Who is told, and what was.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Notifications {
    /// Who, and how.
    channels: Vec<ChannelDocument>,
    /// What was sent, newest first.
    log: Vec<SentDocument>,
}

/// A channel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChannelDocument {
    /// Its name.
    name: String,
    /// How it is reached, in a word.
    kind: String,
    /// Where it leads, without what is secret.
    to: String,
    /// What it hears.
    topics: Vec<String>,
    /// Messages that it has not taken yet.
    waiting: usize,
    /// The last try.
    last: Option<LastTry>,
}

/// What came of a try.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastTry {
    /// When.
    at: String,
    /// Whether it was taken.
    ok: bool,
    /// Why not.
    text: Option<String>,
}

/// A message that was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SentDocument {
    /// When.
    at: String,
    /// In a few words.
    title: String,
    /// What about.
    topic: String,
    /// By which channel.
    channel: String,
    /// Whether it was taken.
    ok: bool,
    /// Why not.
    text: Option<String>,
}

/// Which channel is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestWish {
    /// Its name.
    channel: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tested {
    /// Which channel.
    channel: String,
    /// Whether it took the message.
    ok: bool,
    /// Why not.
    text: Option<String>,
}

/// `GET /notifications`.
pub fn show(call: &Call) -> Result<Notifications, Problem> {
    let outbox = call.house.desk.outbox();
    let (waiting, sent) = (outbox.waiting()?, outbox.sent()?);
    let channel = |channel: &Channel| ChannelDocument {
        kind: channel.kind().to_owned(),
        to: channel.leads_to(),
        topics: channel.on.iter().map(ToString::to_string).collect(),
        waiting: waiting.iter().filter(|one| one.channel == channel.name).count(),
        last: sent.iter().rfind(|one| one.channel == channel.name).map(last),
        name: channel.name.clone(),
    };
    let log = sent.iter().rev().take(LISTED).map(|one| SentDocument {
        at: words::time(one.at),
        title: one.title.clone(),
        topic: one.topic.to_string(),
        channel: one.channel.clone(),
        ok: one.refused.is_none(),
        text: one.refused.clone(),
    });
    let channels = (call.house.site.channels)();
    Ok(Notifications { channels: channels.iter().map(channel).collect(), log: log.collect() })
}

fn last(one: &Try) -> LastTry {
    LastTry { at: words::time(one.at), ok: one.refused.is_none(), text: one.refused.clone() }
}

/// `POST /notifications/test`.
pub fn test(call: &Call, wish: TestWish) -> Result<Tested, Problem> {
    let channels = (call.house.site.channels)();
    let channel = channels.into_iter().find(|channel| channel.name == wish.channel);
    let channel = channel.ok_or_else(|| Problem::not_found("there is no such channel"))?;
    let message = Message {
        topic: Topic::Success,
        title: "a test".to_owned(),
        text: "Nodekeep can reach you this way.".to_owned(),
        node: None,
        host: call.house.site.host.clone(),
        at: Timestamp::now(),
    };
    let refused = channel.send(&message).err().map(|refused| refused.reason);
    call.house.desk.outbox().tried(&channel.name, &message, refused.clone())?;
    Ok(Tested { channel: channel.name, ok: refused.is_none(), text: refused })
}
