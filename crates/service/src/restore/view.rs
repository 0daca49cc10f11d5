//! The copies of a restore, seen as the node's folders: a remedy that runs the node's own program must find them where the profile's words
//! say, `{data}` for one. Each root is a folder of links to the copies that lie in it, and holds nothing else of the node.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nodekeep_nodes::node::Node;

use super::place::{Placement, join};
use super::stage::{Staged, remove};
use crate::error::{Error, Result};
use crate::state::make_folder;

/// Gone when it goes out of use, but for what [`View::end`] brought home.
#[derive(Debug)]
pub(super) struct View {
    folder: PathBuf,
    roots: BTreeMap<String, PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
    copies: Vec<(PathBuf, PathBuf)>,
}

impl View {
    /// Of these copies, in a folder of its own; what a crash left there goes.
    ///
    /// # Errors
    /// If the folder or a link cannot be made.
    pub(super) fn of(node: &Node, staged: &Staged, folder: &Path) -> Result<Self> {
        remove(folder)?;
        make_folder(folder)?;
        let copy =
            |(placement, copy): (&Placement, &Path)| (placement.target.clone(), copy.to_path_buf());
        let mut view = Self {
            folder: folder.to_owned(),
            roots: BTreeMap::new(),
            links: Vec::new(),
            copies: staged.copies().map(copy).collect(),
        };
        for (name, path) in &node.registration.paths {
            let shown = view.show(name, path)?;
            view.roots.insert(name.clone(), shown);
        }
        Ok(view)
    }

    /// A root: in the copy that it lies in, or a folder of links to those that lie in it.
    fn show(&mut self, name: &str, root: &Path) -> Result<PathBuf> {
        let around = self
            .copies
            .iter()
            .find_map(|(target, copy)| Some(join(copy, root.strip_prefix(target).ok()?)));
        if let Some(copy) = around {
            return Ok(copy);
        }
        let shown = self.folder.join(name);
        make_folder(&shown)?;
        for (target, copy) in &self.copies {
            let Ok(inner) = target.strip_prefix(root) else { continue };
            let link = shown.join(inner);
            if let Some(parent) = link.parent() {
                make_folder(parent)?;
            }
            symlink(copy, &link).map_err(Error::file(&link, "cannot be made"))?;
            self.links.push((link, copy.clone()));
        }
        Ok(shown)
    }

    /// The node, with the copies as its folders.
    pub(super) fn node(&self, node: &Node) -> Node {
        node.moved(self.roots.clone())
    }

    /// Where a component is seen; `None` if there is no copy of it.
    ///
    /// # Errors
    /// If there is no such component.
    pub(super) fn path(&self, node: &Node, component: &str) -> Result<Option<PathBuf>> {
        let live = node.component(component)?.path;
        let held = self
            .copies
            .iter()
            .find_map(|(target, copy)| Some(join(copy, live.strip_prefix(target).ok()?)));
        let shown = self.node(node).component(component)?.path;
        // A component outside of every root keeps its place: it is seen in its copy alone.
        Ok(held.map(|held| if shown == live { held } else { shown }))
    }

    /// Brings home what a program put in the place of a link.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub(super) fn end(&self) -> Result<()> {
        for (link, copy) in &self.links {
            if link.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
                continue;
            }
            remove(copy)?;
            fs::rename(link, copy).map_err(Error::file(link, "cannot be brought home"))?;
        }
        Ok(())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // What is left is removed by the next one.
        _ = remove(&self.folder);
    }
}
