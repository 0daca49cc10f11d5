//! Applets with all that belongs to them, wherever they were read from: a database or a backup directory.

use std::path::PathBuf;

use serde_json::Value;

use super::error::{Error, Result};
use super::manifest::ContentManifest;
use super::moment::Moment;
use super::uuid::Uuid;

/// An applet.
#[derive(Debug, Clone, PartialEq)]
pub struct Applet {
    /// Its row where it came from.
    pub id: Uuid,
    /// Unique in an instance: what applets are matched by.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its author's public key, as it lay; may be empty.
    pub author_pubkey: String,
    /// Its code, if it has any.
    pub code: Option<Content>,
    /// Its settings: JSON.
    pub parameters: Value,
    /// Whether peers do not get it.
    pub is_local: bool,
    /// When it was made.
    pub created_at: Moment,
    /// The category's name.
    pub category: Option<String>,
    /// Whether it shows its console.
    pub is_debug_mode: bool,
    /// The name of the board for its events.
    pub event_board: Option<String>,
    /// Types that it can show, separated by commas.
    pub handles_mime_types: String,
    /// What users saved in it.
    pub data: Vec<AppletData>,
    /// Who scored what.
    pub scores: Vec<HighScore>,
    /// State that its players share.
    pub rooms: Vec<Room>,
}

/// A manifest and the folder of its chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What it consists of and for whom.
    pub manifest: ContentManifest,
    /// Where its chunks lie, or would.
    pub folder: PathBuf,
}

/// What a user saved.
#[derive(Debug, Clone, PartialEq)]
pub struct AppletData {
    /// Its row where it came from.
    pub id: Uuid,
    /// The user's name where it came from: for people only.
    pub owner_username: String,
    /// The user's public key: what users are matched by. Empty if the user has none.
    pub owner_pubkey: String,
    /// What was saved.
    pub content: Content,
    /// When.
    pub last_updated: Moment,
}

/// A line of a table of high scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighScore {
    /// Whose: what scores are matched by.
    pub owner_pubkey: String,
    /// As it was shown.
    pub owner_nickname: String,
    /// Points.
    pub score: i64,
    /// Wins, losses, kills, deaths, assists, where they are counted.
    pub tallies: [Option<i64>; 5],
    /// When.
    pub last_updated: Moment,
}

/// What [`HighScore::tallies`] count, as Axon calls it.
pub const TALLIES: [&str; 5] = ["wins", "losses", "kills", "deaths", "assists"];

/// State that players of an applet share.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What rooms are matched by.
    pub room_id: String,
    /// JSON.
    pub state: Value,
    /// Counts up.
    pub version: i64,
    /// When.
    pub last_updated: Moment,
}

impl Applet {
    /// How messages name it.
    pub fn holder(&self) -> String {
        format!("applet {}", self.name)
    }

    /// Everything with a manifest in it: how messages name it, and the content.
    pub fn contents(&self) -> impl Iterator<Item = (String, &Content)> {
        let code = self.code.iter().map(|code| (self.holder(), code));
        code.chain(self.data.iter().map(|data| (data.holder(&self.name), &data.content)))
    }

    /// The same, to change; with the public key of the user whose it is.
    pub(super) fn contents_mut(
        &mut self,
    ) -> impl Iterator<Item = (String, Option<&str>, &mut Content)> {
        let Self { name, code, data, .. } = self;
        let name: &str = name;
        let code = code.iter_mut().map(move |code| (format!("applet {name}"), None, code));
        code.chain(data.iter_mut().map(move |data| {
            let holder = data.holder(name);
            (holder, Some(data.owner_pubkey.as_str()), &mut data.content)
        }))
    }
}

impl AppletData {
    /// How messages name it.
    pub fn holder(&self, applet: &str) -> String {
        format!("data of {} in applet {applet}", self.owner_username)
    }
}

/// Keeps those of these names; all if none is named. What is no name may be several with commas between them.
///
/// # Errors
/// [`Error::UnknownApplets`] if one is not there.
pub fn select(applets: Vec<Applet>, names: &[String]) -> Result<Vec<Applet>> {
    if names.is_empty() {
        return Ok(applets);
    }
    let is_there = |name: &&String| applets.iter().any(|applet| applet.name == **name);
    let apart = |given: &String| -> Vec<String> {
        match is_there(&given) {
            true => vec![given.clone()],
            false => given.split(',').map(|name| name.trim().to_owned()).collect(),
        }
    };
    let names: Vec<String> = names.iter().flat_map(apart).collect();
    let unknown: Vec<String> = names.iter().filter(|name| !is_there(name)).cloned().collect();
    if !unknown.is_empty() {
        let there = applets.into_iter().map(|applet| applet.name).collect();
        return Err(Error::UnknownApplets { names: unknown, there });
    }
    Ok(applets.into_iter().filter(|applet| names.contains(&applet.name)).collect())
}
