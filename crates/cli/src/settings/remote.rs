//! Settings of repositories on other hosts.

use std::env;
use std::num::NonZeroUsize;

use nodekeep_store::{Environment, Limits, OpenOptions, S3Options};

use super::{ConfigFile, bad_threads, parse_threads, replace, variable};
use crate::args::Globals;
use crate::error::{Error, Result};

/// How repositories on other hosts are reached.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// Where the object store answers, with scheme.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket stands in the path.
    pub path_style: Option<bool>,
    /// Section of the files of AWS.
    pub profile: Option<String>,
    /// Send requests without a signature.
    pub anonymous: bool,
    /// Ask the machine's metadata service for credentials.
    pub metadata_service: bool,
    /// Bytes per second written at most.
    pub limit_upload: Option<NonZeroUsize>,
    /// Bytes per second read at most.
    pub limit_download: Option<NonZeroUsize>,
    /// Requests in flight.
    pub connections: Option<NonZeroUsize>,
    /// Read mirrors without encryption on other hosts.
    pub plain_http: bool,
}

impl Remote {
    pub(super) fn apply_file(&mut self, file: &ConfigFile) -> Result<()> {
        self.endpoint = file.text("s3-endpoint")?;
        self.region = file.text("s3-region")?;
        self.path_style = file.flag("s3-path-style")?;
        self.profile = file.text("s3-profile")?;
        self.anonymous = file.flag("s3-anonymous")?.unwrap_or(false);
        self.metadata_service = file.flag("s3-metadata-service")?.unwrap_or(false);
        self.limit_upload = file.rate("limit-upload")?;
        self.limit_download = file.rate("limit-download")?;
        self.connections = file.number("connections")?.and_then(NonZeroUsize::new);
        self.plain_http = file.flag("allow-plain-http")?.unwrap_or(false);
        Ok(())
    }

    pub(super) fn apply_environment(&mut self) -> Result<()> {
        replace(&mut self.endpoint, variable("NODEKEEP_S3_ENDPOINT"));
        replace(&mut self.region, variable("NODEKEEP_S3_REGION"));
        replace(&mut self.profile, variable("NODEKEEP_S3_PROFILE"));
        replace(&mut self.path_style, flag_variable("NODEKEEP_S3_PATH_STYLE")?);
        replace(&mut self.limit_upload, rate_variable("NODEKEEP_LIMIT_UPLOAD")?);
        replace(&mut self.limit_download, rate_variable("NODEKEEP_LIMIT_DOWNLOAD")?);
        if let Some(text) = variable("NODEKEEP_CONNECTIONS") {
            let number = parse_threads(&text).and_then(NonZeroUsize::new);
            let number =
                number.ok_or_else(|| bad_threads("environment", "NODEKEEP_CONNECTIONS"))?;
            self.connections = Some(number);
        }
        let flags = [
            ("NODEKEEP_S3_ANONYMOUS", &mut self.anonymous),
            ("NODEKEEP_S3_METADATA_SERVICE", &mut self.metadata_service),
            ("NODEKEEP_ALLOW_PLAIN_HTTP", &mut self.plain_http),
        ];
        for (name, slot) in flags {
            *slot = flag_variable(name)?.unwrap_or(*slot);
        }
        Ok(())
    }

    pub(super) fn apply_options(&mut self, globals: &Globals) {
        replace(&mut self.endpoint, globals.s3_endpoint.clone());
        replace(&mut self.limit_upload, globals.limit_upload);
        replace(&mut self.limit_download, globals.limit_download);
    }

    /// What the store is opened with.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            environment: Environment::from_vars(env::vars_os()),
            s3: S3Options {
                endpoint: self.endpoint.clone(),
                region: self.region.clone(),
                path_style: self.path_style,
                profile: self.profile.clone(),
                is_anonymous: self.anonymous,
                use_metadata_service: self.metadata_service,
                ..S3Options::default()
            },
            allow_plain_http: self.plain_http,
            limits: Limits {
                in_flight: self.connections,
                upload_bytes_per_sec: self.limit_upload,
                download_bytes_per_sec: self.limit_download,
            },
            ..OpenOptions::default()
        }
    }

    /// The endpoint that is in force, also that of the AWS variables: a person needs it to find the repository again.
    pub fn endpoint_in_force(&self) -> Option<String> {
        let aws = || variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        self.endpoint.clone().or_else(aws)
    }
}

/// `10MiB`, `500 KB`, `1000000`: bytes per second, with or without `/s`.
///
/// # Errors
/// What is expected instead, for the parser of the command line.
pub fn parse_rate(text: &str) -> Result<NonZeroUsize, &'static str> {
    const EXPECTED: &str = "bytes per second, as in 10MiB, 500KB or 1000000";
    let text = text.trim();
    let text = text.strip_suffix("/s").unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(EXPECTED),
    };
    let number: usize = number.parse().map_err(|_| EXPECTED)?;
    number.checked_mul(unit).and_then(NonZeroUsize::new).ok_or(EXPECTED)
}

fn rate_variable(name: &str) -> Result<Option<NonZeroUsize>> {
    let bad = |expected| Error::BadSetting {
        origin: "environment".to_owned(),
        key: name.to_owned(),
        expected,
    };
    variable(name).map(|text| parse_rate(&text).map_err(bad)).transpose()
}

fn flag_variable(name: &str) -> Result<Option<bool>> {
    match variable(name).as_deref() {
        None => Ok(None),
        Some("1" | "true" | "yes") => Ok(Some(true)),
        Some("0" | "false" | "no") => Ok(Some(false)),
        Some(_) => Err(Error::BadSetting {
            origin: "environment".to_owned(),
            key: name.to_owned(),
            expected: "true or false",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bytes_per_second() {
        let cases = [
            ("1000000", Some(1_000_000)),
            ("10MiB", Some(10 << 20)),
            ("500 KB/s", Some(500_000)),
            ("2g", Some(2_000_000_000)),
            ("0", None),
            ("-1", None),
            ("MiB", None),
            ("10 parsec", None),
            ("99999999999999999999", None),
            ("99999999999999GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rate(text).ok().map(NonZeroUsize::get), expected, "{text}");
        }
    }
}
