//! Everything that needs real processes, files and servers: one program, because linking takes the time.

mod detect;
mod dump;
mod fence;
mod health;
mod hold;
mod hooks;
mod profiles;
mod relay;
mod scene;
