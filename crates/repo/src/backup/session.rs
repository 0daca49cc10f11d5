//! A writer's run: the session object first, then the lists, and one outcome at the end (`docs/format.md`, section 7.2).

use std::collections::HashSet;

use nodekeep_store::{Created, Durability};

use crate::codec::{Compression, Compressor};
use crate::control::{Commit, Outcome, PackRef, Progress, Session, Stamp, Statement};
use crate::crypto::{Gcm, SigningKey, hkdf, random};
use crate::error::{Error, Result};
use crate::id::{ObjectHash, SessionId};
use crate::keys::{ContentKey, Purpose, Seal};
use crate::names;
use crate::repository::Repository;
use crate::roster::{Role, Trust};
use crate::snapshot::Snapshot;
use crate::view::View;

/// A session that has begun.
pub(crate) struct Running<'a> {
    pub(crate) repo: &'a Repository,
    pub(crate) stamp: Stamp,
    pub(crate) view: View,
    pub(crate) tree: (ContentKey, Seal),
    pub(crate) data: (ContentKey, Seal),
    signing: SigningKey,
    trust: Trust,
    avoided: HashSet<PackRef>,
    progress: std::sync::atomic::AtomicU64,
}

impl<'a> Running<'a> {
    /// Begins a session of the repository's writer.
    pub(crate) fn begin(repo: &'a Repository) -> Result<Self> {
        let id = repo.writer_id()?;
        let signing = repo.writer_key().ok_or(Error::NoWriter)?.clone();
        let trust = repo.roster().member(&id).map_or(Trust::Own, |m| m.trust);
        loop {
            let before = match planted!(ListFirst) {
                true => repo.view()?,
                false => view_for!(repo, "begin", (repo.roster_hash(), id), |view| [
                    view.generation,
                    view.heads.get(&id)
                ])?,
            };
            let running = Self::create(repo, &before, id, signing.clone(), trust)?;
            if running.view.generation == running.stamp.generation {
                return Ok(running);
            }
            running.give_up();
        }
    }

