//! The drill: a snapshot restored into a sandbox, checked by the rules of its kinds and of its profile, timed, and told in a signed
//! certificate. It never touches the node.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nodekeep_nodes::command::Program;
use nodekeep_nodes::fence::read::{State as Lying, look};
use nodekeep_nodes::kind::{Check, Outcome, postgres};
use nodekeep_nodes::manifest::{ComponentRecord, Status};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::{Kind, PostgresMethod, VerifyRule};
use nodekeep_nodes::system;
use nodekeep_repo::id::SnapshotId;

use crate::backup::Ground;
use crate::certificate::{Certificate, DrillResult, Signed, VERSION};
use crate::error::{Error, Result};
use crate::fencing::look_of;
use crate::find::NodeSnapshot;
use crate::records::CERTIFICATE;
use crate::restore::place::{bring_all, placements};
use crate::restore::{lying, verify_placement};
use crate::state::make_folder;

/// How long a PostgreSQL server may take to recover and be looked at.
const SERVER_WITHIN: Duration = Duration::from_secs(1800);

/// A sandbox that is removed when it goes out of use.
struct Sandbox {
    folder: PathBuf,
    keeps: bool,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.keeps {
            // What cannot be removed is seen in the scratch folder, which is ours.
            _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What came of a drill.
#[derive(Debug)]
pub struct Drilled {
    /// The record in the repository.
    pub id: SnapshotId,
    /// What was found.
    pub certificate: Certificate,
    /// The same, signed.
    pub signed: Signed,
}

impl Ground<'_> {
    /// Drills a snapshot below `folder`, keeps the sandbox if asked to, and records the certificate.
    ///
    /// # Errors
    /// If there is no key to sign with, or the sandbox cannot be made. What fails in the drill is in its certificate.
    pub fn drill(&self, snapshot: &NodeSnapshot, folder: &Path, keeps: bool) -> Result<Drilled> {
        let key = self.repository.writer_key().ok_or(Error::NoSigner)?;
        let certificate = self.rehearse(snapshot, folder, keeps)?;
        let unwritable = |error: serde_json::Error| Error::State {
            path: "certificate".into(),
            reason: error.to_string(),
        };
        let signed = Signed::sign(&certificate, key).map_err(unwritable)?;
        let id = self.write_record(&snapshot.manifest.node, CERTIFICATE, &signed)?;
        Ok(Drilled { id, certificate, signed })
    }

    /// What a drill finds, without a signature and a record.
    ///
    /// # Errors
    /// If the sandbox cannot be made. What fails in it is in the certificate.
    pub fn rehearse(
        &self,
        snapshot: &NodeSnapshot,
        folder: &Path,
        keeps: bool,
    ) -> Result<Certificate> {
        let at = Timestamp::now();
        let begun = Instant::now();
        let node = snapshot.node()?;
        let name = format!("drill-{}-{}", node.name(), at.as_millisecond());
        let sandbox = Sandbox { folder: folder.join(name), keeps };
        make_folder(&sandbox.folder)?;
        let moved = in_sandbox(&node, &sandbox.folder);
        let mut rehearsal = Rehearsal::default();
        rehearsal.restore(self, snapshot, &moved);
        rehearsal.fence(snapshot, &moved);
        rehearsal.servers(snapshot, &moved, &sandbox.folder);
        rehearsal.rules(&moved);
        let manifest = &snapshot.manifest;
        Ok(Certificate {
            version: VERSION,
            node: manifest.node.clone(),
            profile: manifest.profile.clone(),
            snapshot: snapshot.record.id.hex(),
            captured_at: manifest.captured_at.clone(),
            at: at.to_string(),
            machine: self.state.machine(&self.host)?,
            sandbox: sandbox.folder.display().to_string(),
            recovery_secs: begun.elapsed().as_secs_f64(),
            bytes: rehearsal.bytes,
            result: DrillResult::of(&rehearsal.steps, rehearsal.started_node),
            steps: rehearsal.steps,
            started_node: rehearsal.started_node,
            repository: self.repository.id().hex(),
            signer: self.repository.writer_id().map(|id| id.hex()).unwrap_or_default(),
        })
    }
}

/// The node with each of its folders in the sandbox.
pub fn in_sandbox(node: &Node, sandbox: &Path) -> Node {
    let paths = node.registration.paths.keys();
    node.moved(paths.map(|name| (name.clone(), sandbox.join(name))).collect())
}

/// A drill as it goes on.
#[derive(Default)]
struct Rehearsal {
    steps: Vec<Check>,
    bytes: u64,
    started_node: bool,
}

impl Rehearsal {
    fn step(&mut self, name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) {
        self.steps.push(Check { name: name.into(), outcome, detail: detail.into() });
    }

    fn restore(&mut self, ground: &Ground<'_>, snapshot: &NodeSnapshot, node: &Node) {
        let brought = placements(snapshot, node, |_| true)
            .and_then(|placements| Ok((bring_all(ground, snapshot, &placements)?, placements)));
        match brought {
            Err(error) => self.step("restore", Outcome::Failed, error.to_string()),
            Ok((bytes, placements)) => {
                self.bytes = bytes;
                self.step("restore", Outcome::Passed, format!("{bytes} bytes into the sandbox"));
                let others = lying(node);
                for placement in &placements {
                    for (name, mut verified) in
                        verify_placement(node, snapshot, placement, &placement.target, &others)
                    {
                        // A restore does not ask this: what the node itself had lost must not keep the rest from coming back.
                        if let Ok(located) = node.component(&name) {
                            system::verify(node, &name, &located.path, &mut verified);
                        }
                        self.component(snapshot, &name, verified);
                    }
                }
            }
        }
        self.steps.extend(snapshot.manifest.components.iter().filter_map(lacking));
    }

