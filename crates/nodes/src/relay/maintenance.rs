//! `maintenance fix`, `clear-cache` and `reset`: each makes a plan that can be printed, and changes nothing before the plan is applied.
//! Whoever applies one has made a backup first.
//!
//! Upstream's `fix` makes folders and clears caches; ours also closes permissions and cuts torn lines, and leaves caches alone. Upstream's
//! `reset` throws `package-lock.json` away, so that the next install may bring other versions; ours keeps it. Neither touches `data/`.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Folders;
use super::check::{FOLDERS, mode, walk};
use super::tail::{End, end};
use crate::command::Program;
use crate::error::{Error, Result};

/// What builds and tests leave behind, in the project.
const CACHES: [&str; 5] = ["node_modules/.cache", ".vite", "dist", "build", "coverage"];
/// Files of lines, in `data/`.
const LINES: [&str; 2] = ["blockchain/chain.jsonl", "blockchain/nonces.jsonl"];
/// How long an install of dependencies may take.
const INSTALL: Duration = Duration::from_secs(3600);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A folder is made, for its owner only.
    MakeFolder(PathBuf),
    /// Permissions are changed.
    SetMode {
        /// Of what.
        path: PathBuf,
        /// As they are.
        from: u32,
        /// As they will be.
        to: u32,
    },
    /// The torn end of a file is moved into a file beside it.
    CutTail {
        /// The file.
        path: PathBuf,
        /// Its size when the plan was made.
        size: u64,
        /// How much of it stays, in bytes.
        keep: u64,
        /// Where the rest goes.
        saved: PathBuf,
    },
    /// A last line that is whole gets the line end that it lacks.
    EndLine {
        /// The file.
        path: PathBuf,
        /// Its size when the plan was made.
        size: u64,
    },
    /// A folder with all that is in it is removed: it can be made again.
    Remove(PathBuf),
    /// Dependencies are installed.
    Install {
        /// The project.
        project: PathBuf,
        /// The program and its arguments.
        argv: Vec<String>,
    },
}

/// What is to be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
}

/// What is wrong with `data/` and can be mended without a loss. The service must not run.
///
/// # Errors
/// If `data/` cannot be read.
pub fn fix(folders: &Folders) -> Result<Plan> {
    let data = &folders.data;
    let logs = folders.project.as_ref().map(|project| project.join("logs"));
    let expected = FOLDERS.iter().map(|name| data.join(name)).chain(logs);
    let mut steps: Vec<Step> =
        expected.filter(|folder| !folder.exists()).map(Step::MakeFolder).collect();
    if !data.exists() {
        steps.insert(0, Step::MakeFolder(data.clone()));
        return Ok(Plan { steps });
    }
    for path in std::iter::once(data.clone()).chain(walk(data)?) {
        steps.extend(close(path));
    }
    for path in LINES.iter().map(|name| data.join(name)).filter(|path| path.is_file()) {
        steps.extend(mend(path)?);
    }
    Ok(Plan { steps })
}

fn close(path: PathBuf) -> Option<Step> {
    let from = mode(&path)?;
    let to = from & 0o7700;
    (from != to).then_some(Step::SetMode { path, from, to })
}

fn mend(path: PathBuf) -> Result<Option<Step>> {
    let (end, size) = end(&path)?;
    Ok(match end {
        End::Whole => None,
        End::Open => Some(Step::EndLine { path, size }),
        End::Torn(keep) => {
            let saved = free_name(&path, keep);
            Some(Step::CutTail { path, size, keep, saved })
        }
    })
}

/// `chain.jsonl.cut-at-4711`, with a number after it if that is taken.
fn free_name(path: &Path, at: u64) -> PathBuf {
    let name = |more: String| PathBuf::from(format!("{}.cut-at-{at}{more}", path.display()));
    let first = name(String::new());
    let others = (2_u64..).map(|number| name(format!("-{number}")));
    std::iter::once(first.clone()).chain(others).find(|name| !name.exists()).unwrap_or(first)
}

/// What the tools of the project have left and make again.
///
/// # Errors
/// [`Error::Unsupported`] if the project is not there.
pub fn clear_cache(folders: &Folders) -> Result<Plan> {
    let project = project(folders)?;
    let there = CACHES.iter().map(|name| project.join(name)).filter(|path| exists(path));
    Ok(Plan { steps: there.map(Step::Remove).collect() })
}

