//! `nodekeep snapshot find`.

use crate::target::snapshots;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use clap::Args;
use globset::{GlobBuilder, GlobMatcher};
use nodekeep_repo::id::ChunkId;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::tree::{Entry, Kind};
use serde_json::{Value, json};

use super::ls::join;
use crate::error::{Error, Result};
use crate::refs;
use crate::render::{self, Table, entry};
use crate::session::{App, Need};
use crate::target;

/// Find files by name in all snapshots
#[derive(Debug, Args)]
#[command(after_help = "\
Role: reader, collector or owner.

A pattern without a slash matches names; one with a slash matches whole paths. Each version of a file is one line: its newest snapshot, and in how many it is.

Examples:
  nodekeep snapshot find '*.key'
  nodekeep snapshot find '/home/*/notes/**/plan.md' --in latest")]
pub struct Find {
    /// A glob: * ? [a-z] {a,b} **
    pattern: String,
    /// Only in this snapshot
    #[arg(long = "in", value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// Upper and lower case are the same
    #[arg(short, long)]
    ignore_case: bool,
}

impl Find {
    pub fn run(&self, app: &App) -> Result<()> {
        let glob = self.matcher()?;
        let repository = app.open(Need::Read)?.repository;
        let reader = target::reader(&repository)?;
        let records = match &self.snapshot {
            Some(text) => vec![target::find(repository, &refs::parse(text)?)?.record],
            None => snapshots(&repository)?,
        };
        let mut search = Search {
            reader,
            glob,
            whole: self.pattern.contains('/'),
            walked: HashMap::new(),
            versions: BTreeMap::new(),
        };
        let searched = records.len() as u64;
        for record in records {
            search.snapshot(&Rc::new(record))?;
        }
        match search.versions.is_empty() {
            true => app.output.say(format!(
                "Nothing matches {} in {}.",
                self.pattern,
                render::counted(searched, "snapshot")
            ))?,
            false => app.output.answer(search.table().text())?,
        }
        app.output.document(&json!({ "matches": search.document() }))
    }

    fn matcher(&self) -> Result<GlobMatcher> {
        let glob = GlobBuilder::new(&self.pattern)
            .literal_separator(self.pattern.contains('/'))
            .case_insensitive(self.ignore_case)
            .build();
        let bad = |error: globset::Error| Error::Pattern {
            pattern: self.pattern.clone(),
            message: error.kind().to_string(),
        };
        Ok(glob.map_err(bad)?.compile_matcher())
    }
}

type Match = (Vec<u8>, Entry);

/// One version of a file: in which snapshots, the newest last.
struct Version {
    entry: Entry,
    records: Vec<Rc<SnapshotRecord>>,
}

struct Search {
    reader: ChunkReader,
    glob: GlobMatcher,
    whole: bool,
    /// Matches below a directory that was walked before: snapshots share most of their trees.
    walked: HashMap<(ChunkId, Vec<u8>), Rc<Vec<Match>>>,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
}

impl Search {
    fn snapshot(&mut self, record: &Rc<SnapshotRecord>) -> Result<()> {
        for root in &record.snapshot.roots {
            let mut found = Vec::new();
            self.visit(&root.path, &root.entry, &mut found)?;
            for (path, entry) in found {
                self.add(path, entry, record);
            }
        }
        Ok(())
    }

    fn visit(&mut self, path: &[u8], entry: &Entry, found: &mut Vec<Match>) -> Result<()> {
        let text =
            String::from_utf8_lossy(if self.whole { path } else { &entry.name }).into_owned();
        if self.glob.is_match(&text) {
            found.push((path.to_vec(), entry.clone()));
        }
        if let Kind::Directory { tree, .. } = &entry.kind {
            found.extend(self.below(tree, path)?.iter().cloned());
        }
        Ok(())
    }

    fn below(&mut self, tree: &ChunkId, path: &[u8]) -> Result<Rc<Vec<Match>>> {
        let place = (*tree, path.to_vec());
        if let Some(known) = self.walked.get(&place) {
            return Ok(Rc::clone(known));
        }
        let mut found = Vec::new();
        for entry in self.reader.entries(tree)? {
            self.visit(&join(path, &entry.name), &entry, &mut found)?;
        }
        let found = Rc::new(found);
        self.walked.insert(place, Rc::clone(&found));
        Ok(found)
    }

    fn add(&mut self, path: Vec<u8>, entry: Entry, record: &Rc<SnapshotRecord>) {
        let versions = self.versions.entry(path).or_default();
        match versions.iter_mut().find(|version| version.entry == entry) {
            Some(version) => version.records.push(Rc::clone(record)),
            None => versions.push(Version { entry, records: vec![Rc::clone(record)] }),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (&Vec<u8>, &Version)> {
        self.versions
            .iter()
            .flat_map(|(path, versions)| versions.iter().rev().map(move |version| (path, version)))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["snapshot", ">in", ">size", "modified", "path"]);
        for (path, version) in self.lines() {
            let newest = version.records.last().map_or(String::new(), |record| record.id.short());
            table.row([
                newest,
                render::count(version.records.len() as u64),
                render::size(version.entry.size()),
                render::date_time(version.entry.mtime.saturating_mul(1000)),
                entry::name(path, &version.entry),
            ]);
        }
        table
    }

    fn document(&self) -> Vec<Value> {
        let line = |(path, version): (&Vec<u8>, &Version)| {
            let newest = version.records.last()?;
            let mut value = entry::json(&newest.snapshot, path, &version.entry);
            value["snapshots"] =
                version.records.iter().map(|record| Value::from(record.id.hex())).collect();
            Some(value)
        };
        self.lines().filter_map(line).collect()
    }
}
