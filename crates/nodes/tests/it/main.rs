//! Tests of the crate of nodes from outside: real processes, files and servers, in one program, because linking takes the time.
//!
//! `NODEKEEP_PROOF_ROUNDS` sets how often each store is captured while another process writes to it; 20 times unless it says otherwise.

mod axon;
mod chain;
mod detect;
mod documents;
mod dump;
mod fence;
mod git;
mod guts;
mod health;
mod hold;
mod hooks;
mod identity;
mod jsonl;
mod minima;
mod profiles;
mod relay;
mod scene;
mod sqlite;
mod support;
mod writer;
