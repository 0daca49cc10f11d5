//! Every route once: method, path, who may, what it takes and gives, and what answers it. The router and the OpenAPI document are made
//! of this table, so that neither can know more or less than the other.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer;
use crate::call::{Call, Reply};
use crate::gate::Needs;
use crate::problem::Problem;
use crate::token::Role;

/// What a type looks like as JSON.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
/// What answers; it may block.
pub type Work = Arc<dyn Fn(&Call) -> Result<Reply, Problem> + Send + Sync>;

/// A route.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` for its parts.
    pub path: &'static str,
    /// Who may.
    pub needs: Needs,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// What may follow the question mark.
    pub query: &'static [Param],
    /// What is sent.
    pub takes: Option<SchemaOf>,
    /// What comes back.
    pub gives: Gives,
    /// What answers.
    pub work: Work,
}

/// A name in the query.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// It.
    pub name: &'static str,
    /// Whether it must be there.
    pub needed: bool,
    /// What it says.
    pub about: &'static str,
}

/// What comes back.
#[derive(Clone, Copy)]
pub enum Gives {
    /// A document, with this status.
    Document(StatusCode, SchemaOf),
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Nothing.
    Nothing,
}

const fn optional(name: &'static str, about: &'static str) -> Param {
    Param { name, needed: false, about }
}

const fn needed(name: &'static str, about: &'static str) -> Param {
    Param { name, needed: true, about }
}

const LIMIT: Param = optional("limit", "How many items: 1 to 1000; 100 if nothing is said.");
const AFTER: Param = optional("after", "The `next` of the page before.");
const NODE: Param = optional("node", "Only of this node.");
const PATH: Param = needed("path", "Percent-encoded bytes of an absolute path.");
const FROM: Param = needed("from", "The id of the earlier snapshot.");
const TO: Param = needed("to", "The id of the later snapshot.");
const FOLDER: Param = Param { needed: false, ..PATH };
const AS: Param = optional("as", "`tar`: what is at the path as an archive.");

const READ: Needs = Needs::Token(Role::Read);

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    /// A document to look at.
    fn get<T: Serialize + JsonSchema + 'static>(
        path: &'static str,
        about: &'static str,
        query: &'static [Param],
        work: fn(&Call) -> Result<T, Problem>,
    ) -> Self {
        let gives = Gives::Document(StatusCode::OK, schema::<T>);
        let work = move |call: &Call| Reply::json(StatusCode::OK, &work(call)?);
        Self {
            method: Method::GET,
            path,
            needs: READ,
            about,
            query,
            takes: None,
            gives,
            work: Arc::new(work),
        }
    }

    /// Something to be done, with a document of what is meant.
    fn post<I: DeserializeOwned + JsonSchema + 'static, O: Serialize + JsonSchema + 'static>(
        path: &'static str,
        role: Role,
        status: StatusCode,
        about: &'static str,
        work: fn(&Call, I) -> Result<O, Problem>,
    ) -> Self {
        let answer = move |call: &Call| Reply::json(status, &work(call, call.sent()?)?);
        Self {
            method: Method::POST,
            path,
            needs: Needs::Token(role),
            about,
            query: &[],
            takes: Some(schema::<I>),
            gives: Gives::Document(status, schema::<O>),
            work: Arc::new(answer),
        }
    }

    /// Something to be done that its path says all of.
    fn act<O: Serialize + JsonSchema + 'static>(
        path: &'static str,
        role: Role,
        status: StatusCode,
        about: &'static str,
        work: fn(&Call) -> Result<O, Problem>,
    ) -> Self {
        let answer = move |call: &Call| Reply::json(status, &work(call)?);
        Self {
            method: Method::POST,
            path,
            needs: Needs::Token(role),
            about,
            query: &[],
            takes: None,
            gives: Gives::Document(status, schema::<O>),
            work: Arc::new(answer),
        }
    }

    /// Bytes.
    fn bytes(
        path: &'static str,
        about: &'static str,
        query: &'static [Param],
        kind: &'static str,
        work: fn(&Call) -> Result<Reply, Problem>,
    ) -> Self {
        let gives = Gives::Bytes(kind);
        Self {
            method: Method::GET,
            path,
            needs: READ,
            about,
            query,
            takes: None,
            gives,
            work: Arc::new(work),
        }
    }

    fn by_nobody(self) -> Self {
        Self { needs: Needs::Nobody, ..self }
    }
}

/// All of them.
pub fn all() -> Vec<Route> {
    [session(), overview(), snapshots(), history(), jobs(), schedules(), telling()].concat()
}

