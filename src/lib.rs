//! PhoneOps: pages and approvals on the phone.
pub mod approvals;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crash;
pub mod db;
pub mod delivery;
pub mod demo;
pub mod engine;
pub mod http;
pub mod hub;
pub mod id;
pub mod identity;
pub mod jobs;
pub mod journal;
pub mod listening;
pub mod paging;
pub mod push;
pub mod secret;
pub mod server;
pub mod sim;
pub mod text;

/// Serving a call is many small allocations on several threads, which is what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
