//! Everything that needs real processes, files and servers: one program, because linking takes the time.

mod hold;
mod scene;
