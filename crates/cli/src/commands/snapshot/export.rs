//! `nodekeep snapshot export` and `decrypt`: a snapshot as one file.

mod axon;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::export::{TarFormat, TarReport, write_tar};
use nodekeep_repo::portable::PortableFile;
use nodekeep_repo::source::snapshot::SnapshotSource;
use serde_json::json;

use super::{reference_help, unreadable};
use crate::commands::applets::Choosing;
use crate::error::{Error, Result};
use crate::exit;
use crate::portable;
use crate::progress::Progress;
use crate::render::{self, shell};
use crate::session::App;
use crate::target::{self, Target};

/// Write a snapshot into one file: sealed (.nkb), or an ordinary tar archive; applets as Axon's own backup
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader or owner.", "\
A .nkb file is sealed to a passphrase (asked for, or NODEKEEP_NEW_PASSPHRASE[_FILE]) or to recipients, under keys of its own; it restores on any machine that has this program. A tar archive is not encrypted: any tar opens it.

Examples:
  nodekeep snapshot export latest --output notes.nkb
  nodekeep snapshot export latest --output notes.nkb --recipient age1…
  nodekeep snapshot export latest --output notes.tar.zst
  nodekeep snapshot export ./notes@latest --format tar | tar tv
  nodekeep snapshot export --format axon board /mnt/usb --select MimsTris --rekey --recipient other.pem

Also spelled: backup export."))]
pub struct Export {
    /// Which snapshot
    snapshot: String,
    /// Only these paths (tar archives); with --format axon the folder to write into
    #[arg(value_name = "SUBPATH")]
    subpaths: Vec<String>,
    /// The file to write; without it a tar archive goes to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write [default: by the file's name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Compression level of a tar archive
    #[arg(long, value_name = "N")]
    level: Option<u32>,
    /// Seal a .nkb file to this age or SSH key, or those in @FILE, instead of a passphrase; with --format axon and --rekey the file with an instance's public key
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// Seal a .nkb file to a passphrase; this is the default
    #[arg(long, conflicts_with = "recipients")]
    passphrase: bool,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
    #[command(flatten)]
    applets: Choosing,
}

/// Turn a sealed portable file into an ordinary tar archive
#[derive(Debug, Args)]
#[command(after_help = "\
Role: the file's passphrase (asked for, or NODEKEEP_PASSPHRASE[_FILE]), or a recipient's key: --identity FILE.

Examples:
  nodekeep snapshot decrypt backup.nkb --output backup.tar
  nodekeep snapshot decrypt backup.nkb --output backup.tar.zst")]
pub struct Decrypt {
    /// The portable file
    #[arg(value_name = "FILE.nkb")]
    file: PathBuf,
    /// The archive to write; without it, to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write [default: by the file's name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

/// What an export can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Nkb,
    Tar,
    #[value(name = "tar.gz")]
    TarGz,
    #[value(name = "tar.zst")]
    TarZst,
    #[value(name = "tar.br")]
    TarBr,
    Axon,
}

impl Format {
    /// The format that was named, or that the file's name means.
    fn choose(named: Option<Self>, output: Option<&Path>) -> Result<Self> {
        let name = output.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        match (named, name) {
            (Some(named), _) => Ok(named),
            (None, None) => Ok(Self::Tar),
            (None, Some(name)) => Self::of_name(&name).ok_or(Error::BadArgument {
                value: name,
                expected: "the name ends in .nkb, .tar, .tar.gz, .tar.zst or .tar.br, or give --format",
            }),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let ends = [
            (".nkb", Self::Nkb),
            (".tar", Self::Tar),
            (".tar.gz", Self::TarGz),
            (".tgz", Self::TarGz),
            (".tar.zst", Self::TarZst),
            (".tar.br", Self::TarBr),
        ];
        ends.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| format)
    }

    fn tar(self) -> Option<TarFormat> {
        match self {
            Self::Nkb | Self::Axon => None,
            Self::Tar => Some(TarFormat::Tar),
            Self::TarGz => Some(TarFormat::Gz),
            Self::TarZst => Some(TarFormat::Zst),
            Self::TarBr => Some(TarFormat::Br),
        }
    }
}

impl Export {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.format == Some(Format::Axon) {
            return self.axon(app);
        }
        if self.applets.is_meant() || self.applets.skip_chunks {
            return Err(Error::Options(
                "--select, --skip-chunks and --rekey are for applets: --format axon",
            ));
        }
        let format = Format::choose(self.format, self.output.as_deref())?;
        let target = target::open(app, &self.snapshot, &self.base)?;
        target.repository.needs_data()?;
        match format.tar() {
            Some(_) if !self.recipients.is_empty() || self.passphrase => Err(Error::Options(
                "a tar archive is not encrypted; --recipient and --passphrase are for .nkb files",
            )),
            Some(tar) => {
                let named = self.subpaths.iter().map(|path| path.as_bytes().to_vec());
                let inside = target.inside.clone().filter(|_| self.subpaths.is_empty());
                let subpaths: Vec<_> = named.chain(inside).collect();
                Archive { target: &target, subpaths: &subpaths, format: tar, level: self.level }
                    .write(app, self.output.as_deref())
            }
            None => self.seal(app, &target),
        }
    }

    fn seal(&self, app: &App, target: &Target) -> Result<()> {
        let output = self
            .output
            .as_deref()
            .ok_or(Error::Options("name the sealed file: --output FILE.nkb"))?;
        portable::check_name(output)?;
        if !self.subpaths.is_empty() {
            return Err(Error::Options(
                "a sealed file holds the whole snapshot; paths are for tar archives",
            ));
        }
        let file = PortableFile::create(output, portable::readers(app, &self.recipients)?)?;
        let (id, credential) = (file.id(), file.credential().clone());
        let source = SnapshotSource::new(target.reader()?, target.record.snapshot.clone());
        let progress = Progress::start(&app.output, "Exporting");
        let (report, size) = file.backup(&source, &options_of(app, target), &progress)?;
        progress.close();
        portable::keep(app, id, &credential)?;
        told(app, target, output, size, &report.errors)
    }
}

