//! Who has the pager now, and who has to be told: looked at whenever a schedule or its overrides change, when the next hand-over is due,
//! and once a day.
//!
//! **Invariants**
//! - What is told is the difference between who has it and who was told last (`schedules.holder_id`), under the lock of the schedule: a
//!   look that comes late or twice tells nothing twice.
//! - There is always a next look.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::changing::record;
use super::roster::{REACH, Roster};
use super::words::Told;
use super::{Schedule, Schedules, store};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::{ScheduleId, UserId};
use crate::identity::{self, Call, Caller};
use crate::jobs::{self, Job, Kind};
use crate::journal::Actor;
use crate::oncall::{self, Span};
use crate::paging::service::Parts;
use crate::push::Category;

/// How long before it a gap is told.
const WARNING: Duration = Duration::from_hours(24);

/// The shortest of anything on a schedule.
const LEAST: Duration = Duration::from_secs(1);

/// At most so long after a look is the next one: people leave in between.
const LOOK_EVERY: Duration = Duration::from_hours(24);

/// How long it is news who has the pager.
const NEWS: Duration = Duration::from_hours(12);

/// A look this late is lost, not slow.
const OVERDUE: Duration = Duration::from_secs(30);

/// Who brought it about.
pub(super) struct By {
    pub(super) actor: Actor,
    /// Where in chat it was said.
    pub(super) origin: Option<Value>,
    /// The person on their own device, who need not be told what they did.
    person: Option<UserId>,
    /// Who others read that it was; none when it was the operator, or nobody.
    name: Option<String>,
}

impl By {
    pub(super) fn of(call: &Call) -> Self {
        let (person, name) = match (&call.caller, &call.heard) {
            (Caller::Person(person), _) => (Some(person.user.id), Some(person.user.name.as_str().to_owned())),
            // They are told all the same: a bot whose key was stolen may have said it without them.
            (Caller::Bot(bot), Some(heard)) => (None, Some(format!("{} via {}", heard.by.name.as_str(), bot.name.as_str()))),
            _ => (None, None),
        };
        Self { actor: call.actor(None), origin: call.origin(), person, name }
    }

    fn system() -> Self {
        Self { actor: Actor::System, origin: None, person: None, name: None }
    }

    pub(super) fn is(&self, user: UserId) -> bool {
        self.person == Some(user)
    }

    /// Who others read that it was.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("the operator")
    }
}

impl Schedules {
    /// The next hand-over of a schedule is due.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn hand_over(&self, id: ScheduleId, job: Job) -> db::Result<()> {
        let (now, parts) = (self.clock.now(), self.parts.clone());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(schedule) = store::lock(tx, id).await? else { return Ok(()) };
                    settle(tx, &parts, schedule, &By::system(), now).await.map(|_| ())
                })
            })
            .await
    }

    /// Looks at schedules that lost their next look, which only a buried job can bring about; how many there were.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn mend(&self) -> db::Result<usize> {
        let (now, queue) = (self.clock.now(), self.parts.queue.clone());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let lost = store::without_timer(tx, now.before(OVERDUE)).await?;
                    for id in &lost {
                        tracing::error!(schedule = %id, "a schedule had lost its hand-over; it is looked at now");
                        queue.enqueue(tx, Kind::HandOver, id.0, now).await?;
                    }
                    Ok(lost.len())
                })
            })
            .await
    }
}

/// Tells who came on and who went off since the last look, and of gaps that are near; sets the next look. Who was told that they have it.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    parts: &Parts,
    mut schedule: Schedule,
    by: &By,
    now: Timestamp,
) -> db::Result<Option<UserId>> {
    let roster = Roster::load(tx.db(), schedule.clone(), now.before(REACH)).await?;
    let told = hand_over(tx, parts, &mut schedule, &roster, by, now).await?;
    warn(tx, parts, &mut schedule, &roster, now).await?;
    let due = next_look(&roster, &schedule.gaps_told.near, now);
    let waits = schedule.hand_over_at.is_some_and(|at| at == due && at > now);
    schedule.hand_over_at = Some(due);
    store::handed_over(tx, &schedule).await?;
    if !waits {
        parts.queue.enqueue(tx, Kind::HandOver, schedule.id.0, due).await?;
    }
    Ok(told)
}

async fn hand_over(
    tx: &mut Tx<'_>,
    parts: &Parts,
    schedule: &mut Schedule,
    roster: &Roster,
    by: &By,
    now: Timestamp,
) -> db::Result<Option<UserId>> {
    let current = roster.stint_at(now, REACH);
    let (old, new) = (schedule.holder, current.who);
    if old == new {
        return Ok(None);
    }
    schedule.holder = new;
    let data = json!({"name": schedule.name, "from": old, "to": new, "until": current.until});
    record(tx, parts, now, by, "schedule.handed_over", schedule, data).await?;
    let words = told(roster, now);
    if let Some(user) = new.filter(|user| !by.is(*user)) {
        let given_by = by.name.as_deref();
        tell(tx, parts, schedule, user, words.comes_on(current.until, given_by), now).await?;
    }
    if let Some(user) = old.filter(|user| !by.is(*user)) {
        let next = new.map(|user| roster.person(user)).transpose()?;
        tell(tx, parts, schedule, user, words.goes_off(next.as_ref().map(|next| next.name.as_str())), now).await?;
    }
    Ok(new)
}

