//! The OpenAPI document, made of the table of routes: what is answered is what is described.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::answer::alerts::AlertDocument;
use crate::answer::jobs::Job;
use crate::answer::log::LogLine;
use crate::gate::Needs;
use crate::problem::ErrorDocument;
use crate::route::{self, Gives, Route};
use crate::token::Role;

/// What is sent of alerts as an event.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what events carry")]
struct AlertEvent {
    /// What began.
    raised: Vec<AlertDocument>,
    /// Keys of what is over.
    cleared: Vec<String>,
}

/// The document.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in route::all() {
        let operation = operation(&route, &mut generator);
        let path = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    generator.subschema_for::<ErrorDocument>();
    // Events are no answers of their own, and are described beside.
    generator.subschema_for::<Job>();
    generator.subschema_for::<LogLine>();
    generator.subschema_for::<AlertEvent>();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nodekeep",
            "version": "1",
            "description": "What a daemon shows of its nodes, and what may be asked of it. Sizes are in bytes, durations in seconds, times RFC 3339 in UTC; what is not known is null.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A token of `nodekeep daemon token add`." },
                "session": { "type": "apiKey", "in": "cookie", "name": crate::session::COOKIE, "description": "What POST /api/v1/session gives. Changes need its `csrf` in the header X-Nodekeep-Csrf." }
            }
        }
    })
}

/// The same as the text of a file.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "summary": route.about,
        "operationId": name(route),
        "parameters": parameters(route),
        "responses": responses(route, generator),
        "x-role": match route.needs {
            Needs::Nobody => "nobody",
            Needs::Figures => Role::Read.word(),
            Needs::Token(role) => role.word(),
        },
    });
    if route.needs == Needs::Nobody {
        operation["security"] = json!([]);
    }
    if let Some(takes) = route.takes {
        let schema = takes(generator);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// `get-snapshots-id-tree`.
fn name(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1").replace(['{', '}'], "");
    format!("{}{}", route.method.as_str().to_lowercase(), path.replace(['/', '.'], "-"))
}

fn parameters(route: &Route) -> Vec<Value> {
    let parts = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let query = route.query.iter().map(|param| {
        let kind = if param.name == "limit" { "integer" } else { "string" };
        json!({
            "name": param.name,
            "in": "query",
            "required": param.needed,
            "description": param.about,
            "schema": { "type": kind },
        })
    });
    parts.chain(query).collect()
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let (status, answer) = match route.gives {
        Gives::Document(status, schema) => {
            let content = json!({ "application/json": { "schema": schema(generator) } });
            (status.as_u16(), json!({ "description": "The answer.", "content": content }))
        }
        Gives::Bytes(kind) => {
            let mut content = Map::new();
            content.insert(kind.to_owned(), json!({ "schema": { "type": "string" } }));
            (200, json!({ "description": "The bytes.", "content": content }))
        }
        Gives::Nothing => (204, json!({ "description": "Done." })),
    };
    let error = generator.subschema_for::<ErrorDocument>();
    let refused = json!({
        "description": "Why it is not answered as asked.",
        "content": { "application/json": { "schema": error } },
    });
    let mut responses = Map::new();
    responses.insert(status.to_string(), answer);
    responses.insert("default".to_owned(), refused);
    Value::Object(responses)
}
