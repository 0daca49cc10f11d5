//! Where a store is, as people write it: a folder, a bucket, or a mirror.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Longest prefix in a bucket: keys have at most 1024 bytes, names of objects 512.
const MAX_PREFIX: usize = 480;

/// The place of a store. It never holds credentials, so that it can be printed and logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A folder of this machine, or one mounted here.
    Folder(PathBuf),
    /// Objects in an S3 bucket whose keys start with the prefix and a slash.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
    /// A read-only mirror behind a web server.
    Mirror(Mirror),
}

/// A folder of a web server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// Host name or address, with the port if one was given.
    pub authority: String,
    /// Starts with a slash and does not end with one; empty for the root.
    pub path: String,
}

/// Why a text is no address. Never repeats the text: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("the address is empty: give a folder, s3://BUCKET/PREFIX or https://HOST/PATH")]
    Empty,
    /// The part before `://` is none of ours.
    #[error(
        "the kind of address is not known: give a folder, file:///FOLDER, s3://BUCKET/PREFIX or https://HOST/PATH"
    )]
    UnknownScheme,
    /// `s3:bucket` and the like.
    #[error(
        "two slashes are missing: write s3://BUCKET/PREFIX, https://HOST/PATH or file:///FOLDER"
    )]
    SlashesMissing,
    /// A user or password before `@`.
    #[error(
        "an address must not hold credentials: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or in ~/.aws/credentials"
    )]
    Credentials,
    /// The bucket's name is missing or has characters that no bucket has.
    #[error(
        "no valid bucket name: 3 to 63 letters, digits, dots, hyphens and underscores, as in s3://my-backups/node1"
    )]
    Bucket,
    /// The prefix cannot be part of a key.
    #[error(
        "no valid prefix: parts between slashes must not be empty, `.` or `..`, have no control characters and none of \\ ? # %, and be 480 bytes at most"
    )]
    Prefix,
    /// The host is missing or malformed.
    #[error("no valid host: write https://HOST/PATH or https://HOST:PORT/PATH")]
    Host,
    /// The path of a mirror or file address.
    #[error(
        "no valid path: it must not have `..`, `?`, `#`, spaces or control characters (write %20 for a space)"
    )]
    Path,
    /// `file://host/…`.
    #[error("a file address means this machine: write file:///FOLDER with three slashes")]
    FileHost,
}

impl Address {
    /// Understands `s3://bucket/prefix`, `file:///folder`, `https://host/path`, `http://host/path`
    /// and folders (`/srv/backup`, `./backup`, `backup`).
    ///
    /// # Errors
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return plain(text);
        };
        if scheme.contains('/') {
            return Ok(Self::Folder(text.into()));
        }
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => bucket(rest),
            "file" => file(rest),
            "https" => mirror(true, rest),
            "http" => mirror(false, rest),
            _ => Err(AddressError::UnknownScheme),
        }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Mirror(mirror) => mirror.fmt(f),
        }
    }
}

