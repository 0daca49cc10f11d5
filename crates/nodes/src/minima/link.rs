//! A node and the folder that it shares with us. Files never travel through the node's commands: it reads and writes them on its own disk,
//! which may be that of a container. So a file has two names, and lies there no longer than it must.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::password::Password;
use super::rpc::Rpc;
use crate::error::{Error, Result};
use crate::profile::{MinimaRule, Variables, fill};

/// Letters of a one-time password and of a file's name: none that the node could take apart.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// Letters of a one-time password: more than 180 bits.
const PASSWORD_LETTERS: usize = 32;
/// Letters of a file's name.
const NAME_LETTERS: usize = 12;
/// What our files in the shared folder begin with.
const PREFIX: &str = "nodekeep-";

/// A node that can be spoken to, and a folder that both see.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its commands.
    pub rpc: Rpc,
    /// The node's `1.0` folder as this machine sees it, if the rule names it.
    pub data: Option<PathBuf>,
    /// How long it may take to end by itself.
    pub ends_within: Duration,
    exchange: PathBuf,
    inside: String,
}

impl Link {
    /// As a profile describes it.
    ///
    /// # Errors
    /// If a placeholder has no value, the file with the password cannot be read, or the address is none.
    pub fn of(rule: &MinimaRule, variables: &Variables) -> Result<Self> {
        let value = |text: &str| fill(text, variables);
        let file = value(&rule.password_file)?;
        let password = match file.is_empty() {
            true => None,
            false => Some(first_line(Path::new(&file))?),
        };
        let exchange = value(&rule.exchange)?;
        let inside = Some(value(&rule.inside)?).filter(|inside| !inside.is_empty());
        let data = Some(value(&rule.data)?).filter(|data| !data.is_empty());
        Ok(Self {
            rpc: Rpc::new(&value(&rule.rpc)?, password.as_ref().map(|text| text.as_str()))?,
            data: data.map(PathBuf::from),
            inside: inside.unwrap_or_else(|| exchange.clone()),
            exchange: PathBuf::from(exchange),
            ends_within: rule.ends_within,
        })
    }

    /// A name for a file that the node writes. Nothing lies there yet.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn parcel(&self, ending: &str) -> Result<Parcel> {
        make_folder(&self.exchange)?;
        self.sweep();
        let name = format!("{PREFIX}{}.{ending}", random(NAME_LETTERS)?.as_str());
        let inside = format!("{}/{name}", self.inside.trim_end_matches('/'));
        Ok(Parcel { host: self.exchange.join(name), inside })
    }

    /// A file that the node reads: private, and of the node's own user.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn send(&self, mut from: impl Read, ending: &str) -> Result<Parcel> {
        let parcel = self.parcel(ending)?;
        let failed = |error| Error::file(&parcel.host, "cannot be written")(error);
        let mut options = File::options();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&parcel.host).map_err(failed)?;
        io::copy(&mut from, &mut file).and_then(|_| file.sync_all()).map_err(failed)?;
        give_to_owner_of(&self.exchange, &parcel.host).map_err(failed)?;
        Ok(parcel)
    }

    /// Removes what a crash of ours left in the folder. What cannot be removed is tried again the next time.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.exchange) else { return };
        let ours = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(PREFIX) && !is_fresh(entry)
        };
        for entry in entries.flatten().filter(ours) {
            _ = fs::remove_file(entry.path());
        }
    }
}

/// Another process of ours may use it now.
fn is_fresh(entry: &fs::DirEntry) -> bool {
    let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
    matches!(age, Ok(Ok(age)) if age.as_secs() < 24 * 3600)
}

/// A file in the shared folder. It is removed when this is dropped.
#[derive(Debug)]
pub struct Parcel {
    /// Where this machine sees it.
    pub host: PathBuf,
    /// Where the node sees it.
    pub inside: String,
}

impl Parcel {
    /// What the node has written there, at most `limit` bytes.
    ///
    /// # Errors
    /// If nothing lies there, or more than that.
    pub fn open(&self, limit: u64) -> Result<File> {
        let file = File::open(&self.host).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.elsewhere(),
            _ => Error::file(&self.host, "cannot be read")(error),
        })?;
        let size = file.metadata().map_err(Error::file(&self.host, "cannot be read"))?.len();
        if size > limit {
            let reason = format!(
                "it has {size} bytes, and more than {limit} are refused before anything is read"
            );
            return Err(Error::Unsupported { path: self.host.clone(), reason });
        }
        Ok(file)
    }

    fn elsewhere(&self) -> Error {
        let reason = format!(
            "the node says that it has written {}, and nothing lies here: if it runs in a container, say where it sees this folder with --set exchange-inside=DIR",
            self.inside
        );
        Error::Unsupported { path: self.host.clone(), reason }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // What cannot be removed is swept up by the next use of the folder; it is sealed under a password that nobody keeps.
        _ = fs::remove_file(&self.host);
    }
}

