//! A thousand random requests, denials, approvals and withdrawals on three nodes of one PostgreSQL, two of which die again and again, while
//! the clock is turned through hours: nothing rings more than it may.
//!
//! `PHONEOPS_TEST_OPERATIONS` says how many; `PHONEOPS_TEST_SEED` repeats the choices of an earlier run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use phoneops::db::Engine;
use phoneops::secret::random;
use phoneops::sim::authenticator::Misbehaviour;
use serde_json::json;

use crate::support::dice::Dice;
use crate::support::{TestDb, run};
use crate::world::mortal::Node;
use crate::world::raw::{As, Raw, RawBot, RawPhone};
use crate::world::{World, seconds};

const APPROVERS: [&str; 3] = ["ann", "bea", "cyd"];
const REQUESTERS: [&str; 2] = ["yannick", "ys"];
const PER_APPROVER: i64 = 12;
const PER_REQUESTER: i64 = 21;

/// So many at once.
const TOGETHER: u64 = 20;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn budgets() -> [(&'static str, String); 2] {
    [
        ("PHONEOPS_APPROVALS_PUSHES_PER_APPROVER_PER_HOUR", PER_APPROVER.to_string()),
        ("PHONEOPS_APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR", PER_REQUESTER.to_string()),
    ]
}

/// Whoever is there, and what they do.
struct Cast<'w> {
    raw: &'w Raw<'w>,
    bots: [RawBot; 2],
    phones: Vec<RawPhone>,
}

