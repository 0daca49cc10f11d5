//! One client's connection: requests are carried to the server and answers back, but for what the plan does to them.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use super::{Fault, Shared};
use crate::http::{Answer, Body, Head};

/// What becomes of a connection after a request.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Request,
    End,
}

/// A connection and what was read of it ahead.
struct Side {
    from: BufReader<TcpStream>,
    to: TcpStream,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { from: BufReader::new(stream.try_clone()?), to: stream })
    }

    fn cut(&self) -> io::Result<Next> {
        self.to.shutdown(Shutdown::Both)?;
        Ok(Next::End)
    }
}

/// Carries a client's requests until it, the server or the plan ends the connection.
pub(super) fn carry(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let mut client = Side::new(client)?;
    let mut server = None;
    let mut next = Next::Request;
    while next == Next::Request {
        let Some(mut head) = Head::read(&mut client.from)? else {
            break;
        };
        let _under_way = shared.begin();
        let began = shared.started.elapsed();
        let fault = shared.next(&head);
        let latency = super::lock(&shared.decider).latency();
        thread::sleep(latency);
        welcome(&mut client, &mut head)?;
        shared.deliver_due();
        next = pass(&mut client, &mut server, shared, &head, fault)?;
        shared.passed(&head, began);
    }
    client.cut()?;
    Ok(())
}

/// A client that asks before it sends its body is told to go on, and the server is not asked.
fn welcome(client: &mut Side, head: &mut Head) -> io::Result<()> {
    if head.header("expect").is_some() {
        head.remove("expect");
        client.to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    Ok(())
}

fn pass(
    client: &mut Side,
    server: &mut Option<Side>,
    shared: &Arc<Shared>,
    head: &Head,
    fault: Option<Fault>,
) -> io::Result<Next> {
    match fault {
        Some(Fault::CutBefore) => return client.cut(),
        Some(Fault::Refuse(status)) => return refuse(client, head, status),
        _ => (),
    }
    let server = match server {
        Some(server) => server,
        None => server.insert(Side::new(TcpStream::connect(shared.server)?)?),
    };
    if fault == Some(Fault::CutUpload) {
        return cut_upload(client, server, head);
    }
    server.to.write_all(&head.bytes())?;
    if fault == Some(Fault::Duplicate) {
        let mut body = Vec::new();
        head.request_body()?.copy(&mut client.from, &mut body)?;
        server.to.write_all(&body)?;
        // Whether to send it by length or in chunks is the copy's own matter: it is sent whole.
        let content = head.request_body()?.read(&mut body.as_slice())?;
        let mut copy = head.clone();
        copy.remove("transfer-encoding");
        shared.repeat(&copy, content);
    } else {
        head.request_body()?.copy(&mut client.from, &mut server.to)?;
    }
    bring_back(client, server, head, fault)
}

/// The server gets half of the body and then nothing.
fn cut_upload(client: &mut Side, server: &mut Side, head: &Head) -> io::Result<Next> {
    let half = match head.request_body()? {
        Body::Bytes(len) if len > 0 => len / 2,
        _ => return client.cut(),
    };
    server.to.write_all(&head.bytes())?;
    Body::Bytes(half).copy(&mut client.from, &mut server.to)?;
    server.cut()?;
    client.cut()
}

fn refuse(client: &mut Side, head: &Head, status: u16) -> io::Result<Next> {
    head.request_body()?.copy(&mut client.from, &mut io::sink())?;
    let body = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Too many requests.</Message></Error>";
    let start = format!("HTTP/1.1 {status} Slow Down");
    let length = body.len();
    write!(
        client.to,
        "{start}\r\nContent-Type: application/xml\r\nRetry-After: 0\r\nContent-Length: {length}\r\n\r\n"
    )?;
    // The answer to a HEAD says how long a body would be, and has none.
    if head.method() != "HEAD" {
        client.to.write_all(body.as_bytes())?;
    }
    Ok(Next::Request)
}

/// Brings the server's answer to the client, as far as the fault allows.
fn bring_back(
    client: &mut Side,
    server: &mut Side,
    request: &Head,
    fault: Option<Fault>,
) -> io::Result<Next> {
    let mut head = Head::read(&mut server.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    while head.status()? / 100 == 1 {
        head = Head::read(&mut server.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    }
    let framing = head.answer_body(request.method())?;
    match fault {
        Some(Fault::CutAfter) => {
            framing.copy(&mut server.from, &mut io::sink())?;
            client.cut()
        }
        Some(Fault::CutDownload | Fault::Truncate) => {
            let body = framing.read(&mut server.from)?;
            let answer = Answer { status: head.status()?, head, body };
            shorten(client, answer, fault == Some(Fault::Truncate))
        }
        Some(Fault::Stall(time)) => {
            let body = framing.read(&mut server.from)?;
            thread::sleep(time);
            send_whole(client, head, &body, request.method())
        }
        _ => {
            client.to.write_all(&head.bytes())?;
            framing.copy(&mut server.from, &mut client.to)?;
            let over = request.closes() || head.closes() || framing == Body::UntilClosed;
            Ok(if over { Next::End } else { Next::Request })
        }
    }
}

fn send_whole(client: &mut Side, mut head: Head, body: &[u8], method: &str) -> io::Result<Next> {
    if method != "HEAD" {
        head.remove("transfer-encoding");
        head.set("Content-Length", body.len().to_string());
    }
    client.to.write_all(&head.bytes())?;
    client.to.write_all(body)?;
    Ok(Next::End)
}

/// Sends half of an answer's body; where the head lies about it, the connection goes on.
fn shorten(client: &mut Side, mut answer: Answer, lie: bool) -> io::Result<Next> {
    let half = answer.body.len() / 2;
    if answer.body.is_empty() {
        return client.cut();
    }
    let said = if lie { half } else { answer.body.len() };
    answer.head.remove("transfer-encoding");
    answer.head.set("Content-Length", said.to_string());
    client.to.write_all(&answer.head.bytes())?;
    client.to.write_all(&answer.body[..half])?;
    if lie {
        return Ok(if answer.head.closes() { Next::End } else { Next::Request });
    }
    client.cut()
}
