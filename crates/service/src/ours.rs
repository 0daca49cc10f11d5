//! What Nodekeep leaves beside a node's data is called so that no backup takes it for the node's: what comes, what was there before, and
//! copies that are made while the node runs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// How a staging folder beside a node's data begins.
pub(crate) const STAGING: &str = ".nodekeep-staging-";
/// How a folder that a restore fills beside its place begins.
pub(crate) const RESTORE: &str = ".nodekeep-restore-";
/// How what the engine has restored so far is called while it is not whole.
const PARTIAL: &str = ".nodekeep-partial";
/// What stands before the purpose in a name beside a path.
const BESIDE: &str = ".nodekeep-";
/// What such names are for.
const PURPOSES: [&str; 4] = ["new", "before", "dump", "fetched"];

/// A name beside a path for one of the purposes, of the snapshot whose short id is given.
pub(crate) fn beside(target: &Path, purpose: &str, short: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}{BESIDE}{purpose}-{short}"))
}

/// A path that is free: this one, or with a number after it.
pub(crate) fn free(path: PathBuf) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..).map(|number: u32| path.with_file_name(format!("{name}-{number}")));
    let mut names = std::iter::once(path.clone()).chain(numbered);
    names.find(|path| path.symlink_metadata().is_err()).unwrap_or(path)
}

/// Whether a name in a node's folder is Nodekeep's, not the node's.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str().filter(|name| name.starts_with('.')) else {
        return false;
    };
    let is_for = |what: &str| {
        let purpose = what.split_once('-');
        purpose.is_some_and(|(purpose, id)| PURPOSES.contains(&purpose) && is_id(id))
    };
    name.starts_with(STAGING)
        || name.starts_with(RESTORE)
        || name.ends_with(PARTIAL)
        || name.rsplit_once(BESIDE).is_some_and(|(_, what)| is_for(what))
}

/// A short id, with or without a number after it.
fn is_id(text: &str) -> bool {
    let (id, number) = text.split_once('-').unwrap_or((text, "2"));
    id.len() == 8
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && number.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_beside_data_is_known_as_ours() {
        let before = beside(Path::new("/srv/data"), "before", "4f2a91c0");
        let names = [
            before.to_str().unwrap(),
            "/srv/.data.nodekeep-before-4f2a91c0-12",
            "/srv/.nodekeep-staging-n-1-0",
            "/srv/.nodekeep-restore-4f2a91c0-data",
            "/srv/.x.nodekeep-partial",
        ];
        for name in names {
            assert!(is_ours(Path::new(name).file_name().unwrap()), "{name}");
        }
        let others = ["data", ".data", ".data.nodekeep-before", ".x.nodekeep-after-4f2a91c0"];
        for name in others.into_iter().chain(["x.nodekeep-before-4f2a91c0", ".nodekeep"]) {
            assert!(!is_ours(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for expected in ["a", "a-2", "a-3"] {
            let found = free(path.clone());
            assert_eq!(found, folder.path().join(expected));
            std::fs::write(found, "").unwrap();
        }
    }
}
