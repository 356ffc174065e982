//! The alert machine: what one integration says under one key, from when it is first reported until it is over.
//!
//! ```text
//!                 Triggered: Update               Cleared, while it flaps: WakeAt
//!                  ┌─────┐                         ┌──────────────┐
//!                  ▼     │                         │              ▼
//!   reported ───► open ──┴─────────────────────────┘        open, closing
//!                  ▲  │ Cleared: Over                         │   │ TimerRang: Over
//!   Triggered,     │  ▼                             Triggered │   ▼
//!   soon enough ─ closed ◄──────── Ended ◄────────────────────┘  closed
//! ```
//!
//! **Invariants**
//! - An alert that is open and has no incident was suppressed; the end of what suppressed it rings its timer, and that pages.
//! - A report of an open alert pages nobody anew: its incident is told the latest words.
//! - What flaps is over only once it was quiet for [`QUIET`], which a timer waits for.
//! - A timer that rings early is set again; one that rings twice, or for a state that has passed, changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::super::services::Severity;
use crate::clock::Timestamp;
use crate::id::{AlertId, IncidentId, IntegrationId, ServiceId};

/// Opened so often within [`FLAPS_WITHIN`], an alert flaps.
pub const FLAPS: usize = 4;

/// See [`FLAPS`].
pub const FLAPS_WITHIN: Duration = Duration::from_secs(600);

/// How long what flaps must be quiet before it is over.
pub const QUIET: Duration = Duration::from_secs(300);

/// What an integration says is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What is wrong, in a line.
    pub summary: String,
    /// Where: a host, a monitor.
    pub source: String,
    /// How bad.
    pub severity: Severity,
    /// More of it: an object.
    pub details: Value,
    /// What it is about, for grouping and filters.
    pub labels: BTreeMap<String, String>,
    /// Where to look.
    pub links: Vec<String>,
}

/// What an integration reports under one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    pub(super) id: AlertId,
    pub(super) integration: IntegrationId,
    pub(super) service: ServiceId,
    pub(super) key: String,
    /// What people were paged about; none while it is suppressed.
    pub(super) incident: Option<IncidentId>,
    /// What was said last.
    pub(super) report: Report,
    pub(super) reports: u32,
    /// When it opened lately, the oldest first, at most [`FLAPS`]; earlier alerts of the same key count.
    pub(super) openings: Vec<Timestamp>,
    /// The rule that kept it from paging.
    pub(super) suppressed_by: Option<String>,
    /// What others are grouped with it by, and since when they may join: of an alert that began an incident.
    pub(super) group: Option<Group>,
    pub(super) state: State,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
}

/// What an alert is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The digest of the labels that must agree.
    pub(super) sha256: [u8; 32],
    /// When it began its incident.
    pub(super) paged_at: Timestamp,
}

/// Whether an alert goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Open {
        /// It was said to be over, and is then, unless it is reported again.
        closes_at: Option<Timestamp>,
    },
    /// It is over.
    Closed {
        /// Since then.
        at: Timestamp,
    },
}

/// What happens to an alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// Its integration reports it.
    Triggered(Report),
    /// Its integration says that somebody has it.
    Acknowledged,
    /// Its integration says that it is over.
    Cleared,
    /// People ended its incident then.
    Ended(Timestamp),
    /// Its timer rang.
    TimerRang,
}

/// What has to be done because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nobody knows of it yet: page, unless a rule says otherwise.
    Page,
    /// Tell its incident the latest words; an incident that is over goes on.
    Update,
    /// Somebody has its incident.
    Acknowledge,
    /// Its incident is over, unless others hold it open.
    Over,
    /// Ring its timer then.
    WakeAt(Timestamp),
    /// It began to flap.
    Flaps,
    /// It was not over when it was said to be, or is not quiet yet.
    PutOff,
    /// Nothing was open that this could be about.
    Drop,
}

