//! The corpus: what a node's disk looks like, the same on every run.
//!
//! About half of it are real files of this machine; the rest is generated from fixed seeds: a hash-linked JSONL
//! chain, incompressible files like a database's tables, and one SQLite database. It is kept between runs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::place;

/// Rises when the corpus is built in another way.
const VERSION: u32 = 1;

const CHAIN: &str = "chain/blocks.jsonl";
const ADDED: &str = "added";

/// Generated files are from 2026-01-01, so that no tool distrusts them as just changed.
const GENERATED_AT_S: u64 = 1_767_225_600;

/// How much lies in a folder. Two folders with equal contents hold the same number of files and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Regular files and symbolic links.
    pub files: u64,
    /// Bytes in regular files.
    pub bytes: u64,
}

/// A corpus on disk.
#[derive(Debug)]
pub struct Corpus {
    /// Its folder.
    pub path: PathBuf,
    /// What it holds before the small change.
    pub base: Contents,
    chain_bytes: u64,
    remarks: String,
}

/// Sizes of the corpus' parts in bytes.
struct Parts {
    real: u64,
    chain: u64,
    tables: u64,
    database: u64,
}

impl Parts {
    fn of(size_gb: f64) -> Self {
        let share = |fraction: f64| (size_gb * 1e9 * fraction) as u64;
        Self { real: share(0.5), chain: share(0.125), tables: share(0.2), database: share(0.075) }
    }
}

/// Builds the corpus in `dir`, or takes the one that is there.
pub fn prepare(dir: &Path, size_gb: f64) -> Result<Corpus, Error> {
    let path = dir.join(format!("corpus-{size_gb}gb-v{VERSION}"));
    let marker = path.with_extension("done");
    if let Some(corpus) = load(&path, &marker)? {
        corpus.reset()?;
        return Ok(corpus);
    }
    eprintln!("building the corpus in {}", path.display());
    if path.exists() {
        fs::remove_dir_all(&path).map_err(Error::file(&path))?;
    }
    let remarks = build(&path, &Parts::of(size_gb))?;
    let base = measure_folder(&path)?;
    let chain = path.join(CHAIN);
    let chain_bytes = fs::metadata(&chain).map_err(Error::file(&chain))?.len();
    let note = format!("{} {} {chain_bytes}\n{remarks}", base.files, base.bytes);
    fs::write(&marker, note).map_err(Error::file(&marker))?;
    Ok(Corpus { path, base, chain_bytes, remarks })
}

fn load(path: &Path, marker: &Path) -> Result<Option<Corpus>, Error> {
    if !marker.exists() || !path.exists() {
        return Ok(None);
    }
    let note = place::read(marker)?;
    let (numbers, remarks) = note.split_once('\n').unwrap_or((&note, ""));
    let numbers: Vec<u64> = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [files, bytes, chain_bytes] = numbers[..] else {
        return Ok(None);
    };
    Ok(Some(Corpus {
        path: path.to_path_buf(),
        base: Contents { files, bytes },
        chain_bytes,
        remarks: remarks.to_owned(),
    }))
}

impl Corpus {
    /// One paragraph for the report.
    pub fn describe(&self) -> String {
        let Contents { files, bytes } = self.base;
        format!("Corpus: {:.2} GB in {files} files; {}.\n", bytes as f64 / 1e9, self.remarks)
    }

    /// Takes the small change back.
    pub fn reset(&self) -> Result<(), Error> {
        let added = self.path.join(ADDED);
        if added.exists() {
            fs::remove_dir_all(&added).map_err(Error::file(&added))?;
        }
        let chain = self.path.join(CHAIN);
        let file = File::options().write(true).open(&chain).map_err(Error::file(&chain))?;
        file.set_len(self.chain_bytes).map_err(Error::file(&chain))?;
        age(&chain)
    }

    /// Reads everything once.
    pub fn warm(&self) -> Result<(), Error> {
        walk(&self.path, &mut |path, kind| {
            if kind.is_file() {
                let mut file = File::open(path)?;
                io::copy(&mut file, &mut io::sink())?;
            }
            Ok(())
        })
    }

