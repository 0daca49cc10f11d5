//! `kill -9` at random moments of everything that changes something: every snapshot that was listed before still comes back byte for
//! byte, the same command succeeds when it is typed again, the repository is sound, and nothing is left lying about.
//!
//! `NODEKEEP_KILL_ROUNDS=N` runs N rounds instead of the few that fit in between other tests; `NODEKEEP_KILL_SEED` another sequence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret;
use nodekeep_testkit::{Abilities, Rng, Size, Tree, edit, random};

use crate::support::Bed;

const ROUNDS: u64 = 30;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Backup,
    Restore,
    Prune,
    AddReader,
    Rotate,
    Portable,
}

const VICTIMS: [Victim; 8] = [
    Victim::Backup,
    Victim::Restore,
    Victim::Prune,
    Victim::Backup,
    Victim::AddReader,
    Victim::Prune,
    Victim::Rotate,
    Victim::Portable,
];

struct Scene {
    bed: Bed,
    rng: Rng,
    /// What each snapshot must give back.
    snapshots: BTreeMap<String, Tree>,
    /// How long each command takes when nobody kills it.
    takes: BTreeMap<Victim, Duration>,
    reader: String,
    /// The snapshot that is restored.
    restored: String,
    killed: BTreeMap<Victim, (u64, u64)>,
}

fn fresh_reader() -> String {
    let identity = age::x25519::Identity::generate();
    assert!(identity.to_string().expose_secret().starts_with("AGE-SECRET-KEY"));
    identity.to_public().to_string()
}

impl Scene {
    fn new(seed: u64) -> Self {
        let bed = Bed::new();
        let mut rng = Rng::new(seed);
        fs::remove_dir_all(bed.path("data")).unwrap();
        fs::create_dir(bed.path("data")).unwrap();
        let can = Abilities::probe(&bed.path("data")).unwrap();
        let size = Size { names: 60, large: 2, deep: false };
        random(&mut rng, can, size).write(&bed.path("data")).unwrap();
        let (snapshots, takes, killed) = Default::default();
        let mut scene = Self {
            bed,
            rng,
            snapshots,
            takes,
            reader: fresh_reader(),
            restored: String::new(),
            killed,
        };
        scene.complete(Victim::Backup);
        for victim in VICTIMS {
            scene.prepare(victim);
            scene.complete(victim);
            scene.tidy(victim);
        }
        scene
    }

