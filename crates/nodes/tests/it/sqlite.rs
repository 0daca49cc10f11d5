//! SQLite databases under a writer, after its death, locked, damaged, and none at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nodekeep_nodes::error::Error;
use nodekeep_nodes::kind::{Outcome, With, recognise};
use nodekeep_nodes::profile::{Kind, SqliteRule};
use rusqlite::{Connection, OpenFlags};

use super::support::{Bench, Dice, codes, rounds, tree, verify};
use super::writer::{Writer, acknowledge};

fn kind() -> Kind {
    let counts = [
        ("writes", "SELECT count(*) FROM writes"),
        ("last", "SELECT coalesce(max(n), 0) FROM writes"),
        // Every transaction takes from one account what it gives to another.
        ("coins", "SELECT sum(coins) FROM accounts"),
    ];
    let counts = counts.map(|(name, query)| (name.to_owned(), query.to_owned())).into();
    Kind::Sqlite(SqliteRule { counts })
}

/// Acknowledges numbered writes in a journal mode, with checkpoints and vacuums in between.
pub fn write(place: &Path, mode: &str) {
    let mut connection = Connection::open(place).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
        .query_row(&format!("PRAGMA journal_mode={mode}"), [], |row| row.get::<_, String>(0))
        .unwrap();
    connection
        .execute_batch(
            "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=100;
             CREATE TABLE writes(n INTEGER PRIMARY KEY);
             CREATE TABLE accounts(id INTEGER PRIMARY KEY, coins INTEGER, pad BLOB);
             CREATE INDEX by_coins ON accounts(coins);
             WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < 400)
             INSERT INTO accounts SELECT id, 1000, randomblob(2000) FROM ids;",
        )
        .unwrap();
    let mut dice = Dice::new(3);
    for number in 1..=u64::MAX {
        let transaction = connection.transaction().unwrap();
        let (from, to) = (1 + dice.below(400), 1 + dice.below(400));
        let pay = "UPDATE accounts SET coins = coins + ?1, pad = randomblob(?2) WHERE id = ?3";
        transaction.execute(pay, (-1, dice.below(4000) as i64, from as i64)).unwrap();
        transaction.execute(pay, (1, dice.below(4000) as i64, to as i64)).unwrap();
        transaction.execute("INSERT INTO writes VALUES (?1)", [number as i64]).unwrap();
        transaction.commit().unwrap();
        acknowledge(number);
        match dice.below(150) {
            0 => connection.execute_batch("VACUUM").unwrap(),
            1..=4 => _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())),
            _ => std::thread::sleep(Duration::from_micros(dice.below(1500))),
        }
    }
}

/// Stays in the middle of a transaction of which much is in the file already.
pub fn write_half(place: &Path) {
    let connection = Connection::open(place).unwrap();
    connection
        .execute_batch(
            "PRAGMA cache_size=5; BEGIN; UPDATE accounts SET coins = 0, pad = zeroblob(2000)",
        )
        .unwrap();
    acknowledge(1);
    std::thread::sleep(Duration::from_secs(600));
}

fn proof(mode: &str) {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    let writer = Writer::start(mode, &path);
    let mut dice = Dice::new(11);
    for round in 0..rounds() {
        dice.rest(30);
        let acknowledged = writer.acknowledged();
        let (captured, copy) = bench.copy(&kind(), &path);
        let verified = verify(&kind(), &copy);
        assert!(verified.is_sound(), "round {round}: {:?}", verified.checks);
        assert_eq!((codes(&captured), captured.is_torn), (vec![], false), "round {round}");
        assert_eq!(verified.position, captured.position);
        let counters = &captured.position.counters;
        assert_eq!((counters["writes"], counters["coins"]), (counters["last"], 400_000));
        assert!(counters["last"] >= acknowledged, "{} of {acknowledged}", counters["last"]);
        bench.sweep();
    }
    let writes = writer.acknowledged();
    _ = writeln!(std::io::stderr(), "sqlite {mode}: {} rounds, {writes} writes", rounds());
}

#[test]
fn no_write_is_lost_under_a_writer_in_wal_mode() {
    proof("wal");
}

#[test]
fn no_write_is_lost_under_a_writer_in_rollback_mode() {
    proof("delete");
}

#[test]
fn no_write_is_lost_under_a_writer_that_keeps_its_journal() {
    proof("persist");
}

