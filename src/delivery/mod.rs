//! Get it onto a phone: which ways to a person, in which attempts, with what outcome, and whether the phone says that it came.
//!
//! ```text
//!   notification ──► plan ──► attempts ──► carrier ──► receipt
//!                     ▲  the ways, in order   │           │ received, displayed, opened
//!                     └── failed, or silent ──┴───────────┘
//!
//!   attempt: waiting ──► accepted      the provider took it, which is not yet "delivered"
//!               │  └───► failed        dead target, refused, or its time was over
//!               └──────► withdrawn     answered before it was sent
//! ```
//!
//! [`plan`] decides who is tried next, [`attempts`] is the queue, [`circuit`] leaves alone what is down, [`failover`] goes on, and
//! [`receipt`] hears the phones.
//!
//! **Invariants**
//! - A notification and its attempts are written in the transaction of what they tell about: no page without its push.
//! - Nothing is sent after its deadline or after it was withdrawn: that is looked up in the transaction that claims it, and what is
//!   claimed is sent at once.
//! - A retry of a round has the round's own tag, and so has a louder attempt: a phone shows it once; the next round has another and
//!   rings again.
//! - A dead target retires only the registration it was tried with; one made since then stays, however late the provider answers.
//! - Whoever asked hears at once when nothing is left that could reach a person.
//! - Where a phone is reached is a secret: it is stored sealed. It is one device's at a time ([`addresses`]).
//! - What may be on a screen is taken off it, quietly, once it is answered ([`withdrawing`]).

mod addresses;
mod attempts;
mod capability;
mod channel;
mod circuit;
mod devices;
mod failover;
mod plan;
mod provider_tokens;
mod reach;
mod receipt;
mod registration;
mod service;
mod store;
mod withdrawing;
mod words;

pub use attempts::{Claimed, Done};
pub use capability::Capabilities;
pub use channel::{Channel, Lane, Reached, Signals};
pub use circuit::{Circuits, Open};
pub use failover::{Unreached, last_page, may_reach_somebody, rung_in};
pub use provider_tokens::SharedTokens;
pub use reach::{Depth, READY_WITHIN, Reach, is_ready, last_heard, reach};
pub use receipt::{Delivered, Receipt};
pub use registration::{Carriers, Registration};
pub use service::{Content, Delivery, Notice, Words};
pub use store::{forget_about, forget_before};
