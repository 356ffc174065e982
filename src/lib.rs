//! PhoneOps: pages and approvals on the phone.
pub mod approvals;
pub mod clock;
pub mod crash;
pub mod db;
pub mod delivery;
pub mod hub;
pub mod id;
pub mod identity;
pub mod jobs;
pub mod journal;
pub mod paging;
pub mod push;
pub mod secret;
pub mod text;
