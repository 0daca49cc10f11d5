//! `/plans` and `POST /jobs`: what would be done is shown first, and what is confirmed is exactly that.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use nodekeep_nodes::node::check_name;
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;
use nodekeep_service::find::{NodeSnapshot, When, of_node, pick};
use nodekeep_service::jobs::Record;
use nodekeep_service::jobs::wish::{Deed, Wish};
use nodekeep_service::schedule::job::Role as Power;
use nodekeep_service::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jobs::Job;
use super::words;
use crate::call::Call;
use crate::dry_run;
use crate::house::House;
use crate::problem::Problem;
use crate::token::Role;

/// What was shown can be confirmed for so long.
const HOLDS: Duration = Duration::from_secs(10 * 60);
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

/// What would be done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanDocument {
    /// Its id, for `POST /jobs`.
    plan: String,
    /// What would be done.
    action: Action,
    /// To which node.
    node: String,
    /// With which snapshot.
    snapshot: Option<String>,
    /// In a few words.
    title: String,
    /// What the dry run says.
    lines: Vec<String>,
    /// What the fence says, where it has a say.
    fence: Option<Fence>,
    /// What happens, one after the other.
    steps: Vec<String>,
    /// What must be sent as `confirm`; null where nothing must.
    confirm: Option<String>,
    /// Whether it can be done.
    possible: bool,
    /// Why not.
    why_not: Option<String>,
    /// Until when it can be confirmed.
    expires: String,
}

/// What the fence says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Fence {
    /// `fine`, `warn` or `refuse`.
    verdict: String,
    /// In sentences.
    lines: Vec<String>,
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

fn shown(house: &House, wish: &Wish, action: Action) -> Result<PlanDocument, Problem> {
    let expires = Timestamp::now() + SignedDuration::try_from(HOLDS).unwrap_or_default();
    let mut plan = PlanDocument {
        plan: String::new(),
        action,
        node: wish.node.clone(),
        snapshot: None,
        title: title(wish),
        lines: Vec::new(),
        fence: None,
        steps: steps(wish),
        confirm: None,
        possible: true,
        why_not: None,
        expires: words::time(expires),
    };
    match &wish.deed {
        Deed::Backup => plan.lines = components(house, &wish.node)?,
        Deed::Health => {}
        Deed::Verify { snapshot } | Deed::Drill { snapshot } => {
            plan.lines = held(house, snapshot)?;
            plan.snapshot = Some(snapshot.clone());
        }
        Deed::Restore { snapshot, to } => {
            plan.snapshot = Some(snapshot.clone());
            plan.confirm = Some(wish.node.clone());
            restore(house, wish, to.is_none(), &mut plan)?;
        }
    }
    Ok(plan)
}

fn title(wish: &Wish) -> String {
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let node = &wish.node;
    match &wish.deed {
        Deed::Backup => format!("Back up {node}"),
        Deed::Health => format!("Look at the health of {node}"),
        Deed::Verify { snapshot } => format!("Verify snapshot {} of {node}", short(snapshot)),
        Deed::Drill { snapshot } => format!("Drill {node} from snapshot {}", short(snapshot)),
        Deed::Restore { snapshot, to: None } => {
            format!("Restore {node} in place from snapshot {}", short(snapshot))
        }
        Deed::Restore { snapshot, to: Some(to) } => {
            format!("Restore snapshot {} of {node} into {}", short(snapshot), to.display())
        }
    }
}

fn steps(wish: &Wish) -> Vec<String> {
    let steps: &[&str] = match &wish.deed {
        Deed::Backup => &[
            "hold the node as its profile says",
            "read what changed, and store it",
            "let the node go on",
            "write the snapshot with its manifest",
        ],
        Deed::Health => &["look at the node as its profile says", "record its marks for the fence"],
        Deed::Verify { .. } => {
            &["restore into a sandbox", "check it by the node's own rules", "remove the sandbox"]
        }
        Deed::Drill { .. } => &[
            "restore into a sandbox",
            "check it by the node's own rules, and start the node on it where the profile can",
            "remove the sandbox",
            "sign what was found",
        ],
        Deed::Restore { to: None, .. } => &[
            "copy the snapshot beside, and check it",
            "stop the node",
            "ask the fence again",
            "put the copy in place in one step; what lay there is kept beside",
            "start the node, and look at its health",
        ],
        Deed::Restore { .. } => &["write the snapshot's files into the folder"],
    };
    steps.iter().map(|step| (*step).to_owned()).collect()
}

