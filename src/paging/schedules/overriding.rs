//! Somebody takes the pager for a while: for themselves or for another, in anybody's place or, as in a swap, in one person's.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::tz::TimeZone;
use serde_json::json;

use super::changing::{person_meant, record, unknown};
use super::hand_over::{self, By, told};
use super::roster::{REACH, Roster};
use super::{Error, Override, Refused, Schedule, Schedules, invalid, store};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{OverrideId, TeamId, UserId};
use crate::identity::{self, Call, Caller, Handle, Role, Scope, User};
use crate::oncall::{self, Span};
use crate::paging::service::Parts;

/// More overrides of one schedule than this, over ones apart, are a mistake.
pub(super) const MAX: i64 = 1_000;

/// The shortest, and the longest.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Clocks of callers may be this far behind.
const LATE: Duration = Duration::from_secs(60);

/// An override as people ask for it.
#[derive(Clone, Debug)]
pub struct NewOverride {
    /// Who takes the pager: `@handle` or `usr_…`; the caller when it is left out.
    pub user: Option<String>,
    /// In whose place alone; in anybody's when it is left out.
    pub instead_of: Option<String>,
    /// From when: with an offset, or by the wall clock of the schedule; from now on when it is left out.
    pub from: Option<String>,
    /// Until when.
    pub until: Until,
}

/// When an override ends.
#[derive(Clone, Debug)]
pub enum Until {
    /// Then: with an offset, or by the wall clock of the schedule.
    At(String),
    /// After that long: `60m`, `2h 30m`, `1 day`.
    For(String),
}

/// An override, by name.
#[derive(Clone, Debug)]
pub struct OverrideView {
    /// Its id.
    pub id: OverrideId,
    /// Who takes the pager.
    pub user: User,
    /// In whose place alone.
    pub instead_of: Option<User>,
    /// When.
    pub span: Span,
    /// The name of who made it.
    pub by: String,
}

/// Who may give away the pager of a schedule.
enum May {
    /// Administrators: of every schedule.
    All,
    /// Somebody who has to be in its team or on it.
    Person(UserId),
}

impl May {
    fn of(call: &Call) -> Result<Self, Error> {
        match &call.caller {
            Caller::Person(_) => {
                let person = call.established()?;
                Ok(if person.user.role == Role::Admin { Self::All } else { Self::Person(person.user.id) })
            }
            _ => match call.speaks_for(Scope::IncidentsWrite)? {
                Some(user) if user.role == Role::Admin => Ok(Self::All),
                Some(user) => Ok(Self::Person(user.id)),
                None => Ok(call.admin().map(|()| Self::All)?),
            },
        }
    }

    /// Whether they may, of this schedule.
    async fn of_this(&self, db: &mut Db<'_>, roster: &Roster, own: Option<UserId>) -> Result<(), Error> {
        let Self::Person(user) = self else { return Ok(()) };
        let member = match roster.schedule.team {
            None => false,
            Some(team) => is_member(db, team, *user).await?,
        };
        let may = member || roster.takers().contains(user) || own == Some(*user);
        if may { Ok(()) } else { Err(Refused::NotTheirs(roster.schedule.name.clone()).into()) }
    }
}

async fn is_member(db: &mut Db<'_>, team: TeamId, user: UserId) -> db::Result<bool> {
    Ok(identity::team_members(db, team).await?.iter().any(|member| member.id == user))
}

