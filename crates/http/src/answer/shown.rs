//! What a plan shows: the words for what would be done, from the node's registration, the snapshot, or a dry run of the program itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nodekeep_nodes::counting::{counted, grouped, size};
use nodekeep_nodes::node::Node;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::jobs::wish::{Deed, Wish};
use nodekeep_service::live::dumped;
use nodekeep_service::state::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::plans::Action;
use super::words;
use crate::dry_run;
use crate::house::House;
use crate::problem::Problem;

/// What was shown can be confirmed for so long.
pub const HOLDS: Duration = Duration::from_secs(10 * 60);

/// What would be done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanDocument {
    /// Its id, for `POST /jobs`.
    pub plan: String,
    /// What would be done.
    pub action: Action,
    /// To which node.
    pub node: String,
    /// With which snapshot.
    pub snapshot: Option<String>,
    /// In a few words.
    pub title: String,
    /// What the dry run says.
    pub lines: Vec<String>,
    /// What the fence says, where it has a say.
    pub fence: Option<Fence>,
    /// What happens, one after the other.
    pub steps: Vec<String>,
    /// What must be sent as `confirm`; null where nothing must.
    pub confirm: Option<String>,
    /// Whether it can be done.
    pub possible: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// Until when it can be confirmed.
    pub expires: String,
}

/// What the fence says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Fence {
    /// `fine`, `warn` or `refuse`.
    pub verdict: String,
    /// In sentences.
    pub lines: Vec<String>,
}

/// What would be done, without an id yet.
///
/// # Errors
/// If the snapshot cannot be read, or the dry run fails.
pub fn shown(house: &House, wish: &Wish, action: Action) -> Result<PlanDocument, Problem> {
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
        Deed::Backup => backup(house, wish, &mut plan)?,
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

/// What a backup would read, and how much of it has changed: the program itself counts it. The node is not held for that, and what only a dump
/// could tell of is not dumped.
fn backup(house: &House, wish: &Wish, plan: &mut PlanDocument) -> Result<(), Problem> {
    let node = State::new(house.site.folder.clone()).load(&wish.node)?;
    plan.lines = components(&node);
    let dumped = dumped(&node);
    if dumped.len() == node.profile.components.len() {
        plan.lines
            .push("Nothing was counted: all of it is dumped when the backup runs.".to_owned());
        return Ok(());
    }
    let mut arguments = wish.arguments();
    arguments.push("--dry-run".to_owned());
    arguments.extend(dumped.iter().flat_map(|name| ["--skip".to_owned(), name.clone()]));
    match dry_run::document(&house.site.program, &arguments) {
        // A large node takes its time to be counted, and can be backed up all the same.
        Err(problem) => plan.lines.push(format!("Nothing was counted: {}.", problem.message)),
        Ok(document) => match document.get("error") {
            // Something works on the node: the job will wait for it.
            Some(error) if error["retryable"] == Value::Bool(true) => {
                plan.lines.push(format!("Nothing was counted: {}.", text(&error["message"])));
            }
            Some(error) => {
                plan.possible = false;
                plan.why_not = Some(text(&error["message"]));
            }
            None => plan.lines.extend(figures(&document, &dumped)),
        },
    }
    Ok(())
}

/// The dry run's figures in lines.
fn figures(document: &Value, dumped: &[String]) -> Vec<String> {
    let (counts, files) = (&document["counts"], &document["files"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut lines = vec![
        format!(
            "In all {} in {}, {}.",
            counted(number(&counts["files"]), "file"),
            counted(number(&counts["directories"]), "folder"),
            size(number(&counts["bytes"]))
        ),
        format!(
            "Since the last snapshot {} new and {} changed; {} stay as they are.",
            grouped(number(&files["new"])),
            grouped(number(&files["changed"])),
            grouped(number(&files["unmodified"]))
        ),
        format!("At most {} will be read.", size(number(&document["bytes_to_read"]))),
    ];
    if !dumped.is_empty() {
        lines.push(format!("Not counted, for it is dumped then: {}.", dumped.join(", ")));
    }
    let notes = document["manifest"]["components"].as_array().into_iter().flatten();
    let notes = notes.filter(|component| component["status"] == "failed");
    lines.extend(notes.map(|one| format!("{} cannot be read now.", text(&one["name"]))));
    lines
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// Where the parts of a node are read.
fn components(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for component in &node.profile.components {
        let path = node.component(&component.name).map(|placed| placed.path.display().to_string());
        let path = path.unwrap_or_else(|_| "its place".to_owned());
        let required = if component.required { "" } else { " (if it is there)" };
        lines.push(format!("{}: {path}{required}", component.name));
    }
    lines
}

/// What a snapshot holds.
fn held(house: &House, id: &str) -> Result<Vec<String>, Problem> {
    let shelf = house.library.readable()?;
    let record = shelf.snapshot(id)?;
    let snapshot = NodeSnapshot::of(record).transpose()?;
    let manifest = snapshot.map(|snapshot| snapshot.manifest);
    let mut lines = vec![format!(
        "snapshot {} of {}: {}, {}",
        record.id.short(),
        words::time_ms(record.snapshot.started_ms),
        counted(record.snapshot.counts.files, "file"),
        size(record.snapshot.counts.bytes),
    )];
    let components = manifest.iter().flat_map(|manifest| &manifest.components);
    lines.extend(components.map(|component| {
        let position = component.position.text();
        let files = counted(component.files, "file");
        format!("{}: {files} {position}", component.name).trim_end().to_owned()
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
    if said.is_empty() {
        said.push("this kind of node has nothing that must never run backwards".to_owned());
    }
    let rulings = document["fence"]["rulings"].as_array().map_or(0, Vec::len);
    let unknown = document["running"].is_null();
    let verdict = match document["clear"].as_bool() {
        Some(true) if rulings > 0 && unknown => "warn",
        Some(true) => "fine",
        _ => "refuse",
    };
    Fence { verdict: verdict.to_owned(), lines: said }
}
