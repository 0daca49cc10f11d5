//! A store in an S3 bucket: one object for each object, below a prefix.
//!
//! Creating is one PUT with `If-None-Match: *`, never a multipart upload: completing those ignores
//! the condition on some stores. Nothing is repeated here; that is for the decorator.

mod answer;
mod config;
mod listing;
mod profile;
mod sign;
mod versions;
mod xml;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};
use reqwest::redirect::Policy;

use crate::address::is_loopback;
use crate::backend::{Backend, Character, Page, Span, all_pages};
use crate::net::{Net, Reply, Request, Scene, Want, read_span};
use crate::options::OpenOptions;
use crate::{Created, Durability, Object, Op, Place, StoreError, StoreErrorKind};

use config::Settings;
use sign::Signer;
use versions::{Marker, Mode, Part, Version, Versions};

/// Bytes of a short answer.
const MAX_ANSWER: usize = 64 << 10;
/// In the answers of buckets that keep versions: which one it is about.
const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

pub(crate) struct Bucket {
    net: Net,
    signer: Signer,
    location: String,
    /// Of the bucket, without a slash at the end.
    url: String,
    /// Before the names in keys: empty, or ending with a slash.
    root: String,
    character: Character,
    versions: Versions,
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
        let versions = Versions::default();
        Ok(Self { net, signer, url: settings.url, root, character, location, versions })
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

    /// A request about one object, or one version of it, that sends nothing.
    fn ask(
        &self,
        scene: Scene<'_>,
        method: Method,
        version: Option<&str>,
        range: Option<HeaderValue>,
        want: Want,
    ) -> Result<Reply, StoreError> {
        let headers = range.map(|range| (RANGE, range)).into_iter().collect();
        let mut url = self.object_url(scene.object);
        if let Some(version) = version {
            url = format!("{url}?versionId={}", encoded(version));
        }
        self.send(scene, method, url, headers, &[], want)
    }

    /// The same about the version that is the object, where the bucket keeps versions.
    fn read(
        &self,
        scene: Scene<'_>,
        method: Method,
        range: Option<HeaderValue>,
        want: Want,
    ) -> Result<Reply, StoreError> {
        if self.versions.mode() != Mode::Kept {
            let reply = self.ask(scene, method.clone(), None, range.clone(), want)?;
            if self.version_in(scene, &reply)?.is_none() {
                return Ok(reply);
            }
        }
        let Some(version) = self.known_version(scene)? else {
            return Err(scene.of_kind(StoreErrorKind::NotFound));
        };
        let reply = self.ask(scene, method, Some(&version), range, want)?;
        if reply.status == 404 {
            self.versions.forget(scene.object);
        }
        Ok(reply)
    }

    /// The version that is the object, looked up once.
    fn known_version(&self, scene: Scene<'_>) -> Result<Option<String>, StoreError> {
        if let Some(known) = self.versions.remembered(scene.object) {
            return Ok(Some(known));
        }
        let found = self.object_version(scene)?;
        if let Some(version) = &found {
            self.versions.remember(scene.object, version);
        }
        Ok(found)
    }

    /// Status and headers of an object. A refused HEAD has no body that says why, so that the
    /// reason is asked for.
    fn head(&self, op: Op, name: &str) -> Result<Reply, StoreError> {
        let scene = self.scene(op, name);
        let reply = self.read(scene, Method::HEAD, None, Want::Head)?;
        match reply.status {
            _ if reply.is_success() => Ok(reply),
            404 => Err(scene.of_kind(StoreErrorKind::NotFound)),
            _ => {
                let first_byte = Some(HeaderValue::from_static("bytes=0-0"));
                let explained = self.read(scene, Method::GET, first_byte, Want::Head)?;
                let reply = if explained.is_success() { &reply } else { &explained };
                Err(scene.fail(answer::failure(reply)))
            }
        }
    }

    /// A request about the bucket that asks for text.
    fn ask_bucket(
        &self,
        scene: Scene<'_>,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let url = format!("{}/?{query}", self.url);
        let reply = self.send(scene, Method::GET, url, HeaderMap::new(), &[], Want::Text(limit))?;
        if reply.is_success() {
            return Ok(reply.body);
        }
        let failure = answer::failure(&reply);
        Err(scene.fail(match reply.status {
            404 => failure.or_kind(StoreErrorKind::NoSuchBucket),
            _ => failure,
        }))
    }

    /// Whether the bucket keeps versions; asked for once.
    fn versioning(&self, scene: Scene<'_>) -> Result<Mode, StoreError> {
        let known = self.versions.mode();
        if known != Mode::Unknown {
            return Ok(known);
        }
        let mode = match self.ask_bucket(scene, "versioning=", MAX_ANSWER) {
            Ok(xml) if versions::says_kept(&xml) == Some(true) => Mode::Kept,
            Ok(_) => Mode::None,
            Err(error) if error.kind.is_transient() => return Err(error),
            Err(error) if error.kind == StoreErrorKind::Unsupported => Mode::None,
            Err(_) => Mode::Untold,
        };
        self.versions.found(mode);
        Ok(mode)
    }

    fn keeps_versions(&self, scene: Scene<'_>) -> Result<bool, StoreError> {
        Ok(self.versioning(scene)? == Mode::Kept)
    }

