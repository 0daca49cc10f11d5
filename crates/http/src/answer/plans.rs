//! `/plans` and `POST /jobs`: what would be done is shown first, and what is confirmed is exactly that.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use nodekeep_nodes::node::check_name;
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;
use nodekeep_service::find::{When, of_node, pick};
use nodekeep_service::jobs::Record;
use nodekeep_service::jobs::wish::{Deed, Wish};
use nodekeep_service::schedule::job::Role as Power;
use nodekeep_service::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::Job;
use super::shown::{HOLDS, PlanDocument, shown};
use crate::call::Call;
use crate::house::House;
use crate::problem::Problem;
use crate::token::Role;

/// Plans that wait for a word, at most: the oldest goes.
const MOST: usize = 100;

/// What somebody wants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanWish {
    /// What is to be done.
    action: Action,
    /// To which node.
    node: String,
    /// With which snapshot; the newest if nothing is said.
    #[serde(default)]
    snapshot: Option<String>,
    /// Into which folder, of a restore; in place if nothing is said.
    #[serde(default)]
    to: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A snapshot is made.
    Backup,
    /// A snapshot is restored into a sandbox and checked.
    Verify,
    /// The same, measured and signed.
    Drill,
    /// A snapshot is put in place.
    Restore,
    /// The node's health is looked at.
    Health,
}

/// What is confirmed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// The plan.
    plan: String,
    /// What its `confirm` asked for.
    #[serde(default)]
    confirm: Option<String>,
}

/// Plans that wait for a word. In memory: after a restart what was shown is shown anew.
#[derive(Debug, Default)]
pub struct Plans {
    waiting: Mutex<HashMap<String, Waiting>>,
}

#[derive(Debug, Clone)]
struct Waiting {
    wish: Wish,
    needs: Role,
    confirm: Option<String>,
    /// Whose: the token that asked for it.
    by: String,
    since: Instant,
}

impl Action {
    /// What a token must be allowed.
    fn needs(self) -> Role {
        if self == Self::Restore { Role::Admin } else { Role::Operate }
    }
}

impl Plans {
    fn keep(&self, plan: Waiting) -> String {
        let id = to_hex(&random::<16>());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, plan| plan.since.elapsed() < HOLDS);
        if waiting.len() >= MOST {
            let oldest =
                waiting.iter().min_by_key(|(_, plan)| plan.since).map(|(id, _)| id.clone());
            oldest.and_then(|id| waiting.remove(&id));
        }
        waiting.insert(id.clone(), plan);
        id
    }

    fn find(&self, id: &str) -> Option<Waiting> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(id).filter(|plan| plan.since.elapsed() < HOLDS).cloned()
    }

    /// Takes it away: `false` if another request was first.
    fn take(&self, id: &str) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }
}

/// Refuses what the daemon's own keys cannot do.
///
/// # Errors
/// 403 with the code `role`.
pub fn check_role(house: &House, needed: Power) -> Result<(), Problem> {
    if needed <= house.site.role {
        return Ok(());
    }
    Err(Problem::role(
        "this daemon runs as a writer: it backs up and looks at health, and can do nothing that reads snapshots",
    ))
}

/// `POST /plans`.
pub fn make(call: &Call, wish: PlanWish) -> Result<PlanDocument, Problem> {
    let house = &call.house;
    check_name(&wish.node).map_err(|_| Problem::not_found("there is no node of this name"))?;
    if call.role().is_none_or(|role| role < wish.action.needs()) {
        let word = wish.action.needs().word();
        return Err(Problem::not_allowed(format!("this needs a token with the role {word}")));
    }
    if wish.to.as_ref().is_some_and(|to| wish.action != Action::Restore || !to.is_absolute()) {
        return Err(Problem::usage("`to` goes with a restore, and must be an absolute path"));
    }
    let deed = deed(house, &wish)?;
    let wanted = Wish { node: wish.node.clone(), deed };
    check_role(house, wanted.role())?;
    let mut shown = shown(house, &wanted, wish.action)?;
    if shown.possible {
        shown.plan = house.plans.keep(Waiting {
            wish: wanted,
            needs: wish.action.needs(),
            confirm: shown.confirm.clone(),
            by: call.name().to_owned(),
            since: Instant::now(),
        });
    }
    Ok(shown)
}

/// `POST /jobs`.
pub fn confirm(call: &Call, sent: Confirmed) -> Result<Job, Problem> {
    let house = &call.house;
    let gone = || {
        Problem::new(
            axum::http::StatusCode::GONE,
            "not-found",
            "this plan is gone, or was started already",
        )
        .hint("Ask for it again: POST /api/v1/plans")
    };
    let plan =
        house.plans.find(&sent.plan).filter(|plan| plan.by == call.name()).ok_or_else(gone)?;
    if call.role().is_none_or(|role| role < plan.needs) {
        return Err(Problem::not_allowed("this token may not start this"));
    }
    if plan.confirm.is_some() && plan.confirm != sent.confirm {
        return Err(Problem::new(
            axum::http::StatusCode::BAD_REQUEST,
            "needs-confirmation",
            "`confirm` is not what the plan asks for",
        ));
    }
    if !house.plans.take(&sent.plan) {
        return Err(gone());
    }
    let record = Record::wished(&plan.wish, call.name(), Timestamp::now());
    house.journal.ask(&record)?;
    (house.site.nudge)();
    Ok(Job::of(&house.journal, &record))
}

/// What is meant, with the snapshot pinned.
fn deed(house: &House, wish: &PlanWish) -> Result<Deed, Problem> {
    let registered = || State::new(house.site.folder.clone()).load(&wish.node).map(drop);
    Ok(match wish.action {
        Action::Backup => registered().map(|()| Deed::Backup)?,
        Action::Health => registered().map(|()| Deed::Health)?,
        Action::Verify => Deed::Verify { snapshot: snapshot(house, wish)? },
        Action::Drill => Deed::Drill { snapshot: snapshot(house, wish)? },
        Action::Restore => Deed::Restore { snapshot: snapshot(house, wish)?, to: wish.to.clone() },
    })
}

/// The id of the snapshot that is meant: what is shown now is what runs later.
fn snapshot(house: &House, wish: &PlanWish) -> Result<String, Problem> {
    let shelf = house.library.readable()?;
    let (snapshots, _) = of_node(&shelf.records, &wish.node);
    let when = match wish.snapshot.as_deref() {
        None | Some("latest") => When::Latest { back: 0 },
        Some(id) if (4..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit()) => {
            When::Id(id.to_ascii_lowercase())
        }
        Some(_) => return Err(Problem::usage("`snapshot` must be an id")),
    };
    Ok(pick(&snapshots, &wish.node, &when, &[])?.record.id.hex())
}