    fn create(
        repo: &'a Repository,
        before: &View,
        writer: crate::id::MemberId,
        signing: SigningKey,
        trust: Trust,
    ) -> Result<Self> {
        let sequence = before.heads.get(&writer).map_or(1, |head| head.saturating_add(1));
        let stamp =
            Stamp { generation: before.generation, writer, sequence, session: SessionId(random()) };
        let group = repo.roster().current_group();
        let fresh = |purpose| {
            let key = ContentKey::random(&repo.id());
            let seal = Seal::close(&key, purpose, group);
            (key, seal)
        };
        let (tree, data) = (fresh(Purpose::Tree), fresh(Purpose::Data));
        let session = Session {
            stamp,
            roster: repo.roster().number,
            started_ms: crate::clock::now().as_millisecond(),
            process: crate::process::this(repo.domain()),
            tree: tree.1.clone(),
            data: data.1.clone(),
        };
        let object = session.seal(&repo.id(), &signing);
        repo.store().create(&stamp.session_name(), &object, Durability::Visible)?;
        // Only what is listed after the session exists can be relied on.
        let view = match planted!(ListFirst) {
            true => before.clone(),
            false => view_for!(repo, "session begun", (stamp, repo.roster_hash()), |view| [
                view.generation,
                view.segments,
                view.live_hashes(),
                view.avoided().iter().collect::<std::collections::BTreeSet<_>>()
            ])?,
        };
        let avoided = if planted!(ReuseDoomed) { HashSet::new() } else { view.avoided() };
        settled!(
            "session",
            stamp,
            repo.roster_hash(),
            view.generation,
            view.segments,
            view.live_hashes(),
            (!planted!(MergeDoomed))
                .then(|| avoided.iter().collect::<std::collections::BTreeSet<_>>())
        );
        Ok(Self {
            repo,
            stamp,
            view,
            tree,
            data,
            signing,
            trust,
            avoided,
            progress: Default::default(),
        })
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Whether chunks of a pack may be reused.
    pub(crate) fn may_reuse(&self, pack: &PackRef) -> bool {
        if self.avoided.contains(pack) {
            return false;
        }
        match self.trust {
            Trust::Own => pack.writer == self.stamp.writer,
            Trust::All => {
                let writes = |role: Role| matches!(role, Role::Writer | Role::Keeper);
                self.repo.roster().member(&pack.writer).is_some_and(|m| writes(m.role))
            }
        }
    }

    /// Makes segments known before the end, so that an interrupted run is not uploaded again.
    pub(crate) fn report_progress(&self, segments: Vec<ObjectHash>) -> Result<()> {
        let k = self.progress.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let object =
            Progress { stamp: self.stamp, k, segments }.seal(&self.repo.id(), &self.signing);
        let name =
            names::progress(self.stamp.generation, &self.stamp.writer, &self.stamp.session, k);
        self.repo.store().create(&name, &object, Durability::Durable)?;
        Ok(())
    }

    /// Commits: everything durable, then the one outcome, then a last look that the generation had not ended.
    pub(crate) fn commit(&self, snapshot: &Snapshot, segments: Vec<ObjectHash>) -> Result<()> {
        settled!("commit", self.stamp, self.repo.roster_hash(), snapshot, segments);
        self.check_roster()?;
        let outcome = Outcome {
            stamp: self.stamp,
            roster: self.repo.roster().number,
            commit: Some(self.seal_snapshot(snapshot, segments)),
        };
        let store = self.repo.store();
        if !planted!(NoBarrier) {
            store.barrier()?;
        }
        let object = outcome.seal(&self.repo.id(), &self.signing);
        match store.create(&self.stamp.outcome_name(), &object, Durability::Durable)? {
            Created::New => self.confirm(),
            Created::Exists => Err(Error::Fenced(self.stamp.session)),
        }
    }

    /// A reader that was removed meanwhile must not be able to read this session.
    fn check_roster(&self) -> Result<()> {
        let now = self.repo.current_roster()?;
        let same_group = now.current_group().number == self.repo.roster().current_group().number;
        let member = now.member(&self.stamp.writer);
        if !member.is_some_and(|m| m.valid_at(self.stamp.sequence)) {
            return Err(Error::WriterRejected);
        }
        if same_group { Ok(()) } else { Err(Error::RosterChanged) }
    }

    fn seal_snapshot(&self, snapshot: &Snapshot, segments: Vec<ObjectHash>) -> Commit {
        let mut coded = Vec::new();
        Compressor::new(Compression::Zstd(3)).append(&snapshot.encode(), &mut coded);
        let salt = random();
        let gcm = Gcm::new(&hkdf(&self.tree.0.secret.0, &salt, "nodekeep/v1/snapshot"));
        let aad = [self.repo.id().0.as_slice(), &self.stamp.session.0].concat();
        Commit { segments, tree: self.tree.1.clone(), salt, snapshot: gcm.seal(0, &aad, &coded) }
    }

    fn confirm(&self) -> Result<()> {
        if planted!(NoConfirm) {
            return Ok(());
        }
        let listed = self.repo.store().list(names::CHECKPOINTS)?;
        let newest =
            listed.iter().filter_map(|o| names::number(&o.name, "c/", "")).max().unwrap_or(0);
        // The next checkpoint but one ends every session of this generation before it is made: until then the outcome counts.
        let counted =
            newest <= self.stamp.generation + 1 || self.repo.view()?.is_live(&self.stamp.session);
        if counted { Ok(()) } else { Err(Error::Fenced(self.stamp.session)) }
    }

    /// Ends the session without a snapshot, so that no collection waits for it.
    pub(crate) fn give_up(&self) {
        let outcome =
            Outcome { stamp: self.stamp, roster: self.repo.roster().number, commit: None };
        let object = outcome.seal(&self.repo.id(), &self.signing);
        let store = self.repo.store();
        if store.create(&self.stamp.outcome_name(), &object, Durability::Visible).is_err() {
            // A full disk has no room for it. Nothing more will be written, so the session may go as if it had never begun;
            // if even that fails, a collector ends it when its process is gone.
            let _ = store.delete(&self.stamp.session_name());
        }
    }
}
