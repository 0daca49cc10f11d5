//! Entries of a snapshot, as `ls` shows them and as JSON.

use nodekeep_repo::id::to_hex;
use nodekeep_repo::snapshot::Snapshot;
use nodekeep_repo::tree::{Entry, Kind};
use serde_json::{Value, json};

use super::time;

/// The word for what an entry is.
pub fn kind_word(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File { .. } => "file",
        Kind::Directory { .. } => "directory",
        Kind::Symlink { .. } => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice { .. } => "character-device",
        Kind::BlockDevice { .. } => "block-device",
    }
}

/// `drwxr-xr-x`.
pub fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File { .. } => '-',
        Kind::Directory { .. } => 'd',
        Kind::Symlink { .. } => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
    };
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut text = String::from(kind);
    for (at, (bit, letter)) in special.into_iter().enumerate() {
        let bits = entry.mode >> (6 - 3 * at);
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, entry.mode & bit != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// The name of a user or group at the time of the backup, or its number.
pub fn owner(names: &[(u32, String)], id: u32) -> String {
    let found = names.iter().find(|(known, _)| *known == id);
    found.map_or_else(|| id.to_string(), |(_, name)| super::path(name.as_bytes()))
}

/// Cells of a long line: mode, user, group, size, time, name.
pub fn long(snapshot: &Snapshot, path: &[u8], entry: &Entry) -> [String; 6] {
    let size = match &entry.kind {
        Kind::Directory { bytes, .. } => super::size(*bytes),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            format!("{major}, {minor}")
        }
        _ => super::size(entry.size()),
    };
    [
        mode(entry),
        owner(&snapshot.users, entry.uid),
        owner(&snapshot.groups, entry.gid),
        size,
        time::date_time(entry.mtime.saturating_mul(1000)),
        name(path, entry),
    ]
}

/// The name, with a slash after a directory, and where a link points.
pub fn name(path: &[u8], entry: &Entry) -> String {
    let shown = super::path(path);
    match &entry.kind {
        Kind::Directory { .. } if !shown.ends_with('/') => format!("{shown}/"),
        Kind::Symlink { target } => format!("{shown} -> {}", super::path(target)),
        _ => shown,
    }
}

/// An entry as JSON.
pub fn json(snapshot: &Snapshot, path: &[u8], entry: &Entry) -> Value {
    let mut value = json!({
        "path": super::json::path(path),
        "type": kind_word(entry),
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "user": owner(&snapshot.users, entry.uid),
        "group": owner(&snapshot.groups, entry.gid),
        "modified": modified(entry),
    });
    match &entry.kind {
        Kind::File { size, hash, .. } => {
            value["size"] = (*size).into();
            value["hash"] = to_hex(hash).into();
        }
        Kind::Directory { files, bytes, .. } => {
            value["files"] = (*files).into();
            value["size"] = (*bytes).into();
        }
        Kind::Symlink { target } => value["target"] = super::json::path(target),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            value["device"] = json!([major, minor]);
        }
        Kind::Fifo | Kind::Socket => {}
    }
    value
}

fn modified(entry: &Entry) -> Value {
    let time = jiff::Timestamp::new(entry.mtime, i32::try_from(entry.mtime_ns).unwrap_or(0));
    time.map_or(Value::Null, |time| Value::from(time.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_ls_writes_them() {
        let entry = |mode, kind| Entry {
            name: b"x".to_vec(),
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_ns: 0,
            xattrs: Vec::new(),
            link: None,
            kind,
        };
        let cases = [
            (0o755, "prwxr-xr-x"),
            (0o4711, "prws--x--x"),
            (0o2644, "prw-r-Sr--"),
            (0o1777, "prwxrwxrwt"),
        ];
        for (bits, text) in cases {
            assert_eq!(mode(&entry(bits, Kind::Fifo)), text);
        }
    }
}
