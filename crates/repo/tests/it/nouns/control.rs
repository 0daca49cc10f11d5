//! Statements of sessions and keepers: round trip, place, and who may make them.

use nodekeep_repo::control::{
    Checkpoint, CollectionOutcome, Commit, Deletion, Doomed, Numbered, Outcome, PackRef, Process,
    Progress, Session, Stamp, Statement,
};
use nodekeep_repo::crypto::SigningKey;
use nodekeep_repo::error::Damage;
use nodekeep_repo::frame::Kind;
use nodekeep_repo::id::{MemberId, ObjectHash, PackId};
use nodekeep_repo::keys::Purpose;
use nodekeep_repo::names::{InGeneration, Role, parse_in_generation};
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::roster::Roster;

use super::{World, key, session_id, world};

fn stamp(w: &World) -> Stamp {
    Stamp { generation: 3, writer: w.writer_id(), sequence: 300, session: session_id(1) }
}

fn place(w: &World, role: Role) -> InGeneration {
    InGeneration { generation: 3, member: w.writer_id(), session: session_id(1), role }
}

fn session(w: &World) -> Session {
    Session {
        stamp: stamp(w),
        roster: 1,
        started_ms: 1_700_000_000_123,
        process: Process { host: [1; 32], pid: 77, started: 1 << 40 },
        tree: w.seal(1, Purpose::Tree),
        data: w.seal(2, Purpose::Data),
    }
}

fn progress(w: &World) -> Progress {
    Progress { stamp: stamp(w), k: 2, segments: vec![ObjectHash([1; 32]), ObjectHash([2; 32])] }
}

fn committed(w: &World) -> Outcome {
    let commit = Commit {
        segments: vec![ObjectHash([1; 32])],
        tree: w.seal(1, Purpose::Tree),
        salt: [2; 32],
        snapshot: vec![3; 40],
    };
    Outcome { stamp: stamp(w), roster: 1, commit: Some(commit) }
}

fn fenced(w: &World) -> Outcome {
    Outcome { stamp: stamp(w), roster: 1, commit: None }
}

fn deletion(w: &World) -> Deletion {
    Deletion {
        generation: 3,
        keeper: w.keeper_id(),
        snapshot: session_id(1),
        outcome: ObjectHash([5; 32]),
        when: -1,
    }
}

fn packs() -> Vec<PackRef> {
    let pack = |fill, kind| PackRef { writer: MemberId([fill; 16]), kind, id: PackId([fill; 32]) };
    vec![pack(1, PackKind::Data), pack(2, PackKind::Tree)]
}

fn checkpoint(w: &World) -> Checkpoint {
    Checkpoint {
        number: 4,
        previous: ObjectHash([1; 32]),
        when: 1_700_000_000,
        keeper: w.keeper_id(),
        outcomes: vec![committed(w).seal(&w.repo, &w.writer)],
        deletions: vec![deletion(w).seal(&w.repo, &w.owner.keeper)],
        segments: vec![(w.writer_id(), ObjectHash([2; 32]))],
        collections: 6,
        heads: vec![(w.writer_id(), 300)],
    }
}

#[test]
fn statements_of_a_session_are_their_objects() {
    let w = world();
    let (repo, roster) = (&w.repo, &w.roster);
    let at = place(&w, Role::Session);
    let session = session(&w);
    let object = session.seal(repo, &w.writer);
    assert_eq!(Session::open(&object, &at, repo, roster).unwrap(), session);
    super::batter_body(Kind::Session, Some(repo), &object, &w.writer, |b| {
        Session::open(b, &at, repo, roster).is_ok()
    });

    let at = place(&w, Role::Progress(2));
    let object = progress(&w).seal(repo, &w.writer);
    assert_eq!(Progress::open(&object, &at, repo, roster).unwrap(), progress(&w));
    super::batter_body(Kind::Progress, Some(repo), &object, &w.writer, |b| {
        Progress::open(b, &at, repo, roster).is_ok()
    });

    let at = place(&w, Role::Outcome);
    for outcome in [committed(&w), fenced(&w)] {
        let object = outcome.seal(repo, &w.writer);
        assert_eq!(Outcome::open(&object, &at, repo, roster).unwrap(), outcome);
        assert_eq!(Outcome::open_folded(&object, repo, roster).unwrap(), outcome);
        super::batter_body(Kind::Outcome, Some(repo), &object, &w.writer, |b| {
            Outcome::open(b, &at, repo, roster).is_ok()
        });
    }
}

