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
//! What the kinds of component promise, against real stores that other processes write to. `NODEKEEP_PROOF_ROUNDS` sets how often each
//! store is captured while it is written to; 20 times unless it says otherwise.

mod chain;
mod git;
mod jsonl;
mod sqlite;
mod support;
mod writer;
//! Tests of the public face of the crate.

mod axon;
