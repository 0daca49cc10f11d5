//! Writers and the collector die at any moment, several of them at once.

use std::collections::BTreeMap;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_testkit::{Rng, Size, edit};

use super::book::Book;
use super::ceph::Ceph;
use super::machine::{Machine, snapshot_of, text_of};
use super::stage::Stage;
use crate::error::Error;

const WRITERS: u64 = 3;

/// What a prune leaves of each machine.
const KEEP: usize = 3;
const PRUNE: [&str; 6] = ["snapshot", "prune", "--keep-last", "3", "--max-unused", "0"];

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Writer(usize),
    Collector,
}

struct Scene<'a> {
    owner: &'a Machine,
    writers: Vec<Machine>,
    book: Book,
    rng: Rng,
    /// How long each takes when nobody kills it.
    takes: BTreeMap<Victim, Duration>,
    killed: u64,
    started: u64,
}

/// Rounds of starting one to four programs and killing all of them after a part of their time.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let mut rng = stage.rng(4);
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let writer = site.writer(&format!("writer-{number}"))?;
        writer.grow(&mut rng, Size::SMALL)?;
        writer.add_file(&mut rng, "large", 4)?;
        writers.push(writer);
    }
    let (book, takes) = Default::default();
    let owner = &site.owner;
    let mut scene = Scene { owner, writers, book, rng, takes, killed: 0, started: 0 };
    scene.learn_times()?;
    let rounds = stage.rounds(12, 100);
    for round in 0..rounds {
        scene.round(round).map_err(|error| match error {
            Error::Broken(text) => Error::Broken(format!("round {round}: {text}")),
            other => other,
        })?;
    }
    scene.conclude(rounds)
}

impl Scene<'_> {
    /// Everything once, to its end.
    fn learn_times(&mut self) -> Result<(), Error> {
        for number in 0..self.writers.len() {
            let started = Instant::now();
            self.complete(number)?;
            self.takes.insert(Victim::Writer(number), started.elapsed());
        }
        let started = Instant::now();
        self.owner.run(&PRUNE)?.ok()?;
        self.takes.insert(Victim::Collector, started.elapsed());
        Ok(())
    }

    /// A backup that nobody kills.
    fn complete(&mut self, number: usize) -> Result<(), Error> {
        let writer = &self.writers[number];
        let tree = writer.tree()?;
        let ran = writer.run(&["backup", &writer.data().to_string_lossy(), "--json"])?;
        // A predecessor's session may have been ended, or its generation closed, while this one ran: no.
        let id = snapshot_of(&ran.ok()?)?;
        self.book.committed(writer.name(), id, tree);
        Ok(())
    }

    fn round(&mut self, round: u64) -> Result<(), Error> {
        let victims = self.choose();
        self.change(&victims)?;
        self.kill(&victims)?;
        self.learn(&victims)?;
        self.book.must_list(self.owner)?;
        if let Some(entry) = self.book.any(&mut self.rng) {
            self.owner.must_restore(&entry.id, &entry.tree)?;
        }
        // What was killed succeeds when it is repeated, whatever it left behind.
        for victim in victims {
            match victim {
                Victim::Writer(number) => self.complete(number)?,
                Victim::Collector => {
                    let said = self.owner.run(&[&PRUNE[..], &["--json"]].concat())?.ok()?.json()?;
                    self.book.pruned(&said);
                }
            }
        }
        let full = round % 10 == 9;
        self.owner.must_check(if full { &["--data"] } else { &[] }).map(drop)
    }

    /// One to four of the programs; the collector in every second round.
    fn choose(&mut self) -> Vec<Victim> {
        let mut victims: Vec<Victim> = (0..self.writers.len()).map(Victim::Writer).collect();
        while victims.len() > 1 && self.rng.one_in(2) {
            victims.remove(self.rng.below(victims.len()));
        }
        if self.rng.one_in(2) {
            victims.push(Victim::Collector);
        }
        victims
    }

    fn change(&mut self, victims: &[Victim]) -> Result<(), Error> {
        for victim in victims {
            if let Victim::Writer(number) = victim {
                let data = self.writers[*number].data();
                edit(&mut self.rng, &data, 4).map_err(Error::file(data))?;
            }
        }
        Ok(())
    }

    /// Starts all of them, and kills each after a random part of its time.
    fn kill(&mut self, victims: &[Victim]) -> Result<(), Error> {
        let mut running: Vec<(Duration, Child)> = Vec::new();
        let slower = victims.len().max(1) as u32;
        let started = Instant::now();
        for victim in victims {
            let longest = self.takes[victim] * slower;
            let longest = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
            let at = Duration::from_micros(self.rng.below(longest + 1) as u64);
            let child = match victim {
                Victim::Collector => self.owner.spawn(&PRUNE)?,
                Victim::Writer(number) => {
                    let writer = &self.writers[*number];
                    writer.spawn(&["backup", &writer.data().to_string_lossy()])?
                }
            };
            running.push((at, child));
        }
        running.sort_by_key(|(at, _)| *at);
        for (at, mut child) in running {
            thread::sleep(at.saturating_sub(started.elapsed()));
            child.kill().map_err(Error::file("kill"))?;
            let status = child.wait().map_err(Error::file("wait"))?;
            self.started += 1;
            self.killed += u64::from(status.code().is_none());
        }
        Ok(())
    }

    /// Takes in what they did before they died.
    fn learn(&mut self, victims: &[Victim]) -> Result<(), Error> {
        for snapshot in self.owner.snapshots()? {
            let (Some(id), Some(host)) = (text_of(&snapshot["id"]), text_of(&snapshot["host"]))
            else {
                continue;
            };
            let is_victim = |writer: &&Machine| writer.name() == host;
            let writer = self.writers.iter().find(is_victim);
            if let Some(writer) = writer.filter(|_| !self.book.knows(&id)) {
                self.book.committed(&host, id, writer.tree()?);
            }
        }
        if victims.contains(&Victim::Collector) {
            self.book.pruned_unseen(self.owner, KEEP)?;
        }
        Ok(())
    }

    fn conclude(self, rounds: u64) -> Result<String, Error> {
        let said = self.owner.run(&[&PRUNE[..], &["--json"]].concat())?.ok()?.json()?;
        self.book.pruned(&said);
        if said["collection"]["postponed"] == true {
            let words = "a prune is postponed though every writer is dead or done";
            return Err(Error::Broken(words.to_owned()));
        }
        self.owner.must_check(&["--data"])?;
        self.book.must_list(self.owner)?;
        let live = self.book.live();
        for entry in &live {
            self.owner.must_restore(&entry.id, &entry.tree)?;
        }
        if self.killed * 2 < self.started {
            let Self { killed, started, .. } = self;
            return Err(Error::Broken(format!("only {killed} of {started} died before their end")));
        }
        Ok(format!(
            "{rounds} rounds, {} of {} killed before their end; {} snapshots committed, {} left and restored",
            self.killed,
            self.started,
            self.book.len(),
            live.len()
        ))
    }
}
