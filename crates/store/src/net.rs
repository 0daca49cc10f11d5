//! Requests over HTTP, made on a small runtime of our own and waited for by the calling thread.
//!
//! Everything that the other side sends is bounded here: headers and bodies in time, bodies in bytes.
//! Callers may stand in somebody else's runtime: they wait on a channel, which never blocks ours.

mod body;
mod failure;
mod tls;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::backend::Span;
use crate::options::{Environment, Timeouts};
use crate::{Op, StoreError, StoreErrorKind};

pub(crate) use failure::{Failure, retry_after, shortened};

/// Threads that move bytes; the callers' threads do the rest.
const WORKERS: usize = 2;
/// Bytes of an answer that explains a failure.
const MAX_EXPLANATION: usize = 64 << 10;

/// A request, complete with its signature.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) want: Want,
}

/// What of a successful answer is of interest.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    /// Status and headers.
    Head,
    /// At most so many bytes of text.
    Text(usize),
    /// Exactly these bytes of an object.
    Object(Span),
}

/// An answer of any status; with an explanation as body where the status is no success.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length that the header names; a HEAD has one without a body.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(&CONTENT_LENGTH)?.trim().parse().ok()
    }
}

/// An HTTP client with its runtime. Clones are the same.
#[derive(Clone)]
pub(crate) struct Net {
    client: Client,
    runtime: Arc<OwnRuntime>,
    timeouts: Timeouts,
}

/// Stops without waiting: dropping a plain runtime would panic inside of another.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Net {
    /// `is_loopback`: proxies of the environment are not for this machine.
    pub(crate) fn new(
        environment: &Environment,
        timeouts: Timeouts,
        redirects: Policy,
        is_loopback: bool,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("nodekeep-net")
            .enable_all()
            .build()
            .map_err(|error| Failure::new(StoreErrorKind::Io, error.to_string()))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls::config(environment)?)
            .user_agent(concat!("nodekeep/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(redirects)
            .referer(false)
            .connect_timeout(timeouts.connect)
            .tcp_keepalive(timeouts.idle)
            .tcp_user_timeout(timeouts.idle);
        if is_loopback {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(Failure::from)?;
        Ok(Self { client, runtime: Arc::new(OwnRuntime(Some(runtime))), timeouts })
    }

    /// The client, for those who make requests of their own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Makes the request and waits for its answer.
    pub(crate) fn call(&self, request: Request) -> Result<Reply, Failure> {
        let (client, timeouts) = (self.client.clone(), self.timeouts);
        self.wait(exchange(client, request, timeouts))
    }

    /// Runs a future on the own runtime and waits for it.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let stopped = || Failure::new(StoreErrorKind::Interrupted, "the client stopped".to_owned());
        let runtime = self.runtime.0.as_ref().ok_or_else(stopped)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Nobody waits any more: nobody needs the result.
            let _ = sender.send(future.await);
        });
        receiver.recv().unwrap_or_else(|_| Err(stopped()))
    }
}

async fn exchange(client: Client, request: Request, timeouts: Timeouts) -> Result<Reply, Failure> {
    let Request { method, url, mut headers, body, want } = request;
    if method == Method::PUT {
        // The client leaves it out where there is nothing to send; S3 insists on it.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let patience = patience(timeouts, body.len() as u64);
    let sent = client.request(method, url).headers(headers).body(body).send();
    let response = timeout(patience, sent).await.map_err(|_| Failure::timed_out("no answer"))??;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = body::Reader::new(response, timeouts);
    let body = match want {
        _ if !(200..300).contains(&status) => body.explanation(MAX_EXPLANATION).await,
        Want::Head => Vec::new(),
        Want::Text(limit) => body.text(limit).await?,
        Want::Object(span) => body.object(span).await?,
    };
    Ok(Reply { status, headers, body })
}

/// How long so many bytes may take in all.
fn patience(timeouts: Timeouts, bytes: u64) -> Duration {
    let pace = timeouts.slowest_bytes_per_sec.get() as u64;
    timeouts.idle.saturating_add(Duration::from_secs(bytes / pace))
}

/// Where a request went, to make an error of its failure.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) op: Op,
    pub(crate) location: &'a str,
    pub(crate) object: &'a str,
}

impl Scene<'_> {
    pub(crate) fn fail(self, failure: Failure) -> StoreError {
        failure.at(self.op, self.location, self.object)
    }

    pub(crate) fn of_kind(self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(self.op, self.location, self.object, kind)
    }
}

/// The header that asks for a part; `None` for all or nothing, and where the end is beyond all
/// numbers.
fn range_header(span: Span) -> Option<HeaderValue> {
    let (offset, len) = match span {
        Span::All | Span::Part { len: 0, .. } => return None,
        Span::Part { offset, len } => (offset, u64::try_from(len).ok()?),
    };
    let last = offset.checked_add(len)?.checked_sub(1)?;
    HeaderValue::from_str(&format!("bytes={offset}-{last}")).ok()
}

/// Reads what `span` means, with one request where the span is not empty. `size` asks for the size,
/// `fetch` makes the request with the given range header.
pub(crate) fn read_span(
    scene: Scene<'_>,
    span: Span,
    size: impl Fn() -> Result<u64, StoreError>,
    fetch: impl Fn(Option<HeaderValue>) -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<u8>, StoreError> {
    let range = range_header(span);
    if range.is_some() || matches!(span, Span::All) {
        return fetch(range);
    }
    // Nothing is asked for, or more than an object can have: only the size matters.
    let too_short = || scene.of_kind(StoreErrorKind::Truncated);
    span.within(size()?).map(|_| Vec::new()).ok_or_else(too_short)
}
