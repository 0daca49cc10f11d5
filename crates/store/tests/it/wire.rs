//! A loopback server that answers as it is told, word for word.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One answer.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// The connection ends without an answer.
    HangUp,
    /// The connection stays open, and nothing comes.
    Silence,
    /// These bytes, and then this byte for ever.
    Endless(Vec<u8>, u8),
}

/// A complete answer with a body and its length.
pub(crate) fn reply(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    raw(&format!("{status}\r\nContent-Length: {}\r\n{headers}", body.len()), body)
}

/// An answer with the given status line and headers. Connections are not used again: whether the
/// client notices in time that a server has closed one is chance.
pub(crate) fn raw(head: &str, body: impl AsRef<[u8]>) -> Reply {
    let head = format!("HTTP/1.1 {}\r\nConnection: close\r\n\r\n", head.trim_end());
    Reply::Bytes([head.as_bytes(), body.as_ref()].concat())
}

/// The first line of each request, its headers in lower case, and its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// The answer to the question whether a bucket keeps versions. It is not part of the script.
const NEVER_VERSIONED: &str = "<VersioningConfiguration></VersioningConfiguration>";

/// Gives its answers in order, one to each request, and then hangs up on everybody.
pub(crate) struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Connections that got silence; open until the server goes.
    _held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, held) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let replies = Arc::new(Mutex::new(VecDeque::from_iter(replies)));
        let server = Self { address, asked: Arc::clone(&asked), _held: Arc::clone(&held) };
        // Ends with the process: nothing is left to wait for.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (replies, asked, held) =
                    (Arc::clone(&replies), Arc::clone(&asked), Arc::clone(&held));
                std::thread::spawn(move || answer(connection.unwrap(), &replies, &asked, &held));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of all requests.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn answer(
    connection: TcpStream,
    replies: &Mutex<VecDeque<Reply>>,
    asked: &Mutex<Vec<Asked>>,
    held: &Mutex<Vec<TcpStream>>,
) {
    let Some(request) = read_request(&connection) else {
        return;
    };
    let mut writer = &connection;
    if request.line.ends_with("?versioning=") {
        let Reply::Bytes(never) = reply("200 OK", "", NEVER_VERSIONED) else { return };
        let _ = writer.write_all(&never);
        return;
    }
    asked.lock().unwrap().push(request);
    let reply = replies.lock().unwrap().pop_front().unwrap_or(Reply::HangUp);
    match reply {
        Reply::HangUp => {}
        Reply::Silence => held.lock().unwrap().push(connection.try_clone().unwrap()),
        Reply::Bytes(bytes) => {
            // The other side may have gone.
            let _ = writer.write_all(&bytes);
            let _ = connection.shutdown(Shutdown::Write);
        }
        Reply::Endless(start, byte) => {
            let _ = writer.write_all(&start);
            while writer.write_all(&[byte; 4096]).is_ok() {}
        }
    }
}

fn read_request(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut asked = Asked::default();
    reader.read_line(&mut asked.line).ok()?;
    asked.line = asked.line.trim().strip_suffix(" HTTP/1.1")?.to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        asked.headers.push_str(&header.to_ascii_lowercase());
    }
    let length = asked.headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    asked.body.resize(length, 0);
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}
