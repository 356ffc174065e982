//! Inside the transaction: what a signal changes, and whom it pages.

use serde_json::{Value, json};

use super::machine::{Alert, Effect, Event, FLAPS_WITHIN, Group, New, Report, State};
use super::{Outcome, Signal, Taken, grouping, store, words};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{AlertId, IncidentId, IntegrationId, ServiceId};
use crate::jobs::{self, Job, Kind};
use crate::journal::{Actor, Entry};
use crate::paging::machine::{Act, Agent, Event as IncidentEvent, Incident, State as IncidentState, Urgency};
use crate::paging::maintenance::{MaintenanceWindow, maintenance};
use crate::paging::ringing::{self, By, Opening};
use crate::paging::service::{Error, Parts, Settings};
use crate::paging::services::{self, AlertAction, Service};
use crate::paging::store as incidents;

/// Where the signals of one service are worked on, one after the other.
pub(super) struct Desk<'a> {
    parts: &'a Parts,
    settings: &'a Settings,
    service: Service,
    integration: IntegrationId,
    now: Timestamp,
}

impl<'a> Desk<'a> {
    /// Holds back every other signal of the service until the transaction ends.
    pub(super) async fn open(
        tx: &mut Tx<'_>,
        parts: &'a Parts,
        settings: &'a Settings,
        integration: IntegrationId,
        service: ServiceId,
        now: Timestamp,
    ) -> db::Result<Self> {
        store::lock_service(tx, service).await?;
        let found = services::known(tx.db(), service).await?;
        let service = found.ok_or_else(|| db::Error::inconsistent("integrations", integration, "its service is not there"))?;
        Ok(Self { parts, settings, service, integration, now })
    }

    fn actor(&self) -> Actor {
        Actor::Integration { integration: self.integration }
    }

    fn by(&self) -> By {
        By { actor: self.actor(), device: None, origin: None }
    }

    fn act(&self) -> Act {
        Act { by: Agent::Integration(self.integration), at: self.now }
    }

    async fn record(&self, tx: &mut Tx<'_>, kind: &'static str, subject: String, data: Value) -> db::Result<()> {
        self.parts.journal.append(tx, self.now, Entry { kind, actor: self.actor(), subject, data }).await
    }
}

/// Takes a signal.
pub(super) async fn take(tx: &mut Tx<'_>, desk: &Desk<'_>, signal: Signal) -> Result<Taken, Error> {
    let Signal { action, dedup_key, report, notes } = signal;
    let earlier = match &dedup_key {
        None => None,
        Some(key) => match store::latest(tx.db(), desk.integration, key).await? {
            None => None,
            Some(alert) => Some(Case::of(tx, desk, alert).await?),
        },
    };
    let key = dedup_key.unwrap_or_else(|| AlertId::new(desk.now).0.simple().to_string());
    let outcome = match (action, earlier) {
        (AlertAction::Trigger, earlier) => trigger(tx, desk, &key, report, earlier, notes).await?,
        (AlertAction::Acknowledge, Some(case)) => case.step(tx, Event::Acknowledged).await?,
        (AlertAction::Resolve, Some(case)) => case.step(tx, Event::Cleared).await?,
        (AlertAction::Acknowledge | AlertAction::Resolve, None) => {
            let data = json!({"rule": words::NOTHING_OPEN, "action": action, "dedup_key": key, "service": desk.service.id});
            desk.record(tx, "alert.dropped", desk.integration.to_string(), data).await?;
            Outcome::Dropped
        }
    };
    Ok(Taken { dedup_key: key, outcome })
}

