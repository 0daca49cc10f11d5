//! Names of objects in the store (`docs/format.md`, section 3): made here, read here, nowhere else.

use crate::id::{MemberId, ObjectHash, PackId, SessionId, to_hex};
use crate::pack::PackKind;

/// The genesis configuration.
pub const CONFIG: &str = "config";
/// All rosters.
pub const ROSTERS: &str = "r/";
/// All checkpoints.
pub const CHECKPOINTS: &str = "c/";
/// All collections.
pub const COLLECTIONS: &str = "x/";
/// All records of scrubs.
pub const SCRUBS: &str = "s/";
/// All that writers wrote.
pub const WRITERS: &str = "w/";
/// All that a mirror adds.
pub const LISTING_PREFIX: &str = "l/";
/// Where a mirror's listings of control objects stand, in turn.
pub const LISTINGS: [&str; 2] = ["l/0", "l/1"];

/// Roster `number`.
pub fn roster(number: u64) -> String {
    format!("r/{number:08x}")
}

/// An envelope.
pub fn envelope(hash: &ObjectHash) -> String {
    format!("k/{hash}")
}

/// A pack.
pub fn pack(writer: &MemberId, kind: PackKind, id: &PackId) -> String {
    let letter = match kind {
        PackKind::Data => 'd',
        PackKind::Tree => 't',
    };
    format!("w/{writer}/{letter}/{}/{id}", to_hex(&id.0[..1]))
}

/// An index segment.
pub fn segment(writer: &MemberId, hash: &ObjectHash) -> String {
    format!("w/{writer}/i/{hash}")
}

/// A mirror's listing of packs and index segments.
pub fn contents(hash: &ObjectHash) -> String {
    format!("l/{hash}")
}

/// Everything of a generation.
pub fn generation(number: u64) -> String {
    format!("g/{number:08x}/")
}

/// A session object.
pub fn session(generation: u64, writer: &MemberId, session: &SessionId) -> String {
    format!("g/{generation:08x}/{writer}.{session}.session")
}

/// Progress object `k` of a session.
pub fn progress(generation: u64, writer: &MemberId, session: &SessionId, k: u64) -> String {
    format!("g/{generation:08x}/{writer}.{session}.progress.{k:08x}")
}

/// The outcome of a session.
pub fn outcome(generation: u64, writer: &MemberId, session: &SessionId) -> String {
    format!("g/{generation:08x}/{writer}.{session}.outcome")
}

/// The record of a snapshot's deletion.
pub fn deletion(generation: u64, keeper: &MemberId, snapshot: &SessionId) -> String {
    format!("g/{generation:08x}/{keeper}.{snapshot}.deleted")
}

/// Checkpoint `number`.
pub fn checkpoint(number: u64) -> String {
    format!("c/{number:08x}")
}

/// The record of scrub `number`.
pub fn scrub(number: u64) -> String {
    format!("s/{number:08x}")
}

/// The doomed list of collection `number`.
pub fn doomed(number: u64) -> String {
    format!("x/{number:08x}.doomed")
}

/// How collection `number` ended.
pub fn collection_outcome(number: u64) -> String {
    format!("x/{number:08x}.outcome")
}

/// What an object in a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A session began.
    Session,
    /// Progress, numbered.
    Progress(u64),
    /// A session ended.
    Outcome,
    /// A snapshot was deleted.
    Deleted,
}

/// The parts of a name in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InGeneration {
    /// The generation.
    pub generation: u64,
    /// Whose object.
    pub member: MemberId,
    /// Which session or snapshot.
    pub session: SessionId,
    /// What it is.
    pub role: Role,
}

/// The number in `prefix` + 8 hexadecimal digits + `suffix`.
pub fn number(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() == 8
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// Reads a name below `g/`.
pub fn parse_in_generation(name: &str) -> Option<InGeneration> {
    let (generation, rest) = name.strip_prefix("g/")?.split_once('/')?;
    let mut parts = rest.split('.');
    let member = MemberId::parse(parts.next()?)?;
    let session = SessionId::parse(parts.next()?)?;
    let role = match (parts.next()?, parts.next()) {
        ("session", None) => Role::Session,
        ("progress", Some(k)) => Role::Progress(number(k, "", "")?),
        ("outcome", None) => Role::Outcome,
        ("deleted", None) => Role::Deleted,
        _ => return None,
    };
    let generation = number(generation, "", "")?;
    parts.next().is_none().then_some(InGeneration { generation, member, session, role })
}

/// Where a pack name points.
pub fn parse_pack(name: &str) -> Option<(MemberId, PackKind, PackId)> {
    let mut parts = name.strip_prefix("w/")?.split('/');
    let writer = MemberId::parse(parts.next()?)?;
    let kind = match parts.next()? {
        "d" => PackKind::Data,
        "t" => PackKind::Tree,
        _ => return None,
    };
    let shard = parts.next()?;
    let id = PackId::parse(parts.next()?)?;
    (parts.next().is_none() && shard == to_hex(&id.0[..1])).then_some((writer, kind, id))
}

/// Where a segment name points.
pub fn parse_segment(name: &str) -> Option<(MemberId, ObjectHash)> {
    let mut parts = name.strip_prefix("w/")?.split('/');
    let writer = MemberId::parse(parts.next()?)?;
    if parts.next()? != "i" {
        return None;
    }
    let hash = ObjectHash::parse(parts.next()?)?;
    parts.next().is_none().then_some((writer, hash))
}
