//! Single S3 requests, signed (AWS Signature Version 4): what a suite needs besides the program that it tests, such as
//! buckets and their policies.

use std::net::SocketAddr;

use jiff::Timestamp;
use nodekeep_testkit::http::{self, Answer, Head};
use ring::{digest, hmac};

use crate::error::Error;

/// A user's key pair.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The public half.
    pub access: String,
    /// The secret half; of a cluster that lives for minutes.
    pub secret: String,
}

/// A user at an endpoint.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Where the endpoint listens.
    pub server: SocketAddr,
    /// What it calls its region.
    pub region: String,
    /// Who asks.
    pub keys: Keys,
}

/// A request before it is signed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// `bucket` or `bucket/name`.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers besides those of the signature.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl S3 {
    /// Sends a request, whatever its answer.
    pub fn send(&self, request: Request<'_>) -> Result<Answer, Error> {
        let head = sign(self, request, Timestamp::now());
        let what = || format!("{} /{} at {}", request.method, request.path, self.server);
        http::send(self.server, &head, request.body).map_err(Error::file(what()))
    }

    /// Sends a request that must succeed.
    pub fn must(&self, request: Request<'_>) -> Result<Answer, Error> {
        let answer = self.send(request)?;
        if answer.status / 100 == 2 {
            return Ok(answer);
        }
        let said = String::from_utf8_lossy(&answer.body);
        let Request { method, path, query, .. } = request;
        Err(Error::Broken(format!("{method} /{path} {query:?}: {} {said}", answer.status)))
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) -> Result<(), Error> {
        self.must(Request { method: "PUT", path: name, ..Request::default() }).map(drop)
    }

    /// Sets one of a bucket's documents: `policy`, `versioning`.
    pub fn configure(&self, bucket: &str, what: &str, document: &str) -> Result<(), Error> {
        let query = [(what, "")];
        let body = document.as_bytes();
        self.must(Request {
            method: "PUT",
            path: bucket,
            query: &query,
            body,
            ..Request::default()
        })
        .map(drop)
    }
}

/// The head of a request with its signature, made at `now`.
fn sign(s3: &S3, request: Request<'_>, now: Timestamp) -> Head {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let hash = hex(digest::digest(&digest::SHA256, request.body).as_ref());
    let query = canonical_query(request.query);
    let path = format!("/{}", encode(request.path, true));

    let mut headers = vec![
        ("host".to_owned(), s3.server.to_string()),
        ("x-amz-content-sha256".to_owned(), hash.clone()),
        ("x-amz-date".to_owned(), time.clone()),
    ];
    let more = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.to_string()));
    headers.extend(more);
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{hash}", request.method);

    let scope = format!("{day}/{}/s3/aws4_request", s3.region);
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", s3.keys.secret).into_bytes();
    let key = [day, &s3.region, "s3", "aws4_request"]
        .iter()
        .fold(secret, |key, part| mac(&key, part.as_bytes()));
    let signature = hex(&mac(&key, to_sign.as_bytes()));
    let access = &s3.keys.access;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    headers.push(("authorization".to_owned(), authorization));
    let query = if query.is_empty() { query } else { format!("?{query}") };
    Head { start: format!("{} {path}{query} HTTP/1.1", request.method), headers }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn canonical_query(query: &[(&str, &str)]) -> String {
    let encoded = query.iter().map(|(name, value)| (encode(name, false), encode(value, false)));
    let mut pairs: Vec<(String, String)> = encoded.collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encode(text: &str, is_path: bool) -> String {
    let keep = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && byte == b'/')
    };
    let mut out = String::new();
    for byte in text.bytes() {
        if keep(byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contents of every `<name>` in an answer's XML, in their order; enough for the flat lists of S3.
pub fn elements(xml: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(xml);
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1);
    parts.filter_map(|part| Some(part.split_once(&close)?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the time of Amazon's published examples of Signature Version 4, and our own request: its signature
    /// was computed with Python's `hmac` from the same description.
    #[test]
    fn a_signature_is_what_another_program_computes() {
        let s3 = S3 {
            server: "127.0.0.1:8080".parse().unwrap(),
            region: "us-east-1".to_owned(),
            keys: Keys {
                access: "AKIDEXAMPLE".to_owned(),
                secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            },
        };
        let request = Request {
            method: "PUT",
            path: "bucket/a name",
            query: &[("versionId", "x/y"), ("acl", "")],
            headers: &[("If-None-Match", "*")],
            body: b"hello",
        };
        let head = sign(&s3, request, "2015-08-30T12:36:00Z".parse().unwrap());
        assert_eq!(head.start, "PUT /bucket/a%20name?acl=&versionId=x%2Fy HTTP/1.1");
        let expected = "ff687dadd158446d1bd034b8204a307d5104ae3c84d0fc35275d9cfad187cb4e";
        let authorization = head.header("authorization").unwrap();
        assert!(authorization.ends_with(&format!("Signature={expected}")), "{authorization}");
        let names = "SignedHeaders=host;if-none-match;x-amz-content-sha256;x-amz-date";
        assert!(authorization.contains(names), "{authorization}");
    }

    #[test]
    fn elements_are_found_in_their_order() {
        let xml = b"<L><Version><Key>a</Key></Version><Key>b</Key><Key>cut";
        assert_eq!(elements(xml, "Key"), ["a", "b"]);
        assert!(elements(xml, "VersionId").is_empty());
    }
}
