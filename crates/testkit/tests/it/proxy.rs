//! The bad network against a small server: each fault does what its name says, as seen from both ends.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nodekeep_testkit::http::{self, Answer, Body, Head};
use nodekeep_testkit::proxy::{Fault, Plan, Proxy};

#[derive(Default)]
struct Kept {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    acted: Mutex<Vec<String>>,
}

/// A server that keeps what is put, gives it back, and remembers what it did.
struct Server {
    address: SocketAddr,
    kept: Arc<Kept>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Kept::default());
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = Arc::clone(&shared);
                thread::spawn(move || drop(serve(stream.unwrap(), &kept)));
            }
        });
        Self { address, kept }
    }

    fn acted(&self) -> Vec<String> {
        self.kept.acted.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, kept: &Kept) -> io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    while let Some(head) = Head::read(&mut from)? {
        let body = head.request_body()?.read(&mut from)?;
        let target = head.target().to_owned();
        kept.acted.lock().unwrap().push(format!("{} {target} {}", head.method(), body.len()));
        let mut objects = kept.objects.lock().unwrap();
        let found = match head.method() {
            "PUT" => objects.insert(target.clone(), body).map(|_| Vec::new()).or(Some(Vec::new())),
            "DELETE" => objects.remove(&target).map(|_| Vec::new()),
            _ => objects.get(&target).cloned(),
        };
        drop(objects);
        answer(&mut to, &head, found)?;
    }
    Ok(())
}

fn answer(to: &mut TcpStream, head: &Head, found: Option<Vec<u8>>) -> io::Result<()> {
    let Some(body) = found else {
        return to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    if head.target().ends_with("chunked") && head.method() == "GET" {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for chunk in body.chunks(7) {
            write!(to, "{:x}\r\n", chunk.len())?;
            to.write_all(chunk)?;
            to.write_all(b"\r\n")?;
        }
        return to.write_all(b"0\r\n\r\n");
    }
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    if head.method() == "HEAD" { Ok(()) } else { to.write_all(&body) }
}

/// A client that keeps its connection as long as the other side does.
struct Client {
    address: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(self.address)?),
        };
        let start = format!("{method} {target} HTTP/1.1");
        let headers = vec![("Content-Length".to_owned(), body.len().to_string())];
        connection.get_mut().write_all(&Head { start, headers }.bytes())?;
        connection.get_mut().write_all(body)?;
        let answer = http::receive(&mut connection, method)?;
        self.open = Some(connection);
        Ok(answer)
    }
}

fn always(fault: Fault) -> Plan {
    Plan::faults(1, [fault], 1)
}

/// Larger than any buffer on the way.
fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn without_faults_everything_passes_on_one_connection() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, Plan::default()).unwrap();
    let mut client = Client::new(proxy.address());
    for name in ["/a", "/a.chunked"] {
        assert_eq!(client.ask("PUT", name, &large()).unwrap().status, 200);
        let answer = client.ask("GET", name, b"").unwrap();
        assert!(answer.body == large(), "{name} came back changed");
    }
    assert_eq!(
        client.ask("HEAD", "/a", b"").unwrap().head.header("content-length"),
        Some("3000000")
    );
    assert_eq!(client.ask("DELETE", "/a", b"").unwrap().status, 200);
    assert_eq!(client.ask("GET", "/a", b"").unwrap().status, 404);
    assert!(client.open.is_some());
    assert_eq!((proxy.counts().requests, proxy.counts().total()), (7, 0));
    let passed = proxy.take_passed();
    let kinds: Vec<&str> = passed.iter().map(|request| request.kind.as_str()).collect();
    assert_eq!(kinds[..3], ["PUT /a", "GET /a", "PUT /a.chunked"]);
    assert!(passed.iter().all(|request| request.began <= request.ended));
    assert!(proxy.take_passed().is_empty());
}

#[test]
fn latency_is_added_to_every_request() {
    let server = Server::start();
    let latency = Duration::from_millis(20);
    let proxy = Proxy::start(server.address, Plan::latency(latency)).unwrap();
    let mut client = Client::new(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.ask("PUT", "/a", b"x").unwrap().status, 200);
    }
    let passed = proxy.take_passed();
    assert_eq!(passed.len(), 3);
    assert!(passed.iter().all(|request| request.ended - request.began >= latency), "{passed:?}");
}

#[test]
fn cuts_come_where_they_say() {
    let all = large().len();
    let cases: [(Fault, &str, Vec<String>); 5] = [
        (Fault::CutBefore, "PUT", vec![]),
        (Fault::CutUpload, "PUT", vec![]),
        (Fault::CutAfter, "PUT", vec![format!("PUT /a {all}")]),
        (Fault::CutAfter, "GET", vec!["GET /a 0".to_owned()]),
        (Fault::CutDownload, "GET", vec!["GET /a 0".to_owned()]),
    ];
    for (fault, method, acted) in cases {
        let server = Server::start();
        server.kept.objects.lock().unwrap().insert("/a".to_owned(), large());
        let proxy = Proxy::start(server.address, always(fault)).unwrap();
        let body = if method == "PUT" { large() } else { Vec::new() };
        let outcome = Client::new(proxy.address()).ask(method, "/a", &body);
        assert!(outcome.is_err(), "{fault}: {outcome:?}");
        assert_eq!(server.acted(), acted, "{fault}");
        assert_eq!(proxy.counts().faults, BTreeMap::from([(fault.to_string(), 1)]));
        assert_eq!(proxy.counts().suffered, [format!("{fault}: {method} /a")]);
    }
}

