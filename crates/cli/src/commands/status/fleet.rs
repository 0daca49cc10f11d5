//! `nodekeep status --all` and `nodekeep status NODE`: whether every node is safe, and what to do.

use jiff::Timestamp;
use nodekeep_service::fleet::gather::Stored;
use nodekeep_service::fleet::moment::Moment;
use nodekeep_service::fleet::overview::{
    Detail, Machine, Node, Overview, Reason, Repository, Verdict,
};
use serde_json::{Value, json};

use crate::commands::health::Examined;
use crate::error::{Error, Result};
use crate::exit::{Class, class};
use crate::fleet::sources;
use crate::nodes;
use crate::render::{self, Table};
use crate::session::{App, Need};

/// Every node.
///
/// # Errors
/// If the repository cannot be read; if not all nodes are safe, by the exit code.
pub fn all(app: &App) -> Result<()> {
    let opened = app.open(Need::Look)?;
    let state = nodes::state(app);
    let overview = sources(app, &opened, &state)?.overview(Timestamp::now())?;
    app.output.answer(text(&overview))?;
    app.output.document(&overview)?;
    conclude(overview.nodes.iter().map(|node| node.verdict).min())
}

/// One node: how it is, if it is here, and whether it is safe.
///
/// # Errors
/// If nothing is known of it; if it is not well or not safe, by the exit code.
pub fn one(app: &App, name: &str) -> Result<()> {
    let state = nodes::state(app);
    let is_here = state.names()?.iter().any(|known| known == name);
    let examined = if is_here { Some(Examined::of(app, name, None)?) } else { None };
    let found = app.open(Need::Look).and_then(|opened| {
        let (sources, now) = (sources(app, &opened, &state)?, Timestamp::now());
        let stored = Stored::read(&opened.repository)?;
        Ok((sources.node_of(&stored, name, now)?, sources.summary_of(&stored, now)))
    });
    let mut unknown = None;
    let known = match (found, &examined) {
        (Ok((Some(detail), repository)), _) => Some((detail, repository)),
        // Only one that is not registered is not known: that is what it says.
        (Ok((None, _)), _) => return Ok(state.load(name).map(drop)?),
        (Err(error), None) => return Err(error),
        // How the node is does not hang on the repository.
        (Err(error), Some(_)) => {
            app.output.alert(format!("Nothing is known of its backups: {error}."));
            unknown = Some(class(&error));
            None
        }
    };
    tell(app, examined.as_ref(), known)?;
    match unknown {
        None => Ok(()),
        // Where no repository is, there is no backup.
        Some(Class::NoRepository) => Err(Error::Exit(Class::Unprotected.exit_code())),
        Some(class) => Err(Error::Exit(class.exit_code())),
    }
}

fn tell(app: &App, examined: Option<&Examined>, known: Option<(Detail, Repository)>) -> Result<()> {
    if let Some((detail, repository)) = &known {
        app.output.answer(detail_text(&detail.node, repository))?;
    }
    if let Some(examined) = examined {
        app.output.answer("")?;
        examined.tell(app)?;
    }
    let mut document = examined.map_or_else(|| json!({}), Examined::document);
    if let Some((detail, _)) = &known {
        document["node"] = detail.node.name.clone().into();
    }
    document["backups"] = known.as_ref().map_or(Value::Null, |(detail, _)| json!(detail));
    app.output.document(&document)?;
    examined.map_or(Ok(()), Examined::conclude)?;
    conclude(known.map(|(detail, _)| detail.node.verdict))
}

fn conclude(worst: Option<Verdict>) -> Result<()> {
    let class = match worst {
        None | Some(Verdict::Safe | Verdict::Proven) => return Ok(()),
        Some(Verdict::AtRisk) => Class::AtRisk,
        Some(Verdict::Overdue | Verdict::Failed | Verdict::Never) => Class::Unprotected,
    };
    Err(Error::Exit(class.exit_code()))
}

