//! Uses of a Minima wallet's keys: of a running node by asking it, of a copy by reading its wallet.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Failure, Marks, failure, unreadable};
use crate::fence::mark::Value;
use crate::minima::backup::Section;
use crate::minima::link::Link;
use crate::minima::rpc::RpcError;
use crate::minima::wallet::Wallet;
use crate::profile::{MinimaRule, Variables};

/// A node that does not answer may be gone for good: then its state is absent, not damaged.
pub(super) fn of_node(rule: &MinimaRule, variables: &Variables) -> Marks {
    let link = Link::of(rule, variables).map_err(|error| Failure::Unreadable(error.to_string()))?;
    let keys = link.rpc.keys().map_err(|error| match error {
        RpcError::Connect { .. } => Failure::Absent(error.to_string()),
        error => Failure::Unreadable(error.to_string()),
    })?;
    Ok(keys.into_iter().map(|key| (key.public.to_string(), Value::Number(key.uses))).collect())
}

pub(super) fn of_copy(component: &Path) -> Marks {
    let path = component.join(Section::Wallet.file_name());
    let sql = fs::read(&path).map(Zeroizing::new).map_err(failure(&path))?;
    let wallet = Wallet::parse(&sql).map_err(|error| unreadable(&path, error))?;
    let mark = |key: &crate::minima::wallet::Key| (key.public.to_string(), Value::Number(key.uses));
    Ok(wallet.keys.iter().map(mark).collect())
}
