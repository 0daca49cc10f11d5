//! Object names: lower-case segments joined by slashes, harmless as paths everywhere.

/// Longest object name, in bytes.
pub(crate) const MAX_NAME: usize = 512;

/// Drafts on file systems without unnamed files; no object may look like one.
pub(crate) const DRAFT_PREFIX: &str = ".tmp-";

/// Whether `name` may name an object.
pub(crate) fn is_valid(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('/').all(is_valid_segment)
}

/// Whether `prefix` may start a name: its last segment may be unfinished or empty.
pub(crate) fn is_valid_prefix(prefix: &str) -> bool {
    let (folder, rest) = split(prefix);
    let folder_is_valid = !prefix.contains('/') || is_valid(folder);
    prefix.len() <= MAX_NAME && folder_is_valid && rest.bytes().all(is_allowed)
}

pub(crate) fn is_valid_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && !segment.starts_with(DRAFT_PREFIX)
        && segment.bytes().all(is_allowed)
}

/// Splits at the last slash into folder and rest; the folder of a plain name is empty.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'_' | b'-')
}
