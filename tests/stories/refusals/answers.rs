//! Answers that must not count (device protocol, section 6).

crate::world::stories! {
    badly_made_assertions
    challenges_that_are_not_for_this
    too_late
    trust_that_ended
    the_diagonal
    the_diagonal_of_factors
    a_first_administrator_after_somebody_moved_in
    text_that_one_engine_cannot_store
}

mod stories {
    use futures_util::future::join_all;
    use phoneops::sim::authenticator::Misbehaviour;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawBot, RawPhone};
    use crate::world::{World, deploy, seconds};

    /// That an approval waits as if nothing had been tried.
    async fn untouched(raw: &Raw<'_>, bot: &RawBot, approval: &str) {
        let found = raw.get(As::Bot(bot), &format!("/v1/approvals/{approval}")).await.expect(200);
        assert_eq!(
            (&found.body["state"], &found.body["decision"], &found.body["grant"]),
            (&json!("pending"), &json!(null), &json!(null))
        );
        let left = raw.world.db.number("select count(*) from challenges where used_at is not null").await;
        assert_eq!((left, raw.world.db.number("select count(*) from answers").await), (0, 0));
        let recorded = raw.world.journal().await;
        let decided = |entry: &&Value| matches!(entry["kind"].as_str(), Some("approval.approved" | "approval.denied"));
        assert_eq!(recorded.iter().filter(decided).count(), 0);
    }

    async fn scene(world: &World) -> (Raw<'_>, RawBot, RawPhone, String) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        (raw, bot, phone, asked)
    }

    pub(crate) async fn badly_made_assertions(world: &World) {
        let (raw, bot, phone, asked) = scene(world).await;
        let evil = || Some("https://evil.example".to_owned());
        let good = Misbehaviour::default;
        for (misbehaviour, code) in [
            (Misbehaviour { user_unverified: true, ..good() }, "user_verification_missing"),
            (Misbehaviour { origin: evil(), ..good() }, "origin_mismatch"),
            (Misbehaviour { origin: Some(format!("{}/", raw.issuer())), ..good() }, "origin_mismatch"),
            (Misbehaviour { cross_origin: true, ..good() }, "cross_origin_refused"),
            (Misbehaviour { rp_id: Some("evil.example".to_owned()), ..good() }, "origin_mismatch"),
            (Misbehaviour { tampered_signature: true, ..good() }, "signature_invalid"),
            (Misbehaviour { challenge: Some(vec![7; 32]), ..good() }, "challenge_mismatch"),
        ] {
            for verdict in ["approve", "deny"] {
                let offered = phone.challenge(&raw, &asked, verdict).await.expect(200).body;
                let answer = json!({"challenge": offered["challenge"], "credential": phone.sign(&offered, misbehaviour.clone())});
                phone.send(&raw, &asked, &answer).await.expect_refusal(403, code);
                untouched(&raw, &bot, &asked).await;
            }
        }
        // An approval takes no reason: it would not be signed.
        let mut answer = phone.prepare(&raw, &asked, "approve").await;
        answer["reason"] = json!("because");
        assert_eq!(phone.send(&raw, &asked, &answer).await.expect_refusal(400, "invalid_request").field(), Some("reason"));
        untouched(&raw, &bot, &asked).await;
        phone.answer(&raw, &asked, "approve").await.expect(200);
    }

    pub(crate) async fn challenges_that_are_not_for_this(world: &World) {
        let (raw, bot, phone, asked) = scene(world).await;
        let other = raw.ask(&bot, "yannick", &deploy("api", "staging")).await;
        let ys = raw.person("ys", "member").await;
        let hers = raw.ask(&bot, "ys", &deploy("api", "production")).await;
        let mine = phone.prepare(&raw, &asked, "approve").await;
        let her_answer = ys.prepare(&raw, &hers, "approve").await;

        phone.send(&raw, &other, &mine).await.expect_refusal(404, "challenge_unknown");
        ys.send(&raw, &hers, &mine).await.expect_refusal(404, "challenge_unknown");
        phone.send(&raw, &asked, &her_answer).await.expect_refusal(404, "challenge_unknown");
        // To a stranger the approval does not exist.
        ys.send(&raw, &asked, &mine).await.expect_refusal(404, "not_found");
        ys.challenge(&raw, &asked, "approve").await.expect_refusal(404, "not_found");
        raw.get(As::Phone(&ys), &format!("/v1/approvals/{asked}")).await.expect_refusal(404, "not_found");
        // Her passkey under his session, over his challenge.
        let offered = phone.challenge(&raw, &asked, "approve").await.body;
        let hers_allowed = ys.challenge(&raw, &hers, "approve").await.body["public_key"]["allowCredentials"].clone();
        let mut lent = offered.clone();
        lent["public_key"]["allowCredentials"] = hers_allowed;
        let answer = json!({"challenge": offered["challenge"], "credential": ys.sign(&lent, Misbehaviour::default())});
        phone.send(&raw, &asked, &answer).await.expect_refusal(403, "passkey_unknown");
        // A denial that was signed, presented as an approval.
        let deny = phone.prepare(&raw, &asked, "deny").await;
        let swapped = json!({"challenge": offered["challenge"], "credential": deny["credential"]});
        phone.send(&raw, &asked, &swapped).await.expect_refusal(403, "challenge_mismatch");
        let nobody = json!({"challenge": "chl_0000000000000000000000000000000f", "credential": deny["credential"]});
        phone.send(&raw, &asked, &nobody).await.expect_refusal(404, "challenge_unknown");
        untouched(&raw, &bot, &asked).await;
        // A challenge that served once does not serve another signature.
        phone.send(&raw, &asked, &deny).await.expect(200);
        let mut again = deny.clone();
        again["credential"] = phone.sign(&offered, Misbehaviour::default());
        phone.send(&raw, &asked, &again).await.expect_refusal(409, "challenge_used");
        assert_eq!(world.recorded("approval.denied").await, 1);
    }

    pub(crate) async fn too_late(world: &World) {
        let (raw, bot, phone, asked) = scene(world).await;
        let first = phone.prepare(&raw, &asked, "approve").await;
        world.advance(seconds(120)).await;
        phone.send(&raw, &asked, &first).await.expect_refusal(409, "challenge_expired");
        world.advance(seconds(120)).await;
        let second = phone.prepare(&raw, &asked, "approve").await;
        untouched(&raw, &bot, &asked).await;
        world.advance(seconds(60)).await;
        phone.send(&raw, &asked, &second).await.expect_refusal(409, "approval_expired");
        phone.challenge(&raw, &asked, "approve").await.expect_refusal(409, "approval_expired");
        raw.delete(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect_refusal(409, "approval_expired");

        let gone = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let late = phone.prepare(&raw, &gone, "approve").await;
        raw.delete(As::Bot(&bot), &format!("/v1/approvals/{gone}")).await.expect(204);
        phone.send(&raw, &gone, &late).await.expect_refusal(409, "approval_cancelled");
        phone.challenge(&raw, &gone, "deny").await.expect_refusal(409, "approval_cancelled");
        assert_eq!(world.db.number("select count(*) from answers").await, 0);
    }

    pub(crate) async fn trust_that_ended(world: &World) {
        let (raw, bot, phone, asked) = scene(world).await;
        let second = raw.further_phone("yannick", &phone).await;
        // The passkey of the first phone, under the session of the second.
        let offered = second.challenge(&raw, &asked, "approve").await.expect(200).body;
        let lent = json!({"challenge": offered["challenge"], "credential": phone.sign(&offered, Misbehaviour::default())});
        let signed = phone.prepare(&raw, &asked, "approve").await;

        let own = second.prepare(&raw, &asked, "approve").await;
        let mine = raw.get(As::Phone(&second), "/v1/passkeys").await.body["passkeys"][1]["id"].as_str().unwrap().to_owned();
        raw.delete(As::Phone(&second), &format!("/v1/passkeys/{mine}")).await.expect(204);
        second.send(&raw, &asked, &own).await.expect_refusal(403, "passkey_unknown");
        untouched(&raw, &bot, &asked).await;

        raw.delete(As::Phone(&second), &format!("/v1/devices/{}", phone.device)).await.expect(204);
        phone.send(&raw, &asked, &signed).await.expect_refusal(401, "invalid_token");
        let refused = phone.try_sign_in(&raw).await.expect_refusal(401, "invalid_grant");
        assert_eq!(refused.body["reason"], "device_unknown");
        second.send(&raw, &asked, &lent).await.expect_refusal(403, "passkey_unknown");
        untouched(&raw, &bot, &asked).await;

        raw.delete(As::Operator, "/v1/users/@yannick").await.expect(204);
        second.send(&raw, &asked, &lent).await.expect_refusal(401, "invalid_token");
        second.challenge(&raw, &asked, "approve").await.expect_refusal(401, "invalid_token");
        untouched(&raw, &bot, &asked).await;
        let more = json!({"action": deploy("api", "production"), "requester": "@yannick"});
        let refused = raw.post(As::Bot(&bot), "/v1/approvals", &more).await.expect_refusal(400, "invalid_request");
        assert_eq!(refused.field(), Some("requester"));
    }

    /// One answer that would be good: whose it is, for which approval, and its two halves.
    struct Cell<'p> {
        phone: &'p RawPhone,
        approval: String,
        body: Value,
    }

    pub(crate) async fn the_diagonal(world: &World) {
        let raw = Raw::new(world);
        let bot = raw.able_bot("heimdall").await;
        let (yannick, ys) = (raw.person("yannick", "member").await, raw.person("ys", "member").await);
        let mut cells = Vec::new();
        for at in 0..3 {
            for (handle, phone) in [("yannick", &yannick), ("ys", &ys)] {
                let approval = raw.ask(&bot, handle, &deploy(&format!("app-{at}"), "production")).await;
                for verdict in ["approve", "deny"] {
                    let body = phone.prepare(&raw, &approval, verdict).await;
                    cells.push(Cell { phone, approval: approval.clone(), body });
                }
            }
        }
        for (i, assertion) in cells.iter().enumerate() {
            let shots = cells.iter().enumerate().flat_map(|(j, challenge)| {
                // Every second cell is the other verdict of the same approval.
                cells.iter().step_by(2).map(move |target| (j, challenge, target))
            });
            let shots =
                shots.filter(|(j, _, target)| *j != i || target.approval != assertion.approval).map(|(_, challenge, target)| {
                    let body = json!({"challenge": challenge.body["challenge"], "credential": assertion.body["credential"]});
                    let raw = &raw;
                    async move { assertion.phone.send(raw, &target.approval, &body).await }
                });
            for reply in join_all(shots).await {
                let expected =
                    matches!(reply.code(), "not_found" | "challenge_unknown" | "challenge_mismatch" | "passkey_unknown");
                assert!(expected, "{}", reply.text);
            }
        }
        for cell in &cells {
            untouched(&raw, &bot, &cell.approval).await;
        }
        // The counter of a passkey must rise, so the good ones go in the order they were signed.
        for pair in cells.chunks(2) {
            pair[0].phone.send(&raw, &pair[0].approval, &pair[0].body).await.expect(200);
            pair[1].phone.send(&raw, &pair[1].approval, &pair[1].body).await.expect_refusal(409, "approval_decided");
        }
    }

    /// (signature) × approval × verdict × approver × factor × policy version: only the matching cell is accepted.
    pub(crate) async fn the_diagonal_of_factors(world: &World) {
        let raw = Raw::new(world);
        let admin = world.administrator("ada", "Ada Byron").await;
        let bot = raw.able_bot("heimdall").await;
        raw.person("yannick", "member").await;
        let people = [raw.person("ann", "member").await, raw.person("bea", "member").await];
        let group = json!({"quorum": 2, "users": ["@ann", "@bea"]});
        let mut cells = Vec::new();
        // The same request under two versions of one policy.
        for expires_in in [300, 200] {
            let rule = json!({"require": {"groups": [group], "factor": "tap", "expires_in": expires_in}});
            world.policy(&admin, "any", &rule).await;
            let approval = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            for phone in &people {
                for (verdict, factor) in [
                    ("approve", "tap"),
                    ("approve", "code"),
                    ("deny", "tap"),
                    ("report", "tap"),
                    ("approve", "passkey"),
                    ("deny", "passkey"),
                    ("report", "passkey"),
                ] {
                    let body = if factor == "passkey" {
                        phone.prepare(&raw, &approval, verdict).await
                    } else {
                        let mut body = phone.prepare_jws(&raw, &approval, verdict, factor).await;
                        if factor == "code" {
                            body["code"] = json!("000000");
                        }
                        body
                    };
                    cells.push(Cell { phone, approval: approval.clone(), body });
                }
            }
        }
        for (i, signature) in cells.iter().enumerate() {
            let shots = cells.iter().enumerate().filter(|(j, _)| i != *j).map(|(_, other)| {
                let mut body = signature.body.clone();
                body["challenge"] = other.body["challenge"].clone();
                let raw = &raw;
                async move { signature.phone.send(raw, &other.approval, &body).await }
            });
            for reply in join_all(shots).await {
                let code = reply.code();
                let expected =
                    ["challenge_unknown", "challenge_mismatch", "factor_mismatch", "passkey_unknown", "invalid_request"];
                assert!(expected.contains(&code), "{}", reply.text);
                assert!(code != "invalid_request" || reply.field() == Some("code"), "{}", reply.text);
            }
        }
        for cell in &cells {
            untouched(&raw, &bot, &cell.approval).await;
        }
        assert_eq!(world.recorded("approval.code_wrong").await, 0, "no code was compared for a signature that is not for it");
        // Each is good in its own place: of both people by a tap, then a passkey, then a report.
        people[0].send(&raw, &cells[0].approval, &cells[0].body).await.expect(200);
        let approved = people[1].send(&raw, &cells[11].approval, &cells[11].body).await.expect(200);
        assert_eq!(approved.body["state"], "approved");
        let reported = people[0].send(&raw, &cells[17].approval, &cells[17].body).await.expect(200);
        assert_eq!((&reported.body["state"], &reported.body["decision"]["verdict"]), (&json!("denied"), &json!("report")));
    }

    pub(crate) async fn a_first_administrator_after_somebody_moved_in(world: &World) {
        let raw = Raw::new(world);
        let code = world.server.first_admin.as_ref().unwrap().expose_grouped().replace('-', "");
        raw.person("yannick", "admin").await;
        let mut claim = RawPhone::blank(world.clock.clone(), raw.issuer()).claim(&code);
        claim["user"] = json!({"handle": "mallory", "name": "Mallory Example"});
        raw.post(As::Nobody, "/v1/enrollments/claim", &claim).await.expect_refusal(404, "enrollment_unknown");
        assert_eq!(world.db.number("select count(*) from users").await, 1);
    }

    pub(crate) async fn text_that_one_engine_cannot_store(world: &World) {
        let (raw, bot, phone, asked) = scene(world).await;
        let mut answer = phone.prepare(&raw, &asked, "approve").await;
        answer["credential"]["clientExtensionResults"] = json!({"note": "a\0b"});
        let refused = phone.send(&raw, &asked, &answer).await.expect_refusal(400, "invalid_request");
        assert!(refused.field().unwrap().starts_with("credential"));
        untouched(&raw, &bot, &asked).await;
        let page = json!({"title": "Down", "to": ["@yannick"], "links": ["https://ops.example/\0"]});
        let refused = raw.post(As::Bot(&bot), "/v1/incidents", &page).await.expect_refusal(400, "invalid_request");
        assert_eq!(refused.field(), Some("links[0]"));
    }
}
