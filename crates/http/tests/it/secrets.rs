//! No secret is ever in an answer.

use nodekeep_http::openapi;

use crate::house::{CHANNEL_SECRET, House};

#[test]
fn no_answer_holds_a_secret() {
    let house = House::new();
    let client = house.client();
    let id = client.get("/api/v1/snapshots").json()["items"][0]["id"].as_str().unwrap().to_owned();
    let kept = std::fs::read_to_string(house.state().join("tokens.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let hash = kept["tokens"][0]["hash"].as_str().unwrap();
    let words: Vec<&str> = house.words.split_whitespace().collect();
    let three = words[..3].join(" ");
    let secrets = [house.admin.as_str(), hash, CHANNEL_SECRET, three.as_str()];
    let mut seen = 0;
    for (path, operations) in openapi::document()["paths"].as_object().unwrap() {
        if operations.get("get").is_none() || path.ends_with("/events") {
            continue;
        }
        let path = path.replace("{id}", &id).replace("{name}", "x");
        let answer = client.get(&format!("{path}?from={id}&to={id}&path=/"));
        let text = format!("{}\n{}", answer.head, String::from_utf8_lossy(&answer.body));
        for secret in secrets {
            assert!(!text.contains(secret), "{path} holds {secret}");
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    let told = client.get("/api/v1/notifications").json();
    assert_eq!(told["channels"][0]["to"], "https://hooks.example.org/…");
}