/// One thing that is done, at one node.
enum Deed {
    Ask { requester: &'static str, target: String, app: String, bot: usize },
    Answer { approval: String, who: usize, verdict: &'static str },
    Withdraw { approval: String, bot: usize },
}

impl Cast<'_> {
    async fn join<'w>(raw: &'w Raw<'w>, push_url: &str) -> Cast<'w> {
        let bots = [raw.able_bot("heimdall").await, raw.able_bot("loki").await];
        let mut phones = Vec::new();
        for handle in APPROVERS {
            let phone = raw.person(handle, "member").await;
            let keys = json!({"p256dh": phone.p256dh(), "auth": "AAAAAAAAAAAAAAAAAAAAAA"});
            let body = json!({"kind": "web_push", "endpoint": format!("{push_url}{handle}"), "keys": keys});
            let path = format!("/v1/devices/{}/push", phone.device);
            raw.shot(As::Phone(&phone), "PUT", &path).json(&body).fire().await.expect(200);
            phones.push(phone);
        }
        for handle in REQUESTERS {
            raw.person(handle, "member").await;
        }
        Cast { raw, bots, phones }
    }

    /// The approval that it made, if it did. A node that dies says nothing.
    async fn perform(&self, deed: Deed, base: &str) -> Option<(String, usize)> {
        match deed {
            Deed::Ask { requester, target, app, bot } => {
                let action = json!({"type": "deploy", "target": target, "params": {"app": app}});
                let body = json!({"action": action, "requester": format!("@{requester}")});
                let shot = self.raw.shot(As::Bot(&self.bots[bot]), "POST", "/v1/approvals").json(&body).at(base);
                let seen = shot.try_fire().await.ok()?;
                assert!([201, 429, 503].contains(&seen.status), "{}", seen.text);
                (seen.status == 201).then(|| (seen.id(), bot))
            }
            Deed::Answer { approval, who, verdict } => {
                let phone = &self.phones[who];
                let offered = phone.challenge(self.raw, &approval, verdict).await;
                if offered.status == 200 {
                    let credential = phone.sign(&offered.body, Misbehaviour::default());
                    let answer = json!({"challenge": offered.body["challenge"], "credential": credential});
                    let path = format!("/v1/approvals/{approval}/answers");
                    let sent = self.raw.shot(As::Phone(phone), "POST", &path).json(&answer).at(base).try_fire().await;
                    assert!(sent.is_ok_and(|seen| seen.status < 500 || seen.status == 503) || base != self.raw.issuer());
                }
                None
            }
            Deed::Withdraw { approval, bot } => {
                let path = format!("/v1/approvals/{approval}");
                let _ = self.raw.shot(As::Bot(&self.bots[bot]), "DELETE", &path).at(base).try_fire().await;
                None
            }
        }
    }

    async fn sign_in(&self) {
        join_all(self.phones.iter().map(|phone| phone.sign_in(self.raw))).await;
    }
}

fn deed(dice: &mut Dice, known: &[(String, usize)]) -> Deed {
    let recent = &known[known.len().saturating_sub(10)..];
    match dice.below(100) {
        0..45 if !recent.is_empty() => {
            let verdict = *dice.pick(&["approve", "approve", "deny"]);
            Deed::Answer { approval: dice.pick(recent).0.clone(), who: usize::try_from(dice.below(3)).expect("a few"), verdict }
        }
        45..50 if !recent.is_empty() => {
            let (approval, bot) = dice.pick(recent).clone();
            Deed::Withdraw { approval, bot }
        }
        _ => Deed::Ask {
            requester: REQUESTERS[usize::try_from(dice.below(2)).expect("a few")],
            target: format!("target-{}", dice.below(4)),
            app: format!("app-{}", dice.below(1_000)),
            bot: usize::try_from(dice.below(2)).expect("a few"),
        },
    }
}

async fn nothing_rings_more_than_it_may(db: TestDb) {
    let operations = setting("PHONEOPS_TEST_OPERATIONS").unwrap_or(1_000);
    let seed = setting("PHONEOPS_TEST_SEED").unwrap_or_else(|| u64::from_ne_bytes(random()));
    eprintln!("again: PHONEOPS_TEST_SEED={seed} PHONEOPS_TEST_OPERATIONS={operations} cargo test --test stories fatigue::nodes");
    let push = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let push_url = format!("http://{}/", push.local_addr().expect("an address"));
    let router = axum::Router::new().fallback(async || axum::http::StatusCode::CREATED);
    tokio::spawn(async move { axum::serve(push, router).await });
    let budgets = budgets();
    let settings: Vec<_> = budgets.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let world = World::start_with(db.clone(), &settings).await;
    {
        let raw = Raw::new(&world);
        let admin = world.administrator("ada", "Ada Byron").await;
        let cast = Cast::join(&raw, &push_url).await;
        let users = APPROVERS.map(|handle| format!("@{handle}"));
        world.policy(&admin, "any", &json!({"require": {"groups": [{"quorum": 1, "users": users}]}})).await;
        live(&world, &cast, operations, &mut Dice(seed)).await;
    }
    check(&world.db).await;
    for (kind, least) in [("approval.rung", 1), ("approval.not_rung", 20), ("approval.denied", 5), ("approval.expired", 5)] {
        let times = world.recorded(kind).await;
        assert!(times >= least, "{kind} came {times} times: this run shows little");
    }
    world.end().await;
}

async fn live(world: &World, cast: &Cast<'_>, operations: u64, dice: &mut Dice) {
    let mut nodes = [Node::start(world, &budgets()), Node::start(world, &budgets())];
    let (over, ticks) = (Arc::new(AtomicBool::new(false)), AtomicI64::new(0));
    let ticking = async {
        // No two things are done at quite the same time, and what a dead node left is looked for though the clock stands.
        while !over.load(Ordering::SeqCst) {
            world.clock.advance(Duration::from_millis(10));
            ticks.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let living = async {
        let mut known = Vec::new();
        for round in 0..operations.div_ceil(TOGETHER) {
            cast.sign_in().await;
            let bases = [cast.raw.issuer().to_owned(), nodes[0].base.clone(), nodes[1].base.clone()];
            let deeds: Vec<_> = (0..TOGETHER).map(|_| (deed(dice, &known), dice.pick(&bases).clone())).collect();
            let doomed = (round % 4 == 3).then(|| usize::try_from(dice.below(2)).expect("a few"));
            let patience = Duration::from_millis(dice.below(60));
            let killing = async {
                if let Some(doomed) = doomed {
                    tokio::time::sleep(patience).await;
                    nodes[doomed].kill();
                    nodes[doomed] = Node::start(world, &budgets());
                }
            };
            let performing = join_all(deeds.into_iter().map(|(deed, base)| async move { cast.perform(deed, &base).await }));
            let (made, ()) = join(performing, killing).await;
            known.extend(made.into_iter().flatten());
            let pause = if dice.below(6) == 0 { dice.below(2_400) } else { dice.below(60) };
            world.advance(seconds(pause)).await;
        }
        nodes.iter_mut().for_each(Node::kill);
        world.advance(seconds(400)).await;
        over.store(true, Ordering::SeqCst);
    };
    join(living, ticking).await;
    eprintln!("{operations} deeds in {} turns of the clock", ticks.into_inner());
}

/// Looks at what was sent and what was said, and at nothing that was counted.
async fn check(db: &TestDb) {
    let deadlocks = db.number("select deadlocks from pg_stat_database where datname = current_database()").await;
    assert_eq!(deadlocks, 0, "locks were taken in two orders");
    let rings =
        "(select notifications.user_id, requester_id, action ->> 'type' as kind, action ->> 'target' as target, subject_id,
        notifications.created_at as at from notifications join approvals on approvals.id = subject_id
        where notifications.content ->> 'category' = 'approval') as rings";
    let most = |who: &str| {
        format!(
            "select max(count) from (select count(*) over (partition by {who} order by at range between 3599999999 preceding
             and current row) from {rings}) as counted"
        )
    };
    let (to, caused) = (db.number(&most("user_id")).await, db.number(&most("requester_id")).await);
    assert!(to <= PER_APPROVER && caused <= PER_REQUESTER, "{to} rings to one person and {caused} for one in an hour");
    assert!(to == PER_APPROVER && caused >= PER_REQUESTER - 2, "{to} and {caused}: this run shows little");

