//! Buckets that keep versions. There the *oldest* version of a key, since it was last deleted, is the object: whoever may create may
//! add versions, but never an older one. So nobody overwrites, and of many that create at once one has made the object, also on
//! stores that ignore `If-None-Match` in such buckets, as Ceph's gateway 16 does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::backend::Page;
use crate::{Object, lock, name};

use super::encoded;
use super::listing::decoded;
use super::xml::each_element;

/// A thousand keys of 1024 bytes, all of them escaped, and what stands around them.
pub(super) const MAX_PART: usize = 8 << 20;
/// Keys whose oldest version is remembered; then all are forgotten.
const REMEMBERED: usize = 65_536;

/// What is known of a bucket's versions.
#[derive(Default)]
pub(super) struct Versions {
    mode: Mutex<Mode>,
    oldest: Mutex<HashMap<String, String>>,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nobody asked yet.
    #[default]
    Unknown,
    /// It says that it does not, or knows no versions. Ids in its answers mean nothing then: Garage sends some.
    None,
    /// Who asks may not know: the first answer that names a version tells.
    Untold,
    /// It does.
    Kept,
}

impl Versions {
    pub(super) fn mode(&self) -> Mode {
        *lock(&self.mode)
    }

    pub(super) fn found(&self, mode: Mode) {
        *lock(&self.mode) = mode;
    }

    fn oldest(&self) -> MutexGuard<'_, HashMap<String, String>> {
        lock(&self.oldest)
    }

    /// The version that is the object, if it was looked up before.
    pub(super) fn remembered(&self, name: &str) -> Option<String> {
        self.oldest().get(name).cloned()
    }

    pub(super) fn remember(&self, name: &str, version: &str) {
        let mut oldest = self.oldest();
        if oldest.len() >= REMEMBERED {
            oldest.clear();
        }
        oldest.insert(name.to_owned(), version.to_owned());
    }

    pub(super) fn forget(&self, name: &str) {
        self.oldest().remove(name);
    }
}

/// Whether an answer to `?versioning` says that versions are, or were, kept.
pub(super) fn says_kept(xml: &[u8]) -> Option<bool> {
    let mut is_kept = false;
    each_element(xml, |path, text| {
        if path == "VersioningConfiguration/Status" {
            is_kept = matches!(text.trim(), "Enabled" | "Suspended");
        }
    })?;
    Some(is_kept)
}

/// A version of a key, or the mark that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) key: String,
    pub(super) id: String,
    /// In bytes; `None` for a delete marker.
    pub(super) size: Option<u64>,
}

/// Where the next part of a listing begins: behind a key, or behind a version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) key: String,
    pub(super) version: String,
}

/// A part of a listing of versions: keys ascending, the versions of each from the newest to the oldest.
pub(super) struct Part {
    pub(super) versions: Vec<Version>,
    pub(super) next: Option<Marker>,
}

/// The query that asks for the part behind `marker` of the keys that start with `prefix`.
pub(super) fn query(prefix: &str, marker: &Marker) -> String {
    let mut query = "encoding-type=url".to_owned();
    if !marker.key.is_empty() {
        query += &format!("&key-marker={}", encoded(&marker.key));
    }
    query += &format!("&prefix={}", encoded(prefix));
    if !marker.version.is_empty() {
        query += &format!("&version-id-marker={}", encoded(&marker.version));
    }
    query + "&versions="
}

/// Reads a part of a listing; `None` if it is none.
pub(super) fn parse(xml: &[u8]) -> Option<Part> {
    let mut versions = Vec::new();
    let (mut key, mut id, mut size) = (None, None, None);
    let (mut is_truncated, mut next) = (None, Marker::default());
    let (mut is_encoded, mut is_sound) = (false, true);
    each_element(xml, |path, text| match path.strip_prefix("ListVersionsResult/") {
        Some("Version/Key" | "DeleteMarker/Key") => key = Some(text.to_owned()),
        Some("Version/VersionId" | "DeleteMarker/VersionId") => id = Some(text.to_owned()),
        Some("Version/Size") => size = text.trim().parse().ok(),
        Some(kind @ ("Version" | "DeleteMarker")) => {
            let size = size.take().filter(|_| kind == "Version");
            is_sound &= size.is_some() == (kind == "Version");
            match key.take().zip(id.take()) {
                Some((key, id)) => versions.push(Version { key, id, size }),
                None => is_sound = false,
            }
        }
        Some("IsTruncated") => is_truncated = text.trim().parse().ok(),
        Some("NextKeyMarker") => next.key = text.to_owned(),
        Some("NextVersionIdMarker") => next.version = text.to_owned(),
        Some("EncodingType") => is_encoded = text.trim() == "url",
        _ => {}
    })?;
    let plain = |key: &str| if is_encoded { decoded(key) } else { Some(key.to_owned()) };
    for version in &mut versions {
        version.key = plain(&version.key)?;
    }
    next.key = plain(&next.key)?;
    let next = match is_truncated? {
        false => None,
        true if versions.is_empty() || next.key.is_empty() => return None,
        true => Some(next),
    };
    is_sound.then_some(Part { versions, next })
}

/// The version that is the object: the oldest that is newer than every delete marker. `versions` are those of one key, newest first.
pub(super) fn object_among(versions: &[Version]) -> Option<&Version> {
    versions.iter().take_while(|version| version.size.is_some()).last()
}

/// The objects below `root` (empty, or ending with a slash) among versions of several keys, whose names start with `prefix`.
pub(super) fn objects(versions: &[Version], root: &str, prefix: &str) -> Vec<Object> {
    let of_keys = versions.chunk_by(|a, b| a.key == b.key);
    let found = of_keys.filter_map(|versions| {
        let object = object_among(versions)?;
        let name = object.key.strip_prefix(root)?;
        let is_ours = name.starts_with(prefix) && name::is_valid(name);
        is_ours.then(|| Object { name: name.to_owned(), size: object.size.unwrap_or(0) })
    });
    found.collect()
}

/// Whether the versions are all of one key, so that more of them may follow in the next part.
pub(super) fn is_one_key(versions: &[Version]) -> bool {
    versions.windows(2).all(|pair| pair[0].key == pair[1].key)
}

/// A part of a listing as objects. The versions of its last key may go on in the next part: that key is left to a page that begins with it.
pub(super) fn page(part: &Part, root: &str, prefix: &str) -> Page {
    let versions = &part.versions;
    let (whole, next) = match (&part.next, versions.last()) {
        (Some(_), Some(last)) => {
            let before = versions.iter().rposition(|version| version.key != last.key);
            let whole = before.map_or(0, |at| at + 1);
            (whole, before.map(|at| versions[at].key.clone()))
        }
        _ => (versions.len(), None),
    };
    Page { objects: objects(&versions[..whole], root, prefix), next }
}

#[cfg(test)]
mod tests;
