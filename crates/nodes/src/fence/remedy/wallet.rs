//! Uses of one-time keys raised in the wallet of a copied Minima node.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::Failure;
use super::apply::write;
use crate::error::Error;
use crate::minima::backup::Section;
use crate::minima::wallet::{Key, Wallet, raise as raise_uses};

/// Raises each key to at least its number. Returns a line for each key that was raised, and one if there are keys that the wallet does not have.
pub(super) fn raise(component: &Path, targets: &[(String, u64)]) -> Result<Vec<String>, Failure> {
    let path = component.join(Section::Wallet.file_name());
    let sql = fs::read(&path).map(Zeroizing::new).map_err(Error::file(&path, "cannot be read"))?;
    let bad = |source| Error::Minima { path: path.clone(), source };
    let wanted: BTreeMap<&str, u64> =
        targets.iter().map(|(key, number)| (key.as_str(), *number)).collect();
    let uses = |key: &Key| wanted.get(key.public.to_string().as_str()).copied().unwrap_or(0);
    let (raised_sql, raised) = raise_uses(&sql, uses).map_err(bad)?;
    write(&path, &raised_sql)?;
    let wallet = Wallet::parse(&sql).map_err(bad)?;
    let mut said: Vec<String> = raised
        .iter()
        .map(|one| format!("{}: {} uses, raised to {}", one.public, one.from, one.to))
        .collect();
    let has = |key: &str| wallet.keys.iter().any(|own| own.public.to_string() == key);
    let missing = targets.iter().filter(|(key, number)| *number > 0 && !has(key)).count();
    if missing > 0 {
        said.push(format!(
            "{missing} keys that were recorded, or that the node has now, are not in this wallet: if it is the older one, do not let the node make new addresses, or it makes such a key again and counts its uses from 0"
        ));
    }
    Ok(said)
}
