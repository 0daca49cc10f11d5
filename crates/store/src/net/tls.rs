//! Whom to trust: the authorities that the environment names, or else the machine's.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

use super::Failure;
use crate::StoreErrorKind;
use crate::options::Environment;

/// Never fails for want of authorities: plain connections to this machine need none.
pub(super) fn config(environment: &Environment) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(environment)?.certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| Failure::new(StoreErrorKind::UntrustedCertificate, error.to_string()))
}

fn authorities(environment: &Environment) -> Result<CertificateResult, Failure> {
    let file = environment.get("AWS_CA_BUNDLE").or_else(|| environment.get("SSL_CERT_FILE"));
    let folder = environment.get("SSL_CERT_DIR");
    if file.is_none() && folder.is_none() {
        return Ok(load_native_certs());
    }
    let found = load_certs_from_paths(file.map(Path::new), folder.map(Path::new));
    if found.certs.is_empty() {
        let detail = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "no certificates in AWS_CA_BUNDLE, SSL_CERT_FILE or SSL_CERT_DIR".to_owned(),
        };
        return Err(Failure::new(StoreErrorKind::UntrustedCertificate, detail));
    }
    Ok(found)
}
