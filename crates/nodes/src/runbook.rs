//! What to do on the worst day, for one very node: plain text, made while all is well, to be printed and put where it is found.

use std::fmt::Write as _;

use crate::error::Result;
use crate::guts::scenario::{self, Step};
use crate::manifest::Note;
use crate::node::Node;
use crate::profile::{FenceKind, FenceRule, HoldMethod, Priority, Probe, fill};

/// How wide the text is, in columns.
const WIDTH: usize = 78;

/// What the caller knows besides the node itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the runbook was made: RFC 3339.
    pub made_at: String,
    /// The machine's name.
    pub host: String,
    /// Addresses of every repository with backups of this node, the nearest first.
    pub repositories: Vec<String>,
    /// The last backup: when, and its id. `None`: there is none.
    pub last_backup: Option<String>,
    /// The last drill: when, how it ended, how long it took. `None`: there was none.
    pub last_drill: Option<String>,
    /// What the last backup said of itself.
    pub notes: Vec<Note>,
    /// Whom to call: what for, and how.
    pub contacts: Vec<(String, String)>,
}

/// The runbook of a node.
///
/// # Errors
/// If a path of the profile has a placeholder without a value.
pub fn runbook(node: &Node, facts: &Facts) -> Result<String> {
    let mut text = String::new();
    head(&mut text, node, facts);
    backups(&mut text, facts);
    parts(&mut text, node)?;
    steps(&mut text, node, facts);
    fences(&mut text, node);
    afterwards(&mut text, node)?;
    known(&mut text, node, facts);
    calls(&mut text, facts);
    Ok(text)
}

fn head(text: &mut String, node: &Node, facts: &Facts) {
    let title = format!("RUNBOOK: {} ({})", node.name(), node.profile.title);
    let _ = writeln!(text, "{title}\n{}", "=".repeat(title.len()));
    paragraph(
        text,
        "",
        &format!("{} Machine: {}. Made {}.", node.profile.about, facts.host, facts.made_at),
    );
    let tested = match &node.profile.tested {
        Some(tested) => {
            format!("What Nodekeep knows of {} was tried against: {tested}.", node.profile.title)
        }
        None => format!(
            "What Nodekeep knows of {} comes from its documentation and was NOT tried against a running one.",
            node.profile.title
        ),
    };
    paragraph(text, "", &tested);
}

fn backups(text: &mut String, facts: &Facts) {
    section(text, "1. Where the backups are");
    if facts.repositories.is_empty() {
        paragraph(text, "  ", "NO REPOSITORY HAS A BACKUP OF THIS NODE.");
    }
    for repository in &facts.repositories {
        let _ = writeln!(text, "  {repository}");
    }
    let last =
        facts.last_backup.as_deref().unwrap_or("NONE. Until there is one, nothing below helps.");
    paragraph(text, "  ", &format!("Last backup: {last}"));
    let drill = facts
        .last_drill
        .as_deref()
        .unwrap_or("never: nobody knows whether this works. Run `nodekeep drill`.");
    paragraph(text, "  ", &format!("Last drill: {drill}"));
    paragraph(
        text,
        "  ",
        "You need the 24 recovery words, or a machine that can still open the repository. The words are kept at:",
    );
    blank(text, "  ");
}

fn parts(text: &mut String, node: &Node) -> Result<()> {
    section(text, "2. What makes this node, the most precious first");
    let mut located = node.components()?;
    located.sort_by_key(|located| located.component.priority);
    for part in located {
        let component = part.component;
        let needed = if component.required { ", needed" } else { "" };
        let own = if component.identity { ", the node's identity" } else { "" };
        let priority = priority(component.priority);
        let _ = writeln!(text, "  {:<16} {}", component.name, part.path.display());
        let about = format!("{} ({priority}{needed}{own})", component.about);
        paragraph(text, &" ".repeat(19), &about);
    }
    Ok(())
}

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "critical",
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
    }
}

fn steps(text: &mut String, node: &Node, facts: &Facts) {
    let name = node.name();
    let repository = facts.repositories.first().map_or("ADDRESS", String::as_str);
    section(text, "3. What to type");
    paragraph(
        text,
        "  ",
        "Breathe. A restore shows what it will do and asks before it does it. Stop at the first error and read it: it says what to do.",
    );
    let restore = format!("nodekeep restore {name}");
    let commands = [
        ("The machine lives and the disk is well: look first", format!("nodekeep status {name}")),
        ("Is the last backup whole?", format!("nodekeep check {name}@latest --data")),
        ("What would be put in place, and does the fence object?", format!("{restore} --dry-run")),
        ("Put it in place", restore.clone()),
        ("Wait until the node is well", format!("nodekeep status {name} --wait")),
        (
            "ONLY if the machine is lost: on a new one, with nothing but the words",
            format!("nodekeep restore --repo {repository}"),
        ),
        ("ONLY one part is lost (names in section 2)", format!("{restore} --component NAME")),
        (
            "Look at it elsewhere, without touching the node",
            format!("{restore} --target /tmp/{name} "),
        ),
    ];
    for (why, command) in commands {
        let _ = writeln!(text, "\n  # {why}\n  {}", command.trim_end());
    }
    if node.profile.hold.method == HoldMethod::Stop {
        text.push('\n');
        paragraph(text, "  ", "This node is stopped while it is backed up: that is planned.");
    }
    guts_scenarios(text, node, repository);
}

