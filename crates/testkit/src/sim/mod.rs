//! The simulator: the real engine as actors in front of a store that a scheduler answers for, every order of their steps, and every fault that
//! is allowed; and after each step the question whether all promises hold.
//!
//! `docs/decisions/009-simulator.md` says why it is built so and why nothing is missed; `docs/reliability.md` has the numbers.

mod actor;
mod audit;
mod cache;
mod cast;
mod experts;
mod explore;
mod faults;
mod intern;
mod judge;
mod random;
mod reduce;
mod report;
mod scenarios;
mod source;
mod steps;
mod switches;
mod touch;
mod trie;
mod world;

pub use explore::{Explorer, Failure, Tally};
pub use scenarios::{Reach, SCENARIOS, Scenario, crowd};
