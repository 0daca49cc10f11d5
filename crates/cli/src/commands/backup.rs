//! `nodekeep backup`.

mod live;
mod node;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nodekeep_repo::backup::{BackupOptions, BackupReport, Filter};
use nodekeep_repo::codec::Compression;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::portable::PortableFile;
use nodekeep_repo::repository::Repository;
use nodekeep_repo::source::Source;
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::{Address, PortableKind};
use serde_json::{Value, json};

use self::live::Live;
use super::init::{self, Made, Wish};
use super::snapshot::unreadable;
use crate::copies;
use crate::error::{Error, Result};
use crate::exit;
use crate::portable;
use crate::progress::Progress;
use crate::refs;
use crate::render::{self, shell};
use crate::session::{App, Need, Opened, warn_of_lost};

/// Back up nodes, files and folders
#[derive(Debug, Args)]
#[command(
    before_help = "Every snapshot is complete and costs what changed since the last. The first backup makes the repository and its recovery words."
)]
#[command(after_help = "\
Role: writer (the machine that made the repository is one), or a credential: --credential FILE.

Exit code 3: the backup is there, but something could not be read; each path is named.

Globs: one without a slash matches names anywhere, one with a slash the path below PATH, one that starts with a slash the whole path.

Examples:
  nodekeep backup ~/notes
  nodekeep backup /etc /srv/data --exclude '*.tmp' --exclude-if-present .nobackup --one-file-system
  nodekeep backup ./data --tag release=1.2 --repo /mnt/disk/backups
  nodekeep backup ./data --dry-run
  nodekeep backup guts
  nodekeep backup guts --component consensus
  nodekeep backup board --component applets --select MimsTris
  nodekeep backup minima --cold
  nodekeep backup ./data --output data.nkb
  nodekeep backup ./data --output monday.nkb --type incremental --base data.nkb

Also spelled: backup create PATH.")]
pub struct Backup {
    /// Files and folders, or the name of a node; a path has a slash: ./data
    #[arg(value_name = "PATH|NODE", required = true)]
    paths: Vec<PathBuf>,
    /// Of a node only these components
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Nodes")]
    component: Vec<String>,
    /// Of a node not these components
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Nodes")]
    skip: Vec<String>,
    /// Of applets of an Axon only these: NAME[,NAME]
    #[arg(long, value_name = "NAME", alias = "applet", help_heading = "Nodes")]
    select: Vec<String>,
    /// Of an Axon without the encrypted content: the snapshot lists what it lacks, and a restore takes it from others
    #[arg(long, help_heading = "Nodes")]
    skip_chunks: bool,
    /// Stop the node for what is whole only then, copy that too, and start the node again
    #[arg(long, help_heading = "Nodes")]
    cold: bool,
    /// Copy the PATH as what it is: sqlite, rocksdb, leveldb, json, jsonl, jsonl-chain, git or files; what is plain is recognised without it
    #[arg(long = "kind", value_enum, value_name = "KIND", help_heading = "Nodes")]
    live: Option<Live>,
    /// With --kind jsonl-chain: how lines are linked, as a profile says it; a known chain needs none
    #[arg(long, value_name = "RULE", requires = "live", help_heading = "Nodes")]
    chain: Option<String>,
    /// Leave out what matches
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Leave out folders that hold a file of this name
    #[arg(long, value_name = "NAME")]
    exclude_if_present: Vec<String>,
    /// Stay on the file system of each PATH
    #[arg(long)]
    one_file_system: bool,
    /// Mark the snapshot
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    tag: Vec<(String, String)>,
    /// none, zstd, or zstd:LEVEL from -7 to 22 [default: zstd:1]
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "zstd")]
    compress: Option<String>,
    /// Into one sealed portable file instead of a repository
    #[arg(long, short, value_name = "FILE.nkb", help_heading = "Portable files")]
    output: Option<PathBuf>,
    /// What the file holds; in a repository every snapshot is complete and costs what changed
    #[arg(long = "type", value_enum, value_name = "TYPE", help_heading = "Portable files")]
    kind: Option<Kind>,
    /// The file that an incremental or differential one stands on
    #[arg(long, value_name = "FILE", help_heading = "Portable files")]
    base: Option<PathBuf>,
    /// Seal the file to this age or SSH key, or those in @FILE, instead of a passphrase
    #[arg(long = "recipient", value_name = "KEY", help_heading = "Portable files")]
    recipients: Vec<String>,
    /// Read everything again, even what did not change
    #[arg(long)]
    reread: bool,
    /// Look and count; write nothing
    #[arg(long)]
    dry_run: bool,
    #[arg(long, hide = true)]
    hot: bool,
    #[arg(long, hide = true)]
    consensus_only: bool,
    #[command(flatten)]
    guides: GuideOptions,
}

