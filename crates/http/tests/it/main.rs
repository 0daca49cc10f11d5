//! The server as a client meets it: real sockets on loopback, a real repository, and nothing pretended but the fleet's face.

mod answers;
mod client;
mod doors;
mod house;
mod schema;
mod secrets;
mod slow;
