//! Tests of the crate of nodes from outside.

mod fence;