/// What the guides call kinds of backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Full,
    Incremental,
    Differential,
}

/// Options of the guides that have no meaning here; each is explained instead of refused by the parser.
#[derive(Debug, Default, Args)]
struct GuideOptions {
    #[arg(long, hide = true)]
    encrypt: bool,
    #[arg(long, hide = true)]
    metadata: bool,
    #[arg(long, hide = true)]
    incremental: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    algorithm: Vec<String>,
    #[arg(long, hide = true, value_name = "N", allow_negative_numbers = true)]
    level: Option<i32>,
    #[arg(long, hide = true, num_args = 0..=1)]
    password: Option<Option<String>>,
    #[arg(long, hide = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    all: bool,
}

impl GuideOptions {
    /// Says why an option is not needed.
    fn explain(&self, app: &App) -> Result<()> {
        if self.password.is_some() || self.key_file.is_some() {
            return Err(Error::ForeignOption {
                option: if self.password.is_some() { "--password" } else { "--key-file" },
                why: "a repository is always sealed, to the roster's keys; secrets are never arguments",
            });
        }
        if self.all {
            return Err(Error::ForeignOption {
                option: "--all",
                why: "name the paths; nodes are not there yet",
            });
        }
        if self.encrypt || !self.algorithm.is_empty() {
            app.output
                .remark("Always compressed (zstd) and sealed (AES-256-GCM): nothing to choose.");
        }
        if self.metadata {
            app.output.remark("Metadata is always kept.");
        }
        Ok(())
    }
}

/// Reads `name=value`.
///
/// # Errors
/// If there is no name or no `=`.
pub fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a tag is NAME=VALUE".to_owned()),
    }
}

