//! Who wakes up? Incidents, and the ringing that goes on until somebody answers.
//!
//! **Invariants**
//! - Every triggered incident has a next timer, every acknowledged one its acknowledgement time-out: "waiting without a timer" is
//!   impossible, by the types of the machine and by a check of the table.
//! - Pages fail open: when in doubt it rings again.
//! - The last step rings for ever; silence is not an outcome.

mod machine;
mod reference;
mod ringing;
mod service;
mod store;
mod words;

pub use machine::{Act, Effect, Event, Incident, NobodyNamed, Plan, Refusal, State, Urgency};
pub use reference::Reference;
pub use service::{Error, Page, Paged, Paging, Parts, Refused, Settings, View};
pub use store::forget_before;
