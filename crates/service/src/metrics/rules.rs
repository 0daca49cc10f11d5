//! Alert rules for Prometheus, as a file of rules: what is wrong, for how long, and the command that helps.

/// A rule.
pub struct Rule {
    /// Its name.
    pub alert: &'static str,
    /// When it fires.
    pub expr: &'static str,
    /// For so long before it does.
    pub lasts: &'static str,
    /// `critical` where data would be lost now, `warning` where it might.
    pub severity: &'static str,
    /// In a few words, with labels.
    pub summary: &'static str,
    /// What to do, as a line to type.
    pub runbook: &'static str,
}

const fn rule(
    alert: &'static str,
    expr: &'static str,
    lasts: &'static str,
    severity: &'static str,
    summary: &'static str,
    runbook: &'static str,
) -> Rule {
    Rule { alert, expr, lasts, severity, summary, runbook }
}

/// All of them.
pub const RULES: &[Rule] = &[
    rule(
        "NodekeepNeverBackedUp",
        "nodekeep_node_state{state=\"never\"} == 1",
        "1h",
        "critical",
        "{{ $labels.node }} was never backed up",
        "nodekeep backup {{ $labels.node }}",
    ),
    rule(
        "NodekeepBackupFailed",
        "nodekeep_node_state{state=\"failed\"} == 1",
        "5m",
        "critical",
        "The last backup of {{ $labels.node }} failed",
        "nodekeep daemon jobs --failed; nodekeep daemon logs",
    ),
    rule(
        "NodekeepBackupOverdue",
        "nodekeep_node_state{state=\"overdue\"} == 1",
        "5m",
        "critical",
        "The newest complete snapshot of {{ $labels.node }} is older than it may be",
        "nodekeep status {{ $labels.node }}; nodekeep backup {{ $labels.node }}",
    ),
    rule(
        "NodekeepRpoMissed",
        "time() - nodekeep_backup_last_success_timestamp_seconds > on (instance, job, node) nodekeep_rpo_target_seconds",
        "5m",
        "critical",
        "{{ $labels.node }} would lose {{ $value | humanizeDuration }}, more than its target",
        "nodekeep backup {{ $labels.node }}; nodekeep schedule list",
    ),
    rule(
        "NodekeepRtoMissed",
        "nodekeep_restore_seconds > on (instance, job, node) nodekeep_rto_target_seconds",
        "5m",
        "warning",
        "The last drill of {{ $labels.node }} took {{ $value | humanizeDuration }}, more than its target",
        "nodekeep drill list {{ $labels.node }}",
    ),
    rule(
        "NodekeepMachineSilent",
        "nodekeep_machine_silent == 1",
        "5m",
        "critical",
        "{{ $labels.host }} has written nothing for longer than usual",
        "nodekeep status --all; on {{ $labels.host }}: nodekeep daemon status",
    ),
    rule(
        "NodekeepDrillFailed",
        "nodekeep_drill_success == 0",
        "5m",
        "critical",
        "The last drill of {{ $labels.node }} failed",
        "nodekeep drill list {{ $labels.node }}; nodekeep drill {{ $labels.node }}",
    ),
    rule(
        "NodekeepDrillTooOld",
        "time() - nodekeep_drill_timestamp_seconds > 30 * 86400",
        "1h",
        "warning",
        "{{ $labels.node }} was last drilled {{ $value | humanizeDuration }} ago",
        "nodekeep drill {{ $labels.node }}",
    ),
    rule(
        "NodekeepVerificationFailed",
        "nodekeep_verification_success == 0",
        "5m",
        "critical",
        "The last check of the data of {{ $labels.node }} failed",
        "nodekeep check --data; nodekeep repo repair",
    ),
    rule(
        "NodekeepNotOffsite",
        "nodekeep_repository_offsite == 0",
        "1h",
        "warning",
        "Neither the repository nor a copy is on another host",
        "nodekeep repo mirror s3://BUCKET/PREFIX",
    ),
    rule(
        "NodekeepRepositoryNearlyFull",
        "nodekeep_repository_free_bytes / (nodekeep_repository_capacity_bytes > 0) < 0.05",
        "15m",
        "warning",
        "{{ $value | humanizePercentage }} of the repository's place is free",
        "nodekeep snapshot prune --keep-daily 14 --dry-run",
    ),
    rule(
        "NodekeepRepositoryFullSoon",
        "nodekeep_repository_full_in_seconds < 14 * 86400",
        "1h",
        "warning",
        "The repository's place is full in {{ $value | humanizeDuration }}",
        "nodekeep snapshot prune --keep-daily 14 --dry-run",
    ),
    rule(
        "NodekeepDamaged",
        "nodekeep_repository_damaged_objects > 0 or nodekeep_scrub_damaged_objects > 0",
        "0m",
        "critical",
        "{{ $value }} objects of the repository are damaged",
        "nodekeep check --data; nodekeep repo repair --from COPY",
    ),
    rule(
        "NodekeepSnapshotsLost",
        "nodekeep_repository_lost_snapshots > 0",
        "0m",
        "critical",
        "{{ $value }} snapshots are gone without a record of deletion",
        "nodekeep repo audit",
    ),
    rule(
        "NodekeepNodeUnwell",
        "nodekeep_health_success == 0",
        "10m",
        "warning",
        "{{ $labels.node }} is not well",
        "nodekeep health {{ $labels.node }}",
    ),
    rule(
        "NodekeepMetricsOld",
        "time() - nodekeep_overview_timestamp_seconds > 3600",
        "10m",
        "warning",
        "What Nodekeep tells is {{ $value | humanizeDuration }} old",
        "nodekeep daemon status; or the timer that runs: nodekeep metrics textfile PATH",
    ),
];

/// The file of rules.
pub fn file() -> String {
    let mut text =
        "# Made by: nodekeep metrics rules\ngroups:\n  - name: nodekeep\n    rules:\n".to_owned();
    for rule in RULES {
        text.push_str(&format!("      - alert: {}\n", rule.alert));
        text.push_str(&format!("        expr: {}\n", quoted(rule.expr)));
        text.push_str(&format!("        for: {}\n", rule.lasts));
        text.push_str(&format!("        labels:\n          severity: {}\n", rule.severity));
        text.push_str(&format!(
            "        annotations:\n          summary: {}\n          runbook: {}\n",
            quoted(rule.summary),
            quoted(rule.runbook)
        ));
    }
    text
}

/// In single quotes YAML knows no escape but the quote twice.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
