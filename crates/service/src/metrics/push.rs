//! Metrics sent to a Pushgateway: for machines that nobody can scrape.

use std::path::PathBuf;
use std::time::Duration;

use nodekeep_nodes::web;
use serde::Deserialize;
use thiserror::Error;

use crate::notify::channel::Secret;

/// For one request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Pushgateway, as the configuration says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Gateway {
    /// Where it is: `https://push.example.org`.
    pub push: Option<String>,
    /// Who logs in.
    pub user: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A file with a token, sent as `Authorization: Bearer …` instead.
    pub token_file: Option<PathBuf>,
}

/// Why nothing was pushed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PushError {
    /// Nobody said where to.
    #[error("no Pushgateway is named")]
    NoGateway,
    /// An address with a password: it would be seen in the list of processes.
    #[error("the address of the Pushgateway holds credentials")]
    Credentials,
    /// A user without a password, or both a password and a token.
    #[error("[metrics]: `user` and `password-file` go together, and without `token-file`")]
    Login,
    /// The file of a password or token, or the address.
    #[error("{0}")]
    Unusable(String),
    /// It did not take them.
    #[error("the Pushgateway at {address} did not take the metrics: {reason}")]
    Refused {
        /// Where, without path and credentials.
        address: String,
        /// What it said.
        reason: String,
        /// Whether another try may help.
        is_passing: bool,
    },
}

impl Gateway {
    /// Sends a page in place of what this host sent before.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn push(&self, page: String, host: &str) -> Result<(), PushError> {
        let base = self.push.as_deref().ok_or(PushError::NoGateway)?;
        let (address, url) = (address_of(base)?, url(base, host));
        let client = web::client(&url, PATIENCE).map_err(PushError::Unusable)?;
        let request = client.put(&url).header("Content-Type", super::CONTENT_TYPE).body(page);
        let refused = |reason, is_passing| PushError::Refused { address, reason, is_passing };
        let answer = match self.signed(request)?.send() {
            Ok(answer) => answer,
            Err(error) => return Err(refused(web::told(&error.without_url()), true)),
        };
        let status = answer.status();
        let is_passing = status.is_server_error() || status.as_u16() == 429;
        if status.is_success() {
            return Ok(());
        }
        let said = answer.text().unwrap_or_default();
        let said: String = said.trim().chars().take(200).filter(|c| !c.is_control()).collect();
        Err(refused(format!("{status} {said}").trim_end().to_owned(), is_passing))
    }

    fn signed(&self, request: web::RequestBuilder) -> Result<web::RequestBuilder, PushError> {
        let read = |path: &PathBuf| Secret::File(path.clone()).read().map_err(PushError::Unusable);
        match (&self.user, &self.password_file, &self.token_file) {
            (None, None, None) => Ok(request),
            (Some(user), Some(path), None) => {
                Ok(request.basic_auth(user, Some(read(path)?.as_str())))
            }
            (None, None, Some(path)) => Ok(request.bearer_auth(read(path)?.as_str())),
            _ => Err(PushError::Login),
        }
    }
}

/// Scheme and host, to name it.
fn address_of(base: &str) -> Result<String, PushError> {
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(PushError::Credentials);
    }
    Ok(authority.to_owned())
}

/// All metrics of a host are one group.
fn url(base: &str, host: &str) -> String {
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix("/metrics").unwrap_or(base);
    format!("{base}/metrics/job/nodekeep/instance/{}", encoded(host))
}

/// A part of a path. A slash cannot be said in one, and no host name has one.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        b'/' => "_".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_group() {
        let cases = [
            ("http://push:9091", "rack1", "http://push:9091/metrics/job/nodekeep/instance/rack1"),
            (
                "http://push/metrics/",
                "a b/ü",
                "http://push/metrics/job/nodekeep/instance/a%20b_%C3%BC",
            ),
        ];
        for (base, host, expected) in cases {
            assert_eq!(url(base, host), expected);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
        let at = |push: &str| Gateway { push: Some(push.to_owned()), ..Gateway::default() };
        let page = || "x 1\n".to_owned();
        assert_eq!(Gateway::default().push(page(), "h"), Err(PushError::NoGateway));
        assert_eq!(at("http://u:p@push").push(page(), "h"), Err(PushError::Credentials));
        let half = Gateway { user: Some("u".to_owned()), ..at("http://127.0.0.1:1") };
        assert_eq!(half.push(page(), "h"), Err(PushError::Login));
        let gone =
            Gateway { token_file: Some("/nowhere/token".into()), ..at("http://127.0.0.1:1") };
        assert!(
            matches!(gone.push(page(), "h"), Err(PushError::Unusable(why)) if why.contains("/nowhere/token"))
        );
    }
}