/// What a backup of a node reads.
fn components(house: &House, name: &str) -> Result<Vec<String>, Problem> {
    let node = State::new(house.site.folder.clone()).load(name)?;
    let mut lines = Vec::new();
    for component in &node.profile.components {
        let path = node.component(&component.name).map(|placed| placed.path.display().to_string());
        let path = path.unwrap_or_else(|_| "its place".to_owned());
        let required = if component.required { "" } else { " (if it is there)" };
        lines.push(format!("{}: {path}{required}", component.name));
    }
    Ok(lines)
}

/// What a snapshot holds.
fn held(house: &House, id: &str) -> Result<Vec<String>, Problem> {
    let shelf = house.library.readable()?;
    let record = shelf.snapshot(id)?;
    let snapshot = NodeSnapshot::of(record).transpose()?;
    let manifest = snapshot.map(|snapshot| snapshot.manifest);
    let mut lines = vec![format!(
        "snapshot {} of {}: {} files, {} bytes",
        record.id.short(),
        words::time_ms(record.snapshot.started_ms),
        words::count(record.snapshot.counts.files),
        words::count(record.snapshot.counts.bytes),
    )];
    let components = manifest.iter().flat_map(|manifest| &manifest.components);
    lines.extend(components.map(|component| {
        let position = words::position(&component.position).unwrap_or_default();
        format!("{}: {} files {position}", component.name, words::count(component.files))
    }));
    Ok(lines)
}

/// What the program itself says that a restore would do.
fn restore(
    house: &House,
    wish: &Wish,
    in_place: bool,
    plan: &mut PlanDocument,
) -> Result<(), Problem> {
    let known = State::new(house.site.folder.clone()).names()?.contains(&wish.node);
    if in_place && !known {
        plan.possible = false;
        plan.why_not = Some("the node is not registered on this machine: restore it into a folder, or on a bare machine with `nodekeep restore`".to_owned());
        return Ok(());
    }
    let mut arguments = wish.arguments();
    arguments.retain(|argument| argument != "--yes");
    arguments.push("--dry-run".to_owned());
    let document = dry_run::document(&house.site.program, &arguments)?;
    if let Some(error) = document.get("error") {
        plan.possible = false;
        plan.why_not = error["message"].as_str().map(str::to_owned);
        return Ok(());
    }
    plan.lines = dry_run::lines(&house.site.program, &arguments)?;
    if in_place {
        let fence = fence(&document, &plan.lines);
        plan.possible = fence.verdict != "refuse";
        plan.why_not = (!plan.possible).then(|| "the fence refuses it: state that must never run backwards would, or another machine holds this identity. Remedies are applied on the command line: nodekeep restore".to_owned());
        plan.fence = Some(fence);
    } else if document["needs_force"] == Value::Bool(true) {
        plan.possible = false;
        plan.why_not =
            Some("files that exist there would be replaced: name an empty folder".to_owned());
    }
    Ok(())
}

/// The fence's word: the document decides, the lines for people explain.
fn fence(document: &Value, lines: &[String]) -> Fence {
    let said = lines.iter().skip_while(|line| line.as_str() != "Fence:").skip(1);
    let mut said: Vec<String> = said.map(|line| line.trim().to_owned()).collect();
    said.retain(|line| !line.is_empty());
    let rulings = document["fence"]["rulings"].as_array().map_or(0, Vec::len);
    let unknown = document["running"].is_null();
    let verdict = match document["clear"].as_bool() {
        Some(true) if rulings > 0 && unknown => "warn",
        Some(true) => "fine",
        _ => "refuse",
    };
    Fence { verdict: verdict.to_owned(), lines: said }
}
