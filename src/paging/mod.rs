//! Who wakes up? Incidents, and the ringing that goes on until somebody answers.
//!
//! **Invariants**
//! - Every triggered incident has a next timer, every acknowledged one its acknowledgement time-out: "waiting without a timer" is
//!   impossible, by the types of the machine and by a check of the table.
//! - Pages fail open: when in doubt it rings again.
//! - The last step rings for ever; silence is not an outcome.

mod acts;
pub mod alerts;
mod bundles;
mod calling;
pub mod escalation;
mod incident;
mod listing;
mod machine;
pub mod maintenance;
mod merging;
mod naming;
mod plan;
mod reaching;
pub mod readiness;
mod recording;
mod reference;
mod ringing;
pub mod rules;
pub mod schedules;
mod service;
pub mod services;
mod setup;
mod store;
mod timeline;
mod words;

pub use acts::{Deed, Disowned, Done, Until};
pub use alerts::{Change, Outcome, OverQuota, Report, Signal, Taken};
pub use listing::{Filter, Phase};
pub use machine::{
    Act, Agent, Effect, Event, Incident, Place, REOPEN_WITHIN, Refusal, SNOOZE_LEAST, SNOOZE_MOST, State, Urgency,
};
pub use maintenance::maintenance;
pub use naming::{NotATo, To};
pub use plan::{Handed, NobodyNamed, NotATarget, Plan, Step, Target, Tempo};
pub use reference::Reference;
pub use service::{Acted, Error, Named, Page, Paged, Paging, Parts, Refused, Settings, View, ViewStep};
pub use services::{AlertAction, Integration, IntegrationKind, IntegrationSettings, Mapping, Severity};
pub use setup::{SetupError, SetupRefused};
pub use store::forget_before;
pub use timeline::{Line, Timeline};
