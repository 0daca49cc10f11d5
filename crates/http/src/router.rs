//! From the table of routes to a router: each request is admitted, its body read within bounds, and its work done on a thread that may
//! block.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, get, on};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::call::{Call, Query, Reply};
use crate::gate;
use crate::house::House;
use crate::listen::unknown;
use crate::problem::Problem;
use crate::route::{self, Route};

/// Bytes of a request's body, at most.
const BODY: usize = 64 * 1024;
/// A client has so long to send it.
const SENDING: Duration = Duration::from_secs(10);
/// A read waits so long for its turn.
const TURN: Duration = Duration::from_secs(15);

/// The router.
pub fn of(house: &Arc<House>) -> Router {
    let mut router = Router::new();
    for route in route::all() {
        let filter = match route.method {
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let (path, house, route) = (route.path, Arc::clone(house), Arc::new(route));
        let answer =
            move |request: Request| dispatch(Arc::clone(&house), Arc::clone(&route), request);
        router = router.route(path, on(filter, answer));
    }
    let (first, below) = (Arc::clone(house), Arc::clone(house));
    router
        .route("/", get(move |request: Request| asset(Arc::clone(&first), request)))
        .route("/assets/{*path}", get(move |request: Request| asset(Arc::clone(&below), request)))
        .fallback(async || refusal(&unknown()))
        .method_not_allowed_fallback(async || {
            let message = "this path does not take this method";
            refusal(&Problem::new(StatusCode::METHOD_NOT_ALLOWED, "usage", message))
        })
}

/// A problem as an answer.
pub fn refusal(problem: &Problem) -> Response {
    let reply = Reply::json(problem.status, &problem.document());
    let mut response = reply.map_or_else(|_| Response::new(Body::empty()), Reply::response);
    *response.status_mut() = problem.status;
    if problem.status == StatusCode::TOO_MANY_REQUESTS
        || problem.status == StatusCode::SERVICE_UNAVAILABLE
    {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

async fn dispatch(house: Arc<House>, route: Arc<Route>, request: Request) -> Response {
    let answered = handle(house, route, request).await;
    answered.unwrap_or_else(|problem| refusal(&problem))
}

async fn handle(
    house: Arc<House>,
    route: Arc<Route>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<SocketAddr>().copied();
    let peer = peer.ok_or_else(|| Problem::failed("the client has no address"))?.ip();
    let who = gate::admit(&house, &parts, peer, route.needs)?;
    let query = Query::parse(parts.uri.query().unwrap_or(""))?;
    let params = params(&mut parts).await?;
    let body = read(&parts, body).await?;
    let turn = timeout(TURN, Arc::clone(&house.reads).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let message = "too many requests wait for the repository";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", message));
    };
    let call = Call { house, who, peer, params, query, body };
    let work = Arc::clone(&route.work);
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&call)
    });
    let reply = done.await.map_err(|_| Problem::failed("this request could not be answered"))??;
    Ok(reply.response())
}

/// The parts of the path that the route names.
async fn params(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Problem::usage("the path is not UTF-8"))?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The body: no larger, and no slower, than is right.
async fn read(parts: &Parts, body: Body) -> Result<Vec<u8>, Problem> {
    let collected = timeout(SENDING, Limited::new(body, BODY).collect()).await;
    let collected = collected.map_err(|_| {
        let message = "the body did not come in time";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "usage", message)
    })?;
    let bytes: Bytes = collected
        .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => {
                let message = "the body is larger than 64 KiB";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "usage", message)
            }
            None => Problem::usage("the body could not be read"),
        })?
        .to_bytes();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !bytes.is_empty() && !kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let message = "a body must be JSON, with Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "usage", message));
    }
    Ok(bytes.to_vec())
}

/// A file of the dashboard.
async fn asset(house: Arc<House>, request: Request) -> Response {
    let path = request.uri().path();
    let path = path.strip_prefix("/assets/").unwrap_or("index.html");
    let Some(asset) = house.site.assets.find(path) else { return refusal(&unknown()) };
    let known = request.headers().get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == asset.etag.as_bytes());
    let mut response = Response::new(Body::empty());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(asset.bytes);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
