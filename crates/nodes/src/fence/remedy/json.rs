//! Raises numbers in a JSON file. What is higher stays, and so does everything else in it.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::Failure;
use super::apply::write;
use crate::error::Error;
use crate::fence::mark::{Mark, Signed, Value};
use crate::fence::read::whole_number;

/// Numbers at or above this are not kept exactly when a document is read and written.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// Raises each mark's number at a pointer; says from where to where.
pub(super) fn raise(file: &Path, pointer: &str, targets: &[Mark]) -> Result<Vec<String>, Failure> {
    let damaged = |reason: String| Error::Damaged { path: file.to_owned(), reason };
    let bytes = std::fs::read(file).map_err(Error::file(file, "reading"))?;
    let mut document: Json =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if !is_exact(&document) {
        let reason =
            "has a number that is too large to be written back exactly; raise the marks by hand"
                .to_owned();
        return Err(damaged(reason).into());
    }
    let mut said = Vec::new();
    for mark in targets {
        said.extend(one(&mut document, pointer, mark).map_err(damaged)?);
    }
    let mut text =
        serde_json::to_vec_pretty(&document).map_err(|error| damaged(error.to_string()))?;
    text.push(b'\n');
    write(file, &text)?;
    Ok(said)
}

fn one(document: &mut Json, pointer: &str, mark: &Mark) -> Result<Option<String>, String> {
    let place =
        document.pointer_mut(pointer).ok_or_else(|| format!("there is nothing at `{pointer}`"))?;
    match (&mark.value, place) {
        (Value::Signed(signed), Json::Object(members)) => sign(members, *signed),
        (Value::Number(number), Json::Object(members)) => {
            let is_text = members.values().next().is_some_and(Json::is_string);
            let kept = members.entry(mark.key.clone()).or_insert_with(|| like(is_text, 0));
            Ok(lift(kept, *number)?.map(|from| format!("{}: {from} -> {number}", mark.key)))
        }
        (Value::Number(number), kept) => {
            Ok(lift(kept, *number)?.map(|from| format!("{from} -> {number}")))
        }
        (Value::Signed(_) | Value::Content(_) | Value::Slashing(_), _) => {
            Err(format!("what is at `{pointer}` is no number that can be raised"))
        }
    }
}

/// What it was, if it was lower.
fn lift(kept: &mut Json, number: u64) -> Result<Option<u64>, String> {
    let from =
        whole_number(kept).ok_or_else(|| "what should be raised is no whole number".to_owned())?;
    if from >= number {
        return Ok(None);
    }
    *kept = like(kept.is_string(), number);
    Ok(Some(from))
}

/// Height, round and step together. The signature that belonged to the older ones goes: nothing may be signed again by it.
fn sign(members: &mut Map<String, Json>, to: Signed) -> Result<Option<String>, String> {
    let member = |name: &str| {
        members
            .get(name)
            .and_then(whole_number)
            .ok_or_else(|| format!("`{name}` is no whole number"))
    };
    let from = Signed { height: member("height")?, round: member("round")?, step: member("step")? };
    if from >= to {
        return Ok(None);
    }
    for (name, number) in [("height", to.height), ("round", to.round), ("step", to.step)] {
        let is_text = members.get(name).is_some_and(Json::is_string);
        members.insert(name.to_owned(), like(is_text, number));
    }
    for old in ["signature", "signbytes"] {
        members.shift_remove(old);
    }
    Ok(Some(format!(
        "height {}, round {}, step {} -> height {}, round {}, step {}",
        from.height, from.round, from.step, to.height, to.round, to.step
    )))
}

fn like(is_text: bool, number: u64) -> Json {
    if is_text { Json::from(number.to_string()) } else { Json::from(number) }
}

fn is_exact(value: &Json) -> bool {
    match value {
        Json::Number(number) => {
            !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() < INEXACT)
        }
        Json::Array(items) => items.iter().all(is_exact),
        Json::Object(members) => members.values().all(is_exact),
        Json::Null | Json::Bool(_) | Json::String(_) => true,
    }
}
