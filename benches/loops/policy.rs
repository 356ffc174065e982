//! Policies: what finding the one that rules costs, and the approve loop when two of three people have to sign.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use phoneops::approvals::policy::{Facts, Policy, PolicySet, Ruling};
use phoneops::approvals::{Action, Origin};
use phoneops::client::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::Failure;
use crate::load::{Laps, Times};
use crate::loops::{sign, text};
use crate::report::{Report, millis};
use crate::world::{Person, World};

/// How many policies are searched.
const POLICIES: usize = 1_000;

/// How often.
const MATCHES: u32 = 5_000;

/// Matching one action against many policies, which are compiled once.
pub(crate) fn matching(report: &mut Report) -> Result<(), Failure> {
    report.section(format!("Which of {POLICIES} policies rules an action"));
    let told_apart = |n: usize| {
        json!({"types": ["deploy"], "targets": [format!("prod-{n}-*"), "*-staging"],
        "params": {"app": [format!("team-{n}/*")]}, "rooms": [{"platform": "slack", "workspace": "T1", "room": "C*"}]})
    };
    let alike = |n: usize| {
        json!({"types": ["dep*"], "targets": ["*-staging", "prod-*"], "params": {"app": ["*/*"]},
        "rooms": [{"platform": "slack", "workspace": "T1", "room": format!("C{n}-*")}]})
    };
    let began = Instant::now();
    let set = compiled(told_apart)?;
    report.add("compiling them, once", millis(began.elapsed()), "ms");
    one_case("one in the middle matches", &set, 500, Some("policy-500"), report)?;
    one_case("none matches: another target each", &set, POLICIES, None, report)?;
    one_case("none matches: each differs in its last condition only", &compiled(alike)?, POLICIES, None, report)
}

fn compiled(matching: impl Fn(usize) -> Value) -> Result<PolicySet, Failure> {
    let policy = |n: usize| -> Result<Policy, Failure> {
        let require = json!({"groups": [{"quorum": 2, "teams": ["ops"]}]});
        let policy: Policy =
            serde_json::from_value(json!({"name": format!("policy-{n}"), "match": matching(n), "require": require}))?;
        policy.check()?;
        Ok(policy)
    };
    Ok(PolicySet::new((0..POLICIES).map(policy).collect::<Result<_, _>>()?)?)
}

/// An action of the team `team`, which the policy `expected` rules.
fn one_case(name: &str, set: &PolicySet, team: usize, expected: Option<&str>, report: &mut Report) -> Result<(), Failure> {
    let action: Action = serde_json::from_value(
        json!({"type": "deploy", "target": format!("prod-{team}-eu"), "params": {"app": format!("team-{team}/api"), "ref": "main"}}),
    )?;
    let origin: Origin = serde_json::from_value(json!({"platform": "slack", "workspace": "T1", "room": "C0123"}))?;
    let facts = Facts { action: &action, bot: "heimdall", origin: Some(&origin) };
    let found = match set.ruling(&facts) {
        Ruling::Policy(policy) => Some(policy.name.as_str()),
        Ruling::Unmatched => None,
        Ruling::Builtin => return Err("there are policies, and none was found".into()),
        Ruling::Unclear(doubt) => return Err(format!("{} cannot judge {}", doubt.policy.name, doubt.param).into()),
    };
    if found != expected {
        return Err(format!("{name}: {found:?} rules").into());
    }
    let (began, mut times) = (Instant::now(), Times::default());
    for _ in 0..MATCHES {
        let before = Instant::now();
        black_box(set.ruling(black_box(&facts)));
        times.push(before.elapsed());
    }
    report.add(name, began.elapsed().as_secs_f64() * 1e6 / f64::from(MATCHES), "µs");
    report.add("  the slowest of 100", times.percentile(990) * 1e3, "µs");
    Ok(())
}

/// Three people for each client, of whom two have to sign what the client asks for.
pub(crate) struct Trios {
    people: Arc<Vec<Person>>,
    /// Held while a trio signs: a passkey's counter has to rise from answer to answer.
    signing: Vec<Mutex<()>>,
}

impl Trios {
    /// How many people so many trios take.
    pub(crate) const SIZE: usize = 3;

    /// A policy for each trio, confirmed by an administrator's passkey. From then on nothing else can be asked for.
    pub(crate) async fn rule(world: &World) -> Result<Arc<Self>, Failure> {
        let (people, count) = (world.people.clone(), world.people.len() / Self::SIZE);
        if count < 2 {
            return Err("the policy section needs two clients: whoever asks is of another trio".into());
        }
        let admin = world.administrator("ada").await?;
        let operator = Client::local(&world.server.socket)?;
        for (at, trio) in people.chunks_exact(Self::SIZE).enumerate() {
            let users: Vec<_> = trio.iter().map(|person| person.handle.as_str()).collect();
            let rule = json!({"match": {"params": {"app": [app(at)]}}, "require": {"groups": [{"quorum": 2, "users": users}]}});
            let reply = operator.put(&format!("/v1/policies/trio-{at}"), &rule).await?;
            if reply.status == 202 {
                admin.phone.confirm_act(&reply.body).await?;
            }
        }
        Ok(Arc::new(Self { people, signing: (0..count).map(|_| Mutex::new(())).collect() }))
    }

    /// Asked for one of another trio, signed by two, collected, redeemed: ten calls.
    pub(crate) async fn approve(&self, client: usize, bot: &Client, mut laps: Laps) -> Result<Laps, Failure> {
        let at = client % self.signing.len();
        let [one, two, _] = &self.people[at * Self::SIZE..][..Self::SIZE] else { return Err("a trio is three".into()) };
        let requester = &self.people[(at + 1) % self.signing.len() * Self::SIZE];
        let action = json!({"type": "deploy", "target": "production", "params": {"app": app(at), "ref": "new_auth"}});
        let asked = bot.post("/v1/approvals", &json!({"action": action, "requester": requester.handle})).await?;
        laps.lap("POST /v1/approvals");
        let path = format!("/v1/approvals/{}", text(&asked.body["id"])?);
        let turn = self.signing[at].lock().await;
        laps.lap("(an earlier request has these people)");
        for (person, state) in [(one, "pending"), (two, "approved")] {
            let answered = sign(person, &path, &mut laps).await?;
            if answered["state"] != state {
                return Err(format!("not {state}: {answered}").into());
            }
        }
        drop(turn);
        let collected = bot.get(&path).await?;
        laps.lap("GET /v1/approvals/{id}, bot");
        bot.post("/v1/grants/redeem", &json!({"grant": text(&collected.body["grant"])?, "action": action})).await?;
        laps.lap("POST /v1/grants/redeem");
        Ok(laps)
    }
}

fn app(trio: usize) -> String {
    format!("app-{trio}")
}
