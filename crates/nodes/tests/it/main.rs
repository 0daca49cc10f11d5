//! Tests of the crate of nodes from outside.

mod detect;
mod fence;
mod profiles;
mod relay;