fn text(overview: &Overview) -> String {
    let head = render::fields(&[
        ("repository", place(&overview.repository)),
        ("room", room(&overview.repository)),
        ("machines", machines(&overview.machines, overview.at)),
        ("jobs", jobs(overview)),
    ]);
    if overview.nodes.is_empty() {
        return format!("{head}\n\nNo nodes yet. See what lies here: nodekeep node detect");
    }
    let table = table(overview);
    match advice(&overview.nodes) {
        advice if advice.is_empty() => format!("{head}\n\n{table}"),
        advice => format!("{head}\n\n{table}\n\nWhat to do:\n{advice}"),
    }
}

fn place(repository: &Repository) -> String {
    let size = repository.bytes.map_or("size not known".to_owned(), render::size);
    let copies =
        repository.copies.iter().map(|copy| format!("; {} at {}", copy.kind, copy.location));
    let copies: String = copies.collect();
    format!("{}: {size}, {}{copies}", repository.location, repository.distance.words())
}

fn room(repository: &Repository) -> String {
    let Some(capacity) = repository.capacity else {
        return "not known; set it: nodekeep config set capacity 500GiB".to_owned();
    };
    let free = format!("{} of {} free", render::size(capacity.free), render::size(capacity.total));
    match repository.days_until_full {
        Some(days) if days < 3650.0 => {
            format!("{free}, full in {}", render::counted(days as u64, "day"))
        }
        _ => free,
    }
}

