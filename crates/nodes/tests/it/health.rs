//! Health against real servers on this machine: ones that answer, that say the wrong thing, that stand still, that never answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nodekeep_nodes::health::{Seen, look, wait_until_healthy};

use crate::scene::Scene;

/// A server that answers each request with a status and a body; it lives as long as the tests.
fn server(answer: impl Fn(u64) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    let count = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
            thread::spawn(move || {
                let mut stream = stream;
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let (status, body) = answer(count.fetch_add(1, Ordering::SeqCst));
                let length = body.len();
                _ = write!(
                    stream,
                    "HTTP/1.1 {status} Any\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            });
        }
    });
    address
}

fn seen(rule: &str) -> Seen {
    let scene = Scene::new();
    let node = scene.node(&format!("[[health]]\nname = \"it\"\n{rule}\n"));
    look(&node).remove(0)
}

#[test]
fn an_answer_is_judged_by_what_it_says() {
    let body = r#"{"status":"ready","height":"0x10","n":412}"#;
    let well = server(move |_| (200, body.to_owned()));
    let ill = server(|_| (503, String::new()));
    let bare = server(|_| (200, "OK\n".to_owned()));
    let cases = [
        (format!("http = \"http://{well}/\""), true, "200"),
        (format!("http = \"http://{ill}/\""), false, "503"),
        (
            format!("http = \"http://{well}/\"\npointer = \"/status\"\nequals = \"ready\""),
            true,
            "/status is ready",
        ),
        (
            format!("http = \"http://{well}/\"\npointer = \"/status\"\nequals = \"done\""),
            false,
            "/status is ready instead of done",
        ),
        (format!("http = \"http://{well}/\"\npointer = \"/n\"\nequals = \"412\""), true, "412"),
        (
            format!("http = \"http://{well}/\"\npointer = \"/gone\""),
            false,
            "the answer has no /gone",
        ),
        (format!("http = \"http://{bare}/\"\nequals = \"OK\""), true, "the answer is OK"),
        (
            format!("http = \"http://{well}/\"\npointer = \"/status\"\nadvances-within-secs = 1"),
            false,
            "is no number",
        ),
        ("http = \"nonsense\"".to_owned(), false, "nonsense"),
        ("http = \"http://{missing}/\"".to_owned(), false, "missing"),
    ];
    for (rule, is_well, detail) in cases {
        let seen = seen(&rule);
        assert_eq!(seen.is_well, is_well, "{rule}: {}", seen.detail);
        assert!(seen.detail.contains(detail), "{rule}: {}", seen.detail);
    }
}

#[test]
fn a_number_must_go_on() {
    let rule = |server: SocketAddr, secs| {
        format!("http = \"http://{server}/\"\npointer = \"/height\"\nadvances-within-secs = {secs}")
    };
    let going = server(|count| (200, format!(r#"{{"height":{}}}"#, 400 + count / 2)));
    let stuck = server(|_| (200, r#"{"height":"0x190"}"#.to_owned()));
    let falling = server(|count| (200, format!(r#"{{"height":{}}}"#, 400 - count)));
    let well = seen(&rule(going, 60));
    assert!(well.is_well && well.detail.contains("from 400 to 401"), "{}", well.detail);
    for (server, detail) in [(stuck, "still 400 after 1 s"), (falling, "fell from 400")] {
        let ill = seen(&rule(server, 1));
        assert!(!ill.is_well && ill.detail.contains(detail), "{}", ill.detail);
    }
}

#[test]
fn ports_and_commands_are_looked_at() {
    let open = server(|_| (200, String::new()));
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (format!("tcp = \"{open}\""), true, "answers"),
        (format!("tcp = \"{closed}\""), false, "refused"),
        ("tcp = \"nonsense\"".to_owned(), false, "nonsense"),
        ("command = \"echo 412 blocks\"".to_owned(), true, "412 blocks"),
        ("command = \"echo no >&2; exit 1\"".to_owned(), false, "exit code 1: no"),
        ("command = \"sleep 1000\"\npatience-secs = 1".to_owned(), false, "did not end within 1 s"),
    ];
    for (rule, is_well, detail) in cases {
        let seen = seen(&rule);
        assert_eq!(seen.is_well, is_well, "{rule}: {}", seen.detail);
        assert!(seen.detail.contains(detail), "{rule}: {}", seen.detail);
    }
}

#[test]
fn a_server_that_never_answers_costs_only_the_patience() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = seen(&format!("http = \"http://{address}/\"\npatience-secs = 1"));
    assert!(!seen.is_well && seen.took >= Duration::from_secs(1), "{seen:?}");
}

#[test]
fn a_node_that_becomes_well_is_awaited() {
    let server =
        server(|count| if count < 2 { (503, String::new()) } else { (200, String::new()) });
    let scene = Scene::new();
    let node = scene.node(&format!("[[health]]\nname = \"it\"\nhttp = \"http://{server}/\"\n"));
    assert!(!wait_until_healthy(&node, Duration::ZERO)[0].is_well);
    assert!(wait_until_healthy(&node, Duration::from_secs(60))[0].is_well);
}