fn guts_scenarios(text: &mut String, node: &Node, repository: &str) {
    if node.profile.name != "guts" {
        return;
    }
    let variables = node.variables();
    let service = variables.get("service").map_or("guts-node", String::as_str);
    for scenario in scenario::ALL {
        let _ = writeln!(text, "\n  {}:", scenario.title());
        for step in scenario.steps(node.name(), repository, service) {
            match step {
                Step::Do(what) => paragraph(text, "    # ", &what),
                Step::Type(command) => {
                    let _ = writeln!(text, "    {command}");
                }
            }
        }
    }
}

fn fences(text: &mut String, node: &Node) {
    section(text, "4. When the fence refuses");
    if node.profile.fence.is_empty() {
        let none = "Nothing of this node must never run backwards, as far as Nodekeep knows. It is still one node: never run a second copy of it.";
        paragraph(text, "  ", none);
        return;
    }
    paragraph(
        text,
        "  ",
        "The fence refuses to put back state that must never run backwards, and says by how much it would. It is right more often than you are at this hour. Never run a second copy of this node to look whether it works.",
    );
    for rule in &node.profile.fence {
        text.push('\n');
        paragraph(text, "  ", &format!("{} (in {}): {}", rule.name, rule.component, rule.about));
        paragraph(text, "    ", remedy(rule));
    }
    text.push('\n');
    paragraph(text, "  ", "Is another machine still this node? Switch it off for certain, then:");
    let _ = writeln!(text, "    nodekeep node retire {} --from-repo", node.name());
}

fn remedy(rule: &FenceRule) -> &'static str {
    match rule.kind {
        FenceKind::KeyUses => {
            "Take the newest backup, and let the restore raise the counter of uses as it proposes. The margin costs uses, not coins."
        }
        FenceKind::Nonce => {
            "Take the newest backup. Nonces used since are forgotten: whoever kept an old transaction could send it again. Accept it only if that is harmless: --accept-rollback \"WHY\"."
        }
        FenceKind::SlashingProtection => {
            "Take over the protection as of the last signature from the old disk, if it can be read; else keep the validator off for two epochs or more and let the restore import what it has."
        }
        FenceKind::ValidatorState => {
            "Restore everything but this component and let the node learn where the network is; start it as a validator again only when it has caught up."
        }
        FenceKind::Ratchet => {
            "Drop it (--remedy NAME=drop, with the name above): sessions are then agreed on anew. That is safe; putting old ones back is not."
        }
        FenceKind::Channel => {
            "Do not start with an old channel database: money is lost. Use the node's own recovery (static channel backups), which closes channels."
        }
    }
}

fn afterwards(text: &mut String, node: &Node) -> Result<()> {
    section(text, "5. How you know that it is well again");
    let variables = node.variables();
    if node.profile.health.is_empty() {
        paragraph(text, "  ", "This profile knows no health check. Look at the program's own.");
    }
    for rule in &node.profile.health {
        let how = match &rule.probe {
            Probe::Http { url, .. } => format!("curl -fsS {}", fill(url, &variables)?),
            Probe::Tcp { address } => format!("{} answers", fill(address, &variables)?),
            Probe::Command(_) | Probe::Minima(_) => format!("nodekeep health {}", node.name()),
        };
        let _ = writeln!(text, "  {:<28} {how}", rule.name);
    }
    paragraph(text, "  ", &format!("Then make a backup at once: nodekeep backup {}", node.name()));
    Ok(())
}

fn known(text: &mut String, node: &Node, facts: &Facts) {
    section(text, "6. Good to know");
    for note in &node.profile.notes {
        paragraph(text, "  - ", note);
    }
    for note in &facts.notes {
        paragraph(text, "  - ", &format!("The last backup says: {}", note.text));
    }
}

fn calls(text: &mut String, facts: &Facts) {
    section(text, "7. Whom to call");
    for (what, how) in &facts.contacts {
        let _ = writeln!(text, "  {what}: {how}");
    }
    for what in
        ["Who decides", "Who has the recovery words", "Who runs the machines", "Who must be told"]
    {
        if !facts.contacts.iter().any(|(known, _)| known == what) {
            blank(text, &format!("  {what}: "));
        }
    }
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, "\n{title}\n{}", "-".repeat(title.len()));
}

/// A line to write on by hand.
fn blank(text: &mut String, before: &str) {
    let _ = writeln!(text, "{before}{}", "_".repeat(WIDTH.saturating_sub(before.len())));
}

/// Broken at spaces; later lines are indented as far as the first, and a comment goes on as one.
fn paragraph(text: &mut String, first: &str, words: &str) {
    let mut line = first.to_owned();
    let mark = if first.ends_with("# ") { "# " } else { "" };
    let indent = format!("{}{mark}", " ".repeat(first.len() - mark.len()));
    for word in words.split_whitespace() {
        let is_begun = line.trim_end().len() > first.trim_end().len();
        if is_begun && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line.clone_from(&indent);
            line.push_str(word);
        } else {
            if is_begun {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let _ = writeln!(text, "{}", line.trim_end());
}
