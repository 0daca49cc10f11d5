//! What a person can do about an error of the system: for every message that names a file or folder.

use std::io;

use rustix::io::Errno;

use crate::axon::error::Error as Axon;
use crate::error::Error;

/// What to do about an error of the system, if there is something to say.
pub fn io_hint(error: &io::Error) -> Option<&'static str> {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    Some(match (code, error.kind()) {
        (Some(Errno::ACCESS | Errno::PERM), _) | (_, io::ErrorKind::PermissionDenied) => {
            "permission denied (EACCES): run Nodekeep as the node's user or as root; do not make the node's files readable for everybody"
        }
        (_, io::ErrorKind::NotFound) => {
            "nothing lies there (ENOENT): look at the path with `nodekeep node show NODE`, and whether its disk is mounted"
        }
        (Some(Errno::NOSPC | Errno::DQUOT), _) => {
            "no space left on the device (ENOSPC): see `df -h` and `df -i`; free some, or use another disk. What was there before is untouched"
        }
        (Some(Errno::IO), _) => {
            "the disk cannot read or write this (EIO): look at `dmesg` and `smartctl -H`. Copy off what still can be read before anything is repaired, and restore to another disk"
        }
        (Some(Errno::ROFS), _) => {
            "the file system is read-only (EROFS): after errors a disk is often mounted so; look at `dmesg` before it is mounted for writing again"
        }
        (Some(Errno::MFILE | Errno::NFILE), _) => {
            "too many open files (EMFILE): raise the limit with `ulimit -n` or LimitNOFILE= of the service"
        }
        (Some(Errno::STALE), _) => {
            "the network file system has lost this file (ESTALE): mount it again, then run the command again"
        }
        (Some(Errno::LOOP), _) => {
            "symbolic links lead in a circle (ELOOP): look at the path with `namei -l`"
        }
        _ => return None,
    })
}

impl Error {
    /// What to do about it, where the system's error tells.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File(file) | Self::Axon(Axon::File(file)) => io_hint(&file.source),
            Self::Start { source, .. } => io_hint(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_guide_say_what_to_do() {
        let cases = [
            (Errno::ACCESS, "EACCES"),
            (Errno::PERM, "EACCES"),
            (Errno::NOENT, "ENOENT"),
            (Errno::NOSPC, "ENOSPC"),
            (Errno::IO, "EIO"),
        ];
        for (code, named) in cases {
            let error = io::Error::from_raw_os_error(code.raw_os_error());
            assert!(io_hint(&error).is_some_and(|hint| hint.contains(named)), "{named}");
            let error = Error::file("/data", "cannot be read")(error);
            assert!(error.hint().is_some(), "{error}");
        }
        assert_eq!(io_hint(&io::Error::other("else")), None);
    }
}
