//! What a capture must know of a RocksDB's options: whether everything lies in one folder and can be read.
//!
//! The database writes them as an INI file, `OPTIONS-<number>`; the highest number counts. A database without one (LevelDB) has nothing to refuse.

use std::path::Path;

use super::disk::Disk;
use super::version::{Named, named};
use crate::error::{Error, Result};

/// The options that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where WALs lie, if not in the database's folder.
    pub wal_dir: Option<String>,
    /// Other folders that may hold tables.
    pub paths: Vec<String>,
    /// How many old WALs are kept to be written over.
    pub recycle_log_file_num: u64,
    /// Whether writes reach the WAL's file only when the program says so.
    pub is_wal_flushed_by_hand: bool,
    /// How WALs are compressed, if they are.
    pub wal_compression: Option<String>,
}

impl Options {
    /// The newest options of a database.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn read(disk: &dyn Disk) -> Result<Self> {
        let names = disk.list().map_err(Error::file(disk.path(), "list"))?;
        let numbered = names.iter().filter_map(|name| match named(name) {
            Named::Options(number) => Some((number, name)),
            _ => None,
        });
        // One that was replaced since the listing is as gone as one that never was: what it said is in the next, and the MANIFEST is checked too.
        let newest = numbered.max().and_then(|(_, name)| disk.read(name).ok());
        let text = newest.unwrap_or_default();
        Ok(Self::parse(&String::from_utf8_lossy(&text), disk.path()))
    }

    /// Reads the text of an options file of the database at `path`.
    pub fn parse(text: &str, path: &Path) -> Self {
        let mut options = Self::default();
        let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
        for (name, value) in pairs {
            match name {
                "wal_dir" if !is_same(value, path) => options.wal_dir = Some(value.to_owned()),
                "db_paths" | "cf_paths" => options.paths.extend(other_paths(value, path)),
                "recycle_log_file_num" => {
                    options.recycle_log_file_num = value.parse().unwrap_or(0);
                }
                "manual_wal_flush" => options.is_wal_flushed_by_hand = value == "true",
                "wal_compression" if value != "kNoCompression" => {
                    options.wal_compression = Some(value.to_owned());
                }
                _ => {}
            }
        }
        options
    }

    /// # Errors
    /// [`Error::Unsupported`] if some of the database lies elsewhere or is compressed where it must be read.
    pub fn check(&self, path: &Path) -> Result<()> {
        let reason = if let Some(wal_dir) = &self.wal_dir {
            format!(
                "its WAL lies in {wal_dir} (wal_dir): only a database in one folder can be copied while it runs; stop or freeze the node, and back up both"
            )
        } else if let Some(other) = self.paths.first() {
            format!(
                "some of its tables lie in {other} (db_paths or cf_paths): only a database in one folder can be copied while it runs; stop or freeze the node, and back up both"
            )
        } else if let Some(method) = &self.wal_compression {
            format!(
                "its WAL is compressed ({method}): set wal_compression to kNoCompression, or stop or freeze the node"
            )
        } else {
            return Ok(());
        };
        Err(Error::Unsupported { path: path.to_owned(), reason })
    }
}

/// Whether an option names the database's own folder, or nothing.
fn is_same(value: &str, path: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // A relative folder depends on where the program ran: the last part is what can be compared.
    let named = Path::new(value);
    value.is_empty()
        || resolved(named) == resolved(path)
        || named.is_relative()
            && path.ends_with(value.trim_start_matches("./").trim_end_matches('/'))
}

/// Folders in a list such as `{path=/a;target_size=1;}:{path=/b;…}` that are not the database's.
fn other_paths(value: &str, path: &Path) -> Vec<String> {
    let fields = value.split(['{', '}', ';', ':']).filter_map(|field| field.strip_prefix("path="));
    fields.filter(|other| !is_same(other, path)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[Version]\n  options_file_version=1.1\n[DBOptions]\n  wal_dir=/srv/db/\n  \
                        recycle_log_file_num=4\n  manual_wal_flush=true\n  wal_compression=kNoCompression\n";

    #[test]
    fn options_of_one_folder_are_taken() {
        let options = Options::parse(TEXT, Path::new("/srv/db"));
        let expected =
            Options { recycle_log_file_num: 4, is_wal_flushed_by_hand: true, ..Options::default() };
        assert_eq!(options, expected);
        options.check(Path::new("/srv/db")).unwrap();
    }

    #[test]
    fn what_lies_elsewhere_or_is_compressed_is_refused() {
        let cases = [
            ("wal_dir=/wal", "/wal"),
            ("cf_paths={path=/fast;target_size=10;}:{path=/slow;target_size=0;}", "/fast"),
            ("db_paths={{path=/other;target_size=0;}}", "/other"),
            ("wal_compression=kZSTD", "kZSTD"),
        ];
        for (line, named) in cases {
            let options = Options::parse(&format!("[DBOptions]\n  {line}\n"), Path::new("/srv/db"));
            let error = options.check(Path::new("/srv/db")).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{line}");
            assert!(error.to_string().contains(named), "{line}: {error}");
        }
        assert!(Options::parse("cf_paths=\n db_paths={}", Path::new("/db")).paths.is_empty());
    }
}
