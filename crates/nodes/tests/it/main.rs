//! Tests of the crate of nodes from outside.
//! Everything that needs real processes, files and servers: one program, because linking takes the time.

mod detect;
mod fence;
mod hold;
mod profiles;
mod relay;
//! Everything that needs real processes, files and servers: one program, because linking takes the time.

mod hold;
mod scene;
