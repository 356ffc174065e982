//! `/v1/policies`: who must say yes to what. Changes that weaken become acts, which an administrator's passkey confirms.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::{Read, Write};
use super::input::{Path, object, optional_object};
use super::output::{DoneOrWaits, NowOrWaits};
use super::people::Person;
use super::problem::Problem;
use crate::approvals::policies::{Asked, Changed, Judgement, Staff, Stored, Trial};
use crate::approvals::policy::{Match, Policy, Require};
use crate::approvals::{Action, Factor, Origin, PolicyRef};
use crate::clock::Timestamp;
use crate::identity::{Handle, User, UserRef};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/policies",
            get_with(list, |op| op.id("listPolicies").tag("policies").summary("The policies, by name")),
        )
        .api_route(
            "/v1/policies/{name}",
            get_with(find, |op| op.id("getPolicy").tag("policies").summary("One policy"))
                .put_with(set, |op| {
                    op.id("setPolicy").tag("policies").summary("Make a policy, or make it into something else").description(
                        "200 when it was made. 202 with an act when the change weakens: then it is made once an administrator has \
                         confirmed it with a passkey (`/v1/acts`).",
                    )
                })
                .delete_with(remove, |op| {
                    op.id("removePolicy").tag("policies").summary("Take a policy away, which weakens: 202 with an act")
                }),
        )
        .api_route(
            "/v1/policies/test",
            post_with(test, |op| {
                op.id("testPolicies").tag("policies").summary("Which policy would rule, who would be asked, and why others do not rule")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    /// Its name.
    name: Handle,
}

/// What a policy says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Which actions it is about.
    #[serde(default, rename = "match", deserialize_with = "object")]
    matching: Match,
    /// What they take.
    #[serde(deserialize_with = "object")]
    require: Require,
}

/// A policy.
#[derive(Serialize, JsonSchema)]
struct PolicyBody {
    name: Handle,
    /// The version of all policies that its last change made.
    version: i64,
    /// `H("phoneops.policy.v1", JCS(policy))`, base64url: what statements name it by.
    sha256: String,
    #[serde(rename = "match")]
    matching: Match,
    require: Require,
    changed_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct List {
    policies: Vec<PolicyBody>,
}

impl From<Stored> for PolicyBody {
    fn from(Stored { policy, version, changed_at }: Stored) -> Self {
        let sha256 = policy.reference().sha256;
        Self { name: policy.name, version, sha256, matching: policy.matching, require: policy.require, changed_at }
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let policies = app.policies.list(&call).await?.into_iter().map(PolicyBody::from).collect();
    Ok(Json(List { policies }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<PolicyBody>, Problem> {
    Ok(Json(app.policies.find(&call, &name).await?.into()))
}

async fn set(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, rule): Write<Rule>,
) -> Result<NowOrWaits<PolicyBody, ActBody>, Problem> {
    let policy = Policy { name, matching: rule.matching, require: rule.require };
    Ok(match app.policies.set(&call, policy).await? {
        Changed::Made(stored) => NowOrWaits::Now(stored.into()),
        Changed::Waits(act) => NowOrWaits::Waits((*act).into()),
    })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    Ok(match app.policies.remove(&call, name).await? {
        Changed::Made(()) => DoneOrWaits::Done,
        Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// The action to try them on.
    #[serde(deserialize_with = "object")]
    action: Action,
    /// For whom it would be asked.
    requester: UserRef,
    /// The name of the bot that would ask.
    bot: Handle,
    /// Where in chat.
    #[serde(default, deserialize_with = "optional_object")]
    origin: Option<Origin>,
}

/// What would become of the action.
#[derive(Serialize, JsonSchema)]
struct Outcome {
    /// What would be asked; absent when the action would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<AskedBody>,
    /// Why it would be refused: no policy matches, or the strictest that may cannot be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Every policy, the strictest first.
    policies: Vec<JudgedBody>,
}

/// What would be asked.
#[derive(Serialize, JsonSchema)]
struct AskedBody {
    /// By which policy.
    policy: PolicyRef,
    factor: Factor,
    /// The requester, when they must approve themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<Person>,
    /// Who else is asked, one group after the other.
    groups: Vec<GroupBody>,
    /// Seconds that each group has.
    expires_in: u32,
    /// Seconds in which it can still be denied.
    delay: u32,
    /// Why the request would be refused all the same: those who are asked could not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
}

/// So many of these people.
#[derive(Serialize, JsonSchema)]
struct GroupBody {
    quorum: u32,
    people: Vec<AskedPerson>,
    /// Who is away, and represented by nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    away: Vec<Person>,
}

/// Somebody who would be asked.
#[derive(Serialize, JsonSchema)]
struct AskedPerson {
    #[serde(flatten)]
    person: Person,
    /// For whom, who is away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    r#for: Vec<Person>,
}

impl GroupBody {
    fn of(quorum: u32, staff: &Staff) -> Self {
        let asked = |(person, absent): &(User, Vec<User>)| AskedPerson {
            person: person.into(),
            r#for: absent.iter().map(Person::from).collect(),
        };
        Self { quorum, people: staff.asked.iter().map(asked).collect(), away: staff.away.iter().map(Person::from).collect() }
    }
}

/// A policy, and why it does not rule.
#[derive(Serialize, JsonSchema)]
struct JudgedBody {
    name: String,
    /// Absent for the one that rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

impl From<Asked> for AskedBody {
    fn from(asked: Asked) -> Self {
        let Asked { requirement, groups, requester, unreachable } = asked;
        let group = |(quorum, staff): (&crate::approvals::Quorum, &Staff)| GroupBody::of(quorum.needed, staff);
        Self {
            factor: requirement.factor,
            requester: requirement.requester.then(|| (&requester).into()),
            groups: requirement.groups.iter().zip(&groups).map(group).collect(),
            expires_in: requirement.window_seconds,
            delay: requirement.delay_seconds,
            policy: requirement.policy,
            unreachable,
        }
    }
}

async fn test(Extract(app): Extract<State>, Write(call, body): Write<TestRequest>) -> Result<Json<Outcome>, Problem> {
    let TestRequest { action, requester, bot, origin } = body;
    let Judgement { asked, policies } = app.policies.test(&call, Trial { action, requester, bot, origin }).await?;
    let policies = policies.into_iter().map(|(name, why_not)| JudgedBody { name, why_not }).collect();
    let (asked, refused) = match asked {
        Ok(asked) => (Some(asked.into()), None),
        Err(refused) => (None, Some(refused.to_string())),
    };
    Ok(Json(Outcome { asked, refused, policies }))
}
