//! PhoneOps: pages and approvals on the phone.
pub mod clock;
pub mod crash;
pub mod db;
pub mod id;
pub mod secret;
