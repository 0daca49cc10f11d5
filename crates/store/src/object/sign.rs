//! Signatures (AWS Signature Version 4), with credentials that may change while the store is open.

use std::sync::Arc;

use object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredential, AwsCredentialProvider,
};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpRequest, HttpRequestBody,
};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use ring::digest::{SHA256, digest};

use crate::StoreErrorKind;
use crate::net::{Failure, Net};
use crate::options::OpenOptions;

use super::config::Settings;

/// Signs requests of one store.
pub(super) struct Signer {
    region: String,
    credentials: Credentials,
}

enum Credentials {
    Fixed(Arc<AwsCredential>),
    /// Fetched, and renewed before they expire.
    Fetched(AwsCredentialProvider),
    Anonymous,
}

impl Signer {
    pub(super) fn new(
        settings: &Settings,
        net: &Net,
        options: &OpenOptions,
    ) -> Result<Self, Failure> {
        let region = settings.region.clone();
        let credentials = match &settings.credentials {
            _ if options.s3.is_anonymous => Credentials::Anonymous,
            Some(keys) => Credentials::Fixed(Arc::new(AwsCredential {
                key_id: keys.access_key_id.clone(),
                secret_key: keys.secret_access_key.clone(),
                token: keys.session_token.clone(),
            })),
            None if options.s3.use_metadata_service => {
                Credentials::Fetched(provider(&region, net, options)?)
            }
            None => {
                let detail = settings.why_no_credentials.clone().unwrap_or_default();
                return Err(Failure::new(StoreErrorKind::NoCredentials, detail));
            }
        };
        Ok(Self { region, credentials })
    }

    /// The headers with those of the signature, which covers the body too.
    pub(super) fn sign(
        &self,
        net: &Net,
        method: &Method,
        url: &str,
        headers: HeaderMap,
        body: &[u8],
    ) -> Result<HeaderMap, Failure> {
        let credential = match &self.credentials {
            Credentials::Anonymous => return Ok(headers),
            Credentials::Fixed(credential) => Arc::clone(credential),
            Credentials::Fetched(provider) => fetch(net, provider)?,
        };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        let unusable = StoreErrorKind::BadOption("the endpoint cannot be used");
        *request.uri_mut() = url.parse().map_err(|_| Failure::plain(unusable))?;
        *request.headers_mut() = headers;
        let hash = digest(&SHA256, body);
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, Some(hash.as_ref()))
            .map_err(|error| Failure::new(StoreErrorKind::BadCredentials, error.to_string()))?;
        Ok(std::mem::take(request.headers_mut()))
    }
}

fn fetch(net: &Net, provider: &AwsCredentialProvider) -> Result<Arc<AwsCredential>, Failure> {
    let provider = Arc::clone(provider);
    net.wait(async move {
        let fetched = provider.get_credential().await;
        fetched.map_err(|error| Failure::new(StoreErrorKind::NoCredentials, error.to_string()))
    })
}

/// Asks the metadata service of the machine or container, or exchanges a web identity token, as
/// the environment says.
fn provider(
    region: &str,
    net: &Net,
    options: &OpenOptions,
) -> Result<AwsCredentialProvider, Failure> {
    let connector = Connector(net.client().clone());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name("credentials")
        .with_region(region)
        .with_http_connector(connector);
    for (name, value) in options.environment.of_aws() {
        let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        if let Some(key) = key.ok().filter(is_about_metadata) {
            builder = builder.with_config(key, value);
        }
    }
    let store = builder.build();
    let store =
        store.map_err(|error| Failure::new(StoreErrorKind::NoCredentials, error.to_string()))?;
    Ok(Arc::clone(store.credentials()))
}

fn is_about_metadata(key: &AmazonS3ConfigKey) -> bool {
    matches!(
        key,
        AmazonS3ConfigKey::MetadataEndpoint
            | AmazonS3ConfigKey::ContainerCredentialsRelativeUri
            | AmazonS3ConfigKey::ContainerCredentialsFullUri
            | AmazonS3ConfigKey::ContainerAuthorizationTokenFile
            | AmazonS3ConfigKey::WebIdentityTokenFile
            | AmazonS3ConfigKey::RoleArn
            | AmazonS3ConfigKey::RoleSessionName
            | AmazonS3ConfigKey::StsEndpoint
    )
}

/// Our client for the library's requests: it knows whom to trust.
#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
