//! Two values of one thing: which numbers are lower, and what a value is with its numbers raised.

use std::collections::BTreeMap;

use super::Step;
use crate::fence::mark::{Content, Field, Last, Signatures, Signed, Value};

pub(super) fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Content(Content { files: 0, .. }))
}

/// Whether a counter never counted.
pub(super) fn is_unused(value: &Value) -> bool {
    matches!(value, Value::Number(0))
}

pub(super) fn lower_numbers(from: &Value, to: Option<&Value>) -> Vec<Step> {
    let lower = |(field, from): (Field, Option<u64>)| {
        let from = from?;
        let to = to.and_then(|to| to.number(field));
        let is_lower = to.is_none_or(|to| to < from);
        is_lower.then(|| Step::Number { field, from, to, by: from - to.unwrap_or(0) })
    };
    from.numbers().into_iter().filter_map(lower).collect()
}

/// Only the first number that is lower says something: those after it count from anew.
pub(super) fn lower_signed(from: &Signed, to: &Signed) -> Option<Step> {
    let pairs = [
        (Field::Height, from.height, to.height),
        (Field::Round, from.round, to.round),
        (Field::Step, from.step, to.step),
    ];
    let differing = pairs.into_iter().find(|(_, from, to)| from != to);
    let (field, from, to) = differing.filter(|(_, from, to)| to < from)?;
    Some(Step::Number { field, from, to: Some(to), by: from - to })
}

pub(super) fn lower_signatures(from: &Signatures, to: &Signatures) -> Vec<Step> {
    let one = |signed: &Signatures| Value::Slashing(signed.clone());
    let mut steps = lower_numbers(&one(from), Some(&one(to)));
    let lasts = [(Field::Target, &from.target, &to.target), (Field::Slot, &from.slot, &to.slot)];
    steps.extend(lasts.into_iter().filter_map(|(field, from, to)| other_root(field, from, to)));
    steps
}

fn other_root(field: Field, from: &Option<Last>, to: &Option<Last>) -> Option<Step> {
    let (from, to) = (from.as_ref()?, to.as_ref()?);
    // Without a root nothing may be signed again at this number, which is always right.
    let is_other = from.at == to.at && to.root.is_some() && from.root != to.root;
    is_other.then_some(Step::Root { field, at: from.at })
}

/// A value with some of its numbers raised. Never lower than it was.
pub(super) fn raise(value: &Value, to: &BTreeMap<Field, u64>) -> Value {
    let at = |field: Field, number: u64| to.get(&field).copied().unwrap_or(number).max(number);
    let last = |field: Field, last: &Option<Last>| {
        last.as_ref().map(|last| Last { at: at(field, last.at), root: None })
    };
    match value {
        Value::Number(number) => Value::Number(at(Field::Count, *number)),
        Value::Content(content) => Value::Content(*content),
        // The height after the last one that may have been signed: nothing of it was.
        Value::Signed(signed) => {
            let height = at(Field::Height, signed.height).saturating_add(1);
            Value::Signed(Signed { height, round: 0, step: 0 })
        }
        Value::Slashing(signed) => {
            let source = signed.source.map(|source| at(Field::Source, source));
            // A vote's source is never above its target.
            let mut target = last(Field::Target, &signed.target);
            if let Some(target) = &mut target {
                target.at = target.at.max(source.unwrap_or(0));
            }
            let slot = last(Field::Slot, &signed.slot);
            Value::Slashing(Signatures { chain: signed.chain.clone(), source, target, slot })
        }
    }
}
