//! Each step of the protocol: what goes wrong without it, made to happen.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::encode::{self, Record};
use super::fake::{Fake, Make};
use super::hooked::{Call, Hooked};
use super::{Stage, capture_within};
use crate::error::Error;
use crate::kind::With;

const MAKES: [Make; 3] = [Make::Rocks, Make::Recycling, Make::Level];

/// Everything that a database does by itself, with writes around it.
fn acts(make: Make) -> Vec<fn(&mut Fake)> {
    let mut acts: Vec<fn(&mut Fake)> = vec![
        Fake::write,
        |fake| {
            fake.switch();
            fake.write();
        },
        |fake| {
            fake.write();
            fake.flush(&[0]);
            fake.write();
        },
        |fake| fake.compact(0),
        |fake| {
            fake.replace_manifest();
            fake.write();
        },
    ];
    if make != Make::Level {
        acts.push(|fake| {
            fake.write();
            fake.flush(&[0, 1]);
            fake.write();
            fake.flush(&[0, 1]);
            fake.write();
        });
        acts.push(|fake| {
            fake.write();
            fake.flush(&[1]);
            fake.compact(1);
            fake.write();
        });
    }
    acts
}

#[test]
fn a_still_database_is_copied_whole() {
    for make in MAKES {
        let stage = Stage::new(make);
        stage.capture_while(|_, _, _| {});
    }
}

#[test]
fn any_act_between_any_two_steps_leaves_a_whole_copy() {
    for make in MAKES {
        for act in acts(make) {
            let mut moment = 0;
            loop {
                let stage = Stage::new(make);
                let calls = stage.capture_while(|fake, at, _| {
                    if at == moment {
                        act(fake);
                    }
                });
                moment += 1;
                if moment > calls {
                    break;
                }
            }
        }
    }
}

#[test]
fn two_acts_between_any_steps_leave_a_whole_copy() {
    for make in MAKES {
        for (at_first, first) in acts(make).into_iter().enumerate() {
            for (at_second, second) in acts(make).into_iter().enumerate() {
                // Not all of them: it must stay quick.
                let stride = 7;
                for moment in (0..45).skip((at_first + 3 * at_second) % stride).step_by(stride) {
                    let stage = Stage::new(make);
                    let gap = 1 + moment % 5;
                    stage.capture_while(|fake, at, _| match at {
                        at if at == moment => first(fake),
                        at if at == moment + gap => second(fake),
                        _ => {}
                    });
                }
            }
        }
    }
}

#[test]
fn a_database_that_moves_at_every_step_for_a_while_is_copied_whole() {
    for make in MAKES {
        let stage = Stage::new(make);
        let acts = acts(make);
        stage.capture_while(|fake, at, _| {
            if at < 200 {
                acts[at % acts.len()](fake);
            }
        });
    }
}

/// A capture that reads the MANIFEST, but does not look at it again after copying the WALs, misses the WAL that this flush deletes.
#[test]
fn a_wal_deleted_before_the_listing_is_made_up_for() {
    for make in MAKES {
        let stage = Stage::new(make);
        let done = Cell::new(false);
        stage.capture_while(|fake, _, call| {
            // The second listing is the first of WALs; all tables are linked by then.
            if call == Call::List && fake.last > 0 && !done.get() && has_links(&stage) {
                done.set(true);
                let ids: &[usize] = if make == Make::Level { &[0] } else { &[0, 1] };
                fake.write();
                fake.flush(ids);
                fake.write();
            }
        });
        assert!(done.get());
    }
}

fn has_links(stage: &Stage) -> bool {
    fs::read_dir(stage.copy()).unwrap().count() > 0
}

#[test]
fn a_new_column_family_of_the_wal_is_not_torn_off() {
    let stage = Stage::new(Make::Rocks);
    let done = Cell::new(false);
    let calls = Cell::new(0);
    let disk = Hooked::new(&stage.live(), |_, call| {
        calls.set(calls.get() + 1);
        if call == Call::List && has_links(&stage) && !done.get() {
            done.set(true);
            let mut fake = stage.fake.borrow_mut();
            let record = Record::default().number(200, 2).text(201, "late").number(2, 1);
            let record = record.text(1, "leveldb.BytewiseComparator");
            let bytes = encode::record(fake.manifest_length(), None, &record.0);
            fake.append_to_manifest(&bytes);
        }
    });
    let captured = stage.capture(&disk).unwrap();
    assert_eq!(captured.position.counters["column-families"], 3);
}

