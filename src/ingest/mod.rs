//! Alerts in: what monitoring systems send, read into signals. Pure: bytes in, signals out.
//!
//! A server that is strict about alerts loses pages: senders give up on a 400. So everything that can be understood is, what cannot is
//! normalised, and each normalisation leaves a note that goes into the incident's record.
//!
//! **Invariants**
//! - Nothing that is sent makes this panic or use a stack that grows with it.
//! - What is JSON and an object yields signals, whatever its members are; of Events v2, when its action and key are known too.
//! - Texts hold no NUL and have bounded lengths, cut at character boundaries. Keys are never cut: two long ones would become one alert.

pub mod alertmanager;
pub mod events_v2;
pub mod generic;
pub mod grafana;
mod lenient;
mod members;

/// Why something was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no JSON, or no object.
    #[error("{0}")]
    Unreadable(String),
    /// It is an event of no action that is known, or of no key.
    #[error("{}", .0.join(", "))]
    Invalid(Vec<String>),
}

/// Alerts that one body may report by themselves; of those beyond, one says how many they are.
pub const MOST: usize = 100;
