//! `nodekeep restore NODE`: in place, with the fence, the service and its hooks.

use std::path::PathBuf;

use jiff::Timestamp;
use nodekeep_nodes::fence::remedy::Remedy;
use nodekeep_nodes::kind::back::WayBack;
use nodekeep_nodes::kind::minima::back::KEYS_WITHIN;
use nodekeep_nodes::node::Node;
use nodekeep_nodes::system;
use nodekeep_service::applets::component_of;
use nodekeep_service::backup::Ground;
use nodekeep_service::drill;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::minima::Revival;
use nodekeep_service::restore::place::{bring_all, placements};
use nodekeep_service::restore::{Plan, Restored, Wish, mend};
use nodekeep_service::state::State;
use serde_json::{Value, json};

use super::Restore;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::render;
use crate::session::App;
use crate::target::Target;

impl Restore {
    /// Restores a node to where it is registered, or was.
    ///
    /// # Errors
    /// Whatever stands against it, the fence first.
    pub fn node(&self, app: &App, target: &Target, snapshot: &NodeSnapshot) -> Result<()> {
        let state = nodes::state(app);
        let node = self.registered(&state, snapshot)?;
        let wish = self.wish(&node)?;
        let all = target.repository.snapshots()?;
        let progress = Progress::start(&app.output, "Restoring");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let plan = ground.plan_restore(&node, snapshot, &all, &wish)?;
        let text = plan_text(&node, snapshot, &plan, &wish);
        if self.dry_run {
            progress.close();
            app.output.answer(text)?;
            return app.output.document(&plan_document(&node, snapshot, &plan));
        }
        // A refusal says all that the plan would say.
        plan.refuse(&node, &wish)?;
        app.output.say(&text)?;
        prompt::confirm(
            &app.output,
            self.yes,
            "restoring a node in place",
            "\nThis replaces what lies there; it is kept beside",
        )?;
        if !state.names()?.iter().any(|name| name == node.name()) {
            state.add(&node)?;
            let adopted = state.book().adopt(snapshot.schedules()?, Timestamp::now())?;
            for schedule in &adopted {
                app.output.say(format!("Its schedule {} is set up here too.", schedule.name))?;
            }
        }
        self.keep_minima(app, &ground, &node)?;
        let restored = ground.restore_node(&node, snapshot, &all, &wish)?;
        progress.close();
        app.output.say(restored_text(&node, snapshot, &restored))?;
        let is_near = !target.repository.store().location().contains("://");
        if let Some(targets) = system::targets(&node, restored.took, restored.woke, is_near) {
            app.output.say(format!(
                "\nAgainst the targets of its guide:\n{}",
                render::indent(targets.trim_end())
            ))?;
        }
        app.output.document(&restored_document(&node, snapshot, &restored))?;
        if restored.problems.is_empty() {
            return Ok(());
        }
        app.output
            .alert(format!("\nIn place, but:\n{}", render::indent(&restored.problems.join("\n"))));
        Err(Error::Exit(exit::Class::Incomplete.exit_code()))
    }

    /// A test instance: everything but what makes it the same node, in a folder of its own.
    ///
    /// # Errors
    /// If there is no `--target`, or it exists.
    pub fn as_copy(&self, app: &App, target: &Target, snapshot: &NodeSnapshot) -> Result<()> {
        let Some(folder) = &self.target else {
            return Err(Error::Options(
                "--as-copy needs --target DIR: a folder for the test instance",
            ));
        };
        if folder.symlink_metadata().is_ok() {
            return Err(Error::FileExists { path: folder.clone() });
        }
        let folder = std::path::absolute(folder).map_err(Error::file(folder, "find"))?;
        let state = nodes::state(app);
        let node = drill::in_sandbox(&snapshot.node()?, &folder);
        let is_identity = |name: &str| {
            let mut components = node.profile.components.iter();
            components.any(|component| component.name == name && component.identity)
        };
        let placements = placements(snapshot, &node, |name| !is_identity(name))?;
        let progress = Progress::start(&app.output, "Restoring");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let bytes = bring_all(&ground, snapshot, &placements)?;
        progress.close();
        let stripped: Vec<&str> = snapshot
            .manifest
            .components
            .iter()
            .map(|c| c.name.as_str())
            .filter(|name| is_identity(name))
            .collect();
        for name in &stripped {
            strip(&node, name)?;
        }
        for note in mend(&node)? {
            app.output.say(format!("Note: {note}"))?;
        }
        app.output.say(format!(
            "Made a test instance of {} from snapshot {} in {} ({}).\nWithout its identity: {}.",
            snapshot.manifest.node,
            snapshot.record.id.short(),
            folder.display(),
            render::size(bytes),
            if stripped.is_empty() {
                "the profile names none".to_owned()
            } else {
                stripped.join(", ")
            },
        ))?;
        app.output.document(&json!({
            "node": snapshot.manifest.node,
            "snapshot": snapshot.record.id.hex(),
            "target": folder,
            "bytes": bytes,
            "stripped": stripped,
        }))
    }

