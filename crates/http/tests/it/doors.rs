//! Who gets in, and how the rest is turned away.

use std::path::{Path, PathBuf};
use std::process::Command;

use nodekeep_http::settings::Settings;
use nodekeep_http::token::{Role, Tokens};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::house::{House, Plan};

#[test]
fn nobody_sees_anything_without_a_token() {
    let house = House::new();
    let nobody = house.nobody();
    for path in
        ["overview", "snapshots", "jobs", "events", "diff", "log", "session", "certificates"]
    {
        let answer = nobody.get(&format!("/api/v1/{path}"));
        assert_eq!((answer.status, answer.code().as_str()), (401, "wrong-key"), "{path}");
    }
    assert_eq!(nobody.get("/livez").body, b"ok\n");
    assert_eq!(nobody.get("/api/v1/openapi.json").status, 200);
    assert_eq!(nobody.get("/").header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn guesses_are_slowed_down_and_a_token_that_fits_is_not() {
    let house = House::new();
    let guess = Client { token: Some("nkt_guess".to_owned()), ..house.nobody() };
    let statuses: Vec<u16> = (0..14).map(|_| guess.get("/api/v1/session").status).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert!(statuses[12..].iter().all(|status| *status == 429), "{statuses:?}");
    assert!(guess.get("/api/v1/session").header("retry-after").is_some());
    assert_eq!(house.client().get("/api/v1/session").status, 200);
}

#[test]
fn a_role_goes_as_far_as_it_goes() {
    let house = House::new();
    let (read, operate) = (house.with("r", Role::Read), house.with("o", Role::Operate));
    let plan = json!({ "action": "health", "node": "none" });
    assert_eq!(read.get("/api/v1/snapshots").status, 200);
    assert_eq!(read.post("/api/v1/plans", &plan).status, 403);
    assert_eq!(operate.post("/api/v1/plans", &plan).status, 404, "there is no such node");
    let restore = json!({ "action": "restore", "node": "none" });
    assert_eq!(operate.post("/api/v1/plans", &restore).code(), "not-allowed");
}

#[test]
fn a_session_needs_its_proof_for_changes() {
    let house = House::new();
    let nobody = house.nobody();
    let opened = nobody.post("/api/v1/session", &json!({ "token": house.admin }));
    let cookie = opened.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    let csrf = opened.json()["csrf"].as_str().unwrap().to_owned();
    let pair = cookie.split(';').next().unwrap();
    let shown = nobody.ask("GET", "/api/v1/session", &[("Cookie", pair)], b"");
    assert_eq!(shown.json()["name"], "me");
    let end =
        |headers: &[(&str, &str)]| nobody.ask("DELETE", "/api/v1/session", headers, b"").status;
    let host = house.address().to_string();
    let ours = format!("http://{host}");
    assert_eq!(end(&[("Cookie", pair)]), 403, "without the proof");
    assert_eq!(end(&[("Cookie", pair), ("X-Nodekeep-Csrf", "0")]), 403);
    let proof = ("X-Nodekeep-Csrf", csrf.as_str());
    assert_eq!(end(&[("Cookie", pair), proof, ("Origin", "https://evil.example")]), 403);
    assert_eq!(end(&[("Cookie", pair), proof, ("Origin", "null")]), 403);
    assert_eq!(end(&[("Cookie", pair), proof, ("Origin", &ours)]), 204);
    assert_eq!(nobody.ask("GET", "/api/v1/session", &[("Cookie", pair)], b"").status, 401);
}

#[test]
fn a_removed_token_ends_its_sessions() {
    let house = House::new();
    let client = house.with("gone", Role::Read);
    let opened = house.nobody().post("/api/v1/session", &json!({ "token": client.token }));
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let ask = || house.nobody().ask("GET", "/api/v1/snapshots", &[("Cookie", &cookie)], b"");
    assert_eq!(ask().status, 200);
    Tokens::new(&house.state()).remove("gone").unwrap();
    assert_eq!((ask().status, client.get("/api/v1/snapshots").status), (401, 401));
}

#[test]
fn requests_under_another_name_are_not_for_us() {
    let house = House::new();
    let ask =
        |host: &str| house.client().ask("GET", "/api/v1/session", &[("Host", host)], b"").status;
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:7717", ""] {
        assert!(matches!(ask(host), 400 | 421), "{host}: {}", ask(host));
    }
    assert_eq!((ask("localhost:1"), ask("[::1]")), (200, 200));
    let two = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    assert_eq!(house.client().send(two).status, 400);
    let none = b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(house.client().send(none).status, 400);
    let other =
        b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(house.client().send(other).status, 400);
}

#[test]
fn every_answer_carries_what_protects_the_browser() {
    let house = House::new();
    let client = house.client();
    let refused = client.ask("GET", "/", &[("Host", "evil.example")], b"");
    for answer in [client.get("/"), client.get("/api/v1/snapshots"), client.get("/none"), refused] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert!(answer.header("cache-control").is_some());
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn paths_lead_nowhere_else() {
    let house = House::new();
    let client = house.client();
    let outside = [
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets//etc/passwd",
        "/assets/%00",
        "/assets/index.html%00.js",
        "/assets/",
        "/api/v1/snapshots/../../livez",
        "/api/v1/snapshots/%2e%2e",
        "/api/v1/nothing",
        "//livez",
        "/index.html",
    ];
    for path in outside {
        let Answer { status, body, .. } = client.get(path);
        assert_eq!(status, 404, "{path}: {}", String::from_utf8_lossy(&body));
    }
    assert_eq!(client.get("/api/v1/snapshots/%ff").status, 400, "no UTF-8");
    assert_eq!(client.get("/api/v1/snapshots?after=%zz").status, 400);
    let id = client.get("/api/v1/snapshots").json()["items"][0]["id"].as_str().unwrap().to_owned();
    let data = house.data().display().to_string();
    let odd = ["..", "/etc/passwd", &format!("{data}/../state/tokens.json"), "a%00b", "", "/%00"];
    for path in odd {
        let answer = client.get(&format!("/api/v1/snapshots/{id}/file?path={path}"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
}

#[test]
fn a_method_that_a_path_does_not_take_is_refused() {
    let house = House::new();
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        let answer = house.client().ask(method, "/api/v1/snapshots", &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (405, "usage"), "{method}");
    }
}

#[test]
fn bodies_must_be_small_and_json() {
    let house = House::new();
    let client = house.client();
    let large = vec![b' '; 65 * 1024];
    let json = ("Content-Type", "application/json");
    assert_eq!(client.ask("POST", "/api/v1/plans", &[json], &large).status, 413);
    assert_eq!(client.ask("POST", "/api/v1/plans", &[json], b"{").code(), "usage");
    assert_eq!(client.ask("POST", "/api/v1/plans", &[], b"{}").status, 415);
    let more = json!({ "action": "health", "node": "n", "more": 1 });
    assert_eq!(client.post("/api/v1/plans", &more).status, 400);
    let endless = format!(
        "POST /api/v1/plans HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        house.admin,
        format!("4000\r\n{}\r\n", " ".repeat(0x4000)).repeat(8)
    );
    assert_eq!(client.send(endless.as_bytes()).status, 413);
    let heads =
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: {}\r\n\r\n", "a".repeat(64 * 1024));
    assert!(matches!(client.send(heads.as_bytes()).status, 431 | 400 | 0));
    assert_eq!(client.get("/livez").status, 200, "and it lives on");
}

/// A certificate of this name and its key; `None` where there is no openssl.
fn certificate(folder: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let kind =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let mut openssl = Command::new("openssl");
    openssl.args(kind).args(["-days", "1", "-subj", &format!("/CN={name}")]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(&key).arg("-out");
    let made = openssl.arg(&cert).output();
    made.is_ok_and(|made| made.status.success()).then_some((cert, key))
}

/// What curl, which trusts this certificate only, is answered; `None` where there is no curl.
fn curl(house: &House, cert: &Path) -> Option<String> {
    let url = format!("https://localhost:{}/api/v1/session", house.address().port());
    let body = json!({ "token": house.admin }).to_string();
    let mut curl = Command::new("curl");
    curl.args(["-si", "--cacert"]).arg(cert);
    let said = curl.args(["-H", "Content-Type: application/json", "-d", &body, &url]).output();
    said.ok().map(|said| String::from_utf8_lossy(&said.stdout).to_ascii_lowercase())
}

fn with_tls(cert: &Path, key: &Path) -> House {
    let settings = Settings {
        listen: Some("127.0.0.1:0".to_owned()),
        tls_cert: Some(cert.to_owned()),
        tls_key: Some(key.to_owned()),
        ..Settings::default()
    };
    Plan { settings, ..Plan::default() }.build()
}

// openssl and curl are not everywhere; where they are, as in CI, what follows is shown.

#[test]
fn with_tls_a_cookie_is_for_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let Some((cert, key)) = certificate(folder.path(), "one") else { return };
    let house = with_tls(&cert, &key);
    assert_eq!(house.client().get("/livez").status, 0, "nothing in clear");
    let Some(said) = curl(&house, &cert) else { return };
    assert!(said.starts_with("http/1.1 200"), "{said}");
    assert!(said.contains("; secure") && said.contains("strict-transport-security"), "{said}");
}

#[test]
fn a_certificate_is_read_again_and_one_that_cannot_be_used_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some((old, old_key)) = certificate(folder.path(), "old") else { return };
    let Some((new, new_key)) = certificate(folder.path(), "new") else { return };
    let (cert, key) = (folder.path().join("used.pem"), folder.path().join("used.key"));
    let put = |from: (&PathBuf, &PathBuf)| {
        std::fs::copy(from.0, &cert).unwrap();
        std::fs::copy(from.1, &key).unwrap();
    };
    put((&old, &old_key));
    let house = with_tls(&cert, &key);
    let is_shown =
        |trusted: &Path| curl(&house, trusted).map(|said| said.starts_with("http/1.1 200"));
    let Some(first) = is_shown(&old) else { return };
    assert!(first);
    put((&new, &new_key));
    assert_eq!((is_shown(&old), is_shown(&new)), (Some(true), Some(false)), "nobody asked yet");
    house.server.reload().unwrap();
    assert_eq!((is_shown(&old), is_shown(&new)), (Some(false), Some(true)));
    std::fs::write(&cert, "no certificate").unwrap();
    let refused = house.server.reload().unwrap_err().to_string();
    assert!(refused.contains("used.pem: there is no certificate in it"), "{refused}");
    assert_eq!(is_shown(&new), Some(true), "the one from before goes on");
}