/// A database whose writer died, and how many writes it acknowledged.
fn killed(bench: &Bench, mode: &str) -> (std::path::PathBuf, u64) {
    let path = bench.live("node.sqlite3");
    let writer = Writer::start(mode, &path);
    writer.wait_for(50);
    drop(writer);
    let writes = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map(drop);
    writes.unwrap();
    (path, 50)
}

#[test]
fn the_log_of_a_dead_owner_counts_and_its_folder_stays_as_it_is() {
    for without_index in [false, true] {
        let mut bench = Bench::new();
        let (path, acknowledged) = killed(&bench, "wal");
        if without_index {
            fs::remove_file(bench.live("node.sqlite3-shm")).unwrap();
        }
        let database = |bench: &Bench| {
            let mut files = tree(&bench.live(""));
            // The index of the log belongs to whoever has the database open.
            files.retain(|path, _| without_index || !path.to_string_lossy().ends_with("-shm"));
            files
        };
        let before = database(&bench);
        let (captured, copy) = bench.copy(&kind(), &path);
        assert_eq!(database(&bench), before);
        assert!(captured.position.counters["last"] >= acknowledged);
        assert_eq!(captured.position.counters["last"], captured.position.counters["writes"]);
        assert!(verify(&kind(), &copy).is_sound());
        assert_eq!(tree(copy.parent().unwrap()).len(), 1, "the copy stands alone");
    }
}

