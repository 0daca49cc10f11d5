//! Eight writers, a collector, a checker and a restorer, all at once, none waiting for another.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nodekeep_testkit::{Rng, Size, edit};

use super::book::Book;
use super::ceph::Ceph;
use super::machine::{Machine, Ran, snapshot_of};
use super::stage::Stage;
use crate::error::Error;

const WRITERS: u64 = 8;

/// Someone else's work may come between a writer and its end so often in a row.
const TRIES: u32 = 8;

/// "Someone else's work came between: run it again", see docs/exit-codes.md.
const TRY_AGAIN: i32 = 11;

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    again: AtomicU64,
    prunes_ended: AtomicU64,
    prunes: AtomicU64,
    postponed: AtomicU64,
    checks: AtomicU64,
    restores: AtomicU64,
    slowest_ms: AtomicU64,
}

/// Everything that the threads share.
struct Crowd {
    book: Book,
    tally: Tally,
    writing: AtomicBool,
    failed: Mutex<Option<Error>>,
}

/// Runs all of them, and then compares everything that was committed and not pruned.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let rounds = stage.rounds(2, 6);
    let machines = machines(stage, &site)?;
    let crowd = Crowd {
        book: Book::default(),
        tally: Tally::default(),
        writing: AtomicBool::new(true),
        failed: Mutex::default(),
    };
    let chance = stage.rng(99);
    thread::scope(|scope| {
        let writers: Vec<_> = machines
            .iter()
            .map(|(machine, rng)| scope.spawn(|| crowd.note(write(&crowd, machine, rng, rounds))))
            .collect();
        scope.spawn(|| crowd.note(prune(&crowd, &site.owner)));
        scope.spawn(|| crowd.note(check(&crowd, &site.owner)));
        scope.spawn(|| crowd.note(restore(&crowd, &site.owner, chance)));
        for writer in writers {
            // A thread that panicked has said so; the others are to end all the same.
            drop(writer.join());
        }
        crowd.writing.store(false, Ordering::SeqCst);
    });
    if let Some(error) = crowd.failed.into_inner().unwrap_or_default() {
        return Err(error);
    }
    conclude(&site.owner, &crowd.book, &crowd.tally)
}

/// Six machines with credentials of their own, and two names for a seventh: two processes of one writer at once.
fn machines(stage: &Stage<Ceph>, site: &super::stage::Site) -> Result<Vec<(Machine, Rng)>, Error> {
    let mut machines = Vec::new();
    for number in 0..WRITERS {
        let machine = match number {
            7 => {
                let same: &Machine =
                    &machines.last().map(|(machine, _)| machine).cloned().ok_or_else(|| {
                        Error::Broken("there is no machine to share a credential with".to_owned())
                    })?;
                site.stranger("writer-7")?.with_credential(same.path("credential"))
            }
            _ => site.writer(&format!("writer-{number}"))?,
        };
        let mut rng = stage.rng(10 + number);
        machine.grow(&mut rng, Size::SMALL)?;
        machine.add_file(&mut rng, "large", if stage.quick { 3 } else { 12 })?;
        machines.push((machine, rng));
    }
    Ok(machines)
}

