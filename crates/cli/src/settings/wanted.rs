//! What a person wants of nodes, as the configuration file says it.

use std::collections::BTreeMap;

use nodekeep_service::fleet::targets::{Targets, Wanted};
use serde::de::DeserializeOwned;

use super::ConfigFile;
use crate::error::{Error, Result};

impl ConfigFile {
    /// Targets of all nodes, and of single ones.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub(super) fn targets(&self) -> Result<Targets> {
        let usual: Wanted = self.table("targets")?;
        let nodes: BTreeMap<String, Wanted> = self.table("nodes")?;
        Ok(Targets { usual, nodes })
    }

    /// A table with keys of its own; empty where it is left out.
    pub(super) fn table<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T> {
        let Some(table) = self.get(name, |value| value.as_table().cloned())? else {
            return Ok(T::default());
        };
        let bad = |error: toml::de::Error| Error::BadConfig {
            path: self.path.clone(),
            message: format!("[{name}]: {}", error.to_string().trim_end()),
        };
        table.try_into().map_err(bad)
    }
}
