//! The fleet as this machine's settings and files see it: what the overview is made from.

use nodekeep_service::fleet::gather::{Place, Sources};
use nodekeep_service::state::State;
use nodekeep_store::Address;

use crate::commands::daemon::host;
use crate::copies;
use crate::error::Result;
use crate::session::{App, Opened};

/// What the overview is made from. Snapshots that were seen and are gone are counted by the view, and remembered.
///
/// # Errors
/// If the repository cannot be read, or what was seen cannot be written down.
pub fn sources<'a>(app: &App, opened: &'a Opened, state: &'a State) -> Result<Sources<'a>> {
    let lost = opened.remember(&opened.repository.view()?)? as u64;
    sources_with(app, opened, state, lost)
}

/// The same where it was seen already how many snapshots are lost: the repository is not read.
///
/// # Errors
/// For a repository's address that is none.
pub fn sources_with<'a>(
    app: &App,
    opened: &'a Opened,
    state: &'a State,
    lost: u64,
) -> Result<Sources<'a>> {
    Ok(Sources {
        repository: &opened.repository,
        state,
        host: host(app),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        place: place(app, opened, lost)?,
        targets: app.settings.targets.clone(),
    })
}

fn place(app: &App, opened: &Opened, lost: u64) -> Result<Place> {
    let folder = match app.address()? {
        Address::Folder(folder) => Some(folder),
        _ => None,
    };
    Ok(Place {
        distance: opened.distance,
        folder,
        capacity: app.settings.capacity,
        copies: copies::known(&opened.keys),
        lost,
        words_confirmed: opened.keys.words_pending().is_none(),
    })
}
