//! The real daemon with its dashboard, and a client for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::Bed;

/// A daemon that serves, as the leader of a group of its own.
pub struct Daemon {
    pub child: Child,
    pub address: SocketAddr,
    pub token: String,
    /// What it prints: an event on each line.
    pub events: Receiver<Value>,
}

impl Daemon {
    pub fn start(bed: &Bed, role: &str) -> Self {
        let mut command = bed.command(&["daemon", "run", "--json", "--role", role]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (sender, events) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    _ = sender.send(event);
                }
            }
        });
        let until = Instant::now() + Duration::from_secs(20);
        let address = loop {
            let left = until.saturating_duration_since(Instant::now());
            let event: Value = events.recv_timeout(left).expect("the daemon says where it listens");
            if let Some(address) = event["event"]["serving"]["address"].as_str() {
                let address = address.trim_start_matches("http://").trim_end_matches('/');
                break address.parse().unwrap();
            }
        };
        let known = bed.json(&["daemon", "token", "list"])["tokens"].as_array().unwrap().len();
        let name = format!("me{known}");
        let made = bed.json(&["daemon", "token", "add", &name, "--role", "admin"]);
        let token = made["token"].as_str().unwrap().to_owned();
        Self { child, address, token, events }
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map_or_else(String::new, ToString::to_string);
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Shows a plan; gives what confirms it.
    pub fn plan(&self, wish: Value) -> Value {
        let (status, plan) = self.post("/plans", &wish);
        assert_eq!((status, &plan["possible"]), (200, &json!(true)), "{plan:#}");
        json!({ "plan": plan["plan"], "confirm": plan["confirm"] })
    }

    /// Confirms a plan, and gives the job's id.
    pub fn confirm(&self, sent: &Value) -> String {
        let (status, job) = self.post("/jobs", sent);
        assert_eq!(status, 202, "{job:#}");
        job["id"].as_str().unwrap().to_owned()
    }

    /// Both.
    pub fn start_job(&self, wish: Value) -> String {
        let sent = self.plan(wish);
        let id = self.confirm(&sent);
        assert_eq!(self.post("/jobs", &sent).0, 410, "a plan starts once");
        id
    }

    pub fn wait(&self, id: &str, states: &[&str]) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, job) = self.get(&format!("/jobs/{id}"));
            if states.iter().any(|state| job["state"] == *state) {
                return job;
            }
            assert!(Instant::now() < until, "{job:#}");
            sleep(Duration::from_millis(50));
        }
    }

    pub fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "a daemon that is asked to stop ends well");
    }
}
