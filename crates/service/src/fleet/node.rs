//! What is known of one node, put together for the judge and for the document.

use nodekeep_nodes::fence::known::Known;
use nodekeep_nodes::fence::mark::Value;
use nodekeep_nodes::manifest::ComponentRecord;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::retention::{Dated, Group};

use super::gather::Scene;
use super::judge::{Away, Drilled, Facts, Judged, Plan, Point, judge};
use super::local;
use super::moment::Moment;
use super::overview::{
    Component, Detail, Drill, Health, Mark, Newest, Next, Node, Retention, Verified,
};
use super::retention::{self, Pruning};
use super::space;
use crate::certificate::{Certificate, DrillResult, Signed};
use crate::error::Result;
use crate::fencing::Recorded;
use crate::find::NodeSnapshot;
use crate::notify::condition::{has_failed, patience};
use crate::records::{self, CERTIFICATE, MARKS, VERIFICATION, Verification};
use crate::schedule::Planned;
use crate::schedule::decide::{Ending, Past};
use crate::schedule::job::Job;

/// Values of marks are cut after so many characters.
const SHOWN: usize = 80;

impl Scene<'_> {
    pub(super) fn node(&self, name: &str) -> Result<Node> {
        let drill = self.last_drill(name);
        let verified = self.verified(name);
        let health = self.health(name)?;
        let newest = self.newest(name)?;
        let retention = self.retention(name);
        let facts = Facts {
            newest: newest.as_ref().map(|one| Point { at: one.at, complete: one.complete }),
            complete: self.complete_at(name, newest.as_ref()),
            drill: drill.as_ref().map(|(_, certificate)| drilled(certificate)).transpose()?,
            verified: verified.clone().map(|one| (one.at, (!one.ok).then_some(one.how))),
            retention: retention.clone(),
            health: health.clone(),
            ..self.facts(name, newest.as_ref())
        };
        let wanted = self.sources.targets.of(name);
        let Judged { verdict, reasons, rpo, rto } = judge(name, &facts, &wanted, self.now);
        let snapshots = self.stored.nodes.get(name).map(Vec::as_slice).unwrap_or_default();
        Ok(Node {
            name: name.to_owned(),
            profile: self.profile(name)?,
            id: name.to_owned(),
            here: self.registered.contains(name),
            host: self.host(name),
            verdict,
            reasons,
            newest,
            snapshots: snapshots.len() as u64,
            oldest: snapshots.first().map(started),
            rpo,
            rto,
            drill: drill.map(|(id, certificate)| shown(id, &certificate)).transpose()?,
            verified,
            next: self.next(name),
            paused: facts.plan == Plan::Paused,
            health,
            retention,
            fence_marks: self.known(name)?.all().count() as u64,
        })
    }

    pub(super) fn detail(&self, name: &str) -> Result<Detail> {
        let snapshots = self.stored.nodes.get(name).map(Vec::as_slice).unwrap_or_default();
        let components = snapshots.last().map_or(&[][..], |newest| &newest.manifest.components);
        let fence = self.known(name)?;
        Ok(Detail {
            node: self.node(name)?,
            components: components.iter().map(component).collect(),
            fence: fence.all().map(|(place, record)| mark(place, record)).collect(),
        })
    }

    /// Backups of the whole node by schedule that are not paused: of this machine's book, or as its newest snapshot carried them.
    pub(super) fn backups(&self, name: &str) -> Vec<Planned> {
        let mut plans = self.plans(name);
        plans.retain(|plan| is_backup(plan) && !plan.schedule.paused);
        plans
    }

    fn plans(&self, name: &str) -> Vec<Planned> {
        if self.registered.contains(name) {
            let of_it = |plan: &&Planned| plan.schedule.node.as_deref() == Some(name);
            return self.planned.iter().filter(of_it).cloned().collect();
        }
        let newest = self.stored.nodes.get(name).and_then(|snapshots| snapshots.last());
        let Some(newest) = newest else { return Vec::new() };
        // What an older or newer version wrote and cannot be read here is as good as none.
        let schedules = newest.schedules().unwrap_or_default();
        let plan =
            |schedule: &crate::schedule::Schedule| schedule.plan(&newest.manifest.machine.id).ok();
        schedules.iter().filter_map(plan).collect()
    }

    fn facts(&self, name: &str, newest: Option<&Newest>) -> Facts {
        let complete = self.complete_at(name, newest);
        let plans = self.plans(name);
        let backups: Vec<&Planned> = plans.iter().filter(|plan| is_backup(plan)).collect();
        let active = || backups.iter().filter(|plan| !plan.schedule.paused);
        Facts {
            patience: active().map(|plan| patience(plan, self.pause(plan))).min(),
            failure: active().find_map(|plan| self.failure(plan, complete)),
            away: self.away(),
            silent: self.silent(name),
            nearly_full: self.nearly_full(),
            damaged: self.stored.damaged + self.summary.scrub.map_or(0, |scrub| scrub.damaged),
            plan: match (active().next().is_some(), backups.is_empty()) {
                (true, _) => Plan::Scheduled,
                (false, false) => Plan::Paused,
                (false, true) => Plan::Unknown,
            },
            ..Facts::default()
        }
    }

    /// A failure that no snapshot came after.
    fn failure(&self, plan: &Planned, complete: Option<Moment>) -> Option<String> {
        let past = self.history.get(&plan.schedule.name)?;
        let ended = past.run.as_ref()?.ended?.0;
        let is_over = complete.is_some_and(|at| at.time() > ended);
        let said = || past.message.clone().unwrap_or_else(|| "it said nothing".to_owned());
        (has_failed(plan, past) && !is_over).then(said)
    }

    fn away(&self) -> Away {
        if self.summary.distance.is_offsite() {
            return Away::Itself;
        }
        let far = self.summary.copies.iter().filter(|copy| copy.distance.is_offsite());
        far.max_by_key(|copy| copy.finished).map_or(Away::Nowhere, |copy| {
            Away::Copy(copy.finished, format!("nodekeep repo {} {}", copy.kind, copy.location))
        })
    }

    fn silent(&self, name: &str) -> Option<Moment> {
        let newest = self.stored.nodes.get(name)?.last()?;
        let of_it = |id: &str| newest.manifest.machine.id == id;
        let machine = self.machines.iter().find(|machine| machine.silent && of_it(&machine.id))?;
        Some(machine.last_seen)
    }

    fn nearly_full(&self) -> Option<String> {
        space::nearly_full(self.summary.capacity, self.summary.days_until_full)
    }

    fn newest(&self, name: &str) -> Result<Option<Newest>> {
        if self.stored.records.is_none() {
            let state = self.sources.state.of(name)?;
            return Ok(local::last_backup(&state)?.map(|last| last.newest()));
        }
        let Some(snapshots) = self.stored.nodes.get(name) else { return Ok(None) };
        let whole = snapshots.iter().rev().find(|snapshot| snapshot.is_whole());
        Ok(whole.or(snapshots.last()).map(newest))
    }

    fn complete_at(&self, name: &str, newest: Option<&Newest>) -> Option<Moment> {
        let by_newest = newest.filter(|newest| newest.complete).map(|newest| newest.at);
        let complete = |snapshots: &Vec<NodeSnapshot>| {
            snapshots.iter().rev().find(|snapshot| holds_all(snapshot)).map(started)
        };
        by_newest.or_else(|| self.stored.nodes.get(name).and_then(complete))
    }

    fn profile(&self, name: &str) -> Result<String> {
        let newest = self.stored.nodes.get(name).and_then(|snapshots| snapshots.last());
        match newest {
            Some(newest) => Ok(newest.manifest.profile.clone()),
            None => Ok(self.sources.state.load(name)?.registration.profile),
        }
    }

    fn host(&self, name: &str) -> Option<String> {
        let newest = self.stored.nodes.get(name).and_then(|snapshots| snapshots.last());
        let here = || self.registered.contains(name).then(|| self.sources.host.clone());
        newest.map(|newest| newest.manifest.machine.host.clone()).or_else(here)
    }

    /// The last drill whose certificate a member of the repository signed.
    fn last_drill(&self, name: &str) -> Option<(SnapshotId, Certificate)> {
        let repository = self.sources.repository;
        let (roster, id) = (repository.roster(), repository.id().hex());
        let records = self.stored.records.as_deref().unwrap_or_default();
        let signed = records::of_kind_with_ids::<Signed>(records, name, CERTIFICATE);
        signed.into_iter().rev().find_map(|(record, signed)| {
            Some((record, signed.open_for(roster, &id).ok().filter(|found| found.node == name)?))
        })
    }

    /// By a record of the repository, or by a check of all data that this machine did.
    fn verified(&self, name: &str) -> Option<Verified> {
        let records = self.stored.records.as_deref().unwrap_or_default();
        let told = records::of_kind::<Verification>(records, name, VERIFICATION);
        let told =
            told.into_iter().map(|one| Verified { at: one.at.into(), ok: one.ok, how: one.how });
        let checks = self.planned.iter().filter(|plan| checks_data(plan, name));
        let checked = checks.filter_map(|plan| checked(self.history.get(&plan.schedule.name)?));
        told.chain(checked).max_by_key(|one| one.at)
    }

    fn health(&self, name: &str) -> Result<Option<Health>> {
        let here = match self.registered.contains(name) {
            true => local::last_look(&self.sources.state.of(name)?)?,
            false => None,
        };
        let newest = self.stored.nodes.get(name).and_then(|snapshots| snapshots.last());
        let carried = newest.and_then(|newest| local::look_in(&newest.record));
        Ok(here.into_iter().chain(carried).max_by_key(|look| look.at).map(Health::from))
    }

    fn next(&self, name: &str) -> Option<Next> {
        let plans = self.plans(name);
        let coming = plans.iter().filter(|plan| !plan.schedule.paused).filter_map(|plan| {
            let at = plan.next_start(plan.schedule.since, self.now)?;
            Some(Next { job: plan.schedule.job.word().to_owned(), at: at.into() })
        });
        coming.min_by_key(|next| next.at)
    }

    fn retention(&self, name: &str) -> Option<Retention> {
        let past = |plan: &Planned| self.history.get(&plan.schedule.name).cloned();
        let prunings = self.planned.iter();
        let prunings = prunings.filter_map(|plan| {
            Pruning::of(plan, past(plan).unwrap_or_default(), self.pause(plan), name)
        });
        let snapshots = self.stored.nodes.get(name).map(Vec::as_slice).unwrap_or_default();
        let dated: Vec<Dated> = snapshots.iter().map(|one| dated(&one.record)).collect();
        retention::judge(&prunings.collect::<Vec<_>>(), &dated, self.now)
    }

    /// What the fence knows by this machine's journal, the newest snapshot and the records.
    fn known(&self, name: &str) -> Result<Known> {
        let state = self.sources.state.of(name)?;
        let newest = self.stored.nodes.get(name).and_then(|snapshots| snapshots.last());
        let marks = self.stored.records.iter().flatten();
        let marks = marks.filter(|record| records::is_of_kind(record, name, MARKS));
        let told = marks.chain(newest.map(|newest| &newest.record));
        let told: Vec<SnapshotRecord> = told.cloned().collect();
        Ok(Recorded::of(&state, name, &told)?.known())
    }
}