async fn trigger<'a>(
    tx: &mut Tx<'_>,
    desk: &'a Desk<'a>,
    key: &str,
    report: Report,
    earlier: Option<Case<'a>>,
    notes: Vec<String>,
) -> Result<Outcome, Error> {
    let reopens_within = std::time::Duration::from_secs(u64::from(desk.service.settings.reopen_seconds));
    match earlier {
        Some(case) if !case.alert.is_past(desk.now, reopens_within) => {
            Case { notes, ..case }.step(tx, Event::Triggered(report)).await
        }
        earlier => {
            let earlier = earlier.map(|case| case.alert);
            if let Some(earlier) = &earlier {
                // People ended its incident, and this is when that is learned.
                store::save(tx, earlier).await?;
            }
            let new =
                New { id: AlertId::new(desk.now), integration: desk.integration, service: desk.service.id, key: key.to_owned() };
            let (alert, effects) = Alert::reported(new, report, earlier.as_ref(), desk.now);
            Case { desk, alert, incident: None, notes, action: AlertAction::Trigger }.perform(tx, effects).await
        }
    }
}

/// An alert's timer rang.
pub(super) async fn ring(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    id: AlertId,
    job: &Job,
    now: Timestamp,
) -> Result<(), Error> {
    if !jobs::complete(tx, job).await? {
        return Ok(());
    }
    let Some(found) = store::find(tx.db(), id).await? else { return Ok(()) };
    let desk = Desk::open(tx, parts, settings, found.integration, found.service, now).await?;
    // What was reported while this waited for the service counts.
    let Some(alert) = store::find(tx.db(), id).await? else { return Ok(()) };
    Case::of(tx, &desk, alert).await?.step(tx, Event::TimerRang).await?;
    Ok(())
}

/// An alert and its incident, as they are worked on.
struct Case<'a> {
    desk: &'a Desk<'a>,
    alert: Alert,
    /// Locked.
    incident: Option<Incident>,
    notes: Vec<String>,
    action: AlertAction,
}

impl<'a> Case<'a> {
    /// An alert with the incident that is its own now. What people ended meanwhile is over.
    async fn of(tx: &mut Tx<'_>, desk: &'a Desk<'a>, mut alert: Alert) -> Result<Self, Error> {
        let incident = match alert.incident {
            None => None,
            Some(incident) => lock_heir(tx, incident).await?,
        };
        alert.incident = incident.as_ref().map(|incident| incident.id);
        let ended = incident.as_ref().and_then(|incident| match incident.state {
            IncidentState::Resolved { act, .. } => Some(act.at),
            IncidentState::Triggered { .. } | IncidentState::Acknowledged { .. } => None,
        });
        if let Some(at) = ended {
            alert = alert.step(Event::Ended(at), desk.now).0;
        }
        Ok(Self { desk, alert, incident, notes: Vec::new(), action: AlertAction::Trigger })
    }

    async fn step(mut self, tx: &mut Tx<'_>, event: Event) -> Result<Outcome, Error> {
        self.action = match event {
            Event::Acknowledged => AlertAction::Acknowledge,
            Event::Cleared => AlertAction::Resolve,
            Event::Triggered(_) | Event::Ended(_) | Event::TimerRang => AlertAction::Trigger,
        };
        let (alert, effects) = self.alert.step(event, self.desk.now);
        Self { alert, ..self }.perform(tx, effects).await
    }

    async fn perform(mut self, tx: &mut Tx<'_>, effects: Vec<Effect>) -> Result<Outcome, Error> {
        let mut outcome = Outcome::Updated;
        for effect in effects {
            match effect {
                Effect::Page => outcome = self.page(tx).await?,
                Effect::Update => outcome = self.update(tx).await?,
                Effect::Acknowledge => outcome = self.acknowledge(tx).await?,
                Effect::Over => outcome = self.over(tx).await?,
                Effect::WakeAt(at) => self.desk.parts.queue.enqueue(tx, Kind::AlertTimer, self.alert.id.0, at).await?,
                Effect::Flaps => {
                    let more = json!({"openings": self.alert.openings.len(), "within_seconds": FLAPS_WITHIN.as_secs()});
                    self.record(tx, "alert.flapping", more).await?;
                }
                Effect::PutOff => {
                    let State::Open { closes_at } = self.alert.state else { continue };
                    self.record(tx, "alert.put_off", json!({"rule": words::FLAPS, "until": closes_at})).await?;
                    outcome = Outcome::PutOff;
                }
                Effect::Drop => {
                    self.record(tx, "alert.dropped", json!({"rule": words::NOTHING_OPEN, "action": self.action})).await?;
                    outcome = Outcome::Dropped;
                }
            }
        }
        store::save(tx, &self.alert).await?;
        Ok(outcome)
    }