#[test]
fn statements_of_a_keeper_are_their_objects() {
    let w = world();
    let (repo, roster, keeper) = (&w.repo, &w.roster, &w.owner.keeper);
    let object = deletion(&w).seal(repo, keeper);
    assert_eq!(Deletion::open(&object, None, repo, roster).unwrap(), deletion(&w));
    super::batter_body(Kind::Deletion, Some(repo), &object, keeper, |b| {
        Deletion::open(b, None, repo, roster).is_ok()
    });

    let doomed =
        Doomed { number: 9, keeper: w.keeper_id(), generation: 3, nonce: [4; 32], packs: packs() };
    let object = doomed.seal(repo, keeper);
    assert_eq!(Doomed::open(&object, 9, repo, roster).unwrap(), doomed);
    assert_eq!(Doomed::open(&object, 8, repo, roster).unwrap_err(), Damage::Name);
    super::batter_body(Kind::Doomed, Some(repo), &object, keeper, |b| {
        Doomed::open(b, 9, repo, roster).is_ok()
    });

    for condemned in [Some(packs()), Some(vec![]), None] {
        let outcome =
            CollectionOutcome { number: 9, keeper: w.keeper_id(), nonce: [4; 32], condemned };
        let object = outcome.seal(repo, keeper);
        let open = |b: &[u8]| CollectionOutcome::open(b, 9, repo, roster);
        assert_eq!(open(&object).unwrap(), outcome);
        assert_eq!(CollectionOutcome::open(&object, 10, repo, roster).unwrap_err(), Damage::Name);
        super::batter_body(Kind::CollectionOutcome, Some(repo), &object, keeper, |b| {
            open(b).is_ok()
        });
    }
}

#[test]
fn a_checkpoint_is_its_object() {
    let w = world();
    let checkpoint = checkpoint(&w);
    let object = checkpoint.seal(&w.repo, &w.owner.keeper);
    let open = |bytes: &[u8]| Checkpoint::open(bytes, 4, &w.repo, &w.roster);
    assert_eq!(open(&object).unwrap(), checkpoint);
    assert_eq!(Checkpoint::open(&object, 5, &w.repo, &w.roster).unwrap_err(), Damage::Name);
    super::batter_body(Kind::Checkpoint, Some(&w.repo), &object, &w.owner.keeper, |b| {
        open(b).is_ok()
    });
}

#[test]
fn a_statement_stands_where_it_says() {
    let w = world();
    let at = place(&w, Role::Outcome);
    let elsewhere = [
        InGeneration { generation: 4, ..at },
        InGeneration { member: MemberId([0; 16]), ..at },
        InGeneration { session: session_id(2), ..at },
    ];
    let (repo, roster) = (&w.repo, &w.roster);
    let session = session(&w).seal(repo, &w.writer);
    let progress = progress(&w).seal(repo, &w.writer);
    let outcome = committed(&w).seal(repo, &w.writer);
    let fence = fenced(&w).seal(repo, &w.owner.keeper);
    for other in elsewhere {
        assert_eq!(Session::open(&session, &other, repo, roster).unwrap_err(), Damage::Name);
        assert_eq!(Outcome::open(&outcome, &other, repo, roster).unwrap_err(), Damage::Name);
        assert_eq!(Outcome::open(&fence, &other, repo, roster).unwrap_err(), Damage::Name);
        let other = InGeneration { role: Role::Progress(2), ..other };
        assert_eq!(Progress::open(&progress, &other, repo, roster).unwrap_err(), Damage::Name);
    }
    let other = place(&w, Role::Progress(3));
    assert_eq!(Progress::open(&progress, &other, repo, roster).unwrap_err(), Damage::Name);
    let good = InGeneration {
        generation: 3,
        member: w.keeper_id(),
        session: session_id(1),
        role: Role::Deleted,
    };
    let deletion = deletion(&w).seal(repo, &w.owner.keeper);
    assert!(Deletion::open(&deletion, Some(&good), repo, roster).is_ok());
    for other in [
        InGeneration { generation: 4, ..good },
        InGeneration { member: w.writer_id(), ..good },
        InGeneration { session: session_id(2), ..good },
    ] {
        assert_eq!(
            Deletion::open(&deletion, Some(&other), repo, roster).unwrap_err(),
            Damage::Name
        );
    }
}

