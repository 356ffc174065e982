//! The command line as people and scripts use it: the real binary, a real server, simulated phones with real keys.

mod administration;
mod backups;
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
