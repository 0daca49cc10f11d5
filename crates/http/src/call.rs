//! One request as the answers see it, and what they give back.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::house::House;
use crate::problem::Problem;
use crate::token::{Role, Token};

/// Items of a list that are given if nothing is said, and at most.
const USUAL_ITEMS: usize = 100;
const MOST_ITEMS: usize = 1000;

/// A request whose sender is known as far as its route needs it.
pub struct Call {
    /// What the server works with.
    pub house: Arc<House>,
    /// Who asks; `None` where nobody needs to be known.
    pub who: Option<Who>,
    /// From where.
    pub peer: IpAddr,
    /// Parts of the path, by name.
    pub params: Vec<(String, String)>,
    /// What follows the question mark.
    pub query: Query,
    /// What was sent.
    pub body: Vec<u8>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Who {
    /// The token.
    pub token: Token,
    /// The session, if the request came with a cookie: its id, and what proves a change to be ours.
    pub session: Option<(String, String)>,
}

/// What follows the question mark: names, and bytes.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, Vec<u8>)>);

/// What is given back.
pub enum Reply {
    /// A document.
    Json(StatusCode, Vec<u8>),
    /// Anything else, whole.
    Whole(Response),
}

impl Call {
    /// A part of the path.
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// What was sent, as this.
    ///
    /// # Errors
    /// 400 if it is not.
    pub fn sent<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::usage(format!("the body cannot be used: {error}")))
    }

    /// What the asker's token may do.
    pub fn role(&self) -> Option<Role> {
        self.who.as_ref().map(|who| who.token.role)
    }

    /// The asker's token by name.
    pub fn name(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.token.name)
    }
}

impl Query {
    /// Reads it.
    ///
    /// # Errors
    /// 400 for broken escapes, or names that are no text.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let bad = || Problem::usage("the query has a % that no two hexadecimal digits follow");
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8(decoded(name).ok_or_else(bad)?)
                .map_err(|_| Problem::usage("a name in the query is not UTF-8"))?;
            pairs.push((name, decoded(value).ok_or_else(bad)?));
        }
        Ok(Self(pairs))
    }

    /// The bytes of a name.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The text of a name; an empty one counts as none.
    ///
    /// # Errors
    /// 400 if it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let text = self.bytes(name).map(std::str::from_utf8).transpose();
        let text = text.map_err(|_| Problem::usage(format!("`{name}` is not UTF-8")))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The text of a name that must be there.
    ///
    /// # Errors
    /// 400.
    pub fn needed(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| Problem::usage(format!("`{name}` is missing in the query")))
    }

    /// How many items are wanted.
    ///
    /// # Errors
    /// 400 if it is no number from 1 to 1000.
    pub fn limit(&self) -> Result<usize, Problem> {
        let bad = || Problem::usage("`limit` must be a number from 1 to 1000");
        let Some(text) = self.text("limit")? else { return Ok(USUAL_ITEMS) };
        let limit: usize = text.parse().map_err(|_| bad())?;
        if (1..=MOST_ITEMS).contains(&limit) { Ok(limit) } else { Err(bad()) }
    }

    /// After how many items a page begins, where the cursor is a count.
    ///
    /// # Errors
    /// 400 if it is none of ours.
    pub fn offset(&self) -> Result<usize, Problem> {
        let bad = |_| Problem::usage("`after` must be the `next` of an earlier page");
        self.text("after")?.map_or(Ok(0), |text| text.parse().map_err(bad))
    }
}

/// Percent-decoded; a plus is a plus.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

/// Percent-encoded: everything but letters, digits, `-._~` and the slash.
pub fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

impl Reply {
    /// A document.
    ///
    /// # Errors
    /// 500 if it cannot be written as JSON.
    pub fn json(status: StatusCode, document: &impl Serialize) -> Result<Self, Problem> {
        let text = serde_json::to_vec(document);
        let text = text.map_err(|error| Problem::failed(format!("the answer: {error}")))?;
        Ok(Self::Json(status, text))
    }

    /// As it goes out.
    pub fn response(self) -> Response {
        match self {
            Self::Json(status, text) => {
                let mut response = Response::new(Body::from(text));
                *response.status_mut() = status;
                let kind = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Self::Whole(response) => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_carry_bytes() {
        let query = Query::parse("path=/a%20b%ff+%00&limit=7&&x").unwrap();
        assert_eq!(query.bytes("path"), Some(b"/a b\xff+\0".as_slice()));
        assert_eq!(query.limit().unwrap(), 7);
        assert_eq!(query.bytes("x"), Some(b"".as_slice()));
        assert!(query.text("path").is_err());
        for bad in ["a=%", "a=%4", "a=%zz", "%ff=1"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
        for bad in ["limit=0", "limit=1001", "limit=x", "limit=-1"] {
            assert!(Query::parse(bad).unwrap().limit().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)), Some(all));
        assert_eq!(encoded(b"/a b~\xff"), "/a%20b~%FF");
    }
}
