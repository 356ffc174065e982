//! Heartbeats: silence is an incident, and the next beat ends it.
//!
//! **Invariants**
//! - A beat enqueues a job only when none waits: the job looks at when the next beat is due, and sets itself anew. So a job waits exactly
//!   while `beat_due_at` is set.
//! - Who never beat cannot fall silent.

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
use crate::paging::service::{Error, Parts, Settings};
use crate::paging::services::{self, AlertAction, Beats, Integration, IntegrationSettings, Severity};

/// The alert of a silence.
const KEY: &str = "heartbeat";

/// A heartbeat came.
pub(super) async fn beat(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    integration: &Integration,
    now: Timestamp,
) -> Result<(), Error> {
    let IntegrationSettings::Beats(beats) = &integration.settings else { return Ok(()) };
    let Some(pulse) = store::lock_pulse(tx, integration.id).await?.filter(|pulse| !pulse.revoked) else { return Ok(()) };
    let due_at = now.after(patience(*beats));
    store::beat(tx, integration.id, now, due_at).await?;
    if pulse.due_at.is_some() {
        return Ok(());
    }
    parts.queue.enqueue(tx, Kind::Heartbeat, integration.id.0, due_at).await?;
    if pulse.beat_at.is_some() {
        say(tx, parts, settings, (integration.id, &pulse), AlertAction::Resolve, now).await?;
    }
    Ok(())
}

/// How long silence may last.
fn patience(beats: Beats) -> Duration {
    Duration::from_secs(u64::from(beats.every_seconds) + u64::from(beats.grace_seconds))
}

/// Whether it fell silent.
pub(super) async fn look(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    id: IntegrationId,
    job: &Job,
    now: Timestamp,
) -> Result<(), Error> {
    if !jobs::complete(tx, job).await? {
        return Ok(());
    }
    let Some(pulse) = store::lock_pulse(tx, id).await? else { return Ok(()) };
    match pulse.due_at {
        None => {}
        Some(_) if pulse.revoked => store::fell_silent(tx, id).await?,
        Some(due_at) if due_at > now => parts.queue.enqueue(tx, Kind::Heartbeat, id.0, due_at).await?,
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
