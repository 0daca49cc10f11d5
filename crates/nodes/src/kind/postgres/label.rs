//! How far a server had come: what `backup_label` and `pg_control` say in a copy of its folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::position::Position;

/// Read from the copy alone.
///
/// # Errors
/// If it is no data folder, or its label is damaged.
pub(super) fn position(folder: &Path) -> Result<Position> {
    let mut position = Position::default();
    position.label("system", system_identifier(folder)?.to_string());
    let path = folder.join("backup_label");
    // A copy that was started has no label any more.
    let Ok(text) = fs::read_to_string(&path) else { return Ok(position) };
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let damaged =
        || Error::Damaged { path: path.clone(), reason: "names no place in the WAL".to_owned() };
    let checkpoint = value("CHECKPOINT LOCATION:").ok_or_else(damaged)?;
    position.label("checkpoint", checkpoint);
    position.count("bytes of WAL", lsn(checkpoint).ok_or_else(damaged)?);
    if let Some(timeline) = value("START TIMELINE:") {
        position.label("timeline", timeline);
    }
    Ok(position)
}

/// The first eight bytes of `pg_control` since PostgreSQL 8: which server this is a copy of.
fn system_identifier(folder: &Path) -> Result<u64> {
    let path = folder.join("global/pg_control");
    let mut bytes = [0; 8];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(Error::file(&path, "cannot be read: this is no data folder of PostgreSQL"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// `16/B374D848`: two hexadecimal halves.
fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let high = u64::from(u32::from_str_radix(high, 16).ok()?);
    let low = u64::from(u32::from_str_radix(low, 16).ok()?);
    Some((high << 32) | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_gives_a_position() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("global")).unwrap();
        assert!(position(folder.path()).is_err());
        fs::write(folder.path().join("global/pg_control"), 42_u64.to_ne_bytes()).unwrap();
        let label = "START WAL LOCATION: 1/2000028 (file 000000010000000100000002)\nCHECKPOINT LOCATION: 1/2000060\nSTART TIMELINE: 3\n";
        fs::write(folder.path().join("backup_label"), label).unwrap();
        let position = position(folder.path()).unwrap();
        assert_eq!(position.counters["bytes of WAL"], 0x1_0200_0060);
        assert_eq!(position.labels["system"], "42");
        assert_eq!(position.labels["timeline"], "3");
        fs::write(folder.path().join("backup_label"), "CHECKPOINT LOCATION: x\n").unwrap();
        let error = super::position(folder.path()).unwrap_err().to_string();
        assert!(error.contains("backup_label"), "{error}");
    }
}