    /// The version that an answer is about, where the bucket keeps versions.
    fn version_in(&self, scene: Scene<'_>, reply: &Reply) -> Result<Option<String>, StoreError> {
        let id = reply.header(&VERSION_ID).filter(|id| *id != "null" && reply.is_success());
        let Some(id) = id else {
            return Ok(None);
        };
        if self.versioning(scene)? == Mode::None {
            return Ok(None);
        }
        self.versions.found(Mode::Kept);
        Ok(Some(id.to_owned()))
    }

    fn part_of_versions(
        &self,
        scene: Scene<'_>,
        prefix: &str,
        marker: &Marker,
    ) -> Result<Part, StoreError> {
        let query = versions::query(&format!("{}{prefix}", self.root), marker);
        let xml = self.ask_bucket(scene, &query, versions::MAX_PART)?;
        let unexpected = StoreErrorKind::UnexpectedAnswer("no listing of versions");
        versions::parse(&xml).ok_or_else(|| scene.of_kind(unexpected))
    }

    /// Versions behind `marker`, and as many parts of them as it takes to come to the end of a key.
    fn some_versions(
        &self,
        scene: Scene<'_>,
        prefix: &str,
        marker: Marker,
    ) -> Result<Part, StoreError> {
        let mut part = self.part_of_versions(scene, prefix, &marker)?;
        while let Some(next) = part.next.take_if(|_| versions::is_one_key(&part.versions)) {
            let more = self.part_of_versions(scene, prefix, &next)?;
            if more.next.as_ref() == Some(&next) {
                let endless = StoreErrorKind::UnexpectedAnswer("a listing without end");
                return Err(scene.of_kind(endless));
            }
            part.versions.extend(more.versions);
            part.next = more.next;
        }
        Ok(part)
    }

    /// All versions of one object's key, the newest first.
    fn versions_of(&self, scene: Scene<'_>) -> Result<Vec<Version>, StoreError> {
        let key = format!("{}{}", self.root, scene.object);
        let mut part = self.some_versions(scene, scene.object, Marker::default())?;
        part.versions.retain(|version| version.key == key);
        Ok(part.versions)
    }

    /// The version that is the object; `None` if there is no object.
    fn object_version(&self, scene: Scene<'_>) -> Result<Option<String>, StoreError> {
        let versions = self.versions_of(scene)?;
        Ok(versions::object_among(&versions).map(|version| version.id.clone()))
    }

    /// Whether a PUT that succeeded made the object. If that cannot be found out now, the PUT counts as one that may have acted.
    fn settle(&self, scene: Scene<'_>, reply: &Reply) -> Result<Created, StoreError> {
        let settled = self.version_in(scene, reply).and_then(|made| match made {
            None => Ok(Created::New),
            Some(made) => self.settle_version(scene, &made),
        });
        settled.map_err(|error| match error.kind.is_transient() {
            true => StoreError { kind: StoreErrorKind::Interrupted, ..error },
            false => error,
        })
    }

    /// Whether the version that was just made is the object; one that is not goes again, if these credentials may delete.
    fn settle_version(&self, scene: Scene<'_>, made: &str) -> Result<Created, StoreError> {
        if self.object_version(scene)?.as_deref() == Some(made) {
            self.versions.remember(scene.object, made);
            return Ok(Created::New);
        }
        let _ = self.ask(scene, Method::DELETE, Some(made), None, Want::Head);
        Ok(Created::Exists)
    }

    /// Deletes all versions, the object last: until then it is what is read.
    fn delete_versions(&self, scene: Scene<'_>) -> Result<bool, StoreError> {
        let versions = self.versions_of(scene)?;
        let was_there = versions::object_among(&versions).is_some();
        for version in &versions {
            let reply = self.ask(scene, Method::DELETE, Some(&version.id), None, Want::Head)?;
            if !reply.is_success() && reply.status != 404 {
                return Err(scene.fail(answer::failure(&reply)));
            }
        }
        self.versions.forget(scene.object);
        Ok(was_there)
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
            let reply = self.read(scene, Method::GET, range, Want::Object(span))?;
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
            _ if reply.is_success() => self.settle(scene, &reply),
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
        if self.keeps_versions(scene)? {
            let marker =
                Marker { key: token.unwrap_or_default().to_owned(), version: String::new() };
            let part = self.some_versions(scene, prefix, marker)?;
            return Ok(versions::page(&part, &self.root, prefix));
        }
        let query = listing::query(&format!("{}{prefix}", self.root), token);
        let xml = self.ask_bucket(scene, &query, listing::MAX_PAGE)?;
        let unexpected = StoreErrorKind::UnexpectedAnswer("no listing");
        let page = listing::parse(&xml, &self.root, prefix);
        page.ok_or_else(|| scene.of_kind(unexpected))
    }

    /// S3 does not tell whether it deleted anything, so that it is asked before. Of two that delete
    /// at once both may be told that it was there; so is who may delete but not read.
    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let scene = self.scene(Op::Delete, name);
        if self.keeps_versions(scene)? {
            return self.delete_versions(scene);
        }
        match self.head(Op::Delete, name) {
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) if error.kind != StoreErrorKind::PermissionDenied => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let reply = self.ask(scene, Method::DELETE, None, None, Want::Head)?;
        match reply.status {
            200 | 202 | 204 => Ok(true),
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
