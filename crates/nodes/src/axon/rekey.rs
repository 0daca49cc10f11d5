//! New envelopes for a whole backup directory, a whole copy of a database, or applets in memory. No chunk is touched.
//!
//! Everything is made in memory first: where one content cannot be opened, nothing is written and the error counts and names.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;

use super::applet::Applet;
use super::database::{self, HolderKind};
use super::envelope;
use super::error::{Error, Result};
use super::files;
use super::import;
use super::instance::Instance;
use super::key::{Fingerprint, Recipient};
use super::manifest::ContentManifest;

/// What to do to every manifest.
pub struct Rekeying<'a> {
    /// Opens what is there.
    pub instance: &'a Instance,
    /// Who is to have an envelope.
    pub recipients: &'a [Recipient],
    /// Drop the envelopes of everybody else. Users keep those of what they saved themselves.
    pub prune: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rekeyed {
    /// Manifests that were looked at.
    pub manifests: usize,
    /// Those that changed.
    pub changed: usize,
    /// Envelopes that were made.
    pub added: usize,
    /// Envelopes that were dropped.
    pub dropped: usize,
}

impl Rekeying<'_> {
    /// Applets in memory, before they are exported or merged.
    ///
    /// # Errors
    /// [`Error::NoEnvelope`] if this instance cannot open some content: then nothing changed.
    pub fn applets(&self, applets: &mut [Applet]) -> Result<Rekeyed> {
        let mut work = Work::new(self);
        let mut done = applets.to_vec();
        for applet in &mut done {
            for (holder, owner, content) in applet.contents_mut() {
                work.rekey(&mut content.manifest, &holder, owner)?;
            }
        }
        let rekeyed = work.finish()?;
        applets.clone_from_slice(&done);
        Ok(rekeyed)
    }

    /// A backup directory in the layout of `backup_applets`, in place.
    ///
    /// # Errors
    /// [`Error::NoEnvelope`] if this instance cannot open some content, [`Error::Backup`] if the directory is none: then nothing changed.
    pub fn backup(&self, folder: &Path) -> Result<Rekeyed> {
        let mut work = Work::new(self);
        let mut texts = Vec::new();
        for applet in import::applet_folders(folder)? {
            texts.extend(work.metadata(&applet)?);
            texts.extend(work.data(&applet)?);
        }
        let rekeyed = work.finish()?;
        for (path, value) in texts {
            let text = serde_json::to_string_pretty(&value).unwrap_or_default();
            files::write_whole(&path, text.as_bytes())?;
            path.parent().map_or(Ok(()), files::sync_folder)?;
        }
        Ok(rekeyed)
    }

    /// A copy of a database, in one transaction.
    ///
    /// # Errors
    /// [`Error::NoEnvelope`] if this instance cannot open some content: then nothing changed.
    pub fn database(&self, path: &Path, kinds: &[HolderKind]) -> Result<Rekeyed> {
        let failed = || Error::database(path, "re-keying");
        let mut connection = Connection::open(path).map_err(failed())?;
        database::check(&connection, path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(failed())?;
        let mut work = Work::new(self);
        let mut changed = Vec::new();
        database::each_manifest(&transaction, path, kinds, |holder, text| {
            let Some(mut manifest) = ContentManifest::from_text(text, &holder.name)? else {
                return Ok(());
            };
            if work.rekey(&mut manifest, &holder.name, holder.owner_pubkey.as_deref())? {
                changed.push((holder, manifest));
            }
            Ok(())
        })?;
        let rekeyed = work.finish()?;
        for (holder, manifest) in &changed {
            database::set_manifest(&transaction, path, holder, manifest)?;
        }
        transaction.commit().map_err(failed())?;
        Ok(rekeyed)
    }
}

/// A run over many manifests.
struct Work<'a> {
    rekeying: &'a Rekeying<'a>,
    keep: Vec<Fingerprint>,
    done: Rekeyed,
    closed: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(rekeying: &'a Rekeying<'a>) -> Self {
        let keep = rekeying.recipients.iter().map(|recipient| recipient.fingerprint).collect();
        Self { rekeying, keep, done: Rekeyed::default(), closed: Vec::new() }
    }

    /// Gives one manifest its envelopes; says whether it changed. One that cannot be opened is remembered and left as it is.
    fn rekey(
        &mut self,
        manifest: &mut ContentManifest,
        holder: &str,
        owner_pubkey: Option<&str>,
    ) -> Result<bool> {
        self.done.manifests += 1;
        let lacking = |recipient: &&Recipient| !manifest.is_for(recipient.fingerprint);
        let wanted: Vec<&Recipient> = self.rekeying.recipients.iter().filter(lacking).collect();
        if !wanted.is_empty() {
            let Some(key) = envelope::open(manifest, self.rekeying.instance, holder)? else {
                self.closed.push(holder.to_owned());
                return Ok(false);
            };
            for recipient in &wanted {
                envelope::seal(manifest, &key, recipient)?;
            }
        }
        let dropped = if self.rekeying.prune { self.prune(manifest, owner_pubkey) } else { 0 };
        self.done.added += wanted.len();
        self.done.dropped += dropped;
        let is_changed = !wanted.is_empty() || dropped > 0;
        self.done.changed += usize::from(is_changed);
        Ok(is_changed)
    }

    fn prune(&self, manifest: &mut ContentManifest, owner_pubkey: Option<&str>) -> usize {
        let owner = owner_pubkey.and_then(|key| Recipient::from_pem("", key).ok());
        let mut keep = self.keep.clone();
        keep.extend(owner.map(|owner| owner.fingerprint));
        manifest.keep_envelopes(&keep)
    }

    fn finish(self) -> Result<Rekeyed> {
        if self.closed.is_empty() {
            return Ok(self.done);
        }
        Err(Error::NoEnvelope {
            fingerprint: self.rekeying.instance.fingerprint().to_string(),
            total: self.done.manifests,
            holders: self.closed,
        })
    }

    fn metadata(&mut self, folder: &Path) -> Result<Option<(PathBuf, Value)>> {
        let path = folder.join(import::METADATA);
        let Some(mut metadata) = import::read_json(&path)? else { return Ok(None) };
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
        let holder = format!("applet {name}");
        let is_changed = self.field(&mut metadata, "code_manifest", &holder, None)?;
        Ok(is_changed.then_some((path, metadata)))
    }

    fn data(&mut self, folder: &Path) -> Result<Option<(PathBuf, Value)>> {
        let path = folder.join(import::DATA);
        let Some(mut list) = import::read_json(&path)? else { return Ok(None) };
        let mut is_changed = false;
        for entry in list.as_array_mut().into_iter().flatten() {
            let text =
                |field| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (user, owner) = (text("owner_username"), text("owner_pubkey"));
            let applet = folder.file_name().unwrap_or_default().to_string_lossy();
            let holder = format!("data of {user} in applet {applet}");
            is_changed |= self.field(entry, "data_manifest", &holder, Some(&owner))?;
        }
        Ok(is_changed.then_some((path, list)))
    }

    fn field(
        &mut self,
        object: &mut Value,
        field: &str,
        holder: &str,
        owner: Option<&str>,
    ) -> Result<bool> {
        let Some(value) = object.get_mut(field) else { return Ok(false) };
        let Some(mut manifest) = ContentManifest::from_json(value.clone(), holder)? else {
            return Ok(false);
        };
        let is_changed = self.rekey(&mut manifest, holder, owner)?;
        *value = manifest.to_json();
        Ok(is_changed)
    }
}
