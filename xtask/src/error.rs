//! What can go wrong in a development task.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A task's failure, naming the file or program it happened to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line was not understood; holds what to print.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read, written or listed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program's name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} ended with {status}{}", log.as_ref().map(|log| format!(", see {}", log.display())).unwrap_or_default())]
    Failed {
        /// The program and its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Where its output went, if not to the terminal.
        log: Option<PathBuf>,
    },
    /// A TOML file does not parse.
    #[error("{}: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// An option's value is not what it must be.
    #[error("{option} {value}: expected {expected}")]
    Value {
        /// The option.
        option: String,
        /// What was given.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// `tidy` found something; it is already printed.
    #[error("{0} findings")]
    Untidy(usize),
    /// The release binary is not what a release must be.
    #[error("{}: {reason}", path.display())]
    Binary {
        /// The binary.
        path: PathBuf,
        /// Which expectation it breaks.
        reason: &'static str,
    },
    /// A measured program answered in a way that makes its figures worthless.
    #[error("{tool}: {reason}")]
    Measurement {
        /// The tool measured.
        tool: String,
        /// What is wrong.
        reason: String,
    },
    /// Tools failed under measurement; the tables say which.
    #[error("{0} measurements failed")]
    Incomplete(usize),
    /// A program that the task needs is not installed.
    #[error("{program} is not installed; {hint}")]
    Missing {
        /// The program.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// This machine cannot run the task.
    #[error("{reason}; {hint}")]
    Unfit {
        /// What it lacks.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// Something that is promised did not hold; says what.
    #[error("{0}")]
    Broken(String),
}

impl Error {
    /// For `map_err` on file operations.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
