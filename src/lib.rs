//! PhoneOps: pages and approvals on the phone.
pub mod clock;
pub mod crash;
pub mod db;
pub mod id;
pub mod jobs;
pub mod journal;
pub mod secret;