fn parse_compression(text: &str) -> Result<Compression> {
    let bad = || Error::BadArgument {
        value: text.to_owned(),
        expected: "compression is none, zstd, or zstd:LEVEL from -7 to 22; gzip and brotli are for `snapshot export`",
    };
    match text.split_once(':') {
        None if text == "none" => Ok(Compression::None),
        None if text == "zstd" => Ok(Compression::default()),
        Some(("zstd", level)) => {
            let level = level.parse().ok().filter(|level| (-7..=22).contains(level));
            level.map(Compression::Zstd).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

impl Backup {
    pub fn run(&self, app: &App) -> Result<()> {
        self.guides.explain(app)?;
        if self.hot {
            app.output.remark("Every backup of a node is hot: each component is copied consistently while it runs.");
        }
        if let Some(name) = self.named_node()? {
            return self.node(app, &name);
        }
        if !self.select.is_empty() || self.skip_chunks {
            return Err(Error::Options("--select and --skip-chunks are for nodes with applets"));
        }
        if self.cold {
            return Err(Error::Options("--cold stops a node: give its name"));
        }
        refuse_bare_words(&self.paths)?;
        if let Some(kind) = self.live_kind()? {
            return self.database(app, &kind);
        }
        let source = FsSource::new(self.paths.clone()).map_err(missing)?;
        let mut options = self.options(app, &source)?;
        if let Some(output) = &self.output {
            return self.portable(app, &source, options, output);
        }
        if !self.recipients.is_empty() || self.base.is_some() {
            return Err(Error::Options(
                "--recipient and --base are for portable files: add --output FILE.nkb",
            ));
        }
        let (opened, made) = self.repository(app)?;
        options.cache = Some(app.home.cache(&opened.repository.id()));
        options.filter.skip = own_paths(app, &opened);
        let progress = Progress::start(&app.output, "Backing up");
        let report = opened.repository.backup(&source, &options, &progress)?;
        progress.close();
        opened.pin()?;
        remember(app, &opened, report.snapshot)?;
        self.tell(app, &opened, made.as_ref(), &source, &report)?;
        let told = document(&opened, &report, made.is_some());
        conclude(app, made.as_ref(), &told, report.errors.is_empty())
    }

    /// The node that is meant, if a single word without a slash is.
    fn named_node(&self) -> Result<Option<String>> {
        let bare =
            |path: &PathBuf| path.to_str().filter(|text| !refs::is_path(text)).map(str::to_owned);
        match self.paths.as_slice() {
            [one] => {
                let node = bare(one);
                if node.is_some() && self.output.is_some() {
                    return Err(Error::Options(
                        "a node goes into a repository; export its snapshot: nodekeep snapshot export NODE@latest --output FILE",
                    ));
                }
                Ok(node)
            }
            _ => Ok(None),
        }
    }

    fn node_options(&self, app: &App) -> Result<BackupOptions> {
        let none = FsSource::none();
        self.options(app, &none)
    }

    fn options(&self, app: &App, source: &FsSource) -> Result<BackupOptions> {
        let settings = &app.settings;
        let compress = self.compress.as_ref().or(settings.compress.as_ref());
        let mut compression =
            compress.map_or(Ok(Compression::default()), |text| parse_compression(text))?;
        if let (Compression::Zstd(_), Some(level)) = (compression, self.guides.level) {
            compression = parse_compression(&format!("zstd:{level}"))?;
        }
        let filter = Filter {
            exclude: [settings.exclude.as_slice(), &self.exclude].concat(),
            exclude_if_present: [settings.exclude_if_present.as_slice(), &self.exclude_if_present]
                .concat(),
            one_file_system: self.one_file_system || settings.one_file_system,
            ..Filter::default()
        };
        filter
            .check()
            .map_err(|bad| Error::Pattern { pattern: bad.pattern, message: bad.reason })?;
        Ok(BackupOptions {
            compression,
            tags: self.tag.clone(),
            filter,
            host: settings.host.clone().unwrap_or_else(init::machine_label),
            user: user_name(source),
            program: concat!("nodekeep ", env!("CARGO_PKG_VERSION")).to_owned(),
            threads: settings.threads,
            ignore_cache: self.reread,
            dry_run: self.dry_run,
            ..BackupOptions::default()
        })
    }

    /// Backs up into one file.
    fn portable(
        &self,
        app: &App,
        source: &FsSource,
        options: BackupOptions,
        output: &Path,
    ) -> Result<()> {
        portable::check_name(output)?;
        let file = self.portable_file(app, output)?;
        let (id, credential) = (file.id(), file.credential().clone());
        let mut options = options;
        options.cache = Some(self.portable_cache(app, source)?);
        let progress = Progress::start(&app.output, "Backing up");
        let (report, size) = file.backup(source, &options, &progress)?;
        progress.close();
        if !self.dry_run {
            portable::keep(app, id, &credential)?;
        }
        let verb = if self.dry_run { "Would write" } else { "Wrote" };
        app.output.say(format!("{verb} {}", output.display()))?;
        app.output.say(portable_summary(source, &report, size))?;
        if !self.dry_run {
            let file = shell(&output.display().to_string());
            app.output.say(match &self.base {
                None => format!("\nRestore it anywhere: nodekeep restore {file} --target DIR"),
                Some(base) => format!(
                    "\nIt holds only what {} lacks: keep both together.\nRestore: nodekeep restore {file} --target DIR",
                    base.display()
                ),
            })?;
        }
        tell_unread(app, &report)?;
        app.output.document(&json!({
            "file": output,
            "size": size,
            "type": word(self.file_kind()),
            "base": self.base,
            "snapshot": report.snapshot.map(|id| id.hex()),
            "counts": render::json::counts(&report.counts),
            "unreadable": render::json::unreadable(&report.errors),
            "notices": render::json::unreadable(&report.notices),
            "seconds": report.elapsed.as_secs_f64(),
        }))?;
        if report.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Exit(exit::Class::Incomplete.exit_code()))
        }
    }

    /// One cache for the files of one set of paths: a full file begins it anew, its increments go on with it.
    fn portable_cache(&self, app: &App, source: &FsSource) -> Result<PathBuf> {
        let folder = app.home.portable_cache(source.paths());
        if self.file_kind() == PortableKind::Full && !self.dry_run {
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::File {
                        path: folder,
                        action: "cannot be cleared",
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(folder)
    }

    fn file_kind(&self) -> PortableKind {
        match self.kind {
            Some(Kind::Incremental) => PortableKind::Incremental,
            Some(Kind::Differential) => PortableKind::Differential,
            None if self.guides.incremental => PortableKind::Incremental,
            Some(Kind::Full) | None => PortableKind::Full,
        }
    }

    fn portable_file(&self, app: &App, output: &Path) -> Result<PortableFile> {
        match (self.file_kind(), &self.base) {
            (PortableKind::Full, None) => {
                Ok(PortableFile::create(output, portable::readers(app, &self.recipients)?)?)
            }
            (PortableKind::Full, Some(_)) => Err(Error::Options(
                "a full file has no base; --type incremental or differential does",
            )),
            (_, None) => {
                Err(Error::Options("name the file that this one stands on: --base FILE.nkb"))
            }
            (_, Some(_)) if !self.recipients.is_empty() => Err(Error::Options(
                "a file is sealed to whom its base is sealed to; leave out --recipient",
            )),
            (kind, Some(base)) => {
                Ok(PortableFile::create_on(output, kind, &portable::base(app, base)?)?)
            }
        }
    }

    /// The repository in use; without any, the embedded one is made.
    fn repository(&self, app: &App) -> Result<(Opened, Option<Made>)> {
        let is_embedded = app.settings.repo.is_none();
        match app.open(Need::Write) {
            Err(Error::Engine(Engine::NoRepository { .. }))
                if is_embedded && app.settings.credential.is_none() => {}
            // An interrupted first run: the configuration is there and nothing else.
            Err(_) if is_embedded && app.home.creating(app.store()?.location()).exists() => {}
            result => return result.map(|opened| (opened, None)),
        }
        refuse_second_home(app)?;
        let (opened, made) = init::create(app, &Wish::default())?;
        app.output.say(&made.headline)?;
        app.output.say(format!("{}\n", *made.words_text(&app.output)))?;
        Ok((opened, Some(made)))
    }

    fn tell(
        &self,
        app: &App,
        opened: &Opened,
        made: Option<&Made>,
        source: &FsSource,
        report: &BackupReport,
    ) -> Result<()> {
        let paths: Vec<String> =
            source.paths().iter().map(|path| path.display().to_string()).collect();
        let verb = if self.dry_run { "Would back up" } else { "Backed up" };
        app.output.say(format!("{verb} {}", render::path(paths.join(" ").as_bytes())))?;
        app.output.say(summary(opened, report))?;
        if matches!(self.kind, Some(Kind::Incremental | Kind::Differential))
            || self.guides.incremental
        {
            app.output
                .say("\nIn a repository every snapshot is complete and costs only what changed.")?;
        }
        tell_unread(app, report)?;
        if self.dry_run {
            return Ok(());
        }
        let missing = still_missing(opened, made, Some(render::time::now_ms()));
        if missing.is_empty() {
            Ok(())
        } else {
            app.output.say(format!("\nStill missing:\n{missing}"))
        }
    }
}

/// What was just written is remembered; what vanished is noticed, where a look costs no round trips.
fn remember(app: &App, opened: &Opened, snapshot: Option<SnapshotId>) -> Result<()> {
    match snapshot {
        Some(id) if opened.repository.store().is_remote() => opened.remember_own(id),
        Some(_) => warn_of_lost(app, opened, &opened.repository.view()?).map(|_| ()),
        None => Ok(()),
    }
}

/// A name without a slash would be a node.
fn refuse_bare_words(paths: &[PathBuf]) -> Result<()> {
    let bare = |path: &&PathBuf| path.to_str().is_some_and(|text| !refs::is_path(text));
    match paths.iter().find(bare) {
        Some(path) => Err(Error::BareWord { word: path.display().to_string() }),
        None => Ok(()),
    }
}

fn missing(error: Engine) -> Error {
    match error {
        Engine::File { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::NoSource { path }
        }
        other => other.into(),
    }
}

/// The repository, its cache and its keys are not backed up into themselves.
fn own_paths(app: &App, opened: &Opened) -> Vec<Vec<u8>> {
    let cache = app.home.cache(&opened.repository.id());
    let mut paths = vec![cache, app.home.data().to_owned()];
    if let Ok(Address::Folder(folder)) = app.address() {
        paths.push(folder);
    }
    paths.iter().map(|path| refs::resolved(path)).collect()
}

/// Someone's embedded repository is on this machine already, usually that of the user before `sudo`.
fn refuse_second_home(app: &App) -> Result<()> {
    if app.home.is_explicit() {
        return Ok(());
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let homes = accounts.lines().filter_map(|line| line.split(':').nth(5));
    let mut repositories =
        homes.map(|home| Path::new(home).join(".local/share/nodekeep/repository"));
    let own = app.home.repository();
    match repositories.find(|path| *path != own && path.join("config").exists()) {
        Some(first) => Err(Error::OtherUsersRepository { first }),
        None => Ok(()),
    }
}

/// Who runs this, by the system's list: the environment may say otherwise, or nothing.
fn user_name(source: &FsSource) -> String {
    let uid = rustix::process::getuid().as_raw();
    source.user_name(uid).unwrap_or_else(|| uid.to_string())
}

fn word(kind: PortableKind) -> &'static str {
    match kind {
        PortableKind::Full => "full",
        PortableKind::Incremental => "incremental",
        PortableKind::Differential => "differential",
    }
}

fn portable_summary(source: &FsSource, report: &BackupReport, size: u64) -> String {
    let paths: Vec<String> = source.paths().iter().map(|path| path.display().to_string()).collect();
    render::fields(&[
        ("from", render::path(paths.join(" ").as_bytes())),
        ("files", holds(report)),
        ("size", if size == 0 { String::new() } else { render::size(size) }),
        ("time", took(report)),
    ])
}

fn holds(report: &BackupReport) -> String {
    let counts = &report.counts;
    format!(
        "{} in {}, {}",
        render::counted(counts.files, "file"),
        render::counted(counts.dirs, "directory/directories"),
        render::size(counts.bytes)
    )
}

/// The rate says something only where data was read.
fn took(report: &BackupReport) -> String {
    let bytes = if report.counts.bytes_read == 0 { 0 } else { report.counts.bytes };
    render::took(bytes, report.elapsed)
}

fn summary(opened: &Opened, report: &BackupReport) -> String {
    render::fields(&[
        ("snapshot", report.snapshot.map_or(String::new(), |id| id.short())),
        ("files", holds(report)),
        ("changes", changes(report)),
        ("new data", new_data(report)),
        ("time", took(report)),
        ("repository", repository_line(opened)),
    ])
}

/// What was read and stored, or would be.
fn new_data(report: &BackupReport) -> String {
    let counts = &report.counts;
    match report.snapshot {
        None => format!("up to {} to read", render::size(report.bytes_to_read)),
        Some(_) => format!(
            "{} read, {} stored",
            render::size(counts.bytes_read),
            render::size(counts.bytes_added)
        ),
    }
}

fn changes(report: &BackupReport) -> String {
    format!(
        "{} new, {} changed, {} unchanged",
        render::count(report.new_files),
        render::count(report.changed_files),
        render::count(report.unmodified_files)
    )
}

/// Where it lies and whose it is.
pub fn repository_line(opened: &Opened) -> String {
    format!(
        "{} ({}), owner {}",
        opened.location(),
        render::short(&opened.repository.id().hex()),
        render::fingerprint(&opened.repository.config().root.0)
    )
}

fn tell_unread(app: &App, report: &BackupReport) -> Result<()> {
    if !report.notices.is_empty() {
        app.output.say(format!("\nChanged while it was read:\n{}", unreadable(&report.notices)))?;
    }
    if !report.errors.is_empty() {
        app.output.alert(format!("\nCould not be read:\n{}", unreadable(&report.errors)));
    }
    Ok(())
}

/// What keeps the backup from being safe.
pub fn still_missing(opened: &Opened, made: Option<&Made>, newest_ms: Option<i64>) -> String {
    let mut lines = Vec::new();
    if opened.keys.words_pending().is_some() && made.is_none_or(Made::words_are_written) {
        lines.push(
            "  The recovery words are not confirmed yet: nodekeep key words --confirm".to_owned(),
        );
    }
    let known = copies::known(&opened.keys);
    let away = copies::still_missing(opened.location(), opened.distance, &known, newest_ms);
    lines.extend(away.map(|line| format!("  {line}")));
    lines.join("\n")
}

/// The last words of a backup into a repository: the document, the confirmation of new recovery words, and exit code 3 unless it is whole.
fn conclude(app: &App, made: Option<&Made>, told: &Value, is_whole: bool) -> Result<()> {
    app.output.document(told)?;
    if let Some(made) = made {
        made.confirm(app)?;
    }
    match is_whole {
        true => Ok(()),
        false => Err(Error::Exit(exit::Class::Incomplete.exit_code())),
    }
}

/// What every backup into a repository tells; nodes and databases add to it.
fn document(opened: &Opened, report: &BackupReport, made: bool) -> Value {
    let repository: &Repository = &opened.repository;
    json!({
        "snapshot": report.snapshot.map(|id| id.hex()),
        "parent": report.parent.map(|id| id.hex()),
        "counts": render::json::counts(&report.counts),
        "files": { "new": report.new_files, "changed": report.changed_files, "unmodified": report.unmodified_files },
        "unreadable": render::json::unreadable(&report.errors),
        "notices": render::json::unreadable(&report.notices),
        "bytes_to_read": report.bytes_to_read,
        "seconds": report.elapsed.as_secs_f64(),
        "repository": {
            "location": opened.location(),
            "id": repository.id().hex(),
            "owner": render::fingerprint(&repository.config().root.0),
            "created": made,
        },
        "words_confirmed": opened.keys.words_pending().is_none(),
        "offsite": copies::is_offsite(opened.distance, &copies::known(&opened.keys)),
    })
}