#[test]
fn a_truncated_answer_looks_whole() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, Plan::default()).unwrap();
    let mut client = Client::new(proxy.address());
    for name in ["/a", "/a.chunked"] {
        proxy.follow(Plan::default());
        client.ask("PUT", name, &large()).unwrap();
        proxy.follow(always(Fault::Truncate));
        let answer = client.ask("GET", name, b"").unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 1_500_000), "{name}");
        assert!(large().starts_with(&answer.body));
        // The connection goes on.
        assert_eq!(client.ask("GET", name, b"").unwrap().body.len(), 1_500_000);
    }
}

#[test]
fn a_duplicate_comes_late_and_is_the_same() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, always(Fault::Duplicate)).unwrap();
    let mut client = Client::new(proxy.address());
    client.ask("PUT", "/a", b"first").unwrap();
    assert_eq!(server.acted(), ["PUT /a 5"]);
    client.ask("DELETE", "/a", b"").unwrap();
    assert_eq!(client.ask("GET", "/a", b"").unwrap().status, 404);
    let answers: Vec<u16> = proxy.settle().into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [200, 200]);
    assert_eq!(server.acted()[3..], ["PUT /a 5", "DELETE /a 0"]);
    assert_eq!(proxy.counts().faults, BTreeMap::from([("duplicate".to_owned(), 2)]));
}

#[test]
fn a_duplicate_comes_by_itself_when_others_have_passed() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, always(Fault::Duplicate)).unwrap();
    let mut client = Client::new(proxy.address());
    client.ask("PUT", "/a", b"first").unwrap();
    // Each request asks for the duplicates that are due; the last of them arrives on a thread of its own.
    while server.acted().iter().filter(|line| *line == "PUT /a 5").count() < 2 {
        client.ask("GET", "/a", b"").unwrap();
    }
    assert!(server.acted().iter().filter(|line| line.starts_with("GET")).count() >= 5);
    assert!(proxy.settle().is_empty());
}

#[test]
fn a_refusal_never_reaches_the_server() {
    let server = Server::start();
    for status in [429, 503] {
        let proxy = Proxy::start(server.address, always(Fault::Refuse(status))).unwrap();
        let mut client = Client::new(proxy.address());
        for _ in 0..2 {
            let answer = client.ask("PUT", "/a", &large()).unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(answer.head.header("retry-after"), Some("0"));
            assert!(String::from_utf8(answer.body).unwrap().contains("SlowDown"));
        }
        assert!(client.ask("HEAD", "/a", b"").unwrap().body.is_empty());
        assert_eq!(proxy.counts().total(), 3);
    }
    assert_eq!(server.acted(), Vec::<String>::new());
}

#[test]
fn a_stalled_answer_is_whole() {
    let server = Server::start();
    server.kept.objects.lock().unwrap().insert("/a.chunked".to_owned(), large());
    let plan = always(Fault::Stall(Duration::from_millis(1)));
    let proxy = Proxy::start(server.address, plan).unwrap();
    let answer = Client::new(proxy.address()).ask("GET", "/a.chunked", b"").unwrap();
    assert!(answer.body == large());
    assert_eq!(answer.head.header("content-length"), Some("3000000"));
}

#[test]
fn the_same_seed_hits_the_same_requests() {
    let run = |seed| {
        let server = Server::start();
        let faults = [Fault::CutBefore, Fault::CutAfter, Fault::Refuse(503)];
        let proxy = Proxy::start(server.address, Plan::faults(seed, faults, 3)).unwrap();
        let mut client = Client::new(proxy.address());
        for number in 0..60 {
            drop(client.ask("PUT", &format!("/b/{:032x}", number * 77), b"x"));
        }
        let counts = proxy.counts();
        assert_eq!(counts.requests, 60);
        // What differs between runs is left out, as the proxy does.
        counts.faults
    };
    assert_eq!(run(5), run(5));
    assert!(run(5).len() == 3, "{:?}", run(5));
}

#[test]
fn a_client_that_waits_for_leave_gets_it() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, Plan::default()).unwrap();
    let mut connection = BufReader::new(TcpStream::connect(proxy.address()).unwrap());
    let ask = b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    connection.get_mut().write_all(ask).unwrap();
    assert_eq!(Head::read(&mut connection).unwrap().unwrap().status().unwrap(), 100);
    connection.get_mut().write_all(b"body").unwrap();
    assert_eq!(http::receive(&mut connection, "PUT").unwrap().status, 200);
    assert_eq!(server.acted(), ["PUT /a 4"]);
}

#[test]
fn broken_messages_are_errors() {
    let heads: [&[u8]; 4] = [
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nA: b\r\n",
        b"GET /\r\nno colon\r\n\r\n",
        &[b'x'; 70_000],
    ];
    for bytes in heads {
        let mut from = BufReader::new(bytes);
        assert!(Head::read(&mut from).is_err(), "{}", bytes.len());
    }
    assert_eq!(Head::read(&mut BufReader::new(&b""[..])).unwrap(), None);
    for (body, bytes) in
        [(Body::Bytes(5), &b"1234"[..]), (Body::Chunked, b"5\r\n123"), (Body::Chunked, b"x\r\n")]
    {
        let mut from = BufReader::new(bytes);
        assert!(body.read(&mut from).is_err(), "{body:?}");
        let mut left = String::new();
        assert!(
            from.read_to_string(&mut left).is_ok()
                && !from.fill_buf().is_ok_and(|rest| !rest.is_empty())
        );
    }
}