/// A WAL that is linked would be written over when the database recycles it.
#[test]
fn wals_in_the_copy_are_nobody_elses() {
    let stage = Stage::new(Make::Recycling);
    stage.capture_while(|_, _, _| {});
    let before = super::fake::read(&stage.copy());
    for _ in 0..4 {
        let mut fake = stage.fake.borrow_mut();
        fake.write();
        fake.flush(&[0, 1]);
        fake.write();
    }
    assert!(super::fake::read(&stage.copy()) == before);
    for entry in fs::read_dir(stage.copy()).unwrap() {
        let entry = entry.unwrap();
        let links = entry.metadata().unwrap().nlink();
        let is_table = entry.path().extension().is_some_and(|end| end == "sst");
        assert!(is_table || links == 1, "{:?} has {links} links", entry.path());
    }
}

/// One listing may show a WAL and not the one before it, if both are made meanwhile.
#[test]
fn a_listing_that_misses_a_wal_leaves_no_hole() {
    let stage = Stage::new(Make::Rocks);
    let (first, second) = {
        let mut fake = stage.fake.borrow_mut();
        fake.write();
        fake.switch();
        let first = fake.wal_path();
        fake.write();
        fake.switch();
        let second = fake.wal_path();
        fake.write();
        (first, second)
    };
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(second > first);
    let before = stage.fake.borrow().last;
    let mut disk = Hooked::new(&stage.live(), |_, _| {});
    // The first listing is that of the options.
    disk.listing = Some(Box::new(move |number, names| {
        if number == 1 {
            names.retain(|found| *found != name);
        }
    }));
    stage.capture(&disk).unwrap();
    drop(disk);
    stage.judge(before);
}

#[test]
fn each_look_at_the_manifest_reads_only_what_is_new() {
    let stage = Stage::new(Make::Rocks);
    let length = stage.fake.borrow().manifest_length();
    let looks = Cell::new(0);
    let disk = Hooked::new(&stage.live(), |_, call| {
        if call == Call::Read("CURRENT") {
            looks.set(looks.get() + 1);
            if looks.get() < 40 {
                stage.fake.borrow_mut().flush(&[0, 1]);
            }
        }
    });
    stage.capture(&disk).unwrap();
    assert!(looks.get() >= 40);
    // Twice: once to follow it and once to copy it, and the WALs are next to nothing.
    let most = 2 * stage.fake.borrow().manifest_length() + 4096;
    assert!(disk.bytes.get() < most, "{} bytes read, at first it had {length}", disk.bytes.get());
}

#[test]
fn half_a_group_does_not_count() {
    let stage = Stage::new(Make::Rocks);
    let length = {
        let mut fake = stage.fake.borrow_mut();
        let length = fake.manifest_length();
        let record = Record::default().number(200, 0).number(2, 999).number(300, 1);
        let bytes = encode::record(length, None, &record.0);
        fake.append_to_manifest(&bytes);
        // And half a record after it.
        let bytes = encode::record(fake.manifest_length(), None, &record.number(300, 0).0);
        fake.append_to_manifest(&bytes[..bytes.len() / 2]);
        length
    };
    stage.capture_while(|_, _, _| {});
    let current = fs::read_to_string(stage.copy().join("CURRENT")).unwrap();
    let copied = fs::metadata(stage.copy().join(current.trim())).unwrap().len();
    assert_eq!(copied, length);
}

#[test]
fn without_links_files_are_held_open_and_copied() {
    for make in MAKES {
        let stage = Stage::new(make);
        let before = stage.fake.borrow().last;
        let done = Cell::new(false);
        let mut disk = Hooked::new(&stage.live(), |_, call| {
            // Tables go away when they are open already.
            if call == Call::List && stage.fake.borrow().last == before && done.get() {
                let mut fake = stage.fake.borrow_mut();
                fake.write();
                fake.compact(0);
            }
            done.set(done.get() || matches!(call, Call::Link(_)));
        });
        disk.is_far = true;
        let captured = stage.capture(&disk).unwrap();
        assert!(captured.notes.iter().any(|note| note.code == "copied"));
        drop(disk);
        stage.judge(before);
    }
}

