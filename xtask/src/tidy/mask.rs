//! Blanks strings and comments out of Rust text, so that the rules see code as code.
//!
//! Not a lexer: it knows strings, raw strings, characters, lifetimes and comments, which is what can hide a
//! brace or a forbidden word. Line breaks stay, so line numbers hold.

/// The same text twice, each with the other's parts blanked.
#[derive(Debug)]
pub struct Masked {
    /// Code only: comments and the content of literals are spaces.
    pub code: String,
    /// Code and comments: only the content of literals is spaces.
    pub noted: String,
}

/// Blanks literals, and comments too in `code`.
pub fn mask(text: &str) -> Masked {
    let mut masker = Masker {
        rest: text,
        out: Masked {
            code: String::with_capacity(text.len()),
            noted: String::with_capacity(text.len()),
        },
        after_word: false,
    };
    while !masker.rest.is_empty() {
        masker.step();
    }
    masker.out
}

struct Masker<'a> {
    rest: &'a str,
    out: Masked,
    /// The last character belonged to a word, so that `r"` in `var"` opens no raw string.
    after_word: bool,
}

impl Masker<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.comment(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.comment(block_comment_length(rest));
        } else if let Some(length) = raw_string_length(rest).filter(|_| !self.after_word) {
            self.literal(length);
        } else if rest.starts_with('"') {
            self.literal(string_length(rest));
        } else if let Some(length) = char_length(rest) {
            self.literal(length);
        } else {
            self.code();
        }
    }

    fn code(&mut self) {
        let Some(character) = self.rest.chars().next() else {
            return;
        };
        self.out.code.push(character);
        self.out.noted.push(character);
        self.after_word = character.is_alphanumeric() || character == '_';
        self.rest = &self.rest[character.len_utf8()..];
    }

    fn comment(&mut self, length: usize) {
        let (comment, rest) = self.rest.split_at(length);
        self.out.code.extend(comment.chars().map(blank));
        self.out.noted.push_str(comment);
        self.rest = rest;
        self.after_word = false;
    }

    fn literal(&mut self, length: usize) {
        let (literal, rest) = self.rest.split_at(length);
        self.out.code.extend(literal.chars().map(blank));
        self.out.noted.extend(literal.chars().map(blank));
        self.rest = rest;
        self.after_word = false;
    }
}

fn blank(character: char) -> char {
    if character == '\n' { '\n' } else { ' ' }
}

fn block_comment_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = prefix.len() + hashes + 1;
    let end = body.find(&close).map_or(text.len(), |end| start + end + close.len());
    Some(end)
}

/// The length of a character literal; `None` for a lifetime or a label.
fn char_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if let Some(escape) = body.strip_prefix('\\') {
        let skipped = escape.chars().next()?.len_utf8();
        return Some(2 + skipped + escape[skipped..].find('\'')? + 1);
    }
    let length = body.chars().next()?.len_utf8();
    body[length..].starts_with('\'').then_some(1 + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blanked() {
        let cases = [
            ("a(\"{\\\"\") // }", "a(     )     "),
            ("x = '{'; y: &'a str", "x =    ; y: &'a str"),
            ("r#\"a \" b\"# + 1", "           + 1"),
            ("/* { /* } */ */ z", "                z"),
            ("'\\''; '\\u{7d}'", "    ;         "),
            ("var\"x\"", "var   "),
        ];
        for (text, code) in cases {
            assert_eq!(mask(text).code, code, "{text}");
        }
    }

    #[test]
    fn comments_stay_where_notes_are_wanted() {
        assert_eq!(mask("a \"b\" // c").noted, "a     // c");
    }

    #[test]
    fn line_breaks_stay() {
        let text = "a\n/* b\nc */\n\"d\ne\"\n";
        assert_eq!(mask(text).code.matches('\n').count(), text.matches('\n').count());
    }
}
