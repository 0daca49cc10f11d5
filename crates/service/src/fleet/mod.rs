//! The one place that says whether every node is safe: [`overview`] is the document that all faces show.

pub mod moment;
pub mod overview;
