//! Connection strings of PostgreSQL, as far as they must be understood: whether they hold a password, and which database they name.

use std::path::Path;

use crate::error::{Error, Result};

/// Refuses a connection that holds a password, which would become an argument.
pub(super) fn refuse_password(connection: &str, asked_for: &Path) -> Result<()> {
    if !holds_password(connection) {
        return Ok(());
    }
    let reason = "its connection holds a password, which every user of this machine could read: put it into ~/.pgpass or a service file";
    Err(Error::Unsupported { path: asked_for.to_owned(), reason: reason.to_owned() })
}

/// Whether it holds a password, in either form.
fn holds_password(connection: &str) -> bool {
    match authority_and_rest(connection) {
        Some((authority, rest)) => {
            let user = authority.rsplit_once('@').map(|(user, _)| user);
            user.is_some_and(|user| user.contains(':')) || parameter(rest, "password").is_some()
        }
        None => setting(connection, "password").is_some(),
    }
}

/// The database it names.
pub(super) fn database(connection: &str) -> Option<String> {
    let name = match authority_and_rest(connection) {
        Some((_, rest)) => {
            let path = rest.split('?').next().unwrap_or_default().trim_start_matches('/');
            let named = (!path.is_empty()).then(|| path.to_owned());
            named.or_else(|| parameter(rest, "dbname"))
        }
        // A string without settings is a name.
        None if !connection.contains('=') => Some(connection.trim().to_owned()),
        None => setting(connection, "dbname"),
    };
    name.filter(|name| !name.is_empty())
}

/// `postgresql://user:password@host/database?settings`.
fn authority_and_rest(connection: &str) -> Option<(&str, &str)> {
    let scheme = ["postgresql://", "postgres://"];
    let inner = scheme.iter().find_map(|scheme| connection.trim().strip_prefix(scheme))?;
    let end = inner.find(['/', '?']).unwrap_or(inner.len());
    Some(inner.split_at(end))
}

fn parameter(rest: &str, name: &str) -> Option<String> {
    let (_, query) = rest.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// `host=/run user='a b' dbname=x`, with white space around the signs if one likes.
fn setting(connection: &str, name: &str) -> Option<String> {
    let mut rest = connection.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = value(after.trim_start());
        if key.trim() == name {
            return Some(value);
        }
        rest = after.trim_start();
    }
    None
}

/// A value, quoted or up to white space; and what follows.
fn value(text: &str) -> (String, &str) {
    let (quoted, mut rest) = match text.strip_prefix('\'') {
        Some(rest) => (true, rest.char_indices()),
        None => (false, text.char_indices()),
    };
    let whole = rest.as_str();
    let mut value = String::new();
    while let Some((at, character)) = rest.next() {
        match character {
            '\\' => value.extend(rest.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return (value, &whole[at + 1..]),
            c if !quoted && c.is_whitespace() => return (value, &whole[at..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_databases_are_seen_in_either_form() {
        let cases = [
            ("", false, None),
            ("synapse", false, Some("synapse")),
            ("host=/run/postgresql dbname=synapse", false, Some("synapse")),
            ("host = h  dbname = 'a \\' b' user=u", false, Some("a ' b")),
            ("user=u password=secret dbname=d", true, Some("d")),
            ("user='password=x' dbname=d", false, Some("d")),
            ("service=prod", false, None),
            ("postgresql://u@h:5432/db", false, Some("db")),
            ("postgres://u:p@h/db", true, Some("db")),
            ("postgresql:///db?host=/run&password=x", true, Some("db")),
            ("postgresql://h?dbname=x", false, Some("x")),
            ("password", false, Some("password")),
        ];
        for (text, has_password, name) in cases {
            assert_eq!(holds_password(text), has_password, "{text}");
            assert_eq!(database(text).as_deref(), name, "{text}");
        }
    }
}