    /// Records what happened to the alert, under its incident where there is one.
    async fn record(&self, tx: &mut Tx<'_>, kind: &'static str, more: Value) -> db::Result<()> {
        let subject = self.alert.incident.map_or_else(|| self.alert.id.to_string(), |incident| incident.to_string());
        let data = words::facts(&self.alert, &self.notes, more);
        self.desk.record(tx, kind, subject, data).await
    }

    /// Pages, unless a rule says otherwise.
    async fn page(&mut self, tx: &mut Tx<'_>) -> Result<Outcome, Error> {
        let desk = self.desk;
        if let Some(window) = maintenance(tx.db(), &desk.service, desk.now).await? {
            return self.suppress(tx, window).await;
        }
        let group = grouping::group(&desk.service.settings, &self.alert.report.labels);
        if let Some(sha256) = group {
            let since = grouping::since(&desk.service.settings, desk.now);
            if let Some(id) = store::of_group(tx.db(), desk.service.id, sha256, since).await?
                && let Some(incident) = incidents::lock_by_id(tx, id).await?
                && !matches!(incident.state, IncidentState::Resolved { .. })
            {
                return self.fold(tx, incident).await;
            }
        }
        self.alert.group = group.map(|sha256| Group { sha256, paged_at: desk.now });
        self.begin(tx).await
    }

    async fn begin(&mut self, tx: &mut Tx<'_>) -> Result<Outcome, Error> {
        let (desk, report) = (self.desk, &self.alert.report);
        let fallback = ringing::fallback(tx.db(), desk.settings).await?;
        let opening = Opening {
            title: words::title(report),
            details: Some(words::details(&self.alert, desk.now)),
            links: report.links.clone(),
            labels: report.labels.clone(),
            urgency: desk.service.settings.urgency.urgency(report.severity),
            by: desk.actor(),
            service: Some(desk.service.id),
            team: Some(desk.service.team),
            reports: self.alert.reports,
            plan: desk.service.plan(tx.db(), &fallback, desk.settings.tempo()).await?,
        };
        let suppressed = self.alert.suppressed_by.take();
        let facts = words::facts(&self.alert, &self.notes, json!({"suppressed_by": suppressed}));
        // Much may follow from a page: its future is kept off the others'.
        let (incident, _) = Box::pin(ringing::begin(tx, desk.parts, opening, facts, desk.now)).await?;
        self.alert.incident = Some(incident.id);
        Ok(Outcome::Paged)
    }

    /// Joins an incident of its group.
    async fn fold(&mut self, tx: &mut Tx<'_>, incident: Incident) -> Result<Outcome, Error> {
        self.alert.incident = Some(incident.id);
        self.alert.suppressed_by = None;
        let data = words::facts(&self.alert, &self.notes, json!({"rule": words::GROUP}));
        self.report(tx, incident, "alert.folded", data).await?;
        Ok(Outcome::Folded)
    }

    /// Tells its incident the latest words; one that is over rings again.
    async fn update(&mut self, tx: &mut Tx<'_>) -> Result<Outcome, Error> {
        let Some(incident) = self.incident.take() else { return self.page(tx).await };
        let over = matches!(incident.state, IncidentState::Resolved { .. });
        if over && let Some(window) = maintenance(tx.db(), &self.desk.service, self.desk.now).await? {
            return self.suppress(tx, window).await;
        }
        let (kind, outcome) =
            if over { ("incident.reopened", Outcome::Reopened) } else { ("incident.retriggered", Outcome::Updated) };
        let data = words::facts(&self.alert, &self.notes, json!({}));
        self.report(tx, incident, kind, data).await?;
        Ok(outcome)
    }

