//! `/session`: from a token to a cookie and back. `/livez`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::call::{Call, Reply};
use crate::gate;
use crate::problem::Problem;
use crate::session::{COOKIE, LASTS};
use crate::token::Role;

/// What is sent to sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// A token, as `nodekeep daemon token add` showed it.
    token: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionDocument {
    /// The token's name.
    name: String,
    /// What it may do.
    role: Role,
    /// What each change must send as `X-Nodekeep-Csrf`; null for a token without a session.
    csrf: Option<String>,
}

/// `POST /session`.
pub fn begin(call: &Call) -> Result<Reply, Problem> {
    let sent: SignIn = call.sent()?;
    let text = Zeroizing::new(sent.token);
    let token = gate::holder(&call.house, call.peer, text.trim())?;
    let (id, session) = call.house.sessions.begin(token.clone());
    let document = SessionDocument { name: token.name, role: token.role, csrf: Some(session.csrf) };
    call.house.library.prepare();
    let mut response = Reply::json(StatusCode::OK, &document)?.response();
    set_cookie(&mut response, call, &id, LASTS.as_secs())?;
    Ok(Reply::Whole(response))
}

/// `GET /session`.
pub fn show(call: &Call) -> Result<SessionDocument, Problem> {
    let who = call.who.as_ref().ok_or_else(|| Problem::failed("nobody asks"))?;
    let csrf = who.session.as_ref().map(|(_, csrf)| csrf.clone());
    Ok(SessionDocument { name: who.token.name.clone(), role: who.token.role, csrf })
}

/// `DELETE /session`.
pub fn end(call: &Call) -> Result<Reply, Problem> {
    if let Some((id, _)) = call.who.as_ref().and_then(|who| who.session.as_ref()) {
        call.house.sessions.end(id);
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_cookie(&mut response, call, "", 0)?;
    Ok(Reply::Whole(response))
}

fn set_cookie(response: &mut Response, call: &Call, id: &str, seconds: u64) -> Result<(), Problem> {
    let secure = if call.house.terms.tls.is_some() { "; Secure" } else { "" };
    let line =
        format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let line = HeaderValue::from_str(&line).map_err(|error| Problem::failed(error.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, line);
    Ok(())
}

/// `GET /livez`.
pub fn live(_: &Call) -> Result<Reply, Problem> {
    let mut response = Response::new("ok\n".into());
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::Whole(response))
}
