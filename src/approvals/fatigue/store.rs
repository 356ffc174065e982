//! The SQL of doorbells and freezes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Bell, Freeze, Known, Recent};
use crate::approvals::Approval;
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{ApprovalId, BotId, FreezeId, UserId};
use crate::journal::Actor;

fn ids(users: &[UserId]) -> Json<Vec<String>> {
    Json(users.iter().map(|user| user.0.simple().to_string()).collect())
}

const LOCK: Sql = Sql::either(
    "select id from users where id in (select unhex(value) from json_each($1)) order by id",
    "select id from users where id in (select value::uuid from jsonb_array_elements_text($1)) order by id for no key update",
);

/// Locks these people until the transaction ends: what rings at them, and for them, is decided one after the other.
pub(in crate::approvals) async fn lock(tx: &mut Tx<'_>, users: &[UserId]) -> Result<()> {
    tx.query(LOCK).bind(ids(users)).all::<UserId>().await?;
    Ok(())
}

/// What is known of one person, as it is stored.
pub(super) struct Fact {
    user: UserId,
    open: Option<ApprovalId>,
    denials: u32,
    denied_at: Option<Timestamp>,
    /// Their last ring, and the first of the last hour.
    pub(super) last: Option<Ring>,
    first: Option<Ring>,
    /// The same of those that the requester caused.
    pub(super) last_caused: Option<Ring>,
    first_caused: Option<Ring>,
    /// Since when approvals of this bot for this requester are frozen.
    pub(super) frozen_at: Option<Timestamp>,
}

/// A numbered ring.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    pub(super) number: i64,
    pub(super) at: Timestamp,
}

/// The rings from `first` to `last`, which have no gap.
fn recent(first: Option<Ring>, last: Option<Ring>) -> Recent {
    let count = first.zip(last).map_or(0, |(first, last)| last.number - first.number + 1);
    Recent { count: u32::try_from(count).unwrap_or(u32::MAX), first_at: first.map(|first| first.at) }
}

impl Fact {
    pub(super) fn known(&self) -> Known {
        let rung = recent(self.first, self.last);
        Known { user: self.user, open: self.open, denials: self.denials, denied_at: self.denied_at, rung }
    }

    pub(super) fn caused(&self) -> Recent {
        recent(self.first_caused, self.last_caused)
    }
}

impl FromRow for Fact {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let ring = |number: &str, at: &str| -> Result<Option<Ring>> {
            let (number, at): (Option<i64>, Option<Timestamp>) = (row.get(number)?, row.get(at)?);
            Ok(number.zip(at).map(|(number, at)| Ring { number, at }))
        };
        Ok(Self {
            user: row.get("user_id")?,
            open: row.get("open_id")?,
            denials: row.get("denials")?,
            denied_at: row.get("denied_at")?,
            last: ring("last_ring", "last_at")?,
            first: ring("first_ring", "first_at")?,
            last_caused: ring("last_caused", "last_caused_at")?,
            first_caused: ring("first_caused", "first_caused_at")?,
            frozen_at: row.get("frozen_at")?,
        })
    }
}

