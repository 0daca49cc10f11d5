//! Overlays, fault plans and recordings.

use nodekeep_store::{
    Created, Durability, Effect, FaultPlan, FaultRule, NameMatch, Occurrence, Op, OpMatch, Store,
    StoreErrorKind,
};

fn put(store: &Store, name: &str, bytes: &[u8]) -> Result<Created, StoreErrorKind> {
    let result = store.create(name, bytes, Durability::Visible);
    result.map_err(|error| error.kind)
}

fn memory_with(objects: &[(&str, &str)]) -> Store {
    let store = Store::memory();
    for (name, content) in objects {
        put(&store, name, content.as_bytes()).unwrap();
    }
    store
}

#[test]
fn an_overlay_reads_through_and_writes_on_top() {
    let top = memory_with(&[("a", "top")]);
    let middle = memory_with(&[("a", "middle"), ("b", "middle")]);
    let bottom = memory_with(&[("a", "bottom"), ("b", "bottom"), ("c", "b")]);
    let store = Store::overlay(top.clone(), vec![middle.clone(), bottom.clone()]);

    for (name, expected) in [("a", "top"), ("b", "middle"), ("c", "b")] {
        assert_eq!(store.get(name).unwrap(), expected.as_bytes());
        assert_eq!(store.size(name).unwrap(), expected.len() as u64);
        assert_eq!(put(&store, name, b"new"), Ok(Created::Exists));
    }
    let sizes: Vec<_> = store.list("").unwrap().into_iter().map(|o| (o.name, o.size)).collect();
    assert_eq!(sizes, [("a".into(), 3), ("b".into(), 6), ("c".into(), 1)]);

    assert_eq!(put(&store, "d", b"new"), Ok(Created::New));
    assert_eq!(top.list("").unwrap().len(), 2);
    assert!(store.delete("a").unwrap());
    assert!(!store.delete("c").unwrap());
    assert_eq!(store.get("a").unwrap(), b"middle");
    assert_eq!((middle.list("").unwrap().len(), bottom.list("").unwrap().len()), (2, 3));
}

#[test]
fn an_overlay_does_not_mistake_failure_for_absence() {
    let fail = Effect::Fail(StoreErrorKind::PermissionDenied);
    let plan = FaultPlan::of(OpMatch::Any, NameMatch::Any, Occurrence::From(1), fail);
    let store = Store::overlay(Store::memory(), vec![Store::memory().with_faults(plan)]);
    let denied = StoreErrorKind::PermissionDenied;
    assert_eq!(store.get("a").unwrap_err().kind, denied);
    assert_eq!(store.list("").unwrap_err().kind, denied);
    assert_eq!(put(&store, "a", b""), Err(denied));
}

/// Creates `c/1`, `c/2` and `c/3` under a plan and tells what came of it and what is there after.
fn three_creates(effect: Effect, when: Occurrence) -> (Vec<bool>, Vec<(String, u64)>) {
    let inner = Store::memory();
    let prefix = NameMatch::Prefix("c/".into());
    let plan = FaultPlan::of(OpMatch::Only(Op::Create), prefix, when, effect);
    let store = inner.clone().with_faults(plan);
    put(&store, "other", b"12345").unwrap();
    let results = ["c/1", "c/2", "c/3"].map(|name| put(&store, name, b"12345").is_ok());
    let left = inner.list("c/").unwrap();
    (results.into(), left.into_iter().map(|o| (o.name, o.size)).collect())
}

#[test]
fn effects_happen_at_their_occurrence() {
    let nth = Occurrence::Nth(2);
    let fail = Effect::Fail(StoreErrorKind::NoSpace);
    type Left = &'static [(&'static str, u64)];
    let cases: [(Effect, Occurrence, [bool; 3], Left); 6] = [
        (fail, nth, [true, false, true], &[("c/1", 5), ("c/3", 5)]),
        (fail, Occurrence::From(2), [true, false, false], &[("c/1", 5)]),
        (Effect::FailAfterActing, nth, [true, false, true], &[("c/1", 5), ("c/2", 5), ("c/3", 5)]),
        (Effect::CrashFromHere, nth, [true, false, false], &[("c/1", 5)]),
        (Effect::CrashAfterActing, nth, [true, false, false], &[("c/1", 5), ("c/2", 5)]),
        (Effect::Torn(2), nth, [true, false, false], &[("c/1", 5), ("c/2", 2)]),
    ];
    for (effect, when, succeeded, left) in cases {
        let left: Vec<_> = left.iter().map(|(name, size)| (name.to_string(), *size)).collect();
        let expected = (succeeded.to_vec(), left);
        assert_eq!(three_creates(effect, when), expected, "{effect:?} {when:?}");
    }
}

#[test]
fn a_crash_ends_reads_too_and_spares_the_store_below() {
    let inner = memory_with(&[("a", "x")]);
    let store = inner.clone().with_faults(FaultPlan::crash_before_change(2));
    assert_eq!(put(&store, "b", b""), Ok(Created::New));
    store.get("a").unwrap();
    store.barrier().unwrap_err();
    store.get("a").unwrap_err();
    store.list("").unwrap_err();
    store.delete("a").unwrap_err();
    assert_eq!(inner.list("").unwrap().len(), 2);
}

#[test]
fn the_first_rule_that_applies_decides() {
    let rule = |part: &str, kind| FaultRule {
        op: OpMatch::Any,
        name: NameMatch::Contains(part.into()),
        when: Occurrence::From(1),
        effect: Effect::Fail(kind),
    };
    let rules =
        vec![rule(".session", StoreErrorKind::NoSpace), rule("g/", StoreErrorKind::ReadOnly)];
    let store = Store::memory().with_faults(FaultPlan { rules });
    assert_eq!(put(&store, "g/1.session", b""), Err(StoreErrorKind::NoSpace));
    assert_eq!(put(&store, "g/1.outcome", b""), Err(StoreErrorKind::ReadOnly));
    assert_eq!(put(&store, "c/1", b""), Ok(Created::New));
}

#[test]
fn a_recording_has_every_operation() {
    let (store, recording) = Store::memory().recording();
    put(&store, "a", b"12345").unwrap();
    put(&store, "a", b"123").unwrap();
    store.get("a").unwrap();
    store.get_range("a", 1, 2).unwrap();
    store.read_into("a", 0, &mut [0; 4]).unwrap();
    store.get("b").unwrap_err();
    store.size("a").unwrap();
    store.list("g/").unwrap();
    store.barrier().unwrap();
    store.delete("a").unwrap();
    let made: Vec<_> =
        recording.operations().into_iter().map(|r| (r.op, r.name, r.bytes)).collect();
    let expected = [
        (Op::Create, "a", 5),
        (Op::Create, "a", 3),
        (Op::Get, "a", 5),
        (Op::Get, "a", 2),
        (Op::Get, "a", 4),
        (Op::Get, "b", 0),
        (Op::Size, "a", 0),
        (Op::List, "g/", 0),
        (Op::Barrier, "", 0),
        (Op::Delete, "a", 0),
    ];
    assert_eq!(made, expected.map(|(op, name, bytes)| (op, name.to_owned(), bytes)));
    assert_eq!((recording.count(Op::Get), recording.bytes(Op::Get)), (4, 11));
    recording.clear();
    assert_eq!(recording.count(Op::Get), 0);
}
