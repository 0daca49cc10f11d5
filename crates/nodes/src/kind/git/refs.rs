//! Refs: what names the commits of a repository. They are read before its objects, because an object is there before a ref names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;

use super::find::{entries, read};
use crate::error::Result;

/// The file of refs that were packed.
pub(super) const PACKED: &str = "packed-refs";
/// Folders with loose refs: the repository's and those of its further work trees.
const FOLDERS: [&str; 2] = ["refs", "worktrees"];
/// How often refs are read again until two readings are the same.
const READINGS: usize = 50;

/// All refs of a repository at one moment, as the bytes of their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refs {
    /// By path relative to the repository.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Folders under `refs` and `worktrees`: git wants some even if they are empty.
    pub folders: BTreeSet<PathBuf>,
}

/// A ref or another name, and the object that it names.
pub(super) type Tips = BTreeMap<String, ObjectId>;

impl Refs {
    /// Reads them until they stand still for two readings. The flag says whether they did.
    pub fn read_still(repository: &Path) -> Result<(Self, bool)> {
        let mut refs = Self::read(repository)?;
        for _ in 0..READINGS {
            let again = Self::read(repository)?;
            if again == refs {
                return Ok((refs, true));
            }
            refs = again;
        }
        Ok((refs, false))
    }

    /// Reads them once: loose ones before packed ones, as git packs a ref before it drops the loose one.
    pub fn read(repository: &Path) -> Result<Self> {
        let mut refs = Self::default();
        for entry in entries(repository)? {
            let name = PathBuf::from(entry.file_name());
            if name.to_str().is_some_and(is_pseudo_ref) {
                refs.take(repository, name)?;
            }
        }
        for folder in FOLDERS {
            refs.take_folder(repository, folder)?;
        }
        refs.take(repository, PACKED.into())?;
        Ok(refs)
    }

    fn take(&mut self, repository: &Path, name: PathBuf) -> Result<()> {
        self.files.extend(read(&repository.join(&name))?.map(|bytes| (name, bytes)));
        Ok(())
    }

    fn take_folder(&mut self, repository: &Path, folder: &str) -> Result<()> {
        let mut waiting: Vec<PathBuf> = vec![folder.into()];
        while let Some(folder) = waiting.pop() {
            if !repository.join(&folder).is_dir() {
                continue;
            }
            for entry in entries(&repository.join(&folder))? {
                let name = folder.join(entry.file_name());
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => waiting.push(name),
                    Ok(_) if !is_lock(&name) => self.take(repository, name)?,
                    _ => {}
                }
            }
            self.folders.insert(folder);
        }
        Ok(())
    }

    /// What they name. A loose ref counts more than a packed one; refs that name refs, and what is no ref, are passed over.
    pub fn tips(&self) -> Tips {
        let packed = self.files.get(Path::new(PACKED)).map_or(&[][..], Vec::as_slice);
        let mut tips: Tips = packed.split(|&byte| byte == b'\n').filter_map(packed_ref).collect();
        for (name, bytes) in &self.files {
            let id = bytes.trim_ascii_end().get(..40).and_then(|hex| ObjectId::from_hex(hex).ok());
            if let (true, Some(id)) = (is_ref(name), id) {
                tips.insert(name.to_string_lossy().into_owned(), id);
            }
        }
        tips.retain(|_, id| !id.is_null());
        tips
    }

    /// What `HEAD` names in the end.
    pub fn head(&self) -> Option<ObjectId> {
        let tips = self.tips();
        let head = self.files.get(Path::new("HEAD"))?;
        let target = std::str::from_utf8(head).ok()?.strip_prefix("ref:").map(str::trim);
        tips.get(target.unwrap_or("HEAD")).copied()
    }

    /// How many refs there are; `HEAD` and its like are none.
    pub fn count(&self) -> u64 {
        self.tips().keys().filter(|name| name.starts_with("refs/")).count() as u64
    }
}

/// Whether a name is left behind by, or belongs to, a process that is writing.
pub(super) fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

/// `HEAD`, `ORIG_HEAD`, `FETCH_HEAD` and what else git keeps in that way.
pub(super) fn is_pseudo_ref(name: &str) -> bool {
    name == "HEAD" || name.ends_with("_HEAD")
}

/// Whether a file's content is an object's name: not so with `FETCH_HEAD`, whose objects git does not keep, nor with the other files of a
/// work tree.
fn is_ref(name: &Path) -> bool {
    let Some(text) = name.to_str() else { return false };
    let in_worktree = text.strip_prefix("worktrees/").and_then(|rest| rest.split_once('/'));
    let name = in_worktree.map_or(text, |(_, name)| name);
    name == "HEAD" || name.starts_with("refs/")
}

/// A line of `packed-refs`. Peeled ones and the header name nothing of their own.
fn packed_ref(line: &[u8]) -> Option<(String, ObjectId)> {
    let (id, name) = (line.get(..40)?, line.get(41..)?);
    let id = ObjectId::from_hex(id).ok()?;
    Some((String::from_utf8_lossy(name.trim_ascii_end()).into_owned(), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn refs(files: &[(&str, String)]) -> Refs {
        let files = files.iter().map(|(name, text)| (name.into(), text.clone().into_bytes()));
        Refs { files: files.collect(), folders: BTreeSet::new() }
    }

    #[test]
    fn loose_refs_count_more_than_packed_ones() {
        let packed =
            format!("# pack-refs with: peeled\n{A} refs/heads/main\n{A} refs/tags/v1\n^{B}\n");
        let refs = refs(&[
            ("HEAD", "ref: refs/heads/main\n".to_owned()),
            ("ORIG_HEAD", format!("{A}\n")),
            ("FETCH_HEAD", format!("{A}\t\tbranch 'x' of y\n")),
            ("refs/heads/main", format!("{B}\n")),
            ("refs/remotes/origin/HEAD", "ref: refs/remotes/origin/main\n".to_owned()),
            ("worktrees/side/HEAD", format!("{A}\n")),
            ("worktrees/side/gitdir", "/somewhere/.git\n".to_owned()),
            ("packed-refs", packed),
        ]);
        let tips: Vec<(String, String)> =
            refs.tips().into_iter().map(|(name, id)| (name, id.to_string())).collect();
        let expected = [("refs/heads/main", B), ("refs/tags/v1", A), ("worktrees/side/HEAD", A)];
        assert_eq!(tips, expected.map(|(name, id)| (name.to_owned(), id.to_owned())));
        assert_eq!(refs.head().unwrap().to_string(), B);
        assert_eq!(refs.count(), 2);
    }

    #[test]
    fn what_is_no_ref_is_passed_over() {
        let zero = "0".repeat(40);
        let refs = refs(&[
            ("HEAD", A[..30].to_owned()),
            ("refs/heads/zero", zero),
            ("refs/heads/torn", String::new()),
            ("packed-refs", format!("{A}\nzz{B} x\n\n{}", &A[..10])),
        ]);
        assert_eq!(refs.tips(), Tips::new());
        assert_eq!(refs.head(), None);
    }
}
