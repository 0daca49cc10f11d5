//! Folders that simulated programs need besides the store.

use std::path::Path;

/// The cache folder that a backup left, to be put before each run of a program.
#[derive(Debug, Clone)]
pub struct Cache(Vec<(String, Vec<u8>)>);

impl Cache {
    /// Reads the files of a folder.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn pack(folder: &Path) -> Self {
        let entries = folder.read_dir().expect("the folder is ours");
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("the folder is ours").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("the file is ours"))
        };
        Self(entries.map(file).collect())
    }

    pub(super) fn unpack(&self) -> tempfile::TempDir {
        let folder = scratch();
        for (name, bytes) in &self.0 {
            std::fs::write(folder.path().join(name), bytes).expect("the folder is ours");
        }
        folder
    }
}

/// A folder in memory where there is one.
pub fn scratch() -> tempfile::TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.expect("a temporary folder can be made")
}
