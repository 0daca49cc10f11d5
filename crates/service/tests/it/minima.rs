//! A Minima node backed up and brought back, with every way that goes wrong. A stand-in takes the node's place: it can be told to fail in the
//! middle of a reset and to hang after a restore. The suite `test-minima` has the real node.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use nodekeep_nodes::hold::{self, Journal, Mounts, Plan};
use nodekeep_nodes::kind::Outcome;
use nodekeep_nodes::manifest::Status;
use nodekeep_nodes::minima::backup::Contents;
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::process::Process;
use nodekeep_nodes::profile::{self, HoldMethod};
use nodekeep_repo::backup::BackupOptions;
use nodekeep_service::capture::Wish;
use nodekeep_service::error::Error;
use nodekeep_service::holding::site;
use nodekeep_service::minima::sync::{Standing, advise};
use nodekeep_service::minima::{Revival, Revived, Way};
use nodekeep_service::restore;
use nodekeep_service::resume::resume;
use nodekeep_service::state::State;

use nodekeep_testkit::minima::scene::{self, World};
use nodekeep_testkit::minima::standin::{self, Mode, StandIn};

use crate::lab::{Machine, read};

#[test]
fn stand_in() {
    standin::stand_in();
}

/// A machine with a stand-in that runs.
struct Lab {
    node: Node,
    standin: StandIn,
    machine: Machine,
}

impl Lab {
    fn new(uses: [u64; 2]) -> Self {
        let machine = Machine::new();
        let contents = scene::contents_with(&scene::wallet(uses));
        let mut standin = StandIn::lay(&machine.data(), &contents, "");
        standin.start();
        let node = node(&standin);
        machine.state.add(&node).unwrap();
        Self { node, standin, machine }
    }

    fn back_up(&self, wish: &Wish) -> nodekeep_service::backup::NodeBackup {
        self.machine.back_up_some(&self.node, wish)
    }

    fn bring(&self, way: &Way<'_>, earlier: &[Contents]) -> Result<Revived, Error> {
        let ground = self.machine.ground();
        let revival = Revival::of(&ground, &self.node)?;
        revival.bring(way, &self.machine.all(), earlier)
    }

    fn process(&self) -> Process {
        Process::find(self.standin.pid()).expect("it runs")
    }

    /// An archive with all blocks of the chain.
    fn archive(&self) -> PathBuf {
        self.archive_of(&World::small().blocks)
    }

    fn archive_of(&self, blocks: &[scene::Block]) -> PathBuf {
        let path = self.machine.folder.join("archive.raw.dat");
        let bytes = scene::ibd(None, blocks);
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&bytes).unwrap();
        fs::write(&path, packer.finish().unwrap()).unwrap();
        path
    }
}

/// The built-in profile with the stand-in's own service.
fn node(standin: &StandIn) -> Node {
    let text = include_str!("../../../nodes/profiles/minima.toml");
    let (head, tail) = text.split_once("[service]").unwrap();
    let (_, tail) = tail.split_once("[[health]]").unwrap();
    let head = head.replace("{exchange-inside}\" }", "{exchange-inside}\", ends-within-secs = 2 }");
    assert!(head.contains("ends-within-secs"));
    let folder = standin.folder.display();
    let text = format!(
        "{head}[service]\nstop = \"kill $(cat '{folder}/pid')\"\nstart = [\"sh\", \"{folder}/start.sh\"]\nrunning = '''kill -0 $(cat '{folder}/pid') 2>/dev/null && test \"$(cut -d' ' -f3 /proc/$(cat '{folder}/pid')/stat)\" != Z'''\n\n[[health]]{tail}"
    );
    let profile = profile::parse(&text, "test").unwrap();
    let registration = Registration {
        name: "n".to_owned(),
        profile: profile.name.clone(),
        paths: [
            ("data".to_owned(), standin.folder.clone()),
            ("exchange".to_owned(), standin.folder.join("nodekeep-exchange")),
        ]
        .into(),
        values: [("rpc".to_owned(), format!("http://127.0.0.1:{}", standin.port()))].into(),
        deploy: None,
    };
    Node::new(registration, profile).unwrap()
}

