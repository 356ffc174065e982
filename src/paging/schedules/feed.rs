//! Calendars of shifts, read by an address that is a capability: no other credentials, for calendar programs have none.

use std::time::Duration;

use serde_json::json;

use super::calendar::{Event, calendar};
use super::changing::unknown;
use super::looking::aside;
use super::roster::Roster;
use super::{Because, Error, Refused, Schedules, store};
use crate::clock::Timestamp;
use crate::db;
use crate::id::{CalendarFeedId, ScheduleId, UserId};
use crate::identity::{Call, Handle};
use crate::journal::{Actor, Entry};
use crate::oncall::{Span, Stint};
use crate::secret::{Secret, b64u, random, tagged_sha256};

/// More calendars of one person than this are a mistake.
pub(super) const MAX: usize = 50;

/// From how long ago, and until how far ahead, a calendar has shifts; and how many.
const BEHIND: Duration = Duration::from_hours(24 * 31);
const AHEAD: Duration = Duration::from_hours(24 * 183);
const MOST: usize = 2_000;

/// How far back the beginning of a shift is looked for, so that it has one name however often the calendar is fetched.
const REACH: Duration = Duration::from_hours(24 * 400);

/// A calendar that is read by its address.
#[derive(Clone, Debug)]
pub struct CalendarFeed {
    /// Its id.
    pub id: CalendarFeedId,
    /// Whose it is.
    pub(super) user: UserId,
    /// Of which schedule; of all shifts of its owner when there is none.
    pub(super) schedule: Option<ScheduleId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A calendar, by names.
#[derive(Clone, Debug)]
pub struct FeedView {
    /// The calendar.
    pub feed: CalendarFeed,
    /// The schedule's name; none of a calendar of all shifts of its owner, nor once the schedule was removed.
    pub schedule: Option<Handle>,
}

/// What a calendar says now: `text/calendar` (RFC 5545).
#[derive(Debug)]
pub struct Calendar(pub String);

fn digest(capability: &str) -> [u8; 32] {
    tagged_sha256("phoneops.calendar.v1", capability.as_bytes())
}

impl Schedules {
    /// Makes a calendar of a schedule, or of all shifts of the caller. Its address is returned once; a repeated call learns which calendar
    /// it made and no address.
    ///
    /// # Errors
    /// When the caller is not a person; [`Refused::NotFound`], [`Refused::TooManyFeeds`].
    pub async fn add_feed(&self, call: &Call, schedule: Option<Handle>) -> Result<(FeedView, Option<Secret>), Error> {
        let user = call.established()?.user.id;
        let (now, journal, actor) = (self.clock.now(), self.parts.journal.clone(), call.actor(None));
        let (capability, id) = (b64u(random::<32>()), CalendarFeedId::new(now));
        let sha256 = digest(&capability);
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if store::feeds(tx.db(), user).await?.len() >= MAX {
                    return Err(Refused::TooManyFeeds.into());
                }
                let of = match &schedule {
                    None => None,
                    Some(name) => Some(store::find_named(tx.db(), name).await?.ok_or_else(|| unknown(name))?.id),
                };
                store::insert_feed(tx, &CalendarFeed { id, user, schedule: of, created_at: now }, sha256).await?;
                let data = json!({"user": user, "schedule": of});
                journal.append(tx, now, entry("calendar_feed.created", actor, id, data)).await?;
                Ok::<_, Error>(id)
            })
        });
        let made = made.await?;
        let found = self.feeds(call).await?.into_iter().find(|view| view.feed.id == made);
        let view = found.ok_or_else(|| Refused::NotFound(made.to_string()))?;
        let address = format!("{}/calendar/{capability}.ics", self.issuer);
        Ok((view, (made == id).then(|| Secret::new(address))))
    }

    /// The caller's calendars, the oldest first.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn feeds(&self, call: &Call) -> Result<Vec<FeedView>, Error> {
        let user = call.person()?.user.id;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let mut views = Vec::new();
                    for feed in store::feeds(db, user).await? {
                        let schedule = match feed.schedule {
                            None => None,
                            Some(id) => store::find(db, id).await?.map(|schedule| schedule.name),
                        };
                        views.push(FeedView { feed, schedule });
                    }
                    Ok(views)
                })
            })
            .await
    }

    /// Ends a calendar: its address is good for nothing from now on.
    ///
    /// # Errors
    /// For its owner and administrators; [`Refused::NotFound`].
    pub async fn revoke_feed(&self, call: &Call, id: CalendarFeedId) -> Result<(), Error> {
        let owner = call.person().ok().map(|person| person.user.id);
        let is_admin = call.admin();
        if owner.is_none() {
            is_admin.clone()?;
        }
        let (now, journal, actor) = (self.clock.now(), self.parts.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let gone = || Refused::NotFound(id.to_string());
                let feed = store::find_feed(tx.db(), id).await?.ok_or_else(gone)?;
                // Another's is not even told to be there.
                if owner != Some(feed.user) && is_admin.is_err() {
                    return Err(gone().into());
                }
                if !store::revoke_feed(tx, id, now).await? {
                    return Err(gone().into());
                }
                Ok(journal.append(tx, now, entry("calendar_feed.revoked", actor, id, json!({"user": feed.user}))).await?)
            })
        })
        .await
    }

    /// What the calendar of that capability says.
    ///
    /// # Errors
    /// [`Refused::NotFound`] when there is none, it was revoked, or its owner left.
    pub async fn calendar(&self, capability: &str) -> Result<Calendar, Error> {
        let (now, sha256, issuer) = (self.clock.now(), digest(capability), self.issuer.clone());
        let loaded: Result<(String, Vec<Roster>, Option<UserId>), Error> = self
            .store
            .scan(move |db| {
                Box::pin(async move {
                    let gone = || Refused::NotFound("calendar at this address".to_owned());
                    let feed = store::feed_at(db, sha256).await?.ok_or_else(gone)?;
                    let (name, schedules) = match feed.schedule {
                        None => ("On call".to_owned(), store::list(db).await?),
                        Some(id) => {
                            let schedule = store::find(db, id).await?.ok_or_else(gone)?;
                            (format!("On call: {}", schedule.name.as_str()), vec![schedule])
                        }
                    };
                    let only = feed.schedule.is_none().then_some(feed.user);
                    let rosters = Roster::load_all(db, schedules, now.before(BEHIND).before(REACH)).await?;
                    Ok((name, rosters, only))
                })
            })
            .await;
        let (name, rosters, only) = loaded?;
        Ok(aside(move || Ok(Calendar(calendar(&name, &events(&rosters, only, &issuer, now)?)))).await?)
    }

    /// How many calendars may be read by their address.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn count_feeds(&self) -> db::Result<i64> {
        self.store.look(|db| Box::pin(store::count_feeds(db))).await
    }
}

