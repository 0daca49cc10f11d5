//! A registered node: a name, a profile, and where its folders lie. The file `node.toml` holds it; its profile's text lies beside it, so
//! that an update of Nodekeep never changes what is backed up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::command::Program;
use crate::error::{Error, Result};
use crate::profile::{Component, Profile, Variables, fill};

/// What `node.toml` holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Its profile's name.
    pub profile: String,
    /// Absolute folders by the names of the profile's roots.
    #[serde(default)]
    pub paths: BTreeMap<String, PathBuf>,
    /// Values of the profile's variables that differ from their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// The shell line that deploys a new version of it, instead of the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<String>,
}

/// A node with everything that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it lies.
    pub registration: Registration,
    /// What it is.
    pub profile: Profile,
}

/// A component and where it lies on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<'a> {
    /// What it is.
    pub component: &'a Component,
    /// Absolute.
    pub path: PathBuf,
}

impl Node {
    /// Puts a registration and its profile together.
    ///
    /// # Errors
    /// If the name is none, a folder is not absolute or unknown to the profile, or one that is needed is not given.
    pub fn new(registration: Registration, profile: Profile) -> Result<Self> {
        check_name(&registration.name)?;
        let node = Self { registration, profile };
        node.check_folders()?;
        Ok(node)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.registration.name
    }

    /// Values of every placeholder.
    pub fn variables(&self) -> Variables {
        let mut variables: Variables = self
            .profile
            .variables
            .iter()
            .map(|variable| (variable.name.clone(), variable.default.clone()))
            .collect();
        variables.extend(self.registration.values.clone());
        for (name, path) in &self.registration.paths {
            variables.insert(name.clone(), path.display().to_string());
        }
        variables.insert("node".to_owned(), self.registration.name.clone());
        variables
    }

    /// What deploys a new version of it: its own line, or its profile's.
    ///
    /// # Errors
    /// If the profile's line has a placeholder without a value.
    pub fn deploy(&self) -> Result<Option<Program>> {
        if let Some(line) = &self.registration.deploy {
            let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
            return Ok(Some(Program::new(argv)));
        }
        self.profile.deploy.as_ref().map(|line| Program::of(line, &self.variables())).transpose()
    }

    /// Its components in the order of capture. Those in a folder that this node does not have are left out.
    ///
    /// # Errors
    /// If a path has a placeholder without a value, or is not absolute.
    pub fn components(&self) -> Result<Vec<Located<'_>>> {
        let variables = self.variables();
        let components = self.profile.components.iter();
        let here = components.filter(|component| !self.is_elsewhere(&component.path));
        here.map(|component| {
            let path = PathBuf::from(fill(&component.path, &variables)?);
            if path.is_absolute() {
                Ok(Located { component, path })
            } else {
                Err(self.bad(format!("component `{}`: its path is not absolute", component.name)))
            }
        })
        .collect()
    }

    /// Where a component lies, by its name.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn component(&self, name: &str) -> Result<Located<'_>> {
        let found = self.components()?.into_iter().find(|located| located.component.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> =
                self.profile.components.iter().map(|component| component.name.as_str()).collect();
            self.bad(format!("there is no component `{name}`; there are {}", names.join(", ")))
        })
    }

    /// The same node with its folders elsewhere: a sandbox, or a test instance.
    pub fn moved(&self, paths: BTreeMap<String, PathBuf>) -> Self {
        let mut moved = self.clone();
        moved.registration.paths = paths;
        moved
    }

    /// Whether a path lies in an optional folder that this node does not have.
    fn is_elsewhere(&self, path: &str) -> bool {
        let absent = |root: &&crate::profile::Root| {
            root.optional && !self.registration.paths.contains_key(&root.name)
        };
        let mut roots = self.profile.roots.iter().filter(absent);
        roots.any(|root| path.starts_with(&format!("{{{}}}", root.name)))
    }

    fn check_folders(&self) -> Result<()> {
        let paths = &self.registration.paths;
        let known = |name: &str| self.profile.roots.iter().any(|root| root.name == name);
        if let Some(name) = paths.keys().find(|name| !known(name)) {
            let roots: Vec<&str> = self.profile.roots.iter().map(|r| r.name.as_str()).collect();
            return Err(
                self.bad(format!("there is no folder `{name}`; there are {}", roots.join(", ")))
            );
        }
        if let Some((name, path)) = paths.iter().find(|(_, path)| !path.is_absolute()) {
            return Err(self.bad(format!("folder `{name}`: {} is not absolute", path.display())));
        }
        let missing =
            |root: &&crate::profile::Root| !root.optional && !paths.contains_key(&root.name);
        match self.profile.roots.iter().find(missing) {
            Some(root) => Err(self.bad(format!(
                "folder `{}` ({}) is not given: --path {}=DIR",
                root.name, root.about, root.name
            ))),
            None => Ok(()),
        }
    }

    /// Refuses values that the profile does not ask for: a name that is mistyped would change nothing.
    ///
    /// # Errors
    /// Which it is, and which there are.
    pub fn check_values(&self) -> Result<()> {
        let known = |name: &String| self.profile.variables.iter().any(|v| v.name == *name);
        let Some(name) = self.registration.values.keys().find(|name| !known(name)) else {
            return Ok(());
        };
        let there: Vec<&str> = self.profile.variables.iter().map(|v| v.name.as_str()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        Err(self.bad(format!("there is no value `{name}` to set; there are {there}")))
    }

    fn bad(&self, reason: String) -> Error {
        Error::Profile { origin: format!("node `{}`", self.registration.name), reason }
    }
}

/// # Errors
/// [`Error::NodeName`].
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= 64 && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(Error::NodeName { name: name.to_owned() })
    }
}
