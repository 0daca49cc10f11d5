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