fn is_backup(plan: &Planned) -> bool {
    matches!(&plan.schedule.job, Job::Backup { components } if components.is_empty())
}

fn checks_data(plan: &Planned, name: &str) -> bool {
    let is_its = plan.schedule.node.as_deref().is_none_or(|node| node == name);
    is_its && matches!(plan.schedule.job, Job::Check { data: true })
}

/// How the last check ended, or the last that ended well.
fn checked(past: &Past) -> Option<Verified> {
    let how = || "every byte of the repository was read".to_owned();
    let failed = past.run.as_ref().and_then(|run| run.ended).filter(|(_, e)| *e == Ending::Failed);
    match failed {
        Some((at, _)) => {
            let how = past.message.clone().unwrap_or_else(|| "it said nothing".to_owned());
            Some(Verified { at: at.into(), ok: false, how })
        }
        None => Some(Verified { at: past.done?.into(), ok: true, how: how() }),
    }
}

fn started(snapshot: &NodeSnapshot) -> Moment {
    Moment::of_millis(snapshot.record.snapshot.started_ms)
}

fn holds_all(snapshot: &NodeSnapshot) -> bool {
    local::is_complete(&snapshot.manifest, snapshot.record.snapshot.incomplete)
}

fn newest(snapshot: &NodeSnapshot) -> Newest {
    let data = &snapshot.record.snapshot;
    Newest {
        snapshot: snapshot.record.id.hex(),
        at: started(snapshot),
        complete: holds_all(snapshot),
        bytes: data.counts.bytes,
        added_bytes: data.counts.bytes_added,
        duration: data.finished_ms.saturating_sub(data.started_ms).max(0) as f64 / 1000.0,
        position: snapshot.manifest.position().told(),
    }
}

