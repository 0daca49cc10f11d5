//! From what is known of a node to how it stands: a function of facts, targets and the moment. Each thing that is not as it should be
//! is a finding that caps the verdict, so a worse fact never gives a better verdict.

use jiff::{SignedDuration, Timestamp};
use nodekeep_nodes::fence::known::span;

use super::moment::Moment;
use super::overview::{Code, Health, Reason, Retention, Target, Verdict};
use super::targets::Wanted;
use crate::certificate::DrillResult;

/// Without a target and a schedule a snapshot may be so old, in seconds.
pub const USUAL_RPO_SECS: u64 = 7 * 86_400;
/// Without a target a drill proves something for so long, in seconds.
pub const PROOF_SECS: u64 = 30 * 86_400;

/// What is known of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its newest snapshot.
    pub newest: Option<Point>,
    /// The newest that is complete.
    pub complete: Option<Moment>,
    /// So long may pass between two backups by its schedules.
    pub patience: Option<SignedDuration>,
    /// Why the last run failed for good.
    pub failure: Option<String>,
    /// The last drill.
    pub drill: Option<Drilled>,
    /// The last check of its data: when, and what was wrong.
    pub verified: Option<(Moment, Option<String>)>,
    /// Whether its snapshots survive the loss of the machine.
    pub away: Away,
    /// The machine that writes it went silent: since when.
    pub silent: Option<Moment>,
    /// Why the repository is nearly full.
    pub nearly_full: Option<String>,
    /// Objects of the repository that cannot be read.
    pub damaged: u64,
    /// Whether rules about old snapshots are kept to.
    pub retention: Option<Retention>,
    /// The last look at the node.
    pub health: Option<Health>,
    /// How backups come about.
    pub plan: Plan,
}

/// A snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When it began.
    pub at: Moment,
    /// Whether everything that the node needs is in it.
    pub complete: bool,
}

/// A drill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drilled {
    /// When it began.
    pub at: Moment,
    /// How it came out.
    pub result: DrillResult,
    /// Whether the node was started on the copy.
    pub started: bool,
    /// How long it took.
    pub secs: f64,
}

impl Drilled {
    /// Only a node that was started on its copy is proven.
    fn is_proof(&self) -> bool {
        self.result == DrillResult::Proven && self.started
    }
}

/// Where snapshots are besides this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Away {
    /// Nowhere.
    #[default]
    Nowhere,
    /// In a copy that was complete then, made by this command.
    Copy(Moment, String),
    /// The repository itself is on another host.
    Itself,
}

/// How backups come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is known.
    #[default]
    Unknown,
    /// By a schedule.
    Scheduled,
    /// By one that is paused.
    Paused,
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// In a word.
    pub verdict: Verdict,
    /// Why, the gravest first.
    pub reasons: Vec<Reason>,
    /// How much would be lost.
    pub rpo: Target,
    /// How long a return takes.
    pub rto: Target,
}

/// Something to say, and the best that can be said of the node then.
struct Finding {
    cap: Verdict,
    reason: Reason,
}

/// Judges a node.
pub fn judge(node: &str, facts: &Facts, wanted: &Wanted, now: Timestamp) -> Judged {
    let case = Case { node, facts, wanted, now };
    let mut findings = case.all();
    findings.sort_by_key(|finding| (finding.cap, finding.reason.code));
    let is_proof = facts.drill.is_some_and(|drill| drill.is_proof());
    let best = if is_proof { Verdict::Proven } else { Verdict::Safe };
    let verdict = findings.first().map_or(best, |finding| finding.cap.min(best));
    let rpo_target = wanted.rpo.map(|span| span.secs() as f64);
    let age = facts.complete.map(|at| at.age_secs(now) as f64);
    let rto_target = wanted.rto.map(|span| span.secs() as f64);
    Judged {
        verdict,
        reasons: findings.into_iter().map(|finding| finding.reason).collect(),
        rpo: Target::of(rpo_target, age),
        rto: Target::of(rto_target, facts.drill.map(|drill| drill.secs)),
    }
}

struct Case<'a> {
    node: &'a str,
    facts: &'a Facts,
    wanted: &'a Wanted,
    now: Timestamp,
}

