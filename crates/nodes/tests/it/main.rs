//! Tests of the crate of nodes from outside.

mod detect;
mod fence;
mod profiles;
mod relay;
//! Everything that needs real processes, files and servers: one program, because linking takes the time.

mod hold;
mod scene;
