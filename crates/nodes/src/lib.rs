//! Nodes: what they own, how they are copied while they run, what must never run backwards, and how a copy is checked.
//!
//! This crate knows no repository. A [`profile`] describes a kind of node; a registered [`node`] says where one lies; [`kind`]
//! makes each component fit to be read and checks its copies; the [`manifest`] tells what came of it.
#![forbid(unsafe_code)]

pub mod axon;
pub mod command;
pub mod counting;
pub mod detect;
pub mod error;
pub mod fence;
pub mod guts;
pub mod health;
pub mod hint;
pub mod hold;
pub mod hooks;
pub mod identity;
pub mod kind;
pub mod manifest;
pub mod minima;
pub mod node;
pub mod old;
pub mod position;
pub mod process;
pub mod profile;
pub mod relay;
pub mod runbook;
pub mod service;
pub mod system;
pub mod web;
