//! The server: begun beside the daemon's loop on threads of its own, and ended with it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::house::{House, Site};
use crate::listen;
use crate::settings::Terms;

/// What is still going on has so long to end.
const GRACE: Duration = Duration::from_secs(5);
/// Threads for what blocks: reads, downloads, dry runs.
const BLOCKING: usize = 16;

/// Why it does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address.
    #[error("the dashboard cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Threads.
    #[error("the dashboard cannot be started: {0}")]
    Threads(io::Error),
}

/// Chain and key, and who hears of others.
struct Tls {
    files: (PathBuf, PathBuf),
    tell: watch::Sender<TlsAcceptor>,
}

/// A server that works.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tls: Option<Tls>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve. It is listening when this returns.
    ///
    /// # Errors
    /// If it cannot listen, or the certificate cannot be used.
    pub fn start(terms: Terms, site: Site) -> Result<Self, StartError> {
        let address = terms.listen;
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = terms.tls.clone().map(Tls::read).transpose()?;
        let heard = tls.as_ref().map(|tls| tls.tell.subscribe());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BLOCKING)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let (stop, stopped) = watch::channel(false);
        let house = Arc::new(House::new(site, terms, stopped.clone()));
        let warmed = Arc::clone(&house);
        // Beside, for it may take seconds: the first page then finds something.
        thread::spawn(move || {
            warmed.overviews.warm(&warmed);
            _ = warmed.library.shelf();
        });
        let serve = move || {
            runtime.block_on(listen::serve(listener, heard, house, stopped, GRACE));
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(serve);
        Ok(Self { address, stop, tls, thread: Some(thread.map_err(StartError::Threads)?) })
    }

    /// Reads certificate and key again, for connections that begin from now on. If they cannot be used, those from before go on.
    ///
    /// # Errors
    /// [`StartError::Tls`].
    pub fn reload(&self) -> Result<(), StartError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let (cert, key) = &tls.files;
        tls.tell.send_replace(listen::tls(cert, key)?);
        Ok(())
    }

    /// Where it listens: with the port that was given where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: nobody new is let in, streams of events end, downloads have a few seconds.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell; what it could not finish was cut.
            _ = thread.join();
        }
    }
}

impl Tls {
    fn read(files: (PathBuf, PathBuf)) -> Result<Self, StartError> {
        let (tell, _) = watch::channel(listen::tls(&files.0, &files.1)?);
        Ok(Self { files, tell })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
