//! Where secrets come from: variables, files, and a person at a terminal. Never from an argument.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// A secret text; erased when it is dropped.
pub type SecretText = Zeroizing<String>;

/// What the environment gave, taken at the start and erased there.
#[derive(Clone, Default)]
pub struct Secrets {
    passphrase: Source,
    new_passphrase: Source,
    words: Source,
    node_password: Source,
    node_phrase: Source,
}

#[derive(Clone, Default)]
struct Source {
    value: Option<SecretText>,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Takes the secrets out of the environment. Call it before there is a second thread.
    pub fn take() -> Self {
        let source = |name: &str| Source {
            value: take_variable(name),
            file: std::env::var_os(format!("{name}_FILE"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        };
        Self {
            passphrase: source("NODEKEEP_PASSPHRASE"),
            new_passphrase: source("NODEKEEP_NEW_PASSPHRASE"),
            words: source("NODEKEEP_WORDS"),
            node_password: source("NODEKEEP_NODE_PASSWORD"),
            node_phrase: source("NODEKEEP_NODE_PHRASE"),
        }
    }

    /// The passphrase of something locked.
    pub fn passphrase(&self, of: &str) -> Result<SecretText> {
        match self.passphrase.get()? {
            Some(given) => Ok(given),
            None => {
                ask_hidden(&format!("Passphrase of {of}:"), "a passphrase", "NODEKEEP_PASSPHRASE")
            }
        }
    }

    /// A passphrase to lock with: asked for twice.
    pub fn new_passphrase(&self, what: &str) -> Result<SecretText> {
        let chosen = match self.new_passphrase.get()? {
            Some(given) => given,
            None => ask_twice(what)?,
        };
        if chosen.is_empty() { Err(Error::EmptyPassphrase) } else { Ok(chosen) }
    }

    /// Recovery words, if the environment has them.
    pub fn given_words(&self) -> Result<Option<SecretText>> {
        self.words.get()
    }

    /// The recovery words.
    pub fn words(&self) -> Result<SecretText> {
        match self.words.get()? {
            Some(given) => Ok(given),
            None => ask_hidden(
                "The 24 recovery words, in one line (they are not shown):",
                "the recovery words",
                "NODEKEEP_WORDS",
            ),
        }
    }

    /// The password of a node's own backup, if a file or the environment has it.
    pub fn given_node_password(&self, file: Option<&Path>) -> Result<Option<SecretText>> {
        given(file, &self.node_password)
    }

    /// The password of a node's own backup or of its keys, asked for.
    pub fn node_password(&self, of: &str) -> Result<SecretText> {
        ask_hidden(&format!("Password of {of}:"), "the node's password", "NODEKEEP_NODE_PASSWORD")
    }

    /// A password for a node's own backup or its keys: asked for twice.
    pub fn new_node_password(&self) -> Result<SecretText> {
        let ask =
            |question| ask_hidden(question, "a password for the node", "NODEKEEP_NODE_PASSWORD");
        let first = ask("New password:")?;
        if first == ask("The same again:")? { Ok(first) } else { Err(Error::PassphrasesDiffer) }
    }

    /// The seed phrase of a node, if a file or the environment has it.
    pub fn given_node_phrase(&self, file: Option<&Path>) -> Result<Option<SecretText>> {
        given(file, &self.node_phrase)
    }

    /// The seed phrase of a node, asked for.
    pub fn node_phrase(&self) -> Result<SecretText> {
        ask_hidden(
            "The node's seed phrase, in one line (it is not shown):",
            "the node's seed phrase",
            "NODEKEEP_NODE_PHRASE",
        )
    }
}

/// What an option names comes before the environment.
fn given(file: Option<&Path>, source: &Source) -> Result<Option<SecretText>> {
    match file {
        Some(file) if file == Path::new("-") => read_secret_from_input().map(Some),
        Some(file) => read_secret(file).map(Some),
        None => source.get(),
    }
}

/// Standard input to its end, without its last line end.
fn read_secret_from_input() -> Result<SecretText> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(Error::file(Path::new("standard input"), "read"))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

impl Source {
    fn get(&self) -> Result<Option<SecretText>> {
        match (&self.value, &self.file) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Some(file)) => read_secret(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The text of a file without its last line end.
pub fn read_secret(path: &Path) -> Result<SecretText> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(Error::file(path, "read"))?);
    let trimmed = text.trim_end_matches(['\n', '\r']);
    Ok(Zeroizing::new(trimmed.to_owned()))
}

/// Whether there is a person to ask.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn ask_twice(what: &str) -> Result<SecretText> {
    let first = ask_hidden(
        &format!("New passphrase {what}:"),
        "a new passphrase",
        "NODEKEEP_NEW_PASSPHRASE",
    )?;
    let again = ask_hidden("The same again:", "a new passphrase", "NODEKEEP_NEW_PASSPHRASE")?;
    if first == again { Ok(first) } else { Err(Error::PassphrasesDiffer) }
}

fn ask_hidden(question: &str, what: &'static str, variable: &'static str) -> Result<SecretText> {
    if !can_ask() {
        return Err(Error::NeedSecret { what, variable });
    }
    let answer = rpassword::prompt_password(format!("{question} "));
    answer.map(Zeroizing::new).map_err(Error::file(Path::new("/dev/tty"), "read"))
}

/// Copies a variable's value and overwrites it where it lies, so that `/proc/self/environ` has it no more.
fn take_variable(name: &str) -> Option<SecretText> {
    let mut value = std::env::var_os(name)?.into_encoded_bytes();
    erase_variable(name);
    let text = std::str::from_utf8(&value).ok().map(|text| Zeroizing::new(text.to_owned()));
    value.zeroize();
    text.filter(|text| !text.is_empty())
}

fn erase_variable(name: &str) {
    let Ok(name) = std::ffi::CString::new(name) else {
        return;
    };
    #[expect(unsafe_code, reason = "only the C library knows where the value lies")]
    // SAFETY: getenv gives null or a NUL-terminated text that belongs to this process; there is one thread yet.
    unsafe {
        let at = libc::getenv(name.as_ptr());
        if !at.is_null() {
            std::slice::from_raw_parts_mut(at.cast::<u8>(), libc::strlen(at)).zeroize();
        }
    }
}