fn at_of(certificate: &Certificate) -> Result<Moment> {
    let time = certificate.at.parse::<jiff::Timestamp>();
    let bad = |error: jiff::Error| crate::error::Error::State {
        path: "certificate".into(),
        reason: error.to_string(),
    };
    time.map(Moment::from).map_err(bad)
}

fn drilled(certificate: &Certificate) -> Result<Drilled> {
    Ok(Drilled {
        at: at_of(certificate)?,
        result: certificate.result,
        started: certificate.started_node,
        secs: certificate.recovery_secs,
    })
}

fn shown(id: SnapshotId, certificate: &Certificate) -> Result<Drill> {
    Ok(Drill {
        at: at_of(certificate)?,
        ok: certificate.result != DrillResult::Failed,
        started: certificate.started_node,
        seconds: certificate.recovery_secs,
        certificate: Some(id.hex()),
    })
}

fn dated(record: &SnapshotRecord) -> Dated {
    let paths = record.snapshot.roots.iter().map(|root| root.path.clone()).collect();
    Dated {
        id: record.id,
        group: Group { writer: record.stamp.writer, paths },
        sequence: record.stamp.sequence,
        at: record.snapshot.started_ms / 1000,
        tags: record.snapshot.tags.clone(),
    }
}

fn component(record: &ComponentRecord) -> Component {
    let notes: Vec<&str> = record.notes.iter().map(|note| note.text.as_str()).collect();
    Component {
        name: record.name.clone(),
        kind: record.kind.clone(),
        status: record.status,
        bytes: record.bytes,
        position: record.position.told(),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

fn mark(
    place: &nodekeep_nodes::fence::mark::Place,
    record: &nodekeep_nodes::fence::known::Record,
) -> Mark {
    let what = [place.rule.as_str(), place.key.as_str(), place.chain.as_str()];
    let what: Vec<&str> = what.into_iter().filter(|part| !part.is_empty()).collect();
    Mark {
        what: what.join(" "),
        value: value_text(&record.highest),
        note: Some(format!("read on {} at {}", record.machine.host, record.at)),
    }
}

fn value_text(value: &Value) -> String {
    if let Value::Content(content) = value {
        let digest: String = content.digest.to_string().chars().take(12).collect();
        return format!("{} files, {digest}…", content.files);
    }
    let numbers = value.numbers().into_iter().filter_map(|(field, number)| {
        let number = number?;
        Some(if field.word().is_empty() {
            number.to_string()
        } else {
            format!("{} {number}", field.word())
        })
    });
    let text = numbers.collect::<Vec<_>>().join(", ");
    text.chars().take(SHOWN).collect()
}