impl Case<'_> {
    fn all(&self) -> Vec<Finding> {
        let Some(newest) = self.facts.newest else {
            let mut alone = vec![self.never()];
            alone.extend(self.failed());
            alone.extend(self.plan());
            return alone;
        };
        let mut findings = Vec::new();
        findings.extend(self.failed());
        findings.extend(self.overdue());
        findings.extend(self.silent());
        findings.extend(self.incomplete(newest));
        findings.extend(self.drill());
        findings.extend(self.rto());
        findings.extend(self.verified());
        findings.extend(self.away(newest));
        findings.extend(self.ground());
        findings.extend(self.plan());
        findings
    }

    fn never(&self) -> Finding {
        let text = "There is no snapshot of it.".to_owned();
        finding(Verdict::Never, Code::Never, text, self.command("nodekeep backup"))
    }

    fn failed(&self) -> Option<Finding> {
        let why = self.facts.failure.as_ref()?;
        let text = format!("The last backup failed: {}.", why.trim_end_matches('.'));
        Some(finding(Verdict::Failed, Code::Failed, text, Some("nodekeep daemon logs".to_owned())))
    }

    /// The stricter of the target and the schedule counts.
    fn overdue(&self) -> Option<Finding> {
        let by_target = self.wanted.rpo.map(|span| span.secs());
        let by_schedule = self.facts.patience.and_then(|span| u64::try_from(span.as_secs()).ok());
        let allowed = match (by_target, by_schedule) {
            (Some(target), Some(schedule)) => target.min(schedule),
            (target, schedule) => target.or(schedule).unwrap_or(USUAL_RPO_SECS),
        };
        let text = match self.facts.complete {
            None => "No complete snapshot of it is left.".to_owned(),
            Some(at) if at.age_secs(self.now) <= allowed => return None,
            Some(at) => format!(
                "The newest complete snapshot is {} old; it may be {}.",
                span(at.age_secs(self.now)),
                span(allowed)
            ),
        };
        Some(finding(Verdict::Overdue, Code::Overdue, text, self.command("nodekeep backup")))
    }

    fn silent(&self) -> Option<Finding> {
        let since = self.facts.silent?;
        let text =
            format!("Its machine has written nothing for {}.", span(since.age_secs(self.now)));
        Some(finding(Verdict::Overdue, Code::Silent, text, None))
    }

    fn incomplete(&self, newest: Point) -> Option<Finding> {
        let text = "The newest snapshot lacks something that the node needs.".to_owned();
        let remedy = self.command("nodekeep snapshot show");
        (!newest.complete).then(|| finding(Verdict::AtRisk, Code::Incomplete, text, remedy))
    }

    fn drill(&self) -> Option<Finding> {
        let command = self.command("nodekeep drill");
        // Where drills are asked for, a missing one is a risk; else it is only no proof.
        let lack = if self.wanted.drill.is_some() { Verdict::AtRisk } else { Verdict::Safe };
        let Some(drill) = self.facts.drill else {
            let text = "It was never drilled: nobody knows that it comes back.".to_owned();
            return Some(finding(lack, Code::NeverDrilled, text, command));
        };
        if drill.result == DrillResult::Failed {
            let text = format!("The last drill failed, {} ago.", span(drill.at.age_secs(self.now)));
            return Some(finding(Verdict::AtRisk, Code::DrillFailed, text, command));
        }
        let age = drill.at.age_secs(self.now);
        if age > self.wanted.drill.map_or(PROOF_SECS, |span| span.secs()) {
            let text = format!("The last drill is {} old.", span(age));
            return Some(finding(lack, Code::DrillOld, text, command));
        }
        let text =
            "The last drill restored and checked it, and did not start it: no proof that it runs.";
        (!drill.is_proof())
            .then(|| finding(Verdict::Safe, Code::DrillDidNotStart, text.to_owned(), None))
    }

    fn rto(&self) -> Option<Finding> {
        let target = self.wanted.rto?.secs();
        let drill = self.facts.drill.filter(|drill| drill.secs > target as f64)?;
        let text =
            format!("The last drill took {:.0} s; a return may take {}.", drill.secs, span(target));
        Some(finding(Verdict::AtRisk, Code::RtoMissed, text, None))
    }

    fn verified(&self) -> Option<Finding> {
        let command = Some("nodekeep check --data".to_owned());
        let Some((at, wrong)) = &self.facts.verified else {
            let text = "Its data was never checked, as the target asks for.".to_owned();
            return self
                .wanted
                .verify
                .map(|_| finding(Verdict::AtRisk, Code::VerifyOld, text, command));
        };
        if let Some(why) = wrong {
            let text = format!("The last check of its data failed: {}.", why.trim_end_matches('.'));
            return Some(finding(Verdict::AtRisk, Code::VerifyFailed, text, command));
        }
        let age = at.age_secs(self.now);
        let text = format!("Its data was last checked {} ago.", span(age));
        let is_old = self.wanted.verify.is_some_and(|span| age > span.secs());
        is_old.then(|| finding(Verdict::AtRisk, Code::VerifyOld, text, command))
    }

    fn away(&self, newest: Point) -> Option<Finding> {
        match &self.facts.away {
            Away::Itself => None,
            Away::Nowhere => {
                let text = "Neither the repository nor a copy lies on another host.".to_owned();
                let command = "nodekeep repo mirror s3://BUCKET/PREFIX".to_owned();
                Some(finding(Verdict::AtRisk, Code::NotOffsite, text, Some(command)))
            }
            Away::Copy(at, _) if newest.at <= *at => None,
            Away::Copy(at, command) => {
                let usual = self.facts.patience.and_then(|span| u64::try_from(span.as_secs()).ok());
                let allowed =
                    self.wanted.rpo.map(|span| span.secs()).or(usual).unwrap_or(USUAL_RPO_SECS);
                let age = at.age_secs(self.now);
                let text = format!(
                    "The copy on another host is {} old, and lacks what came since.",
                    span(age)
                );
                (age > allowed)
                    .then(|| finding(Verdict::AtRisk, Code::CopyOld, text, Some(command.clone())))
            }
        }
    }

    /// What the repository and the node itself say.
    fn ground(&self) -> Vec<Finding> {
        let facts = self.facts;
        let risk = |code, text, remedy: Option<&str>| {
            finding(Verdict::AtRisk, code, text, remedy.map(str::to_owned))
        };
        let full = facts.nearly_full.as_ref().map(|why| {
            let text = format!("The place of the repository is nearly full: {why}.");
            risk(Code::NearlyFull, text, Some("nodekeep snapshot prune --keep-daily 14 --dry-run"))
        });
        let damaged = (facts.damaged > 0).then(|| {
            let text = format!("{} of the repository cannot be read.", objects(facts.damaged));
            risk(Code::Damaged, text, Some("nodekeep check --data"))
        });
        let unmet = facts.retention.as_ref().filter(|retention| !retention.met).map(|retention| {
            risk(Code::RetentionNotMet, retention.text.clone(), Some("nodekeep daemon jobs"))
        });
        let unwell = facts.health.as_ref().filter(|health| !health.ok).map(|health| {
            let text = format!("The node is not well: {}.", health.text.trim_end_matches('.'));
            finding(Verdict::AtRisk, Code::Unwell, text, self.command("nodekeep health"))
        });
        [full, damaged, unmet, unwell].into_iter().flatten().collect()
    }

    fn plan(&self) -> Option<Finding> {
        match self.facts.plan {
            Plan::Scheduled => None,
            Plan::Paused => {
                let text = "Its backups are paused.".to_owned();
                let command = self.command("nodekeep schedule resume");
                Some(finding(Verdict::Safe, Code::Paused, text, command))
            }
            Plan::Unknown => {
                let text = "No schedule of it is known.".to_owned();
                let command = format!("nodekeep schedule add {} --frequency daily", self.node);
                Some(finding(Verdict::Proven, Code::NoSchedule, text, Some(command)))
            }
        }
    }

    fn command(&self, words: &str) -> Option<String> {
        Some(format!("{words} {}", self.node))
    }
}

fn objects(count: u64) -> String {
    if count == 1 { "One object".to_owned() } else { format!("{count} objects") }
}

fn finding(cap: Verdict, code: Code, text: String, remedy: Option<String>) -> Finding {
    let risk = cap < Verdict::Safe;
    Finding { cap, reason: Reason { code, text, remedy, risk } }
}

#[cfg(test)]
mod tests;
