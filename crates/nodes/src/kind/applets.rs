//! Applets of an Axon with all that belongs to them: read from the database in use as rows, and left as a backup directory in the layout of
//! Axon's own `backup_applets`, so that its own `restore_applets` can read it and one form serves export, import and restore.

use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::{Captured, Choice, Graft, Other, Others, Outcome, Request, Verified, With, other};
use crate::axon::applet::{Applet, select};
use crate::axon::chunks::{self, FlawKind};
use crate::axon::export::{Export, Exported};
use crate::axon::moment::Moment;
use crate::axon::{database, import};
use crate::error::Result;
use crate::manifest::{Missing, Note};
use crate::profile::AxonAppletsRule;

/// How often applets whose chunks do not fit are read again.
const LOOKS: u32 = 5;
/// Before each look.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes the chosen applets into the staging folder.
///
/// # Errors
/// If the database cannot be read, or an applet of a chosen name is not there.
pub fn capture(request: &Request<'_>, rule: &AxonAppletsRule) -> Result<Captured> {
    let database = &request.other(&rule.database)?.live;
    let Other { live: chunks, .. } = request.other(&rule.chunks)?;
    let applets = settled(database, chunks, request.choice)?;
    let export = Export {
        applets: &applets,
        into: request.staging,
        at: Moment::at(Timestamp::now()),
        skip_chunks: request.choice.skip_chunks,
    };
    let done = export.write()?;
    let with = With::Staged(done.folder.clone());
    let mut captured = told(&done);
    if request.choice.skip_chunks {
        captured.missing = left_out(&applets);
    }
    captured.grafts = vec![Graft { at: request.path.to_owned(), with }];
    Ok(captured)
}

/// The chosen applets, read until rows and chunks fit together or the patience ends.
fn settled(database: &Path, chunks: &Path, choice: &Choice) -> Result<Vec<Applet>> {
    let mut looks = 0;
    loop {
        let applets = select(database::applets(database, chunks)?, &choice.select)?;
        let is_last = looks == LOOKS || choice.skip_chunks;
        if is_last || applets.iter().all(fits) {
            return Ok(applets);
        }
        looks += 1;
        thread::sleep(PAUSE);
    }
}

/// Whether no chunk is another than its row says. One that is missing does not come by waiting.
fn fits(applet: &Applet) -> bool {
    applet.contents().all(|(_, content)| {
        let (flaws, _) = chunks::examine(&content.folder, &content.manifest);
        flaws.iter().all(|flaw| flaw.kind == FlawKind::Missing)
    })
}

fn told(done: &Exported) -> Captured {
    let mut captured = Captured::default();
    captured.position.count("applets", done.applets as u64);
    captured.position.count("saves", done.data as u64);
    captured.position.count("high scores", done.scores as u64);
    captured.position.count("chunks", done.chunks as u64);
    captured.notes = done.notes.iter().map(|note| Note::new("export", note)).collect();
    captured.missing = done
        .missing
        .iter()
        .map(|(holder, flaw)| Missing {
            name: chunks::name(flaw.index),
            of: holder.clone(),
            why: flaw.to_string(),
        })
        .collect();
    if !captured.missing.is_empty() {
        let text = format!(
            "{} chunks are missing or wrong, such as that of {}",
            done.missing.len(),
            done.missing[0].0
        );
        captured.notes.push(Note::new("wrong-chunks", text));
        captured.is_torn = true;
    }
    captured
}

fn left_out(applets: &[Applet]) -> Vec<Missing> {
    let contents = applets.iter().flat_map(Applet::contents);
    contents
        .map(|(of, content)| Missing {
            name: content.manifest.content_hash.to_string(),
            of,
            why: "left-out".to_owned(),
        })
        .collect()
}

/// Looks at every applet of an instance in use, with what users saved in it: each chunk, and for how many there are envelopes.
///
/// # Errors
/// If the database cannot be read.
pub fn verify_live(path: &Path, rule: &AxonAppletsRule, others: &Others) -> Result<Verified> {
    let database = &other(others, &rule.database, path)?.live;
    let chunks = &other(others, &rule.chunks, path)?.live;
    let choice = Choice::default();
    let applets = settled(database, chunks, &choice)?;
    let mut verified = Verified::default();
    for (holder, content) in applets.iter().flat_map(Applet::contents) {
        let (flaws, bytes) = chunks::examine(&content.folder, &content.manifest);
        let hash = content.manifest.content_hash;
        match flaws.first() {
            None => {
                let (count, readers) =
                    (content.manifest.chunk_hashes.len(), content.manifest.recipients().count());
                let detail = format!(
                    "{count} chunks, {bytes} bytes, envelopes for {readers}, content {hash}"
                );
                verified.check(&holder, Outcome::Passed, detail);
            }
            Some(flaw) => {
                verified.check(&holder, Outcome::Failed, format!("{flaw}; content {hash}"))
            }
        }
    }
    verified.position.count("applets", applets.len() as u64);
    Ok(verified)
}

/// Reads a backup directory and every chunk in it.
///
/// # Errors
/// If it is none.
pub fn verify(path: &Path) -> Result<Verified> {
    let backup = import::read(path)?;
    let mut verified = Verified::default();
    let figures = format!(
        "{} applets, {} chunks, {} bytes",
        backup.applets.len(),
        backup.chunks,
        backup.bytes
    );
    let detail = match backup.faults.first() {
        None => figures,
        Some((holder, flaw)) => format!(
            "{figures}; {} chunks are wrong or missing: {holder}: {flaw}",
            backup.faults.len()
        ),
    };
    // Chunks may have been left out on purpose; what is there must be right.
    let is_sound = backup.faults.iter().all(|(_, flaw)| flaw.kind == FlawKind::Missing);
    verified.check("applets", if is_sound { Outcome::Passed } else { Outcome::Failed }, detail);
    for note in backup.notes {
        verified.check("note", Outcome::Passed, note);
    }
    verified.position.count("applets", backup.applets.len() as u64);
    Ok(verified)
}
