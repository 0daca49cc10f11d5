//! Rules for Markdown: links lead somewhere, pages are reachable, the map is complete.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{Finding, Page, source};

/// The page that must name every crate.
const MAP_PAGE: &str = "ARCHITECTURE.md";

/// Every rule for the Markdown pages of the workspace.
pub fn check(root: &Path, pages: &[Page], crates: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut linked = BTreeSet::new();
    for page in pages {
        findings.extend(source::check_whitespace(page));
        for link in links(&page.text) {
            let target = resolve(&page.path, &link.target);
            if !root.join(&target).exists() {
                let message = format!("link to {}, which does not exist", link.target);
                findings.push(Finding::line(&page.path, link.line, message));
            }
            if target != page.path {
                linked.insert(target);
            }
        }
    }
    findings.extend(check_reachable(pages, &linked));
    findings.extend(check_map(pages, crates));
    findings
}

fn check_reachable(pages: &[Page], linked: &BTreeSet<PathBuf>) -> Vec<Finding> {
    let docs = pages.iter().filter(|page| page.path.starts_with("docs"));
    let lost = docs.filter(|page| !linked.contains(&page.path));
    lost.map(|page| Finding::file(&page.path, "no other page links to this one")).collect()
}

fn check_map(pages: &[Page], crates: &[String]) -> Vec<Finding> {
    let map_path = Path::new(MAP_PAGE);
    let Some(map) = pages.iter().find(|page| page.path == map_path) else {
        return vec![Finding::file(
            map_path,
            "is missing: it names every crate and what it never does",
        )];
    };
    let missing = crates.iter().filter(|name| !map.text.contains(&format!("crates/{name}")));
    missing.map(|name| Finding::file(map_path, format!("does not name crates/{name}"))).collect()
}

/// A relative link.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    /// Without fragment and title.
    target: String,
}

fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose = without_code(line);
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let definition = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let targets = targets.chain(definition.map(|(_, target)| target.trim()));
        for target in targets.filter_map(relative) {
            found.push(Link { line: at + 1, target });
        }
    }
    found
}

/// The line without its inline code.
fn without_code(line: &str) -> String {
    let outside = line.split('`').step_by(2);
    outside.collect::<Vec<_>>().join("code")
}

/// The path of a relative link, without its fragment.
fn relative(target: &str) -> Option<String> {
    let target = target.trim_start_matches('<').trim_end_matches('>');
    let path = target.split('#').next()?;
    let has_scheme = path.contains("://") || path.starts_with("mailto:");
    (!path.is_empty() && !has_scheme).then(|| path.to_owned())
}

fn resolve(page: &Path, target: &str) -> PathBuf {
    let folder = page.parent().unwrap_or(Path::new(""));
    let mut resolved = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn only_relative_links_in_prose_are_seen() {
        let text = "[a](b.md#c) [d](https://e) [f](#g) `[h](i)`\n```\n[j](k)\n```\n[l]: m.md\n![n](<o.png> \"p\")";
        let found: Vec<_> = links(text).into_iter().map(|link| (link.line, link.target)).collect();
        assert_eq!(
            found,
            [(1, "b.md".to_owned()), (5, "m.md".to_owned()), (6, "o.png".to_owned())]
        );
    }

    #[test]
    fn links_resolve_against_their_page() {
        assert_eq!(resolve(Path::new("docs/a.md"), "../README.md"), Path::new("README.md"));
        assert_eq!(resolve(Path::new("README.md"), "./docs/a.md"), Path::new("docs/a.md"));
    }

    #[test]
    fn broken_links_lost_pages_and_gaps_in_the_map_are_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("docs")).unwrap();
        for file in ["README.md", "docs/a.md", "docs/b.md", "ARCHITECTURE.md"] {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        let pages = [
            page("README.md", "[a](docs/a.md) [gone](docs/gone.md)\n"),
            page("docs/a.md", "a\n"),
            page("docs/b.md", "[self](b.md)\n"),
            page("ARCHITECTURE.md", "crates/store\n"),
        ];
        let crates = ["repo".to_owned(), "store".to_owned()];
        let found: Vec<_> =
            check(root.path(), &pages, &crates).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "README.md:1: link to docs/gone.md, which does not exist",
                "docs/b.md: no other page links to this one",
                "ARCHITECTURE.md: does not name crates/repo",
            ]
        );
    }
}
