//! What is answered, and that it is as it is described.

use std::collections::BTreeSet;

use nodekeep_http::openapi;
use nodekeep_service::schedule::job::Role;
use serde_json::{Value, json};

use crate::house::{House, Plan};
use crate::schema::check;

/// Asks for a document, and holds it against what the route is said to give.
fn get(house: &House, path: &str, route: &str) -> Value {
    let answer = house.client().get(path);
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    let document = answer.json();
    check("get", route, 200, &document);
    document
}

fn newest(house: &House, back: usize) -> String {
    let list = get(house, "/api/v1/snapshots", "/api/v1/snapshots");
    list["items"][back]["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_list_is_as_it_is_described() {
    let house = House::new();
    for path in [
        "overview",
        "snapshots",
        "growth",
        "jobs",
        "schedules",
        "certificates",
        "notifications",
        "log",
        "session",
    ] {
        let path = format!("/api/v1/{path}");
        get(&house, &path, &path);
    }
    let overview = get(&house, "/api/v1/overview", "/api/v1/overview");
    assert_eq!(
        (&overview["role"], &overview["repository"]["snapshots"]),
        (&json!("owner"), &json!(3))
    );
    let missing = house.client().get("/api/v1/nodes/none");
    check("get", "/api/v1/nodes/{name}", missing.status, &missing.json());
    assert_eq!(missing.status, 404);
}

#[test]
fn lists_are_turned_page_by_page() {
    let house = House::new();
    let all = get(&house, "/api/v1/snapshots", "/api/v1/snapshots");
    let ids: Vec<&str> =
        all["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &all["next"]), (3, &Value::Null));
    let mut turned = Vec::new();
    let mut after = String::new();
    loop {
        let page =
            get(&house, &format!("/api/v1/snapshots?limit=1&after={after}"), "/api/v1/snapshots");
        turned.push(page["items"][0]["id"].as_str().unwrap().to_owned());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(turned, ids);
    assert_eq!(house.client().get("/api/v1/snapshots?after=none").status, 400);
}

#[test]
fn folders_are_listed_and_files_are_sent() {
    let house = House::new();
    let (id, data) = (newest(&house, 1), house.data().display().to_string());
    let route = "/api/v1/snapshots/{id}/tree";
    let details = get(&house, &format!("/api/v1/snapshots/{id}"), "/api/v1/snapshots/{id}");
    assert_eq!(details["paths"], json!([data]));
    let roots = get(&house, &format!("/api/v1/snapshots/{id}/tree"), route);
    assert_eq!(roots["items"][0]["path"], json!(data));
    let names = get(&house, &format!("/api/v1/snapshots/{id}/tree?path={data}"), route);
    let odd = names["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"].as_str().unwrap().starts_with("b\u{fffd}"));
    let odd = odd.unwrap()["path"].as_str().unwrap();
    assert!(odd.ends_with("/b%FF%20%25%3F%23"), "{odd}");
    let file = house.client().get(&format!("/api/v1/snapshots/{id}/file?path={odd}"));
    assert_eq!((file.status, file.body.as_slice()), (200, b"odd".as_slice()));
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename*=UTF-8''b%FF%20%25%3F%23")
    );
    let big = house.client().get(&format!("/api/v1/snapshots/{id}/file?path={data}/big"));
    assert_eq!((big.body.len(), big.header("content-length")), (3 << 20, Some("3145728")));
    let page =
        house.client().get(&format!("/api/v1/snapshots/{id}/file?path={data}/sub/page.html"));
    assert_eq!(page.header("content-type"), Some("application/octet-stream"));
    let folder = house.client().get(&format!("/api/v1/snapshots/{id}/file?path={data}/sub"));
    assert_eq!((folder.status, folder.code().as_str()), (400, "usage"));
}

#[test]
fn a_folder_comes_as_an_archive() {
    let house = House::new();
    let (id, data) = (newest(&house, 1), house.data().display().to_string());
    let tar = house.client().get(&format!("/api/v1/snapshots/{id}/file?path={data}/sub&as=tar"));
    assert_eq!((tar.status, tar.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!(tar.body.len() % 512, 0);
    let has = |text: &[u8]| tar.body.windows(text.len()).any(|part| part == text);
    assert!(has(b"page.html") && has(b"<script>alert(1)</script>") && !has(b"second, longer"));
}

#[test]
fn what_changed_is_told_page_by_page() {
    let house = House::new();
    let (from, to) = (newest(&house, 2), newest(&house, 0));
    let diff = get(&house, &format!("/api/v1/diff?from={from}&to={to}"), "/api/v1/diff");
    let change = |name: &str| {
        let items = diff["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["path"].as_str().unwrap().ends_with(name));
        found.map(|item| item["change"].as_str().unwrap().to_owned())
    };
    assert_eq!(change("/a.txt").as_deref(), Some("changed"));
    assert_eq!(change("/big").as_deref(), Some("added"));
    assert_eq!(change("/page.html").as_deref(), Some("removed"));
    assert_eq!(diff["summary"]["bytes_removed"], 25);
    let all = diff["items"].as_array().unwrap().len();
    let first = get(&house, &format!("/api/v1/diff?from={from}&to={to}&limit=1"), "/api/v1/diff");
    assert_eq!(first["next"], "1");
    let rest = get(&house, &format!("/api/v1/diff?from={from}&to={to}&after=1"), "/api/v1/diff");
    assert_eq!(rest["items"].as_array().unwrap().len(), all - 1);
}

#[test]
fn a_writers_daemon_says_that_it_cannot_read() {
    let house = Plan { role: Role::Writer, ..Plan::default() }.build();
    for path in ["snapshots", "growth", "certificates", "snapshots/abcd/tree", "diff?from=a&to=b"] {
        let answer = house.client().get(&format!("/api/v1/{path}"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "role"), "{path}");
        assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("keeper"));
    }
    let overview = get(&house, "/api/v1/overview", "/api/v1/overview");
    assert_eq!(
        (&overview["role"], &overview["repository"]["snapshots"]),
        (&json!("writer"), &Value::Null)
    );
    let drill = house.client().post("/api/v1/plans", &json!({ "action": "drill", "node": "n" }));
    assert_eq!(drill.code(), "role");
}

#[test]
fn every_route_is_described_and_needs_a_token_unless_it_says_so() {
    let house = House::new();
    let api = openapi::document();
    let mut open = BTreeSet::new();
    for (path, operations) in api["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let asked = path.replace("{id}", "0").replace("{name}", "x");
            let status = house.nobody().ask(&method.to_uppercase(), &asked, &[], b"").status;
            assert!(!matches!(status, 404 | 405), "{method} {path} is served");
            if operation["x-role"] == "nobody" {
                open.insert(path.clone());
            } else {
                assert_eq!(status, 401, "{method} {path}");
            }
        }
    }
    let expected = ["/api/v1/openapi.json", "/api/v1/session", "/livez"];
    assert_eq!(open.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_known_is_not_sent_again() {
    let house = House::new();
    let first = house.client().get("/");
    let etag = first.header("etag").unwrap();
    let second = house.client().ask("GET", "/", &[("If-None-Match", etag)], b"");
    assert_eq!((second.status, second.body.len()), (304, 0));
}
