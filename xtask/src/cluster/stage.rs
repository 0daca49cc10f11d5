//! What every scenario is given: a cluster, a user of it, a place for machines, and where chance comes from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nodekeep_testkit::Rng;

use super::leash::Scratch;
use super::machine::Machine;
use super::s3::S3;
use crate::error::Error;

/// A cluster with a user, and the program to try on it.
#[derive(Debug)]
pub struct Stage<C> {
    /// The servers.
    pub cluster: C,
    /// Who owns the buckets.
    pub owner: S3,
    /// The program.
    pub binary: PathBuf,
    /// Where chance comes from.
    pub seed: u64,
    /// Little instead of much.
    pub quick: bool,
    /// So many rounds instead of a scenario's own number.
    pub rounds: Option<u64>,
    scratch: Scratch,
    buckets: AtomicU32,
}

/// A new repository, with its owner's machine.
#[derive(Debug)]
pub struct Site {
    /// The bucket.
    pub bucket: String,
    /// The machine that made the repository.
    pub owner: Machine,
    binary: PathBuf,
    folder: PathBuf,
    repo: String,
    store: S3,
}

impl<C> Stage<C> {
    /// A stage with nothing on it.
    pub fn new(cluster: C, owner: S3, binary: PathBuf, seed: u64) -> Result<Self, Error> {
        let scratch = Scratch::new("machines")?;
        let (quick, rounds, buckets) = (false, None, AtomicU32::new(0));
        Ok(Self { cluster, owner, binary, seed, quick, rounds, scratch, buckets })
    }

    /// Chance for one purpose, the same for the same seed.
    pub fn rng(&self, purpose: u64) -> Rng {
        Rng::new(self.seed.wrapping_mul(1_000_003).wrapping_add(purpose))
    }

    /// How many rounds: as asked for, or one of these.
    pub fn rounds(&self, quick: u64, full: u64) -> u64 {
        self.rounds.unwrap_or(if self.quick { quick } else { full })
    }

    /// A bucket of the owner and an empty machine beside it; nothing is in either.
    pub fn empty_site(&self) -> Result<Site, Error> {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed) + 1;
        let bucket = format!("site-{number}");
        self.owner.create_bucket(&bucket)?;
        let folder = self.scratch.path().join(&bucket);
        let repo = format!("s3://{bucket}/repo");
        let owner = Machine::new(&folder, "owner", &self.binary, &repo, &self.owner)?;
        let (binary, store) = (self.binary.clone(), self.owner.clone());
        Ok(Site { bucket, owner, binary, folder, repo, store })
    }

    /// A new repository in a new bucket.
    pub fn site(&self) -> Result<Site, Error> {
        let site = self.empty_site()?;
        site.init()?;
        Ok(site)
    }

    /// A new repository in a new bucket that keeps every version of its objects.
    pub fn versioned_site(&self) -> Result<Site, Error> {
        let site = self.empty_site()?;
        let document =
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.owner.configure(&site.bucket, "versioning", document)?;
        site.init()?;
        Ok(site)
    }
}

impl Site {
    /// Makes the repository.
    pub fn init(&self) -> Result<(), Error> {
        let words = self.owner.path("words");
        self.owner.run(&["init", "--words-out", &words.to_string_lossy()])?.ok().map(drop)
    }

    /// The file with the recovery words.
    pub fn words(&self) -> PathBuf {
        self.owner.path("words")
    }

    /// The repository's address.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// A machine that knows nothing of the repository but where it is.
    pub fn stranger(&self, name: &str) -> Result<Machine, Error> {
        Machine::new(&self.folder, name, &self.binary, &self.repo, &self.store)
    }

    /// A machine with a writer's credential and nothing else.
    pub fn writer(&self, name: &str) -> Result<Machine, Error> {
        let machine = self.stranger(name)?;
        let file = machine.path("credential");
        let out = file.to_string_lossy();
        self.owner.run(&["key", "add", "--writer", name, "--out", &out])?.ok()?;
        Ok(machine.with_credential(file))
    }
}
