//! The client for requests over HTTP that nodes and people's services are asked with.

use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::Client;
pub use reqwest::blocking::RequestBuilder;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// A client that has so much patience for a request to this address.
///
/// # Errors
/// What is wrong with the address or with TLS, in words.
pub fn client(url: &str, patience: Duration) -> Result<Client, String> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls()?)
        .user_agent(concat!("nodekeep/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience)
        .timeout(patience);
    // The address is not repeated: it may be a secret.
    let url = reqwest::Url::parse(url).map_err(|error| format!("the address is none: {error}"))?;
    // What is on this machine is never behind a proxy.
    let is_here = url
        .host_str()
        .is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."));
    let builder = if is_here { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| told(&error))
}

/// The machine's authorities, or Mozilla's where it has none.
fn tls() -> Result<ClientConfig, String> {
    let own = rustls_native_certs::load_native_certs().certs;
    let mut roots = RootCertStore::empty();
    if own.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec());
    } else {
        roots.add_parsable_certificates(own);
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| error.to_string())
}

/// An error with its causes, which say more than it does.
pub fn told(error: &reqwest::Error) -> String {
    if let (true, Some(url)) = (is_refused(error), error.url()) {
        return format!("{url}: nothing listens there (connection refused)");
    }
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        told.push_str(": ");
        told.push_str(&inner.to_string());
        cause = inner.source();
    }
    told
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = inner.source();
    }
    false
}
