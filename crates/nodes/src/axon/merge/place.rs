//! Chunks into their place. A folder of one content may already be there under another key, because two encryptions of the same content
//! have the same name: then its own manifest is adopted, and the chunks that other rows rely on stay.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Merged, Merging};
use crate::axon::applet::{Applet, Content};
use crate::axon::chunks::{self, CACHE, FlawKind};
use crate::axon::database::{self, HolderKind};
use crate::axon::error::{Error, Result};
use crate::axon::files;
use crate::axon::manifest::{ContentManifest, MOST_BYTES};

pub(super) struct Placing<'a> {
    merging: &'a Merging<'a>,
    connection: &'a Connection,
    new_folders: Vec<PathBuf>,
}

impl<'a> Placing<'a> {
    pub(super) fn new(merging: &'a Merging<'a>, connection: &'a Connection) -> Self {
        Self { merging, connection, new_folders: Vec::new() }
    }

    /// Folders that were not there before: what is removed when nothing comes of it.
    pub(super) fn into_new_folders(self) -> Vec<PathBuf> {
        self.new_folders
    }

    /// Takes the manifests of content that is here, whole, under another key.
    pub(super) fn adopt(&self, applet: &mut Applet) -> Result<()> {
        for (_, _, content) in applet.contents_mut() {
            let here = self.folder(&content.manifest);
            if !files::is_folder(&here) || chunks::examine(&here, &content.manifest).0.is_empty() {
                continue;
            }
            if let Some(manifest) = self.whole_here(&content.manifest, &here)? {
                content.manifest = manifest;
                content.folder = here;
            }
        }
        Ok(())
    }

    /// A manifest of the same content, of a row here, whose chunks are here.
    fn whole_here(&self, ours: &ContentManifest, here: &Path) -> Result<Option<ContentManifest>> {
        let mut found = None;
        let path = self.merging.database;
        let name = ours.content_hash.to_string();
        database::each_manifest(self.connection, path, &HolderKind::ALL, |holder, text| {
            if found.is_none() && text.contains(&name) {
                // A manifest here that cannot be used is not this content's fault.
                let theirs = ContentManifest::from_text(text, &holder.name).ok().flatten();
                found = theirs.filter(|theirs| {
                    theirs.content_hash == ours.content_hash
                        && chunks::examine(here, theirs).0.is_empty()
                });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Puts the chunks of all contents in place and lists what is missing.
    pub(super) fn place(&mut self, applets: &[Applet], merged: &mut Merged) -> Result<()> {
        for (holder, content) in applets.iter().flat_map(Applet::contents) {
            let here = self.folder(&content.manifest);
            let (flaws, _) = chunks::examine(&here, &content.manifest);
            if flaws.is_empty() {
                self.forget_another(&here, &content.manifest)?;
                continue;
            }
            if self.merging.skip_chunks {
                merged.missing.extend(flaws.into_iter().map(|flaw| (holder.clone(), flaw)));
                continue;
            }
            self.copy(content, &here, &holder, merged)?;
            self.forget_another(&here, &content.manifest)?;
        }
        Ok(())
    }

    fn copy(
        &mut self,
        content: &Content,
        here: &Path,
        holder: &str,
        merged: &mut Merged,
    ) -> Result<()> {
        if !self.merging.dry_run && !files::is_folder(here) {
            files::make_folder(here)?;
            self.new_folders.push(here.to_owned());
        }
        for index in 0..content.manifest.chunk_hashes.len() {
            if chunks::read(here, &content.manifest, index).is_ok() {
                continue;
            }
            match chunks::read(&content.folder, &content.manifest, index) {
                Ok(bytes) => {
                    if !self.merging.dry_run {
                        files::write_whole(&here.join(chunks::name(index)), &bytes)?;
                    }
                    merged.chunks += 1;
                }
                Err(mut flaw) => {
                    if let FlawKind::Unreadable(reason) = &mut flaw.kind {
                        *reason = format!("{reason} (in the backup)");
                    }
                    merged.missing.push((holder.to_owned(), flaw));
                }
            }
        }
        Ok(())
    }

    /// Removes the `.manifest` of another encryption: Axon would take these chunks for stale and delete them at the next read.
    fn forget_another(&self, folder: &Path, manifest: &ContentManifest) -> Result<()> {
        let path = folder.join(CACHE);
        let Some(text) = files::read_text(&path, MOST_BYTES as u64)? else { return Ok(()) };
        let cached = ContentManifest::from_text(&text, CACHE).ok().flatten();
        if self.merging.dry_run || cached.is_some_and(|cached| cached.iv == manifest.iv) {
            return Ok(());
        }
        fs::remove_file(&path).map_err(Error::file(&path, "cannot be removed"))
    }

    fn folder(&self, manifest: &ContentManifest) -> PathBuf {
        self.merging.chunks.join(manifest.content_hash.to_string())
    }
}
