//! A look over HTTP: the status, a value in the JSON that is answered, and whether a number goes on.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::Value;

use crate::web::{client, told};

/// What is read of an answer, in bytes: a node's state in JSON is far smaller.
const MAX_ANSWER: u64 = 8 << 20;
/// Looks at a number that should advance: at least this far apart.
const PAUSE: Duration = Duration::from_millis(200);

/// What an answer must hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// JSON pointer to the value.
    pub pointer: Option<&'a str>,
    /// What it must be, as text.
    pub equals: Option<&'a str>,
    /// Whether it is a number that must be higher within this time.
    pub advances_within: Option<Duration>,
}

/// What was seen, or what is wrong. Each request has `patience`.
pub(super) fn look(url: &str, wanted: &Wanted<'_>, patience: Duration) -> Result<String, String> {
    let client = client(url, patience).map_err(|error| format!("{url}: {error}"))?;
    let first = get(&client, url)?;
    let Some(value) = value(&first, wanted)? else {
        return Ok(format!("{url}: {}", first.status));
    };
    match (wanted.equals, wanted.advances_within) {
        (Some(equals), _) if text(&value) != equals => {
            Err(format!("{url}: {} instead of {equals}", named(wanted, &value)))
        }
        (_, Some(within)) => advance(&client, url, wanted, &value, within),
        _ => Ok(format!("{url}: {}", named(wanted, &value))),
    }
}

/// Looks until the number is higher than at first.
fn advance(
    client: &Client,
    url: &str,
    wanted: &Wanted<'_>,
    first: &Value,
    within: Duration,
) -> Result<String, String> {
    let no_number = || format!("{url}: {} is no number", named(wanted, first));
    let before = number(first).ok_or_else(no_number)?;
    let begun = Instant::now();
    loop {
        thread::sleep(PAUSE.min(within));
        let later = value(&get(client, url)?, wanted)?.as_ref().and_then(number);
        let passed = begun.elapsed();
        match later {
            Some(after) if after > before => {
                let seconds = passed.as_secs_f32();
                return Ok(format!("{url}: from {before} to {after} in {seconds:.1} s"));
            }
            _ if passed < within => {}
            Some(after) if after < before => {
                return Err(format!("{url}: fell from {before} to {after}"));
            }
            _ => return Err(format!("{url}: still {before} after {} s", within.as_secs_f32())),
        }
    }
}

struct Answer {
    status: String,
    body: Vec<u8>,
}

fn get(client: &Client, url: &str) -> Result<Answer, String> {
    let mut response = client.get(url).send().map_err(|error| told(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("{url}: answers {status}"));
    }
    let mut body = Vec::new();
    let read = response.by_ref().take(MAX_ANSWER).read_to_end(&mut body);
    read.map_err(|error| format!("{url}: {error}"))?;
    Ok(Answer { status: status.to_string(), body })
}

/// The value that is looked at, if one is.
fn value(answer: &Answer, wanted: &Wanted<'_>) -> Result<Option<Value>, String> {
    let needs = wanted.equals.is_some() || wanted.advances_within.is_some();
    let Some(pointer) = wanted.pointer.or(needs.then_some("")) else { return Ok(None) };
    // What is no JSON is a text as it stands: some nodes answer with a bare word.
    let whole = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer.body).trim().to_owned()));
    match whole.pointer(pointer) {
        Some(value) => Ok(Some(value.clone())),
        None => Err(format!("the answer has no {pointer}")),
    }
}

fn named(wanted: &Wanted<'_>, value: &Value) -> String {
    let name = wanted.pointer.filter(|pointer| !pointer.is_empty());
    format!("{} is {}", name.unwrap_or("the answer"), shortened(&text(value)))
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Many nodes give numbers as texts, Ethereum's in hexadecimal.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}
