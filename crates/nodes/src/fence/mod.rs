//! The rollback fence: what must never run backwards, how far it had come, and what to do when a restore would rewind it.
//!
//! [`read`] takes marks from a node or from a restored copy. [`journal`] keeps them outside the node's data; [`known`] folds what was
//! recorded, here and in the repository, into the highest marks and their growth. [`judge`] is pure: it compares and says what a restore
//! would rewind. [`remedy`] plans what is right for each kind of state and applies it to the restored copy before that is put in place.
//! [`retire`] is pure too: which machine holds a node's identity. [`interchange`] is the slashing protection of EIP-3076.

pub mod interchange;
pub mod journal;
pub mod judge;
pub mod known;
pub mod look;
pub mod mark;
pub mod read;
pub mod remedy;
pub mod retire;
