//! PhoneOps: pages and approvals on the phone.
pub mod clock;
pub mod id;
pub mod push;
pub mod secret;
