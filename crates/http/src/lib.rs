//! The HTTP API and the dashboard of a daemon. It shows what the repository and the files of this machine say, starts jobs through the
//! daemon's journal, and decides nothing that lies below: no schedule, no plan, no verdict. It reads no configuration and no environment;
//! a face gives it a [`Site`]. The routes stand in one table ([`route`]), from which the router and the OpenAPI document are made.
#![forbid(unsafe_code)]

mod answer;
pub mod assets;
mod call;
mod dry_run;
mod events;
mod gate;
mod house;
mod library;
mod limit;
mod listen;
pub mod openapi;
mod problem;
mod route;
mod router;
mod server;
mod session;
pub mod settings;
mod stream;
pub mod token;

pub use answer::overview::Fleet;
pub use house::Site;
pub use problem::Problem;
pub use server::{Server, StartError};