    /// What a Minima node has now is thrown away by itself: it is backed up first, if it still answers.
    fn keep_minima(&self, app: &App, ground: &Ground<'_>, node: &Node) -> Result<()> {
        let Ok(revival) = Revival::of(ground, node) else { return Ok(()) };
        if revival.link().rpc.standing().is_err() {
            return app
                .output
                .say("The node does not answer, so that what it has now is not backed up first.");
        }
        revival
            .link()
            .rpc
            .wait_for_keys(KEYS_WITHIN)
            .map_err(nodekeep_nodes::error::Error::from)?;
        let kept = revival.keep(&Default::default())?;
        let id = kept.report.snapshot.map_or(String::new(), |id| id.short());
        app.output.say(format!("What the node has now is in snapshot {id}."))
    }

    fn wish(&self, node: &Node) -> Result<Wish> {
        let mut skip = self.skip.clone();
        if let (Some((_, rule)), true) = (component_of(node), self.applets.skip_chunks) {
            skip.push(rule.chunks.clone());
        }
        let remedies = self.remedy.iter().map(|text| parse_remedy(text)).collect::<Result<_>>()?;
        Ok(Wish {
            only: self.component.clone(),
            skip,
            remedies,
            accept_rollback: self.accept_rollback.clone(),
            leave_stopped: self.leave_stopped,
            skip_chunks: self.applets.skip_chunks,
        })
    }

    /// The node as it is registered here; on a bare machine as the snapshot carries it. Folders may be given anew.
    pub(super) fn registered(&self, state: &State, snapshot: &NodeSnapshot) -> Result<Node> {
        let name = &snapshot.manifest.node;
        let node = match state.names()?.contains(name) {
            true => state.load(name)?,
            false => snapshot.node()?,
        };
        let mut paths = node.registration.paths.clone();
        for text in &self.path {
            let Some((root, path)) = text.split_once('=') else {
                return Err(Error::Options("--path takes NAME=DIR, such as data=/srv/node/data"));
            };
            let path = std::path::absolute(path).map_err(Error::file(path.as_ref(), "find"))?;
            paths.insert(root.to_owned(), path);
        }
        let moved = node.moved(paths);
        Ok(Node::new(moved.registration, moved.profile)?)
    }
}

/// What lies within another component came with it.
fn strip(node: &Node, component: &str) -> Result<()> {
    let path: PathBuf = node.component(component)?.path;
    let gone = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&path),
        Ok(_) => std::fs::remove_file(&path),
        Err(_) => Ok(()),
    };
    gone.map_err(Error::file(&path, "remove"))
}

fn parse_remedy(text: &str) -> Result<(String, Remedy)> {
    let parsed =
        text.split_once('=').and_then(|(rule, word)| Some((rule, Remedy::from_word(word)?)));
    let (rule, remedy) = parsed.ok_or(Error::Options(
        "--remedy takes RULE=advance, RULE=import, RULE=drop or RULE=without",
    ))?;
    Ok((rule.to_owned(), remedy))
}

fn plan_text(node: &Node, snapshot: &NodeSnapshot, plan: &Plan, wish: &Wish) -> String {
    let places: Vec<String> = plan
        .placements
        .iter()
        .map(|placement| {
            format!("{} ({})", placement.target.display(), placement.components.join(", "))
        })
        .chain(plan.given.iter().map(|given| {
            let when = match given.way {
                WayBack::WhileRunning => "through the running node",
                _ => "through its program, while the node is stopped",
            };
            format!("{when} ({})", given.component)
        }))
        .collect();
    let running = match plan.is_running {
        Some(true) if !plan.stops() => "it runs, and takes what is given back",
        Some(true) => "it runs, and will be stopped and started",
        Some(false) => "it does not run",
        None => "the profile does not say how to see whether it runs: be sure that it does not",
    };
    let mut text = render::fields(&[
        ("node", format!("{} ({})", node.name(), node.profile.title)),
        (
            "snapshot",
            format!(
                "{}, captured {}",
                snapshot.record.id.short(),
                render::time::told(&snapshot.manifest.captured_at)
            ),
        ),
        ("into", places.join("\n")),
        ("without", plan.without.join(", ")),
        ("service", running.to_owned()),
        ("identity", plan.claim.to_string()),
    ]);
    if !node.profile.fence.is_empty() {
        text.push_str(&format!(
            "\n\nFence:\n{}",
            render::indent(fence_text(plan, wish).trim_end())
        ));
    }
    for note in &plan.notes {
        text.push_str(&format!("\nNote: {note}"));
    }
    text
}

