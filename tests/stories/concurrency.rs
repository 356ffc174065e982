//! Fifty at once: whatever is asked at the same time has one outcome, one journal entry, and the same answer for everybody.

crate::world::stories! {
    identical_answers
    conflicting_answers
    redeems
    redeems_under_one_key
    outcomes
    rotations
    acknowledges
    claims_of_one_code
    claims_of_two_codes
    confirmations
    pages_under_one_key
    a_retry_after_everything_is_over
    cancelling_while_approving
    the_deadline_while_approving
    two_administrators_remove_each_other
    a_device_is_revoked_once
    a_passkey_ends_once_under_one_key
    two_approvals_signed_in_turn_and_sent_in_reverse
}

mod stories {
    use std::collections::BTreeSet;

    use futures_util::future::{join, join_all};
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawPhone, Seen};
    use crate::world::{World, deploy, seconds};

    const MANY: usize = 50;

    fn statuses(replies: &[Seen]) -> Vec<u16> {
        let mut all: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        all.sort_unstable();
        all
    }

    /// That one reply has `status` and all others are refused with `code`.
    fn one_wins(replies: &[Seen], status: u16, code: &str) {
        let won = replies.iter().filter(|reply| reply.status == status).count();
        let lost = replies.iter().filter(|reply| (reply.status, reply.code()) == (409, code)).count();
        assert_eq!((won, lost), (1, replies.len() - 1), "{:?}", replies.iter().map(|reply| &reply.text).collect::<BTreeSet<_>>());
    }

    fn all_same(replies: &[Seen], status: u16) -> &Value {
        for reply in replies {
            assert_eq!((reply.status, &reply.body), (status, &replies[0].body), "{}", reply.text);
        }
        &replies[0].body
    }

    async fn rows(world: &World, table: &str) -> i64 {
        world.db.number(&format!("select count(*) from {table}")).await
    }

    pub(crate) async fn identical_answers(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let answer = phone.prepare(&raw, &asked, "approve").await;
        let replies = join_all((0..MANY).map(|_| phone.send(&raw, &asked, &answer))).await;
        assert_eq!(all_same(&replies, 200)["state"], "approved");
        assert_eq!((rows(world, "answers").await, rows(world, "grants").await), (1, 1));
        assert_eq!(world.recorded("approval.approved").await, 1);
    }

    pub(crate) async fn conflicting_answers(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let mut answers = Vec::new();
        for at in 0..MANY {
            answers.push(phone.prepare(&raw, &asked, if at % 2 == 0 { "approve" } else { "deny" }).await);
        }
        let replies = join_all(answers.iter().map(|answer| phone.send(&raw, &asked, answer))).await;
        one_wins(&replies, 200, "approval_decided");
        let now = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        for lost in replies.iter().filter(|reply| reply.status == 409) {
            assert_eq!(lost.body["decided_by"], phone.user.as_str());
            assert_eq!(lost.body["decided_at"], now.body["decision"]["at"]);
            assert_eq!(lost.body["approval"]["state"], now.body["state"]);
        }
        let recorded = world.recorded("approval.approved").await + world.recorded("approval.denied").await;
        assert_eq!((rows(world, "answers").await, recorded), (1, 1));
        assert_eq!(rows(world, "grants").await, i64::from(now.body["state"] == "approved"));
    }

    pub(crate) async fn redeems(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let action = deploy("api", "production");
        let (_, grant) = raw.granted(&bot, &phone, "yannick", &action).await;
        let body = json!({"grant": grant, "action": action});
        let replies = join_all((0..MANY).map(|_| raw.post(As::Bot(&bot), "/v1/grants/redeem", &body))).await;
        one_wins(&replies, 200, "grant_redeemed");
        assert_eq!(world.recorded("grant.redeemed").await, 1);
    }

    pub(crate) async fn redeems_under_one_key(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let action = deploy("api", "production");
        let (_, grant) = raw.granted(&bot, &phone, "yannick", &action).await;
        let body = json!({"grant": grant, "action": action});
        let redeem = || raw.shot(As::Bot(&bot), "POST", "/v1/grants/redeem").json(&body).header("idempotency-key", "k").fire();
        let mut replies = join_all((0..MANY).map(|_| redeem())).await;
        // The bot was down for an hour; the grant is over, its outcome is not.
        world.advance(seconds(3600)).await;
        replies.push(redeem().await);
        all_same(&replies, 200);
        assert_eq!(world.recorded("grant.redeemed").await, 1);
    }

    pub(crate) async fn outcomes(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let action = deploy("api", "production");
        let (_, grant) = raw.granted(&bot, &phone, "yannick", &action).await;
        let redeemed = raw.post(As::Bot(&bot), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await.expect(200);
        let path = format!("/v1/grants/{}/outcome", redeemed.body["grant"].as_str().unwrap());
        let replies = join_all((0..MANY).map(|at| {
            let (raw, bot, path) = (&raw, &bot, &path);
            let body = json!({"outcome": if at % 2 == 0 { "succeeded" } else { "failed" }});
            async move { raw.post(As::Bot(bot), path, &body).await }
        }))
        .await;
        one_wins(&replies, 200, "outcome_reported");
        assert_eq!(world.recorded("grant.outcome_reported").await, 1);
    }

    pub(crate) async fn rotations(world: &World) {
        let raw = Raw::new(world);
        let nothing = json!({});
        let rotate = || raw.post(As::Operator, "/v1/keys/rotate", &nothing);
        for reply in join_all((0..MANY).map(|_| rotate())).await {
            reply.expect(200);
        }
        let keys = raw.get(As::Operator, "/v1/keys").await.expect(200);
        let signing = keys.body["keys"].as_array().unwrap().iter().filter(|key| key["retired_at"].is_null()).count();
        assert_eq!((signing, keys.body["keys"].as_array().unwrap().len()), (1, MANY + 1));
        assert_eq!(world.recorded("keys.rotated").await, MANY);
    }

    pub(crate) async fn acknowledges(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let reference = raw.page(&bot, "yannick").await;
        let path = format!("/v1/incidents/{reference}/acknowledge");
        let replies = join_all((0..MANY).map(|at| {
            let path = path.clone();
            let (raw, bot, phone) = (&raw, &bot, &phone);
            async move {
                match at % 2 {
                    0 => raw.post(As::Phone(phone), &path, &json!({})).await,
                    _ => raw.post(As::Bot(bot), &path, &json!({"actor": "@yannick"})).await,
                }
            }
        }))
        .await;
        assert_eq!(all_same(&replies, 200)["state"], "acknowledged");
        assert_eq!(world.recorded("incident.acknowledged").await, 1);
    }

    pub(crate) async fn claims_of_one_code(world: &World) {
        let raw = Raw::new(world);
        raw.person("yannick", "member").await;
        let code = raw.code("yannick").await;
        let phones: Vec<_> = (0..MANY).map(|_| RawPhone::blank(world.clock.clone(), raw.issuer())).collect();
        let claims: Vec<_> = phones.iter().map(|phone| phone.claim(&code)).collect();
        let replies = join_all(claims.iter().map(|claim| raw.post(As::Nobody, "/v1/enrollments/claim", claim))).await;
        one_wins(&replies, 201, "enrollment_claimed");
        assert_eq!((rows(world, "waiting_devices").await, world.recorded("device.waiting").await), (1, 1));
        assert_eq!((rows(world, "devices").await, world.recorded("device.enrolled").await), (1, 1));
    }

    /// Two codes for somebody without a device, claimed at once: one makes the first device, the other waits for it.
    pub(crate) async fn claims_of_two_codes(world: &World) {
        let raw = Raw::new(world);
        raw.post(As::Operator, "/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.expect(201);
        let mut claims = Vec::new();
        for _ in 0..10 {
            let code = raw.code("ys").await;
            claims.push(RawPhone::blank(world.clock.clone(), raw.issuer()).claim(&code));
        }
        let replies = join_all(claims.iter().map(|claim| raw.post(As::Nobody, "/v1/enrollments/claim", claim))).await;
        let active = replies.iter().filter(|reply| reply.body["device"]["state"] == "active").count();
        assert_eq!((active, statuses(&replies)), (1, vec![201; 10]));
        assert_eq!((rows(world, "devices").await, rows(world, "waiting_devices").await), (1, 9));
    }

    /// Two devices of a person confirm and reject a third, many times at once.
    pub(crate) async fn confirmations(world: &World) {
        let raw = Raw::new(world);
        let first = raw.person("yannick", "member").await;
        let second = raw.further_phone("yannick", &first).await;
        for rejects in [false, true] {
            let (third, _) = raw.claimed("yannick").await;
            let path = format!("/v1/devices/{}", third.device);
            let (confirm, reject) = (format!("{path}/confirm"), format!("{path}/reject"));
            let mut bodies = Vec::new();
            for at in 0..10 {
                let by = if at % 2 == 0 { &first } else { &second };
                bodies.push((by, by.prepare_confirmation(&raw, &third).await));
            }
            let nothing = json!({});
            let shots = bodies.iter().enumerate().map(|(at, (by, body))| {
                let rejecting = rejects && at % 3 == 0;
                let (path, body) = if rejecting { (&reject, &nothing) } else { (&confirm, body) };
                raw.post(As::Phone(by), path, body)
            });
            let replies = join_all(shots).await;
            let won: Vec<_> = replies.iter().filter(|reply| reply.status < 300).collect();
            assert_eq!(won.len(), 1, "{:?}", statuses(&replies));
            for lost in replies.iter().filter(|reply| reply.status >= 300) {
                // The counter of a passkey rises with each of its signatures, and the highest may have come first.
                assert!(["device_decided", "signature_invalid"].contains(&lost.code()), "{}", lost.text);
            }
            let confirmed = won[0].status == 200;
            assert_eq!(third.try_sign_in(&raw).await.status == 200, confirmed);
        }
        let decided = world.recorded("device.confirmed").await + world.recorded("device.rejected").await;
        assert_eq!(decided, 3, "the second device, and the two that were raced for");
    }

    pub(crate) async fn pages_under_one_key(world: &World) {
        let raw = Raw::new(world);
        let (bot, yannick) = (raw.able_bot("heimdall").await, world.person("yannick", "Yannick Schutz").await);
        let page = |title: &str| {
            let body = json!({"title": title, "to": ["@yannick"]});
            raw.shot(As::Bot(&bot), "POST", "/v1/incidents").json(&body).header("idempotency-key", "page-1").fire()
        };
        let replies = join_all((0..MANY).map(|_| page("All your apps are down"))).await;
        let reference = all_same(&replies, 201)["ref"].as_str().unwrap().to_owned();
        page("Something else").await.expect_refusal(422, "idempotency_key_reused");
        yannick.expect_push(world, "All your apps are down").await;
        assert_eq!((rows(world, "incidents").await, world.recorded("incident.triggered").await), (1, 1));
        yannick.phone.acknowledge(&reference).await.unwrap();
    }

    pub(crate) async fn a_retry_after_everything_is_over(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let action = deploy("api", "production");
        let asked = raw.ask(&bot, "yannick", &action).await;
        let answer = phone.prepare(&raw, &asked, "approve").await;
        let first = phone.send(&raw, &asked, &answer).await.expect(200);
        let grant = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.body["grant"].clone();
        raw.post(As::Bot(&bot), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await.expect(200);
        // Meanwhile the passkey signed something else: its counter has moved on.
        let other = raw.ask(&bot, "yannick", &action).await;
        phone.answer(&raw, &other, "deny").await.expect(200);
        world.advance(seconds(500)).await;
        let again = phone.send(&raw, &asked, &answer).await.expect(200);
        assert_eq!(again.body, first.body);
        let mut changed = answer.clone();
        changed["credential"]["clientExtensionResults"] = json!({"appid": false});
        let refused = phone.send(&raw, &asked, &changed).await;
        assert!(matches!(refused.code(), "challenge_used" | "signature_invalid" | "approval_decided"), "{}", refused.text);
        assert_eq!(world.recorded("approval.approved").await, 1);
    }

    /// What the journal says of requests; that nobody's phone rang is recorded, too.
    async fn ends(world: &World) -> usize {
        world
            .journal()
            .await
            .iter()
            .filter(|entry| entry["kind"].as_str().is_some_and(|kind| kind.starts_with("approval.")))
            .count()
    }

    pub(crate) async fn cancelling_while_approving(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        for _ in 0..8 {
            let before = ends(world).await;
            let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            let answer = phone.prepare(&raw, &asked, "approve").await;
            let path = format!("/v1/approvals/{asked}");
            let (approved, cancelled) = join(phone.send(&raw, &asked, &answer), raw.delete(As::Bot(&bot), &path)).await;
            let state = raw.get(As::Bot(&bot), &path).await.body["state"].clone();
            match state.as_str() {
                Some("approved") => {
                    approved.expect(200);
                    cancelled.expect_refusal(409, "approval_decided");
                }
                Some("cancelled") => {
                    approved.expect_refusal(409, "approval_cancelled");
                    cancelled.expect(204);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(ends(world).await, before + 2, "one for the request, one for its end");
        }
    }

    pub(crate) async fn the_deadline_while_approving(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        for _ in 0..8 {
            let before = ends(world).await;
            let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            world.advance(seconds(299)).await;
            let answer = phone.prepare(&raw, &asked, "approve").await;
            let (approved, ()) = join(phone.send(&raw, &asked, &answer), world.advance(seconds(1))).await;
            world.settle().await;
            let found = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await;
            match found.body["state"].as_str() {
                Some("approved") => drop(approved.expect(200)),
                Some("expired") => drop(approved.expect_refusal(409, "approval_expired")),
                other => panic!("{other:?}"),
            }
            assert_eq!(ends(world).await, before + 2, "one for the request, one for its end");
            phone.sign_in(&raw).await;
        }
    }

    pub(crate) async fn two_administrators_remove_each_other(world: &World) {
        let raw = Raw::new(world);
        let (ada, bob) = (raw.person("ada", "admin").await, raw.person("bob", "admin").await);
        let removals = (0..MANY).map(|at| match at % 2 {
            0 => raw.delete(As::Phone(&ada), "/v1/users/@bob"),
            _ => raw.delete(As::Phone(&bob), "/v1/users/@ada"),
        });
        let replies = join_all(removals).await;
        assert_eq!(statuses(&replies).iter().filter(|status| **status == 204).count(), 1, "{:?}", statuses(&replies));
        assert_eq!(world.db.number("select count(*) from users where removed_at is null").await, 1);
        assert_eq!(world.recorded("user.removed").await, 1);
    }

    pub(crate) async fn a_device_is_revoked_once(world: &World) {
        let raw = Raw::new(world);
        let phone = raw.person("yannick", "member").await;
        let path = format!("/v1/devices/{}", phone.device);
        let replies = join_all((0..MANY).map(|_| raw.delete(As::Operator, &path))).await;
        assert_eq!(statuses(&replies).iter().filter(|status| **status == 204).count(), 1, "{:?}", statuses(&replies));
        assert_eq!(world.recorded("device.revoked").await, 1);
    }

    pub(crate) async fn a_passkey_ends_once_under_one_key(world: &World) {
        let raw = Raw::new(world);
        let phone = raw.person("yannick", "member").await;
        let second = raw.further_phone("yannick", &phone).await;
        let body = {
            let blank = raw.bare_phone("yannick", &second).await;
            let body = blank.new_passkey(&raw).await;
            let make = || raw.shot(As::Phone(&blank), "POST", "/v1/passkeys").json(&body).header("idempotency-key", "p").fire();
            let mut replies = join_all((0..MANY).map(|_| make())).await;
            world.advance(seconds(400)).await;
            replies.push(make().await);
            all_same(&replies, 201).clone()
        };
        assert_eq!(rows(world, "passkeys").await, 3);
        let path = format!("/v1/passkeys/{}", body["id"].as_str().unwrap());
        let replies =
            join_all((0..MANY).map(|at| raw.delete(As::Phone(if at % 2 == 0 { &phone } else { &second }), &path))).await;
        assert_eq!(statuses(&replies).iter().filter(|status| **status == 204).count(), 1);
        assert_eq!(world.recorded("passkey.revoked").await, 1);
    }

    pub(crate) async fn two_approvals_signed_in_turn_and_sent_in_reverse(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let mut answers = Vec::new();
        for at in 0..10 {
            let asked = raw.ask(&bot, "yannick", &deploy(&format!("app-{at}"), "production")).await;
            let answer = phone.prepare(&raw, &asked, "approve").await;
            answers.push((asked, answer));
        }
        let replies = join_all(answers.iter().rev().map(|(asked, answer)| phone.send(&raw, asked, answer))).await;
        let highest = replies.iter().zip(answers.iter().rev()).filter(|(reply, _)| reply.status == 200).map(|(_, answer)| answer);
        let counters = highest.map(|(_, answer)| counter(answer)).collect::<Vec<_>>();
        let last = counters.iter().max().copied().expect("one at least is accepted");
        // What the house remembers never goes back: a copied authenticator would otherwise have a second chance.
        assert_eq!(stored_counter(world).await, i64::from(last));
    }

    fn counter(answer: &Value) -> u32 {
        let data = phoneops::secret::from_b64u(answer["credential"]["response"]["authenticatorData"].as_str().unwrap()).unwrap();
        u32::from_be_bytes(data[33..37].try_into().unwrap())
    }

    async fn stored_counter(world: &World) -> i64 {
        match world.db.engine() {
            phoneops::db::Engine::Lite => world.db.number("select json_extract(credential, '$.counter') from passkeys").await,
            phoneops::db::Engine::Pg => world.db.number("select (credential ->> 'counter')::bigint from passkeys").await,
        }
    }
}
