//! `cargo xtask`: the project's own checks, benchmark and release build.
//!
//! Everything here is development only. It prints and exits freely, and it uses the system's `tar`, `sync`
//! and friends where a product could not.

mod args;
mod axon;
mod bench;
mod cluster;
mod dashboard;
mod dist;
mod elf;
mod error;
mod fuzz;
mod metrics;
mod minima;
mod place;
mod postgres;
mod rocksdb;
mod simulate;
mod systemd;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use error::Error;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy                 layers, forbidden words, long functions, links and whitespace
  bench [OPTIONS]      nodekeep beside restic, borg, rustic, bupstash and tar | zstd
      --size-gb F      size of the corpus (default 2)
      --runs N         runs of each tool, medians are reported (default 3)
      --quick          0.2 GB and one run
      --peers a,b      only these peers (default: every one found; `none` for none)
      --only a,b       only these steps: backup (= first,unchanged,change), restore, check, data, prune
      --dir DIR        where corpus and repositories lie (default target/bench)
      --out FILE       write the tables there too (between its bench markers, where it has them)
      --bin FILE       measure this nodekeep instead of building one
  bench scale [OPTIONS]  how time and memory grow with files, snapshots and chunks
      --files N        so many small files (default 1,000,000), and a hundredth and a tenth of them
      --snapshots N    so many snapshots of one tree (default 100)
      --chunks N       so many chunks (default 2,000,000)
      --quick          10,000 files, 10 snapshots, 50,000 chunks
      --only a,b       only files, snapshots or chunks
      --dir, --out, --bin  as above
  bench dashboard      50 nodes and 1,000 snapshots: the slowest page of the dashboard, and the memory of the daemon
  bench latency        backup and restore over a network with 50 ms more on every request, on a Ceph of its own
      --latency-ms N   another latency; and --size-gb (default 0.5), --runs, --dir, --bin as above
  dist                 a static release archive in target/dist
  test-ceph [OPTIONS]  the program on a Ceph cluster of three OSDs that it starts, with everything going wrong
  test-garage [OPTIONS]  the same on Garage, a store that lies about create-if-absent
      --only a,b       only these scenarios
      --quick          shorter; where the servers cannot be had, it says so and succeeds
      --seed N         another sequence of chances (default 1)
      --rounds N       so many rounds of each scenario instead of its own number
      --serve          only start the servers, print keys, and serve until the input ends
      --bin FILE       this nodekeep instead of building one
  test-postgres [OPTIONS]  a real PostgreSQL under load, captured at random moments by both methods
      --rounds N       so many captures (default 10)
      --seed N         another sequence of moments (default 1)
  test-axon --upstream DIR  the adapter of Axon against the real one: a clone of achgulp/axon_bbs
      --python FILE    a Python that can run it (default python3)
  test-metrics         metrics, rules and their tests by promtool, and a real Prometheus that scrapes
      --bin FILE       this nodekeep instead of building one
  test-minima --node JAR  backups, restores, keys and serving against the real Minima node, in a network of its own
      --only a,b       only these stories
      --bin FILE       this nodekeep instead of building one
  test-dashboard [OPTIONS]  the daemon's dashboard in a real Chromium; without one it says so and is skipped
      --only a,b       only these stories
      --pictures DIR   keep the pictures that it takes there
      --bin FILE       this nodekeep instead of building one
  test-systemd [OPTIONS]  the daemon's unit and exported units under a real systemd, booted in namespaces; as root
      --only a,b       only these stories
      --static         only what systemd-analyze says of the units; not as root either
      --bin FILE       this nodekeep instead of building one
  test-rocksdb [OPTIONS]  copies of live databases of the real RocksDB, against an exact model
      --rounds N       so many copies (default 200)
      --seed N         another sequence of chances (default 1)
  fuzz [SECONDS]       every fuzz target for this long (default 60), with coverage and address sanitizer; needs a C++ compiler
      --only a,b       only these targets
  simulate [OPTIONS]   every order of events in small scenarios, with the real engine
      --quick          only the small ones
      --scenario NAME  only this one
      --seed N         only the random path of this seed, through the scenario if one is named
      --switches N     what takes at most so many switches between actors in the scenario
      --bug NAME       with a fault planted, which must be found
";

/// The exit code that says that this machine cannot run the task, as test harnesses know it for "skipped".
const UNFIT: u8 = 77;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            match error {
                Error::Unfit { .. } => ExitCode::from(UNFIT),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(mut words: Vec<OsString>) -> Result<(), Error> {
    if words.is_empty() {
        return Err(Error::Usage(USAGE.to_owned()));
    }
    let command = words.remove(0);
    match command.to_str().unwrap_or_default() {
        "tidy" => tidy::run(),
        "bench" => bench::run(words),
        "dist" => dist::run(),
        "fuzz" => fuzz::run(words),
        "simulate" => simulate::run(words),
        "test-ceph" => cluster::test_ceph(words),
        "test-axon" => axon::run(words),
        "test-metrics" => metrics::run(words),
        "test-minima" => minima::run(words),
        "test-postgres" => postgres::run(words),
        "test-systemd" => systemd::run(words),
        "test-dashboard" => dashboard::run(words),
        "test-garage" => cluster::test_garage(words),
        "test-rocksdb" => rocksdb::run(words),
        cluster::leash::LEASH => cluster::leash::run_leash(&words),
        cluster::leash::JANITOR => cluster::leash::run_janitor(&words),
        bench::measure::COMMAND => bench::measure::run_inner(&words),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Error::Usage(USAGE.to_owned())),
    }
}
