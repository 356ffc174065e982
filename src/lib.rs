//! PhoneOps: pages and approvals on the phone.
pub mod clock;
pub mod id;
pub mod secret;
pub mod sim;
