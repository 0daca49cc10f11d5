//! Hooks that fail, hang or are killed: the node is released all the same, and what the caller gets names them.

use nodekeep_nodes::error::Error;
use nodekeep_nodes::hooks::{Context, after_backup, after_restore, before_backup, before_restore};

use crate::scene::Scene;

fn context() -> Context {
    let (snapshot, status) = (Some("0a1b".to_owned()), Some("partial".to_owned()));
    Context { node: "n".to_owned(), snapshot, status }
}

#[test]
fn hooks_know_what_they_are_about() {
    let scene = Scene::new();
    let line = "echo {node} $NODEKEEP_NODE $NODEKEEP_SNAPSHOT $NODEKEEP_STATUS >> {data}/log";
    for name in ["before-backup", "after-backup", "before-restore", "after-restore"] {
        let node = scene.node(&format!("[hooks]\n{name} = [\"{line}\"]\n"));
        let run = [before_backup, after_backup, before_restore, after_restore];
        for one in run {
            one(&node, &context()).unwrap();
        }
    }
    assert_eq!(scene.log(), ["n n 0a1b partial"; 4], "each list runs at its own moment only");
}

#[test]
fn a_hook_that_goes_wrong_is_named_with_what_it_said() {
    type Test = fn(&Error) -> bool;
    let cases: [(&str, &str, Test); 4] = [
        ("echo why >&2; exit 3", "exit code 3: why", |e| matches!(e, Error::Failed { .. })),
        ("sleep 1000", "did not end within 1 s", |e| matches!(e, Error::Hung { .. })),
        ("kill -9 $$", "signal 9", |e| matches!(e, Error::Failed { .. })),
        ("{nothing}", "nothing", |e| matches!(e, Error::Variable { .. })),
    ];
    for (line, said, is_right) in cases {
        let scene = Scene::new();
        let node = scene.node(&format!(
            "[hooks]\nbefore-backup = [\"true\", {{ run = \"{line}\", patience-secs = 1 }}, \"touch {{data}}/third\"]\n"
        ));
        let error = before_backup(&node, &context()).unwrap_err();
        assert!(is_right(&error.failures[0].source), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("hook before-backup 2: ") && text.contains(said), "{text}");
        assert!(!scene.path("third").exists(), "what stands on it does not run");
    }
}

#[test]
fn hooks_after_a_backup_all_run() {
    let scene = Scene::new();
    let rules = "[hooks]\nafter-backup = [\"exit 1\", \"echo second >> {data}/log\", \"exit 2\"]\n";
    let error = after_backup(&scene.node(rules), &context()).unwrap_err();
    let numbers: Vec<usize> = error.failures.iter().map(|one| one.number).collect();
    assert_eq!((scene.log(), numbers), (vec!["second".to_owned()], vec![1, 3]));
}
