//! `/certificates`: what drills found, signed.

use std::collections::BTreeSet;

use nodekeep_nodes::kind::{Check, Outcome};
use nodekeep_repo::id::SnapshotId;
use nodekeep_service::certificate::{Certificate, DrillResult, Signed};
use nodekeep_service::find::TAG;
use nodekeep_service::records::{CERTIFICATE, of_kind_with_ids};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Page, words};
use crate::call::Call;
use crate::problem::Problem;

/// A drill's certificate whose signature was checked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CertificateDocument {
    /// Id of the record that holds it.
    id: String,
    /// The node.
    node: String,
    /// The snapshot that was restored.
    snapshot: String,
    /// When the drill began.
    at: String,
    /// Whether the node itself was started on the copy.
    started: bool,
    /// From the first byte to the last check.
    seconds: f64,
    /// The member of the repository that signed it.
    signed_by: String,
    /// Whether everything that was looked at is as it should be.
    ok: bool,
    /// What was looked at.
    checks: Vec<CheckDocument>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckDocument {
    /// What.
    name: String,
    /// Whether it is as it should be; what was skipped is.
    ok: bool,
    /// What was seen.
    text: String,
}

/// `GET /certificates`, newest first. Those that nobody of the repository signed are not listed.
pub fn list(call: &Call) -> Result<Page<CertificateDocument>, Problem> {
    let shelf = call.house.library.readable()?;
    let (offset, limit) = (call.query.offset()?, call.query.limit()?);
    let wanted = call.query.text("node")?;
    let tags = shelf.records.iter().flat_map(|record| &record.snapshot.tags);
    let nodes: BTreeSet<&str> =
        tags.filter(|(name, _)| name == TAG).map(|(_, value)| value.as_str()).collect();
    let (roster, id) = (shelf.repository.roster(), shelf.repository.id().hex());
    let mut found: Vec<(SnapshotId, Certificate)> = nodes
        .into_iter()
        .filter(|name| wanted.is_none_or(|wanted| wanted == *name))
        .flat_map(|name| of_kind_with_ids::<Signed>(&shelf.records, name, CERTIFICATE))
        .filter_map(|(record, signed)| Some((record, signed.open_for(roster, &id).ok()?)))
        .collect();
    found.sort_by(|(_, a), (_, b)| b.at.cmp(&a.at));
    Ok(Page::of(
        found.into_iter().map(|(id, certificate)| document(id, certificate)),
        offset,
        limit,
    ))
}

fn document(id: SnapshotId, certificate: Certificate) -> CertificateDocument {
    let at = certificate.at.parse().map_or(certificate.at, words::time);
    CertificateDocument {
        id: id.hex(),
        node: certificate.node,
        snapshot: certificate.snapshot,
        at,
        started: certificate.started_node,
        seconds: certificate.recovery_secs,
        signed_by: certificate.signer,
        ok: certificate.result != DrillResult::Failed,
        checks: certificate.steps.iter().map(check).collect(),
    }
}

fn check(step: &Check) -> CheckDocument {
    let text = match step.outcome {
        Outcome::Skipped => format!("skipped: {}", step.detail),
        Outcome::Passed | Outcome::Failed => step.detail.clone(),
    };
    CheckDocument { name: step.name.clone(), ok: step.outcome != Outcome::Failed, text }
}
