//! Whom to trust: the authorities that the environment names, or else the machine's, or else, on a machine that has none, Mozilla's as they
//! were when this program was built: on the worst day there may be nothing but the program.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use super::Failure;
use crate::StoreErrorKind;
use crate::options::Environment;

/// Never fails for want of authorities: plain connections to this machine need none.
pub(super) fn config(environment: &Environment) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(environment)?);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| Failure::new(StoreErrorKind::UntrustedCertificate, error.to_string()))
}

fn authorities(environment: &Environment) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let file = environment.get("AWS_CA_BUNDLE").or_else(|| environment.get("SSL_CERT_FILE"));
    let folder = environment.get("SSL_CERT_DIR");
    if file.is_none() && folder.is_none() {
        let own = load_native_certs().certs;
        return Ok(if own.is_empty() { TLS_SERVER_ROOT_CERTS.to_vec() } else { own });
    }
    let found = load_certs_from_paths(file.map(Path::new), folder.map(Path::new));
    if found.certs.is_empty() {
        let detail = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "no certificates in AWS_CA_BUNDLE, SSL_CERT_FILE or SSL_CERT_DIR".to_owned(),
        };
        return Err(Failure::new(StoreErrorKind::UntrustedCertificate, detail));
    }
    Ok(found.certs)
}