fn machines(machines: &[Machine], at: Moment) -> String {
    let line = |machine: &Machine| {
        let seen = ago(machine.last_seen, at);
        let silent = if machine.silent { "SILENT, " } else { "" };
        format!("{}: {silent}last seen {seen}", machine.host)
    };
    machines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn jobs(overview: &Overview) -> String {
    match (overview.jobs.running, overview.jobs.waiting) {
        (0, 0) => String::new(),
        (running, waiting) => format!("{running} running, {waiting} waiting"),
    }
}

fn table(overview: &Overview) -> String {
    let mut table =
        Table::new(&["node", "state", "newest", ">size", ">snapshots", "host", "drilled", "next"]);
    for node in &overview.nodes {
        table.row([
            node.name.clone(),
            word(node.verdict).to_owned(),
            node.newest.as_ref().map_or("never".to_owned(), |newest| ago(newest.at, overview.at)),
            node.newest.as_ref().map_or(String::new(), |newest| render::size(newest.bytes)),
            render::count(node.snapshots),
            render::path(node.host.as_deref().unwrap_or_default().as_bytes()),
            drilled(node, overview.at),
            next(node),
        ]);
    }
    table.text()
}

/// Each reason once, with the nodes that it is about.
fn advice(nodes: &[Node]) -> String {
    let mut told: Vec<(&Reason, Vec<&str>)> = Vec::new();
    for node in nodes {
        for reason in &node.reasons {
            match told.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(&node.name),
                None => told.push((reason, vec![&node.name])),
            }
        }
    }
    let lines = told.iter().map(|(reason, names)| {
        format!("  {}: {}", names.join(", "), reason_text(reason, "\n      "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn reason_text(reason: &Reason, below: &str) -> String {
    let text = render::path(reason.text.as_bytes());
    match &reason.remedy {
        Some(command) => format!("{text}{below}{command}"),
        None => text,
    }
}

/// What is wrong is written in capitals: it is seen without colours.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Never => "NEVER",
        Verdict::Failed => "FAILED",
        Verdict::Overdue => "OVERDUE",
        Verdict::AtRisk => "AT RISK",
        Verdict::Safe => "safe",
        Verdict::Proven => "proven",
    }
}

fn ago(then: Moment, now: Moment) -> String {
    render::ago(then.second() * 1000, now.second() * 1000)
}

fn drilled(node: &Node, at: Moment) -> String {
    match &node.drill {
        None => "never".to_owned(),
        Some(drill) if !drill.ok => format!("FAILED {}", ago(drill.at, at)),
        Some(drill) if !drill.started => format!("not started, {}", ago(drill.at, at)),
        Some(drill) => format!("{:.1} s, {}", drill.seconds, ago(drill.at, at)),
    }
}

fn next(node: &Node) -> String {
    match (&node.next, node.paused) {
        (_, true) => "paused".to_owned(),
        (Some(next), false) => {
            format!("{} {}", next.job, render::date_time(next.at.second() * 1000))
        }
        (None, false) => String::new(),
    }
}

fn detail_text(node: &Node, repository: &Repository) -> String {
    let now = Moment::from(Timestamp::now());
    let fields = render::fields(&[
        ("state", word(node.verdict).to_owned()),
        ("newest", newest(node, now)),
        ("completeness", completeness(node)),
        ("integrity", integrity(node, repository, now)),
        ("space", room(repository)),
        ("retention", retention(node)),
        ("RPO", rpo(node)),
        ("RTO", rto(node)),
        ("drilled", drilled(node, now)),
        ("next", next(node)),
        ("fence", fence(node)),
    ]);
    let head = format!("{} ({})", node.name, node.profile);
    if node.reasons.is_empty() {
        return format!("{head}\n{fields}");
    }
    let lines = node.reasons.iter().map(|reason| format!("  {}", reason_text(reason, "\n    ")));
    format!("{head}\n{fields}\n\nWhat to do:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn newest(node: &Node, now: Moment) -> String {
    let Some(newest) = &node.newest else {
        return "none".to_owned();
    };
    let position = newest.position.as_ref().map_or(String::new(), |text| format!("\n{text}"));
    format!(
        "{}, {}, {} in {:.1} s, {} new{position}",
        render::short(&newest.snapshot),
        ago(newest.at, now),
        render::size(newest.bytes),
        newest.duration,
        render::size(newest.added_bytes),
    )
}

fn completeness(node: &Node) -> String {
    match &node.newest {
        None => String::new(),
        Some(newest) if newest.complete => "complete".to_owned(),
        Some(newest) => {
            format!("INCOMPLETE: nodekeep snapshot show {}", render::short(&newest.snapshot))
        }
    }
}

fn integrity(node: &Node, repository: &Repository, now: Moment) -> String {
    let own = match &node.verified {
        Some(verified) if verified.ok => format!("{}, {}", verified.how, ago(verified.at, now)),
        Some(verified) => format!("FAILED {}: {}", ago(verified.at, now), verified.how),
        None => "its data was never checked on its own".to_owned(),
    };
    match &repository.scrub {
        Some(scrub) => {
            format!("{own}; {:.0} % of the repository proven", scrub.proven_share * 100.0)
        }
        None => own,
    }
}

fn retention(node: &Node) -> String {
    node.retention.as_ref().map_or("no rule is set".to_owned(), |retention| retention.text.clone())
}

fn rpo(node: &Node) -> String {
    let Some(actual) = node.rpo.actual else {
        return String::new();
    };
    let actual = nodekeep_nodes::fence::known::span(actual as u64);
    target(format!("{actual} would be lost"), node.rpo.target, node.rpo.met)
}

fn rto(node: &Node) -> String {
    let text = match node.rto.actual {
        Some(actual) => format!("{actual:.1} s in the last drill"),
        None => "never measured".to_owned(),
    };
    target(text, node.rto.target, node.rto.met)
}

fn target(text: String, target: Option<f64>, met: Option<bool>) -> String {
    let Some(target) = target else {
        return format!("{text}; no target is set");
    };
    let word = match met {
        Some(true) => ": met",
        Some(false) => ": MISSED",
        None => "",
    };
    format!("{text}; the target is {}{word}", nodekeep_nodes::fence::known::span(target as u64))
}

fn fence(node: &Node) -> String {
    match node.fence_marks {
        0 => String::new(),
        marks => render::counted(marks, "mark"),
    }
}
