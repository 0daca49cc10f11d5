//! The dashboard's files. They are built into the program; for work on them a folder can stand in their place.

use std::fs;
use std::path::{Component, Path, PathBuf};

use nodekeep_repo::id::to_hex;

/// Every file of `assets/`: its path below it, and its bytes.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the files are.
#[derive(Debug, Clone, Default)]
pub enum Assets {
    /// In the program.
    #[default]
    Built,
    /// In a folder, read at each request.
    Folder(PathBuf),
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Names its content, in quotes.
    pub etag: String,
}

impl Assets {
    /// The file of this path, such as `views/node.js`.
    pub fn find(&self, path: &str) -> Option<Asset> {
        let kind = kind(path)?;
        let bytes = match self {
            Self::Built => FILES.iter().find(|(name, _)| *name == path)?.1.to_vec(),
            Self::Folder(folder) => fs::read(folder.join(plain(path)?)).ok()?,
        };
        let hash = to_hex(&blake3::hash(&bytes).as_bytes()[..16]);
        Some(Asset { kind, bytes, etag: format!("\"{hash}\"") })
    }
}

/// A path that leads nowhere but down.
fn plain(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    path.components().all(is_plain).then_some(path)
}

/// The media type, by the name's ending; files of other endings are not served.
fn kind(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_with_a_type() {
        assert!(FILES.iter().any(|(name, _)| *name == "index.html"));
        for (name, bytes) in FILES {
            let asset = Assets::Built.find(name);
            assert_eq!(asset.unwrap_or_else(|| panic!("{name} has no type")).bytes, *bytes);
        }
    }

    #[test]
    fn a_folder_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in");
        fs::create_dir(&inside).unwrap();
        fs::write(folder.path().join("secret.txt"), "x").unwrap();
        fs::write(inside.join("a.txt"), "y").unwrap();
        let assets = Assets::Folder(inside);
        assert_eq!(assets.find("a.txt").unwrap().bytes, b"y");
        for path in
            ["../secret.txt", "/etc/passwd.txt", "a.txt/../../secret.txt", "./../secret.txt"]
        {
            assert_eq!(assets.find(path), None, "{path}");
        }
    }
}
