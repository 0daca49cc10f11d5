//! How to open a store: what the faces know and the library must not ask the process for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Everything that [`crate::Store::open`] may take into account besides the address.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The variables of the process that matter to stores.
    pub environment: Environment,
    /// For `s3://` addresses.
    pub s3: S3Options,
    /// Allows `http://` mirrors on other machines than this one.
    pub allow_plain_http: bool,
    /// How stubbornly failed requests are repeated.
    pub retry: RetryPolicy,
    /// How much may be going on at once, and how fast.
    pub limits: Limits,
    /// When a request counts as failed.
    pub timeouts: Timeouts,
}

/// What goes before the environment and the files of AWS.
#[derive(Clone, Debug, Default)]
pub struct S3Options {
    /// Where the store answers, with scheme, as `https://s3.example.org:9000`.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host's name. By default it does where
    /// an endpoint is given, and where the bucket's name has dots.
    pub path_style: Option<bool>,
    /// The section of `~/.aws/credentials` and `~/.aws/config` to read.
    pub profile: Option<String>,
    /// Goes before every other source of credentials.
    pub credentials: Option<S3Credentials>,
    /// Sends requests without a signature, for public buckets.
    pub is_anonymous: bool,
    /// Asks the machine's or container's metadata service, or exchanges a web identity token, where
    /// there are no other credentials. Off by default: nobody expects such network calls.
    pub use_metadata_service: bool,
}

/// Access keys. Printing them shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Public half.
    pub access_key_id: String,
    /// Secret half.
    pub secret_access_key: String,
    /// For temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials(hidden)")
    }
}

/// When failed requests are made again. Pauses keep many clients from coming back together:
/// each is drawn evenly from zero to a bound that doubles ("full jitter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is made at most, the first time included.
    pub attempts: u32,
    /// No attempt starts later than this after the first.
    pub total: Duration,
    /// The bound of the first pause.
    pub first_pause: Duration,
    /// The bound that pauses grow to; also the longest pause that a server may ask for.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 12,
            total: Duration::from_secs(5 * 60),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Every request is made once.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }
}

/// How much at once, and how fast. Rates hold for all requests of a store together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight; by default 32 for stores behind a network.
    pub in_flight: Option<NonZeroUsize>,
    /// Bytes per second that are written.
    pub upload_bytes_per_sec: Option<NonZeroUsize>,
    /// Bytes per second that are read.
    pub download_bytes_per_sec: Option<NonZeroUsize>,
}

/// When a request has failed for want of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be there.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// A request may take the idle time and as long as its bytes take at this pace.
    pub slowest_bytes_per_sec: NonZeroUsize,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            slowest_bytes_per_sec: NonZeroUsize::MIN.saturating_add((16 << 10) - 1),
        }
    }
}

/// The variables that stores understand. Values may be secret: printing shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Keeps `HOME`, `SSL_CERT_FILE`, `SSL_CERT_DIR` and what starts with `AWS_`; give it
    /// `std::env::vars_os()`. Empty values count as not set.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let is_known = |name: &str| {
            name.starts_with("AWS_") || matches!(name, "HOME" | "SSL_CERT_FILE" | "SSL_CERT_DIR")
        };
        let texts = vars.into_iter().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let known = texts.filter(|(name, value)| is_known(name) && !value.is_empty());
        Self { variables: known.collect() }
    }

    /// The value of a variable.
    #[cfg(feature = "object")]
    #[cfg(feature = "object")]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All variables that start with `AWS_`.
    #[cfg(feature = "object")]
    pub(crate) fn of_aws(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_aws = self.variables.iter().filter(|(name, _)| name.starts_with("AWS_"));
        of_aws.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let vars = [("AWS_SECRET_ACCESS_KEY", "hush"), ("PATH", "/bin"), ("AWS_REGION", "")];
        let vars = vars.map(|(name, value)| (name.into(), value.into()));
        let mut options =
            OpenOptions { environment: Environment::from_vars(vars), ..OpenOptions::default() };
        let (access_key_id, secret_access_key) = ("id".into(), "hush".into());
        options.s3.credentials =
            Some(S3Credentials { access_key_id, secret_access_key, session_token: None });
        let printed = format!("{options:?}");
        assert!(printed.contains("AWS_SECRET_ACCESS_KEY"), "{printed}");
        for absent in ["hush", "/bin", "AWS_REGION"] {
            assert!(!printed.contains(absent), "{printed}");
        }
        assert_eq!(options.environment.get("AWS_SECRET_ACCESS_KEY"), Some("hush"));
    }
}
