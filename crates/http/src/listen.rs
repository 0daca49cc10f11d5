//! From a socket to an answer: connections, TLS, patience with slow clients, and what every answer carries.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::gate;
use crate::house::House;
use crate::problem::Problem;
use crate::router;
use crate::server::StartError;

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 256;
/// A client has so long for its TLS handshake, and for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// A client that takes nothing of an answer for so long is gone.
const STALL: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and of what is buffered of a connection.
const BUFFER: usize = 32 * 1024;
/// After an error of the listener, such as no more open files.
const PAUSE: Duration = Duration::from_millis(200);

/// What every answer carries. Nothing of another origin is ever loaded, and no page of another shows ours.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Reads certificate and key.
///
/// # Errors
/// [`StartError::Tls`].
pub fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, StartError> {
    let bad = |path: &Path, reason: String| StartError::Tls { path: path.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| bad(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert, "there is no certificate in it; it must be PEM".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| bad(cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Lets clients in until it is stopped; then what goes on has `grace` to end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<TlsAcceptor>>,
    house: Arc<House>,
    mut stopped: watch::Receiver<bool>,
    grace: Duration,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    tokio::spawn(house.events.clone().watch(Arc::clone(&house)));
    let router = router::of(&house);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let Ok((stream, peer)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let (house, router) = (Arc::clone(&house), router.clone());
        let tls = tls.as_ref().map(|tls| tls.borrow().clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _place = place;
            let stream = Patient::new(stream);
            match tls {
                None => talk(stream, peer, house, router, watcher).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HEAD, tls.accept(stream)).await {
                        talk(stream, peer, house, router, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    // What does not end by itself is cut.
    _ = timeout(grace, graceful.shutdown()).await;
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    house: Arc<House>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (house, router) = (Arc::clone(&house), router.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(request, peer, &house, router).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // Errors here are those of the client's connection: there is nobody to tell.
    _ = watcher.watch(connection).await;
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    house: &House,
    router: Router,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match gate::check_host(&house.terms, &parts) {
        Err(problem) => router::refusal(&problem),
        Ok(()) => {
            let mut request = Request::from_parts(parts, Body::new(body));
            request.extensions_mut().insert(peer);
            match TowerToHyperService::new(router).call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if house.terms.tls.is_some() {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    let usual = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(usual);
    response
}

/// Nothing to do with a request: for the router.
pub fn unknown() -> Problem {
    Problem::not_found("there is nothing at this path").hint("What there is: /api/v1/openapi.json")
}

/// A connection that gives up when the client takes nothing for too long.
struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None }
    }

    /// Notes whether a write got on; fails it if none has for too long.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + STALL));
        let stalled = self.stalled.get_or_insert_with(until);
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept back here, so that a flush tells nothing of the client.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
