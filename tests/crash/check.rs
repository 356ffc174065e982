//! What must be true of the database once the server has come to rest, whatever happened to it before.

use std::collections::BTreeSet;
use std::time::Duration;

use phoneops::clock::Clock;
use phoneops::db::{Column, FromRow, Result, Row, Store};
use phoneops::id::{ApprovalId, BotId, DeviceId, EnrollmentId, FreezeId, GrantId, IncidentId, PasskeyId, UserId, WebhookId};
use phoneops::{jobs, journal};
use uuid::Uuid;

use crate::world::{World, eventually, insist};

/// How often each thing happened, which clients that ask again must not change.
pub(crate) struct Once {
    /// Each with one device and one passkey.
    pub(crate) people: i64,
    /// Devices beside those, without passkeys.
    pub(crate) further: i64,
    pub(crate) incidents: i64,
    pub(crate) approvals: i64,
    pub(crate) redeemed: i64,
}

/// Waits until the server has come to rest, and checks everything.
pub(crate) async fn check(world: &World, once: &Once) {
    let store = world.store().await;
    eventually("pushes or unsealed entries stay", || async { rests(&store).await.then_some(()) }).await;
    check_at_rest(&store, once).await;
}

/// Checks everything in the database of a server that has come to rest.
pub(crate) async fn check_at_rest(store: &Store, once: &Once) {
    let last = journal::verify(store).await.expect("the journal's chain holds");
    assert!(last > 0, "something was sealed");
    nothing_is_stuck(store).await;
    happened_once(store, once).await;
    the_journal_tells_all(store).await;
    approvals_add_up(store).await;
    timers_are_set(store).await;
    rings_add_up(store).await;
}

async fn number(store: &Store, sql: &'static str) -> i64 {
    one(store, sql).await
}

async fn one<T: FromRow + Send + 'static>(store: &Store, sql: &'static str) -> T {
    insist(sql, || store.read::<_, phoneops::db::Error, _>(move |db| Box::pin(async move { db.query(sql).one().await }))).await
}

async fn all<T: FromRow + Send + 'static>(store: &Store, sql: &'static str) -> Vec<T> {
    insist(sql, || store.read::<_, phoneops::db::Error, _>(move |db| Box::pin(async move { db.query(sql).all().await }))).await
}

/// Whether no push and no event for a webhook is left to be made and nothing unsealed. The server gets there by itself, given time for a lease to run out, for
/// a sweep, and for the sealer's own.
pub(crate) async fn rests(store: &Store) -> bool {
    let pushes = number(store, "select count(*) from attempts where state = 'waiting'").await;
    let jobs = number(
        store,
        "select count(*) from jobs where kind in ('unreachable', 'webhook', 'approval_bell') and buried_at is null",
    )
    .await;
    let unsealed = number(store, "select count(*) from journal where seq is null").await;
    pushes == 0 && jobs == 0 && unsealed == 0
}

/// Nothing is overdue, nothing was given up, nothing waits for a job that is not there.
async fn nothing_is_stuck(store: &Store) {
    let next = jobs::next_due(store).await.expect("the database answers");
    let late = Clock::system().now().before(Duration::from_secs(2));
    assert!(next.is_none_or(|next| next > late), "a job has been due since {next:?}");
    assert_eq!(number(store, "select count(*) from jobs where buried_at is not null").await, 0, "a job was buried");
}

async fn happened_once(store: &Store, once: &Once) {
    assert_eq!(number(store, "select count(*) from users").await, once.people, "users");
    assert_eq!(number(store, "select count(*) from devices").await, once.people + once.further, "devices");
    assert_eq!(number(store, "select count(*) from passkeys").await, once.people, "passkeys");
    assert_eq!(number(store, "select count(*) from incidents").await, once.incidents, "incidents");
    assert_eq!(number(store, "select count(*) from approvals").await, once.approvals, "approvals");
    assert_eq!(number(store, "select count(*) from grants where redeemed_at is not null").await, once.redeemed, "redemptions");
}

/// That the ids of a query and the subjects of a kind of entry are the same, in one statement: something may expire while this is
/// looked at.
macro_rules! told {
    ($id:ty, $store:ident, $kind:literal, $sql:literal) => {
        let both = concat!(
            "select id, null as subject from (",
            $sql,
            ") as there union all select null, subject from journal where kind = $1"
        );
        told::<$id>($store, $kind, both).await;
    };
}

