//! Tests of the stores through their public API.

mod answers;
mod contract;
mod decorators;
mod local;
mod portable;
mod s3;
mod wire;
