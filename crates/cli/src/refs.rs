//! How a person names a snapshot: an id, `latest`, `PATH@WHEN`, `NODE@WHEN`, or a portable file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_service::find;

use crate::error::{Error, Result};
use crate::render;

/// A snapshot as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The newest, or so many before it.
    Latest { back: usize },
    /// The start of an id.
    Id(String),
    /// Of a path, at a time.
    At { path: Vec<u8>, when: When, text: String },
    /// Of a registered node, at a time; the latest that has these components, if some are wanted.
    Node { name: String, when: When, components: Vec<String> },
    /// A portable file.
    File(PathBuf),
}

/// Which snapshot of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The newest, or so many before it.
    Latest { back: usize },
    /// The newest that began before this moment, in Unix milliseconds.
    Before(i64),
    /// The start of an id.
    Id(String),
}

impl From<When> for find::When {
    fn from(when: When) -> Self {
        match when {
            When::Latest { back } => Self::Latest { back },
            When::Before(end) => Self::Before(end),
            When::Id(prefix) => Self::Id(prefix),
        }
    }
}

/// A snapshot, and the part of it that was named.
#[derive(Debug, Clone)]
pub struct Found {
    pub record: SnapshotRecord,
    /// The path inside, if a path below a root was named.
    pub inside: Option<Vec<u8>>,
}

/// Reads a reference.
///
/// # Errors
/// If it is none: a bare word, a date that does not exist, an id that is too short.
pub fn parse(text: &str) -> Result<Reference> {
    if text.ends_with(".nkb") {
        return Ok(Reference::File(PathBuf::from(text)));
    }
    if let Some(back) = parse_latest(text) {
        return Ok(Reference::Latest { back });
    }
    if is_path(text) {
        return parse_at(text);
    }
    match is_hex(text) {
        true if text.len() < 4 => Err(Error::ShortId { wanted: text.to_owned() }),
        true => Ok(Reference::Id(text.to_lowercase())),
        false => parse_node(text),
    }
}

fn parse_node(text: &str) -> Result<Reference> {
    let (name, when) = match text.split_once('@') {
        None => (text, When::Latest { back: 0 }),
        Some((name, when)) => {
            let bad = || Error::BadWhen { wanted: text.to_owned(), part: when.to_owned() };
            (name, parse_when(when).ok_or_else(bad)?)
        }
    };
    nodekeep_nodes::node::check_name(name)?;
    Ok(Reference::Node { name: name.to_owned(), when, components: Vec::new() })
}

/// Whether a word is a path and not the name of a node: it has a slash, or is only dots.
pub fn is_path(text: &str) -> bool {
    let before = text.split('@').next().unwrap_or(text);
    text.contains('/') || matches!(before, "." | "..")
}

fn parse_at(text: &str) -> Result<Reference> {
    let at = |path: &str, when| {
        let path = absolute(Path::new(path));
        Reference::At { path, when, text: text.to_owned() }
    };
    match text.rsplit_once('@') {
        // `/srv/user@host/x` is a path: what follows its last @ has a slash.
        Some((path, when)) if !when.contains('/') && !path.is_empty() => match parse_when(when) {
            Some(when) => Ok(at(path, when)),
            None => Err(Error::BadWhen { wanted: text.to_owned(), part: when.to_owned() }),
        },
        _ => Ok(at(text, When::Latest { back: 0 })),
    }
}

fn parse_when(text: &str) -> Option<When> {
    if let Some(back) = parse_latest(text) {
        return Some(When::Latest { back });
    }
    if let Some(before) = parse_moment(text) {
        return Some(When::Before(before));
    }
    (is_hex(text) && text.len() >= 4).then(|| When::Id(text.to_lowercase()))
}

/// The end of a day, or of a second, in Unix milliseconds; without a zone it is local time.
fn parse_moment(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond() + 1000);
    }
    let end = match text.parse::<Date>() {
        Ok(day) if !text.contains(':') => {
            day.tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight())
        }
        _ => text.parse::<DateTime>().ok()?.checked_add(1.second()).ok()?,
    };
    let time = end.to_zoned(TimeZone::system()).ok()?;
    Some(time.timestamp().as_millisecond())
}

fn parse_latest(text: &str) -> Option<usize> {
    match text.strip_prefix("latest")? {
        "" => Some(0),
        rest => rest.strip_prefix('~')?.parse().ok(),
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A path from the root on, without `.` and `..`; links are not followed, as in a backup.
pub fn absolute(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut clean = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => _ = clean.pop(),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean.into_os_string().into_encoded_bytes()
}

/// A path from bytes.
pub fn os_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The same path without symbolic links, as a backup records it, as far as it exists today.
fn real(path: &[u8]) -> Vec<u8> {
    let path = os_path(path);
    let resolved =
        path.ancestors().find_map(|ancestor| Some((ancestor.canonicalize().ok()?, ancestor)));
    let joined =
        resolved.and_then(|(real, ancestor)| Some(real.join(path.strip_prefix(ancestor).ok()?)));
    let found = joined.unwrap_or_else(|| path.to_owned());
    absolute(&found)
}

/// A path as backups record it: absolute, without symbolic links.
pub fn resolved(path: &Path) -> Vec<u8> {
    real(&absolute(path))
}

/// Finds what a reference means among the snapshots, oldest first. A file is not among them.
///
/// # Errors
/// If nothing or several match.
pub fn find(reference: &Reference, snapshots: &[SnapshotRecord], location: &str) -> Result<Found> {
    if snapshots.is_empty() {
        return Err(Error::NoSnapshots { location: location.to_owned() });
    }
    match reference {
        Reference::Latest { back } => latest(snapshots, *back),
        Reference::Id(prefix) => by_id(snapshots.iter().collect(), prefix).map(whole),
        Reference::At { path, when, text } => at(snapshots, path, when, text),
        Reference::Node { name, when, components } => of_node(snapshots, name, when, components),
        Reference::File(path) => Err(Error::FileNotSnapshot { path: path.clone() }),
    }
}

fn whole(record: &SnapshotRecord) -> Found {
    Found { record: record.clone(), inside: None }
}

fn by_id<'a>(snapshots: Vec<&'a SnapshotRecord>, prefix: &str) -> Result<&'a SnapshotRecord> {
    let matching: Vec<_> =
        snapshots.into_iter().filter(|record| record.id.hex().starts_with(prefix)).collect();
    match matching.as_slice() {
        [one] => Ok(one),
        [] => Err(Engine::NoSnapshot { wanted: prefix.to_owned() }.into()),
        many => Err(Engine::Ambiguous { wanted: prefix.to_owned(), count: many.len() }.into()),
    }
}

