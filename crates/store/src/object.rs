//! A store in an S3 bucket: one object for each object, below a prefix.
//!
//! Creating is one PUT with `If-None-Match: *`, never a multipart upload: completing those ignores
//! the condition on some stores. Nothing is repeated here; that is for the decorator.

mod answer;
mod config;
mod listing;
mod profile;
mod sign;
mod xml;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH, RANGE};
use reqwest::redirect::Policy;

use crate::address::is_loopback;
use crate::backend::{Backend, Character, Page, Span, all_pages};
use crate::net::{Net, Reply, Request, Scene, Want, read_span};
use crate::options::OpenOptions;
use crate::{Created, Durability, Object, Op, Place, StoreError, StoreErrorKind};

use config::Settings;
use sign::Signer;

pub(crate) struct Bucket {
    net: Net,
    signer: Signer,
    location: String,
    /// Of the bucket, without a slash at the end.
    url: String,
    /// Before the names in keys: empty, or ending with a slash.
    root: String,
    character: Character,
}

impl Bucket {
    pub(crate) fn open(
        bucket: &str,
        prefix: &str,
        location: String,
        options: &OpenOptions,
    ) -> Result<Self, StoreError> {
        let scene = Scene { op: Op::Open, location: &location, object: "" };
        let settings = Settings::find(bucket, &options.s3, &options.environment)
            .map_err(|failure| scene.fail(failure))?;
        let is_here = is_loopback(&settings.host);
        let net = Net::new(&options.environment, options.timeouts, Policy::none(), is_here)
            .map_err(|failure| scene.fail(failure))?;
        let signer =
            Signer::new(&settings, &net, options).map_err(|failure| scene.fail(failure))?;
        let place = match is_here {
            true => Place::ThisMachine,
            false => Place::Remote { host: settings.host },
        };
        let root = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let character = Character { place, ..Character::behind_network() };
        Ok(Self { net, signer, url: settings.url, root, character, location })
    }

    fn scene<'a>(&'a self, op: Op, object: &'a str) -> Scene<'a> {
        Scene { op, location: &self.location, object }
    }

    fn object_url(&self, name: &str) -> String {
        let key = format!("{}{name}", self.root);
        let parts: Vec<_> = key.split('/').map(encoded).collect();
        format!("{}/{}", self.url, parts.join("/"))
    }

    /// Signs and sends; an answer of any status.
    fn send(
        &self,
        scene: Scene<'_>,
        method: Method,
        url: String,
        headers: HeaderMap,
        body: &[u8],
        want: Want,
    ) -> Result<Reply, StoreError> {
        let signed = self.signer.sign(&self.net, &method, &url, headers, body);
        let headers = signed.map_err(|failure| scene.fail(failure))?;
        let request = Request { method, url, headers, body: body.to_vec(), want };
        self.net.call(request).map_err(|failure| scene.fail(failure))
    }

    /// A request about one object that sends nothing.
    fn ask(
        &self,
        scene: Scene<'_>,
        method: Method,
        range: Option<HeaderValue>,
        want: Want,
    ) -> Result<Reply, StoreError> {
        let headers = range.map(|range| (RANGE, range)).into_iter().collect();
        self.send(scene, method, self.object_url(scene.object), headers, &[], want)
    }

    /// Status and headers of an object. A refused HEAD has no body that says why, so that the
    /// reason is asked for.
    fn head(&self, op: Op, name: &str) -> Result<Reply, StoreError> {
        let scene = self.scene(op, name);
        let reply = self.ask(scene, Method::HEAD, None, Want::Head)?;
        match reply.status {
            _ if reply.is_success() => Ok(reply),
            404 => Err(scene.of_kind(StoreErrorKind::NotFound)),
            _ => {
                let first_byte = Some(HeaderValue::from_static("bytes=0-0"));
                let explained = self.ask(scene, Method::GET, first_byte, Want::Head)?;
                let reply = if explained.is_success() { &reply } else { &explained };
                Err(scene.fail(answer::failure(reply)))
            }
        }
    }
}

impl Backend for Bucket {
    fn location(&self) -> &str {
        &self.location
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let reply = self.head(Op::Size, name)?;
        let unexpected = StoreErrorKind::UnexpectedAnswer("an object without its length");
        reply.content_length().ok_or_else(|| self.scene(Op::Size, name).of_kind(unexpected))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let scene = self.scene(Op::Get, name);
        let size = || self.size(name).map_err(|error| StoreError { op: Op::Get, ..error });
        read_span(scene, span, size, |range| {
            let reply = self.ask(scene, Method::GET, range, Want::Object(span))?;
            match reply.is_success() {
                true => Ok(reply.body),
                false => Err(scene.fail(answer::failure(&reply))),
            }
        })
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let bytes = self.get(name, Span::Part { offset, len: buffer.len() })?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    /// What a store has confirmed is durable, whatever was asked for.
    fn create(&self, name: &str, bytes: &[u8], _: Durability) -> Result<Created, StoreError> {
        let scene = self.scene(Op::Create, name);
        let if_absent = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]);
        let url = self.object_url(name);
        let reply = self.send(scene, Method::PUT, url, if_absent, bytes, Want::Head)?;
        match reply.status {
            _ if reply.is_success() => Ok(Created::New),
            412 => Ok(Created::Exists),
            // An object is never missing for a PUT: the bucket is.
            404 => Err(scene.fail(answer::failure(&reply).or_kind(StoreErrorKind::NoSuchBucket))),
            _ => Err(scene.fail(answer::failure(&reply))),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let endless = StoreErrorKind::UnexpectedAnswer("a listing without end");
        let endless = || self.scene(Op::List, prefix).of_kind(endless);
        all_pages(|token| self.list_page(prefix, token), endless)
    }

    fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<Page, StoreError> {
        let scene = self.scene(Op::List, prefix);
        let query = listing::query(&format!("{}{prefix}", self.root), token);
        let url = format!("{}/?{query}", self.url);
        let want = Want::Text(listing::MAX_PAGE);
        let reply = self.send(scene, Method::GET, url, HeaderMap::new(), &[], want)?;
        if !reply.is_success() {
            let failure = answer::failure(&reply);
            return Err(scene.fail(match reply.status {
                404 => failure.or_kind(StoreErrorKind::NoSuchBucket),
                _ => failure,
            }));
        }
        let unexpected = StoreErrorKind::UnexpectedAnswer("no listing");
        let page = listing::parse(&reply.body, &self.root, prefix);
        page.ok_or_else(|| scene.of_kind(unexpected))
    }

    /// S3 does not tell whether it deleted anything, so that it is asked before. Of two that delete
    /// at once both may be told that it was there; so is who may delete but not read.
    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        match self.head(Op::Delete, name) {
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) if error.kind != StoreErrorKind::PermissionDenied => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let scene = self.scene(Op::Delete, name);
        let reply = self.ask(scene, Method::DELETE, None, Want::Head)?;
        match reply.status {
            _ if reply.is_success() => Ok(true),
            404 => Ok(false),
            _ => Err(scene.fail(answer::failure(&reply))),
        }
    }

    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn character(&self) -> Character {
        self.character.clone()
    }
}

/// Escapes everything that is not unreserved, as signatures demand; a slash too.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