/// A gap that begins within a day or has begun.
struct Near {
    /// Its true beginning.
    from: Timestamp,
    /// Whether the schedule was made so.
    by_hours: bool,
}

/// The gaps that are near are told once each to the schedule's team; without one to whoever takes turns.
async fn warn(tx: &mut Tx<'_>, parts: &Parts, schedule: &mut Schedule, roster: &Roster, now: Timestamp) -> db::Result<()> {
    let before = std::mem::take(&mut schedule.gaps_told);
    schedule.gaps_told.hours = before.hours;
    for Near { from, by_hours } in gaps_near(roster, now) {
        let known = before.near.contains(&from) || (by_hours && schedule.gaps_told.hours);
        schedule.gaps_told.near.push(from);
        schedule.gaps_told.hours |= by_hours;
        if known {
            continue;
        }
        let until = roster.stint_at(from.max(now), REACH).until;
        let data = json!({"name": schedule.name, "from": from, "until": until, "by_hours": by_hours});
        record(tx, parts, now, &By::system(), "schedule.gap_found", schedule, data).await?;
        for user in watchers(tx.db(), schedule, roster).await? {
            tell(tx, parts, schedule, user, told(roster, now).gap(from, until, by_hours), now).await?;
        }
    }
    Ok(())
}

fn gaps_near(roster: &Roster, now: Timestamp) -> Vec<Near> {
    // A little more, so that a look a whole day before a gap sees it.
    let Some(near) = Span::new(now, now.after(WARNING + LEAST)) else { return Vec::new() };
    let gap = |gap: Span| {
        let begun = || roster.stint_at(now, REACH).since.unwrap_or(gap.from);
        Near { from: if gap.from > now { gap.from } else { begun() }, by_hours: roster.calculated.is_outside_hours(gap) }
    };
    roster.gaps(near).into_iter().map(gap).collect()
}

/// Who hears of gaps.
async fn watchers(db: &mut Db<'_>, schedule: &Schedule, roster: &Roster) -> db::Result<BTreeSet<UserId>> {
    Ok(match schedule.team {
        None => roster.takers(),
        Some(team) => identity::team_members(db, team).await?.into_iter().map(|user| user.id).collect(),
    })
}

/// The next hand-over, or a day before the next gap that nobody was told of, or in a day.
fn next_look(roster: &Roster, gaps_told: &[Timestamp], now: Timestamp) -> Timestamp {
    let (latest, horizon) = (now.after(LOOK_EVERY), now.after(LOOK_EVERY + WARNING));
    let Some(ahead) = Span::new(now, horizon) else { return latest };
    let stints = roster.stints(ahead);
    let hand_over = stints.get(1).map(|next| next.span.from);
    let gaps = stints.iter().filter(|stint| stint.who.is_none() && !gaps_told.contains(&stint.span.from));
    let warnings = gaps.map(|gap| gap.span.from.before(WARNING)).filter(|at| *at > now);
    hand_over.into_iter().chain(warnings).chain([latest]).min().unwrap_or(latest)
}

/// A schedule was removed: whoever had the pager has it no more.
pub(super) async fn ended(tx: &mut Tx<'_>, parts: &Parts, schedule: &Schedule, by: &By, now: Timestamp) -> db::Result<()> {
    let Some(user) = schedule.holder.filter(|user| !by.is(*user)) else { return Ok(()) };
    let zone = oncall::zone(&schedule.zone).map_err(|error| db::Error::inconsistent("schedules", schedule.id, error))?;
    let words = Told { name: schedule.name.as_str(), zone: &zone, now }.removed();
    tell(tx, parts, schedule, user, words, now).await
}

pub(super) fn told(roster: &Roster, now: Timestamp) -> Told<'_> {
    Told { name: roster.schedule.name.as_str(), zone: &roster.calculated.zone, now }
}

/// One quiet push.
pub(super) async fn tell(
    tx: &mut Tx<'_>,
    parts: &Parts,
    schedule: &Schedule,
    user: UserId,
    words: Words,
    now: Timestamp,
) -> db::Result<()> {
    let content = Content {
        category: Category::Notice,
        high: false,
        words,
        full: None,
        path: format!("/schedules/{}", schedule.name.as_str()),
        subject: schedule.id.to_string(),
        reference: None,
    };
    let notice = Notice { user, subject: schedule.id.0, round: 1, content, expires_at: now.after(NEWS), replaces: None };
    parts.delivery.notify(tx, notice, now).await.map(|_| ())
}
