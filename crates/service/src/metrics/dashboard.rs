//! A dashboard for Grafana, as the JSON that it imports.

use serde_json::{Value, json};

/// Width of the whole, in Grafana's units.
const WIDTH: u32 = 24;

/// One panel: title, kind, unit, expression, legend, width, height.
struct Panel {
    title: &'static str,
    kind: &'static str,
    unit: &'static str,
    expr: &'static str,
    legend: &'static str,
    width: u32,
    height: u32,
}

const fn panel(
    title: &'static str,
    kind: &'static str,
    unit: &'static str,
    (expr, legend): (&'static str, &'static str),
    (width, height): (u32, u32),
) -> Panel {
    Panel { title, kind, unit, expr, legend, width, height }
}

/// The expression of each panel, for a test.
pub fn expressions() -> impl Iterator<Item = &'static str> {
    PANELS.iter().map(|panel| panel.expr)
}

const PANELS: &[Panel] = &[
    panel(
        "Unprotected nodes",
        "stat",
        "none",
        ("sum(nodekeep_node_state{state=~\"never|failed|overdue\"})", "overdue, failed or never"),
        (6, 5),
    ),
    panel(
        "At risk",
        "stat",
        "none",
        ("sum(nodekeep_node_state{state=\"at-risk\"})", "at risk"),
        (6, 5),
    ),
    panel(
        "Proven restorable",
        "stat",
        "none",
        ("sum(nodekeep_node_state{state=\"proven\"})", "proven"),
        (6, 5),
    ),
    panel(
        "Room ends in",
        "stat",
        "s",
        ("min(nodekeep_repository_full_in_seconds)", "full in"),
        (6, 5),
    ),
    panel(
        "State of each node",
        "state-timeline",
        "none",
        ("nodekeep_node_state == 1", "{{node}} {{state}}"),
        (24, 8),
    ),
    panel(
        "Age of the newest complete snapshot",
        "timeseries",
        "s",
        ("time() - nodekeep_backup_last_success_timestamp_seconds", "{{node}}"),
        (12, 8),
    ),
    panel(
        "Recovery time by the last drill",
        "timeseries",
        "s",
        ("nodekeep_restore_seconds", "{{node}}"),
        (12, 8),
    ),
    panel(
        "Duration of backups",
        "timeseries",
        "s",
        ("nodekeep_backup_duration_seconds", "{{node}}"),
        (12, 8),
    ),
    panel(
        "Added by the newest snapshot",
        "timeseries",
        "bytes",
        ("nodekeep_backup_added_bytes", "{{node}}"),
        (12, 8),
    ),
    panel(
        "Repository",
        "timeseries",
        "bytes",
        ("{__name__=~\"nodekeep_repository_(bytes|logical_bytes|free_bytes)\"}", "{{__name__}}"),
        (12, 8),
    ),
    panel(
        "Saved by deduplication and compression",
        "timeseries",
        "none",
        ("nodekeep_repository_dedup_ratio", "logical by stored bytes"),
        (12, 8),
    ),
    panel(
        "Age of the last drill",
        "timeseries",
        "s",
        ("time() - nodekeep_drill_timestamp_seconds", "{{node}}"),
        (12, 8),
    ),
    panel("Jobs", "timeseries", "none", ("nodekeep_jobs", "{{state}}"), (12, 8)),
];

/// The dashboard.
pub fn document() -> Value {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut panels = Vec::new();
    for (id, panel) in PANELS.iter().enumerate() {
        if x + panel.width > WIDTH {
            (x, y, row) = (0, y + row, 0);
        }
        panels.push(shown(panel, id + 1, x, y));
        x += panel.width;
        row = row.max(panel.height);
    }
    json!({
        "title": "Nodekeep",
        "uid": "nodekeep",
        "tags": ["backup", "nodekeep"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "1m",
        "time": { "from": "now-7d", "to": "now" },
        "templating": { "list": [{
            "name": "source",
            "label": "Prometheus",
            "type": "datasource",
            "query": "prometheus",
        }]},
        "panels": panels,
    })
}

fn shown(panel: &Panel, id: usize, x: u32, y: u32) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${source}" });
    json!({
        "id": id,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": { "x": x, "y": y, "w": panel.width, "h": panel.height },
        "fieldConfig": { "defaults": { "unit": panel.unit, "min": 0 }, "overrides": [] },
        "targets": [{
            "refId": "A",
            "datasource": source,
            "expr": panel.expr,
            "legendFormat": panel.legend,
        }],
    })
}