/// The paths of a snapshot.
pub fn roots(record: &SnapshotRecord) -> Vec<&[u8]> {
    record.snapshot.roots.iter().map(|root| root.path.as_slice()).collect()
}

fn latest(snapshots: &[SnapshotRecord], back: usize) -> Result<Found> {
    let mut groups: Vec<Vec<&[u8]>> = Vec::new();
    for record in snapshots {
        let group =
            find::node_of(record).map_or_else(|| roots(record), |node| vec![node.as_bytes()]);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if groups.len() > 1 {
        let name =
            |group: &Vec<&[u8]>| group.first().map_or(String::new(), |path| render::path(path));
        return Err(Error::LatestOfMany { groups: groups.iter().map(name).collect() });
    }
    let wanted = || {
        if back == 0 { "latest".to_owned() } else { format!("latest~{back}") }
    };
    let found = snapshots.iter().rev().nth(back);
    found.map(whole).ok_or_else(|| Engine::NoSnapshot { wanted: wanted() }.into())
}

fn at(snapshots: &[SnapshotRecord], path: &[u8], when: &When, text: &str) -> Result<Found> {
    let real = real(path);
    let is_known = snapshots.iter().any(|record| covers(record, &real));
    let path = if is_known { real.as_slice() } else { path };
    let covering: Vec<&SnapshotRecord> =
        snapshots.iter().filter(|record| covers(record, path)).collect();
    let none = |when: &str| Error::NoSnapshotOf { path: render::path(path), when: when.to_owned() };
    if covering.is_empty() {
        return Err(none(""));
    }
    let record = match when {
        When::Latest { back } => {
            covering.iter().rev().nth(*back).copied().ok_or_else(|| none(" that far back"))
        }
        When::Before(end) => {
            let before = covering.iter().rev().find(|record| record.snapshot.started_ms < *end);
            before.copied().ok_or_else(|| none(&format!(" from {} or before", moment(text))))
        }
        When::Id(prefix) => by_id(covering, prefix),
    }?;
    // A path that is all of the snapshot needs no choice in it.
    let inside = (roots(record) != [path]).then(|| path.to_vec());
    Ok(Found { record: record.clone(), inside })
}

fn of_node(
    snapshots: &[SnapshotRecord],
    name: &str,
    when: &When,
    components: &[String],
) -> Result<Found> {
    let (of_it, _) = find::of_node(snapshots, name);
    Ok(whole(&find::pick(&of_it, name, &when.clone().into(), components)?.record))
}

fn moment(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, when)| when)
}

/// Whether a snapshot can have a path: it is one of its roots, or below one.
fn covers(record: &SnapshotRecord, path: &[u8]) -> bool {
    let has = |root: &[u8]| {
        let base = root.strip_suffix(b"/").unwrap_or(root);
        path == root || path.strip_prefix(base).is_some_and(|rest| rest.starts_with(b"/"))
    };
    roots(record).into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(text: &str) -> Option<When> {
        match parse(text) {
            Ok(Reference::At { when, .. }) => Some(when),
            _ => None,
        }
    }

    #[test]
    fn words_are_told_apart() {
        assert_eq!(parse("latest").unwrap(), Reference::Latest { back: 0 });
        assert_eq!(parse("latest~3").unwrap(), Reference::Latest { back: 3 });
        assert_eq!(parse("4F2A").unwrap(), Reference::Id("4f2a".into()));
        assert_eq!(parse("x.nkb").unwrap(), Reference::File("x.nkb".into()));
        assert!(matches!(parse("4f2"), Err(Error::ShortId { .. })));
        assert!(matches!(
            parse("guts"),
            Ok(Reference::Node { when: When::Latest { back: 0 }, .. })
        ));
        assert!(matches!(
            parse("guts@latest~2"),
            Ok(Reference::Node { when: When::Latest { back: 2 }, .. })
        ));
        assert!(matches!(parse("guts@noon"), Err(Error::BadWhen { .. })));
        assert!(parse("-x").is_err());
        assert!(matches!(parse("/srv@noon"), Err(Error::BadWhen { .. })));
    }

    #[test]
    fn a_path_takes_a_moment() {
        assert_eq!(when("/srv"), Some(When::Latest { back: 0 }));
        assert_eq!(when("/srv@latest~1"), Some(When::Latest { back: 1 }));
        assert_eq!(when("/srv@4f2a91"), Some(When::Id("4f2a91".into())));
        assert_eq!(when("/srv@2026-11-19T08:00:00Z"), Some(When::Before(1_795_075_201_000)));
        assert_eq!(when("/home/a@b/c"), Some(When::Latest { back: 0 }));
    }

    #[test]
    fn paths_are_made_absolute_without_looking() {
        assert_eq!(absolute(Path::new("/a/./b/../c/")), b"/a/c");
        assert_eq!(absolute(Path::new("/")), b"/");
    }
}