fn session() -> Vec<Route> {
    let begin = Route {
        method: Method::POST,
        path: "/api/v1/session",
        needs: Needs::Nobody,
        about: "Begins a session for a token: sets the cookie of the dashboard.",
        query: &[],
        takes: Some(schema::<answer::session::SignIn>),
        gives: Gives::Document(StatusCode::OK, schema::<answer::session::SessionDocument>),
        work: Arc::new(answer::session::begin),
    };
    let end = Route {
        method: Method::DELETE,
        takes: None,
        needs: READ,
        gives: Gives::Nothing,
        about: "Ends the session.",
        work: Arc::new(answer::session::end),
        ..begin.clone()
    };
    let live = Route::bytes(
        "/livez",
        "Says `ok` while the server answers.",
        &[],
        "text/plain",
        answer::session::live,
    );
    vec![
        begin,
        Route::get("/api/v1/session", "Who asks.", &[], answer::session::show),
        end,
        live.by_nobody(),
    ]
}

fn overview() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/overview",
            "Every node, the repository, machines, jobs and alerts in one glance.",
            &[],
            answer::overview::show,
        ),
        Route::get(
            "/api/v1/nodes/{name}",
            "One node, with the components of its newest snapshot and its marks.",
            &[],
            answer::overview::node,
        ),
        Route::bytes(
            "/api/v1/openapi.json",
            "This document.",
            &[],
            "application/json",
            answer::overview::openapi,
        )
        .by_nobody(),
        Route {
            needs: Needs::Figures,
            ..Route::bytes(
                "/metrics",
                "Figures for Prometheus; without a token where `http.metrics-open` is set.",
                &[],
                "text/plain",
                answer::overview::metrics,
            )
        },
    ]
}

/// What is told of the past.
fn history() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/diff",
            "What changed between two snapshots.",
            &[FROM, TO, AFTER, LIMIT],
            answer::diff::show,
        ),
        Route::get("/api/v1/growth", "Sizes over time.", &[NODE], answer::growth::show),
        Route::get(
            "/api/v1/certificates",
            "What drills found, newest first.",
            &[NODE, AFTER, LIMIT],
            answer::certificates::list,
        ),
        Route::get(
            "/api/v1/log",
            "What the daemon went through, newest first.",
            &[AFTER, LIMIT],
            answer::log::list,
        ),
    ]
}

fn jobs() -> Vec<Route> {
    let list = Route::get(
        "/api/v1/jobs",
        "Jobs of this machine, newest first.",
        &[AFTER, LIMIT],
        answer::jobs::list,
    );
    let events = Route::bytes(
        "/api/v1/events",
        "What goes on, as it happens: the events `job` (a Job), `overview` (ask again), `alert` (an AlertEvent) and `log` (a LogLine).",
        &[],
        "text/event-stream",
        crate::events::listen,
    );
    vec![
        list,
        Route::get("/api/v1/jobs/{id}", "One job, with its log.", &[], answer::jobs::show),
        Route::post(
            "/api/v1/plans",
            Role::Operate,
            StatusCode::OK,
            "Shows what would be done; nothing is. A restore needs the role admin.",
            answer::plans::make,
        ),
        Route::post(
            "/api/v1/jobs",
            Role::Operate,
            StatusCode::ACCEPTED,
            "Starts exactly what a plan showed.",
            answer::plans::confirm,
        ),
        Route::act(
            "/api/v1/jobs/{id}/stop",
            Role::Operate,
            StatusCode::OK,
            "Asks a job to end in good order.",
            answer::jobs::stop,
        ),
        events,
    ]
}

fn schedules() -> Vec<Route> {
    let list = Route::get(
        "/api/v1/schedules",
        "What is done when on this machine.",
        &[AFTER, LIMIT],
        answer::schedules::list,
    );
    vec![
        list,
        Route::act(
            "/api/v1/schedules/{name}/pause",
            Role::Operate,
            StatusCode::OK,
            "Begins nothing of it until it is resumed.",
            answer::schedules::pause,
        ),
        Route::act(
            "/api/v1/schedules/{name}/resume",
            Role::Operate,
            StatusCode::OK,
            "Lets it go on from now.",
            answer::schedules::resume,
        ),
        Route::act(
            "/api/v1/schedules/{name}/run",
            Role::Operate,
            StatusCode::ACCEPTED,
            "Runs its job before its moment.",
            answer::schedules::run,
        ),
    ]
}

/// Who is told of what.
fn telling() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/notifications",
            "Who is told of what, and whether they were.",
            &[],
            answer::notifications::show,
        ),
        Route::post(
            "/api/v1/notifications/test",
            Role::Operate,
            StatusCode::OK,
            "Sends a message by one channel, and says whether it was taken.",
            answer::notifications::test,
        ),
    ]
}

fn snapshots() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/snapshots",
            "Snapshots, newest first.",
            &[NODE, AFTER, LIMIT],
            answer::snapshots::list,
        ),
        Route::get("/api/v1/snapshots/{id}", "One snapshot.", &[], answer::snapshots::show),
        Route::get(
            "/api/v1/snapshots/{id}/tree",
            "What lies in a folder of a snapshot; without a path, what was backed up.",
            &[FOLDER, AFTER, LIMIT],
            answer::tree::list,
        ),
        Route::bytes(
            "/api/v1/snapshots/{id}/file",
            "The bytes of a file, or a folder as a tar archive.",
            &[PATH, AS],
            "application/octet-stream",
            answer::file::send,
        ),
    ]
}