/// Nothing without its entry, no entry without what it tells of, none twice.
async fn the_journal_tells_all(store: &Store) {
    told!(UserId, store, "user.created", "select id from users");
    told!(BotId, store, "bot.created", "select id from bots");
    told!(EnrollmentId, store, "enrollment.created", "select id from enrollments where user_id is not null");
    told!(WebhookId, store, "webhook.created", "select id from webhooks");
    told!(DeviceId, store, "device.enrolled", "select id from devices");
    told!(DeviceId, store, "device.waiting", "select id from waiting_devices");
    told!(DeviceId, store, "device.confirmed", "select id from waiting_devices where verdict = 'confirmed'");
    told!(DeviceId, store, "device.confirmed", "select id from devices where confirmed_with is not null");
    told!(DeviceId, store, "device.recovered", "select id from devices where approves_from is not null");
    told!(PasskeyId, store, "passkey.created", "select id from passkeys");
    told!(IncidentId, store, "incident.triggered", "select id from incidents");
    told!(IncidentId, store, "incident.resolved", "select id from incidents where state = 'resolved'");
    told!(ApprovalId, store, "approval.requested", "select id from approvals");
    told!(ApprovalId, store, "approval.approved", "select id from approvals where state = 'approved'");
    told!(ApprovalId, store, "approval.break_glass", "select id from approvals where break_glass is not null");
    told!(BotId, store, "bot.rotated", "select id from bots where token_number = 1");
    assert_eq!(number(store, "select count(*) from bots where token_number > 1").await, 0, "rotated twice");
    told!(ApprovalId, store, "approval.denied", "select id from approvals where state = 'denied'");
    told!(ApprovalId, store, "approval.expired", "select id from approvals where state = 'expired'");
    told!(ApprovalId, store, "approval.cancelled", "select id from approvals where state = 'cancelled'");
    told!(FreezeId, store, "approval.frozen", "select id from freezes");
    told!(FreezeId, store, "freeze.lifted", "select id from freezes where lifted_at is not null");
    told!(GrantId, store, "grant.redeemed", "select id from grants where redeemed_at is not null");
    told!(GrantId, store, "grant.outcome_reported", "select id from grants where outcome is not null");
    told!(String, store, "keys.rotated", "select id from signing_keys where id in (select subject from journal)");
    let signing = "select count(*) from signing_keys where purpose = 'grant' and retired_at is null";
    assert_eq!(number(store, signing).await, 1, "one key signs");
    let registered: Vec<DeviceId> = all(store, "select device_id from push_registrations").await;
    let entries: BTreeSet<String> = subjects(store, "device.push_registered").await.into_iter().collect();
    assert!(registered.iter().map(ToString::to_string).eq(entries), "registrations");
}

/// What is there, or what the journal tells of.
enum Seen<Id> {
    There(Id),
    Told(String),
}

impl<Id: Column> FromRow for Seen<Id> {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let told: Option<String> = row.get("subject")?;
        told.map_or_else(|| row.get("id").map(Self::There), |subject| Ok(Self::Told(subject)))
    }
}

async fn told<Id: Column + ToString + Send + 'static>(store: &Store, kind: &'static str, sql: &'static str) {
    let ask = || {
        store.read::<_, phoneops::db::Error, _>(move |db| {
            Box::pin(async move { db.query(sql).bind(kind).all::<Seen<Id>>().await })
        })
    };
    let (mut there, mut told) = (Vec::new(), Vec::new());
    for seen in insist(sql, ask).await {
        match seen {
            Seen::There(id) => there.push(id.to_string()),
            Seen::Told(subject) => told.push(subject),
        }
    }
    there.sort();
    told.sort();
    assert_eq!(told, there, "{kind}");
}

async fn subjects(store: &Store, kind: &'static str) -> Vec<String> {
    let ask = || {
        store.read::<_, phoneops::db::Error, _>(move |db| {
            Box::pin(async move { db.query("select subject from journal where kind = $1").bind(kind).all().await })
        })
    };
    insist("the journal", ask).await
}

async fn approvals_add_up(store: &Store) {
    let approved: BTreeSet<Uuid> = set(store, "select id from approvals where state = 'approved'").await;
    let answered: Vec<Uuid> = all(store, "select approval_id from answers where verdict = 'approve'").await;
    assert_eq!(answered.iter().copied().collect::<BTreeSet<_>>(), approved, "each approval rests on answers");
    assert_eq!(set(store, "select approval_id from grants").await, approved, "each approval has its grant");
    // The answer that was enough has no entry of its own, unless it was held first.
    let held: BTreeSet<_> = subjects(store, "approval.held").await.into_iter().collect();
    let at_once = approved.iter().filter(|id| !held.contains(&ApprovalId(**id).to_string())).count();
    let one_by_one = subjects(store, "approval.answered").await.len();
    assert_eq!(answered.len(), one_by_one + at_once, "each answer is in the journal once");
    let unused = "select count(*) from answers join challenges on challenges.id = answers.challenge_id where used_at is null";
    assert_eq!(number(store, unused).await, 0, "an answered challenge could be answered again");
}

async fn set(store: &Store, sql: &'static str) -> BTreeSet<Uuid> {
    let all: Vec<Uuid> = all(store, sql).await;
    let set: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(set.len(), all.len(), "{sql}: some twice");
    set
}

/// Whatever waits for time has a timer.
async fn timers_are_set(store: &Store) {
    for (waiting, timers) in [
        (
            "select id from incidents where state <> 'resolved'",
            "select distinct subject_id from jobs where kind = 'incident_timer'",
        ),
        (
            "select id from approvals where state = 'pending'",
            "select distinct subject_id from jobs where kind = 'approval_deadline'",
        ),
    ] {
        let (waiting, timers) = (set(store, waiting).await, set(store, timers).await);
        assert!(waiting.is_subset(&timers), "{waiting:?} wait, and there are timers for {timers:?}");
    }
}

/// Each ring is in the journal, and was told to the phone under one notification.
async fn rings_add_up(store: &Store) {
    let rings = number(store, "select cast(coalesce(sum(ring - 1), 0) as bigint) from incidents").await;
    assert_eq!(number(store, "select count(*) from journal where kind = 'incident.rang'").await, rings, "rings");
    let doubled = "select count(*) from (
        select subject_id, round from notifications where content ->> 'category' = 'page'
        group by subject_id, round having count(*) > 1) as doubled";
    assert_eq!(number(store, doubled).await, 0, "one ring under two notifications");
}
