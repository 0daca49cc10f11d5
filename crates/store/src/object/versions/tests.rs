//! Versions of keys: which one is the object, and how their listings are read.

use super::*;

fn part(content: &str) -> Option<Part> {
    let xml = format!(
        "<ListVersionsResult><EncodingType>url</EncodingType>{content}</ListVersionsResult>"
    );
    parse(xml.as_bytes())
}

fn version(key: &str, id: &str, size: u64) -> String {
    format!("<Version><Key>{key}</Key><VersionId>{id}</VersionId><Size>{size}</Size></Version>")
}

fn marker(key: &str, id: &str) -> String {
    format!("<DeleteMarker><Key>{key}</Key><VersionId>{id}</VersionId></DeleteMarker>")
}

const LAST: &str = "<IsTruncated>false</IsTruncated>";

fn names(objects: &[Object]) -> Vec<(&str, u64)> {
    objects.iter().map(|object| (object.name.as_str(), object.size)).collect()
}

#[test]
fn the_oldest_version_since_the_last_deletion_is_the_object() {
    let content = [
        version("p/c/1", "new", 9),
        version("p/c/1", "old", 1),
        version("p/c/2", "only", 2),
        marker("p/c/3", "gone"),
        version("p/c/3", "before", 3),
        version("p/c/4", "again", 8),
        version("p/c/4", "after", 4),
        marker("p/c/4", "gone"),
        version("p/c/4", "before", 5),
        version("q/c/5", "other", 5),
    ];
    let part = part(&(content.concat() + LAST)).unwrap();
    let page = page(&part, "p/", "c/");
    assert_eq!(names(&page.objects), [("c/1", 1), ("c/2", 2), ("c/4", 4)]);
    assert_eq!(page.next, None);
    let of_four: Vec<Version> =
        part.versions.iter().filter(|version| version.key == "p/c/4").cloned().collect();
    assert_eq!(object_among(&of_four).unwrap().id, "after");
    assert_eq!(object_among(&[]), None);
}

#[test]
fn a_key_at_the_end_of_a_part_is_left_to_the_next() {
    let more = "<IsTruncated>true</IsTruncated><NextKeyMarker>p/c/2</NextKeyMarker><NextVersionIdMarker>b</NextVersionIdMarker>";
    let content = version("p/c/1", "a", 1) + &version("p/c/2", "c", 3) + &version("p/c/2", "b", 2);
    let part = part(&(content + more)).unwrap();
    assert_eq!(part.next, Some(Marker { key: "p/c/2".into(), version: "b".into() }));
    let page = page(&part, "p/", "");
    assert_eq!(names(&page.objects), [("c/1", 1)]);
    assert_eq!(page.next.as_deref(), Some("p/c/1"));
    assert!(!is_one_key(&part.versions) && is_one_key(&part.versions[1..]));
}

#[test]
fn queries_stand_in_the_order_that_signatures_need() {
    let marker = Marker { key: "a b".into(), version: "x/y".into() };
    assert_eq!(
        query("p/", &marker),
        "encoding-type=url&key-marker=a%20b&prefix=p%2F&version-id-marker=x%2Fy&versions="
    );
    assert_eq!(query("p/", &Marker::default()), "encoding-type=url&prefix=p%2F&versions=");
}

#[test]
fn what_is_no_listing_is_refused() {
    let bad = [
        String::new(),
        "<IsTruncated>true</IsTruncated>".to_owned(),
        version("a", "b", 1) + "<IsTruncated>true</IsTruncated>",
        format!("<Version><Key>a</Key><VersionId>b</VersionId></Version>{LAST}"),
        format!("<Version><Key>a</Key><Size>1</Size></Version>{LAST}"),
        format!("{}{LAST}", version("%zz", "b", 1)),
    ];
    for content in bad {
        assert!(part(&content).is_none(), "{content}");
    }
}

#[test]
fn a_bucket_says_whether_it_keeps_versions() {
    let says = |status: &str| {
        let xml = format!("<VersioningConfiguration>{status}</VersioningConfiguration>");
        says_kept(xml.as_bytes())
    };
    assert_eq!(says("<Status>Enabled</Status>"), Some(true));
    assert_eq!(says("<Status>Suspended</Status>"), Some(true));
    assert_eq!(says(" "), Some(false));
    assert_eq!(says_kept(b"no xml"), None);
}
