//! Reading what an answer carries, never more than was asked for and never for ever.

use std::ops::Deref;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING};
use tokio::time::{Instant, timeout};

use super::{Failure, patience};
use crate::StoreErrorKind;
use crate::backend::Span;
use crate::options::Timeouts;

/// Objects that are read as a whole, and what a server that ignores ranges may make us skip.
const MAX_WHOLE: u64 = 1 << 30;
/// What is allocated before the bytes are there.
const FIRST_RESERVE: usize = 32 << 20;

/// A body that is read piece by piece.
pub(super) struct Reader {
    response: Response,
    timeouts: Timeouts,
    deadline: Instant,
}

/// What a partial answer says that it holds.
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Reader {
    pub(super) fn new(response: Response, timeouts: Timeouts) -> Self {
        let deadline = Instant::now() + patience(timeouts, 0);
        Self { response, timeouts, deadline }
    }

    /// Whatever can be had of an explanation.
    pub(super) async fn explanation(&mut self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            let room = limit - bytes.len();
            bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if bytes.len() == limit {
                break;
            }
        }
        bytes
    }

    /// The whole body, which must not be longer than `limit`.
    pub(super) async fn text(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let declared = self.declared();
        if declared.is_some_and(|declared| declared > limit as u64) {
            return Err(Failure::plain(StoreErrorKind::TooLarge));
        }
        self.expect_bytes(declared.unwrap_or(FIRST_RESERVE as u64));
        let mut bytes = Vec::new();
        let likely = declared.map_or(0, |declared| declared.min(FIRST_RESERVE as u64));
        bytes.reserve_exact(usize::try_from(likely).unwrap_or(0));
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > limit - bytes.len() {
                return Err(Failure::plain(StoreErrorKind::TooLarge));
            }
            bytes.extend_from_slice(&chunk);
        }
        complete(declared, bytes)
    }

    /// The bytes of an object that `span` means.
    pub(super) async fn object(&mut self, span: Span) -> Result<Vec<u8>, Failure> {
        let Span::Part { offset, len } = span else {
            return self.whole().await;
        };
        let skip = match self.response.status().as_u16() {
            206 => self.check_range(offset, len as u64).map(|()| 0)?,
            _ => self.check_whole(offset, len as u64).map(|()| offset)?,
        };
        self.part(skip, len).await
    }

    async fn whole(&mut self) -> Result<Vec<u8>, Failure> {
        let is_chunked = self.response.headers().contains_key(TRANSFER_ENCODING);
        if self.declared().is_none() && !is_chunked {
            let kind = StoreErrorKind::UnexpectedAnswer("an object without its length");
            return Err(Failure::plain(kind));
        }
        let limit = self.declared().unwrap_or(MAX_WHOLE);
        if limit > MAX_WHOLE {
            return Err(Failure::plain(StoreErrorKind::TooLarge));
        }
        self.text(usize::try_from(limit).unwrap_or(usize::MAX)).await
    }

    /// Whether the part that the answer announces is the one that was asked for.
    fn check_range(&self, offset: u64, len: u64) -> Result<(), Failure> {
        let unexpected = |what| Failure::plain(StoreErrorKind::UnexpectedAnswer(what));
        let range = self.response.headers().get(CONTENT_RANGE);
        let range = range.and_then(|value| ContentRange::parse(value.to_str().ok()?));
        let Some(range) = range.filter(|range| range.first == offset) else {
            return Err(unexpected("another part than was asked for"));
        };
        let end = range.last.checked_add(1).ok_or_else(|| unexpected("a part without end"))?;
        match (offset.saturating_add(len), range.total) {
            (wanted, _) if end >= wanted => Ok(()),
            (wanted, Some(total)) if total < wanted => {
                Err(Failure::plain(StoreErrorKind::Truncated))
            }
            _ => Err(unexpected("less than the part that was asked for")),
        }
    }

    /// The server sends everything: what comes before the part is read and dropped.
    fn check_whole(&self, offset: u64, len: u64) -> Result<(), Failure> {
        let end = offset.saturating_add(len);
        if self.declared().is_some_and(|declared| declared < end) {
            return Err(Failure::plain(StoreErrorKind::Truncated));
        }
        if offset > MAX_WHOLE {
            let kind = StoreErrorKind::UnexpectedAnswer("all of a large object instead of a part");
            return Err(Failure::plain(kind));
        }
        Ok(())
    }

    async fn part(&mut self, mut skip: u64, len: usize) -> Result<Vec<u8>, Failure> {
        self.expect_bytes(skip.saturating_add(len as u64));
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(len.min(FIRST_RESERVE));
        reserved.map_err(|_| Failure::plain(StoreErrorKind::TooLarge))?;
        while bytes.len() < len {
            let Some(chunk) = self.chunk().await? else {
                return Err(self.ended_early());
            };
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= skipped as u64;
            let rest = &chunk[skipped..];
            let room = len - bytes.len();
            bytes.extend_from_slice(rest.get(..room).unwrap_or(rest));
        }
        Ok(bytes)
    }

    /// Without a declared length the end of the body is the end of the object.
    fn ended_early(&self) -> Failure {
        let is_end = self.response.status().as_u16() != 206 && self.declared().is_none();
        Failure::plain(match is_end {
            true => StoreErrorKind::Truncated,
            false => StoreErrorKind::Interrupted,
        })
    }

    fn declared(&self) -> Option<u64> {
        self.response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
    }

    /// Gives the body the time that so many bytes may take.
    fn expect_bytes(&mut self, bytes: u64) {
        let patience = patience(self.timeouts, bytes.min(2 * MAX_WHOLE));
        self.deadline = Instant::now() + patience;
    }

    async fn chunk(&mut self) -> Result<Option<impl Deref<Target = [u8]> + use<>>, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let patience: Duration = left.min(self.timeouts.idle);
        let late = |_| Failure::timed_out("the answer stopped in the middle");
        Ok(timeout(patience, self.response.chunk()).await.map_err(late)??)
    }
}

impl ContentRange {
    /// Understands `bytes 5-9/20` and `bytes 5-9/*`.
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = match total {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()?, total })
    }
}

/// A body shorter than it said broke off, whatever the connection says.
fn complete(declared: Option<u64>, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match declared {
        Some(declared) if declared != bytes.len() as u64 => {
            Err(Failure::plain(StoreErrorKind::Interrupted))
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_parsed_or_refused() {
        let cases = [
            ("bytes 5-9/20", Some((5, 9, Some(20)))),
            (" bytes 0-0/*", Some((0, 0, None))),
            ("bytes */20", None),
            ("bytes 5-/20", None),
            ("bytes 5-9", None),
            ("items 5-9/20", None),
            ("bytes 5-99999999999999999999/20", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let range = ContentRange::parse(text);
            let parts = range.map(|range| (range.first, range.last, range.total));
            assert_eq!(parts, expected, "{text}");
        }
    }
}
