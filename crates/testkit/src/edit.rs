//! Random changes to a tree on disk, in place, as its users would make them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, chmodat, linkat, mkdirat, openat, renameat, symlinkat, unlinkat,
};

use crate::disk::{open_dir, parent_of};
use crate::grow::{content, join};
use crate::rng::Rng;
use crate::tree::{Kind, Tree};

/// Makes `count` random changes in `dir`, and says for each what it was. What they led to is to be read from the disk.
///
/// # Errors
/// If the disk does not allow it.
pub fn edit(rng: &mut Rng, dir: &Path, count: usize) -> io::Result<Vec<String>> {
    let root = open_dir(CWD, dir.as_os_str().as_encoded_bytes())?;
    let mut said = Vec::new();
    while said.len() < count {
        let tree = Tree::read(dir)?;
        if let Some(what) = change(rng, &root, &tree)? {
            said.push(what);
        }
    }
    Ok(said)
}

fn change(rng: &mut Rng, root: &OwnedFd, tree: &Tree) -> io::Result<Option<String>> {
    let names: Vec<&Vec<u8>> = tree.nodes.keys().filter(|path| !path.is_empty()).collect();
    let files = tree.files();
    if names.is_empty() || files.is_empty() {
        return add(rng, root, tree).map(Some);
    }
    let file = *rng.pick(&files);
    let name = rng.pick(&names).as_slice();
    match rng.below(8) {
        0 => add(rng, root, tree).map(Some),
        1 => overwrite(rng, root, file).map(Some),
        2 => append(rng, root, file).map(Some),
        3 => cut(rng, root, file).map(Some),
        4 => rename(rng, root, tree, name),
        5 => remove(root, tree, name).map(|done| done.then(|| said("removed", name))),
        6 => replace(root, file).map(Some),
        _ => mode(rng, root, tree, name),
    }
}

fn said(what: &str, path: &[u8]) -> String {
    format!("{what} {}", crate::tree::shown(path))
}

fn open(root: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<File> {
    let (parent, name) = parent_of(root, path)?;
    let file = openat(
        &parent,
        name,
        flags | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o640),
    )?;
    Ok(file.into())
}

fn any_dir<'t>(rng: &mut Rng, tree: &'t Tree) -> &'t [u8] {
    let dirs: Vec<&Vec<u8>> =
        tree.nodes.iter().filter(|(_, n)| n.kind == Kind::Dir).map(|(path, _)| path).collect();
    rng.pick(&dirs).as_slice()
}

fn fresh(rng: &mut Rng, tree: &Tree) -> Vec<u8> {
    join(any_dir(rng, tree), format!("added {}", rng.number()).as_bytes())
}

fn add(rng: &mut Rng, root: &OwnedFd, tree: &Tree) -> io::Result<String> {
    let path = fresh(rng, tree);
    open(root, &path, OFlags::CREATE | OFlags::EXCL)?.write_all(&content(rng))?;
    Ok(said("added", &path))
}

fn overwrite(rng: &mut Rng, root: &OwnedFd, path: &[u8]) -> io::Result<String> {
    let mut file = open(root, path, OFlags::empty())?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(rng.below(size as usize + 1) as u64))?;
    file.write_all(&rng.bytes(100, false))?;
    Ok(said("wrote into", path))
}

fn append(rng: &mut Rng, root: &OwnedFd, path: &[u8]) -> io::Result<String> {
    open(root, path, OFlags::APPEND)?.write_all(&content(rng))?;
    Ok(said("appended to", path))
}

fn cut(rng: &mut Rng, root: &OwnedFd, path: &[u8]) -> io::Result<String> {
    let file = open(root, path, OFlags::empty())?;
    let size = file.metadata()?.len();
    file.set_len(rng.below(size as usize + 1) as u64)?;
    Ok(said("cut", path))
}

fn rename(rng: &mut Rng, root: &OwnedFd, tree: &Tree, path: &[u8]) -> io::Result<Option<String>> {
    let target = fresh(rng, tree);
    if target.starts_with(&[path, b"/"].concat()) {
        return Ok(None);
    }
    let ((from, old), (to, new)) = (parent_of(root, path)?, parent_of(root, &target)?);
    renameat(from, old, to, new)?;
    Ok(Some(said("renamed", path)))
}

/// Removes a name, or a directory with a few names in it.
fn remove(root: &OwnedFd, tree: &Tree, path: &[u8]) -> io::Result<bool> {
    let inside = [path, b"/"].concat();
    let below: Vec<&Vec<u8>> = tree.nodes.keys().filter(|p| p.starts_with(&inside)).collect();
    if below.len() > 20 {
        return Ok(false);
    }
    for path in below.into_iter().map(Vec::as_slice).rev().chain(std::iter::once(path)) {
        let (parent, name) = parent_of(root, path)?;
        let is_dir = tree.nodes.get(path).is_some_and(|node| node.kind == Kind::Dir);
        unlinkat(&parent, name, if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() })?;
    }
    Ok(true)
}

/// A directory with a link and a second name in it takes the place of a file.
fn replace(root: &OwnedFd, path: &[u8]) -> io::Result<String> {
    let (parent, name) = parent_of(root, path)?;
    unlinkat(&parent, name, AtFlags::empty())?;
    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
    let dir = open_dir(parent.as_fd(), name)?;
    symlinkat("inside", &dir, "link")?;
    linkat(&dir, "link", &dir, "same link", AtFlags::empty())?;
    Ok(said("put a directory in place of", path))
}

fn mode(rng: &mut Rng, root: &OwnedFd, tree: &Tree, path: &[u8]) -> io::Result<Option<String>> {
    if matches!(tree.nodes[path].kind, Kind::Symlink(_))
        || matches!(&tree.nodes[path].kind, Kind::SameAs(_))
    {
        return Ok(None);
    }
    let (parent, name) = parent_of(root, path)?;
    let mode = *rng.pick(&[0o711, 0o750, 0o777]);
    chmodat(&parent, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
    Ok(Some(said("changed the mode of", path)))
}
