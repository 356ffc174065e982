//! `/v1/teams`: people who are paged and who approve together.

use aide::axum::ApiRouter;
use aide::axum::routing::{post_with, put_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, DoneOrWaits, NoContent};
use super::people::Person;
use super::problem::Problem;
use crate::approvals::policies::Changed;
use crate::clock::Timestamp;
use crate::id::TeamId;
use crate::identity::{Handle, Team, User, UserRef};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/teams",
            post_with(create, |op| op.id("createTeam").tag("teams").summary("Make a team"))
                .get_with(list, |op| op.id("listTeams").tag("teams").summary("The teams with their members, both by name")),
        )
        .api_route(
            "/v1/teams/{team}/members/{user}",
            put_with(add, |op| {
                op.id("addMember").tag("teams").summary("Add somebody to a team").description(
                    "204 when it was done, also when they were a member before. 202 with an act when a policy names the team: then more \
                     people could approve, which an administrator confirms with a passkey (`/v1/acts`).",
                )
            })
            .delete_with(remove, |op| op.id("removeMember").tag("teams").summary("Take somebody out of a team")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// 2 to 32 of `a–z 0–9 . _ -`, starting with a letter.
    name: Handle,
}

/// A team.
#[derive(Serialize, JsonSchema)]
struct TeamBody {
    id: TeamId,
    name: Handle,
    members: Vec<Person>,
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct List {
    teams: Vec<TeamBody>,
}

impl TeamBody {
    fn of(team: Team, members: &[User]) -> Self {
        Self { id: team.id, name: team.name, members: members.iter().map(Person::from).collect(), created_at: team.created_at }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Membership {
    /// The team's name.
    team: Handle,
    /// `usr_…` or `@handle`.
    user: UserRef,
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<TeamBody>, Problem> {
    Ok(Created(TeamBody::of(app.identity.create_team(&call, body.name).await?, &[])))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let teams = app.identity.teams(&call).await?.into_iter().map(|(team, members)| TeamBody::of(team, &members)).collect();
    Ok(Json(List { teams }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddRequest {}

async fn add(
    Extract(app): Extract<State>,
    Path(Membership { team, user }): Path<Membership>,
    Write(call, AddRequest {}): Write<AddRequest>,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    Ok(match app.policies.add_member(&call, team, user).await? {
        Changed::Made(()) => DoneOrWaits::Done,
        Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
    })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(Membership { team, user }): Path<Membership>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.policies.remove_member(&call, team, user).await?;
    Ok(NoContent)
}
