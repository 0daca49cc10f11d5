//! Portable files: what opens them, what they are sealed to, and what writes increments of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::id::to_hex;
use nodekeep_repo::keys::{Credential, Identities, Reader};
use nodekeep_repo::portable::{self, Base, WRITER_ATTACHMENT};
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_store::PortableHeader;

use crate::commands::init::read_readers;
use crate::error::{Error, Result};
use crate::home;
use crate::session::{App, Identity, read_identity};

/// Refuses a name that is not that of a portable file; an ordinary archive's gets both right spellings.
///
/// # Errors
/// [`Error::PlainOutput`], [`Error::OutputName`], [`Error::FileExists`].
pub fn check_name(path: &Path) -> Result<()> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let archive = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.br", ".tar.xz", ".zip"];
    if archive.iter().any(|end| name.ends_with(end)) {
        return Err(Error::PlainOutput { path: path.to_owned() });
    }
    if !name.ends_with(".nkb") {
        return Err(Error::OutputName { path: path.to_owned() });
    }
    if path.symlink_metadata().is_ok() {
        return Err(Error::FileExists { path: path.to_owned() });
    }
    Ok(())
}

/// Who a new file is sealed to: the recipients, or a passphrase that is asked for.
///
/// # Errors
/// If a recipient cannot be read, or there is no passphrase to be had.
pub fn readers(app: &App, recipients: &[String]) -> Result<Vec<(Reader, String)>> {
    if !recipients.is_empty() {
        return read_readers(recipients);
    }
    let passphrase = app.secrets.new_passphrase("for the file")?;
    Ok(vec![(Reader::Passphrase(passphrase), "passphrase".to_owned())])
}

/// Opens a file with the keys at hand; asks for its passphrase only if they do not fit.
///
/// # Errors
/// If a base is missing, the file is damaged, or nothing opens it.
pub fn open(app: &App, path: &Path, bases: &[PathBuf]) -> Result<Repository> {
    let access = Access { identities: identities_at_hand(app)?, ..Access::default() };
    match portable::open(path, &access, bases) {
        Err(Engine::NotAReader) => {}
        result => return Ok(result?),
    }
    let passphrase = app.secrets.passphrase(&path.display().to_string())?;
    let mut identities = Identities::new();
    identities.add_passphrase(&passphrase);
    let access = Access { identities, ..Access::default() };
    Ok(portable::open(path, &access, bases)?)
}

/// The identity that was named, and the owners' of this machine that are not locked.
fn identities_at_hand(app: &App) -> Result<Identities> {
    let mut identities = Identities::new();
    if let Some(path) = &app.settings.identity {
        match read_identity(path)? {
            Some(Identity::Open(entropy, _)) => add_owner(&mut identities, &entropy),
            Some(Identity::Locked(text)) => add_owner(&mut identities, &app.unlock(path, &text)?.0),
            None => app.add_foreign_identity(path, &mut identities)?,
        }
        return Ok(identities);
    }
    for path in app.home.identities() {
        if let Ok(Some(Identity::Open(entropy, _))) = read_identity(&path) {
            add_owner(&mut identities, &entropy);
        }
    }
    Ok(identities)
}

fn add_owner(identities: &mut Identities, entropy: &nodekeep_repo::keys::Entropy) {
    // Our own encoding is an age identity; if it were not, the file would simply not open.
    _ = identities.add_text(&entropy.owner().identity(), None);
}

/// What an increment of a file stands on: by the credential kept since the file was made here, or by reading it.
///
/// # Errors
/// As [`open`], or if nothing at hand may write an increment.
pub fn base(app: &App, path: &Path) -> Result<Base> {
    let header = PortableHeader::read(path)?;
    let kept = std::fs::read_to_string(app.home.portable(&to_hex(&header.id)));
    if let Some(credential) = kept.ok().and_then(|text| Credential::from_text(&text).ok()) {
        let access = Access { credential: Some(credential), ..Access::default() };
        return Ok(portable::base(path, &access, &[])?);
    }
    let repo = open(app, path, &[])?;
    let credential = writer_inside(&repo)?;
    Ok(Base { path: path.to_owned(), repo, credential })
}

/// Whoever can read a file may write increments of it.
fn writer_inside(repo: &Repository) -> Result<Credential> {
    let attachments = portable::newest(repo)?.snapshot.attachments;
    let attached = attachments.iter().find(|(name, _)| name == WRITER_ATTACHMENT);
    let text = attached.and_then(|(_, text)| std::str::from_utf8(text).ok());
    text.and_then(|text| Credential::from_text(text).ok()).ok_or(Error::Engine(Engine::NoWriter))
}

/// Keeps what writes increments of a file that was made here.
///
/// # Errors
/// If it cannot be written.
pub fn keep(app: &App, id: [u8; 16], credential: &Credential) -> Result<()> {
    home::replace(&app.home.portable(&to_hex(&id)), &credential.to_text())
}