    async fn report(&self, tx: &mut Tx<'_>, incident: Incident, kind: &'static str, data: Value) -> Result<(), Error> {
        let desk = self.desk;
        let report = &self.alert.report;
        let event =
            IncidentEvent::Retriggered { title: words::title(report), details: Some(words::details(&self.alert, desk.now)) };
        let (incident, _) =
            Box::pin(ringing::apply_as(tx, desk.parts, incident, event, &desk.by(), (kind, data), desk.now)).await?;
        let wanted = desk.service.settings.urgency.urgency(report.severity);
        // It only gets louder by itself: that something less bad was reported too does not make the rest less bad.
        if (incident.urgency, wanted) == (Urgency::Low, Urgency::High) {
            let louder = IncidentEvent::UrgencyChanged(desk.act(), Urgency::High);
            Box::pin(ringing::apply(tx, desk.parts, incident, louder, &desk.by(), desk.now)).await?;
        }
        Ok(())
    }

    /// Keeps it from paging; its timer looks again.
    async fn suppress(&mut self, tx: &mut Tx<'_>, window: MaintenanceWindow) -> Result<Outcome, Error> {
        self.alert.incident = None;
        self.alert.group = None;
        let rule = words::maintenance(window.id);
        self.alert.suppressed_by = Some(rule.clone());
        let more = json!({"rule": rule, "window": window.id, "until": window.until, "reason": window.reason});
        self.record(tx, "alert.suppressed", more).await?;
        self.desk.parts.queue.enqueue(tx, Kind::AlertTimer, self.alert.id.0, window.until).await?;
        Ok(Outcome::Suppressed)
    }

    async fn acknowledge(&mut self, tx: &mut Tx<'_>) -> Result<Outcome, Error> {
        let desk = self.desk;
        if let Some(incident) = self.incident.take() {
            Box::pin(ringing::apply(tx, desk.parts, incident, IncidentEvent::Acknowledged(desk.act()), &desk.by(), desk.now))
                .await?;
        }
        Ok(Outcome::Acknowledged)
    }

    /// The alert is over, and its incident too when it was the last to hold it open.
    async fn over(&mut self, tx: &mut Tx<'_>) -> Result<Outcome, Error> {
        let desk = self.desk;
        let Some(incident) = self.incident.take() else {
            let more = json!({"suppressed_by": self.alert.suppressed_by});
            self.record(tx, "alert.resolved", more).await?;
            return Ok(Outcome::Closed);
        };
        let left = store::others_open(tx.db(), incident.id, self.alert.id).await?;
        if left == 0 && matches!(incident.opened_by, Actor::Integration { .. }) {
            Box::pin(ringing::apply(tx, desk.parts, incident, IncidentEvent::Resolved(desk.act()), &desk.by(), desk.now)).await?;
        } else {
            self.record(tx, "alert.resolved", json!({"left": left})).await?;
        }
        Ok(Outcome::Closed)
    }
}

/// The incident, or the one that goes on in its place, locked. Only the last is: whoever merges locks two.
async fn lock_heir(tx: &mut Tx<'_>, mut id: IncidentId) -> db::Result<Option<Incident>> {
    loop {
        while let Some(heir) = store::heir(tx.db(), id).await? {
            id = heir;
        }
        let found = incidents::lock_by_id(tx, id).await?;
        match found.as_ref().map(|incident| incident.state) {
            Some(IncidentState::Resolved { merged_into: Some(heir), .. }) => id = heir,
            _ => return Ok(found),
        }
    }
}
