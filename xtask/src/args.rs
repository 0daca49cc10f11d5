//! The few options that tasks take: `--name VALUE` and `--name`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;

/// The words of a command line, taken out one option at a time.
#[derive(Debug)]
pub struct Args {
    words: Vec<OsString>,
}

impl Args {
    /// Words after the task's name.
    pub fn new(words: Vec<OsString>) -> Self {
        Self { words }
    }

    /// Takes `--name`, saying whether it was there.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// Takes `--name VALUE` and parses the value.
    pub fn value<T: FromStr>(
        &mut self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(word) = self.word(name)? else {
            return Ok(None);
        };
        let value = word.to_string_lossy().into_owned();
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(Error::Value { option: name.to_owned(), value, expected }),
        }
    }

    /// Takes `--name PATH`.
    pub fn path(&mut self, name: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.word(name)?.map(PathBuf::from))
    }

    /// Takes `--name a,b,c`.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let word = self.word(name)?;
        Ok(word.map(|word| {
            let text = word.to_string_lossy();
            text.split(',').map(str::to_owned).collect()
        }))
    }

    /// Takes the first word left, whatever it is.
    pub fn next(&mut self) -> Option<OsString> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Fails if any word was not taken.
    pub fn finish(mut self) -> Result<(), Error> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(Error::Usage(format!(
                "{} is not an option of this task; see cargo xtask help",
                word.to_string_lossy()
            ))),
        }
    }

    fn word(&mut self, name: &str) -> Result<Option<OsString>, Error> {
        let Some(at) = self.words.iter().position(|word| word == name) else {
            return Ok(None);
        };
        self.words.remove(at);
        if at == self.words.len() {
            return Err(Error::Usage(format!("{name} needs a value")));
        }
        Ok(Some(self.words.remove(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        Args::new(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn options_are_taken_in_any_order() {
        let mut args = args(&["--quick", "--runs", "5", "--peers", "a,b"]);
        assert_eq!(args.list("--peers").unwrap().unwrap(), ["a", "b"]);
        assert_eq!(args.value::<u32>("--runs", "a number").unwrap(), Some(5));
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"));
        args.finish().unwrap();
    }

    #[test]
    fn what_is_left_or_wrong_is_an_error() {
        assert!(args(&["--what"]).finish().is_err());
        assert!(args(&["--runs"]).value::<u32>("--runs", "a number").is_err());
        assert!(args(&["--runs", "x"]).value::<u32>("--runs", "a number").is_err());
    }
}
