//! Placeholders: `{data}/blockchain`. Braces that belong to a text are doubled.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Values by the name in braces.
pub type Variables = BTreeMap<String, String>;

/// Puts values in place of `{name}`; `{{` and `}}` are braces.
///
/// # Errors
/// [`Error::Variable`] for a name without a value.
pub fn fill(text: &str, variables: &Variables) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
            continue;
        }
        let name = after.split_once('}').filter(|_| brace == "{");
        let Some((name, after)) = name else {
            return Err(Error::Variable { name: after.to_owned() });
        };
        let missing = || Error::Variable { name: name.to_owned() };
        filled.push_str(variables.get(name).ok_or_else(missing)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let variables = Variables::from([("data".to_owned(), "/srv".to_owned())]);
        let cases = [
            ("{data}/chain", Some("/srv/chain")),
            ("{data}{data}", Some("/srv/srv")),
            ("a {{data}} b", Some("a {data} b")),
            ("plain", Some("plain")),
            ("{api}/x", None),
            ("{data", None),
            ("data}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(fill(text, &variables).ok().as_deref(), expected, "{text}");
        }
    }
}