    /// The small change: the chain grows by 64 KiB, 20 files are touched, 50 small ones come.
    pub fn change(&self) -> Result<(), Error> {
        let chain = self.path.join(CHAIN);
        let mut file = File::options().append(true).open(&chain).map_err(Error::file(&chain))?;
        file.write_all(&Random(3).text(64 << 10)).map_err(Error::file(&chain))?;
        for path in self.some_files(20)? {
            let touched = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            touched.map_err(Error::file(&path))?;
        }
        let added = self.path.join(ADDED);
        fs::create_dir_all(&added).map_err(Error::file(&added))?;
        for number in 0..50 {
            let path = added.join(format!("message-{number:02}.txt"));
            let text = Random(100 + number).text(2_000);
            fs::write(&path, text).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    /// Files spread evenly over the corpus.
    fn some_files(&self, count: usize) -> Result<Vec<PathBuf>, Error> {
        let mut all = Vec::new();
        walk(&self.path.join("real"), &mut |path, kind| {
            if kind.is_file() {
                all.push(path.to_path_buf());
            }
            Ok(())
        })?;
        let stride = (all.len() / count).max(1);
        Ok(all.into_iter().step_by(stride).take(count).collect())
    }
}

/// Counts what lies in a folder; a single file counts as itself.
pub fn measure_folder(path: &Path) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    walk(path, &mut |path, kind| {
        if kind.is_file() {
            contents.bytes += fs::symlink_metadata(path)?.len();
        }
        if !kind.is_dir() {
            contents.files += 1;
        }
        Ok(())
    })?;
    Ok(contents)
}

type Visit<'a> = &'a mut dyn FnMut(&Path, fs::FileType) -> io::Result<()>;

/// Visits everything below a folder in the order of names, without following links.
fn walk(path: &Path, visit: Visit<'_>) -> Result<(), Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::file(path))? {
        entries.push(entry.map_err(Error::file(path))?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::file(&path))?;
        visit(&path, kind).map_err(Error::file(&path))?;
        if kind.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

fn build(path: &Path, parts: &Parts) -> Result<String, Error> {
    for folder in ["real", "chain", "tables", "database"] {
        let folder = path.join(folder);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    }
    let real = copy_real(&path.join("real"), parts.real)?;
    write_chain(&path.join(CHAIN), parts.chain)?;
    write_tables(&path.join("tables"), parts.tables)?;
    let database = write_database(&path.join("database/state.sqlite"), parts.database)?;
    Ok(format!(
        "{:.0} MB of real files, a {:.0} MB hash-linked JSONL chain, {:.0} MB of incompressible tables, {database}",
        real as f64 / 1e6,
        parts.chain as f64 / 1e6,
        parts.tables as f64 / 1e6,
    ))
}

/// Copies real files, each source up to its share; returns the bytes copied.
fn copy_real(to: &Path, budget: u64) -> Result<u64, Error> {
    let toolchain = place::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let toolchain = PathBuf::from(String::from_utf8_lossy(&toolchain).trim());
    let sources = [
        ("share", PathBuf::from("/usr/share"), 0.57),
        ("python", PathBuf::from("/usr/lib/python3"), 0.05),
        ("toolchain", toolchain.join("lib"), 0.38),
    ];
    let mut copied = 0;
    for (name, source, share) in sources {
        if source.is_dir() {
            copied += copy_up_to(&source, &to.join(name), (budget as f64 * share) as u64)?;
        }
    }
    Ok(copied)
}

fn copy_up_to(from: &Path, to: &Path, budget: u64) -> Result<u64, Error> {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    let mut copied = 0;
    walk(from, &mut |path, kind| {
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if kind.is_dir() {
            // Beyond the budget only empty folders would come.
            return if copied < budget { fs::create_dir_all(&target) } else { Ok(()) };
        }
        let length = fs::symlink_metadata(path)?.len();
        if copied + length > budget || !target.parent().is_some_and(Path::exists) {
            return Ok(());
        }
        if kind.is_symlink() {
            return symlink(fs::read_link(path)?, &target);
        }
        if kind.is_file() {
            copied += copy_file(path, &target)?;
        }
        Ok(())
    })?;
    Ok(copied)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let bytes = fs::copy(from, to)?;
    File::open(to)?.set_modified(fs::metadata(from)?.modified()?)?;
    Ok(bytes)
}

/// A chain of blocks, one JSON line each, every line holding the hash of the one before.
fn write_chain(path: &Path, size: u64) -> Result<(), Error> {
    let file = File::create(path).map_err(Error::file(path))?;
    let mut out = BufWriter::new(file);
    let mut random = Random(1);
    let mut previous = "0".repeat(64);
    let mut written = 0;
    let mut height = 0_u64;
    while written < size {
        let line = block(&mut random, height, &previous);
        previous = Random(fingerprint(line.as_bytes())).hex(64);
        out.write_all(line.as_bytes()).map_err(Error::file(path))?;
        written += line.len() as u64;
        height += 1;
    }
    out.flush().map_err(Error::file(path))?;
    age(path)
}

fn block(random: &mut Random, height: u64, previous: &str) -> String {
    let time = GENERATED_AT_S + height * 12;
    let mut line = format!(
        "{{\"height\":{height},\"time\":{time},\"previous\":\"{previous}\",\"transactions\":["
    );
    for number in 0..1 + random.next() % 4 {
        let comma = if number == 0 { "" } else { "," };
        let (from, to) = (random.account(), random.account());
        let amount = random.next() % 1_000_000;
        line.push_str(&format!(
            "{comma}{{\"from\":\"{from}\",\"to\":\"{to}\",\"amount\":{amount},\"fee\":21,\"signature\":\"{}\"}}",
            random.hex(128)
        ));
    }
    line.push_str("]}\n");
    line
}

/// Incompressible files of 64 MB, like a database's compressed tables.
fn write_tables(folder: &Path, size: u64) -> Result<(), Error> {
    let mut random = Random(2);
    let mut left = size;
    let mut number = 1;
    while left > 0 {
        let length = left.min(64_000_000);
        let path = folder.join(format!("{number:06}.sst"));
        let mut out = BufWriter::new(File::create(&path).map_err(Error::file(&path))?);
        for _ in 0..length / 8 {
            out.write_all(&random.next().to_le_bytes()).map_err(Error::file(&path))?;
        }
        out.flush().map_err(Error::file(&path))?;
        age(&path)?;
        left -= length;
        number += 1;
    }
    Ok(())
}

const DATABASE_SCRIPT: &str = r#"
import random, sqlite3, sys
path, size = sys.argv[1], int(sys.argv[2])
source = random.Random(7)
db = sqlite3.connect(path, isolation_level=None)
db.execute("pragma journal_mode = off")
db.execute("create table coin (id integer primary key, address text, amount integer, script text, proof blob)")
db.execute("create index coin_address on coin (address)")
pages, number = 0, 0
while pages * 4096 < size:
    db.execute("begin")
    for _ in range(2000):
        number += 1
        address = "0x%064x" % source.getrandbits(256)
        script = "RETURN SIGNEDBY(%s) AND @BLOCK GT %d" % (address, number)
        row = (number, address, source.randrange(10**9), script, source.randbytes(160))
        db.execute("insert into coin values (?, ?, ?, ?, ?)", row)
    db.execute("commit")
    pages = db.execute("pragma page_count").fetchone()[0]
"#;

/// Writes an SQLite database with Python, or says why there is none.
fn write_database(path: &Path, size: u64) -> Result<String, Error> {
    let mut python = Command::new("python3");
    python.args(["-c", DATABASE_SCRIPT]).arg(path).arg(size.to_string());
    if !python.status().is_ok_and(|status| status.success()) {
        return Ok("no SQLite database (python3 with sqlite3 was not found)".to_owned());
    }
    age(path)?;
    Ok(format!("a {:.0} MB SQLite database", size as f64 / 1e6))
}

fn age(path: &Path) -> Result<(), Error> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(GENERATED_AT_S);
    let aged = File::open(path).and_then(|file| file.set_modified(time));
    aged.map_err(Error::file(path))
}

/// FNV-1a, enough to link lines.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `SplitMix64`: the same numbers on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits / 16).map(|_| format!("{:016x}", self.next())).collect()
    }

    /// One of a few thousand accounts, so that they repeat as they do on a chain.
    fn account(&mut self) -> String {
        Random(self.next() % 4_096).hex(32)
    }

    /// Lines of hexadecimal words.
    pub(super) fn text(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&self.hex(16));
            text.push(if self.next().is_multiple_of(8) { '\n' } else { ' ' });
        }
        text.truncate(bytes);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_parts_are_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        write_chain(&one, 10_000).unwrap();
        write_chain(&two, 10_000).unwrap();
        let chain = fs::read_to_string(&one).unwrap();
        assert_eq!(chain, fs::read_to_string(&two).unwrap());
        let lines: Vec<_> = chain.lines().collect();
        let hash = Random(fingerprint(format!("{}\n", lines[0]).as_bytes())).hex(64);
        assert!(lines[1].contains(&hash), "line 2 names the hash of line 1");
    }

    #[test]
    fn a_change_is_small_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus");
        for folder in ["real", "chain"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        fs::write(path.join("real/a"), "a").unwrap();
        write_chain(&path.join(CHAIN), 1_000).unwrap();
        let base = measure_folder(&path).unwrap();
        let corpus = Corpus { chain_bytes: base.bytes - 1, path, base, remarks: String::new() };
        corpus.change().unwrap();
        let changed = measure_folder(&corpus.path).unwrap();
        assert_eq!(
            (changed.files - base.files, changed.bytes - base.bytes),
            (50, 65_536 + 100_000)
        );
        corpus.reset().unwrap();
        assert_eq!(measure_folder(&corpus.path).unwrap(), base);
    }

    #[test]
    fn copies_stay_within_their_budget() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        for name in ["a/one", "a/two", "b"] {
            fs::write(from.join(name), [7; 100]).unwrap();
        }
        assert_eq!(copy_up_to(&from, &to, 250).unwrap(), 200);
        assert_eq!(measure_folder(&to).unwrap(), Contents { files: 2, bytes: 200 });
    }
}
