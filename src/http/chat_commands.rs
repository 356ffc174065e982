//! `/v1/chat/commands`: what can be said in chat to ask for an action. Changes of what a line means become acts, which an
//! administrator's passkey confirms.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::{Read, Write};
use super::input::{Path, object};
use super::output::{DoneOrWaits, NowOrWaits};
use super::problem::Problem;
use crate::approvals::commands::{ActionTemplate, Declaration, Declared, built_in};
use crate::approvals::policies::Changed;
use crate::clock::Timestamp;
use crate::identity::Handle;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/chat/commands",
            get_with(list, |op| {
                op.id("listChatCommands").tag("chat").summary("What can be said in chat to ask for an action: declared and built in, by name")
            }),
        )
        .api_route(
            "/v1/chat/commands/{name}",
            get_with(find, |op| op.id("getChatCommand").tag("chat").summary("One declared command"))
                .put_with(set, |op| {
                    op.id("setChatCommand").tag("chat").summary("Declare a command, or make it into something else").description(
                        "200 when it was made. 202 with an act when it changes what a line means that meant something: then it is made once \
                         an administrator has confirmed it with a passkey (`/v1/acts`).",
                    )
                })
                .delete_with(remove, |op| {
                    op.id("removeChatCommand").tag("chat").summary("Take a declared command away: 202 with an act")
                }),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    /// Its name.
    name: Handle,
}

/// What a command says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Saying {
    /// Which lines it takes: a verb and, after one space, a regular expression with named groups:
    /// `restart (?<service>[a-z-]+) in (?<environment>[a-z]+)`. Upper and lower case are the same; white space in a line is one space.
    #[schemars(length(min = 1, max = 500))]
    pattern: String,
    /// What is to be allowed. In its target and params, `{service}` is what the group of that name took.
    #[serde(deserialize_with = "object")]
    action: ActionTemplate,
    /// What is said once it is allowed: `you are restarting {service} in {environment}`.
    #[schemars(length(min = 1, max = 500))]
    success: String,
    /// What it is for, in a few words.
    #[schemars(length(min = 1, max = 200))]
    help: String,
    /// A line that it takes, which help shows.
    #[schemars(length(min = 1, max = 500))]
    example: String,
}

/// A command.
#[derive(Serialize, JsonSchema)]
struct CommandBody {
    name: Handle,
    /// Which lines it takes.
    pattern: String,
    /// What is to be allowed.
    action: ActionTemplate,
    /// What is said once it is allowed.
    success: String,
    /// What it is for, in a few words.
    help: String,
    /// A line that it takes.
    example: String,
    /// Whether it is built in, and nobody declared another of its name.
    built_in: bool,
    /// When it became what it is; absent for what is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    commands: Vec<CommandBody>,
}

impl CommandBody {
    fn of(declaration: Declaration, changed_at: Option<Timestamp>) -> Self {
        let Declaration { name, pattern, action, success, help, example } = declaration;
        Self { name, pattern, action, success, help, example, built_in: changed_at.is_none(), changed_at }
    }
}

impl From<Declared> for CommandBody {
    fn from(Declared { declaration, changed_at }: Declared) -> Self {
        Self::of(declaration, Some(changed_at))
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let mut commands: Vec<CommandBody> =
        app.policies.declared_commands(&call).await?.into_iter().map(CommandBody::from).collect();
    for command in built_in() {
        if !commands.iter().any(|declared| declared.name == command.name) {
            commands.push(CommandBody::of(command, None));
        }
    }
    commands.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(List { commands }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<CommandBody>, Problem> {
    Ok(Json(app.policies.declared_command(&call, &name).await?.into()))
}

async fn set(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, body): Write<Saying>,
) -> Result<NowOrWaits<CommandBody, ActBody>, Problem> {
    let Saying { pattern, action, success, help, example } = body;
    let command = Declaration { name, pattern, action, success, help, example };
    Ok(match app.policies.declare_command(&call, command).await? {
        Changed::Made(declared) => NowOrWaits::Now(declared.into()),
        Changed::Waits(act) => NowOrWaits::Waits((*act).into()),
    })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    Ok(match app.policies.remove_command(&call, name).await? {
        Changed::Made(()) => DoneOrWaits::Done,
        Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
    })
}