    let unlike = format!(
        "select count(*) from {rings} full join (select * from doorbells where rung_at is not null) as kept
         on kept.approval_id = rings.subject_id and kept.user_id = rings.user_id and kept.rung_at = rings.at
         where kept.user_id is null or rings.user_id is null"
    );
    assert_eq!(db.number(&unlike).await, 0, "what rang was written down, and what was written down rang");
    let twice = "select count(*) from doorbells as one join doorbells as other on one.user_id = other.user_id
        and one.requester_id = other.requester_id and one.action_target = other.action_target
        and one.approval_id <> other.approval_id and one.rung_at < other.rung_at
        and (one.over_at is null or one.over_at > other.rung_at)";
    assert_eq!(db.number(twice).await, 0, "two that are alike were open at once");
    let at_once = "select count(*) from doorbells as one join doorbells as other on one.user_id = other.user_id
        and one.requester_id = other.requester_id and one.action_target = other.action_target
        and one.approval_id < other.approval_id and one.rung_at = other.rung_at";
    assert_eq!(db.number(at_once).await, 0, "two that are alike rang at once");

    let after_denial = |when: &str| {
        format!(
            "select count(*) from doorbells as denied join doorbells as rung on denied.user_id = rung.user_id
             and denied.requester_id = rung.requester_id and denied.action_target = rung.action_target
             where denied.verdict = 'deny' and rung.rung_at > denied.over_at and {when}"
        )
    };
    let by_itself = after_denial("rung.asked_at < denied.over_at");
    assert_eq!(db.number(&by_itself).await, 0, "something rang by itself after a denial");
    let too_soon = after_denial(
        "rung.rung_at < denied.over_at + 60000000 and not exists (select 1 from doorbells as approved
             where approved.user_id = rung.user_id and approved.requester_id = rung.requester_id
             and approved.action_target = rung.action_target and approved.verdict = 'approve'
             and approved.over_at >= denied.over_at and approved.over_at <= rung.rung_at)",
    );
    assert_eq!(db.number(&too_soon).await, 0, "something rang within the cool-down");
}

mod postgres {
    use super::{Engine, nothing_rings_more_than_it_may, run};

    #[test]
    fn three_nodes_ring_no_more_than_one_may() {
        run(Engine::Pg, nothing_rings_more_than_it_may);
    }
}
