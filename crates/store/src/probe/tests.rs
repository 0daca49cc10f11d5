//! Probes of stores that lie, and of credentials that may not everything.

use std::sync::Mutex;

use super::*;
use crate::backend::{Backend, Span};
use crate::{Effect, FaultPlan, NameMatch, Object, Occurrence, Op, OpMatch, lock};

/// How a store breaks its promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// As Garage does: the condition is not looked at.
    Overwrites,
    /// Tells the truth, and overwrites nevertheless.
    OverwritesSecretly,
    /// Keeps the first, and tells everybody that they made it.
    PraisesAll,
    /// Shows listings of before.
    ListsLate,
    /// Shows what was deleted.
    ListsDeleted,
}

struct Liar {
    inner: Store,
    lie: Lie,
    ever: Mutex<Vec<Object>>,
}

impl Backend for Liar {
    fn location(&self) -> &str {
        "liar"
    }
    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.inner.size(name)
    }
    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.inner.backend.get(name, span)
    }
    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.inner.read_into(name, offset, buffer)
    }
    fn create(&self, name: &str, bytes: &[u8], d: Durability) -> Result<Created, StoreError> {
        let mut ever = lock(&self.ever);
        let size = bytes.len() as u64;
        ever.push(Object { name: name.to_owned(), size });
        let overwrites = matches!(self.lie, Lie::Overwrites | Lie::OverwritesSecretly);
        let was_there = overwrites && self.inner.delete(name)?;
        let created = self.inner.create(name, bytes, d)?;
        Ok(match self.lie {
            Lie::Overwrites | Lie::PraisesAll => Created::New,
            Lie::OverwritesSecretly if was_there => Created::Exists,
            _ => created,
        })
    }
    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        match self.lie {
            Lie::ListsLate => Ok(Vec::new()),
            Lie::ListsDeleted => {
                let mut ever = lock(&self.ever).clone();
                ever.sort_unstable();
                ever.dedup_by(|a, b| a.name == b.name);
                Ok(ever)
            }
            _ => self.inner.list(prefix),
        }
    }
    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.inner.delete(name)
    }
    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn every_lie_is_found_and_nothing_stays() {
    let lies = |promise: &Honesty| matches!(promise, Honesty::Lies { .. });
    let cases = [
        (Lie::Overwrites, [true, true, false]),
        (Lie::OverwritesSecretly, [true, true, false]),
        (Lie::PraisesAll, [true, true, false]),
        (Lie::ListsLate, [false, false, true]),
        (Lie::ListsDeleted, [false, false, true]),
    ];
    for (lie, expected) in cases {
        let inner = Store::memory();
        let liar = Liar { inner: inner.clone(), lie, ever: Mutex::default() };
        let probe = Store::of(liar).probe().unwrap();
        let found = [&probe.create_if_absent, &probe.race, &probe.listing].map(lies);
        assert_eq!(found, expected, "{probe}");
        assert!(!probe.is_honest());
        assert!(probe.to_string().contains("NOT as promised"), "{probe}");
        assert_eq!(inner.list("").unwrap(), []);
    }
}

#[test]
fn honest_stores_pass() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::memory(), Store::local(folder.path())] {
        let probe = store.probe().unwrap();
        assert!(probe.is_honest(), "{probe}");
        assert_eq!(
            probe.to_string(),
            "creating only if absent: honest; 16 at once: honest; listings: honest\n\
             these credentials may create, read, list, delete"
        );
        assert_eq!(store.list("").unwrap(), []);
    }
}

fn denied(op: Op) -> (Store, Store) {
    let fail = Effect::Fail(StoreErrorKind::PermissionDenied);
    let plan = FaultPlan::of(OpMatch::Only(op), NameMatch::Any, Occurrence::From(1), fail);
    let inner = Store::memory();
    (inner.clone(), inner.with_faults(plan))
}

#[test]
fn missing_permissions_are_results() {
    let (inner, store) = denied(Op::Delete);
    let probe = store.probe().unwrap();
    assert_eq!(
        (probe.delete, probe.read, probe.left_behind.len()),
        (Allowed::Denied, Allowed::Yes, 2)
    );
    let left: Vec<_> = inner.list("").unwrap().into_iter().map(|object| object.name).collect();
    assert!(left.iter().all(|name| probe.left_behind.contains(name)), "{probe}");
    assert!(probe.is_honest() && probe.to_string().contains("not delete; left behind: probe/"));

    let (inner, store) = denied(Op::Get);
    let probe = store.probe().unwrap();
    assert_eq!((probe.read, probe.is_honest()), (Allowed::Denied, true));
    assert_eq!(inner.list("").unwrap(), []);

    let (inner, store) = denied(Op::List);
    let probe = store.probe().unwrap();
    assert_eq!((probe.list, &probe.listing), (Allowed::Denied, &Honesty::Unknown));
    assert_eq!(inner.list("").unwrap(), []);
}

#[test]
fn an_error_at_any_step_leaves_nothing() {
    for step in 1..40 {
        let inner = Store::memory();
        let fail = Effect::Fail(StoreErrorKind::Io);
        let plan = FaultPlan::of(OpMatch::Any, NameMatch::Any, Occurrence::Nth(step), fail);
        let result = inner.clone().with_faults(plan).probe();
        assert_eq!(inner.list("").unwrap(), [], "step {step}: {result:?}");
    }
    let (_, store) = denied(Op::Create);
    assert_eq!(store.probe().unwrap_err().kind, StoreErrorKind::PermissionDenied);
}
