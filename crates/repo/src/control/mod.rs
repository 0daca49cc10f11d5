//! Control objects of a generation and between generations: session, progress, outcome, deletion, checkpoint, collection
//! (`docs/format.md`, sections 4.3 to 4.8). Encoding, signing and checking; what they mean stands in `view.rs` and `collect.rs`.

mod checkpoint;
mod collection;
mod outcome;
mod session;
mod statement;

pub use checkpoint::{Checkpoint, Deletion};
pub use collection::{CollectionOutcome, Doomed, PackRef};
pub use outcome::{Commit, Outcome};
pub use session::{Process, Progress, Session, Stamp};
pub use statement::{Numbered, Statement};
