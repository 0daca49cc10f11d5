//! What a node answers: a head in its own kind of HTTP, a body, and what in the body says that it refused.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use zeroize::Zeroizing;

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: u64 = 64 << 20;
/// The most headers that an answer may have.
const MOST_HEADERS: usize = 100;

/// Status and length of an answer. Lines end with LF or CRLF, names are in any case.
pub(super) fn head(from: &mut impl BufRead) -> io::Result<(u16, Option<u64>)> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP");
    let first = line(from)?;
    let status = first.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = status.filter(|_| first.starts_with("HTTP/")).ok_or_else(odd)?;
    let mut length = None;
    for _ in 0..MOST_HEADERS {
        let header = line(from)?;
        if header.is_empty() {
            return Ok((status, length));
        }
        if let Some((name, value)) = header.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse().map_err(|_| odd())?);
        }
    }
    Err(odd())
}

pub(super) fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.by_ref().take(8 << 10).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(bytes)
        .map(|line| line.trim_end_matches('\r').to_owned())
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The body: as long as it is said to be, or up to the end of the connection.
pub(super) fn body(from: &mut impl Read, length: Option<u64>) -> io::Result<Zeroizing<Vec<u8>>> {
    let wanted = length.unwrap_or(LARGEST_ANSWER);
    if wanted > LARGEST_ANSWER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too large"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(wanted).read_to_end(&mut bytes)?;
    match length {
        Some(length) if (bytes.len() as u64) < length => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(bytes),
    }
}

/// Why an answer is none, wherever in it that stands: the innermost reason says the most.
pub(super) fn refusal(value: &Value) -> Option<String> {
    let members: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return None,
    };
    if let Some(inner) = members.into_iter().find_map(refusal) {
        return Some(inner);
    }
    let failed = value.get("status") == Some(&Value::Bool(false));
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    failed.then(|| {
        text("error").or_else(|| text("message")).unwrap_or_else(|| "it gives no reason".to_owned())
    })
}