/// `$1` the people, `$2` the requester, `$3` and `$4` the action, `$5` when the hour began, `$6` the bot. Every part is a look at one end
/// of an index, however much is in it; only denials since the last approval are counted.
macro_rules! facts {
    ($asked:literal) => {
        concat!(
            "with asked as (",
            $asked,
            ")
             select asked.id as user_id,
                 (select approval_id from doorbells where user_id = asked.id and requester_id = $2 and action_type = $3
                      and action_target = $4 and verdict is null and over_at is null and rung_at is not null
                      order by rung_at limit 1) as open_id,
                 (select count(*) from doorbells where user_id = asked.id and requester_id = $2 and action_type = $3
                      and action_target = $4 and verdict = 'deny' and over_at >= coalesce((select max(over_at) from doorbells
                          where user_id = asked.id and requester_id = $2 and action_type = $3 and action_target = $4
                          and verdict = 'approve'), 0)) as denials,
                 (select max(over_at) from doorbells where user_id = asked.id and requester_id = $2 and action_type = $3
                      and action_target = $4 and verdict = 'deny') as denied_at,
                 (select user_ring from doorbells where user_id = asked.id and rung_at is not null
                      order by rung_at desc, user_ring desc limit 1) as last_ring,
                 (select max(rung_at) from doorbells where user_id = asked.id and rung_at is not null) as last_at,
                 (select user_ring from doorbells where user_id = asked.id and rung_at > $5
                      order by rung_at, user_ring limit 1) as first_ring,
                 (select min(rung_at) from doorbells where user_id = asked.id and rung_at > $5) as first_at,
                 (select requester_ring from doorbells where requester_id = $2 and rung_at is not null
                      order by rung_at desc, requester_ring desc limit 1) as last_caused,
                 (select max(rung_at) from doorbells where requester_id = $2 and rung_at is not null) as last_caused_at,
                 (select requester_ring from doorbells where requester_id = $2 and rung_at > $5
                      order by rung_at, requester_ring limit 1) as first_caused,
                 (select min(rung_at) from doorbells where requester_id = $2 and rung_at > $5) as first_caused_at,
                 (select min(frozen_at) from freezes where bot_id = $6 and (requester_id is null or requester_id = $2)
                      and lifted_at is null) as frozen_at
             from asked"
        )
    };
}

const FACTS: Sql = Sql::either(
    facts!("select unhex(value) as id from json_each($1)"),
    facts!("select value::uuid as id from jsonb_array_elements_text($1)"),
);

/// What is known of `users`, in their order, who must be locked; `since` is when the hour began.
pub(super) async fn facts(tx: &mut Tx<'_>, approval: &Approval, users: &[UserId], since: Timestamp) -> Result<Vec<Fact>> {
    let mut facts: Vec<Fact> = tx
        .query(FACTS)
        .bind(ids(users))
        .bind(approval.requester)
        .bind(&approval.action.kind)
        .bind(&approval.action.target)
        .bind(since)
        .bind(approval.bot)
        .all()
        .await?;
    facts.sort_by_key(|fact| users.iter().position(|user| *user == fact.user));
    Ok(facts)
}

/// A doorbell as it is written.
pub(super) struct Doorbell {
    pub(super) user: UserId,
    pub(super) bell: Bell,
    /// Its numbers, where it rings: of the person, and of the requester.
    pub(super) numbers: Option<(i64, i64)>,
}

const INSERT: Sql = Sql::either(
    "insert into doorbells (approval_id, user_id, requester_id, action_type, action_target, asked_at, rung_at, user_ring,
         requester_ring, folded_into)
     select $2, unhex(value ->> 'user_id'), $3, $4, $5, $6, case when value ->> 'user_ring' is not null then $6 end,
         value ->> 'user_ring', value ->> 'requester_ring', unhex(value ->> 'folded_into')
     from json_each($1)",
    "insert into doorbells (approval_id, user_id, requester_id, action_type, action_target, asked_at, rung_at, user_ring,
         requester_ring, folded_into)
     select $2, user_id, $3, $4, $5, $6, case when user_ring is not null then $6 end, user_ring, requester_ring, folded_into
     from jsonb_to_recordset($1) as bells(user_id uuid, user_ring bigint, requester_ring bigint, folded_into uuid)",
);

