//! What can be checked without opening a pack: control objects, and which packs are there.

use super::*;
use crate::fetch::{self, Opened};

/// Configuration, rosters and envelopes.
pub(super) fn check(repo: &Repository, objects: &[Object], findings: &mut Findings) -> Result<()> {
    config(repo, findings)?;
    rosters(repo, findings)?;
    envelopes(repo, findings)?;
    checkpoints(repo, objects, findings)?;
    let strange = objects.iter().filter(|object| !is_ours(&object.name));
    findings
        .notes
        .extend(strange.map(|object| format!("{} is no object of a repository", object.name)));
    Ok(())
}

fn is_ours(name: &str) -> bool {
    let numbered = |prefix, suffix| names::number(name, prefix, suffix).is_some();
    name == names::CONFIG
        || names::LISTINGS.contains(&name)
        || name.strip_prefix("l/").is_some_and(|hash| ObjectHash::parse(hash).is_some())
        || name.strip_prefix("k/").is_some_and(|hash| ObjectHash::parse(hash).is_some())
        || names::parse_pack(name).is_some()
        || names::parse_segment(name).is_some()
        || names::parse_in_generation(name).is_some()
        || [("r/", ""), ("c/", ""), ("s/", ""), ("x/", ".doomed"), ("x/", ".outcome")]
            .iter()
            .any(|(p, s)| numbered(p, s))
}

/// An object and what could be made of it; what cannot be read is a finding.
fn get<T>(
    repo: &Repository,
    name: &str,
    findings: &mut Findings,
    open: impl Fn(&[u8]) -> std::result::Result<T, Damage>,
) -> Option<Opened<T>> {
    match fetch::opened(repo.store(), name, open) {
        Ok(opened) => return Some(opened),
        Err(error) if error.is_not_found() => findings.add(name, Damage::Missing),
        Err(error) => findings.add(name, error),
    };
    None
}

fn config(repo: &Repository, findings: &mut Findings) -> Result<()> {
    let Some((_, config)) = get(repo, names::CONFIG, findings, Config::open) else {
        return Ok(());
    };
    match config {
        Ok(config) if config.id == repo.id() => (),
        Ok(_) => drop(findings.add(names::CONFIG, Damage::OtherRepository)),
        Err(damage) => drop(findings.add(names::CONFIG, damage)),
    }
    Ok(())
}

fn rosters(repo: &Repository, findings: &mut Findings) -> Result<()> {
    let mut before = ObjectHash::NONE;
    for number in 1..=repo.roster().number {
        let name = names::roster(number);
        let open = |object: &[u8]| Roster::open(object, &repo.id(), repo.config().root, number);
        let Some((object, roster)) = get(repo, &name, findings, open) else {
            continue;
        };
        match roster {
            Ok(roster) if roster.previous != before && before != ObjectHash::NONE => {
                findings.add(name, "it does not follow the roster before it");
            }
            Ok(_) => (),
            Err(damage) => drop(findings.add(name, damage)),
        }
        before = ObjectHash::of(&object);
    }
    Ok(())
}

fn envelopes(repo: &Repository, findings: &mut Findings) -> Result<()> {
    for (_, hash) in repo.roster().members.iter().flat_map(|member| &member.envelopes) {
        let name = names::envelope(hash);
        if let Some((_, Err(damage))) = get(repo, &name, findings, |object| hash.check(object)) {
            findings.add(name, damage);
        }
    }
    Ok(())
}

/// The newest checkpoint names the one before it.
fn checkpoints(repo: &Repository, objects: &[Object], findings: &mut Findings) -> Result<()> {
    let Some(checkpoint) = repo.view()?.checkpoint else {
        return Ok(());
    };
    let before = names::checkpoint(checkpoint.number - 1);
    let is_named = |object: &[u8]| checkpoint.previous.check(object);
    if objects.iter().any(|object| object.name == before)
        && let Some((_, Err(_))) = get(repo, &before, findings, is_named)
    {
        findings.add(before, "it is not the one that the checkpoint after it names");
    }
    Ok(())
}

/// Every pack in scope is there with the size that the index says; places that are not are `bad`.
pub(super) fn check_packs(
    reader: &ChunkReader,
    objects: &[Object],
    scope: &[u32],
    bad: &mut Bits,
    findings: &mut Findings,
) {
    let index = reader.index();
    let sizes: BTreeMap<&str, u64> =
        objects.iter().map(|object| (object.name.as_str(), object.size)).collect();
    let mut short: BTreeMap<u32, u64> = BTreeMap::new();
    for number in scope {
        let pack = &index.packs[*number as usize];
        let name = pack.pack.name();
        match sizes.get(name.as_str()) {
            Some(size) if *size == pack.size => (),
            Some(size) => {
                findings.add(name, format!("it has {size} bytes instead of {}", pack.size));
                short.insert(*number, *size);
            }
            None => {
                findings.add(name, Damage::Missing);
                short.insert(*number, 0);
            }
        }
    }
    if short.is_empty() {
        return;
    }
    for (at, place) in index.entries().iter().enumerate() {
        let end = u64::from(place.offset) + u64::from(place.stored);
        if short.get(&place.pack).is_some_and(|size| end > *size) {
            bad.set(at);
        }
    }
}

/// Packs and segments that nothing names: of a session that runs, or left by one that did not end well.
pub(super) fn note_leftovers(
    reader: &ChunkReader,
    view: &View,
    objects: &[Object],
    findings: &mut Findings,
) {
    let index = reader.index();
    let is_open = |writer| view.sessions.iter().any(|session| session.stamp.writer == writer);
    let indexed = |pack: &PackRef| {
        index.pack_number(&pack.id).is_some_and(|n| index.packs[n as usize].pack == *pack)
    };
    let (mut packs, mut bytes, mut segments) = (0u64, 0u64, 0u64);
    for object in objects {
        if let Some((writer, kind, id)) = names::parse_pack(&object.name) {
            if !indexed(&PackRef { writer, kind, id }) && !is_open(writer) {
                packs += 1;
                bytes += object.size;
            }
        } else if let Some(segment) = names::parse_segment(&object.name)
            && !view.segments.contains(&segment)
            && !is_open(segment.0)
        {
            segments += 1;
        }
    }
    if packs + segments > 0 {
        findings.notes.push(format!(
            "{packs} packs ({bytes} bytes) and {segments} index segments belong to nothing; the next collection removes them"
        ));
    }
    if !view.sessions.is_empty() {
        findings.notes.push(format!("{} sessions have not ended", view.sessions.len()));
    }
    if !view.collections.is_empty() {
        findings.notes.push("a collection has not ended; the next one settles it".to_owned());
    }
}
