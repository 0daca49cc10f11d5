//! UUIDs: with hyphens in backups, 32 digits in the database.

use std::fmt;

use rsa::rand_core::{OsRng, RngCore};

use super::digest::{decode, write_hex};

/// The key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// From either form.
    pub fn parse(text: &str) -> Option<Self> {
        decode(&text.replace('-', "").to_ascii_lowercase()).map(Self)
    }

    /// A new one (version 4).
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        OsRng.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// As the database has it: no hyphens.
    pub fn to_sql(self) -> String {
        self.to_string().replace('-', "")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, bytes) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
            if place > 0 {
                f.write_str("-")?;
            }
            write_hex(&self.0[bytes], f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one() {
        let text = "da497695-e3b0-4b92-917c-d324cddead12";
        let id = Uuid::parse(text).unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(Uuid::parse(&id.to_sql()), Some(id));
        assert_eq!(Uuid::parse("da49"), None);
        let random = Uuid::random().to_string();
        assert_eq!(random.as_bytes()[14], b'4');
        assert_ne!(Uuid::random(), Uuid::random());
    }
}
