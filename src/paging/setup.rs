//! What setting up services, escalation policies, integrations and maintenance windows has in common: why it is refused, whom names
//! mean, and the record.
//!
//! **Invariants**
//! - What is named is kept from being removed until the transaction ends, so that nothing comes to refer to what is gone.

use std::fmt::Display;

use serde_json::Value;

use super::plan::Target;
use super::{Parts, To, schedules};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::TeamId;
use crate::identity::{self, Call, CallRefusal, Caller, Failure, Handle, Nobody, Scope, Team};
use crate::journal::{Actor, Entry};

/// Why something was not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupRefused {
    /// No such service, policy, integration or maintenance window.
    #[error("there is no {0}")]
    NotFound(String),
    /// Another of its kind has the name.
    #[error("the name {0} is taken")]
    NameTaken(Handle),
    /// A field of the request makes no sense.
    #[error("{why}")]
    Field {
        /// Which: `steps[0].to[1]`.
        field: String,
        /// Why.
        why: String,
    },
    /// A field names nobody.
    #[error("{nobody}")]
    PersonUnknown {
        /// Which: `steps[0].to[1]`.
        field: String,
        /// Why nobody is meant.
        nobody: Nobody,
    },
    /// Services would lose whom they page.
    #[error("{} still page{} by it: give {} another first", .0.join(", "), if .0.len() == 1 { "s" } else { "" }, if .0.len() == 1 { "it" } else { "them" })]
    InUse(Vec<String>),
    /// The maintenance window is over.
    #[error("it is over already")]
    Over,
}

/// What setting up returns when it does not do as it was asked.
pub type SetupError = Failure<SetupRefused>;

impl From<SetupRefused> for SetupError {
    fn from(refused: SetupRefused) -> Self {
        Self::Refused(refused)
    }
}

/// A field that makes no sense.
pub(super) fn field(field: impl Into<String>, why: impl Into<String>) -> SetupRefused {
    SetupRefused::Field { field: field.into(), why: why.into() }
}

/// That a number is within its range.
pub(super) fn within(name: impl Into<String>, number: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), SetupRefused> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(field(name, format!("must be {} to {}", range.start(), range.end())))
}

/// Nothing, when the caller may see how things are set up: administrators and all people, and bots that may read incidents.
pub(super) fn may_look(call: &Call) -> Result<(), CallRefusal> {
    match &call.caller {
        Caller::Operator => Ok(()),
        _ => call.person_or_bot(Scope::IncidentsRead),
    }
}

/// The team of that name.
pub(super) async fn team(db: &mut Db<'_>, name: &Handle, at: &str) -> Result<Team, SetupError> {
    let found = identity::find_team(db, name).await?;
    found.ok_or_else(|| field(at, format!("there is no team {name}")).into())
}

/// The name of a team, which are never removed.
pub(super) async fn team_name(db: &mut Db<'_>, id: TeamId) -> db::Result<Handle> {
    let found = identity::known_team(db, id).await?;
    Ok(found.ok_or_else(|| db::Error::inconsistent("teams", id, "referred to and not there"))?.name)
}

/// Whom a step is to ring.
pub(super) async fn target(tx: &mut Tx<'_>, to: &To, at: &str) -> Result<Target, SetupError> {
    let gone = || SetupError::from(field(at, format!("there is no {to}")));
    match to {
        To::Person(who) => match identity::person_meant(tx.db(), who).await? {
            Ok(user) => Ok(Target::User(user.id)),
            Err(nobody) => Err(SetupRefused::PersonUnknown { field: at.to_owned(), nobody }.into()),
        },
        To::Team(name) => Ok(Target::Team(identity::find_team(tx.db(), name).await?.ok_or_else(gone)?.id)),
        To::Schedule(name) => Ok(Target::Schedule(schedules::keep(tx, name).await?.ok_or_else(gone)?)),
        To::Service(_) => {
            let why = "names a service, which would lead to a policy again: a step names people, teams and schedules, so that no \
                       policy leads to itself";
            Err(field(at, why).into())
        }
    }
}

/// Records a change.
pub(super) async fn record(
    tx: &mut Tx<'_>,
    parts: &Parts,
    now: Timestamp,
    actor: Actor,
    (kind, subject): (&'static str, impl Display),
    data: Value,
) -> db::Result<()> {
    parts.journal.append(tx, now, Entry { kind, actor, subject: subject.to_string(), data }).await
}
