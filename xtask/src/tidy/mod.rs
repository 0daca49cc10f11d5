//! `cargo xtask tidy`: what neither the compiler nor clippy can see.
//!
//! Each rule is a pure function from a file's text (or the manifests) to findings; this module feeds them.

mod arrows;
mod functions;
mod manifest;
mod mask;
mod pages;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::place;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the workspace.
    pub path: PathBuf,
    /// The line, from 1; `None` for the whole file.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    fn file(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), line: None, message: message.into() }
    }

    fn line(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::file(path, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}: {}", self.path.display(), self.message),
            None => write!(out, "{}: {}", self.path.display(), self.message),
        }
    }
}

/// A text file of the workspace, its path relative to the root.
#[derive(Debug)]
pub struct Page {
    /// Relative to the workspace.
    pub path: PathBuf,
    /// Its whole content.
    pub text: String,
}

/// `cargo xtask tidy`.
pub fn run() -> Result<(), Error> {
    let root = place::root();
    let sources = load(&root, &["rs"])?;
    let scripts = load(&root, &["py", "sh", "toml"])?;
    let markdown = load(&root, &["md"])?;
    let crates = manifest::load(&root)?;

    let mut findings = arrows::check_manifests(&crates);
    let mut lengths = Vec::new();
    for page in &sources {
        let masked = mask::mask(&page.text);
        findings.extend(arrows::check_source(&page.path, &masked.code));
        findings.extend(source::check(page, &masked));
        let found = functions::find(&masked.code);
        findings.extend(functions::check(&page.path, &found));
        lengths.extend(found.iter().map(|function| function.lines));
    }
    for page in &scripts {
        findings.extend(source::check_notes(&page.path, &page.text));
    }
    findings.extend(pages::check(&root, &markdown, &place::folders(&root.join("crates"))?));
    report(findings, sources.len(), lengths)
}

fn load(root: &Path, extensions: &[&str]) -> Result<Vec<Page>, Error> {
    let mut pages = Vec::new();
    for path in place::files(root, extensions)? {
        let text = place::read(&path)?;
        let path = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        pages.push(Page { path, text });
    }
    Ok(pages)
}

fn report(mut findings: Vec<Finding>, files: usize, mut lengths: Vec<usize>) -> Result<(), Error> {
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    let long = lengths.iter().filter(|&&lines| lines > 60).count();
    println!(
        "tidy: {files} Rust files, {} functions, median {median} lines, {long} above 60, {} findings",
        lengths.len(),
        findings.len()
    );
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::Untidy(findings.len()))
}
