//! Just enough SQL to read what H2's `SCRIPT` writes for a wallet, and to refuse everything else.
//!
//! A node runs the script of a backup as it is, and H2 can read and write files and load code by SQL. So a statement that no node
//! writes is an error, not something to be skipped.

use std::ops::Range;

use zeroize::Zeroizing;

/// What stands between white space and comments.
#[derive(PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name without quotes.
    Word(&'a str),
    /// A name in double quotes.
    Name(&'a str),
    /// A text in single quotes, decoded.
    Text(Zeroizing<String>),
    /// Decimal digits.
    Digits(&'a str),
    /// Anything else.
    Mark(char),
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// A name with or without quotes.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Token::Word(name) | Token::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// A token and where it stands.
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) at: Range<usize>,
}

/// What cannot be a token, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) at: usize,
    pub(super) reason: &'static str,
}

/// Reads one token after the other.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The tokens up to the next semicolon. `None` at the end.
    pub(super) fn statement(&mut self) -> Result<Option<Vec<Placed<'a>>>, Bad> {
        let mut tokens = Vec::new();
        while let Some(placed) = self.next()? {
            if placed.token == Token::Mark(';') {
                return Ok(Some(tokens));
            }
            tokens.push(placed);
        }
        match tokens.first() {
            None => Ok(None),
            Some(first) => Err(Bad { at: first.at.start, reason: "this statement has no end" }),
        }
    }

    fn next(&mut self) -> Result<Option<Placed<'a>>, Bad> {
        self.pass_space();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '\'' => self.text_literal(1, false)?,
            'U' | 'u' if rest[1..].starts_with("&'") => self.text_literal(3, true)?,
            '"' => self.quoted_name()?,
            digit if digit.is_ascii_digit() => Token::Digits(self.run(|c| c.is_ascii_digit())),
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                Token::Word(self.run(|c| c.is_ascii_alphanumeric() || c == '_'))
            }
            mark => {
                self.at += mark.len_utf8();
                Token::Mark(mark)
            }
        };
        Ok(Some(Placed { token, at: start..self.at }))
    }

    /// White space and comments to the end of a line.
    fn pass_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let after = rest.trim_start();
            self.at += rest.len() - after.len();
            if !after.starts_with("--") {
                return;
            }
            self.at += after.find('\n').unwrap_or(after.len());
        }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn quoted_name(&mut self) -> Result<Token<'a>, Bad> {
        let rest = &self.text[self.at + 1..];
        let open = Bad { at: self.at, reason: "this name has no end" };
        let length = rest.find('"').ok_or(open)?;
        self.at += length + 2;
        Ok(Token::Name(&rest[..length]))
    }

    fn text_literal(&mut self, opening: usize, escapes: bool) -> Result<Token<'a>, Bad> {
        let start = self.at;
        let bad = |reason| Bad { at: start, reason };
        let rest = &self.text[start + opening..];
        let length = closing_quote(rest).ok_or(bad("this text has no end"))?;
        self.at += opening + length + 1;
        let text = decode(&rest[..length], escapes).ok_or(bad("this text is not escaped right"))?;
        Ok(Token::Text(text))
    }
}

/// Where the quote stands that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('\'')?;
        if !text[at + 1..].starts_with('\'') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// Doubled quotes become one; with escapes, `\0041` and `\+01F600` become their characters and `\\` a backslash.
fn decode(raw: &str, escapes: bool) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        match character {
            // Only doubled ones are inside.
            '\'' => {
                text.push('\'');
                taken += 1;
            }
            '\\' if escapes => {
                let (decoded, length) = unescape(&rest[1..])?;
                text.push(decoded);
                taken += length;
            }
            other => text.push(other),
        }
        rest = &rest[taken..];
    }
    Some(text)
}

fn unescape(after: &str) -> Option<(char, usize)> {
    let (digits, length) = match after.as_bytes().first()? {
        b'\\' => return Some(('\\', 1)),
        b'+' => (after.get(1..7)?, 7),
        _ => (after.get(..4)?, 4),
    };
    let all_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| all_hex)?;
    Some((char::from_u32(code)?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sql: &str) -> Result<Vec<Token<'_>>, Bad> {
        let statement = Lexer::new(sql).statement()?;
        Ok(statement.unwrap_or_default().into_iter().map(|placed| placed.token).collect())
    }

    fn text(sql: &str) -> Option<String> {
        match tokens(sql).ok()?.pop()? {
            Token::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    #[test]
    fn statements_end_at_a_semicolon_that_is_not_quoted() {
        let mut lexer = Lexer::new("-- a; b\nA \"b;c\" 'd;''e', 12;  -- x\n;");
        let first: Vec<_> = lexer.statement().unwrap().unwrap();
        assert!(first[0].token.is("a") && first[1].token.name() == Some("b;c"));
        assert!(first[2].token == Token::Text(Zeroizing::new("d;'e".to_owned())));
        assert!(first[4].token == Token::Digits("12") && first[4].at == (25..27));
        assert!(lexer.statement().unwrap().unwrap().is_empty());
        assert!(lexer.statement().unwrap().is_none());
    }

    #[test]
    fn escapes_are_those_of_h2() {
        assert_eq!(text("U&'caf\\00e9 \\\\ \\+01F600 ''x''';").unwrap(), "café \\ 😀 'x'");
        assert_eq!(text("'back\\slash';").unwrap(), "back\\slash");
        assert_eq!(text("'';").unwrap(), "");
        for bad in
            ["U&'\\12';", "U&'\\d800';", "U&'\\+0000';", "U&'\\';", "U&'\\é00';", "U&'\\+é00;"]
        {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        for bad in ["'a", "\"a", "A B", "'a''", "U&'", "U&'\\"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
        assert!(tokens("").unwrap().is_empty());
    }
}