/// Puts an approval into people's inboxes, and writes down where it rings.
pub(super) async fn insert(tx: &mut Tx<'_>, approval: &Approval, bells: &[Doorbell], now: Timestamp) -> Result<()> {
    let row = |doorbell: &Doorbell| -> Value {
        let (user_ring, requester_ring) = doorbell.numbers.unzip();
        let folded_into = if let Bell::Fold(open) = doorbell.bell { Some(open.0.simple().to_string()) } else { None };
        let user_id = doorbell.user.0.simple().to_string();
        json!({"user_id": user_id, "user_ring": user_ring, "requester_ring": requester_ring, "folded_into": folded_into})
    };
    tx.query(INSERT)
        .bind(Json(bells.iter().map(row).collect::<Vec<_>>()))
        .bind(approval.id)
        .bind(approval.requester)
        .bind(&approval.action.kind)
        .bind(&approval.action.target)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

const REOPEN: Sql = Sql::either(
    "insert into doorbells (approval_id, user_id, requester_id, action_type, action_target, asked_at)
     select $2, unhex(value), $3, $4, $5, $6 from json_each($1) where true order by value
     on conflict (approval_id, user_id) do update set over_at = null, verdict = null, folded_into = null",
    "insert into doorbells (approval_id, user_id, requester_id, action_type, action_target, asked_at)
     select $2, value::uuid, $3, $4, $5, $6 from jsonb_array_elements_text($1) order by value
     on conflict (approval_id, user_id) do update set over_at = null, verdict = null, folded_into = null",
);

/// Puts an approval into these people's inboxes without a ring, also of those who had approved it: they can still deny. Where it rang it
/// has rung, and where it was folded it will not.
pub(super) async fn reopen(tx: &mut Tx<'_>, approval: &Approval, users: &[UserId], now: Timestamp) -> Result<()> {
    tx.query(REOPEN)
        .bind(ids(users))
        .bind(approval.id)
        .bind(approval.requester)
        .bind(&approval.action.kind)
        .bind(&approval.action.target)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Ends the doorbell of somebody who has approved while others are still asked; what was folded into it there, the oldest.
pub(super) async fn approved(
    tx: &mut Tx<'_>,
    approval: ApprovalId,
    user: UserId,
    now: Timestamp,
) -> Result<BTreeSet<ApprovalId>> {
    let freed: Vec<Option<ApprovalId>> = tx
        .query(
            "update doorbells set over_at = $3, verdict = 'approve' where approval_id = $1 and user_id = $2
             returning case when rung_at is not null then (select folded.approval_id from doorbells as folded
                 where folded.user_id = doorbells.user_id and folded.requester_id = doorbells.requester_id
                     and folded.action_type = doorbells.action_type and folded.action_target = doorbells.action_target
                     and folded.verdict is null and folded.over_at is null and folded.folded_into is not null
                 order by folded.asked_at, folded.approval_id limit 1) end as freed",
        )
        .bind(approval)
        .bind(user)
        .bind(now)
        .all()
        .await?;
    Ok(freed.into_iter().flatten().collect())
}

/// `$3` and `$4` say who decided and how. All of an approval's doorbells are locked in the order of people, as [`wait_for_open`] does.
const END: Sql = Sql::either(
    "update doorbells set over_at = $2, verdict = case when user_id = $3 then $4 else verdict end
     where approval_id = $1 and (over_at is null or (user_id = $3 and $4 = 'deny'))
     returning case when rung_at is not null then (select folded.approval_id from doorbells as folded
         where folded.user_id = doorbells.user_id and folded.requester_id = doorbells.requester_id
             and folded.action_type = doorbells.action_type and folded.action_target = doorbells.action_target
             and folded.verdict is null and folded.over_at is null and folded.folded_into is not null
         order by folded.asked_at, folded.approval_id limit 1) end as freed",
    "with held as (select user_id from doorbells where approval_id = $1 order by user_id for update)
     update doorbells set over_at = $2, verdict = case when doorbells.user_id = $3 then $4 else verdict end
     from held where doorbells.approval_id = $1 and doorbells.user_id = held.user_id
         and (doorbells.over_at is null or (doorbells.user_id = $3 and $4 = 'deny'))
     returning case when doorbells.rung_at is not null then (select folded.approval_id from doorbells as folded
         where folded.user_id = doorbells.user_id and folded.requester_id = doorbells.requester_id
             and folded.action_type = doorbells.action_type and folded.action_target = doorbells.action_target
             and folded.verdict is null and folded.over_at is null and folded.folded_into is not null
         order by folded.asked_at, folded.approval_id limit 1) end as freed",
);

/// Takes an approval out of everybody's inbox; the oldest that was folded into it, of each person at whom it had rung.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    approval: ApprovalId,
    decided: Option<(UserId, &'static str)>,
    now: Timestamp,
) -> Result<BTreeSet<ApprovalId>> {
    let (by, verdict) = decided.unzip();
    let freed: Vec<Option<ApprovalId>> = tx.query(END).bind(approval).bind(now).bind(by).bind(verdict).all().await?;
    Ok(freed.into_iter().flatten().collect())
}

/// The people at whom an approval waits folded, who did not deny the like since, and at whom no older one does.
pub(super) async fn folded(db: &mut Db<'_>, approval: ApprovalId) -> Result<Vec<UserId>> {
    db.query(
        "select user_id from doorbells where approval_id = $1 and over_at is null and folded_into is not null
             and not exists (select 1 from doorbells as other where other.user_id = doorbells.user_id
                 and other.requester_id = doorbells.requester_id and other.action_type = doorbells.action_type
                 and other.action_target = doorbells.action_target
                 and ((other.verdict = 'deny' and other.over_at >= doorbells.asked_at)
                     or (other.verdict is null and other.over_at is null and other.folded_into is not null
                         and (other.asked_at < doorbells.asked_at
                             or (other.asked_at = doorbells.asked_at and other.approval_id < doorbells.approval_id)))))
         order by user_id",
    )
    .bind(approval)
    .all()
    .await
}

/// The oldest that is folded where `approval` waits folded itself, of each person: what may ring in its stead.
pub(super) async fn next_alike(db: &mut Db<'_>, approval: ApprovalId) -> Result<BTreeSet<ApprovalId>> {
    let next: Vec<Option<ApprovalId>> = db
        .query(
            "select (select folded.approval_id from doorbells as folded
                 where folded.user_id = doorbells.user_id and folded.requester_id = doorbells.requester_id
                     and folded.action_type = doorbells.action_type and folded.action_target = doorbells.action_target
                     and folded.approval_id <> doorbells.approval_id
                     and folded.verdict is null and folded.over_at is null and folded.folded_into is not null
                 order by folded.asked_at, folded.approval_id limit 1) as next
             from doorbells where approval_id = $1 and folded_into is not null",
        )
        .bind(approval)
        .all()
        .await?;
    Ok(next.into_iter().flatten().collect())
}

const WAIT_FOR_OPEN: Sql = Sql::either(
    "select user_id from doorbells where user_id in (select unhex(value) from json_each($1)) and requester_id = $2
         and action_type = $3 and action_target = $4 and verdict is null and over_at is null and rung_at is not null order by user_id",
    "select user_id from doorbells where user_id in (select value::uuid from jsonb_array_elements_text($1)) and requester_id = $2
         and action_type = $3 and action_target = $4 and verdict is null and over_at is null and rung_at is not null
     order by user_id for share",
);

/// Waits for whoever is just ending a request alike: their end is known afterwards, or they will see what is folded.
pub(super) async fn wait_for_open(tx: &mut Tx<'_>, approval: &Approval, users: &[UserId]) -> Result<()> {
    tx.query(WAIT_FOR_OPEN)
        .bind(ids(users))
        .bind(approval.requester)
        .bind(&approval.action.kind)
        .bind(&approval.action.target)
        .all::<UserId>()
        .await?;
    Ok(())
}

/// A folded doorbell rings now; what else is folded there is folded into it.
pub(super) async fn ring(tx: &mut Tx<'_>, approval: &Approval, user: UserId, numbers: (i64, i64), now: Timestamp) -> Result<()> {
    tx.query(
        "update doorbells set rung_at = $3, user_ring = $4, requester_ring = $5, folded_into = null
         where approval_id = $1 and user_id = $2",
    )
    .bind(approval.id)
    .bind(user)
    .bind(now)
    .bind(numbers.0)
    .bind(numbers.1)
    .execute()
    .await?;
    tx.query(
        "update doorbells set folded_into = $1 where user_id = $2 and requester_id = $3 and action_type = $4 and action_target = $5
             and verdict is null and over_at is null and folded_into is not null",
    )
    .bind(approval.id)
    .bind(user)
    .bind(approval.requester)
    .bind(&approval.action.kind)
    .bind(&approval.action.target)
    .execute()
    .await?;
    Ok(())
}

// Freezes.

impl FromRow for Freeze {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            bot: row.get("bot_id")?,
            requester: row.get("requester_id")?,
            approval: row.get("approval_id")?,
            frozen_by: row.get("frozen_by")?,
            frozen_at: row.get("frozen_at")?,
        })
    }
}

