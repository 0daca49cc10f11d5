//! Names of objects: made and read by the same rules.

use nodekeep_repo::id::{MemberId, ObjectHash, PackId, SessionId};
use nodekeep_repo::names::{self, InGeneration, Role};
use nodekeep_repo::pack::PackKind;
use proptest::prelude::*;

#[test]
fn names_are_spelled_as_specified() {
    let (member, session) = (MemberId([0xab; 16]), SessionId([1; 16]));
    let hash = ObjectHash([0xcd; 32]);
    let m = "ab".repeat(16);
    let s = "01".repeat(16);
    let h = "cd".repeat(32);
    let cases = [
        (names::roster(1), "r/00000001".to_owned()),
        (names::checkpoint(255), "c/000000ff".to_owned()),
        (names::doomed(16), "x/00000010.doomed".to_owned()),
        (names::collection_outcome(16), "x/00000010.outcome".to_owned()),
        (names::generation(10), "g/0000000a/".to_owned()),
        (names::envelope(&hash), format!("k/{h}")),
        (names::segment(&member, &hash), format!("w/{m}/i/{h}")),
        (names::pack(&member, PackKind::Data, &PackId(hash.0)), format!("w/{m}/d/cd/{h}")),
        (names::pack(&member, PackKind::Tree, &PackId(hash.0)), format!("w/{m}/t/cd/{h}")),
        (names::session(2, &member, &session), format!("g/00000002/{m}.{s}.session")),
        (
            names::progress(2, &member, &session, 31),
            format!("g/00000002/{m}.{s}.progress.0000001f"),
        ),
        (names::outcome(2, &member, &session), format!("g/00000002/{m}.{s}.outcome")),
        (names::deletion(2, &member, &session), format!("g/00000002/{m}.{s}.deleted")),
    ];
    for (made, expected) in cases {
        assert_eq!(made, expected);
    }
}

#[test]
fn strange_names_are_nobodys() {
    let m = "ab".repeat(16);
    let s = "01".repeat(16);
    let h = "cd".repeat(32);
    for name in [
        format!("g/00000002/{m}.{s}.session.x"),
        format!("g/00000002/{m}.{s}"),
        format!("g/00000002/{m}.{s}.progress"),
        format!("g/00000002/{m}.{s}.progress.1"),
        format!("g/00000002/{m}.{s}.progress.00000001.0"),
        format!("g/00000002/{m}.{s}.other"),
        format!("g/0000000A/{m}.{s}.session"),
        format!("g/2/{m}.{s}.session"),
        format!("g/+0000002/{m}.{s}.session"),
        format!("g/00000002/{}.{s}.session", m.to_uppercase()),
        format!("g/00000002/a/{m}.{s}.session"),
        format!("g/00000002/{m}.{s}1.session"),
        "g/".to_owned(),
        String::new(),
    ] {
        assert_eq!(names::parse_in_generation(&name), None, "{name}");
    }
    for name in [
        format!("w/{m}/d/ce/{h}"),
        format!("w/{m}/x/cd/{h}"),
        format!("w/{m}/d/{h}"),
        format!("w/{m}/d/cd/{h}/"),
        format!("/w/{m}/d/cd/{h}"),
        format!("w/{m}/d/cd/{}", &h[2..]),
    ] {
        assert_eq!(names::parse_pack(&name), None, "{name}");
    }
    for name in [
        format!("w/{m}/d/{h}"),
        format!("w/{m}/i/{h}/x"),
        format!("w/{m}/i/"),
        format!("w/{}/i/{h}", &m[1..]),
    ] {
        assert_eq!(names::parse_segment(&name), None, "{name}");
    }
    for name in [
        "r/1",
        "r/+0000001",
        "r/0000000g",
        "r/000000001",
        "c/00000001",
        "r/00000001.x",
        "r/0000000A",
    ] {
        assert_eq!(names::number(name, "r/", ""), None, "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_made_is_read(generation: u32, member: [u8; 16], session: [u8; 16], k: u32, hash: [u8; 32], tree: bool) {
        let (member, session) = (MemberId(member), SessionId(session));
        let (g, k) = (u64::from(generation), u64::from(k));
        let read = |name: String| names::parse_in_generation(&name).unwrap();
        let place = |role| InGeneration { generation: g, member, session, role };
        prop_assert_eq!(read(names::session(g, &member, &session)), place(Role::Session));
        prop_assert_eq!(read(names::progress(g, &member, &session, k)), place(Role::Progress(k)));
        prop_assert_eq!(read(names::outcome(g, &member, &session)), place(Role::Outcome));
        prop_assert_eq!(read(names::deletion(g, &member, &session)), place(Role::Deleted));
        let kind = if tree { PackKind::Tree } else { PackKind::Data };
        let pack = PackId(hash);
        prop_assert_eq!(names::parse_pack(&names::pack(&member, kind, &pack)), Some((member, kind, pack)));
        let segment = names::segment(&member, &ObjectHash(hash));
        prop_assert_eq!(names::parse_segment(&segment), Some((member, ObjectHash(hash))));
        prop_assert_eq!(names::parse_pack(&segment), None);
        prop_assert_eq!(names::number(&names::roster(g), "r/", ""), Some(g));
        prop_assert_eq!(names::number(&names::doomed(g), "x/", ".doomed"), Some(g));
        prop_assert_eq!(names::number(&names::doomed(g), "x/", ".outcome"), None);
    }

    #[test]
    fn any_name_is_read_or_not(name in "\\PC{0,100}|[gw]/[0-9a-f./dit]{0,120}") {
        let _ = (names::parse_in_generation(&name), names::parse_pack(&name), names::parse_segment(&name));
    }
}
