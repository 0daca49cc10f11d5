//! `nodekeep snapshot import`.

use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_repo::backup::{BackupOptions, BackupReport};
use nodekeep_repo::source::Source;
use nodekeep_repo::source::snapshot::SnapshotSource;
use nodekeep_repo::source::tar::TarSource;
use serde_json::json;

use super::export::options_of;
use super::unreadable;
use crate::commands::backup::{parse_tag, repository_line};
use crate::commands::init::machine_label;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::portable;
use crate::progress::Progress;
use crate::refs;
use crate::render;
use crate::session::{App, Need, Opened};
use crate::target::Target;

/// Bring a portable file or a tar archive into the repository as a snapshot
#[derive(Debug, Args)]
#[command(
    before_help = "A tar archive may be plain or compressed by gzip, zstd or brotli. One with absolute names, names that lead up (../) or links that lead out is refused."
)]
#[command(after_help = "\
Role: writer; for a portable file also its passphrase or a recipient's key (--identity FILE).

Examples:
  nodekeep snapshot import backup.nkb
  nodekeep snapshot import old-backup.tar.gz --as /srv/data --tag from=tar
  nodekeep snapshot import backups/backup-2025-09-18T16-08-34-266Z --node relay1
  nodekeep snapshot import applet_backups/backup_20251014_224121 --node board")]
pub struct Import {
    /// A .nkb file, a tar archive, or a folder that a node's own tool left: Relay, Axon
    file: PathBuf,
    /// The path that an archive's content stands for [default: the archive's own path without its ending]
    #[arg(long = "as", value_name = "PATH")]
    root: Option<PathBuf>,
    /// Mark the snapshot
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    tag: Vec<(String, String)>,
    /// Of which node a folder is a backup
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

/// Options of a snapshot that this machine makes.
fn own_options(app: &App) -> BackupOptions {
    BackupOptions {
        host: app.settings.host.clone().unwrap_or_else(machine_label),
        program: concat!("nodekeep ", env!("CARGO_PKG_VERSION")).to_owned(),
        threads: app.settings.threads,
        ..BackupOptions::default()
    }
}

impl Import {
    pub fn run(&self, app: &App) -> Result<()> {
        if !self.file.exists() {
            return Err(Error::NoSource { path: self.file.clone() });
        }
        if self.file.is_dir() {
            return self.old_backup(app);
        }
        match self.file.extension().is_some_and(|end| end == "nkb") {
            true => self.portable(app),
            false => self.archive(app),
        }
    }

    fn portable(&self, app: &App) -> Result<()> {
        if self.root.is_some() {
            return Err(Error::Options("a portable file knows its paths; --as is for archives"));
        }
        let repository = portable::open(app, &self.file, &self.base)?;
        repository.needs_data()?;
        let record = nodekeep_repo::portable::newest(&repository)?;
        let target = Target { repository, record, inside: None };
        let source = SnapshotSource::new(target.reader()?, target.record.snapshot.clone());
        self.back_up(app, &source, options_of(app, &target))
    }

    /// A folder that the old tool of a node left. Every folder in it goes where it belongs; what is missing is named.
    fn old_backup(&self, app: &App) -> Result<()> {
        let name = self.node.as_deref().ok_or(Error::Options(
            "a folder is a backup of a node's old tool: name the node with --node NAME. To back up a folder: nodekeep backup ./FOLDER",
        ))?;
        let state = nodes::state(app);
        let node = state.load(name)?;
        let folder = self.file.canonicalize().map_err(Error::file(&self.file, "find"))?;
        let old = nodekeep_nodes::old::read(&node, &folder)?.ok_or_else(|| {
            let profile = node.profile.name.clone();
            Error::NoOldTool { node: name.to_owned(), profile }
        })?;
        app.output.say(render::path(old.report.join("\n").as_bytes()).replace("\\n", "\n"))?;
        let options = BackupOptions { tags: self.tag.clone(), ..own_options(app) };
        let opened = app.open(Need::Write)?;
        let progress = Progress::start(&app.output, "Importing");
        let done = nodes::ground(app, &state, &opened.repository, &progress)?
            .import(&node, &old, &options)?;
        progress.close();
        opened.pin()?;
        app.output.say(format!(
            "\nImported as snapshot {} of {name}, captured {}",
            done.report.snapshot.map_or(String::new(), |id| id.short()),
            render::time::told(&done.manifest.captured_at)
        ))?;
        app.output.say(nodes::components_text(&done.manifest.components))?;
        app.output.document(&json!({
            "node": name,
            "snapshot": done.report.snapshot.map(|id| id.hex()),
            "whole": done.is_whole(),
            "manifest": nodes::manifest_document(&done.manifest),
        }))?;
        match done.is_whole() {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Incomplete.exit_code())),
        }
    }

    fn archive(&self, app: &App) -> Result<()> {
        let temp = app.home.scratch()?;
        let root = refs::absolute(&self.root.clone().unwrap_or_else(|| without_ending(&self.file)));
        let source = TarSource::open(&self.file, &temp)?.with_root(&root);
        self.back_up(app, &source, own_options(app))
    }

    fn back_up(&self, app: &App, source: &dyn Source, mut options: BackupOptions) -> Result<()> {
        options.tags.extend(self.tag.iter().cloned());
        let opened = app.open(Need::Write)?;
        let progress = Progress::start(&app.output, "Importing");
        let report = opened.repository.backup(source, &options, &progress)?;
        progress.close();
        opened.pin()?;
        self.tell(app, &opened, &report)
    }

    fn tell(&self, app: &App, opened: &Opened, report: &BackupReport) -> Result<()> {
        let counts = &report.counts;
        app.output.say(format!("Imported {}", self.file.display()))?;
        app.output.say(render::fields(&[
            ("snapshot", report.snapshot.map_or(String::new(), |id| id.short())),
            (
                "files",
                format!(
                    "{}, {}",
                    render::counted(counts.files, "file"),
                    render::size(counts.bytes)
                ),
            ),
            ("new data", format!("{} stored", render::size(counts.bytes_added))),
            ("time", render::took(counts.bytes, report.elapsed)),
            ("repository", repository_line(opened)),
        ]))?;
        if !report.errors.is_empty() {
            app.output.alert(format!("\nCould not be read:\n{}", unreadable(&report.errors)));
        }
        app.output.document(&json!({
            "file": self.file,
            "snapshot": report.snapshot.map(|id| id.hex()),
            "counts": render::json::counts(counts),
            "unreadable": render::json::unreadable(&report.errors),
            "seconds": report.elapsed.as_secs_f64(),
        }))?;
        if report.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Exit(exit::Class::Incomplete.exit_code()))
        }
    }
}

/// `/x/data` for `/x/data.tar.gz`.
fn without_ending(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.split_once(".tar").map_or(name.as_str(), |(stem, _)| stem);
    path.with_file_name(stem.strip_suffix(".tgz").unwrap_or(stem))
}