impl Schedules {
    /// Gives the pager to somebody for a while. Who gets it from somebody else is told, and so is whoever gives it away.
    ///
    /// # Errors
    /// For administrators, members of the schedule's team and the people on it; [`Refused`].
    pub async fn override_it(&self, call: &Call, name: Handle, new: NewOverride) -> Result<OverrideView, Error> {
        let may = May::of(call)?;
        let (now, parts, by, caller) = (self.clock.now(), self.parts.clone(), By::of(call), person(call));
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let schedule = store::lock_named(tx, &name).await?.ok_or_else(|| unknown(&name))?;
                let roster = Roster::load(tx.db(), schedule.clone(), now.before(REACH)).await?;
                may.of_this(tx.db(), &roster, None).await?;
                if store::counted_overrides(tx.db(), schedule.id, now.before(REACH)).await? >= MAX {
                    return Err(Refused::TooManyOverrides.into());
                }
                let over = meant(tx.db(), &schedule, &new, (caller, &by), now).await?;
                make(tx, &parts, schedule, &over, &by, now).await?;
                Ok((over.schedule, over.id))
            })
        });
        let (schedule, id) = made.await?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let gone = || Refused::NotFound(id.to_string());
                    let schedule = store::find(db, schedule).await?.ok_or_else(gone)?;
                    let over = store::find_override(db, schedule.id, id).await?.ok_or_else(gone)?;
                    let roster = Roster::load(db, schedule, over.span.from).await?;
                    let found = roster.overrides.iter().find(|over| over.id == id).ok_or_else(gone)?;
                    Ok(roster.view(found)?)
                })
            })
            .await
    }

    /// Takes an override back, or ends it when it has begun. Whoever loses the pager by it is told.
    ///
    /// # Errors
    /// For the same people, and for whoever it gives the pager to; [`Refused`].
    pub async fn end_override(&self, call: &Call, name: Handle, id: OverrideId) -> Result<(), Error> {
        let may = May::of(call)?;
        let (now, parts, by) = (self.clock.now(), self.parts.clone(), By::of(call));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let mut schedule = store::lock_named(tx, &name).await?.ok_or_else(|| unknown(&name))?;
                let over = store::find_override(tx.db(), schedule.id, id).await?;
                let over = over.ok_or_else(|| Refused::NotFound(id.to_string()))?;
                let roster = Roster::load(tx.db(), schedule.clone(), now.before(REACH)).await?;
                may.of_this(tx.db(), &roster, Some(over.user)).await?;
                if over.span.until <= now {
                    return Err(Refused::Over.into());
                }
                let has_begun = over.span.from < now;
                if has_begun { store::end_override(tx, id, now).await } else { store::remove_override(tx, id, now).await }?;
                let kind = if has_begun { "override.ended" } else { "override.removed" };
                record(tx, &parts, now, &by, kind, &schedule, data(&schedule, &over)).await?;
                schedule.changed_at = schedule.changed_at.max(now);
                hand_over::settle(tx, &parts, schedule.clone(), &by, now).await?;
                if over.span.from > now && !by.is(over.user) {
                    let words = told(&roster, now).taken_back(over.span, by.name());
                    hand_over::tell(tx, &parts, &schedule, over.user, words, now).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

impl Roster {
    pub(super) fn view(&self, over: &Override) -> db::Result<OverrideView> {
        Ok(OverrideView {
            id: over.id,
            user: self.person(over.user)?,
            instead_of: over.instead_of.map(|user| self.person(user)).transpose()?,
            span: over.span,
            by: self.maker(over)?,
        })
    }
}

fn person(call: &Call) -> Option<UserId> {
    let heard = call.heard.as_ref().map(|heard| heard.by.id);
    call.person().ok().map(|person| person.user.id).or(heard)
}

/// What was asked for, with everybody by their id and both ends as instants.
async fn meant(
    db: &mut Db<'_>,
    schedule: &Schedule,
    new: &NewOverride,
    (caller, by): (Option<UserId>, &By),
    now: Timestamp,
) -> Result<Override, Error> {
    let user = match (&new.user, caller) {
        (Some(user), _) => person_meant(db, user, "user").await?,
        (None, Some(caller)) => caller,
        (None, None) => return Err(invalid("user", "is missing: say who takes the pager").into()),
    };
    let instead_of = match &new.instead_of {
        None => None,
        Some(other) => Some(person_meant(db, other, "instead_of").await?),
    };
    if instead_of == Some(user) {
        return Err(invalid("instead_of", "is the person who takes the pager").into());
    }
    let zone = oncall::zone(&schedule.zone).map_err(|error| db::Error::inconsistent("schedules", schedule.id, error))?;
    Ok(Override {
        id: OverrideId::new(now),
        schedule: schedule.id,
        user,
        instead_of,
        span: span(new, &zone, now)?,
        made_by: by.actor,
        // Later ones win, also those of another node, whose clock may be a little behind.
        created_at: now.max(schedule.changed_at.after(Duration::from_micros(1))),
    })
}

/// From when until when.
fn span(new: &NewOverride, zone: &TimeZone, now: Timestamp) -> Result<Span, Refused> {
    let from = match &new.from {
        None => now,
        Some(text) => oncall::moment("from", text, zone)?,
    };
    if from < now.before(LATE) {
        return Err(invalid("from", "is in the past: leave it out for from now on"));
    }
    let from = from.max(now);
    let (field, until) = match &new.until {
        Until::At(text) => ("until", oncall::moment("until", text, zone)?),
        Until::For(text) => ("for", from.after(length(text)?)),
    };
    if until < from.after(SHORTEST) {
        return Err(invalid(field, "is not a minute after its beginning"));
    }
    if until > from.after(LONGEST) {
        return Err(invalid(field, "may be at most 366 days after its beginning"));
    }
    Span::new(from, until).ok_or_else(|| invalid(field, "is not after its beginning"))
}

/// `60m`, `2h 30m`, `1 day`: a day is 24 hours.
fn length(text: &str) -> Result<Duration, Refused> {
    let wrong = || invalid("for", "is not a length like \"60m\", \"2h 30m\" or \"1 day\"");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| wrong())
}

fn data(schedule: &Schedule, over: &Override) -> serde_json::Value {
    json!({
        "override": over.id, "name": schedule.name, "user": over.user, "instead_of": over.instead_of,
        "from": over.span.from, "until": over.span.until,
    })
}

async fn make(
    tx: &mut Tx<'_>,
    parts: &Parts,
    mut schedule: Schedule,
    over: &Override,
    by: &By,
    now: Timestamp,
) -> Result<(), Error> {
    store::insert_override(tx, over).await?;
    record(tx, parts, now, by, "override.created", &schedule, data(&schedule, over)).await?;
    schedule.changed_at = over.created_at;
    let has_it = hand_over::settle(tx, parts, schedule.clone(), by, now).await?;
    if !by.is(over.user) && has_it != Some(over.user) {
        let roster = Roster::load(tx.db(), schedule.clone(), now).await?;
        let words = told(&roster, now).given(over.span, by.name());
        hand_over::tell(tx, parts, &schedule, over.user, words, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Option<&str>, until: Until) -> Result<(String, String), String> {
        let new = NewOverride { user: None, instead_of: None, from: from.map(str::to_owned), until };
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        match span(&new, &zone, now) {
            Ok(span) => Ok((span.from.to_string(), span.until.to_string())),
            Err(Refused::Invalid { field, why }) => Err(format!("{field} {why}")),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_override_is_asked_for_as_people_say_it() {
        let held = |until: &str| Until::For(until.into());
        let to = |until: &str| Ok(("2026-11-23T12:00:00Z".to_owned(), until.to_owned()));
        assert_eq!(asked(None, held("60m")), to("2026-11-23T13:00:00Z"));
        assert_eq!(asked(None, held("2h 30m")), to("2026-11-23T14:30:00Z"));
        assert_eq!(asked(None, held("1 day")), to("2026-11-24T12:00:00Z"));
        assert_eq!(asked(Some("2026-11-23T11:59:30Z"), held("PT60M")), to("2026-11-23T13:00:00Z"), "a clock that is behind");
        let wall = asked(Some("2026-11-24T18:00"), Until::At("2026-11-25T09:00".into()));
        assert_eq!(wall, Ok(("2026-11-24T17:00:00Z".to_owned(), "2026-11-25T08:00:00Z".to_owned())));
        for (from, until, said) in [
            (None, held("soon"), "for is not a length"),
            (None, held("-60m"), "for is not a length"),
            (None, held("30s"), "for is not a minute"),
            (None, held("400d"), "for may be at most 366 days"),
            (Some("2026-11-23T12:00"), held("60m"), "from is in the past"),
            (Some("noon"), held("60m"), "from is not a time"),
            (Some("2026-11-25T12:00"), Until::At("2026-11-24T12:00".into()), "until is not a minute"),
        ] {
            let error = asked(from, until).unwrap_err();
            assert!(error.starts_with(said), "{said}: {error}");
        }
    }
}