/// Caches and dependencies removed, dependencies installed as `package-lock.json` says.
///
/// # Errors
/// As [`clear_cache`].
pub fn reset(folders: &Folders) -> Result<Plan> {
    let project = project(folders)?;
    let mut plan = clear_cache(folders)?;
    let modules = project.join("node_modules");
    plan.steps.retain(|step| !matches!(step, Step::Remove(path) if path.starts_with(&modules)));
    plan.steps.extend(exists(&modules).then_some(Step::Remove(modules)));
    let is_locked = project.join("package-lock.json").is_file();
    let argv = ["npm", if is_locked { "ci" } else { "install" }].map(str::to_owned).to_vec();
    plan.steps.push(Step::Install { project: project.to_path_buf(), argv });
    Ok(plan)
}

fn project(folders: &Folders) -> Result<&Path> {
    folders.project.as_deref().ok_or_else(|| Error::Unsupported {
        path: folders.data.clone(),
        reason: "the folder above has no package.json: caches and dependencies are the project's, and it is not here".to_owned(),
    })
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl Plan {
    /// Does what was planned, in order.
    ///
    /// # Errors
    /// The first step that fails; what was done before it stays done, and the plan made anew holds the rest.
    pub fn apply(&self) -> Result<()> {
        self.steps.iter().try_for_each(Step::apply)
    }
}

impl Step {
    fn apply(&self) -> Result<()> {
        match self {
            Self::MakeFolder(path) => make_folder(path),
            Self::SetMode { path, to, .. } => set_mode(path, *to),
            Self::CutTail { path, size, keep, saved } => cut(path, *size, *keep, saved),
            Self::EndLine { path, size } => end_line(path, *size),
            Self::Remove(path) => {
                fs::remove_dir_all(path).map_err(Error::file(path, "cannot be removed"))
            }
            Self::Install { project, argv } => {
                let mut program = Program::new(argv.clone());
                program.patience = INSTALL;
                program.folder = Some(project.clone());
                program.run().map(|_| ())
            }
        }
    }
}

fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::file(path, "cannot be made"))
}

/// Of the file itself: a link that has taken its place since is refused.
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let failed = || Error::file(path, "its permissions cannot be changed");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(failed())?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed())
}

/// First what is cut lies safe, then the file is shortened.
fn cut(path: &Path, size: u64, keep: u64, saved: &Path) -> Result<()> {
    let mut file = opened(path, size)?;
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(keep)).map_err(Error::file(path, "cannot be read"))?;
    file.read_to_end(&mut torn).map_err(Error::file(path, "cannot be read"))?;
    let unsaved = || Error::file(saved, "cannot be written");
    let mut beside = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(saved)
        .map_err(unsaved())?;
    beside.write_all(&torn).and_then(|()| beside.sync_all()).map_err(unsaved())?;
    let shortened = file.set_len(keep).and_then(|()| file.sync_all());
    shortened.map_err(Error::file(path, "cannot be shortened"))
}

fn end_line(path: &Path, size: u64) -> Result<()> {
    let mut file = opened(path, size)?;
    let ended = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n"));
    ended.and_then(|()| file.sync_all()).map_err(Error::file(path, "cannot be written"))
}

/// The file, if nobody has written to it since the plan was made.
fn opened(path: &Path, size: u64) -> Result<File> {
    let failed = || Error::file(path, "cannot be opened for writing");
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed())?;
    let now = file.metadata().map_err(failed())?.len();
    if now == size {
        return Ok(file);
    }
    let reason = format!(
        "it had {size} bytes when the plan was made and has {now}: stop the service, then try again"
    );
    Err(Error::Unsupported { path: path.to_owned(), reason })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return writeln!(f, "nothing to do");
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeFolder(path) => write!(f, "make folder {} (0700)", path.display()),
            Self::SetMode { path, from, to } => {
                write!(f, "change permissions of {} from {from:04o} to {to:04o}", path.display())
            }
            Self::CutTail { path, size, keep, saved } => write!(
                f,
                "cut the torn last {} bytes of {}, and keep them in {}",
                size.saturating_sub(*keep),
                path.display(),
                saved.display()
            ),
            Self::EndLine { path, .. } => {
                write!(f, "end the last line of {} with a line end", path.display())
            }
            Self::Remove(path) => write!(f, "remove {} and all that is in it", path.display()),
            Self::Install { project, argv } => {
                write!(f, "run `{}` in {}", argv.join(" "), project.display())
            }
        }
    }
}
