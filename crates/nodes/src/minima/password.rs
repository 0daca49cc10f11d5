//! The password of a backup.

use zeroize::Zeroizing;

/// What a node takes when its owner gives no password. Everybody knows it, so it protects nothing.
const NONE: &str = "minima";

/// A password, erased when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// What an owner chose.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// What a node uses when nobody chose one.
    pub fn none() -> Self {
        Self(Zeroizing::new(NONE.to_owned()))
    }

    /// Whether it is the one that everybody knows.
    pub fn is_none(&self) -> bool {
        self.0.as_str() == NONE
    }

    /// Why a node cannot be given it, if it cannot: commands come to it as one line, cut at spaces, quotes and semicolons.
    pub fn trouble(&self) -> Option<&'static str> {
        let printable =
            |letter: char| letter.is_ascii_graphic() && !matches!(letter, ';' | '"' | '\'');
        match self.0.as_str() {
            "" => Some("it is empty"),
            text if text.chars().all(printable) => None,
            _ => Some("it has a space, a quote, a semicolon or a letter that is not ASCII"),
        }
    }

    /// The password itself, for those who must send it to a node.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_no_spaces_and_quotes() {
        let trouble = |text: &str| Password::new(Zeroizing::new(text.to_owned())).trouble();
        for good in ["minima", "Tr0ub4dor&3", "a:b=c"] {
            assert_eq!(trouble(good), None, "{good:?}");
        }
        for bad in ["", "a b", "a;b", "a\"b", "a'b", "pässword", "a\tb"] {
            assert!(trouble(bad).is_some(), "{bad:?}");
        }
        assert!(Password::none().is_none() && format!("{:?}", Password::none()) == "Password(…)");
    }
}
