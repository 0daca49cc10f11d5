//! Chains as the Relay Network writes them, torn, tampered with, and reset.

use std::fs;

use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::profile::{ChainRule, JsonlRule, Kind};
use sha2::{Digest, Sha256};

use super::support::{Bench, codes, verify};

fn kind() -> Kind {
    let over = ["index", "timestamp", "transactions", "previousHash", "nonce"];
    let chain = ChainRule {
        hash: "hash".to_owned(),
        previous: "previousHash".to_owned(),
        index: Some("index".to_owned()),
        function: "sha256".to_owned(),
        over: over.map(str::to_owned).to_vec(),
    };
    Kind::JsonlChain(JsonlRule { counts: Some("blocks".to_owned()) }, chain)
}

/// Blocks with their last hash. Transactions hold what no round trip through numbers keeps.
fn blocks(number: u64) -> (String, String) {
    let mut text = String::new();
    let mut previous = "0".to_owned();
    for index in 0..number {
        let transactions = format!(r#"[{{"z":{index}.10,"a":1e2,"é":"\u00e9"}}]"#);
        let hashed = format!(
            r#"{{"index":{index},"timestamp":17000{index}.0,"transactions":{transactions},"previousHash":"{previous}","nonce":{index}}}"#
        );
        let hash: String =
            Sha256::digest(&hashed).iter().map(|byte| format!("{byte:02x}")).collect();
        let body = &hashed[..hashed.len() - 1];
        text += &format!("{body},\"hash\":\"{hash}\"}}\n");
        previous = hash;
    }
    (text, previous)
}

fn failed(verified: &Verified) -> Vec<&str> {
    let failed = verified.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name.as_str()).collect()
}

#[test]
fn a_whole_chain_has_a_tip() {
    let mut bench = Bench::new();
    let path = bench.live("chain.jsonl");
    let (text, tip) = blocks(50);
    fs::write(&path, format!("{text}{{\"index\":50,\"trans")).unwrap();
    let (captured, copy) = bench.copy(&kind(), &path);
    assert_eq!((codes(&captured), captured.is_torn), (vec!["torn-tail"], false));
    assert_eq!((captured.position.counters["blocks"], &captured.hashes["tip"]), (50, &tip));
    let verified = verify(&kind(), &copy);
    assert!(verified.is_sound(), "{:?}", verified.checks);
    assert_eq!((&verified.position, &verified.hashes), (&captured.position, &captured.hashes));
    assert_eq!(failed(&verify(&kind(), &path)), ["whole lines"]);
}

#[test]
fn any_changed_digit_is_found() {
    let mut bench = Bench::new();
    let path = bench.live("chain.jsonl");
    let (text, _) = blocks(6);
    let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for (at, _) in text.match_indices(|letter: char| letter.is_ascii_digit()) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'9' { b'8' } else { bytes[at] + 1 };
        fs::write(&path, &bytes).unwrap();
        let captured = bench.capture(&kind(), &path).unwrap();
        bench.memory = None;
        bench.sweep();
        let line = 1 + starts.iter().filter(|&&start| start <= at).count();
        assert!(captured.is_torn, "byte {at}");
        let note = captured.notes.iter().find(|note| note.code == "chain-broken").unwrap();
        assert!(
            note.text.starts_with(&format!("line {line}, at byte ")),
            "byte {at}: {}",
            note.text
        );
        assert_eq!(failed(&verify(&kind(), &path)), ["hash links"]);
    }
}

#[test]
fn a_chain_that_was_reset_is_captured_and_told() {
    let mut bench = Bench::new();
    let path = bench.live("chain.jsonl");
    fs::write(&path, blocks(9).0).unwrap();
    bench.capture(&kind(), &path).unwrap();
    fs::write(&path, "").unwrap();
    let captured = bench.capture(&kind(), &path).unwrap();
    assert_eq!(codes(&captured), ["emptied"]);
    assert!(!captured.is_torn && !captured.hashes.contains_key("tip"));
    fs::write(&path, blocks(2).0).unwrap();
    let captured = bench.capture(&kind(), &path).unwrap();
    assert_eq!((codes(&captured), captured.position.counters["blocks"]), (vec![], 2));
}