fn entry(kind: &'static str, actor: Actor, id: CalendarFeedId, data: serde_json::Value) -> Entry {
    Entry { kind, actor, subject: id.to_string(), data }
}

/// The shifts of these schedules, of one person or of everybody, in the order of time.
fn events(rosters: &[Roster], only: Option<UserId>, issuer: &str, now: Timestamp) -> db::Result<Vec<Event>> {
    let Some(within) = Span::new(now.before(BEHIND), now.after(AHEAD)) else { return Ok(Vec::new()) };
    let mut events = Vec::new();
    for roster in rosters.iter().filter(|roster| only.is_none_or(|user| roster.has(user))) {
        for stint in roster.stints(within) {
            let Some(user) = stint.who.filter(|user| only.is_none_or(|only| only == *user)) else { continue };
            events.push(event(roster, whole(roster, &stint, within), user, issuer)?);
        }
    }
    events.sort_by_key(|event| event.span.from);
    events.truncate(MOST);
    Ok(events)
}

/// A stint with its own ends, of which `within` may have cut one off; without a beginning when it began before anybody can tell.
fn whole(roster: &Roster, stint: &Stint<UserId>, within: Span) -> (Stint<UserId>, Option<Timestamp>) {
    let mut whole = stint.clone();
    if stint.span.from > within.from && stint.span.until < within.until {
        return (whole, Some(stint.span.from));
    }
    let ends = roster.stint_at(stint.span.from, REACH);
    whole.span.from = ends.since.unwrap_or(stint.span.from);
    whole.span.until = ends.until.unwrap_or(stint.span.until);
    (whole, ends.since)
}

fn event(roster: &Roster, (stint, since): (Stint<UserId>, Option<Timestamp>), user: UserId, issuer: &str) -> db::Result<Event> {
    let (name, person) = (roster.schedule.name.as_str(), roster.person(user)?);
    let began = since.map_or_else(|| "always".to_owned(), |at| at.as_seconds().to_string());
    let host = issuer.split_once("://").map_or(issuer, |(_, host)| host);
    let why = match stint.why.map(|why| roster.because(why)).transpose()? {
        Some(Because::Layer(layer)) => layer,
        Some(Because::Override { by, .. }) => format!("override by {by}"),
        None => String::new(),
    };
    Ok(Event {
        uid: format!("{}-{began}-{}@{host}", roster.schedule.id.0.simple(), user.0.simple()),
        span: stint.span,
        summary: format!("On call for {name}: {}", person.name.as_str()),
        description: why,
        changed_at: roster.schedule.changed_at,
    })
}
