//! Get it onto a phone: which devices of a person, in which attempts, with what outcome.
//!
//! ```text
//!   attempt: waiting ──► accepted      the provider took it, which is not yet "delivered"
//!               │  └───► failed        dead target, refused, or its time was over
//!               └──────► withdrawn     answered before it was sent
//! ```
//!
//! **Invariants**
//! - A notification, its attempts and their jobs are written in the transaction of what they tell about: no page without its push.
//! - Nothing is sent after its deadline or after it was withdrawn: that is looked up again just before sending.
//! - A retry of a round has the round's own tag, so a phone shows it once; the next round has another and rings again.
//! - A dead target retires only the registration it was tried with; one made since then stays, however late the provider answers.
//! - Where a phone is reached is a secret: it is stored sealed.

mod devices;
mod provider_tokens;
mod reach;
mod registration;
mod service;
mod store;

pub use provider_tokens::SharedTokens;
pub use reach::{Reach, reach};
pub use registration::{Carriers, Registration};
pub use service::{Content, Delivery, Notice, Words};
pub use store::{forget_about, forget_before};