impl Mirror {
    /// The host without the port.
    pub fn host(&self) -> &str {
        host_of(&self.authority)
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// `host` of `host:port` and `::1` of `[::1]:port`.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Whether the host can only be this machine.
#[cfg(any(test, feature = "object"))]
#[cfg(feature = "object")]
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn plain(text: &str) -> Result<Address, AddressError> {
    let looks_like = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if ["s3:", "http:", "https:", "file:"].into_iter().any(looks_like) {
        return Err(AddressError::SlashesMissing);
    }
    Ok(Address::Folder(text.into()))
}

fn bucket(rest: &str) -> Result<Address, AddressError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') || bucket.contains(':') {
        return Err(AddressError::Credentials);
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let has_dots_only = bucket.bytes().all(|byte| byte == b'.');
    if !(3..=63).contains(&bucket.len()) || has_dots_only || !bucket.bytes().all(is_allowed) {
        return Err(AddressError::Bucket);
    }
    let prefix = prefix.trim_matches('/');
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_harmless = |c: char| !c.is_control() && !matches!(c, '\\' | '?' | '#' | '%');
    let parts_are_valid = prefix.is_empty() || prefix.split('/').all(is_part);
    if prefix.len() > MAX_PREFIX || !parts_are_valid || !prefix.chars().all(is_harmless) {
        return Err(AddressError::Prefix);
    }
    Ok(Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn file(rest: &str) -> Result<Address, AddressError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(AddressError::FileHost);
    }
    if path.contains(['?', '#']) {
        return Err(AddressError::Path);
    }
    let bytes = percent_decoded(path).filter(|bytes| !bytes.contains(&0));
    let bytes = bytes.ok_or(AddressError::Path)?;
    Ok(Address::Folder(OsString::from_vec(bytes).into()))
}

fn mirror(is_tls: bool, rest: &str) -> Result<Address, AddressError> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(AddressError::Credentials);
    }
    if !is_authority(authority) {
        return Err(AddressError::Host);
    }
    let path = path.trim_end_matches('/');
    let is_harmless = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
    let climbs = path.split('/').any(|part| matches!(part, "." | ".."));
    if climbs || !path.bytes().all(is_harmless) || percent_decoded(path).is_none() {
        return Err(AddressError::Path);
    }
    let authority = authority.to_ascii_lowercase();
    Ok(Address::Mirror(Mirror { is_tls, authority, path: path.to_owned() }))
}

/// `host`, `host:port` or `[v6]:port`.
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || byte == b':'
    };
    let port_is_valid =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && host.bytes().all(is_allowed) && port_is_valid
}

/// The bytes that the text means; `None` where a `%` is not followed by two hexadecimal digits.
pub(crate) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &after[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_and_printed() {
        let cases = [
            ("/srv/backup", "/srv/backup"),
            ("./backup", "./backup"),
            ("backup", "backup"),
            ("a/b://c", "a/b://c"),
            ("file:///srv/my%20backup", "/srv/my backup"),
            ("file://localhost/srv", "/srv"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("S3://my.bucket/nodes/Node 1/", "s3://my.bucket/nodes/Node 1"),
            ("https://Host.example/a/b/", "https://host.example/a/b"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ];
        for (text, printed) in cases {
            assert_eq!(Address::parse(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let long = format!("s3://bucket/{}", "a".repeat(481));
        let cases = [
            ("", AddressError::Empty),
            ("sftp://host/path", AddressError::UnknownScheme),
            ("s3:bucket/prefix", AddressError::SlashesMissing),
            ("https:host", AddressError::SlashesMissing),
            ("s3://KEY:hush@bucket/prefix", AddressError::Credentials),
            ("s3://KEY@bucket", AddressError::Credentials),
            ("https://user:hush@host/", AddressError::Credentials),
            ("s3://", AddressError::Bucket),
            ("s3:///prefix", AddressError::Bucket),
            ("s3://ab", AddressError::Bucket),
            ("s3://...", AddressError::Bucket),
            ("s3://buck et", AddressError::Bucket),
            ("s3://bucket/a//b", AddressError::Prefix),
            ("s3://bucket/../b", AddressError::Prefix),
            ("s3://bucket/a?region=x", AddressError::Prefix),
            (&long, AddressError::Prefix),
            ("https://", AddressError::Host),
            ("https://host:port/", AddressError::Host),
            ("https://host:70000/", AddressError::Host),
            ("https://[::1/", AddressError::Host),
            ("https://host/a/../b", AddressError::Path),
            ("https://host/a?b", AddressError::Path),
            ("https://host/%zz", AddressError::Path),
            ("file:///a%00b", AddressError::Path),
            ("file://host/a", AddressError::FileHost),
            ("file://relative", AddressError::FileHost),
        ];
        for (text, expected) in cases {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "::2", ""] {
            assert!(!is_loopback(host), "{host}");
        }
        assert_eq!((host_of("a:1"), host_of("[::1]:2"), host_of("b")), ("a", "::1", "b"));
    }
}
