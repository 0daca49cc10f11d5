//! Whether a place can hold a repository that several programs change at once: buckets are tried, folders are asked for their file system.

use std::path::Path;

use nodekeep_store::{Address, Store, StoreError, StoreErrorKind};
use rustix::fs::statfs;

use crate::error::Result;

/// What a place was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, in a line; empty where there is nothing to say.
    pub line: String,
    /// Why two programs at once may do harm there.
    pub unsafe_because: Option<String>,
}

impl Finding {
    /// What to tell the user.
    pub fn text(&self) -> String {
        match (&self.unsafe_because, self.line.is_empty()) {
            (Some(how), _) => format!(
                "Accepted an unsafe store: {how}.\nPruning, repair and changes of members need --alone; docs/stores.md says what is not promised."
            ),
            (None, true) => String::new(),
            (None, false) => format!("The store was tried: {}.", self.line),
        }
    }
}

/// Tries a bucket, or looks at the file system of a folder.
///
/// # Errors
/// If the store cannot be reached, or takes nothing.
pub fn of(address: &Address, store: &Store) -> Result<Finding> {
    if let Address::Folder(folder) = address {
        return Ok(of_file_system(file_system(folder)));
    }
    let probe = match store.probe() {
        Err(error) if error.kind == StoreErrorKind::Unsupported => return Ok(unsupported(&error)),
        result => result?,
    };
    let line = probe.to_string().replace('\n', "; ");
    let unsafe_because = (!probe.is_honest()).then(|| line.clone());
    Ok(Finding { line, unsafe_because })
}

/// A store that says itself that it cannot do it is no worse than one that lies.
fn unsupported(error: &StoreError) -> Finding {
    Finding { line: error.to_string(), unsafe_because: Some(error.to_string()) }
}

/// The magic number of the file system that a folder is on, or would be made on.
fn file_system(folder: &Path) -> Option<u32> {
    let existing = folder.ancestors().find(|path| path.exists())?;
    statfs(existing).ok().map(|found| found.f_type as u32)
}

fn of_file_system(magic: Option<u32>) -> Finding {
    let shared = match magic {
        Some(0x6969) => Some("NFS"),
        Some(0x517b | 0xff53_4d42 | 0xfe53_4d42) => Some("SMB"),
        Some(0x0102_1997) => Some("9p"),
        Some(0x5346_414f) => Some("AFS"),
        _ => None,
    };
    let line = match magic {
        Some(0x6573_5546) => {
            "its file system is a program's own (FUSE): if it lies on another host, only one machine at a time may prune".to_owned()
        }
        _ => String::new(),
    };
    let unsafe_because = shared.map(|kind| {
        format!("it is on {kind}, where two machines may not see at once what the other created")
    });
    Finding { line, unsafe_because }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_folders_are_told_from_disks() {
        for (magic, kind) in [(0x6969, "NFS"), (0xfe53_4d42, "SMB"), (0xff53_4d42, "SMB")] {
            let finding = of_file_system(Some(magic));
            assert!(finding.unsafe_because.as_ref().is_some_and(|how| how.contains(kind)));
            assert!(finding.text().contains("--alone"));
        }
        for magic in [None, Some(0xef53), Some(0x9123_683e), Some(0x0102_1994)] {
            assert_eq!(of_file_system(magic).unsafe_because, None, "{magic:?}");
            assert_eq!(of_file_system(magic).text(), "");
        }
        assert!(of_file_system(Some(0x6573_5546)).text().contains("FUSE"));
    }

    #[test]
    fn a_folder_of_this_machine_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(file_system(&folder.path().join("not/yet/there")).is_some());
    }
}
