//! What is right for each kind of state that a restore would rewind. A remedy is planned, printed, and applied to the restored copy before
//! that is put in place.

mod apply;
mod json;
mod plan;
mod wallet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::plan::{Plan, plan};
use super::interchange::Unfit;
use super::mark::{Mark, Value};
use crate::profile::{FenceKind, FenceRule, MarkSource};

/// A way to restore without running backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Raise the numbers of the restored copy.
    Advance,
    /// Put the highest slashing protection into the restored copy.
    Import,
    /// Remove the state, so that it is negotiated anew.
    Drop,
    /// Restore everything but the component.
    Without,
}

impl Remedy {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Import => "import",
            Self::Drop => "drop",
            Self::Without => "without",
        }
    }

    /// From what was typed.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Advance, Self::Import, Self::Drop, Self::Without];
        all.into_iter().find(|remedy| remedy.word() == word)
    }
}

/// Why a remedy cannot be planned or did not work.
#[derive(Debug, Error)]
pub enum Failure {
    /// It is no remedy for this rule.
    #[error("{rule}: `{remedy}` is no remedy here; there are: {offered}")]
    NotOffered {
        /// The rule.
        rule: String,
        /// What was asked for.
        remedy: &'static str,
        /// What there is.
        offered: String,
    },
    /// Slashing protection that cannot be used.
    #[error("{rule}: {source}")]
    Unfit {
        /// The rule.
        rule: String,
        /// Why.
        source: Unfit,
    },
    /// A command that must not run on a copy.
    #[error("{why}")]
    Command {
        /// Why not.
        why: String,
    },
    /// The copy does not say afterwards what it must.
    #[error("{rule}: the remedy did not work, so the copy must not be put in place: {why}")]
    NotReached {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or a program.
    #[error(transparent)]
    Node(#[from] crate::error::Error),
}

/// Something that can be done about a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// `None`: to accept the rewind.
    pub remedy: Option<Remedy>,
    /// What to type.
    pub option: String,
    /// What it does.
    pub what: String,
}

/// What can be done about a refusal, the best first. `is_live`: the live state was read and is the one in use.
pub fn offers(rule: &FenceRule, targets: &[Mark], is_live: bool) -> Vec<Offer> {
    let remedies = [Remedy::Import, Remedy::Advance, Remedy::Drop, Remedy::Without];
    let offer = |remedy| {
        let what = what(rule, targets, is_live, remedy)?.to_owned();
        let option = format!("--remedy {}={}", rule.name, remedy.word());
        Some(Offer { remedy: Some(remedy), option, what })
    };
    let mut offers: Vec<Offer> = remedies.into_iter().filter_map(offer).collect();
    offers.push(Offer {
        remedy: None,
        option: "--accept-rollback REASON".to_owned(),
        what: "restores it as it is, backwards; the reason is recorded".to_owned(),
    });
    offers
}

/// What a remedy does for a rule; `None` where it is no remedy.
fn what(rule: &FenceRule, targets: &[Mark], is_live: bool, remedy: Remedy) -> Option<&'static str> {
    match (remedy, rule.kind) {
        (Remedy::Import, FenceKind::SlashingProtection) => can_import(rule, targets)
            .then_some("puts the highest slashing protection that is known into the restored copy"),
        (Remedy::Advance, FenceKind::KeyUses | FenceKind::Nonce | FenceKind::ValidatorState) => {
            can_advance(rule, targets)
                .then_some("raises the restored copy to at least the highest marks that are known, margin included")
        }
        (Remedy::Drop, FenceKind::Ratchet) => matches!(rule.mark, MarkSource::Content { .. })
            .then_some("removes it from the restored copy: the other sides negotiate anew"),
        (Remedy::Without, FenceKind::Channel) if !is_live => Some(
            "restores everything else: the node starts without its channels, and funds come back by the node's own recovery",
        ),
        (Remedy::Without, _) if is_live => {
            Some("restores everything else and leaves this component as it lies there")
        }
        _ => None,
    }
}

fn can_import(rule: &FenceRule, targets: &[Mark]) -> bool {
    let has_way = matches!(
        &rule.mark,
        MarkSource::Slashing { file, import, .. } if file.is_some() || import.is_some()
    );
    has_way && targets.iter().any(|mark| matches!(mark.value, Value::Slashing(_)))
}

fn can_advance(rule: &FenceRule, targets: &[Mark]) -> bool {
    let is_writable = matches!(rule.mark, MarkSource::Json { .. } | MarkSource::Minima(_))
        || rule.advance.is_some();
    let has_numbers = |mark: &Mark| matches!(mark.value, Value::Number(_) | Value::Signed(_));
    is_writable && !targets.is_empty() && targets.iter().all(has_numbers)
}