fn end(process: Process) {
    std::process::Command::new("kill").arg(process.pid.to_string()).status().unwrap();
    while process.is_alive() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn outcome(revived: &Revived, name: &str) -> (Outcome, String) {
    let check = revived.verified.checks.iter().find(|check| check.name == name).unwrap();
    (check.outcome, check.detail.clone())
}

#[test]
fn a_restore_raises_uses_above_what_was_recorded_since() {
    let lab = Lab::new([3, 0]);
    assert!(lab.back_up(&Wish::default()).is_whole());
    // It signs, which only a later look records; then all of it is lost.
    lab.standin.put(&scene::contents_with(&scene::wallet([90, 5])));
    lab.back_up(&Wish::default());
    lab.standin.put(&scene::contents_with(&scene::wallet([0, 0])));
    let first = lab.machine.snapshots().remove(0);
    let wish = restore::Wish::default();
    let restored =
        lab.machine.ground().restore_node(&lab.node, &first, &lab.machine.all(), &wish).unwrap();
    assert!(restored.problems.is_empty(), "{:?}", restored.problems);
    // The highest recorded, a margin of 1000, and the node's own 256.
    assert_eq!(lab.standin.uses(), [90 + 1000 + 256, 5 + 1000 + 256]);
}

#[test]
fn a_file_that_is_older_than_a_recorded_use_is_raised_too() {
    let lab = Lab::new([700, 40]);
    lab.back_up(&Wish::default());
    let old = scene::contents_with(&scene::wallet([1, 0]));
    let revived = lab.bring(&Way::Backup { contents: &old, sync: None }, &[]).unwrap();
    assert_eq!(outcome(&revived, "keys").0, Outcome::Passed);
    assert_eq!(lab.standin.uses(), [700 + 256, 40 + 256]);
    assert!(revived.said.iter().any(|line| line.contains("raised to 700")), "{:?}", revived.said);
}

#[test]
fn a_cold_backup_has_the_folder_and_starts_the_node_again() {
    let lab = Lab::new([3, 0]);
    let before = lab.process();
    let done = lab.back_up(&Wish { cold: true, ..Wish::default() });
    assert!(done.is_whole(), "{:?}", done.manifest);
    assert_eq!(done.manifest.hold, HoldMethod::Stop);
    let held: Vec<&str> = done.manifest.components.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(held, ["state", "node"]);
    assert!(!before.is_alive() && lab.process().is_alive());
    // The state came from the running node, before it was stopped.
    let asked = lab.standin.asked();
    assert!(asked.contains(&"backup".to_owned()) && asked.last().unwrap() == "keys", "{asked:?}");
}

#[test]
fn a_cold_snapshot_goes_back_whole_and_its_uses_are_raised() {
    let lab = Lab::new([3, 0]);
    lab.back_up(&Wish { cold: true, ..Wish::default() });
    lab.standin.put(&scene::contents_with(&scene::wallet([90, 5])));
    lab.back_up(&Wish::default());
    fs::remove_dir_all(lab.standin.folder.join("1.0/minidapps")).unwrap();
    let cold = lab.machine.snapshots().remove(0);
    let ground = lab.machine.ground();
    // Alone it would bring back keys that nothing raises.
    let alone = restore::Wish { only: vec!["node".to_owned()], ..restore::Wish::default() };
    let refused = ground.restore_node(&lab.node, &cold, &lab.machine.all(), &alone).unwrap_err();
    assert!(matches!(refused, Error::OnlyTogether { .. }), "{refused}");
    assert_eq!(lab.standin.uses(), [90, 5]);
    let whole = restore::Wish::default();
    let restored = ground.restore_node(&lab.node, &cold, &lab.machine.all(), &whole).unwrap();
    assert!(restored.problems.is_empty(), "{:?}", restored.problems);
    assert_eq!(read(lab.standin.folder.join("1.0/minidapps/app.txt")), "an app");
    let uses = lab.standin.uses();
    assert!(uses[0] >= 90 + 256 && uses[1] >= 5 + 256, "{uses:?}");
}

#[test]
fn the_folder_of_a_running_node_counts_as_torn() {
    let lab = Lab::new([3, 0]);
    let only = vec!["node".to_owned()];
    let done = lab.back_up(&Wish { only: only.clone(), ..Wish::default() });
    let record = done.manifest.components.iter().find(|one| one.name == "node").unwrap();
    assert_eq!((record.status, record.notes[0].code.as_str()), (Status::Partial, "not-cold"));
    assert!(!done.is_whole());
    // Stopped by its owner it is as good as cold, and stays stopped.
    let process = lab.process();
    end(process);
    assert!(lab.back_up(&Wish { only: only.clone(), ..Wish::default() }).is_whole());
    assert!(lab.back_up(&Wish { only, cold: true, ..Wish::default() }).is_whole());
    assert_eq!(Process::find(process.pid), None);
}

#[test]
fn nothing_is_stopped_where_nothing_is_cold_or_only_counted() {
    let lab = Lab::new([3, 0]);
    let process = lab.process();
    let cold = Wish { cold: true, ..Wish::default() };
    let dry = BackupOptions { dry_run: true, ..BackupOptions::default() };
    lab.machine.ground().backup(&lab.node, &cold, &dry).unwrap();
    let skipped = Wish { skip: vec!["node".to_owned()], ..cold };
    let error = lab.machine.ground().backup(&lab.node, &skipped, &BackupOptions::default());
    assert!(matches!(error, Err(Error::NothingCold { .. })));
    assert!(process.is_alive());
}

#[test]
fn a_node_that_a_crash_left_stopped_is_started_at_the_next_start() {
    let lab = Lab::new([3, 0]);
    let before = lab.process();
    let mut stopped = lab.node.clone();
    stopped.profile.hold.method = HoldMethod::Stop;
    let state = State::new(lab.machine.folder.join("state"));
    let site = site(&state.of("n").unwrap());
    let plan = Plan::of(&stopped, &site, &Mounts::here().unwrap()).unwrap();
    let journal = Journal::open(&site.folder, "n", site.now).unwrap();
    let held = hold::enter(&plan, journal).unwrap();
    assert!(!before.is_alive());
    // As kill -9 leaves it: the journal says that it is held, nobody holds it, and it does not run.
    let files = fs::read_dir(&site.folder).unwrap().flatten().map(|entry| entry.path());
    let kept: Vec<(PathBuf, Vec<u8>)> = files
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    drop(held);
    end(lab.process());
    kept.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    let said = resume(&state);
    assert!(said.iter().any(|line| line.contains("was released")), "{said:?}");
    assert!(lab.process().is_alive());
}

#[test]
fn a_reset_that_loses_coins_says_how_many() {
    let lab = Lab::new([3, 0]);
    let file = lab.archive();
    let revived = lab.bring(&Way::Archive { file: &file, keys: None }, &[]).unwrap();
    let (found, detail) = outcome(&revived, "coins");
    assert_eq!(found, Outcome::Failed, "{detail}");
    assert!(
        detail.starts_with("2 of 3 coins that it had before are missing, 140 Minima"),
        "{detail}"
    );
    assert!(!revived.verified.is_sound() && revived.problems.is_empty());
}

#[test]
fn a_sync_that_loses_nothing_says_so() {
    let lab = Lab::new([3, 0]);
    let server = serve(&lab);
    let way = Way::Peer { host: &server, keys: None };
    let revived = lab.bring(&way, &[]).unwrap();
    assert_eq!(outcome(&revived, "coins").0, Outcome::Passed);
    assert!(lab.standin.asked().contains(&"megammrsync".to_owned()));
}

/// A server of the chain's blocks that serves until the test ends.
fn serve(lab: &Lab) -> String {
    serve_blocks(lab, &World::small().blocks)
}

/// A server of these blocks.
fn serve_blocks(lab: &Lab, blocks: &[scene::Block]) -> String {
    use nodekeep_nodes::minima::{serve, supply::Supply};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let scratch = lab.machine.folder.join(format!("supply-{}", blocks.len()));
    let supply = Supply::of(&lab.archive_of(blocks), &scratch).unwrap();
    std::thread::spawn(move || {
        let stop = std::sync::atomic::AtomicBool::new(false);
        serve::serve(&listener, &supply, serve::Limits::default(), &stop, &|_| ())
    });
    host
}

#[test]
fn a_reset_that_fails_midway_gives_back_what_the_node_had() {
    let lab = Lab::new([33, 7]);
    lab.standin.set(Mode::FailsMidway);
    let file = lab.archive();
    let failed = lab.bring(&Way::Archive { file: &file, keys: None }, &[]).unwrap_err();
    let Error::RolledBack { why, rolled_back } = failed else { panic!("{failed}") };
    assert!(why.to_string().contains("no such block"), "{why}");
    assert_eq!(rolled_back, "what the node had was given back to it");
    assert!(lab.standin.folder.join("thrown").exists(), "it had thrown its state away");
    assert_eq!(lab.standin.uses(), [33 + 256, 7 + 256]);
    assert!(lab.process().is_alive());
}

#[test]
fn a_node_that_cannot_be_rolled_back_is_left_with_its_safety_backup_named() {
    let lab = Lab::new([33, 7]);
    let ground = lab.machine.ground();
    let revival = Revival::of(&ground, &lab.node).unwrap();
    let kept = revival.keep(&BackupOptions::default()).unwrap();
    assert!(kept.is_whole());
    lab.standin.set(Mode::FailsForGood);
    let file = lab.archive();
    let failed = lab.bring(&Way::Archive { file: &file, keys: None }, &[]).unwrap_err();
    let Error::RolledBack { rolled_back, .. } = failed else { panic!("{failed}") };
    assert!(rolled_back.contains("could not be given back"), "{rolled_back}");
    assert!(rolled_back.contains("safety backup"), "{rolled_back}");
    let (kept, _) = nodekeep_service::find::of_node(&lab.machine.all(), "n-before-restore");
    assert_eq!(kept.len(), 1);
}

#[test]
fn a_node_that_hangs_after_a_restore_is_ended_by_its_id_and_started() {
    let lab = Lab::new([3, 0]);
    lab.standin.set(Mode::Hangs);
    let hung = lab.process();
    let contents = lab.standin.state();
    // The one that is started in its place is well.
    let folder = lab.standin.folder.clone();
    let watch = std::thread::spawn(move || {
        while !folder.join("1.0/restore/wallet.sql").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        fs::write(folder.join("mode"), "healthy").unwrap();
    });
    let revived = lab.bring(&Way::Backup { contents: &contents, sync: None }, &[]).unwrap();
    watch.join().unwrap();
    let ended = format!("its process {} was ended", hung.pid);
    assert!(revived.said.iter().any(|line| line.contains(&ended)), "{:?}", revived.said);
    assert!(!hung.is_alive() && lab.process().is_alive());
    assert!(!lab.standin.folder.join("1.0/restore/wallet.sql").exists());
    assert!(revived.problems.is_empty(), "{:?}", revived.problems);
}

#[test]
fn a_source_that_is_no_good_never_reaches_the_node() {
    let lab = Lab::new([3, 0]);
    let asked = |lab: &Lab| {
        let asked = lab.standin.asked();
        asked
            .iter()
            .any(|one| ["restore", "restoresync", "reset", "megammrsync"].contains(&one.as_str()))
    };
    let file = lab.archive();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    lab.bring(&Way::Archive { file: &file, keys: None }, &[]).unwrap_err();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    lab.bring(&Way::Peer { host: &nobody.to_string(), keys: None }, &[]).unwrap_err();
    let contents = lab.standin.state();
    let unsound = contents.with_wallet(b"no wallet");
    lab.bring(&Way::Backup { contents: &unsound, sync: None }, &[]).unwrap_err();
    assert!(!asked(&lab) && lab.process().is_alive());
}

#[test]
fn an_old_backup_asks_for_blocks_and_a_young_one_does_not() {
    let lab = Lab::new([3, 0]);
    let host = serve(&lab);
    let contents = lab.standin.state();
    let made = 1_700_000_000_000 + 6;
    let day = 24 * 3600 * 1000;
    let hosts = [host.clone()];
    let young = advise(&contents, &hosts, made + 2 * day - 1).unwrap();
    assert_eq!((young.block, young.asks, young.chosen()), (6, false, None));
    let old = advise(&contents, &hosts, made + 2 * day).unwrap();
    assert_eq!((old.asks, old.chosen()), (true, Some(host.as_str())));
    let told = format!(
        "the backup ends at block 6, 2 days old; {host} has that block, and none after it yet"
    );
    assert_eq!(old.to_string(), told);
}

#[test]
fn of_several_hosts_the_one_with_most_blocks_of_the_same_chain_is_chosen() {
    let lab = Lab::new([3, 0]);
    let contents = lab.standin.state();
    let whole = World::small();
    let [short, long] = [5, 6].map(|blocks| serve_blocks(&lab, &whole.blocks[..blocks]));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hosts = [nobody.to_string(), short.clone(), long.clone()];
    let now = 1_800_000_000_000;
    let standings = |contents: &Contents| -> Vec<Option<Standing>> {
        let advice = advise(contents, &hosts, now).unwrap();
        advice.asked.iter().map(|asked| asked.standing.as_ref().ok().copied()).collect()
    };
    let early = with_tree(&contents, &whole.blocks[2..4]);
    assert_eq!(standings(&early), [None, Some(Standing::Same(1)), Some(Standing::Same(2))]);
    let advice = advise(&early, &hosts, now).unwrap();
    assert_eq!(advice.chosen(), Some(long.as_str()));
    assert!(advice.to_string().contains(&format!("; {nobody}: ")), "{advice}");
    assert_eq!(standings(&contents)[1..], [Some(Standing::Unknown), Some(Standing::Same(0))]);
    // The chain was left after its fifth block.
    let mut fork = World::default();
    fork.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
    fork.block(&[0], &[("other", 60), ("mine", 40)]);
    fork.block(&[], &[]);
    fork.block(&[1, 3], &[("mine", 110)]);
    fork.block(&[4], &[("stated", 30), ("other", 10)]);
    fork.block(&[], &[("mine", 9)]);
    let left = with_tree(&contents, &fork.blocks[3..6]);
    assert_eq!(standings(&left)[1..], [Some(Standing::Unknown), Some(Standing::Left)]);
    assert_eq!(advise(&left, &hosts, now).unwrap().chosen(), Some(long.as_str()));
    // The same numbers, another chain from its first block on.
    let mut other = World::default();
    (0..7).for_each(|_| other.block(&[], &[("mine", 1)]));
    let apart = with_tree(&contents, &other.blocks[3..5]);
    assert_eq!(standings(&apart)[1..], [Some(Standing::Apart), Some(Standing::Apart)]);
    assert_eq!(advise(&apart, &hosts, now).unwrap().chosen(), None);
}

/// A state with these blocks as its tree.
fn with_tree(contents: &Contents, blocks: &[scene::Block]) -> Contents {
    let tree = scene::tree(blocks);
    let mut sections =
        nodekeep_nodes::minima::backup::Section::ALL.map(|one| contents.section(one));
    sections[2] = &tree;
    Contents::of(sections)
}
