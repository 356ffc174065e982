//! Who is on call when: pure calculation over spans of time.
//!
//! ```text
//!   overrides   ░░░░░░░░░░███████░░░░░░░░░░░░░░   the last that covers an instant wins
//!   layer 2     ░░░░██████░░░░██████░░░░██████░   a rotation, kept to its hours of the week
//!   layer 1     ██████████████░░░░░░███████████   the lowest
//!   shifts      1111222222oooooo22..11112222221   "." is a gap, and is said to be one
//! ```
//!
//! **Invariants**
//! - No clock, no storage, no randomness: what is on call at an instant follows from the schedule alone.
//! - Every instant of a span that is asked for is in exactly one shift or gap of the answer.
//! - Hand-overs in days and weeks are by the wall clock of the schedule's zone, so that one at 09:00 stays there when clocks change. A
//!   time that does not exist that day is taken as much later as clocks jump, one that exists twice as its first (RFC 5545 section
//!   3.3.5). Hand-overs in hours are by elapsed time.

mod hours;
mod rotation;
mod schedule;
mod stints;
#[cfg(test)]
mod tests;
mod written;

pub use hours::{Hours, NotHours, WeekSpan};
pub use rotation::{Length, NotALength, Rotation};
pub use schedule::{Covered, Layer, Override, Schedule, Shift, Span, Why};
pub use stints::{Current, Stint};
pub use written::{NotASchedule, Written, WrittenLayer, WrittenOverride, layered, moment, read, zone};
