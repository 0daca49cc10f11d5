//! How values look in documents: times, names that are no text, positions of nodes.

use jiff::Timestamp;
use nodekeep_nodes::position::Position;

/// RFC 3339 with whole seconds.
pub fn time(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same of Unix milliseconds.
pub fn time_ms(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), time)
}

/// Bytes of a name as text for people: what is no UTF-8 is replaced.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `1,204 files`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `512 bytes`, `4.2 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, None);
    for name in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, Some(name));
    }
    match unit {
        None => counted(bytes, "byte"),
        Some(unit) => format!("{value:.1} {unit}"),
    }
}

/// "412 blocks, 3 votes, tip 3fa9…"; nothing for a node without terms of its own.
pub fn position(position: &Position) -> Option<String> {
    let counters = position.counters.iter().map(|(name, n)| format!("{} {name}", count(*n)));
    let labels = position.labels.iter().map(|(name, text)| format!("{name} {text}"));
    let all: Vec<String> = counters.chain(labels).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// "412 more blocks".
pub fn step(name: &str, from: u64, to: u64) -> String {
    match to.checked_sub(from) {
        Some(more) => format!("{} more {name}", count(more)),
        None => format!("{} fewer {name}", count(from - to)),
    }
}