#[test]
fn a_database_that_never_rests_is_given_up() {
    let stage = Stage::new(Make::Rocks);
    let disk = Hooked::new(&stage.live(), |_, call| {
        if call == Call::Read("CURRENT") {
            stage.fake.borrow_mut().flush(&[0, 1]);
        }
    });
    let patience = Duration::from_millis(30);
    let error = capture_within(&disk, &stage.live(), &stage.copy(), patience).unwrap_err();
    assert!(matches!(error, Error::Restless { .. }), "{error}");
    assert!(error.to_string().contains("a log number moved"), "{error}");
}

#[test]
fn the_copy_is_read_in_place_of_the_folder() {
    let stage = Stage::new(Make::Rocks);
    let captured = stage.capture(&Hooked::new(&stage.live(), |_, _| {})).unwrap();
    let [graft] = captured.grafts.as_slice() else { panic!("{:?}", captured.grafts) };
    assert_eq!(graft.at, stage.live());
    assert_eq!(graft.with, With::StagedForever(stage.copy()));
    assert_eq!(captured.hashes["db-id"], "fake-id");
    assert!(captured.notes.is_empty(), "{:?}", captured.notes);
    let verified = crate::kind::lsm::verify(&stage.copy()).unwrap();
    for (name, number) in &captured.position.counters {
        assert_eq!(verified.position.counters.get(name), Some(number), "{name}");
    }
    assert_eq!(verified.position.labels, captured.position.labels);
    assert_eq!(verified.hashes, captured.hashes);
}

/// What cannot be copied in this way is refused, by name.
#[test]
fn what_is_elsewhere_or_unreadable_is_refused() {
    type Case = (&'static str, fn(&Stage), &'static str);
    let cases: [Case; 6] = [
        ("wal_dir", |stage| options(stage, "wal_dir=/elsewhere"), "/elsewhere"),
        ("cf_paths", |stage| options(stage, "cf_paths={path=/fast;target_size=1;}"), "/fast"),
        ("wal_compression", |stage| options(stage, "wal_compression=kZSTD"), "kZSTD"),
        (
            "encrypted",
            |stage| fs::write(stage.live().join("CURRENT"), [7; 4096]).unwrap(),
            "CURRENT",
        ),
        ("compressed WAL", compressed, "compressed"),
        ("lost table", lost, "is not there"),
    ];
    for (name, prepare, named) in cases {
        let stage = Stage::new(Make::Rocks);
        prepare(&stage);
        let error = stage.capture(&Hooked::new(&stage.live(), |_, _| {})).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{name}: {error}");
        assert!(error.to_string().contains(named), "{name}: {error}");
    }
}

fn options(stage: &Stage, line: &str) {
    let text = format!("[DBOptions]\n  {line}\n");
    fs::write(stage.live().join("OPTIONS-000009"), text).unwrap();
}

fn compressed(stage: &Stage) {
    stage.fake.borrow_mut().switch();
    let mut bytes = vec![0; 4];
    bytes.extend([4, 0, 9, 7, 0, 0, 0]);
    let crc = crate::kind::lsm::wire::masked_crc(&[&bytes[6..]]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    fs::write(stage.fake.borrow().wal_path(), bytes).unwrap();
}

fn lost(stage: &Stage) {
    fs::remove_file(table_of(stage)).unwrap();
}

fn table_of(stage: &Stage) -> std::path::PathBuf {
    let mut entries = fs::read_dir(stage.live()).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.extension().is_some_and(|end| end == "sst")).unwrap()
}

#[test]
fn a_table_of_another_size_is_named() {
    let stage = Stage::new(Make::Rocks);
    let path = table_of(&stage);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = stage.capture(&Hooked::new(&stage.live(), |_, _| {})).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
}

/// A WAL that is not the last in the list, because the next was made in advance, and goes on all the same: what it gets after it was copied, and
/// before the next is, would be missing from between.
#[test]
fn a_wal_that_goes_on_after_the_next_was_made_is_copied_again() {
    for moment in 0..12 {
        let stage = Stage::new(Make::Rocks);
        stage.fake.borrow().prepare_next();
        let (lists, reads) = (Cell::new(0), Cell::new(0));
        stage.capture_while(|fake, _, call| {
            lists.set(lists.get() + usize::from(call == Call::List));
            // The first listing is that of the options, the next two are those of the WALs.
            let is_read = lists.get() >= 3 && call == Call::ReadAt(0);
            if is_read && reads.replace(reads.get() + 1) == moment {
                fake.write();
                fake.switch();
                fake.write();
            }
        });
    }
}
