//! A walk over every route, each reply held against the OpenAPI document (`world/contract.rs` does so for every raw request).

mod support;
mod world;

world::stories! { the_whole_house }

mod stories {
    use std::collections::BTreeSet;

    use phoneops::secret::b64u;
    use phoneops::sim::authenticator::Misbehaviour;
    use serde_json::json;

    use crate::world::contract::{OPERATIONS, SEEN};
    use crate::world::raw::{As, RSA_KEY, Raw, RawBot, RawPhone};
    use crate::world::{World, deploy, minutes, nights};

    /// Statuses of success that the document promises and this walk cannot bring about, with the reason.
    const NOT_WALKED: &[&str] = &[
        // Taking a policy away always weakens.
        "DELETE /v1/policies/{name} 204",
        // As does taking a command away.
        "DELETE /v1/chat/commands/{name} 204",
        // And so does lifting a freeze.
        "DELETE /v1/freezes/{id} 204",
        // The clock of a test stands still, and the node refuses to serve when PostgreSQL's clock says something else.
        "GET /readyz 200",
    ];

    pub(crate) async fn the_whole_house(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "admin").await);
        people_and_devices(&raw, &phone).await;
        approvals(&raw, &bot, &phone).await;
        emergencies(&raw, &bot, &phone).await;
        policies(&raw, &bot, &phone).await;
        commands(&raw, &phone).await;
        incidents(&raw, &bot, &phone).await;
        schedules(&raw, &bot, &phone).await;
        services(&raw, &phone).await;
        alerts(&raw).await;
        the_rest(&raw, &bot, &phone).await;
        let seen: BTreeSet<_> = SEEN.lock().unwrap().iter().cloned().collect();
        let mut missed = BTreeSet::new();
        for operation in OPERATIONS.iter() {
            for status in operation.successes() {
                let promised = format!("{} {} {status}", operation.method, operation.template);
                if !seen.contains(&promised) && !NOT_WALKED.contains(&promised.as_str()) {
                    missed.insert(promised);
                }
            }
        }
        assert!(missed.is_empty(), "documented and never seen: {missed:#?}");
    }

    async fn people_and_devices(raw: &Raw<'_>, phone: &RawPhone) {
        let admin = As::Phone(phone);
        raw.post(admin, "/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.expect(201);
        raw.post(admin, "/v1/users", &json!({"handle": "ys", "name": "Ys Again"})).await.expect_refusal(409, "handle_taken");
        raw.get(admin, "/v1/users").await.expect(200);
        let proposed = raw.post(admin, "/v1/enrollments", &json!({"user": "@ys"})).await.expect(202);
        let confirmed = phone.confirm_act(raw, &proposed.id()).await.expect(200);
        let code = confirmed.body["enrollment"]["code"].as_str().unwrap().replace('-', "");
        let mut second = RawPhone::blank(raw.world.clock.clone(), raw.issuer());
        let claimed = raw.post(As::Nobody, "/v1/enrollments/claim", &second.claim(&code)).await.expect(201);
        let again = raw.post(As::Nobody, "/v1/enrollments/claim", &second.claim(&code)).await.expect(200);
        assert_eq!(again.body, claimed.body);
        second.belongs_to(&claimed);
        second.sign_in(raw).await;
        let passkey = second.make_passkey(raw).await;
        let me = raw.get(As::Phone(&second), "/v1/me").await.expect(200).body;
        assert_eq!((&me["teams"], &me["ready"]), (&json!([]), &json!(false)));
        let rules = raw.get(As::Phone(&second), "/v1/me/paging-rules").await.expect(200).body;
        raw.shot(As::Phone(&second), "PUT", "/v1/me/paging-rules").json(&rules).fire().await.expect(200);
        raw.get(admin, "/v1/users/@ys/paging-rules").await.expect(200);
        raw.get(admin, "/v1/readiness").await.expect(200);
        raw.get(admin, "/v1/carriers").await.expect(200);
        raw.get(As::Phone(&second), "/v1/passkeys").await.expect(200);
        raw.get(As::Phone(&second), "/v1/devices").await.expect(200);
        let keys = json!({"p256dh": second.p256dh(), "auth": b64u([7; 16])});
        let push = json!({"kind": "web_push", "endpoint": "https://push.example/x", "keys": keys});
        raw.shot(As::Phone(&second), "PUT", &format!("/v1/devices/{}/push", second.device)).json(&push).fire().await.expect(200);
        let renamed = raw
            .shot(As::Phone(&second), "PUT", &format!("/v1/devices/{}/name", second.device))
            .json(&json!({"name": "Ys's phone"}));
        assert_eq!(renamed.fire().await.expect(200).body["name"], "Ys's phone");
        let foreign =
            raw.shot(As::Phone(&second), "PUT", &format!("/v1/devices/{}/name", phone.device)).json(&json!({"name": "Mine"}));
        foreign.fire().await.expect_refusal(404, "not_found");
        has(raw, phone, 1, 1).await;
        raw.get(admin, "/v1/users/@ys/devices").await.expect(200);
        joining(raw, &second).await;
        away(raw, phone, &second).await;
        email(raw, phone, &second).await;
        role(raw, phone).await;
        raw.delete(As::Phone(&second), &format!("/v1/passkeys/{passkey}")).await.expect(204);
        has(raw, phone, 1, 0).await;
        raw.delete(admin, &format!("/v1/devices/{}", second.device)).await.expect(204);
        has(raw, phone, 0, 0).await;
        raw.delete(admin, "/v1/users/@ys").await.expect(204);
        raw.get(admin, "/v1/users/@ys").await.expect_refusal(404, "not_found");
        raw.post(admin, "/v1/users/@ada/recover", &json!({})).await.expect(202);
        raw.post(admin, "/v1/users", &json!({"handle": "bea", "name": "Bea Example", "role": "admin"})).await.expect(202);
        raw.delete(admin, "/v1/users/@ada").await.expect(204);
        // A call that is repeated under one key says everything but the secret.
        let make = |path: &str, body: &serde_json::Value| {
            raw.shot(admin, "POST", path).json(body).header("idempotency-key", path).fire()
        };
        let body = json!({"name": "loki", "scopes": ["events:read"]});
        let (first, second) = (make("/v1/bots", &body).await.expect(201), make("/v1/bots", &body).await.expect(201));
        assert!(first.body["token"].is_string() && second.body["token"].is_null() && first.body["id"] == second.body["id"]);
        let body = json!({"user": "@yannick"});
        let (first, second) =
            (make("/v1/enrollments", &body).await.expect(201), make("/v1/enrollments", &body).await.expect(201));
        assert!(first.body["code"].is_string() && second.body["code"].is_null() && second.body["link"].is_null());
        assert!(first.body["qr"].is_array() && second.body["qr"].is_null(), "the link's QR code is as secret as the link");
        raw.get(admin, "/v1/bots").await.expect(200);
        raw.delete(
            admin,
            &format!("/v1/bots/{}", make("/v1/bots", &json!({"name": "loki", "scopes": ["events:read"]})).await.id()),
        )
        .await
        .expect(204);
    }

    /// One device confirms another, and rejects a third; somebody is recovered, and another administrator made.
    async fn joining(raw: &Raw<'_>, first: &RawPhone) {
        let third = raw.bare_phone("ys", first).await;
        let (fourth, _) = raw.claimed("ys").await;
        raw.get(As::Phone(first), "/v1/devices").await.expect(200);
        raw.post(As::Phone(&third), &format!("/v1/devices/{}/reject", fourth.device), &json!({})).await.expect(204);
        raw.delete(As::Phone(first), &format!("/v1/devices/{}", third.device)).await.expect(204);
        raw.post(As::Operator, "/v1/users/@ys/recover", &json!({})).await.expect(201);
        let ada = json!({"handle": "ada", "name": "Ada Byron", "role": "admin"});
        raw.post(As::Operator, "/v1/users", &ada).await.expect(201);
    }

    /// `@ys` is away, with and without a delegate, by themselves and by an administrator.
    async fn away(raw: &Raw<'_>, admin: &RawPhone, ys: &RawPhone) {
        let until = raw.world.clock.now().after(crate::world::minutes(60));
        for (by, path) in [(ys, "/v1/me/away"), (admin, "/v1/users/@ys/away")] {
            let put = |body: serde_json::Value| raw.shot(As::Phone(by), "PUT", path).json(&body).fire();
            put(json!({"until": until})).await.expect(200);
            let act = put(json!({"until": until, "delegate": "@yannick"})).await.expect(202).id();
            confirm(raw, by, &act).await;
            raw.get(As::Phone(ys), "/v1/me").await.expect(200);
            let found = raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body;
            assert_eq!(found["away"]["delegate"]["handle"], "yannick");
            raw.delete(As::Phone(by), path).await.expect(204);
        }
    }

    /// Where `@ys` reads e-mail, said by themselves and by an administrator, and shown to both.
    /// Ys becomes an administrator by Yannick's passkey, and lays it down; the last one cannot.
    async fn role(raw: &Raw<'_>, admin: &RawPhone) {
        let give = |who: &'static str, role| {
            raw.shot(As::Phone(admin), "PUT", &format!("/v1/users/{who}/role")).json(&json!({"role": role})).fire()
        };
        let proposed = give("@ys", "admin").await.expect(202);
        assert_eq!(proposed.body["change"]["kind"], "admin.granted");
        assert_eq!(raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body["role"], "member", "not yet");
        admin.confirm_act(raw, &proposed.id()).await.expect(200);
        assert_eq!(raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body["role"], "admin");
        give("@ys", "admin").await.expect(204);
        give("@ys", "member").await.expect(204);
        assert_eq!(raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body["role"], "member");
        give("@nobody", "admin").await.expect_refusal(404, "not_found");
        give("@nobody", "member").await.expect_refusal(404, "not_found");
    }

    async fn email(raw: &Raw<'_>, admin: &RawPhone, ys: &RawPhone) {
        for (by, path, address) in [(ys, "/v1/me/email", json!("ys@example.com")), (admin, "/v1/users/@ys/email", json!(null))] {
            raw.shot(As::Phone(by), "PUT", path).json(&json!({"email": address})).fire().await.expect(204);
            assert_eq!(raw.get(As::Phone(ys), "/v1/me").await.expect(200).body["user"]["email"], address);
            assert_eq!(raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body["email"], address);
        }
    }

    /// What `@ys` has to be reached on and to approve with.
    async fn has(raw: &Raw<'_>, admin: &RawPhone, push_devices: u64, passkeys: u64) {
        let found = raw.get(As::Phone(admin), "/v1/users/@ys").await.expect(200).body;
        assert_eq!(
            (&found["handle"], &found["push_devices"], &found["passkeys"]),
            (&json!("ys"), &json!(push_devices), &json!(passkeys))
        );
    }

    async fn approvals(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let action = deploy("api", "production");
        let (asked, grant) = raw.granted(bot, phone, "yannick", &action).await;
        raw.post(As::Bot(bot), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await.expect(200);
        raw.get(As::Phone(phone), &format!("/v1/approvals/{asked}")).await.expect(200);
        outcome(raw, bot, phone, &asked).await;
        let full = json!({"action": action, "requester": "@yannick", "reason": "a release \u{202e}", "expires_in": 60,
            "origin": {"platform": "slack", "workspace": "T1", "room": "C1"}});
        let waiting = raw.post(As::Bot(bot), "/v1/approvals?wait=20", &full);
        let denying = async {
            loop {
                let inbox = raw.get(As::Phone(phone), "/v1/approvals?for=me").await.expect(200);
                if let Some(id) = inbox.body["approvals"][0]["id"].as_str() {
                    let mut answer = phone.prepare(raw, id, "deny").await;
                    answer["reason"] = json!("no");
                    return phone.send(raw, id, &answer).await.expect(200);
                }
            }
        };
        let (told, _) = futures_util::future::join(waiting, denying).await;
        // Decided while the bot waited: 200, not 201.
        assert_eq!(told.expect(200).body["state"], "denied");
        let cancelled = raw.ask(bot, "yannick", &deploy("api", "staging")).await;
        raw.delete(As::Bot(bot), &format!("/v1/approvals/{cancelled}")).await.expect(204);
        raw.get(As::Bot(bot), &format!("/v1/approvals/{cancelled}")).await.expect(200);
        freezes(raw, bot, phone).await;
    }

    async fn freezes(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let reported = raw.ask(bot, "yannick", &deploy("api", "test")).await;
        phone.answer(raw, &reported, "report").await.expect(200);
        let ask = json!({"action": deploy("api", "canary"), "requester": "@yannick"});
        raw.post(As::Bot(bot), "/v1/approvals", &ask).await.expect_refusal(403, "frozen");
        let open = raw.get(As::Phone(phone), "/v1/freezes").await.expect(200).body;
        let path = format!("/v1/freezes/{}", open["freezes"][0]["id"].as_str().unwrap());
        let act = raw.delete(As::Phone(phone), &path).await.expect(202);
        confirm(raw, phone, &act.id()).await;
    }

    /// A request that is broken open, under a key that the grant is bound to, and denied; and a bot's next tokens.
    async fn emergencies(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let body = json!({"action": deploy("api", "emergencies"), "requester": "@yannick", "bind": {"jkt": b64u([7; 32])}});
        let asked = raw.post(As::Bot(bot), "/v1/approvals", &body).await.expect(201).id();
        let path = format!("/v1/approvals/{asked}/break-glass");
        let broken = raw.post(As::Operator, &path, &json!({"reason": "nobody answers"})).await.expect(200);
        assert_eq!(
            (&broken.body["break_glass"]["reason"], &broken.body["bind"]["jkt"]),
            (&json!("nobody answers"), &body["bind"]["jkt"])
        );
        raw.get(As::Phone(phone), &format!("/v1/approvals/{asked}")).await.expect(200);
        phone.answer(raw, &asked, "deny").await.expect(200);
        raw.get(As::Bot(bot), &format!("/v1/approvals/{asked}/receipt")).await.expect(200);

        let made = raw.bot("rotated", &["events:read"]).await;
        raw.post(As::Operator, &format!("/v1/bots/{}/rotate", made.id), &json!({})).await.expect(200);
        raw.get(As::Operator, "/v1/bots").await.expect(200);
        let other = raw.bot("rotating", &["events:read"]).await;
        raw.post(As::Bot(&other), "/v1/bots/me/rotate", &json!({"overlap_seconds": 60})).await.expect(200);
    }

    /// Makes whatever waits for a passkey happen.
    async fn confirm(raw: &Raw<'_>, phone: &RawPhone, act: &str) -> serde_json::Value {
        let path = format!("/v1/acts/{act}");
        let offered = raw.post(As::Phone(phone), &format!("{path}/challenge"), &json!({})).await.expect(200).body;
        let body = json!({"challenge": offered["challenge"], "credential": phone.sign(&offered, Misbehaviour::default())});
        raw.post(As::Phone(phone), &format!("{path}/confirm"), &body).await.expect(200).body
    }

    async fn policies(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let admin = As::Phone(phone);
        raw.post(admin, "/v1/users", &json!({"handle": "zoe", "name": "Zoe Example"})).await.expect(201);
        raw.post(admin, "/v1/teams", &json!({"name": "ops"})).await.expect(201);
        raw.post(admin, "/v1/teams", &json!({"name": "ops"})).await.expect_refusal(409, "name_taken");
        let member = |who: &str| format!("/v1/teams/ops/members/@{who}");
        raw.shot(admin, "PUT", &member("yannick")).json(&json!({})).fire().await.expect(204);
        raw.get(admin, "/v1/teams").await.expect(200);
        let put = |rule: serde_json::Value| raw.shot(admin, "PUT", "/v1/policies/prod").json(&rule).fire();
        let rule = json!({"match": {"types": ["wipe"], "params": {"disk": ["sd*", 3, true]}, "bots": ["heimdall"],
                "rooms": [{"platform": "slack", "workspace": "*", "room": "C1"}]},
            "require": {"groups": [{"quorum": 1, "teams": ["ops"]}], "requester_excluded": false, "factor": "tap", "delay": 60}});
        let proposed = put(rule.clone()).await.expect(202);
        raw.get(admin, "/v1/acts").await.expect(200);
        assert_eq!(confirm(raw, phone, &proposed.id()).await["state"], "done");
        let mut stricter = rule;
        stricter["require"]["factor"] = json!("code");
        put(stricter).await.expect(200);
        raw.get(admin, "/v1/policies").await.expect(200);
        raw.get(admin, "/v1/policies/prod").await.expect(200);
        let joins = raw.shot(admin, "PUT", &member("zoe")).json(&json!({})).fire().await.expect(202);
        confirm(raw, phone, &joins.id()).await;
        raw.delete(admin, &member("zoe")).await.expect(204);
        let action = json!({"type": "wipe", "target": "staging", "params": {"disk": "sda"}});
        let origin = json!({"platform": "slack", "workspace": "T1", "room": "C1"});
        let trial = json!({"action": action, "requester": "@yannick", "bot": "heimdall", "origin": origin});
        raw.post(admin, "/v1/policies/test", &trial).await.expect(200);
        let ask = json!({"action": action, "requester": "@yannick", "origin": origin});
        let asked = raw.post(As::Bot(bot), "/v1/approvals?wait=5", &ask).await.expect(201);
        let offered = json!({"verdict": "approve", "factor": "code"});
        let offered = raw.post(admin, &format!("/v1/approvals/{}/challenge", asked.id()), &offered).await.expect(200).body;
        let header = json!({"alg": "ES256", "typ": "phoneops-answer+jws"});
        let jws = phone.jws_over(&header, offered["statement"].as_str().unwrap());
        let answer = json!({"challenge": offered["challenge"], "jws": jws, "code": asked.body["code"]});
        let held = phone.send(raw, &asked.id(), &answer).await.expect(200);
        assert!(held.body["holds_until"].is_string());
        let removed = raw.delete(admin, "/v1/policies/prod").await.expect(202);
        confirm(raw, phone, &removed.id()).await;
    }

    /// A command of chat: declared, changed, taken away.
    async fn commands(raw: &Raw<'_>, phone: &RawPhone) {
        let admin = As::Phone(phone);
        let put = |says: serde_json::Value| raw.shot(admin, "PUT", "/v1/chat/commands/restart").json(&says).fire();
        let says = json!({"pattern": "restart (?<service>[a-z]+)(?: in (?<environment>[a-z]+))?",
            "action": {"type": "restart", "target": "{service}", "params": {"environment": "{environment}"}},
            "success": "you are restarting {service}", "help": "restart a service", "example": "restart web in production"});
        put(says.clone()).await.expect(200);
        let mut other = says.clone();
        other["action"]["type"] = json!("reboot");
        let proposed = put(other).await.expect(202);
        assert_eq!(confirm(raw, phone, &proposed.id()).await["state"], "done");
        let mut escaping = says;
        escaping["pattern"] = json!("page (?<service>[a-z]+)(?<environment>x?)");
        put(escaping).await.expect_refusal(400, "invalid_request");
        raw.get(admin, "/v1/chat/commands").await.expect(200);
        raw.get(admin, "/v1/chat/commands/restart").await.expect(200);
        let removed = raw.delete(admin, "/v1/chat/commands/restart").await.expect(202);
        confirm(raw, phone, &removed.id()).await;
    }

    async fn outcome(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone, asked: &str) {
        let receipt = format!("/v1/approvals/{asked}/receipt");
        let grant = raw.get(As::Phone(phone), &receipt).await.expect(200).body["receipt"]["grant"]["jti"].clone();
        let told = json!({"outcome": "failed", "detail": "exit code 3"});
        raw.post(As::Bot(bot), &format!("/v1/grants/{}/outcome", grant.as_str().unwrap()), &told).await.expect(200);
        raw.get(As::Bot(bot), &receipt).await.expect(200);
        raw.get(As::Bot(bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        raw.get(As::Phone(phone), &format!("/v1/approvals/{asked}/deliveries")).await.expect(200);
        raw.get(As::Operator, "/v1/keys").await.expect(200);
        raw.post(As::Operator, "/v1/keys/rotate", &json!({})).await.expect(200);
    }

    async fn incidents(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let page = json!({"title": "Down", "to": ["@yannick"], "details": "all of it", "urgency": "low",
            "links": ["https://ops.example/"], "actor": "@yannick"});
        let other = raw.page(bot, "yannick").await;
        let reference = raw.post(As::Bot(bot), "/v1/incidents", &page).await.expect(201).body["ref"].as_str().unwrap().to_owned();
        let path = format!("/v1/incidents/{reference}");
        raw.get(As::Bot(bot), &path).await.expect(200);
        raw.get(As::Bot(bot), &format!("{path}/deliveries")).await.expect(200);
        raw.post(As::Bot(bot), &format!("{path}/acknowledge"), &json!({"actor": "@yannick"})).await.expect(200);
        raw.post(As::Phone(phone), &format!("{path}/not-me"), &json!({})).await.expect(200);
        for (act, body) in [
            ("acknowledge", json!({})),
            ("escalate", json!({"message": "I need some help"})),
            ("reassign", json!({"to": ["@yannick"]})),
            ("responders", json!({"to": ["@yannick"]})),
            ("snooze", json!({"until": raw.world.clock.now().after(minutes(5))})),
            ("wake", json!({})),
            ("urgency", json!({"urgency": "high"})),
            ("resolve", json!({})),
            ("reopen", json!({})),
        ] {
            raw.post(As::Phone(phone), &format!("{path}/{act}"), &body).await.expect(200);
        }
        raw.post(As::Phone(phone), &format!("{path}/notes"), &json!({"text": "the disk is full"})).await.expect(204);
        raw.post(As::Phone(phone), "/v1/me/acknowledge-all", &json!({})).await.expect(200);
        raw.post(As::Phone(phone), &format!("{path}/merge"), &json!({"into": other})).await.expect(200);
        raw.get(As::Phone(phone), &format!("{path}/timeline?limit=2")).await.expect(200);
        raw.page(bot, "yannick").await;
        raw.page(bot, "yannick").await;
        let first = raw.get(As::Bot(bot), "/v1/incidents?all=true&limit=2").await.expect(200);
        let next = format!("/v1/incidents?all=true&cursor={}", first.body["next"].as_str().unwrap());
        assert_eq!(raw.get(As::Bot(bot), &next).await.expect(200).body["incidents"][0]["ref"], reference.as_str());
    }

    /// Schedules, who is on call by them, and a calendar.
    async fn schedules(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let admin = As::Phone(phone);
        let mut nights = nights("@yannick");
        nights["name"] = json!("nights");
        raw.post(admin, "/v1/schedules", &nights).await.expect(201);
        nights.as_object_mut().unwrap().remove("name");
        for (name, status) in [("nights", 200), ("days", 201)] {
            nights["layers"][0]["hours"] = json!(["mon-fri 09:00-18:00"]);
            raw.shot(admin, "PUT", &format!("/v1/schedules/{name}")).json(&nights).fire().await.expect(status);
        }
        let swap = json!({"user": "@zoe", "instead_of": "@yannick", "for": "60m"});
        let over = raw.post(admin, "/v1/schedules/nights/overrides", &swap).await.expect(201).id();
        raw.get(As::Bot(bot), "/v1/schedules").await.expect(200);
        raw.get(As::Bot(bot), "/v1/schedules/nights").await.expect(200);
        raw.get(As::Bot(bot), "/v1/on-call").await.expect(200);
        raw.get(As::Bot(bot), "/v1/schedules/nights/shifts").await.expect(200);
        raw.get(admin, "/v1/me/shifts").await.expect(200);
        let url = raw.post(admin, "/v1/calendar-feeds", &json!({"schedule": "nights"})).await.expect(201).body["url"].clone();
        let path = url.as_str().unwrap().strip_prefix(raw.issuer()).unwrap().to_owned();
        raw.get(As::Nobody, &path).await.expect(200);
        let feed = raw.post(admin, "/v1/calendar-feeds", &json!({})).await.expect(201).id();
        raw.get(admin, "/v1/calendar-feeds").await.expect(200);
        raw.delete(admin, &format!("/v1/calendar-feeds/{feed}")).await.expect(204);
        raw.delete(admin, &format!("/v1/schedules/nights/overrides/{over}")).await.expect(204);
        raw.delete(admin, "/v1/schedules/nights").await.expect(204);
    }

    /// What monitoring systems send.
    async fn alerts(raw: &Raw<'_>) {
        raw.post(As::Operator, "/v1/teams", &json!({"name": "watch"})).await.expect(201);
        raw.post(As::Operator, "/v1/services", &json!({"name": "watched", "team": "watch"})).await.expect(201);
        let mut keys = std::collections::BTreeMap::new();
        for kind in ["events", "alertmanager", "grafana", "generic", "heartbeat"] {
            let mut body = json!({"name": kind, "kind": kind});
            if kind == "heartbeat" {
                body["every_seconds"] = json!(3600);
            }
            let made = raw.post(As::Operator, "/v1/services/watched/integrations", &body).await.expect(201);
            keys.insert(kind, made.body["key"].as_str().unwrap().to_owned());
        }
        let event = json!({"routing_key": keys["events"], "event_action": "trigger", "dedup_key": "a",
            "payload": {"summary": "Down", "source": "db1", "severity": "info"}});
        raw.post(As::Nobody, "/v2/enqueue", &event).await.expect(202);
        raw.post(As::Nobody, "/v2/change/enqueue", &event).await.expect(202);
        raw.post(As::Nobody, "/v2/enqueue", &json!({})).await.expect(400);
        for (method, kind) in [("POST", "alertmanager"), ("POST", "grafana"), ("PUT", "grafana"), ("POST", "generic")] {
            let path = format!("/ingest/{}/{kind}", keys[kind]);
            raw.shot(As::Nobody, method, &path).json(&json!({"groupKey": "g", "alerts": []})).fire().await.expect(202);
        }
        for method in ["POST", "GET"] {
            raw.shot(As::Nobody, method, &format!("/heartbeat/{}", keys["heartbeat"])).fire().await.expect(204);
        }
    }

    /// A service with its policy, its keys and its maintenance, each made twice where a `PUT` does both.
    async fn services(raw: &Raw<'_>, phone: &RawPhone) {
        let admin = As::Phone(phone);
        let put = |path: &'static str, body: serde_json::Value| raw.shot(admin, "PUT", path).json(&body).fire();
        raw.post(admin, "/v1/teams", &json!({"name": "api"})).await.expect(201);
        let steps = json!([{"to": ["@yannick", "team:api"], "escalate_after_minutes": 5}]);
        raw.post(admin, "/v1/escalation-policies", &json!({"name": "api", "steps": steps})).await.expect(201);
        raw.post(admin, "/v1/services", &json!({"name": "api", "team": "api", "policy": "api"})).await.expect(201);
        for status in [201, 200] {
            let policy = json!({"team": "api", "steps": steps, "repeats": 1, "last_resort": ["@yannick"]});
            put("/v1/escalation-policies/web", policy).await.expect(status);
            put("/v1/services/web", json!({"team": "api", "settings": {"group_by": ["cluster"]}})).await.expect(status);
        }
        for path in ["/v1/escalation-policies", "/v1/escalation-policies/api", "/v1/services", "/v1/services/api"] {
            raw.get(admin, path).await.expect(200);
        }
        let keys = "/v1/services/api/integrations";
        let kinds = [
            json!({"name": "prom", "kind": "events"}),
            json!({"name": "hook", "kind": "generic", "mapping": {"summary": "/text", "action": {"at": "/status"}}}),
            json!({"name": "cron", "kind": "heartbeat", "every_seconds": 60}),
        ];
        for body in kinds {
            raw.post(admin, keys, &body).await.expect(201);
        }
        let rhythm = json!({"every_seconds": 120, "grace_seconds": 30});
        raw.shot(admin, "PUT", &format!("{keys}/cron")).json(&rhythm).fire().await.expect(200);
        raw.post(admin, &format!("{keys}/prom/rotate"), &json!({})).await.expect(200);
        raw.get(admin, keys).await.expect(200);
        raw.delete(admin, &format!("{keys}/prom")).await.expect(204);
        let window = json!({"service": "api", "for_seconds": 600, "reason": "a move"});
        let window = raw.post(admin, "/v1/maintenance", &window).await.expect(201).id();
        raw.get(admin, "/v1/maintenance?all=true").await.expect(200);
        raw.delete(admin, &format!("/v1/maintenance/{window}")).await.expect(204);
        raw.delete(admin, "/v1/services/api").await.expect(204);
        raw.delete(admin, "/v1/escalation-policies/api").await.expect(204);
    }

    /// Rooms of chat, what they hear of, and what a bot may ask.
    async fn rooms(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let room =
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T1", "room": "C1", "only": {"env": "production"}});
        raw.shot(As::Operator, "PUT", "/v1/chat/rooms").json(&room).fire().await.expect(204);
        raw.get(As::Operator, "/v1/chat/rooms").await.expect(200);
        let heard = json!({"bot": "heimdall", "platform": "slack", "workspace": "T1", "room": "C1", "of": "approvals",
            "labels": {"target": "production"}});
        let made = raw.post(As::Operator, "/v1/chat/subscriptions", &heard).await.expect(201).id();
        raw.get(As::Operator, "/v1/chat/subscriptions").await.expect(200);
        raw.delete(As::Operator, &format!("/v1/chat/subscriptions/{made}")).await.expect(204);
        let path = format!("/v1/bots/{}/keys", bot.id);
        let key = json!({"public_key": RSA_KEY, "platform": "irc", "workspace": "example"});
        let made = raw.post(As::Operator, &path, &key).await.expect(201).id();
        raw.get(As::Operator, &path).await.expect(200);
        raw.delete(As::Operator, &format!("{path}/{made}")).await.expect(204);
        let path = format!("/v1/bots/{}/limits", bot.id);
        raw.shot(As::Operator, "PUT", &path).json(&json!({"users": ["@yannick"]})).fire().await.expect(200);
        raw.get(As::Operator, &path).await.expect(200);
        let wider = json!({"users": ["@yannick"], "teams": ["ops"]});
        let wider = raw.shot(As::Operator, "PUT", &path).json(&wider).fire().await.expect(202);
        assert_eq!(confirm(raw, phone, &wider.id()).await["change"]["kind"], "bot.limited");
        let removed = raw.delete(As::Operator, &path).await.expect(202);
        confirm(raw, phone, &removed.id()).await;
        raw.shot(As::Operator, "PUT", &path).json(&json!({})).fire().await.expect(200);
        raw.delete(As::Operator, &path).await.expect(204);
    }

    async fn the_rest(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone) {
        let ys = raw.world.person("yara", "Yara Example").await;
        ys.phone.post("/v1/me/test-page", &json!({})).await.unwrap();
        let capability = ys.expect_push(raw.world, "Test page").await.data()["receipt"].as_str().unwrap().to_owned();
        raw.post(As::Nobody, &format!("/v1/receipts/{capability}"), &json!({"event": "opened"})).await.expect(204);
        raw.post(As::Phone(phone), "/v1/me/test-page", &json!({})).await.expect(200);
        raw.world.journal().await;
        raw.get(As::Operator, "/v1/journal?limit=500").await.expect(200);
        raw.get(As::Operator, "/v1/journal/verification").await.expect(200);
        raw.get(As::Operator, "/v1/events?after=0").await.expect(200);
        let identity = json!({"platform": "slack", "workspace": "T0ORG", "user": "U1"});
        let code = raw.post(As::Bot(bot), "/v1/chat-identities/codes", &identity).await.expect(201).body["code"].clone();
        raw.post(As::Phone(phone), "/v1/chat-identities/look-up", &json!({"code": code})).await.expect(200);
        let linked = raw.post(As::Phone(phone), "/v1/chat-identities", &json!({"code": code})).await.expect(201).id();
        let person = "/v1/chat-identities/person?platform=slack&workspace=T0ORG&user=U1";
        raw.get(As::Bot(bot), person).await.expect(200);
        raw.get(As::Phone(phone), "/v1/chat-identities").await.expect(200);
        raw.delete(As::Phone(phone), &format!("/v1/chat-identities/{linked}")).await.expect(204);
        rooms(raw, bot, phone).await;
        let login = raw.world.blank_phone().prepare_login("cli", "@yannick", "A laptop").unwrap();
        for status in [201, 200] {
            raw.post(As::Nobody, "/v1/logins", &login).await.expect(status);
        }
        let url = json!({"url": "http://127.0.0.1:1024/nobody-listens-here", "kinds": ["grant."]});
        let webhook = raw.post(As::Operator, "/v1/webhooks", &url).await.expect(201).id();
        raw.get(As::Operator, "/v1/webhooks").await.expect(200);
        for verb in ["rotate", "test", "enable"] {
            raw.post(As::Operator, &format!("/v1/webhooks/{webhook}/{verb}"), &json!({})).await.expect(200);
        }
        raw.get(As::Operator, &format!("/v1/webhooks/{webhook}")).await.expect(200);
        raw.delete(As::Operator, &format!("/v1/webhooks/{webhook}")).await.expect(204);
        raw.get(As::Nobody, "/.well-known/jwks.json").await.expect(200);
        raw.get(As::Nobody, "/healthz").await.expect(200);
        raw.get(As::Nobody, "/readyz").await;
        raw.get(As::Bot(bot), "/nothing/here").await.expect_refusal(404, "not_found");
        let served = raw.world.http.get(format!("{}/openapi.json", raw.issuer())).send().await.unwrap();
        assert_eq!(served.json::<serde_json::Value>().await.unwrap(), phoneops::http::document());
    }
}