/// Locks a bot until the transaction ends: reports of what it asks, and liftings, come one after the other.
pub(in crate::approvals) async fn lock_bot(tx: &mut Tx<'_>, bot: BotId) -> Result<()> {
    tx.query(Sql::either("select id from bots where id = $1", "select id from bots where id = $1 for no key update"))
        .bind(bot)
        .one::<BotId>()
        .await?;
    Ok(())
}

pub(super) async fn insert_freeze(tx: &mut Tx<'_>, freeze: &Freeze) -> Result<()> {
    tx.query("insert into freezes (id, bot_id, requester_id, approval_id, frozen_by, frozen_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(freeze.id)
        .bind(freeze.bot)
        .bind(freeze.requester)
        .bind(freeze.approval)
        .bind(freeze.frozen_by)
        .bind(freeze.frozen_at)
        .execute()
        .await?;
    Ok(())
}

/// What is frozen, the oldest first.
pub(super) async fn open(db: &mut Db<'_>) -> Result<Vec<Freeze>> {
    db.query("select * from freezes where lifted_at is null order by frozen_at, id").all().await
}

pub(super) async fn find_open(db: &mut Db<'_>, id: FreezeId) -> Result<Option<Freeze>> {
    db.query("select * from freezes where id = $1 and lifted_at is null").bind(id).optional().await
}

/// Lifts a freeze; `false` when somebody lifted it before.
pub(super) async fn lift(tx: &mut Tx<'_>, id: FreezeId, by: Actor, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update freezes set lifted_at = $2, lifted_by = $3 where id = $1 and lifted_at is null")
        .bind(id)
        .bind(now)
        .bind(Json(by))
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The people who reported what a bot asked, as far as no freeze that covers it was lifted since.
pub(super) async fn reporters(db: &mut Db<'_>, bot: BotId) -> Result<Vec<UserId>> {
    db.query(
        "select distinct answers.approver_id from answers join approvals on approvals.id = answers.approval_id
         where answers.verdict = 'report' and approvals.bot_id = $1
             and not exists (select 1 from freezes where freezes.bot_id = $1 and freezes.lifted_at > answers.answered_at
                 and (freezes.requester_id is null or freezes.requester_id = approvals.requester_id))
         order by answers.approver_id",
    )
    .bind(bot)
    .all()
    .await
}

/// What a bot asks that somebody is still to answer, or that is held; all of it, or what it asks for one person.
pub(super) async fn waiting(db: &mut Db<'_>, bot: BotId, requester: Option<UserId>) -> Result<Vec<ApprovalId>> {
    db.query(
        "select id from approvals where id in (select approval_id from doorbells where over_at is null) and state = 'pending'
             and bot_id = $1 and ($2 is null or requester_id = $2)
         union select id from approvals where state = 'pending' and holds_until is not null
             and bot_id = $1 and ($2 is null or requester_id = $2) order by id",
    )
    .bind(bot)
    .bind(requester)
    .all()
    .await
}

/// The administrators who have not left.
pub(super) async fn admins(db: &mut Db<'_>) -> Result<Vec<UserId>> {
    db.query("select id from users where role = 'admin' and removed_at is null order by id").all().await
}
