//! Numbers as people read them: `12,345 blocks`, `1 ref`, `1.5 GiB`.

/// `12,345`.
pub fn grouped(number: u64) -> String {
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

/// `1 file`, `12,345 files`; adds an s, or the plural after a slash: `directory/directories`.
pub fn counted(number: u64, noun: &str) -> String {
    match (number, noun.split_once('/')) {
        (1, Some((one, _))) => format!("1 {one}"),
        (_, Some((_, many))) => format!("{} {many}", grouped(number)),
        (1, None) => format!("1 {noun}"),
        (_, None) => format!("{} {noun}s", grouped(number)),
    }
}

/// The same of a name that is a plural already, as the counters of a [`Position`](crate::position::Position) are.
pub fn of_plural(number: u64, plural: &str) -> String {
    if number == 1 {
        format!("1 {}", singular(plural))
    } else {
        format!("{} {plural}", grouped(number))
    }
}

/// One of what a plural of English names, where its ending tells.
fn singular(plural: &str) -> String {
    let with_es = ["ches", "shes", "sses", "xes"].iter().any(|ending| plural.ends_with(ending));
    match plural.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if with_es => plural[..plural.len() - 2].to_owned(),
        None => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
    }
}

/// `1.5 GiB`; bytes exactly below 1 KiB.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would print as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let told = [
            (1, "blocks"),
            (1, "repositories"),
            (1, "hashes"),
            (1, "write-ahead-logs"),
            (2, "refs"),
        ];
        let told = told.map(|(number, name)| of_plural(number, name));
        assert_eq!(told, ["1 block", "1 repository", "1 hash", "1 write-ahead-log", "2 refs"]);
        assert_eq!(of_plural(1_234_567, "blocks"), "1,234,567 blocks");
        assert_eq!(counted(1, "directory/directories"), "1 directory");
        assert_eq!(counted(0, "directory/directories"), "0 directories");
        assert_eq!(
            (counted(1, "file"), counted(1000, "file")),
            ("1 file".into(), "1,000 files".into())
        );
    }
}
