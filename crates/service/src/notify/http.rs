//! Messages as web requests.

use std::time::Duration;

use nodekeep_nodes::web;
use serde_json::{Value, json};

use super::channel::{Body, Refused, Secret};
use super::{Message, Topic};

/// For one request.
const PATIENCE: Duration = Duration::from_secs(20);
/// Discord takes no more letters.
const DISCORD: usize = 1900;

pub(super) fn post(
    url: &Secret,
    token: Option<&Secret>,
    body: &Body,
    message: &Message,
) -> Result<(), Refused> {
    let url = url.read().map_err(Refused::later)?;
    let (url, body) = addressed(&url, body, message)?;
    let client = web::client(&url, PATIENCE).map_err(Refused::never)?;
    let mut request = client.post(&url).header("Content-Type", "application/json").body(body);
    if let Some(token) = token {
        request = request.bearer_auth(token.read().map_err(Refused::later)?.as_str());
    }
    // The address may be a secret: what the library says of an error would repeat it.
    let answer = request.send().map_err(|error| Refused::later(web::told(&error.without_url())))?;
    let status = answer.status();
    match status.as_u16() {
        200..300 => Ok(()),
        408 | 425 | 429 | 500..600 => Err(Refused::later(format!("it answered {status}"))),
        _ => Err(Refused::never(format!("it answered {status}"))),
    }
}

/// Where to and what. ntfy takes the topic in the body instead of the path, which lets titles be of any letters.
fn addressed(url: &str, body: &Body, message: &Message) -> Result<(String, String), Refused> {
    let Body::Ntfy = body else {
        return Ok((url.to_owned(), text(body, message)));
    };
    let no_topic =
        || Refused::never("the address of ntfy ends with the topic: https://ntfy.sh/TOPIC");
    let (server, topic) = url.trim_end_matches('/').rsplit_once('/').ok_or_else(no_topic)?;
    if topic.is_empty() || server.ends_with('/') {
        return Err(no_topic());
    }
    let priority = if message.topic.is_bad() { 4 } else { 2 };
    let tag = if message.topic.is_bad() { "warning" } else { "white_check_mark" };
    let body = json!({
        "topic": topic, "title": message.title, "message": message.text,
        "priority": priority, "tags": [tag],
    });
    Ok((server.to_owned(), body.to_string()))
}

fn text(body: &Body, message: &Message) -> String {
    let sign = if message.topic == Topic::Recovery || message.topic == Topic::Success {
        "✅"
    } else {
        "⚠️"
    };
    let title = &message.title;
    match body {
        Body::Plain | Body::Ntfy => {
            serde_json::to_string(message).unwrap_or_else(|_| "{}".to_owned())
        }
        Body::Template(template) => filled(template, message),
        Body::Slack => json!({ "text": format!("{sign} *{title}*\n{}", message.text) }).to_string(),
        Body::Discord => {
            let text = format!("{sign} **{title}**\n{}", message.text);
            let text: String = text.chars().take(DISCORD).collect();
            // Nobody is called by what a message happens to hold.
            json!({ "content": text, "allowed_mentions": { "parse": [] } }).to_string()
        }
        Body::Matrix => json!({ "text": format!("{sign} {title}\n{}", message.text) }).to_string(),
    }
}

/// Fills in `{title}` and its like, escaped as inside a text of JSON; other braces stay.
fn filled(template: &str, message: &Message) -> String {
    let fields = [
        ("{topic}", message.topic.word().to_owned()),
        ("{title}", message.title.clone()),
        ("{text}", message.text.clone()),
        ("{node}", message.node.clone().unwrap_or_default()),
        ("{host}", message.host.clone()),
        ("{at}", message.at.to_string()),
    ];
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match fields.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                out.push_str(&escaped(value));
                rest = &rest[name.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn escaped(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            topic: Topic::Failure,
            title: "guts: \"backup\" failed".into(),
            text: "No {title} here.\n@everyone".into(),
            node: Some("guts".into()),
            host: "box".into(),
            at: "2026-11-21T02:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn templates_stay_json_whatever_a_message_holds() {
        let template = r#"{"summary": "{title}", "more": {"text": "{text}", "keep": "{other}"}}"#;
        let body: Value = serde_json::from_str(&filled(template, &message())).unwrap();
        assert_eq!(body["summary"], "guts: \"backup\" failed");
        assert_eq!(body["more"]["text"], "No {title} here.\n@everyone");
        assert_eq!(body["more"]["keep"], "{other}");
    }

    #[test]
    fn the_topic_of_ntfy_moves_into_the_body() {
        let (url, body) = addressed("https://ntfy.sh/mine", &Body::Ntfy, &message()).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((url.as_str(), &body["topic"]), ("https://ntfy.sh", &json!("mine")));
        for bad in ["https://ntfy.sh/", "ntfy", "https://ntfy.sh"] {
            assert!(addressed(bad, &Body::Ntfy, &message()).is_err(), "{bad}");
        }
    }
}
