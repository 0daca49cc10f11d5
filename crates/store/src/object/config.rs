//! Where a bucket answers and with which keys: from options, environment and the files of AWS.

use crate::StoreErrorKind;
use crate::address::{host_of, is_authority};
use crate::net::Failure;
use crate::options::{Environment, S3Credentials, S3Options};

use super::profile::Profile;

/// Where AWS itself would look, if nobody says anything.
const DEFAULT_REGION: &str = "us-east-1";

/// What was found.
pub(super) struct Settings {
    /// Of the bucket, without a slash at the end.
    pub(super) url: String,
    pub(super) host: String,
    pub(super) region: String,
    pub(super) credentials: Option<S3Credentials>,
    /// What a profile has instead of keys.
    pub(super) why_no_credentials: Option<String>,
}

impl Settings {
    /// Options go before the environment, the environment before the profile.
    pub(super) fn find(
        bucket: &str,
        options: &S3Options,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let profile = Profile::load(options.profile.as_deref(), environment)?;
        let from_env = |names: &[&str]| names.iter().find_map(|name| environment.get(name));
        let region = options.region.as_deref();
        let region = region.or_else(|| from_env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.or_else(|| profile.get("region")).unwrap_or(DEFAULT_REGION).to_owned();
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(bad("the region may have letters, digits, - and _ only"));
        }
        let endpoint = options.endpoint.as_deref();
        let endpoint = endpoint.or_else(|| from_env(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        let endpoint = endpoint.or_else(|| profile.get("endpoint_url"));
        let path_style = options.path_style.unwrap_or(endpoint.is_some() || bucket.contains('.'));
        let base = endpoint.map_or_else(|| amazon(&region), str::to_owned);
        let (scheme, authority, path) = split_endpoint(&base)?;
        let url = match path_style {
            true => format!("{scheme}://{authority}{path}/{bucket}"),
            false => format!("{scheme}://{bucket}.{authority}{path}"),
        };
        let credentials = credentials(options, environment, &profile)?;
        let why_no_credentials = profile.instead_of_keys();
        let host = host_of(authority).to_owned();
        Ok(Self { url, host, region, credentials, why_no_credentials })
    }
}

fn amazon(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

/// Scheme, authority and path of an endpoint. A plain one is taken as it is: somebody chose it.
fn split_endpoint(endpoint: &str) -> Result<(&str, &str, &str), Failure> {
    let (scheme, rest) = endpoint
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "https" | "http"))
        .ok_or_else(|| bad("the endpoint must start with https:// or http://"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(bad(
            "the endpoint must not hold credentials: use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    let path = path.trim_end_matches('/');
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let climbs = path.split('/').any(|part| matches!(part, "." | ".."));
    if !is_authority(authority) || climbs || !path.bytes().all(is_harmless) {
        return Err(bad("the endpoint must look like https://HOST or https://HOST:PORT"));
    }
    Ok((scheme, authority, path))
}

fn credentials(
    options: &S3Options,
    environment: &Environment,
    profile: &Profile,
) -> Result<Option<S3Credentials>, Failure> {
    if options.is_anonymous {
        return Ok(None);
    }
    let from_env = || {
        Some(S3Credentials {
            access_key_id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret_access_key: environment.get("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            session_token: environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        })
    };
    // A profile that was chosen for this store goes before keys that are meant for all.
    let found = options.credentials.clone();
    let found = match options.profile {
        Some(_) => found.or_else(|| profile.credentials()),
        None => found.or_else(from_env).or_else(|| profile.credentials()),
    };
    if found.as_ref().is_some_and(|keys| !is_printable(keys)) {
        return Err(Failure::new(
            StoreErrorKind::BadCredentials,
            "they have spaces or control characters".to_owned(),
        ));
    }
    Ok(found)
}

/// Keys go into headers, where nothing else has a place.
fn is_printable(keys: &S3Credentials) -> bool {
    let S3Credentials { access_key_id, secret_access_key, session_token } = keys;
    let token = session_token.as_deref().unwrap_or_default();
    let mut bytes = [access_key_id, secret_access_key, token].into_iter().flat_map(str::bytes);
    bytes.all(|byte| byte.is_ascii_graphic())
}

fn bad(what: &'static str) -> Failure {
    Failure::plain(StoreErrorKind::BadOption(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        bucket: &str,
        options: &S3Options,
        vars: &[(&str, &str)],
    ) -> Result<Settings, StoreErrorKind> {
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        let found = Settings::find(bucket, options, &Environment::from_vars(vars));
        found.map_err(|failure| failure.kind)
    }

    fn url(options: &S3Options, vars: &[(&str, &str)]) -> String {
        find("bucket", options, vars).unwrap().url
    }

    #[test]
    fn the_nearest_word_on_the_endpoint_counts() {
        let nothing = S3Options::default();
        assert_eq!(url(&nothing, &[]), "https://bucket.s3.us-east-1.amazonaws.com");
        let region = [("AWS_DEFAULT_REGION", "eu-1"), ("AWS_REGION", "cn-1")];
        assert_eq!(url(&nothing, &region), "https://bucket.s3.cn-1.amazonaws.com.cn");
        let general = [("AWS_ENDPOINT_URL", "https://a:1/")];
        assert_eq!(url(&nothing, &general), "https://a:1/bucket");
        let both = [general[0], ("AWS_ENDPOINT_URL_S3", "http://b/s3/")];
        assert_eq!(url(&nothing, &both), "http://b/s3/bucket");
        let (endpoint, path_style) = (Some("https://[::1]:9/".to_owned()), Some(true));
        let chosen = S3Options { endpoint, path_style, ..S3Options::default() };
        assert_eq!(url(&chosen, &both), "https://[::1]:9/bucket");
        assert_eq!(find("bucket", &chosen, &both).unwrap().host, "::1");
        let endpoint = Some("https://s3.example.org".to_owned());
        let hosted = S3Options { endpoint, path_style: Some(false), ..S3Options::default() };
        assert_eq!(url(&hosted, &[]), "https://bucket.s3.example.org");
        let dotted = find("a.b", &nothing, &[]).unwrap().url;
        assert_eq!(dotted, "https://s3.us-east-1.amazonaws.com/a.b");
    }

    #[test]
    fn endpoints_of_no_use_are_refused() {
        for endpoint in [
            "s3.example.org",
            "ftp://host",
            "https://",
            "https://user:hush@host",
            "https://h/?x",
            "https://h/a/../b",
            "https://h:x",
            "https://h\n",
        ] {
            let options = S3Options { endpoint: Some(endpoint.into()), ..S3Options::default() };
            let kind = find("bucket", &options, &[]).err().unwrap();
            assert!(matches!(kind, StoreErrorKind::BadOption(_)), "{endpoint}");
            assert!(!kind.to_string().contains("hush"));
        }
        let region = Some("eu 1".to_owned());
        let options = S3Options { region, ..S3Options::default() };
        assert!(find("bucket", &options, &[]).is_err());
    }

    #[test]
    fn keys_come_from_where_they_are_nearest() {
        let env = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        let mut options = S3Options::default();
        let id = |options: &S3Options, vars: &[(&str, &str)]| {
            let keys = find("bucket", options, vars).unwrap().credentials;
            keys.map(|keys| keys.access_key_id)
        };
        assert_eq!(id(&options, &env), Some("A".to_owned()));
        assert_eq!(id(&options, &env[..1]), None);
        let spaced = [env[0], ("AWS_SECRET_ACCESS_KEY", "B\r\nX: y")];
        let refused = find("bucket", &options, &spaced).err();
        assert_eq!(refused, Some(StoreErrorKind::BadCredentials));
        let (access_key_id, secret_access_key) = ("C".to_owned(), "D".to_owned());
        options.credentials =
            Some(S3Credentials { access_key_id, secret_access_key, session_token: None });
        assert_eq!(id(&options, &env), Some("C".to_owned()));
        options.is_anonymous = true;
        assert_eq!(id(&options, &env), None);
    }
}
