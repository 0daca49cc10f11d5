//! Whether an answer is as the OpenAPI document says: as much of JSON Schema as that document uses, and no more is let pass.

use nodekeep_http::openapi;
use serde_json::Value;

/// Fails if a document does not fit what a route is said to give.
pub fn check(method: &str, path: &str, status: u16, document: &Value) {
    let api = openapi::document();
    let operation = &api["paths"][path][method];
    assert!(operation.is_object(), "{method} {path} is not in the document");
    let responses = &operation["responses"];
    let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} gives no document with {status}");
    if let Err(why) = fits(&api, schema, document) {
        panic!("{method} {path}: {why}\n{document:#}");
    }
}

fn fits(api: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err("nothing fits".to_owned()) };
    };
    for (rule, wanted) in rules {
        match rule.as_str() {
            "$ref" => {
                let name = wanted.as_str().unwrap().trim_start_matches('#');
                fits(api, api.pointer(name).ok_or(format!("no {name}"))?, value)?;
            }
            "type" => type_fits(wanted, value)?,
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        fits(api, schema, value).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                if let Some(object) = value.as_object() {
                    let known = |name: &&String| wanted.get(*name).is_none();
                    let is_closed = !rules.contains_key("additionalProperties");
                    if let Some(name) = object.keys().find(known).filter(|_| is_closed) {
                        return Err(format!("{name} is not described"));
                    }
                }
            }
            "required" => {
                let mut names = wanted.as_array().unwrap().iter().filter_map(Value::as_str);
                if let Some(name) = names.find(|name| value.get(*name).is_none()) {
                    return Err(format!("{name} is missing"));
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(api, wanted, item).map_err(|why| format!("{at}: {why}"))?;
                }
            }
            "additionalProperties" => {
                if let (Some(object), true) = (value.as_object(), wanted.is_object()) {
                    object.values().try_for_each(|value| fits(api, wanted, value))?;
                }
            }
            "anyOf" | "oneOf" => {
                let any = wanted.as_array().unwrap();
                let tried: Vec<_> = any.iter().map(|schema| fits(api, schema, value)).collect();
                if tried.iter().all(Result::is_err) {
                    return Err(format!("none fits: {tried:?}"));
                }
            }
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                return Err(format!("{value} is none of {wanted}"));
            }
            "const" if wanted != value => return Err(format!("{value} is not {wanted}")),
            "minimum" if value.is_number() && value.as_f64() < wanted.as_f64() => {
                return Err(format!("{value} is too small"));
            }
            "enum" | "const" | "minimum" | "description" | "title" | "format" | "maximum" => {}
            other => return Err(format!("the check does not know the rule {other}")),
        }
    }
    Ok(())
}

fn type_fits(wanted: &Value, value: &Value) -> Result<(), String> {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match wanted {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{value} is no {wanted}")) }
}

#[test]
fn the_document_is_kept_as_a_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(path, openapi::text()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == openapi::text(),
        "openapi.json is old: INSTA_UPDATE=always cargo test -p nodekeep-http"
    );
}

#[test]
fn what_does_not_fit_is_seen() {
    let api = openapi::document();
    let schema = &api["components"]["schemas"]["ErrorDocument"];
    let good = serde_json::json!({ "error": { "code": "x", "message": "y", "hint": null } });
    assert_eq!(fits(&api, schema, &good), Ok(()));
    for bad in [
        serde_json::json!({ "error": { "code": "x", "message": "y" , "hint": 1 } }),
        serde_json::json!({ "error": { "code": "x", "hint": null } }),
        serde_json::json!({ "error": { "code": "x", "message": "y", "hint": null, "more": 1 } }),
        serde_json::json!([]),
    ] {
        assert!(fits(&api, schema, &bad).is_err(), "{bad}");
    }
}
