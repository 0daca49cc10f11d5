//! Tests of the public face of the crate.

mod detect;
mod profiles;
mod relay;
