//! A command that is safe to send: nothing in it that the node would take apart, and nothing secret where a message could show it.

use zeroize::Zeroizing;

use super::error::{Result, RpcError};

/// A command that is safe to send.
#[derive(Clone)]
pub struct Call {
    pub(super) name: &'static str,
    pub(super) line: Zeroizing<String>,
    secrets: Vec<Zeroizing<String>>,
}

/// Shows the name alone: parameters may be secret.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Call {
    /// A command without parameters.
    pub fn new(name: &'static str) -> Self {
        Self { name, line: Zeroizing::new(name.to_owned()), secrets: Vec::new() }
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`] for a value that the node would take apart.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Self> {
        safe(value).map_err(|why| RpcError::Unsafe { what: format!("`{name}`"), why })?;
        self.add(name, value, "");
        Ok(self)
    }

    /// Adds a parameter that no message may show.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`]
    pub fn with_secret(mut self, name: &'static str, value: &str) -> Result<Self> {
        self.secrets.push(Zeroizing::new(value.to_owned()));
        self.with(name, value)
    }

    /// Adds the node's phrase: words with blanks between them.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`] if it holds anything but letters and single blanks.
    pub fn with_phrase(mut self, name: &'static str, words: &str) -> Result<Self> {
        let is_plain = words
            .split(' ')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()));
        if !is_plain {
            let why = "a phrase is made of words of the letters A to Z with one blank between them";
            return Err(RpcError::Unsafe { what: format!("`{name}`"), why });
        }
        self.secrets.push(Zeroizing::new(words.to_owned()));
        self.add(name, words, "\"");
        Ok(self)
    }

    fn add(&mut self, name: &str, value: &str, quote: &str) {
        // A line that grows would leave its old copies in memory.
        let mut line = Zeroizing::new(String::with_capacity(
            self.line.len() + name.len() + value.len() + 2 * quote.len() + 2,
        ));
        for part in [self.line.as_str(), " ", name, ":", quote, value, quote] {
            line.push_str(part);
        }
        self.line = line;
    }

    /// A sentence of the node without what is secret in it.
    pub(super) fn without_secrets(&self, said: &str) -> String {
        let hide = |said: String, secret: &Zeroizing<String>| said.replace(secret.as_str(), "…");
        self.secrets.iter().filter(|secret| !secret.is_empty()).fold(said.to_owned(), hide)
    }
}

/// Whether a value survives the node's own way to read commands.
fn safe(value: &str) -> std::result::Result<(), &'static str> {
    match value {
        "" => Err("it is empty"),
        _ if !value.is_ascii() => {
            Err("the node never answers to letters outside of ASCII: use A to Z, digits and signs")
        }
        _ if value.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) => {
            Err("the node ends a value at a blank")
        }
        _ if value.contains(';') => Err("the node begins a new command at `;`"),
        _ if value.contains(['"', '{', '}', '[', ']']) => {
            Err("the node reads quotation marks, braces and brackets as its own")
        }
        _ if value.contains(":\\") => Err("the node takes `:\\` for a path of Windows"),
        _ => Ok(()),
    }
}
