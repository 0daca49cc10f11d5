//! Who is let in: the host that was asked for, the token or session, and what proves that a change is meant.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use jiff::Timestamp;

use crate::call::Who;
use crate::house::House;
use crate::problem::Problem;
use crate::session::COOKIE;
use crate::settings::Terms;
use crate::token::{Role, Token, TokenError};

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing.
    Nobody,
    /// A token of this role or more.
    Token(Role),
    /// A token that sees, or nothing where figures are open.
    Figures,
}

/// The header with what proves that a change is meant.
pub const CSRF: &str = "x-nodekeep-csrf";

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Refuses requests under a name that is not ours.
///
/// # Errors
/// 400 without a host, 421 for another's.
pub fn check_host(terms: &Terms, parts: &Parts) -> Result<(), Problem> {
    let host =
        host(parts).ok_or_else(|| Problem::usage("the request names no host, or several"))?;
    if terms.knows(host) {
        return Ok(());
    }
    let message = "this name is not one of this daemon's";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "not-allowed", message)
        .hint("Names besides those of loopback are set with: nodekeep config set http.hosts NAME"))
}

/// The host that was asked for.
fn host(parts: &Parts) -> Option<&str> {
    let mut named = parts.headers.get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok()?,
        _ => return None,
    };
    match parts.uri.authority() {
        Some(authority) if authority.as_str() != host => None,
        _ => Some(host),
    }
}

/// Who asks, if that is enough.
///
/// # Errors
/// 401 without a token or session that holds, 403 if its role is less or a change is not proved to be meant, 429 for too many tries.
pub fn admit(
    house: &House,
    parts: &Parts,
    peer: IpAddr,
    needs: Needs,
) -> Result<Option<Who>, Problem> {
    let changes = parts.method != Method::GET && parts.method != Method::HEAD;
    if changes {
        check_origin(parts)?;
    }
    let role = match needs {
        Needs::Nobody => return Ok(None),
        Needs::Figures if house.terms.metrics_open => return Ok(None),
        Needs::Figures => Role::Read,
        Needs::Token(role) => role,
    };
    let who = identify(house, parts, peer)?;
    if !house.requests.take(&who.token.name) {
        return Err(too_many("too many requests by this token"));
    }
    if let (Some((_, csrf)), true) = (&who.session, changes) {
        check_csrf(&parts.headers, csrf)?;
    }
    if who.token.role < role {
        let message = format!(
            "this needs a token with the role {}, and `{}` has {}",
            role.word(),
            who.token.name,
            who.token.role.word()
        );
        let line = format!("nodekeep daemon token add NAME --role {}", role.word());
        return Err(Problem::not_allowed(message).hint(format!("Make one: {line}")));
    }
    Ok(Some(who))
}

fn identify(house: &House, parts: &Parts, peer: IpAddr) -> Result<Who, Problem> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let text = value.to_str().ok().and_then(bearer);
        let text = text.ok_or_else(|| unknown(house, peer))?;
        return Ok(Who { token: holder(house, peer, text)?, session: None });
    }
    let Some(id) = cookie(&parts.headers) else {
        return Err(unauthorized("there is no token and no session"));
    };
    let session = house.sessions.find(id).ok_or_else(|| unauthorized("this session is over"))?;
    if !house.tokens.still(&session.token, Timestamp::now())? {
        house.sessions.end(id);
        return Err(unauthorized("the token of this session was removed, or has expired"));
    }
    Ok(Who { token: session.token, session: Some((id.to_owned(), session.csrf)) })
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whose token this is. Somebody who guesses is slowed down; a token that fits is never refused for another's guesses.
///
/// # Errors
/// 401, or 429 after too many.
pub fn holder(house: &House, peer: IpAddr, text: &str) -> Result<Token, Problem> {
    house.tokens.holder(text, Timestamp::now())?.ok_or_else(|| unknown(house, peer))
}

fn unknown(house: &House, peer: IpAddr) -> Problem {
    match house.failures.take(&peer) {
        true => unauthorized("this token is not known, or has expired"),
        false => too_many("too many wrong tokens from this address"),
    }
}

fn unauthorized(message: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "wrong-key", message)
        .hint("Make a token: nodekeep daemon token add NAME --role read")
}

fn too_many(message: &str) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "try-again", message).hint("Wait a minute.")
}

/// The id of the session in the cookies.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// A browser says from whose page a change comes: from ours, or it is refused.
fn check_origin(parts: &Parts) -> Result<(), Problem> {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("").split_once("://").map(|(_, rest)| rest);
    if origin.is_some() && origin == host(parts) {
        return Ok(());
    }
    Err(Problem::not_allowed("the request comes from a page of another site"))
}

fn check_csrf(headers: &HeaderMap, csrf: &str) -> Result<(), Problem> {
    let sent = headers.get(CSRF).map_or(&b""[..], |value| value.as_bytes());
    // Hashes of this type are compared in constant time.
    if blake3::hash(sent) == blake3::hash(csrf.as_bytes()) {
        return Ok(());
    }
    Err(Problem::not_allowed(
        "a change by session needs the header X-Nodekeep-Csrf of that session",
    ))
}
