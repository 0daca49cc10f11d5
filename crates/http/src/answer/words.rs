//! How values look in documents: times, names that are no text.

use jiff::Timestamp;

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
