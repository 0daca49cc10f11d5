//! `/snapshots/{id}/file`: bytes of a file, or a folder as an archive, as they are read.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use nodekeep_repo::export::{TarFormat, write_tar};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::source::snapshot::RunReader;
use nodekeep_repo::tree::Kind;
use tokio::sync::OwnedSemaphorePermit;

use super::tree::entry_at;
use crate::call::{Call, Reply, encoded};
use crate::problem::Problem;
use crate::stream;

/// `GET /snapshots/{id}/file`.
pub fn send(call: &Call) -> Result<Reply, Problem> {
    let shelf = call.house.library.readable()?;
    shelf.repository.needs_data()?;
    let record = shelf.snapshot(call.param("id"))?.clone();
    let path = call.query.bytes("path").unwrap_or_default().to_vec();
    let reader = shelf.reader()?;
    let entry = entry_at(&reader, &record.snapshot, &path)?;
    let name = if entry.name.is_empty() { b"root".to_vec() } else { entry.name.clone() };
    let is_tar = match call.query.text("as")? {
        None => false,
        Some("tar") => true,
        Some(_) => return Err(Problem::usage("`as` must be `tar`")),
    };
    let permit = permit(call)?;
    match entry.kind {
        _ if is_tar => {
            let body = stream::body(None, move |out: &mut dyn Write| {
                let _permit = permit;
                let format = TarFormat::Tar;
                write_tar(&reader, &record, &[path], format, None, out, &Silent)
                    .map(drop)
                    .map_err(io::Error::other)
            });
            Ok(answer(body, None, &[&name, b".tar".as_slice()].concat(), "application/x-tar"))
        }
        Kind::File { size, runs, .. } => {
            let body = stream::body(Some(size), move |out: &mut dyn Write| {
                let _permit = permit;
                io::copy(&mut RunReader::new(reader, runs), out).map(drop)
            });
            Ok(answer(body, Some(size), &name, "application/octet-stream"))
        }
        Kind::Directory { .. } => Err(Problem::usage("this is a folder: ask for it with as=tar")),
        _ => Err(Problem::usage("this is no file, and has no bytes")),
    }
}

fn permit(call: &Call) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&call.house.downloads).try_acquire_owned().map_err(|_| {
        let message = "as many downloads are under way as are let in at a time";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", message)
    })
}

/// Never shown by the browser, whatever is in it: a page in a backup must not run as one of ours.
fn answer(body: Body, length: Option<u64>, name: &[u8], kind: &'static str) -> Reply {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = encoded(name).replace('/', "%2F");
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    let plain = HeaderValue::from_static("attachment");
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).unwrap_or(plain));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Reply::Whole(response)
}
