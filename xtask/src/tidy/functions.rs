//! Finds functions and their lengths by counting braces; good enough for formatted code.

use std::path::Path;

use super::Finding;

/// No function may be longer.
const LONGEST: usize = 100;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where `fn` stands, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

/// Every function with a body, nested ones too, in code without comments and literals.
pub fn find(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word =
            code[..at].ends_with(|before: char| !before.is_alphanumeric() && before != '_');
        if at != 0 && !starts_word {
            continue;
        }
        let name = code[at + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
        // Without a name it is a function pointer's type.
        let Some((name, end)) = name.filter(|name| !name.is_empty()).zip(body_end(&code[at..]))
        else {
            continue;
        };
        found.push(Function {
            name: name.to_owned(),
            line: code[..at].matches('\n').count() + 1,
            lines: code[at..at + end].matches('\n').count() + 1,
        });
    }
    found
}

/// Where the body's closing brace ends; `None` for a declaration without a body.
fn body_end(code: &str) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return (braces == 0).then_some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Functions that are too long.
pub fn check(path: &Path, functions: &[Function]) -> Vec<Finding> {
    let long = functions.iter().filter(|function| function.lines > LONGEST);
    long.map(|function| {
        let Function { name, line, lines } = function;
        Finding::line(path, *line, format!("function {name} has {lines} lines, at most {LONGEST}"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_counted_and_declarations_skipped() {
        let code = "trait T {\n    fn a(x: [u8; 2]);\n}\npub fn b() {\n    if x {\n    }\n}\nfn c<F: Fn(fn (u8))>() {}\n";
        let found: Vec<_> = find(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("b".to_owned(), 4, 4), ("c".to_owned(), 8, 1)]);
    }

    #[test]
    fn only_long_functions_are_found() {
        let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        let path = Path::new("a.rs");
        assert!(check(path, &find(&body(LONGEST))).is_empty());
        assert_eq!(check(path, &find(&body(LONGEST + 1))).len(), 1);
    }
}
