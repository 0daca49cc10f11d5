//! The story of Guts: the scenarios of its guide, as the scripts in `contrib/guts` that an operator runs. A service manager of this test starts a
//! web server in place of the node: what is seen of the node is that it is ready.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Bed, Ran};

/// Starts, stops and looks at a web server that says that it is ready.
const SYSTEMCTL: &str = r#"#!/bin/sh
pid="BED/service.pid"
case "$1" in
  start) mkdir -p BED/www/health; touch BED/www/health/ready
         setsid python3 -m http.server PORT --bind 127.0.0.1 --directory BED/www > /dev/null 2>&1 &
         echo $! > "$pid"; echo started >> BED/log ;;
  stop) kill "$(cat "$pid")" 2> /dev/null; rm -f "$pid"; echo stopped >> BED/log ;;
  is-active) test -e "$pid" && kill -0 "$(cat "$pid")" 2> /dev/null ;;
esac
"#;

/// A server with guts-node's folders, a service manager, and nodekeep on the search path.
struct Server {
    bed: Bed,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = self.bed.path("bin/systemctl");
        _ = Command::new(stop).arg("stop").status();
    }
}

impl Server {
    fn new() -> Self {
        let bed = Bed::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = bed.text("").trim_end_matches('/').to_owned();
        let manager = SYSTEMCTL.replace("BED", &place).replace("PORT", &port.to_string());
        program(&bed.path("bin/systemctl"), &manager);
        program(&bed.path("bin/journalctl"), "#!/bin/sh\necho finalized block\n");
        Self { bed, port }
    }

    /// A node of a build with an object store, registered.
    fn with_node() -> Self {
        let server = Self::new();
        let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guts-store");
        copy(&store, &server.bed.path("data-of-guts/rocksdb"));
        server.bed.write("data-of-guts/blocks", "block 1");
        server.bed.write("config/node.key", &"ab".repeat(32));
        server
            .bed
            .write("config/config.yaml", "metrics: {enabled: true, addr: '127.0.0.1:9090'}\n");
        server.ok(&[
            "node",
            "add",
            "guts",
            "--profile",
            "guts",
            "--path",
            &format!("config={}", server.bed.text("config")),
            "--path",
            &format!("data={}", server.bed.text("data-of-guts")),
            "--set",
            &format!("api=http://127.0.0.1:{}", server.port),
        ]);
        server
    }

    fn search_path(&self) -> String {
        let nodekeep = Path::new(env!("CARGO_BIN_EXE_nodekeep")).parent().unwrap().to_owned();
        format!("{}:{}:/usr/bin:/bin", self.bed.text("bin"), nodekeep.display())
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.bed.run_with(&[("PATH", &self.search_path())], args)
    }

    fn ok(&self, args: &[&str]) -> String {
        self.bed.ok_with(&[("PATH", &self.search_path())], args)
    }

