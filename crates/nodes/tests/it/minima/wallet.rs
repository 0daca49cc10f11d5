//! The wallet: read, raised, and refused where a node would run what no node writes.

use nodekeep_nodes::minima::error::Error;
use nodekeep_nodes::minima::keys::{MAX_USES, Seed};
use nodekeep_nodes::minima::phrase::Phrase;
use nodekeep_nodes::minima::wallet::{Secrets, Wallet, raise};

use nodekeep_testkit::minima::scene::{self, WORDS};

#[test]
fn keys_scripts_and_secrets_are_read() {
    let wallet = Wallet::parse(scene::wallet([3, 0]).as_bytes()).unwrap();
    let Secrets::Present { phrase, seed } = &wallet.secrets else { panic!("they are there") };
    assert_eq!(phrase.reveal(), WORDS);
    assert_eq!(*seed, Seed::of(phrase));
    let uses: Vec<u64> = wallet.keys.iter().map(|key| key.uses).collect();
    assert_eq!((uses, wallet.keys[0].max_uses), (vec![3, 0], MAX_USES));
    assert_eq!(wallet.keys[1].modifier, [1]);
    assert_eq!(wallet.scripts[0].script, "RETURN 'é' EQ [x;y]");
    assert_eq!((wallet.scripts[0].public, wallet.scripts[0].tracked), (None, false));
    assert_eq!(wallet.scripts[2].public, Some(wallet.keys[1].public));
    assert_eq!(wallet.is_of(seed), Some(true));
    let other = Seed::of(&Phrase::clean(&WORDS.replace("WRITE", "WORTH")).unwrap());
    assert_eq!(wallet.is_of(&other), Some(false));
    let told = format!("{wallet:?}");
    assert!(!told.contains("ABANDON") && !told.contains("privatekey"), "{told}");
}

#[test]
fn wiped_secrets_are_seen() {
    let sql = scene::wiped(&scene::wallet([3, 0]));
    let wallet = Wallet::parse(sql.as_bytes()).unwrap();
    assert_eq!(wallet.secrets, Secrets::Wiped);
    assert!(wallet.keys.iter().all(|key| key.private.is_none()));
}

#[test]
fn uses_are_raised_and_nothing_else_changes() {
    let sql = scene::wallet([3, 500]);
    let (written, raised) = raise(sql.as_bytes(), |_| 100).unwrap();
    let written = std::str::from_utf8(&written).unwrap();
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].from, raised[0].to), (3, 100));
    assert_eq!(written, sql.replace("64, 3, 3, 262144", "64, 3, 100, 262144"));
    let (same, none) = raise(sql.as_bytes(), |key| key.uses.saturating_sub(1)).unwrap();
    assert!(*same == sql.as_bytes() && none.is_empty(), "nothing is lowered");
}

#[test]
fn a_key_near_its_end_is_not_raised() {
    // A node adds 256, and begins anew at the end.
    let sql = scene::wallet([0, 0]);
    assert!(raise(sql.as_bytes(), |_| MAX_USES - 257).is_ok());
    for wanted in [MAX_USES - 256, MAX_USES, u64::MAX] {
        let error = raise(sql.as_bytes(), |_| wanted).unwrap_err();
        assert!(matches!(error, Error::UsedUp { .. }), "{error}");
    }
}

#[test]
fn statements_that_no_node_writes_are_refused_with_their_line() {
    let sql = scene::wallet([0, 0]);
    let line = sql.lines().count() + 1;
    for statement in [
        "CREATE ALIAS RUN AS 'void run(){}';",
        "CALL CSVWRITE('/tmp/x', 'SELECT 1');",
        "RUNSCRIPT FROM 'http://example.org/x.sql';",
        "INSERT INTO \"PUBLIC\".\"KEYS\" SELECT * FROM \"PUBLIC\".\"KEYS\";",
        "INSERT INTO \"PUBLIC\".\"SEED\" VALUES (2, CSVWRITE('/x', 'SELECT 1'), '0x00');",
        "INSERT INTO \"PUBLIC\".\"SEED\" VALUES (1, 'a', '0x00');",
        "INSERT INTO \"PUBLIC\".\"OTHER\" VALUES (1);",
        "CREATE CACHED TABLE X(Y INT DEFAULT \"CSVWRITE\"('/x', 'SELECT 1'));",
        "DELETE FROM \"PUBLIC\".\"KEYS\";",
        "ALTER TABLE X ADD CONSTRAINT Y UNIQUE(ID) {x};",
        "CREATE CACHED TABLE X(Y INT",
        "'open",
    ] {
        match Wallet::parse(format!("{sql}{statement}").as_bytes()) {
            Err(Error::Wallet { line: found, .. }) => assert_eq!(found, line, "{statement}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[test]
fn a_wallet_without_a_seed_or_with_other_columns_is_none() {
    let sql = scene::wallet([0, 0]);
    let seedless = sql.split("INSERT INTO \"PUBLIC\".\"SEED\"").next().unwrap();
    for bad in [
        seedless.to_owned(),
        String::new(),
        sql.replace("\"USES\" BIGINT", "\"USED\" BIGINT"),
        sql.replace("64, 3, 0, 262144", "64, 3, '0', 262144"),
        sql.replace("64, 3, 0, 262144", "64, 3, -1, 262144"),
        sql.replace("64, 3, 0, 262144", "64, 3, 99999999999999999999, 262144"),
        sql.replace("64, 3, 0, 262144", "64, 3, 262144"),
        sql.replace("'0x01'", "'0x1'"),
    ] {
        assert!(matches!(Wallet::parse(bad.as_bytes()), Err(Error::Wallet { .. })), "{bad}");
    }
    assert!(matches!(Wallet::parse(b"-- \n\xff"), Err(Error::Wallet { line: 2, .. })));
}