#[test]
fn a_transaction_that_died_half_way_is_rolled_back_in_the_copy_alone() {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    drop(Writer::start("delete", &path));
    let coins = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .query_row("SELECT sum(coins) FROM accounts", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(coins(&path), 400_000);
    drop(Writer::start("sqlite-half", &path));
    assert!(fs::metadata(bench.live("node.sqlite3-journal")).unwrap().len() > 10_000);
    let before = tree(&bench.live(""));
    let (captured, copy) = bench.copy(&kind(), &path);
    assert_eq!(tree(&bench.live("")), before);
    assert_eq!(captured.position.counters["coins"], 400_000);
    assert!(verify(&kind(), &copy).is_sound());
    assert_eq!(coins(&copy), 400_000);
}

#[test]
fn a_database_that_nobody_has_open_is_left_without_a_trace() {
    for mode in ["wal", "delete"] {
        let mut bench = Bench::new();
        let path = bench.live("node.sqlite3");
        drop(Writer::start(mode, &path));
        // Closed in order.
        drop(Connection::open(&path).map(|connection| connection.execute_batch("VACUUM")));
        let before = tree(&bench.live(""));
        assert_eq!(before.len(), 1);
        bench.copy(&kind(), &path);
        assert_eq!(tree(&bench.live("")), before, "{mode}");
    }
}

#[test]
fn copies_of_one_state_are_the_same_bytes() {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    drop(Writer::start("wal", &path));
    let owner = Connection::open(&path).unwrap();
    owner.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let live = fs::read(&path).unwrap();
    let copies = [(); 2].map(|()| fs::read(bench.copy(&kind(), &path).1).unwrap());
    assert!(copies[0] == copies[1]);
    assert_eq!(copies[0].len(), live.len());
    let differing: Vec<usize> = (0..live.len()).filter(|&at| live[at] != copies[0][at]).collect();
    // The change counter, the schema cookie, and the version that the counter is valid for.
    assert!(differing.iter().all(|at| *at < 100), "{differing:?}");
}

#[test]
fn the_copy_is_private_and_the_logs_are_not_in_it() {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    let _writer = Writer::start("wal", &path);
    let captured = bench.capture(&kind(), &path).unwrap();
    let With::Staged(copy) = &captured.grafts[0].with else { panic!("{:?}", captured.grafts) };
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    let names = |with: &With| {
        let grafts = captured.grafts.iter().filter(|graft| graft.with == *with);
        grafts.map(|graft| graft.at.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sides = ["node.sqlite3-wal", "node.sqlite3-shm", "node.sqlite3-journal"];
    assert_eq!(names(&With::Nothing), sides);
    assert_eq!(names(&With::Staged(copy.clone())), ["node.sqlite3"]);
}

#[test]
fn a_database_behind_a_link_is_found_with_its_log() {
    let mut bench = Bench::new();
    let there = bench.live("there");
    fs::create_dir(&there).unwrap();
    let _writer = Writer::start("wal", &there.join("real.db"));
    let path = bench.live("link.db");
    std::os::unix::fs::symlink(there.join("real.db"), &path).unwrap();
    let (captured, copy) = bench.copy(&kind(), &path);
    assert!(captured.grafts.iter().any(|graft| graft.at == there.join("real.db-wal")));
    assert!(copy.symlink_metadata().unwrap().is_file() && verify(&kind(), &copy).is_sound());
}

#[test]
fn what_is_no_database_is_refused_with_a_reason() {
    let mut dice = Dice::new(5);
    let random: Vec<u8> = (0..4096).map(|_| dice.below(256) as u8).collect();
    let cases: &[(&str, &[u8], &str)] = &[
        ("text", b"hello, this is text", "this is not a SQLite database"),
        ("random", &random, "it is encrypted (SQLCipher) or damaged"),
        ("short", b"SQLite format 3\0garbage", "file is not a database"),
    ];
    for (name, content, text) in cases {
        let mut bench = Bench::new();
        let path = bench.live(name);
        fs::write(&path, content).unwrap();
        let error = bench.capture(&kind(), &path).unwrap_err().to_string();
        assert!(error.contains(text), "{name}: {error}");
        assert_eq!(recognise(&path).is_some(), *name == "short");
    }
    let mut bench = Bench::new();
    let path = bench.live("absent");
    let error = bench.capture(&kind(), &path).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn an_empty_file_is_a_database_without_tables() {
    let mut bench = Bench::new();
    let path = bench.live("new.db");
    fs::write(&path, "").unwrap();
    let kind = Kind::Sqlite(SqliteRule::default());
    let (captured, copy) = bench.copy(&kind, &path);
    assert!(captured.notes.is_empty() && verify(&kind, &copy).is_sound());
    assert_eq!(fs::read(&path).unwrap(), b"");
    let copy = Connection::open(copy).unwrap();
    let tables: i64 =
        copy.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 0);
}

#[test]
fn a_lock_that_is_not_let_go_ends_the_patience() {
    for mode in ["delete", "wal"] {
        let mut bench = Bench::new();
        bench.patience = Duration::from_millis(300);
        let path = bench.live("node.sqlite3");
        let owner = Connection::open(&path).unwrap();
        let set = format!("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode={mode};");
        owner.execute_batch(&set).ok();
        owner
            .execute_batch("CREATE TABLE t(x); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)")
            .unwrap();
        if mode == "wal" {
            // Without shared memory nothing shows a lock, but the files are still: the copy is what was committed.
            let captured = bench.capture(&Kind::Sqlite(SqliteRule::default()), &path);
            assert!(captured.is_ok(), "{captured:?}");
            continue;
        }
        let error = bench.capture(&kind(), &path).unwrap_err();
        assert!(matches!(error, Error::Restless { .. }), "{error}");
        assert!(error.to_string().ends_with("another process kept the database locked"));
    }
}

#[test]
fn damage_is_told_and_the_database_captured_all_the_same() {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    drop(Writer::start("delete", &path));
    drop(Connection::open(&path).unwrap().execute_batch("VACUUM"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let (captured, copy) = bench.copy(&kind(), &path);
    assert!(captured.is_torn && codes(&captured).contains(&"integrity"), "{:?}", captured.notes);
    let verified = verify(&kind(), &copy);
    assert_eq!(verified.checks[0].outcome, Outcome::Failed);
}

#[test]
fn queries_that_fail_and_stray_rows_are_noted() {
    let mut bench = Bench::new();
    let path = bench.live("node.sqlite3");
    let owner = Connection::open(&path).unwrap();
    owner
        .execute_batch("PRAGMA foreign_keys=OFF; CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(a REFERENCES a(id)); INSERT INTO b VALUES (7), (8)")
        .unwrap();
    let (captured, copy) = bench.copy(&kind(), &path);
    assert_eq!(codes(&captured), ["foreign-keys", "not-counted", "not-counted", "not-counted"]);
    assert!(captured.notes[0].text.ends_with(": 2") && !captured.is_torn);
    assert!(captured.notes[1].text.starts_with("coins: no such table: accounts"));
    let verified = verify(&kind(), &copy);
    let outcomes: Vec<Outcome> = verified.checks.iter().map(|check| check.outcome).collect();
    use Outcome::{Failed, Passed, Skipped};
    assert_eq!(outcomes, [Passed, Skipped, Failed, Failed, Failed]);
}
