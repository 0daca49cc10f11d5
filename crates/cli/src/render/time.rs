//! Times in the zone of the reader, and how long things took.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-20 21:04` in local time, from Unix milliseconds.
pub fn date_time(ms: i64) -> String {
    format_local(ms, "%Y-%m-%d %H:%M")
}

/// `2026-11-20 21:04:09 +00:00` in local time, from Unix milliseconds.
pub fn exact(ms: i64) -> String {
    format_local(ms, "%Y-%m-%d %H:%M:%S %:z")
}

/// The same, from RFC 3339 as manifests and certificates have it; what is none stays as it is.
pub fn told(rfc3339: &str) -> String {
    match rfc3339.parse::<Timestamp>() {
        Ok(time) => exact(time.as_millisecond()),
        Err(_) => rfc3339.to_owned(),
    }
}

/// `2026-11-20T21-04-09` in local time, for file names.
pub fn for_names(ms: i64) -> String {
    format_local(ms, "%Y-%m-%dT%H-%M-%S")
}

fn format_local(ms: i64, format: &str) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// RFC 3339 in UTC, from Unix milliseconds; for JSON.
pub fn rfc3339(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|time| time.to_string())
}

/// Now, in Unix milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `just now`, `5 minutes ago`, `3 days ago`.
pub fn ago(then_ms: i64, now_ms: i64) -> String {
    let seconds = (now_ms - then_ms).max(0) / 1000;
    let (n, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{} ago", super::counted(n as u64, unit))
}

/// `0.8 s`, `2 min 5 s`, `1 h 4 min`.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0 => format!("{:.2} s", elapsed.as_secs_f64()),
        1..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_round_down() {
        let minute = 60_000;
        let cases = [
            (0, "just now"),
            (minute, "1 minute ago"),
            (119 * minute, "1 hour ago"),
            (49 * 60 * minute, "2 days ago"),
            (-minute, "just now"),
        ];
        for (age, text) in cases {
            assert_eq!(ago(0, age), text);
        }
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (ms, text) in
            [(840, "0.84 s"), (1840, "1.8 s"), (125_000, "2 min 5 s"), (3_840_000, "1 h 4 min")]
        {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