    /// Its checks, and whether it stands where the manifest says.
    fn component(
        &mut self,
        snapshot: &NodeSnapshot,
        name: &str,
        verified: nodekeep_nodes::kind::Verified,
    ) {
        for check in verified.checks {
            self.step(format!("{name}: {}", check.name), check.outcome, check.detail);
        }
        let record = snapshot.manifest.components.iter().find(|record| record.name == name);
        let Some(record) = record else { return };
        let differs = record.position.counters.iter().find_map(|(counter, told)| {
            let found = verified.position.counters.get(counter)?;
            (found != told).then(|| format!("{found} {counter}, and the manifest says {told}"))
        });
        match differs {
            Some(detail) => self.step(format!("{name}: position"), Outcome::Failed, detail),
            None if record.position.counters.is_empty() => {}
            None => self.step(format!("{name}: position"), Outcome::Passed, "as in the manifest"),
        }
    }

    /// The marks of the copy are those that the snapshot claims, so that a fence that is asked later is told the truth.
    fn fence(&mut self, snapshot: &NodeSnapshot, node: &Node) {
        let Some(claimed) = look_of(snapshot).filter(|look| !look.marks().is_empty()) else {
            return;
        };
        let found = look(node, Lying::Copy);
        for rule in &node.profile.fence {
            let (told, seen) = (claimed.of(&rule.name), found.of(&rule.name));
            let name = format!("fence: {}", rule.name);
            match (told, seen) {
                (Some(told), Some(seen)) if told == seen => {
                    self.step(name, Outcome::Passed, "as recorded in the snapshot");
                }
                // The copy may be a little ahead of what was read before it was captured.
                (Some(_), Some(nodekeep_nodes::fence::look::Seen::Read(_))) => {
                    self.step(name, Outcome::Passed, "readable; it moved while it was captured");
                }
                _ => self.step(name, Outcome::Skipped, "it cannot be read from a copy"),
            }
        }
    }

    /// A PostgreSQL server is started on its copy, last: the copy is not as it was afterwards.
    fn servers(&mut self, snapshot: &NodeSnapshot, node: &Node, sandbox: &Path) {
        let is_base = |kind: &Kind| matches!(kind, Kind::Postgres(rule) if rule.method == PostgresMethod::Base);
        let located = node.components().unwrap_or_default().into_iter();
        let servers = located.filter(|located| is_base(&located.component.kind));
        for (at, located) in servers.enumerate() {
            let name = &located.component.name;
            let is_sound = self.steps.iter().all(|step| step.outcome != Outcome::Failed);
            if !snapshot.holds(name) || !is_sound {
                continue;
            }
            // Its socket lies there, whose path must be short.
            let folder = sandbox.join(format!("pg{at}"));
            match postgres::check_started(&located.path, &folder, SERVER_WITHIN) {
                Ok(verified) => {
                    for check in verified.checks {
                        self.step(format!("{name}: {}", check.name), check.outcome, check.detail);
                    }
                }
                Err(error) => {
                    self.step(format!("{name}: start"), Outcome::Failed, error.to_string());
                }
            }
        }
    }

    fn rules(&mut self, node: &Node) {
        if self.steps.iter().any(|step| step.outcome == Outcome::Failed) {
            let what = "not run: what was restored is not sound";
            node.profile
                .verify
                .iter()
                .for_each(|rule| self.step(&rule.name, Outcome::Skipped, what));
            return;
        }
        for rule in &node.profile.verify {
            self.rule(node, rule);
        }
        if !node.profile.verify.iter().any(|rule| rule.starts_node) {
            self.step(
                "start",
                Outcome::Skipped,
                "the profile does not say how to start this node in a sandbox",
            );
        }
    }

    fn rule(&mut self, node: &Node, rule: &VerifyRule) {
        let run = Program::of(&rule.command, &node.variables()).and_then(|program| program.run());
        match run {
            Ok(done) => {
                self.started_node |= rule.starts_node;
                self.step(&rule.name, Outcome::Passed, last_line(&done.stdout));
            }
            Err(error) => self.step(&rule.name, Outcome::Failed, error.to_string()),
        }
    }
}

/// What the snapshot itself lacks of a component: a restore does not bring it back, so that a node that needs it is not proven by the rest.
fn lacking(record: &ComponentRecord) -> Option<Check> {
    let what = match record.status {
        Status::Captured => return None,
        Status::Partial if !record.lost() => return None,
        Status::Partial => "the snapshot holds it in part",
        Status::Failed | Status::Skipped | Status::Absent => "it is not in the snapshot",
    };
    let is_needed = record.required && matches!(record.status, Status::Partial | Status::Failed);
    let why: Vec<&str> = record.notes.iter().map(|note| note.text.as_str()).collect();
    Some(Check {
        name: record.name.clone(),
        outcome: if is_needed { Outcome::Failed } else { Outcome::Skipped },
        detail: [what, &why.join("; ")].join(if why.is_empty() { "" } else { ": " }),
    })
}

fn last_line(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it succeeded").to_owned()
}
