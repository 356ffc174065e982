//! The command line as people and scripts use it: the real binary, a real server, simulated phones with real keys.

#[path = "../support/mod.rs"]
mod support;

mod administration;
mod backups;
mod bots;
mod ci;
mod exec;
mod house;
mod listening;
mod login;
mod on_call;
mod operation;
mod paging;
mod requests;
mod rooms;
mod setup;