/// A password for one file, which nobody keeps.
///
/// # Errors
/// If the system gives no random bytes.
pub fn one_time_password() -> Result<Password> {
    random(PASSWORD_LETTERS).map(Password::new)
}

/// Letters, each as likely as any other.
fn random(letters: usize) -> Result<Zeroizing<String>> {
    let source = SystemRandom::new();
    let mut text = Zeroizing::new(String::with_capacity(letters));
    let mut byte = [0];
    while text.len() < letters {
        source.fill(&mut byte).map_err(|_| Error::Random)?;
        let fair = usize::from(u8::MAX) / LETTERS.len() * LETTERS.len();
        let at = usize::from(byte[0]);
        if at < fair {
            text.push(char::from(LETTERS[at % LETTERS.len()]));
        }
    }
    Ok(text)
}

/// The folder, private, and of whoever owns the folder that it lies in: the node's user.
fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return close(folder).map_err(Error::file(folder, "cannot be closed to others"));
    }
    let failed = Error::file(folder, "cannot be made");
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let parent = folder.parent().unwrap_or(folder);
    give_to_owner_of(parent, folder).map_err(Error::file(folder, "cannot be given to the node"))
}

/// Others must not read it; whoever gave it to a group keeps that.
fn close(folder: &Path) -> io::Result<()> {
    let permissions = fs::metadata(folder)?.permissions();
    match permissions.mode() & 0o007 {
        0 => Ok(()),
        _ => fs::set_permissions(folder, fs::Permissions::from_mode(permissions.mode() & 0o770)),
    }
}

fn give_to_owner_of(like: &Path, path: &Path) -> io::Result<()> {
    let wanted = fs::metadata(like)?;
    let now = fs::metadata(path)?;
    if (now.uid(), now.gid()) == (wanted.uid(), wanted.gid()) {
        return Ok(());
    }
    chown(path, Some(wanted.uid()), Some(wanted.gid()))
}

fn first_line(path: &Path) -> Result<Zeroizing<String>> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(Error::file(path, "the file with the node's password cannot be read"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> MinimaRule {
        let text = |text: &str| text.to_owned();
        MinimaRule {
            take: Default::default(),
            rpc: text("http://127.0.0.1:{port}"),
            password_file: text("{password}"),
            data: String::new(),
            exchange: text("{data}/exchange"),
            inside: text("{inside}"),
            ends_within: Duration::from_secs(1),
        }
    }

    fn variables(data: &Path, inside: &str, password: &str) -> Variables {
        let data = data.display().to_string();
        let pairs = [("port", "9005"), ("data", &data), ("inside", inside), ("password", password)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn a_file_has_two_names_and_is_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::of(&rule(), &variables(folder.path(), "/srv/minima/", "")).unwrap();
        let parcel = link.send(b"bytes".as_slice(), "bak").unwrap();
        let name = parcel.host.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(parcel.inside, format!("/srv/minima/{name}"));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&parcel.host), 0o600);
        assert_eq!(mode(&folder.path().join("exchange")), 0o700);
        assert!(parcel.open(4).unwrap_err().to_string().contains("5 bytes"));
        let host = parcel.host.clone();
        drop(parcel);
        assert!(!host.exists());
    }

    #[test]
    fn a_file_that_came_elsewhere_is_asked_after() {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::of(&rule(), &variables(folder.path(), "", "")).unwrap();
        let parcel = link.parcel("bak").unwrap();
        assert_eq!(parcel.inside, parcel.host.display().to_string());
        assert!(parcel.open(9).unwrap_err().to_string().contains("exchange-inside"));
    }

    #[test]
    fn what_a_crash_left_is_swept_up_a_day_later() {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::of(&rule(), &variables(folder.path(), "", "")).unwrap();
        let left = [
            link.send(b"old".as_slice(), "bak").unwrap(),
            link.send(b"new".as_slice(), "bak").unwrap(),
        ];
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 86_400);
        File::open(&left[0].host).unwrap().set_modified(long_ago).unwrap();
        fs::write(folder.path().join("exchange/mine.bak"), b"x").unwrap();
        link.parcel("bak").unwrap();
        assert!(!left[0].host.exists() && left[1].host.exists());
        assert!(folder.path().join("exchange/mine.bak").exists());
    }

    #[test]
    fn one_time_passwords_are_never_the_same() {
        let (one, other) = (one_time_password().unwrap(), one_time_password().unwrap());
        assert_eq!(one.reveal().len(), PASSWORD_LETTERS);
        assert!(one != other);
    }
}
