//! A web server for one folder: GET and HEAD, ranges, and nothing else. It lists nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// Serves a folder until the test ends; its address without a slash at the end.
pub fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || while answer(&stream, &folder).is_some() {});
        }
    });
    address
}

/// Answers one request; `None` when the client has gone.
fn answer(mut stream: &TcpStream, folder: &Path) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut start = String::new();
    reader.read_line(&mut start).ok().filter(|read| *read > 0)?;
    let mut range = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range:") {
            range = Some(value.trim().to_owned());
        }
    }
    let mut words = start.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let Some(bytes) = file(folder, path) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok();
    };
    let (status, from, to) = match range.as_deref().and_then(|range| within(range, bytes.len())) {
        Some((from, to)) => ("206 Partial Content", from, to),
        None => ("200 OK", 0, bytes.len()),
    };
    let part = &bytes[from..to];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n", part.len()).ok()?;
    if status.starts_with("206") {
        write!(stream, "Content-Range: bytes {from}-{}/{}\r\n", to.max(1) - 1, bytes.len()).ok()?;
    }
    stream.write_all(b"\r\n").ok()?;
    if method == "GET" {
        stream.write_all(part).ok()?;
    }
    Some(())
}

fn file(folder: &Path, path: &str) -> Option<Vec<u8>> {
    let path: PathBuf = folder.join(path.trim_start_matches('/'));
    if path.is_file() { fs::read(path).ok() } else { None }
}

fn within(range: &str, len: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = to.parse().map_or(len, |to: usize| (to + 1).min(len));
    (from < to).then_some((from, to))
}
