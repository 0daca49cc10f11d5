//! A decorator that fails on purpose, for the crash tests of everything above a store.

use std::io;
use std::sync::{Arc, Mutex};

use crate::backend::{Backend, Character, Span};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind, lock};

/// When which operation fails, and how. The first rule that applies decides; every rule counts
/// every operation it matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The rules, in order of precedence.
    pub rules: Vec<FaultRule>,
}

/// One reason to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// Which operations it is about.
    pub op: OpMatch,
    /// Which objects (for listings: prefixes) it is about; a barrier has the empty name.
    pub name: NameMatch,
    /// Which of the matching operations fail.
    pub when: Occurrence,
    /// What happens.
    pub effect: Effect,
}

/// Matches operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpMatch {
    /// Every operation.
    Any,
    /// Creates, deletes and barriers.
    Mutating,
    /// This one.
    Only(Op),
}

/// Matches names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameMatch {
    /// Every name.
    Any,
    /// Names that start so.
    Prefix(String),
    /// Names that contain this.
    Contains(String),
}

/// Matches occurrences; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// Only the nth.
    Nth(u64),
    /// The nth and all later ones.
    From(u64),
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The operation does nothing and fails so.
    Fail(StoreErrorKind),
    /// The operation happens, but its caller gets an error (kind `Io`).
    FailAfterActing,
    /// The operation does nothing; it and every later operation fail (kind `Io`).
    CrashFromHere,
    /// The operation happens; its caller gets an error, and every later operation fails.
    CrashAfterActing,
    /// A create leaves only the first n bytes in the object, as a power cut may for objects
    /// without a barrier; it and every later operation fail. Otherwise as `CrashFromHere`.
    Torn(usize),
    /// A read of a whole object brings only its first n bytes and says that this is all, as a bad
    /// proxy may. Every other operation is as it should be.
    CutShort(usize),
}

impl FaultPlan {
    /// A plan of one rule; add more to `rules`.
    pub fn of(op: OpMatch, name: NameMatch, when: Occurrence, effect: Effect) -> Self {
        let rule = FaultRule { op, name, when, effect };
        Self { rules: vec![rule] }
    }

    /// The crash before the nth mutating operation (from 1): with n from 1 up, every place at
    /// which a program can die between changes.
    pub fn crash_before_change(n: u64) -> Self {
        let when = Occurrence::Nth(n);
        Self::of(OpMatch::Mutating, NameMatch::Any, when, Effect::CrashFromHere)
    }
}

impl FaultRule {
    fn matches(&self, op: Op, name: &str) -> bool {
        let op_matches = match self.op {
            OpMatch::Any => true,
            OpMatch::Mutating => op.is_mutating(),
            OpMatch::Only(only) => op == only,
        };
        op_matches
            && match &self.name {
                NameMatch::Any => true,
                NameMatch::Prefix(prefix) => name.starts_with(prefix),
                NameMatch::Contains(part) => name.contains(part),
            }
    }
}

impl Occurrence {
    fn includes(self, count: u64) -> bool {
        match self {
            Self::Nth(n) => count == n,
            Self::From(n) => count >= n,
        }
    }
}

struct Progress {
    crashed: bool,
    /// How often each rule matched.
    counts: Vec<u64>,
}

pub(crate) struct Faulty {
    inner: Arc<dyn Backend>,
    plan: FaultPlan,
    progress: Mutex<Progress>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Backend>, plan: FaultPlan) -> Self {
        let progress = Mutex::new(Progress { crashed: false, counts: vec![0; plan.rules.len()] });
        Self { inner, plan, progress }
    }

    /// Counts the operation and tells what is to happen to it.
    fn effect(&self, op: Op, name: &str) -> Option<Effect> {
        let mut progress = lock(&self.progress);
        if progress.crashed {
            return Some(Effect::CrashFromHere);
        }
        let mut chosen = None;
        for (rule, count) in self.plan.rules.iter().zip(&mut progress.counts) {
            if rule.matches(op, name) {
                *count += 1;
                let applies = rule.when.includes(*count);
                chosen = chosen.or(applies.then_some(rule.effect));
            }
        }
        progress.crashed = matches!(
            chosen,
            Some(Effect::CrashFromHere | Effect::CrashAfterActing | Effect::Torn(_))
        );
        chosen
    }

    fn failure(&self, op: Op, name: &str, kind: StoreErrorKind) -> StoreError {
        StoreError::new(op, self.location(), name, kind)
            .because(io::Error::other("failed as the fault plan says"))
    }

    /// Runs `act` as the plan lets it; `tear` does what is left of it in a torn operation.
    fn run<T>(
        &self,
        op: Op,
        name: &str,
        act: impl FnOnce() -> Result<T, StoreError>,
        tear: impl FnOnce(usize) -> Result<(), StoreError>,
    ) -> Result<T, StoreError> {
        self.suffer(self.effect(op, name), op, name, act, tear)
    }

    fn suffer<T>(
        &self,
        effect: Option<Effect>,
        op: Op,
        name: &str,
        act: impl FnOnce() -> Result<T, StoreError>,
        tear: impl FnOnce(usize) -> Result<(), StoreError>,
    ) -> Result<T, StoreError> {
        let kind = match effect {
            None | Some(Effect::CutShort(_)) => return act(),
            Some(Effect::Fail(kind)) => kind,
            Some(Effect::CrashFromHere) => StoreErrorKind::Io,
            Some(Effect::FailAfterActing | Effect::CrashAfterActing) => {
                act()?;
                StoreErrorKind::Io
            }
            Some(Effect::Torn(len)) => {
                tear(len)?;
                StoreErrorKind::Io
            }
        };
        Err(self.failure(op, name, kind))
    }

    fn run_whole<T>(
        &self,
        op: Op,
        name: &str,
        act: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(op, name, act, |_| Ok(()))
    }
}

impl Backend for Faulty {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.run_whole(Op::Size, name, || self.inner.size(name))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let effect = self.effect(Op::Get, name);
        let mut bytes =
            self.suffer(effect, Op::Get, name, || self.inner.get(name, span), |_| Ok(()))?;
        if let (Some(Effect::CutShort(len)), Span::All) = (effect, span) {
            bytes.truncate(len);
        }
        Ok(bytes)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.run_whole(Op::Get, name, || self.inner.read_into(name, offset, buffer))
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        let write = |bytes| self.inner.create(name, bytes, durability);
        let tear = |len| write(bytes.get(..len).unwrap_or(bytes)).map(drop);
        self.run(Op::Create, name, || write(bytes), tear)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.run_whole(Op::List, prefix, || self.inner.list(prefix))
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.run_whole(Op::Delete, name, || self.inner.delete(name))
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.run_whole(Op::Barrier, "", || self.inner.barrier())
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn character(&self) -> Character {
        self.inner.character()
    }
}
