//! `/v1/on-call`, and shifts: who is on call now, next, and when nobody is.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::Read;
use super::input::{Path, Query};
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::OverrideId;
use crate::identity::Handle;
use crate::oncall::Span;
use crate::paging::schedules::{Asked, Because, MyShift, OnCall, ShiftView};

/// What shifts are shown of unless it is said until when.
const FOUR_WEEKS: Duration = Duration::from_hours(24 * 28);

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/on-call",
            get_with(on_call, |op| {
                op.id("getOnCall").tag("schedules").summary("Who is on call now, who is next, and when nobody is").description(
                    "By every schedule, by name, or by those that are asked for. For people, bots with `incidents:read`, and the operator.",
                )
            }),
        )
        .api_route(
            "/v1/schedules/{name}/shifts",
            get_with(shifts, |op| {
                op.id("listShifts").tag("schedules").summary("Who is on call from when until when").description(
                    "One shift after the other without holes; one without `who` is a gap. The first and the last are cut off where the \
                     asked time ends.",
                )
            }),
        )
        .api_route("/v1/me/shifts", get_with(mine, |op| op.id("listMyShifts").tag("me").summary("When I am on call")))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnCallQuery {
    /// By this schedule alone.
    #[serde(default)]
    schedule: Option<Handle>,
    /// By the schedules of this team alone.
    #[serde(default)]
    team: Option<Handle>,
    /// When; now when it is left out.
    #[serde(default)]
    at: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShiftsQuery {
    /// From when; from now on when it is left out.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Until when, at most 366 days later; four weeks later when it is left out.
    #[serde(default)]
    until: Option<Timestamp>,
}

impl ShiftsQuery {
    fn span(&self, now: Timestamp) -> Result<Span, Problem> {
        let from = self.from.unwrap_or(now);
        let until = self.until.unwrap_or_else(|| from.after(FOUR_WEEKS));
        Span::new(from, until).ok_or_else(|| Problem::field("until", "must be later than `from`"))
    }
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    /// The schedule's name.
    name: Handle,
}

#[derive(Serialize, JsonSchema)]
struct OnCallList {
    /// When this is so.
    at: Timestamp,
    schedules: Vec<OnCallBody>,
}

/// Who is on call by a schedule.
#[derive(Serialize, JsonSchema)]
struct OnCallBody {
    schedule: Handle,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    zone: String,
    /// Who is on call; absent in a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<DutyBody>,
    /// Who comes next; absent when nobody does within two months.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextBody>,
    /// When nobody is on call, in the seven days from then on.
    gaps: Vec<GapBody>,
    /// The escalation policies that name it.
    policies: Vec<Handle>,
}

/// Somebody who is on call.
#[derive(Serialize, JsonSchema)]
struct DutyBody {
    who: Person,
    #[serde(flatten)]
    why: WhyBody,
    /// Since when; absent when that is more than two months ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Until when; absent when that is more than two months away.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Why somebody is on call: by their turn in a layer, or by an override.
#[derive(Default, Serialize, JsonSchema)]
struct WhyBody {
    /// The name of the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#override: Option<OverrideId>,
    /// The name of who made the override.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    /// In whose place alone the override is.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<Person>,
}

#[derive(Serialize, JsonSchema)]
struct NextBody {
    who: Person,
    from: Timestamp,
}

/// Nobody is on call.
#[derive(Serialize, JsonSchema)]
struct GapBody {
    from: Timestamp,
    until: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct ShiftList {
    schedule: Handle,
    zone: String,
    shifts: Vec<ShiftBody>,
}

/// Who is on call, from when until when.
#[derive(Serialize, JsonSchema)]
struct ShiftBody {
    from: Timestamp,
    until: Timestamp,
    /// Who; absent in a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Person>,
    #[serde(flatten)]
    why: WhyBody,
}

#[derive(Serialize, JsonSchema)]
struct MyShiftList {
    shifts: Vec<MyShiftBody>,
}

/// A shift of the person who asks.
#[derive(Serialize, JsonSchema)]
struct MyShiftBody {
    schedule: Handle,
    from: Timestamp,
    until: Timestamp,
    #[serde(flatten)]
    why: WhyBody,
}

impl From<&Because> for WhyBody {
    fn from(why: &Because) -> Self {
        match why {
            Because::Layer(name) => Self { layer: Some(name.clone()), ..Self::default() },
            Because::Override { id, by, instead_of } => Self {
                r#override: Some(*id),
                made_by: Some(by.clone()),
                instead_of: instead_of.as_ref().map(Person::from),
                ..Self::default()
            },
        }
    }
}

impl From<OnCall> for OnCallBody {
    fn from(on_call: OnCall) -> Self {
        let now = on_call.now.map(|duty| DutyBody {
            who: (&duty.who).into(),
            why: (&duty.why).into(),
            since: duty.since,
            until: duty.until,
        });
        Self {
            schedule: on_call.schedule,
            team: on_call.team,
            zone: on_call.zone,
            now,
            next: on_call.next.map(|(who, from)| NextBody { who: (&who).into(), from }),
            gaps: on_call.gaps.iter().map(|gap| GapBody { from: gap.from, until: gap.until }).collect(),
            policies: on_call.policies,
        }
    }
}

impl From<ShiftView> for ShiftBody {
    fn from(shift: ShiftView) -> Self {
        let (who, why) = shift.who.unzip();
        Self {
            from: shift.span.from,
            until: shift.span.until,
            who: who.as_ref().map(Person::from),
            why: why.as_ref().map(WhyBody::from).unwrap_or_default(),
        }
    }
}

impl From<MyShift> for MyShiftBody {
    fn from(mine: MyShift) -> Self {
        let (span, why) = (mine.shift.span, mine.shift.who.map(|(_, why)| why));
        let why = why.as_ref().map(WhyBody::from).unwrap_or_default();
        Self { schedule: mine.schedule, from: span.from, until: span.until, why }
    }
}

async fn on_call(
    Extract(app): Extract<State>,
    Query(query): Query<OnCallQuery>,
    Read(call): Read,
) -> Result<Json<OnCallList>, Problem> {
    let asked = Asked { schedule: query.schedule, team: query.team, at: query.at };
    let (at, schedules) = app.schedules.on_call(&call, asked).await?;
    Ok(Json(OnCallList { at, schedules: schedules.into_iter().map(OnCallBody::from).collect() }))
}

async fn shifts(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Query(query): Query<ShiftsQuery>,
    Read(call): Read,
) -> Result<Json<ShiftList>, Problem> {
    let within = query.span(app.clock.now())?;
    let (view, shifts) = app.schedules.shifts(&call, name, within).await?;
    let shifts = shifts.into_iter().map(ShiftBody::from).collect();
    Ok(Json(ShiftList { schedule: view.schedule.name, zone: view.schedule.zone, shifts }))
}

async fn mine(
    Extract(app): Extract<State>,
    Query(query): Query<ShiftsQuery>,
    Read(call): Read,
) -> Result<Json<MyShiftList>, Problem> {
    let within = query.span(app.clock.now())?;
    let shifts = app.schedules.my_shifts(&call, within).await?.into_iter().map(MyShiftBody::from).collect();
    Ok(Json(MyShiftList { shifts }))
}