/// The copy says where and by whom it was made first.
pub fn options_of(app: &App, target: &Target) -> BackupOptions {
    let snapshot = &target.record.snapshot;
    BackupOptions {
        tags: snapshot.tags.clone(),
        host: snapshot.host.clone(),
        user: snapshot.user.clone(),
        program: snapshot.program.clone(),
        threads: app.settings.threads,
        ..BackupOptions::default()
    }
}

fn told(
    app: &App,
    target: &Target,
    output: &Path,
    size: u64,
    errors: &[(Vec<u8>, String)],
) -> Result<()> {
    let id = target.record.id;
    app.output.say(format!(
        "Wrote snapshot {} to {}, {}.",
        id.short(),
        output.display(),
        render::size(size)
    ))?;
    if output.extension().is_some_and(|end| end == "nkb") {
        let file = shell(&output.display().to_string());
        app.output.say(format!("Restore it anywhere: nodekeep restore {file} --target DIR"))?;
    }
    if !errors.is_empty() {
        app.output.alert(format!("\nCould not be read:\n{}", unreadable(errors)));
    }
    app.output.document(&json!({
        "snapshot": id.hex(),
        "file": output,
        "size": size,
        "unreadable": render::json::unreadable(errors),
    }))?;
    if errors.is_empty() { Ok(()) } else { Err(Error::Exit(exit::Class::Incomplete.exit_code())) }
}

/// A tar archive to be written.
struct Archive<'a> {
    target: &'a Target,
    subpaths: &'a [Vec<u8>],
    format: TarFormat,
    level: Option<u32>,
}

impl Archive<'_> {
    fn write(&self, app: &App, output: Option<&Path>) -> Result<()> {
        let progress = Progress::start(&app.output, "Exporting");
        let Some(path) = output else {
            let mut out = io::stdout().lock();
            let report = self.write_to(&mut out, &progress)?;
            out.flush().map_err(Error::Output)?;
            return left_out(app, &report);
        };
        let done = create(path).and_then(|file| self.fill(path, file, &progress));
        let (report, size) = match done {
            // Half an archive is of no use to anyone.
            Err(error) if !matches!(error, Error::FileExists { .. }) => {
                _ = std::fs::remove_file(path);
                return Err(error);
            }
            done => done?,
        };
        progress.close();
        told(app, self.target, path, size, &report.errors)
    }

    fn fill(&self, path: &Path, file: File, progress: &Progress) -> Result<(TarReport, u64)> {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let report = self.write_to(&mut out, progress)?;
        let file =
            out.into_inner().map_err(|error| Error::file(path, "write")(error.into_error()))?;
        file.sync_all().map_err(Error::file(path, "write"))?;
        let size = file.metadata().map_err(Error::file(path, "write"))?.len();
        Ok((report, size))
    }

    fn write_to(&self, out: &mut dyn Write, progress: &Progress) -> Result<TarReport> {
        let reader = self.target.reader()?;
        let done = write_tar(
            &reader,
            &self.target.record,
            self.subpaths,
            self.format,
            self.level,
            out,
            progress,
        );
        done.map_err(|error| match error {
            Engine::File { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Error::Output(source)
            }
            other => other.into(),
        })
    }
}

/// The archive is as private as a sealed file: it holds the same.
fn create(path: &Path) -> Result<File> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::FileExists { path: path.to_owned() },
        _ => Error::file(path, "write")(source),
    })
}

fn left_out(app: &App, report: &TarReport) -> Result<()> {
    if report.errors.is_empty() {
        return Ok(());
    }
    app.output.alert(format!("Could not be read:\n{}", unreadable(&report.errors)));
    Err(Error::Exit(exit::Class::Incomplete.exit_code()))
}

impl Decrypt {
    pub fn run(&self, app: &App) -> Result<()> {
        let format = Format::choose(self.format, self.output.as_deref())?;
        let tar = format
            .tar()
            .ok_or(Error::Options("it is decrypted into a tar archive and nothing else"))?;
        let repository = portable::open(app, &self.file, &self.base)?;
        let record = nodekeep_repo::portable::newest(&repository)?;
        let target = Target { repository, record, inside: None };
        Archive { target: &target, subpaths: &[], format: tar, level: None }
            .write(app, self.output.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        let cases = [
            ("a.nkb", Some(Format::Nkb)),
            ("a.tar", Some(Format::Tar)),
            ("a.tgz", Some(Format::TarGz)),
            ("a.tar.br", Some(Format::TarBr)),
            ("a.zip", None),
        ];
        for (name, format) in cases {
            assert_eq!(Format::of_name(name), format, "{name}");
        }
    }
}
