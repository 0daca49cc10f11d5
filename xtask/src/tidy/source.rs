//! Rules for single source files: words that must not stand there, module docs, whitespace, names.

use std::path::Path;

use super::arrows::crate_folder;
use super::mask::Masked;
use super::{Finding, Page};

/// Crates that may print, exit and read the environment.
const FACES: [&str; 2] = ["cli", "testkit"];

/// What a library must leave to its caller.
const NOT_IN_LIBRARIES: [(&str, &str); 6] = [
    ("println!", "report through a monitor"),
    ("eprintln!", "report through a monitor"),
    ("print!", "report through a monitor"),
    ("eprint!", "report through a monitor"),
    ("process::exit", "return an error"),
    ("env::var", "take it as an argument"),
];

/// What hides unfinished work from the compiler and the tests.
const NOWHERE: [(&str, &str); 3] = [
    ("#[ignore", "a test that does not run is none: run it or remove it"),
    ("allow(dead_code)", "remove what is not used"),
    ("allow(unused", "remove what is not used"),
];

/// Words that promise work for later; an issue is the place for them.
const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Names that say nothing about what lies inside.
const EMPTY_NAMES: [&str; 4] = ["common", "types", "util", "utils"];

/// Every rule for a Rust file.
pub fn check(page: &Page, masked: &Masked) -> Vec<Finding> {
    let path = &page.path;
    let mut findings = check_library(path, &masked.code);
    findings.extend(check_words(path, &masked.code, &NOWHERE));
    findings.extend(check_notes(path, &masked.noted));
    findings.extend(check_whitespace(page));
    findings.extend(check_name(path));
    findings.extend(check_module_docs(page));
    findings
}

/// Tabs and spaces at the ends of lines, in Rust and Markdown.
pub fn check_whitespace(page: &Page) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in page.text.lines().enumerate() {
        if line.contains('\t') {
            findings.push(Finding::line(&page.path, at + 1, "tab: use spaces"));
        }
        if line.ends_with(' ') {
            findings.push(Finding::line(&page.path, at + 1, "spaces at the end of the line"));
        }
    }
    findings
}

/// Notes for later, in text without string literals.
pub fn check_notes(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for note in NOTES.iter().filter(|note| has_word(line, note)) {
            findings.push(Finding::line(path, at + 1, format!("{note}: do it or file an issue")));
        }
    }
    findings
}

fn check_library(path: &Path, code: &str) -> Vec<Finding> {
    let is_library = crate_folder(path).is_some_and(|folder| !FACES.contains(&folder));
    if !is_library || !path.components().any(|part| part.as_os_str() == "src") {
        return Vec::new();
    }
    let product = without_tests(path, code);
    check_words(path, &product, &NOT_IN_LIBRARIES)
}

fn check_words(path: &Path, code: &str, words: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in code.lines().enumerate() {
        for (word, remedy) in words.iter().filter(|(word, _)| starts_word(line, word)) {
            findings.push(Finding::line(path, at + 1, format!("{word}: {remedy}")));
        }
    }
    findings
}

fn check_name(path: &Path) -> Option<Finding> {
    let in_source = path.components().any(|part| part.as_os_str() == "src");
    let parts = path.iter().filter_map(|part| part.to_str());
    let mut stems = parts.map(|part| part.trim_end_matches(".rs"));
    let empty = stems.find(|stem| EMPTY_NAMES.contains(stem))?;
    in_source.then(|| {
        Finding::file(
            path,
            format!("a module or crate named {empty} says nothing about its content"),
        )
    })
}

fn check_module_docs(page: &Page) -> Option<Finding> {
    let first = page.text.lines().find(|line| !line.trim().is_empty());
    let documented = first.is_some_and(|line| line.starts_with("//!"));
    (!documented)
        .then(|| Finding::file(&page.path, "begins without module docs (`//!` on the first line)"))
}

/// The code with its test modules blanked; all of it is blanked for files that are tests.
pub fn without_tests(path: &Path, code: &str) -> String {
    if path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
        return code.chars().map(blank).collect();
    }
    let mut product = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, from) = rest.split_at(start);
        let length = item_length(from);
        product.push_str(before);
        product.extend(from[..length].chars().map(blank));
        rest = &from[length..];
    }
    product.push_str(rest);
    product
}

/// The length of the item at the start: to its `;`, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b';' if depth == 0 => return at + 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth <= 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn blank(character: char) -> char {
    if character == '\n' { '\n' } else { ' ' }
}

/// Whether a word stands in a line on its own.
pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// Whether a word begins somewhere in a line, whatever follows.
fn starts_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_word))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::mask::mask;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let page = Page { path: path.into(), text: text.to_owned() };
        let found = check(&page, &mask(text));
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn each_rule_finds_its_fault_once() {
        let cases = [
            ("crates/repo/src/a.rs", "//! A.\nfn f() { println!(); }\n"),
            ("crates/store/src/a.rs", "//! A.\nfn f() { std::process::exit(1); }\n"),
            ("crates/store/src/a.rs", "//! A.\nfn f() { std::env::var_os(x); }\n"),
            ("crates/cli/src/a.rs", "//! A.\n#[ignore = \"slow\"]\nfn f() {}\n"),
            ("crates/cli/src/a.rs", "//! A.\n#![allow(dead_code)]\n"),
            ("crates/cli/src/a.rs", "//! A.\n// TODO later\n"),
            ("crates/cli/src/a.rs", "//! A.\nfn f() {} \n"),
            ("crates/cli/src/a.rs", "//! A.\n\tfn f() {}\n"),
            ("crates/cli/src/a.rs", "fn f() {}\n"),
            ("crates/cli/src/utils.rs", "//! A.\n"),
            ("crates/common/src/lib.rs", "//! A.\n"),
        ];
        for (path, text) in cases {
            assert_eq!(
                findings(path, text).len(),
                1,
                "{path}: {text:?} {:?}",
                findings(path, text)
            );
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        let cases = [
            ("crates/cli/src/a.rs", "//! A.\nfn f() { println!(); }\n"),
            ("crates/testkit/src/a.rs", "//! A.\nfn f() { std::env::var(x); }\n"),
            ("crates/repo/tests/it/main.rs", "//! A.\nfn f() { println!(); }\n"),
            (
                "crates/repo/src/a.rs",
                "//! A.\nfn f() {}\n#[cfg(test)]\nmod t { fn f() { println!(); } }\n",
            ),
            (
                "crates/repo/src/a.rs",
                "//! A. Not println!(\"\").\nconst A: &str = \"println! FIXME #[ignore\";\n",
            ),
            ("crates/repo/src/a.rs", "//! A.\n// TODOS and XXXL are words.\n"),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text), Vec::<String>::new(), "{path}: {text:?}");
        }
    }

    #[test]
    fn code_after_a_test_module_counts() {
        let text = "//! A.\n#[cfg(test)]\nmod t {}\nfn f() { eprintln!(); }\n";
        assert_eq!(findings("crates/repo/src/a.rs", text).len(), 1);
    }
}
