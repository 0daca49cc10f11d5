//! The server: begun beside the daemon's loop on threads of its own, and ended with it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

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

/// A server that works.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
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
        let tls = terms.tls.as_ref().map(|(cert, key)| listen::tls(cert, key)).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BLOCKING)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let (stop, stopped) = watch::channel(false);
        let house = Arc::new(House::new(site, terms, stopped.clone()));
        let serve = move || {
            runtime.block_on(listen::serve(listener, tls, house, stopped, GRACE));
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(serve);
        Ok(Self { address, stop, thread: Some(thread.map_err(StartError::Threads)?) })
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

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
