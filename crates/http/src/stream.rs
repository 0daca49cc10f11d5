//! Long answers: written by a thread, taken by the client at its own pace, and never more than a little of it in memory.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that go out at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait.
const WAITING: usize = 4;
/// Whoever takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body that `work` writes, on a thread of its own. If it fails the connection is cut, so that nobody takes it for whole.
pub fn body(
    length: Option<u64>,
    work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, receiver) = channel(WAITING);
    let handle = Handle::current();
    handle.clone().spawn_blocking(move || {
        let mut pipe = Pipe { sender, handle, piece: Vec::with_capacity(PIECE) };
        if let Err(error) = work(&mut pipe).and_then(|()| pipe.flush()) {
            // If the client is gone nobody needs to hear.
            _ = pipe.send(Err(error));
        }
    });
    Body::new(Flow { receiver, left: length })
}

struct Pipe {
    sender: Sender<io::Result<Bytes>>,
    handle: Handle,
    piece: Vec<u8>,
}

impl Pipe {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self
            .handle
            .block_on(async { tokio::time::timeout(PATIENCE, self.sender.send(piece)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.send(Ok(Bytes::from(piece)))
    }
}

struct Flow {
    receiver: Receiver<io::Result<Bytes>>,
    left: Option<u64>,
}

impl hyper::body::Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.receiver.poll_recv(context);
        if let (Poll::Ready(Some(Ok(piece))), Some(left)) = (&next, &mut self.left) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
