//! What survives when the server dies, wherever and whenever it dies, on both engines.
//!
//! The server is a process of its own (`child`); phones, bots and the push service live here and go on. Clients ask again as the
//! device protocol says. Whatever was answered with 2xx must be there afterwards, and nothing may contradict itself (`check`).

#[path = "../support/mod.rs"]
mod support;

mod backends;
mod check;
mod child;
mod disk;
mod in_flight;
mod points;
mod random;
mod story;
mod told;
mod trace;
mod world;
