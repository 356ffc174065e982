//! Heartbeats: silence is an incident, and the next beat ends it.
//!
//! **Invariants**
//! - A beat enqueues a job only when none waits: the job looks at when the next beat is due, and sets itself anew. So a job waits exactly
//!   while `beat_due_at` is set.
//! - Who never beat cannot fall silent.
//! - A beat that says nothing locks its integration alone. One that ends a silence, and a silence, lock the service first, as whoever removes
//!   it does: nobody waits for a service while holding one of its integrations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::machine::Report;
use super::store::{self, Pulse};
use super::taking::{self, Desk};
use super::{Signal, words};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::IntegrationId;
use crate::jobs::{self, Job, Kind};
use crate::journal::{Actor, Entry};
use crate::paging::service::{Error, Parts, Settings};
use crate::paging::services::{self, AlertAction, Integration, IntegrationSettings, Severity};

/// The alert of a silence.
const KEY: &str = "heartbeat";

/// What became of a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// It was taken, or there was nobody to take it for.
    Taken,
    /// It fell silent while this was looked at, and its service is not locked: nothing is changed, and it must be looked at again.
    Again,
}

/// A heartbeat came.
pub(super) async fn beat(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    integration: &Integration,
    now: Timestamp,
) -> Result<Beat, Error> {
    let IntegrationSettings::Beats(beats) = &integration.settings else { return Ok(Beat::Taken) };
    let Some(seen) = store::pulse(tx.db(), integration.id).await? else { return Ok(Beat::Taken) };
    let speaks = seen.is_silent();
    if speaks {
        store::lock_service(tx, integration.service).await?;
    }
    let Some(pulse) = store::lock_pulse(tx, integration.id).await?.filter(|pulse| !pulse.revoked) else { return Ok(Beat::Taken) };
    if pulse.is_silent() && !speaks {
        return Ok(Beat::Again);
    }
    let due_at = now.after(beats.patience());
    store::beat(tx, integration.id, now, due_at).await?;
    if pulse.due_at.is_some() {
        return Ok(Beat::Taken);
    }
    parts.queue.enqueue(tx, Kind::Heartbeat, integration.id.0, due_at).await?;
    if pulse.is_silent() {
        say(tx, parts, settings, (integration.id, &pulse), AlertAction::Resolve, now).await?;
    }
    Ok(Beat::Taken)
}

impl Pulse {
    /// Whether it beat once and its silence was told.
    fn is_silent(&self) -> bool {
        self.beat_at.is_some() && self.due_at.is_none()
    }

    /// Whether it may have beaten while nobody listened here: its time passed before this node did, or so long ago that no node can have.
    /// Once for each beat: who is silent afterwards is silent.
    fn deserves_another_chance(&self, due_at: Timestamp, listening_since: Timestamp, now: Timestamp) -> bool {
        let we_were_away = due_at < listening_since || due_at.after(AWAY) < now;
        let first = self.beat_at.is_some_and(|beat_at| due_at <= beat_at.after(self.beats.patience()));
        we_were_away && first
    }
}

/// A timer of a server that is there rings this late at most, also when its job was lost and had to be found.
const AWAY: Duration = Duration::from_secs(120);

/// Whether it fell silent. `listening_since` is since when this node hears beats.
pub(super) async fn look(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    (id, job): (IntegrationId, &Job),
    listening_since: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    if !jobs::complete(tx, job).await? {
        return Ok(());
    }
    let Some(seen) = store::pulse(tx.db(), id).await? else { return Ok(()) };
    let speaks = seen.due_at.is_some_and(|due_at| due_at <= now);
    if speaks {
        store::lock_service(tx, seen.service).await?;
    }
    let Some(pulse) = store::lock_pulse(tx, id).await? else { return Ok(()) };
    match pulse.due_at {
        None => {}
        Some(_) if pulse.revoked => store::fell_silent(tx, id).await?,
        Some(due_at) if due_at > now || !speaks => {
            parts.queue.enqueue(tx, Kind::Heartbeat, id.0, due_at.max(now)).await?;
        }
        Some(due_at) if pulse.deserves_another_chance(due_at, listening_since, now) => {
            let until = now.after(pulse.beats.patience());
            store::wait_on(tx, id, until).await?;
            parts.queue.enqueue(tx, Kind::Heartbeat, id.0, until).await?;
            let data = json!({"late_seconds": due_at.until(now).as_secs(), "until": until});
            let entry = Entry { kind: "heartbeat.excused", actor: Actor::System, subject: id.to_string(), data };
            parts.journal.append(tx, now, entry).await?;
        }
        Some(_) => {
            store::fell_silent(tx, id).await?;
            say(tx, parts, settings, (id, &pulse), AlertAction::Trigger, now).await?;
        }
    }
    Ok(())
}

async fn say(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    (id, pulse): (IntegrationId, &Pulse),
    action: AlertAction,
    now: Timestamp,
) -> Result<(), Error> {
    let name = services::integration_name(tx.db(), id).await?;
    let lasted = pulse.beat_at.unwrap_or(now).until(now);
    let report = Report {
        summary: words::silence(&name, lasted),
        details: json!({"last_beat": pulse.beat_at}),
        labels: BTreeMap::from([("source".to_owned(), name.clone())]),
        source: name,
        severity: Severity::Critical,
        links: Vec::new(),
    };
    let desk = Desk::open(tx, parts, settings, id, pulse.service, now).await?;
    let signal = Signal { action, dedup_key: Some(KEY.to_owned()), report, notes: Vec::new() };
    taking::take(tx, &desk, signal).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ServiceId;
    use crate::paging::services::Beats;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_beat_that_nobody_may_have_heard_has_one_more_chance() {
        let beats = Beats { every_seconds: 60, grace_seconds: 40 };
        let pulse =
            |beat_at| Pulse { service: ServiceId::new(at(0)), beat_at: Some(at(beat_at)), due_at: None, revoked: false, beats };
        let again = |due_at, since, now| pulse(0).deserves_another_chance(at(due_at), at(since), at(now));
        assert!(!again(100, 0, 100), "we were there, and it was silent");
        assert!(!again(100, 0, 220), "a lost job was found");
        assert!(again(100, 101, 102), "it was due before we listened");
        assert!(again(100, 0, 221), "nobody looked for minutes");
        assert!(!again(300, 301, 302), "it had its other chance");
        assert!(pulse(250).deserves_another_chance(at(350), at(351), at(352)), "and beat since, so it has another");
    }
}
