//! Against a small server that answers as the node was seen to.

use std::io::Read as _;
use std::net::TcpListener;
use std::thread;

use serde_json::json;

use super::answer::line;
use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers one request with these bytes; gives what was asked.
fn node(answer: &'static [u8]) -> (Rpc, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut from = BufReader::new(stream.try_clone().unwrap());
        let mut asked = String::new();
        let mut length = 0;
        loop {
            let header = line(&mut from).unwrap();
            asked.push_str(&header);
            asked.push('\n');
            if let Some(value) = header.strip_prefix("Content-Length: ") {
                length = value.parse().unwrap();
            }
            if header.is_empty() {
                break;
            }
        }
        from.take(length).read_to_string(&mut asked).unwrap();
        stream.write_all(answer).unwrap();
        asked
    });
    (Rpc::new(&url, Some("pass")).unwrap(), asked)
}

#[test]
fn an_answer_with_bare_line_ends_and_odd_headers_is_read() {
    let (rpc, asked) = node(
        b"HTTP/1.1 200 OK\nServer: x\nContent-length: 40\n\n{\"status\":true,\"response\":{\"block\":\"7\"}}\n",
    );
    let value = rpc.call(&Call::new("status"), PATIENCE).unwrap();
    assert_eq!(value.pointer("/response/block"), Some(&json!("7")));
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("POST / HTTP/1.1\n"), "{asked}");
    assert!(asked.contains("\nAuthorization: Basic bWluaW1hOnBhc3M=\n"), "{asked}");
    assert!(asked.ends_with("\nContent-Length: 6\nConnection: close\n\nstatus"), "{asked}");
}

#[test]
fn a_refusal_is_found_at_any_depth_and_secrets_are_taken_out_of_it() {
    let (rpc, _) = node(
        b"HTTP/1.1 200 OK\r\n\r\n{\"status\":true,\"response\":{\"restore\":{\"status\":false,\"error\":\"no file for hush\"}}}",
    );
    let call = Call::new("reset").with_secret("password", "hush").unwrap();
    let error = rpc.call(&call, PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), "`reset` was refused by the node: no file for …");
    assert!(!format!("{call:?} {error:?}").contains("hush"));
}

#[test]
fn every_way_of_not_answering_has_its_own_error() {
    let cases: [(&[u8], &str); 6] = [
        (b"HTTP/1.1 401 Unauthorized\n\n{}", "wants another password"),
        (b"HTTP/1.1 500 No\n\n", "status 500"),
        (b"HTTP/1.1 200 OK\n\n[]", "its answer is empty"),
        (b"HTTP/1.1 200 OK\nContent-length: 90\n\n{\"status\":true}", "broke off"),
        (b"SSH-2.0-OpenSSH\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\n\nhello", "is no JSON"),
    ];
    for (answer, told) in cases {
        let (rpc, _) = node(answer);
        let error = rpc.call(&Call::new("status"), PATIENCE).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn a_node_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rpc = Rpc::new(&listener.local_addr().unwrap().to_string(), None).unwrap();
    let error = rpc.call(&Call::new("status"), Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, RpcError::Slow { .. }) && error.is_open(), "{error}");
    drop(listener);
    let error = rpc.call(&Call::new("status"), PATIENCE).unwrap_err();
    assert!(matches!(error, RpcError::Connect { .. }) && !error.is_open(), "{error}");
}

#[test]
fn what_the_node_would_take_apart_is_never_sent() {
    let bad = [
        "",
        "hush x",
        "hush;",
        "hush\"",
        "hush\t",
        "hush\n",
        "hush\u{e9}",
        "{hush}",
        "[hush]",
        "hush:\\",
        "hush\0",
    ];
    for value in bad {
        let error = Call::new("backup").with_secret("password", value).unwrap_err().to_string();
        assert!(error.starts_with("`password` cannot be sent"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    // The real node was seen to take these as they are.
    assert!(Call::new("vault").with("password", "a:b!#$%&()*+,-./<=>?@^_~|x`'\\y").is_ok());
    for phrase in ["", "A  B", "A;B", "A B ", "A \"B"] {
        assert!(Call::new("vault").with_phrase("phrase", phrase).is_err(), "{phrase}");
    }
    let call = Call::new("vault").with_phrase("phrase", "SPRAY LAMP").unwrap();
    assert_eq!(call.line.as_str(), "vault phrase:\"SPRAY LAMP\"");
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    for bad in ["", "http://x", "https://x:9005", "http://x:9005/status", "x:port", "x y:1"] {
        assert!(matches!(Rpc::new(bad, None), Err(RpcError::Address { .. })), "{bad}");
    }
    assert_eq!(Rpc::new("http://127.0.0.1:9005/", None).unwrap().address(), "127.0.0.1:9005");
}
