//! `/v1/users`: people, made and removed by administrators.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::away::AwayBody;
use super::caller::{Read, Write};
use super::enrollments::CodeBody;
use super::input::Path;
use super::output::{MadeOrWaits, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::delivery::{Reach, is_ready};
use crate::id::UserId;
use crate::identity::{Caller, Handle, PersonName, Role, User, UserRef};
use crate::push::MailAddress;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/users",
            post_with(create, |op| {
                op.id("createUser")
                    .tag("users")
                    .summary("Make a person")
                    .description("Another administrator waits for an administrator's passkey, except from the operator.")
            })
                .get_with(list, |op| op.id("listUsers").tag("users").summary("The people, by handle")),
        )
        .api_route(
            "/v1/users/{user}/recover",
            post_with(recover, |op| {
                op.id("recoverUser")
                    .tag("users")
                    .summary("A code for the new device of somebody who has none that they can use")
                    .description("Waits for another administrator's passkey, except from the operator. The device decides nothing for a day.")
            }),
        )
        .api_route(
            "/v1/users/{user}",
            delete_with(remove, |op| {
                op.id("removeUser").tag("users").summary("Remove a person: they may do nothing from now on")
            })
            .get_with(find, |op| op.id("getUser").tag("users").summary("A person, and whether a page would reach them")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    handle: Handle,
    name: PersonName,
    #[serde(default)]
    role: Role,
    /// Where they read e-mail.
    #[serde(default)]
    email: Option<MailAddress>,
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

/// A person.
#[derive(Serialize, JsonSchema)]
pub(super) struct UserBody {
    id: UserId,
    handle: Handle,
    name: PersonName,
    role: Role,
    /// Where they read e-mail, the channel of last resort; absent while nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<MailAddress>,
    created_at: Timestamp,
}

/// A person, and what they have to be reached on and to approve with.
#[derive(Serialize, JsonSchema)]
struct ReachBody {
    #[serde(flatten)]
    user: UserBody,
    /// How many of their devices a push can be sent to. Without any, no page reaches them.
    push_devices: usize,
    /// How many passkeys they could approve with.
    passkeys: usize,
    /// Whether a phone of theirs said within the last 30 days that a push came: `POST /v1/me/test-page` asks for one.
    ready: bool,
    /// When one last said so, to within an hour; absent when none ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<Timestamp>,
    /// That they are away, or will be; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<AwayBody>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    users: Vec<UserBody>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let User { id, handle, name, role, email, created_at, removed_at: _ } = user;
        Self { id, handle, name, role, email, created_at }
    }
}

impl UserBody {
    /// For a device that may turn out not to be theirs.
    pub(super) fn without_email(user: User) -> Self {
        Self { email: None, ..user.into() }
    }
}

async fn create(
    Extract(app): Extract<State>,
    Write(call, body): Write<Request>,
) -> Result<MadeOrWaits<UserBody, ActBody>, Problem> {
    let Request { handle, name, role, email } = body;
    if role == Role::Admin && !matches!(call.caller, Caller::Operator) {
        if email.is_some() {
            return Err(Problem::field(
                "email",
                "an administrator's address is set once an administrator's passkey has made them",
            ));
        }
        return Ok(MadeOrWaits::Waits(app.policies.create_admin(&call, handle, name).await?.into()));
    }
    Ok(MadeOrWaits::Made(app.identity.create_user(&call, handle, name, role, email).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn recover(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<MadeOrWaits<CodeBody, ActBody>, Problem> {
    if !matches!(call.caller, Caller::Operator) {
        return Ok(MadeOrWaits::Waits(app.policies.recover(&call, user).await?.into()));
    }
    let new = app.identity.recover(&call, user).await?;
    Ok(MadeOrWaits::Made(CodeBody::of(new, &app.issuer)))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let users = app.identity.users(&call).await?.into_iter().map(UserBody::from).collect();
    Ok(Json(List { users }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Read(call): Read,
) -> Result<Json<ReachBody>, Problem> {
    let Reach { user, push_devices, passkeys, heard_at } = app.delivery.reach(&call, user).await?;
    let away = app.policies.absence_of(&call, UserRef::Id(user.id)).await?.map(AwayBody::from);
    let ready = is_ready(heard_at, app.clock.now());
    Ok(Json(ReachBody { user: user.into(), push_devices, passkeys, ready, heard_at, away }))
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.identity.remove_user(&call, user).await?;
    Ok(NoContent)
}
