//! A profile in the files that the tools of AWS share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::StoreErrorKind;
use crate::net::Failure;
use crate::options::{Environment, S3Credentials};

/// Such files are a few kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// The settings of one profile; empty if the files or the profile are not there.
#[derive(Default)]
pub(super) struct Profile {
    settings: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile that was chosen, or the one that `AWS_PROFILE` names, or `default`.
    /// A profile that was named must exist.
    pub(super) fn load(chosen: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let named = chosen.or_else(|| environment.get("AWS_PROFILE"));
        let name = named.unwrap_or("default");
        let home = environment.get("HOME").map(|home| Path::new(home).join(".aws"));
        let path = |variable: &str, file: &str| {
            let given = environment.get(variable).map(PathBuf::from);
            given.or_else(|| Some(home.as_ref()?.join(file)))
        };
        let mut settings = BTreeMap::new();
        let mut is_there = false;
        // Keys in the file for credentials go before those in the other.
        for (variable, file, section) in [
            ("AWS_CONFIG_FILE", "config", section_in_config(name)),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name.to_owned()),
        ] {
            if let Some(path) = path(variable, file) {
                let text = read(&path)?;
                is_there |= collect(&text, &section, &mut settings);
            }
        }
        if named.is_some() && !is_there {
            let detail =
                format!("there is no profile {name} in ~/.aws/config or ~/.aws/credentials");
            return Err(Failure::new(StoreErrorKind::NoCredentials, detail));
        }
        Ok(Self { settings })
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    pub(super) fn credentials(&self) -> Option<S3Credentials> {
        Some(S3Credentials {
            access_key_id: self.get("aws_access_key_id")?.to_owned(),
            secret_access_key: self.get("aws_secret_access_key")?.to_owned(),
            session_token: self.get("aws_session_token").map(str::to_owned),
        })
    }

    /// What the profile has where keys would stand, as advice.
    pub(super) fn instead_of_keys(&self) -> Option<String> {
        let others = ["credential_process", "sso_session", "sso_start_url", "role_arn"];
        let other = others.into_iter().find(|key| self.settings.contains_key(*key))?;
        Some(format!(
            "the profile has {other}, which Nodekeep does not use: run `aws configure export-credentials --format env` and set what it prints"
        ))
    }
}

fn section_in_config(name: &str) -> String {
    match name {
        "default" => name.to_owned(),
        name => format!("profile {name}"),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(text),
        Err(error) => {
            let detail = format!("cannot read {}: {error}", path.display());
            Err(Failure::new(StoreErrorKind::NoCredentials, detail))
        }
    }
}

/// Adds the settings of a section; true if it is there. Indented lines belong to the setting
/// above them and are of no interest here.
fn collect(text: &str, section: &str, settings: &mut BTreeMap<String, String>) -> bool {
    let (mut is_inside, mut is_there) = (false, false);
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let title: Vec<_> = title.split_whitespace().collect();
            is_inside = title.join(" ") == section;
            is_there |= is_inside;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside) {
            let value = value.trim();
            if !value.is_empty() {
                settings.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        config: &str,
        credentials: &str,
        chosen: Option<&str>,
        vars: &[(&str, &str)],
    ) -> Result<Profile, Failure> {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config"), config).unwrap();
        std::fs::write(folder.join("credentials"), credentials).unwrap();
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        let home = ("HOME".into(), home.path().into());
        Profile::load(chosen, &Environment::from_vars(vars.chain([home])))
    }

    const CONFIG: &str = "# comment\n[default]\nregion = eu-1\ns3 =\n    endpoint_url = nested\n\
        [profile  work]\nregion=eu-2\nendpoint_url = https://s3.example.org\n[other]\nregion=no\n";
    const KEYS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key = B=+/\n\
        [work]\nAWS_ACCESS_KEY_ID=C\naws_secret_access_key=D\naws_session_token = E\n";

    #[test]
    fn settings_come_from_both_files() {
        let default = load(CONFIG, KEYS, None, &[]).unwrap();
        assert_eq!(default.get("region"), Some("eu-1"));
        assert_eq!(default.get("endpoint_url"), None);
        assert_eq!(default.credentials().unwrap().secret_access_key, "B=+/");
        for profile in [
            load(CONFIG, KEYS, Some("work"), &[("AWS_PROFILE", "default")]).unwrap(),
            load(CONFIG, KEYS, None, &[("AWS_PROFILE", "work")]).unwrap(),
        ] {
            assert_eq!(profile.get("endpoint_url"), Some("https://s3.example.org"));
            let keys = profile.credentials().unwrap();
            assert_eq!((keys.access_key_id, keys.session_token), ("C".into(), Some("E".into())));
        }
    }

    #[test]
    fn a_named_profile_must_exist_and_others_need_not() {
        let error = load(CONFIG, KEYS, Some("nobody"), &[]).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::NoCredentials);
        assert!(load(CONFIG, KEYS, Some("other"), &[]).is_err(), "no `profile` before the name");
        assert!(load("", "", None, &[]).unwrap().credentials().is_none());
        let elsewhere = [("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/no")];
        assert!(load(CONFIG, KEYS, None, &elsewhere).unwrap().credentials().is_none());
    }

    #[test]
    fn what_stands_instead_of_keys_is_told() {
        let config = "[default]\nsso_session = x\n";
        let advice = load(config, "", None, &[]).unwrap().instead_of_keys().unwrap();
        assert!(advice.contains("sso_session") && advice.contains("export-credentials"));
    }
}