    /// Runs a script of `contrib/guts`.
    fn script(&self, name: &str, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/guts").join(name);
        let like = self.bed.command(&[]);
        let set = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new(script);
        command.args(args).current_dir(self.bed.path("")).env_clear().envs(set);
        command.env("PATH", self.search_path()).envs(variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bed.path("log")).unwrap_or_default()
    }
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Written by another process: a file that this one has open for writing may be inherited by what another test starts, and is not run then.
    let mut cat = Command::new("sh");
    cat.arg("-c").arg("printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"").arg("sh").arg(text);
    assert!(cat.arg(path).status().unwrap().success());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o755);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn good(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn the_same_server_with_a_new_disk() {
    let server = Server::with_node();
    server.ok(&["backup", "guts"]);
    for folder in ["config", "data-of-guts"] {
        fs::remove_dir_all(server.bed.path(folder)).unwrap();
    }
    let repository = server.bed.text("home/repository");
    let ran = server.script("new-disk.sh", &[("REPOSITORY", &repository)], &[]);
    good(&ran);
    assert_eq!(server.bed.read("data-of-guts/blocks"), "block 1");
    assert_eq!(server.log(), "started\n");
    assert!(
        ran.stdout.contains("restore from a local repository    target  1800 s"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.matches(": kept").count() == 2, "restore and start: {}", ran.stdout);
    assert!(ran.stdout.contains("blocks are finalised"), "{}", ran.stdout);
}

#[test]
fn a_validator_whose_votes_are_lost_is_not_restored_unasked() {
    let server = Server::with_node();
    server.bed.write("data-of-guts/guts-consensus/0", "voted for 9");
    server.ok(&["backup", "guts"]);
    fs::remove_dir_all(server.bed.path("data-of-guts")).unwrap();
    let repository = server.bed.text("home/repository");
    let ran = server.script("new-disk.sh", &[("REPOSITORY", &repository)], &[]);
    assert_eq!(ran.code, 12, "{}", ran.stderr);
    assert!(ran.stderr.contains("vote twice"), "{}", ran.stderr);
    let reason = ["--accept-rollback", "the network is 100 blocks on"];
    good(&server.script("new-disk.sh", &[("REPOSITORY", &repository)], &reason));
    assert_eq!(server.bed.read("data-of-guts/guts-consensus/0"), "voted for 9");
}

#[test]
fn a_new_server_with_the_same_identity() {
    let server = Server::with_node();
    server.ok(&["backup", "guts"]);
    let (repository, words) = (server.bed.text("repository"), server.bed.words());
    fs::rename(server.bed.path("home/repository"), &repository).unwrap();
    for folder in ["config", "data-of-guts", "home"] {
        fs::remove_dir_all(server.bed.path(folder)).unwrap();
    }
    server.bed.write("words", &words);
    let words = server.bed.text("words");
    let mut given =
        vec![("REPOSITORY", repository.as_str()), ("NODEKEEP_WORDS_FILE", words.as_str())];
    let ran = server.script("new-server.sh", &given, &[]);
    assert_eq!(ran.code, 2, "somebody must say that the old one is off: {}", ran.stderr);
    let config = server.bed.text("config");
    given.extend([
        ("OLD_SERVER_IS_OFF", "yes"),
        ("EDIT", "sed -i s/9090/9999/"),
        ("CONFIG", &config),
    ]);
    good(&server.script("new-server.sh", &given, &[]));
    assert_eq!(server.bed.read("config/node.key"), "ab".repeat(32));
    assert!(server.bed.read("config/config.yaml").contains("9999"), "edited before the start");
    assert_eq!(server.log(), "started\n");
}

#[test]
fn no_backup_at_all() {
    let server = Server::new();
    let (config, data) = (server.bed.text("etc"), server.bed.text("var"));
    let api = format!("127.0.0.1:{}", server.port);
    let given = [("CONFIG", config.as_str()), ("DATA", &data), ("API", &api)];
    let ran = server.script("no-backup.sh", &given, &[]);
    good(&ran);
    assert_eq!(server.bed.mode("etc/config.yaml"), 0o600);
    let written = server.bed.read("etc/config.yaml");
    let key = written.lines().find_map(|line| line.trim().strip_prefix("private_key: \"")).unwrap();
    assert_eq!(key.trim_end_matches('"').len(), 64);
    assert!(!ran.stdout.contains(key.trim_end_matches('"')), "the key is never shown");
    let told = server.ok(&["backup", "guts"]);
    assert!(!told.contains("ignores the whole file"), "every key is there: {told}");
    assert!(told.contains("no backup of files can hold them"), "what is not on disk: {told}");
    assert_eq!(server.script("no-backup.sh", &given, &[]).code, 9, "nothing is overwritten");
}

#[test]
fn a_backup_is_verified_with_its_objects() {
    let server = Server::with_node();
    server.ok(&["backup", "create", "guts", "--hot"]);
    let told = server.ok(&["check", "guts@latest", "--node"]);
    for part in ["created", "size", "4 blobs, 3 trees, 2 commits; 1 repositories", "VALID"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(server.ok(&["check", "guts@latest"]).contains("node      guts (guts)"));
    server.ok(&["restore", "guts", "--target", "./test"]);
    let folder = fs::read_dir(server.bed.path("test")).unwrap().next().unwrap().unwrap().path();
    let data = folder.ancestors().next().unwrap();
    let data = find(data, "rocksdb").unwrap();
    let checked = server.ok(&["check", "guts", "--data-dir", data.to_str().unwrap(), "--full"]);
    assert!(checked.contains("passed   objects: git objects: 4 blobs"), "{checked}");
    let log = fs::read_dir(data.join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
    let log = log
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "log" || e == "sst"))
        .unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let damaged = server.run(&["check", "guts", "--data-dir", data.to_str().unwrap(), "--full"]);
    assert_eq!(damaged.code, 4, "{}", damaged.stdout);
}

/// The folder below which a name lies.
fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    if folder.join(name).exists() {
        return Some(folder.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().find_map(|entry| find(&entry.path(), name))
}

#[test]
fn only_the_consensus_is_sampled_and_found() {
    let server = Server::with_node();
    server.bed.write("data-of-guts/guts-consensus/0", "voted for 9");
    server.ok(&["backup", "guts"]);
    server.bed.write("data-of-guts/guts-consensus/0", "voted for 10");
    server.ok(&["backup", "create", "guts", "--consensus-only"]);
    let plan = server.ok(&["restore", "guts@latest", "--component", "consensus", "--dry-run"]);
    assert!(plan.contains("votes (consensus): nothing runs backwards"), "the sample: {plan}");
    let whole = server.ok(&["restore", "guts@latest", "--dry-run"]);
    assert!(whole.contains("generation 2") && whole.contains("generation 1"), "{whole}");
    server.bed.write("data-of-guts/guts-consensus/0", "voted for 11");
    let live = server.ok(&["snapshot", "diff", "guts@latest", "--against-live"]);
    assert!(
        live.contains("Fence, if it were restored now") && live.contains("vote twice"),
        "{live}"
    );
}
