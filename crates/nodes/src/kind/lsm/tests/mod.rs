//! Tests with a database that moves between any two steps of a capture, and of every reader with damaged bytes.

mod damage;
mod encode;
mod fake;
mod formats;
mod hooked;
mod protocol;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::capture::capture;
use super::disk::Disk;
use crate::error::Result;
use crate::kind::{Captured, Request};
use crate::profile::Variables;
use fake::{Fake, Make};
use hooked::{Call, Hooked};

/// A database that has lived a little, and an empty staging folder.
struct Stage {
    folder: TempDir,
    make: Make,
    fake: RefCell<Fake>,
}

impl Stage {
    fn new(make: Make) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("live")).unwrap();
        std::fs::create_dir(folder.path().join("copy")).unwrap();
        let mut fake = Fake::new(&folder.path().join("live"), make);
        fake.live_a_little();
        Self { folder, make, fake: RefCell::new(fake) }
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    fn capture(&self, disk: &dyn Disk) -> Result<Captured> {
        capture_within(disk, &self.live(), &self.copy(), Duration::from_secs(5))
    }

    /// Captures while `act` happens before some calls, and judges the copy. Returns how many calls there were.
    fn capture_while(&self, mut act: impl FnMut(&mut Fake, usize, Call)) -> usize {
        let before = self.fake.borrow().last;
        let disk = Hooked::new(&self.live(), |at, call| act(&mut self.fake.borrow_mut(), at, call));
        self.capture(&disk).unwrap();
        let calls = disk.calls.get();
        drop(disk);
        self.judge(before);
        calls
    }

    /// The copy holds write `at_least` and all before it, none of the last one in part, and every byte of it is sound.
    fn judge(&self, at_least: u64) {
        let verified = super::verify(&self.copy()).unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.checks);
        let (state, last) = fake::read(&self.copy());
        assert!(last >= at_least, "{last} is the last, {at_least} was acknowledged");
        let families = if self.make == Make::Level { 1 } else { 2 };
        assert_eq!(state, fake::state(last, families), "after {last}");
    }
}

fn capture_within(
    disk: &dyn Disk,
    path: &Path,
    staging: &Path,
    patience: Duration,
) -> Result<Captured> {
    let variables = Variables::default();
    let request = Request::alone(path, staging, &variables, patience);
    capture(disk, &request)
}
