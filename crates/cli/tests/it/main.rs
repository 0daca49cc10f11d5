//! The real binary, typed as a user would type it, in a home of its own.

mod axon;
mod configuration;
mod daemon_kills;
mod dashboard;
mod documents;
mod errors;
mod fleet;
mod guard;
mod guts;
mod healing;
mod help;
mod keys;
mod kill;
mod minima;
mod mirrors;
mod nodes;
mod portable;
mod schedules;
mod served;
mod sessions;
mod support;
mod survival;
mod web;
