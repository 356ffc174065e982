//! Inside the transaction: what joins a bundle, what is told, and what leaves it.

use std::time::Duration;

use serde_json::json;

use super::{Bundle, Fold, Kind, LOW_WINDOW, STORM_AFTER, STORM_WINDOW, Size, Turn, UPDATE_EVERY, store};
use crate::clock::Timestamp;
use crate::db::{Db, Result, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::{BundleId, DeviceId, IncidentId, TeamId, UserId};
use crate::identity;
use crate::jobs::Kind as Job;
use crate::journal::{Actor, Entry};
use crate::paging::machine::Urgency;
use crate::paging::service::Parts;
use crate::paging::{Incident, recording, ringing, rules, store as incidents, words};
use crate::push::Category;

/// A push that is not repeated waits so long for a phone that is off.
const TOLD_ONCE: Duration = Duration::from_hours(12);

/// An urgent incident of a team rings a person, who can be reached. `begins` says that a step of it rings for the first time.
pub(in crate::paging) async fn storm(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (user, team, begins): (UserId, TeamId, bool),
    now: Timestamp,
) -> Result<Fold> {
    let mut bundle = store::lock(tx, user, Kind::Storm, team.0, now).await?;
    let mut size = store::size(tx.db(), &bundle).await?;
    if bundle.is_over(size) {
        begin_anew(tx, &mut bundle, now).await?;
        size = Size::default();
    }
    let mut joining = vec![incident.id];
    if size.open == 0 {
        let lately = store::lately(tx.db(), user, team, now.before(STORM_WINDOW), incident.id).await?;
        if lately.len() < STORM_AFTER {
            store::rang(tx, incident.id, user, now).await?;
            return Ok(Fold::Alone);
        }
        joining.extend(lately);
    }
    join(tx, parts, &bundle, &joining, now).await?;
    // It was counted when an earlier step rang. Unless the storm has told of itself a moment ago, this one is told too.
    if begins && bundle.told_at.is_some_and(|at| at.until(now) >= UPDATE_EVERY) {
        store::uncount(tx, bundle.id, incident.id).await?;
    }
    let size = store::size(tx.db(), &bundle).await?;
    let ring_every = incident.plan.ring_every();
    match bundle.turn(size, ring_every, now) {
        Turn::Ring => tell(tx, parts, &mut bundle, size, Some(ring_every), now).await?,
        Turn::Update => tell(tx, parts, &mut bundle, size, None, now).await?,
        Turn::UpdateAt(then) if bundle.due_at.is_none() => wait(tx, parts, &mut bundle, then).await?,
        Turn::UpdateAt(_) | Turn::Nothing => {}
    }
    Ok(Fold::Told)
}

/// An incident that can wait is due for a person, who can be reached.
pub(in crate::paging) async fn gather(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    user: UserId,
    now: Timestamp,
) -> Result<Fold> {
    if incident.team.is_none() {
        return Ok(Fold::Alone);
    }
    let mut bundle = store::lock(tx, user, Kind::Low, user.0, now).await?;
    if bundle.is_over(store::size(tx.db(), &bundle).await?) {
        begin_anew(tx, &mut bundle, now).await?;
    }
    join(tx, parts, &bundle, &[incident.id], now).await?;
    store::uncount(tx, bundle.id, incident.id).await?;
    if bundle.due_at.is_none() {
        wait(tx, parts, &mut bundle, now.after(LOW_WINDOW)).await?;
    }
    Ok(Fold::Told)
}

/// The time of a bundle's next push has come.
pub(in crate::paging) async fn due(tx: &mut Tx<'_>, parts: &Parts, id: BundleId, now: Timestamp) -> Result<()> {
    let Some(mut bundle) = store::lock_by_id(tx, id).await? else { return Ok(()) };
    let Some(due_at) = bundle.due_at else { return Ok(()) };
    if due_at > now {
        return parts.queue.enqueue_as(tx, Job::Bundle, id.0, due_at, bundle.kind == Kind::Storm).await;
    }
    let size = store::size(tx.db(), &bundle).await?;
    // What can wait is not told in hours that began since it was put together.
    if bundle.kind == Kind::Low
        && size.uncounted > 0
        && let Some(until) = quiet_until(tx.db(), bundle.user, now).await?
    {
        return wait(tx, parts, &mut bundle, until).await;
    }
    match (bundle.kind, size.uncounted) {
        (_, 0) => {
            bundle.due_at = None;
            store::save(tx, &bundle).await
        }
        (Kind::Low, 1) => by_itself(tx, parts, &mut bundle, now).await,
        (Kind::Low, _) => tell(tx, parts, &mut bundle, size, Some(TOLD_ONCE), now).await,
        (Kind::Storm, _) => tell(tx, parts, &mut bundle, size, None, now).await,
    }
}

/// Until when a person wants to hear nothing of what can wait.
async fn quiet_until(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<Option<Timestamp>> {
    let kept = rules::store::of(db, &[user]).await?;
    Ok(kept.get(&user).and_then(|rules| rules::quiet_until(rules, Urgency::Low, now)))
}

/// An incident does not ring any more. Called before its own pushes are withdrawn, so that none is written behind that.
pub(in crate::paging) async fn left(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: IncidentId,
    answered_on: Option<DeviceId>,
    now: Timestamp,
) -> Result<()> {
    for Bundle { id, .. } in store::holding(tx.db(), incident).await? {
        let Some(mut bundle) = store::lock_by_id(tx, id).await? else { continue };
        let size = store::size(tx.db(), &bundle).await?;
        if size.open > 0 {
            continue;
        }
        let words = Words { title: "Answered".into(), body: format!("{} incidents: nothing left to do", size.all) };
        let over = Content { high: false, ..content(&bundle, "/incidents".into(), Category::Answered, words) };
        parts.delivery.withdraw(tx, bundle.id.0, answered_on, &over, now).await?;
        begin_anew(tx, &mut bundle, now).await?;
    }
    Ok(())
}

/// The incidents of a bundle that ring, in the order of their ids.
pub(in crate::paging) async fn members_of(db: &mut Db<'_>, id: BundleId) -> Result<Vec<IncidentId>> {
    store::open_members(db, id).await
}

async fn begin_anew(tx: &mut Tx<'_>, bundle: &mut Bundle, now: Timestamp) -> Result<()> {
    store::empty(tx, bundle.id).await?;
    let Bundle { user, kind, group, .. } = *bundle;
    *bundle = Bundle { id: BundleId::new(now), user, kind, group, round: 0, rung_at: None, told_at: None, due_at: None };
    store::save(tx, bundle).await
}

async fn join(tx: &mut Tx<'_>, parts: &Parts, bundle: &Bundle, incidents: &[IncidentId], now: Timestamp) -> Result<()> {
    for incident in incidents {
        if !store::insert_member(tx, bundle.id, *incident, now).await? {
            continue;
        }
        let data = json!({"user": bundle.user, "rule": bundle.kind.as_str(), "bundle": bundle.id});
        let entry = Entry { kind: "incident.folded", actor: Actor::System, subject: incident.to_string(), data };
        parts.journal.append(tx, now, entry).await?;
    }
    Ok(())
}

async fn wait(tx: &mut Tx<'_>, parts: &Parts, bundle: &mut Bundle, then: Timestamp) -> Result<()> {
    bundle.due_at = Some(then);
    store::save(tx, bundle).await?;
    parts.queue.enqueue_as(tx, Job::Bundle, bundle.id.0, then, bundle.kind == Kind::Storm).await
}

/// Locks all that tells of these incidents together, in the one order, until the transaction ends.
pub(in crate::paging) async fn lock_all(tx: &mut Tx<'_>, incidents: impl Iterator<Item = IncidentId>) -> Result<()> {
    let mut bundles = Vec::new();
    for incident in incidents {
        bundles.extend(store::holding(tx.db(), incident).await?);
    }
    bundles.sort_by_key(|bundle| (bundle.user, bundle.kind.as_str(), bundle.group));
    bundles.dedup_by_key(|bundle| bundle.id);
    for bundle in bundles {
        store::lock_by_id(tx, bundle.id).await?;
    }
    Ok(())
}

/// Writes the push that counts them: a new ring that lasts so long, or only another count where the last one stands.
async fn tell(
    tx: &mut Tx<'_>,
    parts: &Parts,
    bundle: &mut Bundle,
    size: Size,
    rings_for: Option<Duration>,
    now: Timestamp,
) -> Result<()> {
    bundle.round += u32::from(rings_for.is_some());
    let high = bundle.kind == Kind::Storm;
    let (words, path) = self::words(tx.db(), bundle, size).await?;
    let notice = Notice {
        user: bundle.user,
        subject: bundle.id.0,
        round: bundle.round,
        content: Content { high, ..content(bundle, path, Category::Page, words) },
        expires_at: now.after(rings_for.unwrap_or(LOW_WINDOW)),
        replaces: None,
    };
    match rings_for {
        Some(_) => parts.delivery.notify(tx, notice, now).await?,
        None => parts.delivery.update(tx, notice, now).await?,
    };
    if rings_for.is_some() {
        bundle.rung_at = Some(now);
    }
    told(tx, bundle, now).await
}

async fn told(tx: &mut Tx<'_>, bundle: &mut Bundle, now: Timestamp) -> Result<()> {
    (bundle.told_at, bundle.due_at) = (Some(now), None);
    store::save(tx, bundle).await?;
    store::count(tx, bundle.id, now).await
}

/// Nothing came to the one that waited: it is told as what it is.
async fn by_itself(tx: &mut Tx<'_>, parts: &Parts, bundle: &mut Bundle, now: Timestamp) -> Result<()> {
    if let Some(id) = store::uncounted(tx.db(), bundle).await? {
        let incident = incidents::known(tx.db(), id).await?;
        let opened_by = recording::opener(tx.db(), incident.opened_by).await?;
        let said = words::Ringing { opened_by, why: None };
        let ring = incident.state.ring();
        let words = words::ringing(&incident, ring, &said);
        let content = Content { high: false, ..ringing::content(&incident, Category::Page, words) };
        let expires_at = now.after(TOLD_ONCE);
        let notice = Notice { user: bundle.user, subject: id.0, round: ring, content, expires_at, replaces: None };
        parts.delivery.notify(tx, notice, now).await?;
    }
    told(tx, bundle, now).await
}

async fn words(db: &mut Db<'_>, bundle: &Bundle, size: Size) -> Result<(Words, String)> {
    Ok(match bundle.kind {
        Kind::Storm => {
            let team = identity::known_team(db, TeamId(bundle.group)).await?;
            let name = team.map_or_else(|| "a team".to_owned(), |team| team.name.as_str().to_owned());
            let titles = store::titles(db, bundle, false).await?;
            (words::storm(size.open, &name, &titles), format!("/incidents?team={name}"))
        }
        Kind::Low => (words::low(size.uncounted, &store::titles(db, bundle, true).await?), "/incidents".to_owned()),
    })
}

fn content(bundle: &Bundle, path: String, category: Category, words: Words) -> Content {
    Content { category, high: true, words, full: None, path, subject: bundle.id.to_string(), reference: None }
}
