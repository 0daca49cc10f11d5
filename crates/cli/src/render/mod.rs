//! How values look to people: sizes, counts, times, names, tables.

pub mod entry;
pub mod json;
pub mod table;
pub mod time;

pub use nodekeep_nodes::counting::{counted, grouped as count, size};
pub use table::Table;
pub use time::{ago, date_time, duration};

/// A file name as text: what is no UTF-8 is replaced, and control characters cannot reach the terminal.
pub fn path(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// Bytes per second, or nothing for what took no time.
pub fn rate(bytes: u64, elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 0.001 {
        return String::new();
    }
    format!("{}/s", size((bytes as f64 / seconds) as u64))
}

/// How long it took, and the rate where there was enough to measure.
pub fn took(bytes: u64, elapsed: std::time::Duration) -> String {
    let time = duration(elapsed);
    match rate(bytes, elapsed) {
        rate if bytes >= 1 << 20 && !rate.is_empty() => format!("{time}, {rate}"),
        _ => time,
    }
}

/// Eight bytes of a key in groups of four digits, to be compared by eye.
pub fn fingerprint(key: &[u8; 32]) -> String {
    let hex = nodekeep_repo::id::to_hex(&key[..8]);
    let groups: Vec<&str> = (0..4).map(|i| &hex[i * 4..i * 4 + 4]).collect();
    groups.join("-")
}

/// The first eight digits of an id.
pub fn short(hex: &str) -> &str {
    &hex[..hex.len().min(8)]
}

/// A path as a shell reads it back.
pub fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Lines with two spaces before each.
pub fn indent(text: &str) -> String {
    let line = |line: &str| {
        if line.is_empty() { String::new() } else { format!("  {line}") }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Aligned `name  value` lines, indented by two; pairs with an empty value are left out, and further lines of a value stand below its first.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let shown: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let below = format!("\n{}", " ".repeat(width + 4));
    let lines = shown.iter().map(|(name, value)| {
        let value = value.replace('\n', &below);
        format!("  {name:width$}  {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_a_person_says_them() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), text);
        }
        assert_eq!(counted(1, "directory/directories"), "1 directory");
        assert_eq!(counted(2, "directory/directories"), "2 directories");
    }

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(path(b"a\x1b[2Jb\n"), r"a\u{1b}[2Jb\n");
        assert_eq!(path("é".as_bytes()), "é");
    }

    #[test]
    fn shell_quotes_only_what_needs_it() {
        for (text, quoted) in
            [("/a/b", "/a/b"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(shell(text), quoted);
        }
    }
}
