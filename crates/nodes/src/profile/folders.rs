//! Where a node's folders usually lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Profile, Variables, fill};

/// The usual folders of a profile, by the names of its roots. What is `given` comes first and may stand in the others' defaults; `~/` means
/// `home`. Roots without a default, and those that need one without, are left out.
pub fn usual_folders(
    profile: &Profile,
    given: &BTreeMap<String, PathBuf>,
    home: Option<&Path>,
) -> BTreeMap<String, PathBuf> {
    let mut folders = given.clone();
    let mut variables: Variables =
        given.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect();
    for root in &profile.roots {
        let usual = fill(&root.default, &variables).ok().and_then(|text| absolute(&text, home));
        if let Some(path) = usual.filter(|_| !given.contains_key(&root.name)) {
            variables.insert(root.name.clone(), path.display().to_string());
            folders.insert(root.name.clone(), path);
        }
    }
    folders
}

fn absolute(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    match text.strip_prefix("~/") {
        Some(below) => home.map(|home| home.join(below)),
        None if text.starts_with('/') => Some(PathBuf::from(text)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builtin;

    #[test]
    fn defaults_follow_home_and_what_is_given() {
        let home = Path::new("/home/ann");
        let minima = builtin::find("minima").unwrap();
        let folders = usual_folders(&minima, &BTreeMap::new(), Some(home));
        assert_eq!(folders["data"], Path::new("/home/ann/.minima"));
        assert!(usual_folders(&minima, &BTreeMap::new(), None).is_empty());

        let relay = builtin::find("nostr-rs-relay").unwrap();
        let given = BTreeMap::from([("data".to_owned(), PathBuf::from("/srv/nostr"))]);
        let folders = usual_folders(&relay, &given, Some(home));
        assert_eq!(folders["config"], Path::new("/srv/nostr"));
        assert_eq!(folders["data"], Path::new("/srv/nostr"));
    }
}
