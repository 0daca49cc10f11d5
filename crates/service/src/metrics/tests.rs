//! The exposition of an overview that is made by hand; names in rules, dashboard and documentation.

use std::collections::BTreeSet;

use super::*;
use crate::copies::Distance;
use crate::fleet::moment::Moment;
use crate::fleet::overview::*;

const PAGE: &str = include_str!("../../../../docs/monitoring.md");

fn at(second: i64) -> Moment {
    Moment::of_millis(second * 1000)
}

fn node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        profile: "guts".to_owned(),
        id: name.to_owned(),
        here: true,
        host: Some("rack1".to_owned()),
        verdict: Verdict::AtRisk,
        reasons: vec![Reason {
            code: Code::NotOffsite,
            text: "near".to_owned(),
            remedy: None,
            risk: true,
        }],
        newest: Some(Newest {
            snapshot: "4f2a".to_owned(),
            at: at(900),
            complete: true,
            bytes: 1 << 40,
            added_bytes: 12,
            duration: 2.25,
            position: None,
        }),
        snapshots: 3,
        oldest: Some(at(1)),
        rpo: Target::of(Some(3600.0), Some(100.0)),
        rto: Target::default(),
        drill: Some(Drill {
            at: at(500),
            ok: true,
            started: false,
            seconds: 0.5,
            certificate: None,
        }),
        verified: None,
        next: Some(Next { job: "backup".to_owned(), at: at(2000) }),
        paused: false,
        health: None,
        retention: None,
        fence_marks: 2,
    }
}

fn overview(nodes: Vec<Node>) -> Overview {
    Overview {
        at: at(1000),
        version: "0.1.0".to_owned(),
        host: "rack1".to_owned(),
        role: Role::Owner,
        repository: Repository {
            location: "/srv/b".to_owned(),
            id: "ab".to_owned(),
            bytes: Some(500),
            objects: None,
            snapshots: Some(3),
            capacity: Some(Capacity { total: 1000, free: 400 }),
            growth_per_day: Some(86_400),
            days_until_full: Some(0.5),
            distance: Distance::SameDisk,
            offsite: false,
            copies: Vec::new(),
            scrub: None,
            dedup: Some(Dedup { logical_bytes: 1500, stored_bytes: 500 }),
            damaged_objects: 0,
            snapshots_lost: 0,
            words_confirmed: true,
        },
        nodes,
        machines: Vec::new(),
        jobs: Jobs { running: 1, waiting: 0 },
        alerts: Vec::new(),
    }
}

#[test]
fn what_is_known_is_told_and_the_rest_is_left_out() {
    let text = exposition(&overview(vec![node("guts")]));
    let told = [
        "nodekeep_backup_last_success_timestamp_seconds{node=\"guts\"} 900\n",
        "nodekeep_backup_bytes{node=\"guts\"} 1099511627776\n",
        "nodekeep_backup_duration_seconds{node=\"guts\"} 2.25\n",
        "nodekeep_restore_seconds{node=\"guts\"} 0.5\n",
        "nodekeep_drill_started_node{node=\"guts\"} 0\n",
        "nodekeep_node_state{node=\"guts\",state=\"at-risk\"} 1\n",
        "nodekeep_node_state{node=\"guts\",state=\"proven\"} 0\n",
        "nodekeep_node_reason{node=\"guts\",code=\"not-offsite\"} 1\n",
        "nodekeep_repository_growth_bytes_per_second 1\n",
        "nodekeep_repository_full_in_seconds 43200\n",
        "nodekeep_repository_dedup_ratio 3\n",
        "nodekeep_jobs{state=\"running\"} 1\n",
        "nodekeep_alerts{topic=\"overdue\"} 0\n",
    ];
    for line in told {
        assert!(text.contains(line), "{line}{text}");
    }
    for name in
        ["nodekeep_repository_objects", "nodekeep_health_success", "nodekeep_copy_snapshots"]
    {
        assert!(!text.contains(name), "{name}");
    }
}

#[test]
fn names_of_people_cannot_break_a_line() {
    let mut strange = node("a\"b\\c\nd");
    strange.host = Some("h\n# HELP x".to_owned());
    let text = exposition(&overview(vec![strange]));
    assert!(text.contains("{node=\"a\\\"b\\\\c\\nd\"} 900"), "{text}");
    let is_one = |line: &str| line.starts_with("# ") || line.starts_with("nodekeep_");
    assert!(text.lines().all(is_one), "{text}");
}

#[test]
fn families_are_named_once_and_by_the_conventions() {
    let mut seen = BTreeSet::new();
    for family in FAMILIES {
        assert!(seen.insert(family.name), "{} is there twice", family.name);
        assert!(family.name.starts_with("nodekeep_"), "{}", family.name);
        assert!(family.help.ends_with('.'), "{}", family.name);
        for sample in (family.samples)(&overview(vec![node("guts")])) {
            assert_eq!(sample.labels.len(), family.labels.len(), "{}", family.name);
        }
    }
}

/// Names of metrics in an expression.
fn names(expr: &str) -> Vec<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    expr.split(word).filter(|word| word.starts_with("nodekeep_")).collect()
}

#[test]
fn rules_and_dashboard_ask_for_what_there_is() {
    let known: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    let rules = rules::RULES.iter().map(|rule| rule.expr);
    for expr in rules.chain(dashboard::expressions().filter(|expr| !expr.contains("__name__"))) {
        let used = names(expr);
        assert!(!used.is_empty(), "{expr}");
        let missing: Vec<&&str> = used.iter().filter(|name| !known.contains(*name)).collect();
        assert!(missing.is_empty(), "{expr}: {missing:?}");
    }
}

#[test]
fn the_dashboard_overlaps_nowhere() {
    let document = dashboard::document();
    let mut taken = BTreeSet::new();
    for panel in document["panels"].as_array().unwrap() {
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{panel}");
        for x in of("x")..of("x") + of("w") {
            for y in of("y")..of("y") + of("h") {
                assert!(taken.insert((x, y)), "{panel}");
            }
        }
    }
}

#[test]
fn the_documentation_has_every_metric_and_every_rule() {
    assert!(PAGE.contains(&table()), "docs/monitoring.md lacks this table:\n{}", table());
    for rule in rules::RULES {
        assert!(PAGE.contains(&format!("`{}`", rule.alert)), "{}", rule.alert);
    }
}