impl Alert {
    /// An alert that was never reported, or whose last life is too long ago. `earlier` is that.
    pub(super) fn reported(new: New, report: Report, earlier: Option<&Self>, now: Timestamp) -> (Self, Vec<Effect>) {
        let mut alert = Self {
            id: new.id,
            integration: new.integration,
            service: new.service,
            key: new.key,
            incident: None,
            report,
            reports: 1,
            openings: earlier.map(|earlier| earlier.openings.clone()).unwrap_or_default(),
            suppressed_by: None,
            group: None,
            state: State::Open { closes_at: None },
            first_at: now,
            // Nodes' clocks differ a little, and the latest row must be found by this.
            last_at: earlier.map_or(now, |earlier| earlier.last_at.max(now)),
        };
        let flaps = alert.opens(now);
        let effects = [Effect::Page].into_iter().chain(flaps).collect();
        (alert, effects)
    }

    /// Whether a report now is another alert, rather than this one again.
    pub(super) fn is_past(&self, now: Timestamp, reopens_within: Duration) -> bool {
        match self.state {
            State::Open { .. } => false,
            State::Closed { at } => self.incident.is_none() || now > at.after(reopens_within),
        }
    }

    /// The one way an alert changes.
    pub(super) fn step(mut self, event: Event, now: Timestamp) -> (Self, Vec<Effect>) {
        let effects = match self.state {
            State::Open { closes_at } => self.while_open(closes_at, event, now),
            State::Closed { .. } => self.while_closed(event, now),
        };
        (self, effects)
    }

    fn while_open(&mut self, closes_at: Option<Timestamp>, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Triggered(report) => {
                self.hear(report, now);
                let flaps = if closes_at.is_some() { self.opens(now) } else { None };
                self.state = State::Open { closes_at: None };
                [self.tell()].into_iter().chain(flaps).collect()
            }
            Event::Acknowledged if self.incident.is_some() => vec![Effect::Acknowledge],
            Event::Acknowledged => vec![Effect::Drop],
            Event::Cleared if closes_at.is_some() => vec![Effect::PutOff],
            Event::Cleared if self.flaps(now) => {
                let closes_at = now.after(QUIET);
                self.state = State::Open { closes_at: Some(closes_at) };
                vec![Effect::PutOff, Effect::WakeAt(closes_at)]
            }
            Event::Cleared => self.closes(now),
            Event::Ended(at) => {
                self.state = State::Closed { at };
                Vec::new()
            }
            Event::TimerRang => match closes_at {
                Some(closes_at) if now < closes_at => vec![Effect::WakeAt(closes_at)],
                Some(_) => self.closes(now),
                None if self.incident.is_none() => vec![Effect::Page],
                None => Vec::new(),
            },
        }
    }

    fn while_closed(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Triggered(report) => {
                self.hear(report, now);
                self.state = State::Open { closes_at: None };
                let flaps = self.opens(now);
                [self.tell()].into_iter().chain(flaps).collect()
            }
            Event::Acknowledged | Event::Cleared => vec![Effect::Drop],
            Event::Ended(_) | Event::TimerRang => Vec::new(),
        }
    }

    fn hear(&mut self, report: Report, now: Timestamp) {
        self.report = report;
        self.reports = self.reports.saturating_add(1);
        self.last_at = self.last_at.max(now);
    }

    fn tell(&self) -> Effect {
        if self.incident.is_some() { Effect::Update } else { Effect::Page }
    }

    fn closes(&mut self, now: Timestamp) -> Vec<Effect> {
        self.state = State::Closed { at: now };
        vec![Effect::Over]
    }

    /// Counts an opening; what to say when it is the one that makes it flap.
    fn opens(&mut self, now: Timestamp) -> Option<Effect> {
        let before = self.flaps(now);
        self.openings.push(now);
        if self.openings.len() > FLAPS {
            self.openings.remove(0);
        }
        (!before && self.flaps(now)).then_some(Effect::Flaps)
    }

    /// Whether it opened so often lately that its end means little.
    pub(super) fn flaps(&self, now: Timestamp) -> bool {
        self.openings.len() >= FLAPS && self.openings.first().is_some_and(|first| *first >= now.before(FLAPS_WITHIN))
    }
}

/// What an alert is that is reported for the first time.
pub(super) struct New {
    pub(super) id: AlertId,
    pub(super) integration: IntegrationId,
    pub(super) service: ServiceId,
    pub(super) key: String,
}

#[cfg(test)]
mod tests;
