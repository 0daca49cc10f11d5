//! Another process that writes to a store and acknowledges numbered writes: this test program, run again with a role. It is killed as a
//! power cut would, and ends by itself when the test is gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROLE: &str = "NODEKEEP_TEST_ROLE";
const PLACE: &str = "NODEKEEP_TEST_PLACE";

/// A writer; dropped, it is killed.
pub struct Writer {
    child: Child,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    /// Starts one and waits for its first acknowledged write.
    pub fn start(role: &str, place: &Path) -> Self {
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "writer::act", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PLACE, place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let seen = Arc::clone(&acknowledged);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match line.strip_prefix("ack ") {
                    Some(number) => seen.store(number.parse().unwrap(), Ordering::SeqCst),
                    None => _ = writeln!(std::io::stderr(), "writer: {line}"),
                }
            }
        });
        let writer = Self { child, acknowledged };
        writer.wait_for(1);
        writer
    }

    /// The last write that it acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until a write is acknowledged.
    pub fn wait_for(&self, number: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.acknowledged() < number {
            assert!(Instant::now() < deadline, "the writer does not get on");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Says that a write will be found from now on.
pub fn acknowledge(number: u64) {
    let line = format!("ack {number}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Not a test: what the other process does.
#[test]
fn act() {
    let (Ok(role), Ok(place)) = (std::env::var(ROLE), std::env::var(PLACE)) else { return };
    thread::spawn(|| {
        _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let place = Path::new(&place);
    match role.as_str() {
        "jsonl" => super::jsonl::write(place),
        "git" => super::git::write(place),
        "sqlite-half" => super::sqlite::write_half(place),
        mode => super::sqlite::write(place, mode),
    }
}