/// Which of the statements count that `signer` made in the writer's name.
fn accepted(w: &World, roster: &Roster, signer: &SigningKey) -> [bool; 5] {
    let (repo, at) = (&w.repo, place(w, Role::Outcome));
    [
        Session::open(&session(w).seal(repo, signer), &at, repo, roster).is_ok(),
        Progress::open(&progress(w).seal(repo, signer), &place(w, Role::Progress(2)), repo, roster)
            .is_ok(),
        Outcome::open(&committed(w).seal(repo, signer), &at, repo, roster).is_ok(),
        Outcome::open_folded(&committed(w).seal(repo, signer), repo, roster).is_ok(),
        Outcome::open(&fenced(w).seal(repo, signer), &at, repo, roster).is_ok(),
    ]
}

#[test]
fn who_signs_what() {
    let w = world();
    let mut revoked = w.roster.clone();
    revoked.members[1].revoked = Some(300);
    let mut revoked_later = w.roster.clone();
    revoked_later.members[1].revoked = Some(301);
    let nobody = Roster { members: vec![], ..w.roster.clone() };
    let (all, none, fences) = ([true; 5], [false; 5], [false, false, false, false, true]);
    let cases = [
        ("the writer", &w.roster, &w.writer, all),
        ("a keeper only fences", &w.roster, &w.owner.keeper, fences),
        ("the root signs nothing of this", &w.roster, &w.owner.root, none),
        ("a stranger", &w.roster, &key(99), none),
        ("a writer that is revoked from here", &revoked, &w.writer, none),
        ("a writer that is revoked from the next", &revoked_later, &w.writer, all),
        ("a keeper fences a revoked writer", &revoked, &w.owner.keeper, fences),
        ("a writer that no roster has", &nobody, &w.writer, none),
    ];
    for (what, roster, signer, expected) in cases {
        assert_eq!(accepted(&w, roster, signer), expected, "{what}");
    }
}

#[test]
fn only_keepers_delete_and_collect() {
    let w = world();
    let (repo, roster) = (&w.repo, &w.roster);
    let doomed =
        Doomed { number: 9, keeper: w.keeper_id(), generation: 3, nonce: [4; 32], packs: packs() };
    let ended =
        CollectionOutcome { number: 9, keeper: w.keeper_id(), nonce: [4; 32], condemned: None };
    for signer in [&w.writer, &w.owner.root, &key(99)] {
        let refused = [
            Deletion::open(&deletion(&w).seal(repo, signer), None, repo, roster).unwrap_err(),
            Checkpoint::open(&checkpoint(&w).seal(repo, signer), 4, repo, roster).unwrap_err(),
            Doomed::open(&doomed.seal(repo, signer), 9, repo, roster).unwrap_err(),
            CollectionOutcome::open(&ended.seal(repo, signer), 9, repo, roster).unwrap_err(),
        ];
        assert_eq!(refused, [Damage::Signer; 4]);
    }
    let posing = Deletion { keeper: w.writer_id(), ..deletion(&w) };
    let object = posing.seal(repo, &w.owner.keeper);
    assert_eq!(
        Deletion::open(&object, None, repo, roster).unwrap_err(),
        Damage::Signer,
        "a keeper in another's name"
    );
}

#[test]
fn a_stamp_names_its_objects() {
    let w = world();
    let stamp = stamp(&w);
    assert_eq!(parse_in_generation(&stamp.session_name()), Some(place(&w, Role::Session)));
    assert_eq!(parse_in_generation(&stamp.outcome_name()), Some(place(&w, Role::Outcome)));
    let pack = packs()[1];
    assert_eq!(
        nodekeep_repo::names::parse_pack(&pack.name()),
        Some((pack.writer, pack.kind, pack.id))
    );
}
