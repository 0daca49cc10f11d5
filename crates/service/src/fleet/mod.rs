//! The one place that says whether every node is safe. [`gather`] reads facts from the repository and from this machine, [`judge`] is a
//! pure function from facts to a verdict, [`overview`] is the document that all faces show.

pub mod gather;
pub mod judge;
pub mod local;
pub mod machines;
pub mod moment;
mod node;
pub mod overview;
pub mod retention;
pub mod space;
pub mod targets;
mod weights;
