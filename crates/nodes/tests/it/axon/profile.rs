//! The profile.

use nodekeep_nodes::profile::{Kind, parse};

#[test]
fn the_profile_names_every_part_in_the_order_of_capture() {
    let text = include_str!("../../../profiles/axon.toml");
    let profile = parse(text, "axon").unwrap();
    let names: Vec<&str> =
        profile.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(
        names,
        ["database", "chunks", "user-data", "media", "env", "hidden-service", "applets"]
    );
    let Kind::Sqlite(rule) = &profile.components[0].kind else {
        panic!("{:?}", profile.components[0].kind)
    };
    let board = super::board::Board::furnished("alpha");
    let connection = board.connection();
    for (name, query) in &rule.counts {
        let count: i64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
        let expected = match name.as_str() {
            "applets" => 2,
            "users" | "saves" | "high scores" => 1,
            "instances" => 1,
            _ => 0,
        };
        assert_eq!(count, expected, "{name}");
    }
    let identity: Vec<&str> =
        profile.components.iter().filter(|c| c.identity).map(|c| c.name.as_str()).collect();
    assert_eq!(identity, ["env", "hidden-service"]);
}
