//! One part of a listing (ListObjectsV2), as bytes and as objects.

use crate::address::percent_decoded;
use crate::backend::Page;
use crate::{Object, name};

use super::encoded;
use super::xml::each_element;

/// A thousand keys of 1024 bytes, all of them escaped, and what stands around them.
pub(super) const MAX_PAGE: usize = 8 << 20;

/// The query that asks for the part after `token` of the keys that start with `prefix`.
pub(super) fn query(prefix: &str, token: Option<&str>) -> String {
    let mut query = format!("encoding-type=url&list-type=2&prefix={}", encoded(prefix));
    if let Some(token) = token {
        query = format!("continuation-token={}&{query}", encoded(token));
    }
    query
}

/// The objects below `root` (empty, or ending with a slash) whose names start with `prefix`. Keys
/// that are no names of objects are skipped: others may keep theirs in the same bucket.
pub(super) fn parse(xml: &[u8], root: &str, prefix: &str) -> Option<Page> {
    let mut keys: Vec<(String, u64)> = Vec::new();
    let (mut key, mut size) = (None, None);
    let (mut is_truncated, mut next) = (None, None);
    let (mut is_encoded, mut is_sound) = (false, true);
    each_element(xml, |path, text| match path {
        "ListBucketResult/Contents/Key" => key = Some(text.to_owned()),
        "ListBucketResult/Contents/Size" => size = text.trim().parse().ok(),
        "ListBucketResult/Contents" => match key.take().zip(size.take()) {
            Some(entry) => keys.push(entry),
            None => is_sound = false,
        },
        "ListBucketResult/IsTruncated" => is_truncated = text.trim().parse().ok(),
        "ListBucketResult/NextContinuationToken" => next = Some(text.to_owned()),
        "ListBucketResult/EncodingType" => is_encoded = text.trim() == "url",
        _ => {}
    })?;
    let next = match (is_truncated?, next) {
        (false, _) => None,
        (true, Some(next)) if !next.is_empty() => Some(next),
        (true, _) => return None,
    };
    let names = keys.into_iter().filter_map(|(key, size)| {
        let key = if is_encoded { decoded(&key)? } else { key };
        let name = key.strip_prefix(root)?;
        let is_ours = name.starts_with(prefix) && name::is_valid(name);
        is_ours.then(|| Object { name: name.to_owned(), size })
    });
    let objects = names.collect();
    is_sound.then_some(Page { objects, next })
}

/// Keys come as in a form: with `+` for a space.
pub(super) fn decoded(key: &str) -> Option<String> {
    String::from_utf8(percent_decoded(&key.replace('+', " "))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content: &str) -> Option<Page> {
        let xml = format!("<ListBucketResult>{content}</ListBucketResult>");
        parse(xml.as_bytes(), "My Node/", "c/")
    }

    fn entry(key: &str, size: &str) -> String {
        format!("<Contents><Key>{key}</Key><ETag>\"x\"</ETag><Size>{size}</Size></Contents>")
    }

    const LAST: &str = "<IsTruncated>false</IsTruncated>";

    #[test]
    fn foreign_keys_are_skipped_and_ours_named() {
        let keys = [
            "My+Node/c/1",
            "My%20Node%2Fc/2",
            "My+Node/c//3",
            "My+Node/C/4",
            "My+Node/d/5",
            "c/6",
            "My+Node/c/",
            "My+Node/c/%00",
            "My+Node/c/%ff",
            "My+Node/c/..",
            "My+Node/c/%zz",
        ];
        let entries: String = keys.iter().map(|key| entry(key, "7")).collect();
        let content = format!("{entries}{LAST}<EncodingType>url</EncodingType>");
        let Page { objects, next } = page(&content).unwrap();
        let names: Vec<_> = objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["c/1", "c/2"]);
        assert!(objects.iter().all(|object| object.size == 7));
        assert_eq!(next, None);
    }

    #[test]
    fn keys_are_taken_as_they_are_where_the_store_does_not_escape() {
        let Page { objects, .. } = page(&format!("{}{LAST}", entry("My Node/c/1", "1"))).unwrap();
        assert_eq!(objects.len(), 1);
    }

    #[test]
    fn a_truncated_page_names_the_next() {
        let more =
            "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>";
        assert_eq!(page(more).unwrap().next.as_deref(), Some("a&b"));
        assert_eq!(
            query("a b/", Some("a&b=")),
            "continuation-token=a%26b%3D&encoding-type=url&list-type=2&prefix=a%20b%2F"
        );
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let bad = [
            String::new(),
            "<IsTruncated>perhaps</IsTruncated>".to_owned(),
            "<IsTruncated>true</IsTruncated>".to_owned(),
            "<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>"
                .to_owned(),
            format!("{}{LAST}", entry("My Node/c/1", "-1")),
            format!("{}{LAST}", entry("My Node/c/1", "99999999999999999999")),
            format!("<Contents><Size>1</Size></Contents>{LAST}"),
        ];
        for content in bad {
            assert!(page(&content).is_none(), "{content}");
        }
        for xml in ["", "<html><body>Sign in</body></html>", "<Error><Code>x</Code></Error>"] {
            assert!(parse(xml.as_bytes(), "", "").is_none(), "{xml}");
        }
    }
}
