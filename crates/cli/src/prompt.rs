//! Questions to a person. Where there is none, the caller gets an error that says which option to give.

use std::io::{self, BufRead};

use nodekeep_repo::crypto::random;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::output::Output;
use crate::secrets::can_ask;

/// Goes on only if `--yes` was given or a person says yes. `what` is a noun, `details` the sentence before the question.
///
/// # Errors
/// [`Error::Unconfirmed`] without a terminal, [`Error::Declined`] for anything but yes.
pub fn confirm(output: &Output, yes: bool, what: &'static str, details: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !can_ask() || output.json {
        return Err(Error::Unconfirmed { what });
    }
    output.ask(format!("{details}. Go on? [y/N]"));
    let agreed = matches!(line()?.trim().to_lowercase().as_str(), "y" | "yes");
    if agreed { Ok(()) } else { Err(Error::Declined) }
}

/// What a person says where the record needs a sentence: not nothing.
///
/// # Errors
/// In words, for the parser of arguments.
pub fn said(text: &str) -> std::result::Result<String, String> {
    match text.trim() {
        "" => Err("it is recorded, so say why".to_owned()),
        said => Ok(said.to_owned()),
    }
}

/// Shows the words in four columns, numbered.
pub fn words_grid(words: &str) -> Zeroizing<String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let rows = words.len().div_ceil(4);
    let cell = |row: usize, column: usize| {
        let at = column * rows + row;
        words.get(at).map_or(String::new(), |word| format!("{:>4}  {word:<10}", at + 1))
    };
    let line = |row: usize| {
        let cells: Vec<String> = (0..4).map(|column| cell(row, column)).collect();
        cells.concat().trim_end().to_owned()
    };
    Zeroizing::new((0..rows).map(line).collect::<Vec<_>>().join("\n"))
}

/// Asks for two of the words; three tries each.
///
/// # Errors
/// [`Error::WordMismatch`] after the third wrong answer.
pub fn ask_two_words(output: &Output, words: &str) -> Result<()> {
    let words: Vec<&str> = words.split_whitespace().collect();
    for position in two_positions(words.len()) {
        ask_word(output, position, words[position - 1])?;
    }
    Ok(())
}

fn ask_word(output: &Output, position: usize, word: &str) -> Result<()> {
    for _ in 0..3 {
        output.ask(format!("Word {position}:"));
        let answer = Zeroizing::new(line()?);
        if answer.trim().eq_ignore_ascii_case(word) {
            return Ok(());
        }
        output.alert("That is another word.");
    }
    Err(Error::WordMismatch { position })
}

/// Two different positions from 1, ascending.
fn two_positions(count: usize) -> [usize; 2] {
    let [a, b] = random::<2>().map(usize::from);
    let first = a % count;
    let second = (first + 1 + b % (count - 1)) % count;
    [first.min(second) + 1, first.max(second) + 1]
}

fn line() -> Result<String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .read_line(&mut text)
        .map_err(Error::file("standard input".as_ref(), "read"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_counts_down_its_columns() {
        let words: Vec<String> = (1..=24).map(|n| format!("w{n}")).collect();
        let grid = words_grid(&words.join(" "));
        let lines: Vec<&str> = grid.lines().collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "   1  w1           7  w7          13  w13         19  w19");
    }

    #[test]
    fn two_different_positions_are_asked() {
        for _ in 0..200 {
            let [a, b] = two_positions(24);
            assert!(1 <= a && a < b && b <= 24);
        }
    }
}