impl Crowd {
    /// Keeps the first failure, and ends everybody's work.
    fn note(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.writing.store(false, Ordering::SeqCst);
            let mut failed = self.failed.lock().unwrap_or_else(|poison| poison.into_inner());
            failed.get_or_insert(error);
        }
    }

    fn goes_on(&self) -> bool {
        self.writing.load(Ordering::SeqCst)
    }

    fn took(&self, ran: &Ran) {
        let ms = u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX);
        self.tally.slowest_ms.fetch_max(ms, Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn write(crowd: &Crowd, machine: &Machine, rng: &Rng, rounds: u64) -> Result<(), Error> {
    let mut rng = rng.clone();
    let data = machine.data();
    for _ in 0..rounds {
        if !crowd.goes_on() {
            return Ok(());
        }
        let tree = machine.tree()?;
        let id = backup_until_done(crowd, machine)?;
        crowd.book.committed(machine.name(), id, tree);
        edit(&mut rng, &data, 6).map_err(Error::file(&data))?;
    }
    Ok(())
}

fn backup_until_done(crowd: &Crowd, machine: &Machine) -> Result<String, Error> {
    let data = machine.data();
    for _ in 0..TRIES {
        let ran = machine.run(&["backup", &data.to_string_lossy(), "--json"])?;
        crowd.took(&ran);
        if ran.code != TRY_AGAIN {
            return snapshot_of(&ran.ok()?);
        }
        count(&crowd.tally.again);
    }
    Err(Error::Broken(format!("{}: no backup got through in {TRIES} tries", machine.name())))
}

/// What `PRUNE` leaves of each machine.
const KEEP: usize = 2;

const PRUNE: [&str; 7] = ["snapshot", "prune", "--keep-last", "2", "--max-unused", "0", "--json"];

fn prune(crowd: &Crowd, owner: &Machine) -> Result<(), Error> {
    while crowd.goes_on() {
        let ran = owner.run(&PRUNE)?;
        crowd.took(&ran);
        if ran.code == TRY_AGAIN {
            count(&crowd.tally.prunes_ended);
            continue;
        }
        let said = ran.ok()?.json()?;
        crowd.book.pruned(&said);
        count(&crowd.tally.prunes);
        if said["collection"]["postponed"] == true {
            count(&crowd.tally.postponed);
        }
    }
    Ok(())
}

fn check(crowd: &Crowd, owner: &Machine) -> Result<(), Error> {
    while crowd.goes_on() {
        owner.must_check(&[])?;
        count(&crowd.tally.checks);
    }
    Ok(())
}

fn restore(crowd: &Crowd, owner: &Machine, mut rng: Rng) -> Result<(), Error> {
    while crowd.goes_on() {
        let Some(entry) = crowd.book.any(&mut rng) else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let outcome = owner.must_restore(&entry.id, &entry.tree);
        if outcome.is_err() && is_gone(crowd, owner, &entry.id)? {
            // It was pruned meanwhile: that may be said, and what is there of it is nobody's.
            drop(std::fs::remove_dir_all(owner.path(&format!("restored-{}", entry.id))));
            continue;
        }
        crowd.took(&outcome?);
        count(&crowd.tally.restores);
    }
    Ok(())
}

/// Whether a prune, which may still be at work, has removed a snapshot.
fn is_gone(crowd: &Crowd, owner: &Machine, id: &str) -> Result<bool, Error> {
    Ok(crowd.book.is_removed(id) || !owner.ids()?.iter().any(|listed| listed == id))
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn conclude(owner: &Machine, book: &Book, tally: &Tally) -> Result<String, Error> {
    if read(&tally.prunes_ended) > 0 {
        // What those deleted before they gave up, they did not say.
        book.pruned_unseen(owner, KEEP)?;
    }
    book.must_list(owner)?;
    let said = owner.run(&PRUNE)?.ok()?.json()?;
    book.pruned(&said);
    if said["collection"]["postponed"] == true {
        return Err(Error::Broken("a prune is postponed though nobody writes".to_owned()));
    }
    book.must_list(owner)?;
    owner.must_check(&["--data"])?;
    let live = book.live();
    for entry in &live {
        owner.must_restore(&entry.id, &entry.tree)?;
    }
    Ok(format!(
        "{} snapshots by {WRITERS} writers, {} left and restored; meanwhile {} prunes ({} postponed, {} gave up), \
         {} checks, {} restores; {} backups again; slowest command {:.1} s",
        book.len(),
        live.len(),
        read(&tally.prunes),
        read(&tally.postponed),
        read(&tally.prunes_ended),
        read(&tally.checks),
        read(&tally.restores),
        read(&tally.again),
        read(&tally.slowest_ms) as f64 / 1000.0
    ))
}
