//! A Ceph cluster on loopback: one monitor, three OSDs and a RADOS gateway, real daemons from Debian's packages.
//!
//! Placement groups are few and copies are three, of which one suffices to serve, so that an OSD can be killed and
//! the cluster goes on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_testkit::http;
use serde_json::Value;

use super::leash::{Daemon, Scratch, leashed};
use super::packages;
use super::s3::{Keys, S3};
use crate::error::Error;
use crate::place;

/// So many OSDs, and so many copies of everything.
pub const OSDS: usize = 3;

/// The region that the gateway has without configuration.
const REGION: &str = "default";

/// Any; the cluster is never joined with another.
const FSID: &str = "6e6f6465-6b65-6570-0000-000000000001";

/// Longest wait for a daemon to serve.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running cluster; it ends, with its data, when it is dropped.
#[derive(Debug)]
pub struct Ceph {
    // Daemons come before the folder, so that they end before it goes.
    gateway: Daemon,
    osds: Vec<Option<Daemon>>,
    monitor: Daemon,
    place: Place,
    server: SocketAddr,
}

/// Where the programs and the data are.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    scratch: Scratch,
}

impl Ceph {
    /// Downloads what is missing, and starts a cluster with empty OSDs.
    ///
    /// Must be called by the task's main thread, with which the daemons end.
    pub fn start() -> Result<Self, Error> {
        let packages = ["ceph-mon", "ceph-osd", "radosgw"];
        let root = packages::unpacked("ceph", &packages, "usr/bin/radosgw")?;
        let place = Place { root, scratch: Scratch::new("ceph")? };
        let ports = free_ports::<3>()?;
        place.configure(&ports)?;
        let monitor = place.start_monitor(&ports)?;
        let mut osds = Vec::new();
        for number in 0..OSDS {
            place.make_osd(number)?;
            osds.push(Some(place.start_osd(number)?));
        }
        let gateway = place.daemon("radosgw", &["-n", "client.rgw", "-f"], "rgw")?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[2]));
        let mut ceph = Self { gateway, osds, monitor, place, server };
        ceph.wait_for_gateway()?;
        Ok(ceph)
    }

    /// Where the gateway listens.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// A new user of the gateway, with a key of its own.
    pub fn create_user(&self, name: &str) -> Result<S3, Error> {
        let mut command = self.place.tool("radosgw-admin");
        command.args(["user", "create", "--display-name", name, "--uid", name]);
        let text = place::output(command.stderr(Stdio::null()))?;
        let odd = || Error::Broken(format!("radosgw-admin did not describe the user {name}"));
        let user: Value = serde_json::from_slice(&text).map_err(|_| odd())?;
        let key = |part: &str| user["keys"][0][part].as_str().map(str::to_owned).ok_or_else(odd);
        let keys = Keys { access: key("access_key")?, secret: key("secret_key")? };
        Ok(S3 { server: self.server, region: REGION.to_owned(), keys })
    }

    /// `kill -9` of one OSD.
    pub fn kill_osd(&mut self, number: usize) {
        self.osds[number] = None;
    }

    /// Starts an OSD that was killed, on the data that it left.
    pub fn start_osd(&mut self, number: usize) -> Result<(), Error> {
        self.osds[number] = Some(self.place.start_osd(number)?);
        Ok(())
    }

    /// Waits until every OSD is up and every placement group has all its copies.
    pub fn settle(&self) -> Result<(), Error> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if self.is_whole()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
        Err(Error::Broken(format!("the cluster did not become whole within {PATIENCE:?}")))
    }

    /// Keeps the daemons' logs in `folder`.
    pub fn keep_logs(&self, folder: &Path) -> Result<(), Error> {
        copy_files(&self.place.data().join("log"), folder)
    }

    fn is_whole(&self) -> Result<bool, Error> {
        let status = self.ask(&["status", "--format", "json", "--connect-timeout", "10"])?;
        if status["osdmap"]["num_up_osds"] != OSDS {
            return Ok(false);
        }
        for number in 0..OSDS {
            let socket = self.place.data().join(format!("run/osd.{number}.asok"));
            let socket = socket.to_string_lossy();
            let groups = self.ask(&["--admin-daemon", &socket, "dump_pgstate_history"])?;
            let groups = groups["pgs"].as_array();
            let state = |group: &Value| group["currently"].as_str().is_some_and(is_settled);
            if !groups.is_some_and(|groups| groups.iter().all(state)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the `ceph` program answers; nothing while a daemon is not there to answer.
    fn ask(&self, words: &[&str]) -> Result<Value, Error> {
        let mut command = self.place.ceph();
        command.args(words).stderr(Stdio::null());
        let output = command
            .output()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    fn wait_for_gateway(&mut self) -> Result<(), Error> {
        let give_up = Instant::now() + PATIENCE;
        let start = "GET / HTTP/1.1".to_owned();
        let headers = vec![("Host".to_owned(), self.server.to_string())];
        let head = http::Head { start, headers };
        while Instant::now() < give_up {
            if http::send(self.server, &head, b"").is_ok() {
                return Ok(());
            }
            let osds = self.osds.iter_mut().flatten().all(Daemon::is_alive);
            if !osds || !self.monitor.is_alive() || !self.gateway.is_alive() {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let kept = place::target().join("cluster").join("start");
        self.keep_logs(&kept)?;
        Err(Error::Broken(format!("the gateway does not answer, see {}", kept.display())))
    }
}

impl Place {
    fn data(&self) -> &Path {
        self.scratch.path()
    }

    /// One of Ceph's programs, with its libraries and this cluster's configuration.
    fn with_environment(&self, mut command: Command) -> Command {
        let root = |part: &str| self.root.join(part);
        let libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/ceph"];
        let more = [root("lib/x86_64-linux-gnu")];
        command.env("LD_LIBRARY_PATH", joined(libraries.map(root).into_iter().chain(more)));
        command.env("PATH", joined([root("usr/bin"), "/usr/bin".into(), "/bin".into()]));
        command.env("PYTHONPATH", root("usr/lib/python3/dist-packages"));
        command.env("CEPH_CONF", self.data().join("ceph.conf"));
        command.stdin(Stdio::null());
        command
    }

    fn tool(&self, name: &str) -> Command {
        self.with_environment(Command::new(self.root.join("usr/bin").join(name)))
    }

    /// The `ceph` program, which is in Python.
    fn ceph(&self) -> Command {
        let mut command = self.with_environment(Command::new("python3"));
        command.arg(self.root.join("usr/bin/ceph"));
        command
    }

    fn daemon(&self, name: &str, arguments: &[&str], log: &str) -> Result<Daemon, Error> {
        let program = self.root.join("usr/bin").join(name);
        let mut command = self.with_environment(leashed(program)?);
        command.args(arguments);
        Daemon::start(command, &self.data().join("log").join(format!("{log}.out")))
    }

    fn configure(&self, ports: &[u16; 3]) -> Result<(), Error> {
        for folder in ["mon", "run", "log"] {
            let folder = self.data().join(folder);
            fs::create_dir(&folder).map_err(Error::file(&folder))?;
        }
        let file = self.data().join("ceph.conf");
        let text = configuration(self.data(), &self.root, ports);
        fs::write(&file, text).map_err(Error::file(&file))?;
        self.make_keys()
    }

    fn make_keys(&self) -> Result<(), Error> {
        let keyring = self.data().join("keyring");
        let all = "allow *";
        let members: [(&str, &[(&str, &str)]); 3] = [
            ("mon.", &[("mon", all)]),
            ("client.admin", &[("mon", all), ("osd", all), ("mgr", all), ("mds", all)]),
            ("client.rgw", &[("mon", "allow rw"), ("osd", "allow rwx")]),
        ];
        for (at, (name, rights)) in members.into_iter().enumerate() {
            let mut command = self.tool("ceph-authtool");
            command.args((at == 0).then_some("--create-keyring")).arg(&keyring);
            command.args(["--gen-key", "-n", name]);
            for (daemon, right) in rights {
                command.args(["--cap", daemon, right]);
            }
            place::output(&mut command)?;
        }
        Ok(())
    }

    fn start_monitor(&self, ports: &[u16; 3]) -> Result<Daemon, Error> {
        let map = self.data().join("monmap");
        let address = format!("[v2:127.0.0.1:{},v1:127.0.0.1:{}]", ports[0], ports[1]);
        let mut command = self.tool("monmaptool");
        command.args(["--create", "--fsid", FSID, "--addv", "a", &address]).arg(&map);
        place::output(&mut command)?;
        let mut command = self.tool("ceph-mon");
        command.args(["--mkfs", "-i", "a", "--monmap"]).arg(&map);
        place::output(command.arg("--keyring").arg(self.data().join("keyring")))?;
        self.daemon("ceph-mon", &["-i", "a", "-f"], "mon")
    }

    fn osd_folder(&self, number: usize) -> PathBuf {
        self.data().join(format!("osd{number}"))
    }

    fn make_osd(&self, number: usize) -> Result<(), Error> {
        let folder = self.osd_folder(number);
        fs::create_dir(&folder).map_err(Error::file(&folder))?;
        let uuid = place::read(Path::new("/proc/sys/kernel/random/uuid"))?;
        let uuid = uuid.trim();
        let key = place::output(self.tool("ceph-authtool").arg("--gen-print-key"))?;
        let key = String::from_utf8_lossy(&key).trim().to_owned();
        self.enrol_osd(uuid, &key)?;
        let keyring = folder.join("keyring");
        let text = format!("[osd.{number}]\nkey = {key}\n");
        fs::write(&keyring, text).map_err(Error::file(&keyring))?;
        let mut command = self.tool("ceph-osd");
        command.args(["-i", &number.to_string(), "--mkfs", "--osd-uuid", uuid, "--keyring"]);
        place::output(command.arg(&keyring).stderr(Stdio::null())).map(drop)
    }

    fn enrol_osd(&self, uuid: &str, key: &str) -> Result<(), Error> {
        let mut command = self.ceph();
        command.args(["osd", "new", uuid, "-i", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        let said = format!("{{\"cephx_secret\": \"{key}\"}}");
        let written = child.stdin.take().map(|mut input| input.write_all(said.as_bytes()));
        written.transpose().map_err(Error::file("standard input of ceph osd new"))?;
        let status = child.wait().map_err(Error::file("ceph osd new"))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed { program: place::spelled(&command), status, log: None })
    }

    fn start_osd(&self, number: usize) -> Result<Daemon, Error> {
        let keyring = self.osd_folder(number).join("keyring");
        let keyring = keyring.to_string_lossy();
        let arguments = ["-i", &number.to_string(), "-f", "--keyring", &keyring];
        self.daemon("ceph-osd", &arguments, &format!("osd{number}"))
    }
}

fn configuration(data: &Path, root: &Path, [v2, v1, gateway]: &[u16; 3]) -> String {
    let (data, library) = (data.display(), root.join("usr/lib/x86_64-linux-gnu"));
    let library = library.display();
    format!(
        "[global]
fsid = {FSID}
mon initial members = a
mon host = [v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {data}/keyring
run dir = {data}/run
admin socket = {data}/run/$name.asok
pid file = {data}/run/$name.pid
log file = {data}/log/$name.log
mon data = {data}/mon
mon data avail warn = 1
mon data avail crit = 1
mon osd min down reporters = 1
mon osd reporter subtree level = osd
osd data = {data}/osd$id
osd objectstore = bluestore
bluestore block size = 8589934592
osd memory target = 939524096
osd heartbeat grace = 6
osd pool default size = {OSDS}
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
plugin dir = {library}/ceph
erasure code dir = {library}/ceph/erasure-code
osd class dir = {library}/rados-classes
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
"
    )
}

/// Whether an OSD has nothing to do for a placement group; who leads the group knows whether all copies are there.
fn is_settled(state: &str) -> bool {
    let settled = ["Primary/Active/Clean", "ReplicaActive/RepNotRecovering", "Stray"];
    state.strip_prefix("Started/").is_some_and(|state| settled.contains(&state))
}

fn joined(folders: impl IntoIterator<Item = PathBuf>) -> OsString {
    let folders: Vec<OsString> = folders.into_iter().map(PathBuf::into_os_string).collect();
    folders.join(":".as_ref())
}

/// Ports that nobody listened on a moment ago.
pub fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    let mut ports = [0; N];
    // Held together, so that no port comes twice.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
            *port = listener.local_addr()?.port();
            Ok(listener)
        });
        held.push(listener.map_err(Error::file("a port of 127.0.0.1"))?);
    }
    Ok(ports)
}

/// Copies the files directly in one folder to another.
pub fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let path = entry.map_err(Error::file(from))?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else {
            continue;
        };
        let copy = to.join(name);
        let mut file = File::create(&copy).map_err(Error::file(&copy))?;
        let mut log = File::open(&path).map_err(Error::file(&path))?;
        std::io::copy(&mut log, &mut file).map_err(Error::file(&copy))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_settled_when_its_copies_are_there() {
        for state in ["Started/Primary/Active/Clean", "Started/ReplicaActive/RepNotRecovering"] {
            assert!(is_settled(state), "{state}");
        }
        for state in ["Started/Primary/Active/Recovering", "Started/Primary/Peering", "Reset", ""] {
            assert!(!is_settled(state), "{state}");
        }
    }

    #[test]
    fn ports_are_different() {
        let mut ports = free_ports::<20>().unwrap().to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