/// What the fence says; where it refused and somebody has chosen, that instead of the choices.
fn fence_text(plan: &Plan, wish: &Wish) -> String {
    if plan.verdict.rulings.is_empty() {
        return "nothing that comes back is guarded by it".to_owned();
    }
    let rulings = plan.verdict.rulings.iter().map(|ruling| match wish.chosen(ruling) {
        Some(chosen) if !ruling.is_clear() => format!("{}  Chosen: {chosen}\n", ruling.found()),
        _ => ruling.to_string(),
    });
    rulings.collect()
}

fn restored_text(node: &Node, snapshot: &NodeSnapshot, restored: &Restored) -> String {
    let lines = |paths: &[PathBuf]| {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        shown.join("\n")
    };
    let checks: usize = restored.verified.iter().map(|(_, verified)| verified.checks.len()).sum();
    let well = restored.health.iter().filter(|seen| seen.is_well).count();
    let fields = render::fields(&[
        ("in place", lines(&restored.placed)),
        ("before it", lines(&restored.aside)),
        ("given back", given_text(restored)),
        ("checks", format!("{} passed", render::count(checks as u64))),
        ("fence", restored.remedies.join("\n")),
        ("service", if restored.started { "started".to_owned() } else { String::new() }),
        (
            "health",
            if restored.health.is_empty() {
                String::new()
            } else {
                format!("{well} of {} looks are well", restored.health.len())
            },
        ),
        (
            "down",
            if restored.down.is_zero() { String::new() } else { render::duration(restored.down) },
        ),
        ("time", render::took(restored.bytes, restored.took)),
    ]);
    let notes: Vec<String> = restored.notes.iter().map(|note| format!("\nNote: {note}")).collect();
    format!(
        "\nRestored the node {} from snapshot {}\n{fields}{}",
        node.name(),
        snapshot.record.id.short(),
        notes.concat()
    )
}

fn given_text(restored: &Restored) -> String {
    let line =
        |(component, said): &(String, Vec<String>)| format!("{component}: {}", said.join("; "));
    restored.given.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn plan_document(node: &Node, snapshot: &NodeSnapshot, plan: &Plan) -> Value {
    json!({
        "node": node.name(),
        "snapshot": snapshot.record.id.hex(),
        "dry_run": true,
        "placements": plan.placements.iter().map(|placement| json!({
            "from": placement.recorded, "to": placement.target, "components": placement.components,
        })).collect::<Vec<_>>(),
        "given_back": plan.given.iter().map(|given| json!({
            "component": given.component,
            "from": given.placement.recorded,
            "while": if given.way == WayBack::WhileRunning { "running" } else { "stopped" },
        })).collect::<Vec<_>>(),
        "without": plan.without,
        "running": plan.is_running,
        "claim": plan.claim,
        "fence": plan.verdict,
        "clear": plan.verdict.is_clear() && plan.claim.is_free(),
    })
}

fn restored_document(node: &Node, snapshot: &NodeSnapshot, restored: &Restored) -> Value {
    json!({
        "node": node.name(),
        "snapshot": snapshot.record.id.hex(),
        "dry_run": false,
        "placed": restored.placed,
        "aside": restored.aside,
        "given_back": restored.given.iter().map(|(component, said)| json!({
            "component": component, "said": said,
        })).collect::<Vec<_>>(),
        "bytes": restored.bytes,
        "remedies": restored.remedies,
        "started": restored.started,
        "health": restored.health.iter().map(|seen| json!({
            "name": seen.name, "well": seen.is_well, "detail": seen.detail,
        })).collect::<Vec<_>>(),
        "notes": restored.notes,
        "problems": restored.problems,
        "down_seconds": restored.down.as_secs_f64(),
        "seconds": restored.took.as_secs_f64(),
    })
}
