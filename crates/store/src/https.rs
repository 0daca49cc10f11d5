//! A repository on a web server, read-only: to clone from, without a listing.

use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::redirect::{Attempt, Policy};

use crate::address::{Mirror, is_loopback};
use crate::backend::{Backend, Character, Span};
use crate::net::{Failure, Net, Reply, Request, Scene, Want, read_span, retry_after};
use crate::options::OpenOptions;
use crate::{Created, Durability, Object, Op, Place, StoreError, StoreErrorKind};

/// Redirections in a row that are followed.
const MAX_REDIRECTS: usize = 5;

pub(crate) struct WebFolder {
    net: Net,
    /// The address, which is also the location.
    url: String,
    character: Character,
}

impl WebFolder {
    pub(crate) fn open(mirror: &Mirror, options: &OpenOptions) -> Result<Self, StoreError> {
        let url = mirror.to_string();
        let scene = Scene { op: Op::Open, location: &url, object: "" };
        let is_here = is_loopback(mirror.host());
        if !mirror.is_tls && !is_here && !options.allow_plain_http {
            return Err(scene.of_kind(StoreErrorKind::BadOption(
                "anybody between here and there could read and change what http:// carries: use https://",
            )));
        }
        let redirects = Policy::custom(redirect);
        let net = Net::new(&options.environment, options.timeouts, redirects, is_here)
            .map_err(|failure| scene.fail(failure))?;
        let place = match is_here {
            true => Place::ThisMachine,
            false => Place::Remote { host: mirror.host().to_owned() },
        };
        let character = Character { place, can_list: false, ..Character::behind_network() };
        Ok(Self { net, url, character })
    }

    fn scene<'a>(&'a self, op: Op, object: &'a str) -> Scene<'a> {
        Scene { op, location: &self.url, object }
    }

    fn ask(
        &self,
        scene: Scene<'_>,
        method: Method,
        range: Option<HeaderValue>,
        want: Want,
    ) -> Result<Reply, StoreError> {
        let headers: HeaderMap = range.map(|range| (RANGE, range)).into_iter().collect();
        let url = format!("{}/{}", self.url, scene.object);
        let request = Request { method, url, headers, body: Vec::new(), want };
        let reply = self.net.call(request).map_err(|failure| scene.fail(failure))?;
        match reply.is_success() {
            true => Ok(reply),
            false => Err(scene.fail(failure(&reply))),
        }
    }

    /// The size from a request for the first byte, for servers that know no HEAD.
    fn size_of_range(&self, scene: Scene<'_>) -> Result<Option<u64>, StoreError> {
        let first_byte = Some(HeaderValue::from_static("bytes=0-0"));
        let reply = match self.ask(scene, Method::GET, first_byte, Want::Head) {
            // An empty object has no first byte.
            Err(error) if error.kind == StoreErrorKind::Truncated => return Ok(Some(0)),
            reply => reply?,
        };
        let total = reply.header(&CONTENT_RANGE).and_then(|range| range.rsplit('/').next());
        Ok(match reply.status {
            206 => total.and_then(|total| total.parse().ok()),
            _ => reply.content_length(),
        })
    }

    fn read_only<T>(&self, op: Op, name: &str) -> Result<T, StoreError> {
        Err(self.scene(op, name).of_kind(StoreErrorKind::ReadOnly))
    }
}

/// Follows to the same host's or another's equally safe address, never back to plain HTTP.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    let is_tls = attempt.url().scheme() == "https";
    match attempt.previous().len() {
        0..=MAX_REDIRECTS if is_tls || !was_tls => attempt.follow(),
        0..=MAX_REDIRECTS => attempt.error("it leads from https:// to http://"),
        _ => attempt.error("it leads on and on"),
    }
}

fn failure(reply: &Reply) -> Failure {
    let kind = match reply.status {
        404 | 410 => StoreErrorKind::NotFound,
        401 | 403 => StoreErrorKind::PermissionDenied,
        408 => StoreErrorKind::TimedOut,
        416 => StoreErrorKind::Truncated,
        429 => StoreErrorKind::Throttled,
        500..=599 => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Refused,
    };
    Failure::new(kind, reply.status.to_string()).retry_after(retry_after(reply))
}

impl Backend for WebFolder {
    fn location(&self) -> &str {
        &self.url
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let scene = self.scene(Op::Size, name);
        let size = match self.ask(scene, Method::HEAD, None, Want::Head) {
            Ok(reply) => reply.content_length(),
            Err(error) if error.kind == StoreErrorKind::Refused => None,
            Err(error) => return Err(error),
        };
        if let Some(size) = size {
            return Ok(size);
        }
        let unexpected = StoreErrorKind::UnexpectedAnswer("an object without its length");
        self.size_of_range(scene)?.ok_or_else(|| scene.of_kind(unexpected))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let scene = self.scene(Op::Get, name);
        let size = || self.size(name).map_err(|error| StoreError { op: Op::Get, ..error });
        read_span(scene, span, size, |range| {
            Ok(self.ask(scene, Method::GET, range, Want::Object(span))?.body)
        })
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let bytes = self.get(name, Span::Part { offset, len: buffer.len() })?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn create(&self, name: &str, _: &[u8], _: Durability) -> Result<Created, StoreError> {
        self.read_only(Op::Create, name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        Err(self.scene(Op::List, prefix).of_kind(StoreErrorKind::NotListable))
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.read_only(Op::Delete, name)
    }

    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn character(&self) -> Character {
        self.character.clone()
    }
}
