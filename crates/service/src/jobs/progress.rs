//! How far a job is: a small file in the folder of jobs that the program at work replaces now and then. It is read by whoever wants to
//! know, and outlives the daemon that began the job.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What goes on, in a word or two.
    pub phase: String,
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Of how many, as far as that is known.
    pub total_bytes: Option<u64>,
    /// Files that are done.
    pub done_files: u64,
    /// Of how many.
    pub total_files: Option<u64>,
    /// Where it is.
    pub path: Option<String>,
}

impl Progress {
    /// Puts it in place of what was there, at once. It need not survive a crash of the machine, so nothing waits for the disk.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("progress-new");
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&beside, path)
    }

    /// What was last written; `None` if nothing was, or it cannot be read.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}