    fn arguments(&self, victim: Victim) -> Vec<String> {
        let words = match victim {
            Victim::Backup => vec!["backup", "./data"],
            Victim::Restore => vec!["restore", &self.restored, "--target", "restored"],
            Victim::Prune => vec!["snapshot", "prune", "--keep-last", "3", "--max-unused", "0"],
            Victim::AddReader => vec!["key", "add", &self.reader, "--label", "killed"],
            Victim::Rotate => vec!["key", "rotate"],
            Victim::Portable => {
                vec!["backup", "./data", "--output", "file.nkb", "--recipient", &self.reader]
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Gives the command something to do.
    fn prepare(&mut self, victim: Victim) {
        match victim {
            Victim::Backup => drop(edit(&mut self.rng, &self.bed.path("data"), 4).unwrap()),
            Victim::AddReader => self.reader = fresh_reader(),
            Victim::Restore => self.restored = self.any_snapshot(),
            _ => (),
        }
    }

    fn any_snapshot(&mut self) -> String {
        let ids: Vec<&String> = self.snapshots.keys().collect();
        (*self.rng.pick(&ids)).clone()
    }

    /// Runs the command to its end, and takes in what it did.
    fn complete(&mut self, victim: Victim) {
        let arguments = self.arguments(victim);
        let started = Instant::now();
        let ran = self.bed.run(&Vec::from_iter(arguments.iter().map(String::as_str)));
        self.takes.insert(victim, started.elapsed());
        assert_eq!(ran.code, 0, "{victim:?} again\n{}{}", ran.stdout, ran.stderr);
        self.learn(victim);
    }

    /// Snapshots that are new hold what is in the folder; only a prune may take some away.
    fn learn(&mut self, victim: Victim) {
        let ids = self.bed.ids();
        let now = Tree::read(&self.bed.path("data")).unwrap();
        let new: Vec<&String> = ids.iter().filter(|id| !self.snapshots.contains_key(*id)).collect();
        assert!(victim == Victim::Backup || new.is_empty(), "{victim:?} made {new:?}");
        for id in new {
            self.snapshots.insert(id.clone(), now.clone());
        }
        let gone: Vec<String> =
            self.snapshots.keys().filter(|id| !ids.contains(id)).cloned().collect();
        assert!(victim == Victim::Prune || gone.is_empty(), "{victim:?} lost {gone:?}");
        if victim == Victim::Prune {
            assert!(ids.len() >= 3.min(self.snapshots.len()), "pruned to {ids:?}");
        }
        self.snapshots.retain(|id, _| ids.contains(id));
    }

    /// Starts the command and kills it; true if it was still running.
    fn kill(&mut self, victim: Victim) -> bool {
        let arguments = self.arguments(victim);
        let mut command = self.bed.command(&Vec::from_iter(arguments.iter().map(String::as_str)));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let longest = self.takes[&victim].as_micros() as usize * 11 / 10 + 1;
        sleep(Duration::from_micros(self.rng.below(longest) as u64));
        child.kill().unwrap();
        child.wait().unwrap().code().is_none()
    }

    /// One snapshot that was there before, in full.
    fn spot_check(&mut self, what: &str) {
        let id = self.any_snapshot();
        self.bed.ok(&["restore", &id, "--target", "spot", "--quiet"]);
        let found = Tree::read(&self.bed.path("spot")).unwrap();
        self.snapshots[&id].assert_same(&found, what);
        fs::remove_dir_all(self.bed.path("spot")).unwrap();
    }

    /// What the command made outside the repository, checked and removed.
    fn tidy(&mut self, victim: Victim) {
        match victim {
            Victim::Restore => {
                let found = Tree::read(&self.bed.path("restored")).unwrap();
                self.snapshots[&self.restored].assert_same(&found, "restored");
                fs::remove_dir_all(self.bed.path("restored")).unwrap();
            }
            Victim::Portable => fs::remove_file(self.bed.path("file.nkb")).unwrap(),
            _ => (),
        }
        assert_eq!(leftovers(&self.bed), Vec::<String>::new(), "{victim:?}");
    }

    fn packs(&self) -> Vec<std::path::PathBuf> {
        let mut packs = [self.bed.objects("/d/"), self.bed.objects("/t/")].concat();
        packs.sort();
        packs
    }

    fn round(&mut self, round: u64, victim: Victim) {
        let what = format!("round {round}, {victim:?}");
        self.prepare(victim);
        let packs = self.packs();
        let killed = self.kill(victim);
        let count = self.killed.entry(victim).or_default();
        (count.0, count.1) = (count.0 + 1, count.1 + u64::from(killed));
        self.learn(victim);
        self.spot_check(&what);
        match victim {
            // Complete, or not there: then it must be possible to make it.
            Victim::Portable if self.bed.path("file.nkb").exists() => (),
            // In its place only when it is whole; then there is nothing to do again.
            _ => self.complete(victim),
        }
        if matches!(victim, Victim::AddReader | Victim::Rotate) {
            assert_eq!(packs, self.packs(), "{what}: a pack came or went");
        }
        self.tidy(victim);
        let full = round.is_multiple_of(10);
        self.bed.ok(if full { &["check", "--data"] } else { &["check"] });
        self.spot_check(&format!("{what}, done"));
    }
}

/// What a program that was killed may leave, and its successor must not.
fn leftovers(bed: &Bed) -> Vec<String> {
    let mut found = Vec::new();
    look(&bed.path("."), &mut found);
    found
}

fn look(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".tmp", ".new-", "partial"].iter().any(|part| name.contains(part)) {
            found.push(entry.path().display().to_string());
        }
        if entry.file_type().unwrap().is_dir() && name != "data" {
            look(&entry.path(), found);
        }
    }
}

#[test]
fn killing_it_at_any_moment_loses_nothing() {
    let mut scene = Scene::new(number("NODEKEEP_KILL_SEED", 1));
    for round in 0..number("NODEKEEP_KILL_ROUNDS", ROUNDS) {
        scene.round(round, VICTIMS[round as usize % VICTIMS.len()]);
    }
    let in_time: u64 = scene.killed.values().map(|(_, killed)| killed).sum();
    assert!(
        in_time * 2 > scene.killed.values().map(|(rounds, _)| rounds).sum(),
        "{:?}",
        scene.killed
    );
    if std::env::var_os("NODEKEEP_KILL_ROUNDS").is_some() {
        tell(&scene.killed);
    }
}

#[expect(clippy::print_stderr, reason = "who asks for many rounds wants to know what was killed")]
fn tell(killed: &BTreeMap<Victim, (u64, u64)>) {
    for (victim, (rounds, killed)) in killed {
        eprintln!("{victim:?}: {rounds} rounds, killed before its end in {killed}");
    }
}
