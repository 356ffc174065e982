//! Who may call what, as a table. A route of the OpenAPI document without a row fails; so does a row without a route.

crate::world::stories! {
    who_may_call_what
    a_device_that_waits_does_nothing
    a_device_that_is_too_new_decides_nothing
}

/// In this order stand the columns.
const CALLERS: &str = "nobody, a bot without scopes, bots with approvals:request, grants:redeem, incidents:write, incidents:read, \
                       events:read, a member, an administrator, the operator's socket";

/// `1` is 401 `unauthenticated`, `3` is 403 `forbidden`, `+` is neither: the caller is let in.
const TABLE: &[(&str, &str)] = &[
    ("POST /v1/approvals", "1 3+3333 33 3"),
    ("GET /v1/approvals?for=me", "1 333333 ++ 3"),
    ("GET /v1/approvals/{apr}", "1 3+3333 ++ 3"),
    ("GET /v1/approvals/{apr}/deliveries", "1 3+3333 ++ 3"),
    ("POST /v1/receipts/{capability}", "+ ++++++ ++ +"),
    ("DELETE /v1/approvals/{apr}", "1 3+3333 33 3"),
    ("POST /v1/approvals/{apr}/challenge", "1 333333 ++ 3"),
    ("POST /v1/approvals/{apr}/break-glass", "1 333333 33 +"),
    ("POST /v1/approvals/{apr}/answers", "1 333333 ++ 3"),
    ("POST /v1/grants/redeem", "1 33+333 33 3"),
    ("POST /v1/grants/{grt}/outcome", "1 33+333 33 3"),
    ("GET /v1/approvals/{apr}/receipt", "1 3+3333 ++ +"),
    ("GET /v1/keys", "1 333333 3+ +"),
    ("POST /v1/keys/rotate", "1 333333 3+ +"),
    ("GET /.well-known/jwks.json", "+ ++++++ ++ +"),
    ("POST /v1/incidents", "1 333+33 ++ 3"),
    ("GET /v1/incidents", "1 3333+3 ++ 3"),
    ("GET /v1/incidents/{ref}", "1 3333+3 ++ 3"),
    ("GET /v1/incidents/{ref}/deliveries", "1 3333+3 ++ 3"),
    ("POST /v1/incidents/{ref}/acknowledge", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/resolve", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/escalate", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/reassign", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/responders", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/snooze", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/wake", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/notes", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/merge", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/urgency", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/reopen", "1 333+33 ++ 3"),
    ("POST /v1/incidents/{ref}/not-me", "1 333333 ++ 3"),
    ("POST /v1/schedules", "1 333333 3+ +"),
    ("GET /v1/schedules", "1 3333+3 ++ +"),
    ("GET /v1/schedules/{name}", "1 3333+3 ++ +"),
    ("PUT /v1/schedules/{name}", "1 333333 3+ +"),
    ("DELETE /v1/schedules/{name}", "1 333333 3+ +"),
    ("GET /v1/schedules/{name}/shifts", "1 3333+3 ++ +"),
    // Members give away the pager of the schedules they are on.
    ("POST /v1/schedules/{name}/overrides", "1 333333 ++ +"),
    ("DELETE /v1/schedules/{name}/overrides/{ovr}", "1 333333 ++ +"),
    ("GET /v1/on-call", "1 3333+3 ++ +"),
    ("GET /v1/me/shifts", "1 333333 ++ 3"),
    ("POST /v1/calendar-feeds", "1 333333 ++ 3"),
    ("GET /v1/calendar-feeds", "1 333333 ++ 3"),
    ("DELETE /v1/calendar-feeds/{cal}", "1 333333 ++ +"),
    ("GET /calendar/{capability}", "+ ++++++ ++ +"),
    ("POST /v2/enqueue", "+ ++++++ ++ +"),
    ("POST /v2/change/enqueue", "+ ++++++ ++ +"),
    ("POST /ingest/{key}/alertmanager", "+ ++++++ ++ +"),
    ("POST /ingest/{key}/grafana", "+ ++++++ ++ +"),
    ("PUT /ingest/{key}/grafana", "+ ++++++ ++ +"),
    ("POST /ingest/{key}/generic", "+ ++++++ ++ +"),
    ("POST /heartbeat/{key}", "+ ++++++ ++ +"),
    ("GET /heartbeat/{key}", "+ ++++++ ++ +"),
    ("GET /v1/incidents/{ref}/timeline", "1 3333+3 ++ 3"),
    ("POST /v1/me/acknowledge-all", "1 333+33 ++ 3"),
    ("POST /v1/services", "1 333333 3+ +"),
    ("GET /v1/services", "1 3333+3 ++ +"),
    ("GET /v1/services/{name}", "1 3333+3 ++ +"),
    ("PUT /v1/services/{name}", "1 333333 3+ +"),
    ("DELETE /v1/services/{name}", "1 333333 3+ +"),
    ("POST /v1/services/{name}/integrations", "1 333333 3+ +"),
    ("GET /v1/services/{name}/integrations", "1 333333 3+ +"),
    ("DELETE /v1/services/{name}/integrations/{name}", "1 333333 3+ +"),
    ("PUT /v1/services/{name}/integrations/{name}", "1 333333 3+ +"),
    ("POST /v1/services/{name}/integrations/{name}/rotate", "1 333333 3+ +"),
    ("POST /v1/escalation-policies", "1 333333 3+ +"),
    ("GET /v1/escalation-policies", "1 3333+3 ++ +"),
    ("GET /v1/escalation-policies/{name}", "1 3333+3 ++ +"),
    ("PUT /v1/escalation-policies/{name}", "1 333333 3+ +"),
    ("DELETE /v1/escalation-policies/{name}", "1 333333 3+ +"),
    // A member of the team may.
    ("POST /v1/maintenance", "1 333333 ++ +"),
    ("GET /v1/maintenance", "1 3333+3 ++ +"),
    ("DELETE /v1/maintenance/{mnt}", "1 333333 ++ +"),
    ("POST /v1/enrollments", "1 333333 3+ +"),
    ("POST /v1/devices/{dev}/challenge", "1 333333 ++ 3"),
    ("POST /v1/devices/{dev}/confirm", "1 333333 ++ 3"),
    ("POST /v1/devices/{dev}/reject", "1 333333 ++ 3"),
    ("GET /v1/users/{usr}/devices", "1 333333 3+ +"),
    ("POST /v1/users/{usr}/recover", "1 333333 3+ +"),
    ("POST /v1/enrollments/claim", "+ ++++++ ++ +"),
    ("POST /v1/logins", "+ ++++++ ++ +"),
    ("POST /v1/token", "+ ++++++ ++ +"),
    ("GET /v1/devices", "1 333333 ++ 3"),
    ("DELETE /v1/devices/{dev}", "1 333333 3+ +"),
    ("PUT /v1/devices/{dev}/push", "1 333333 ++ 3"),
    ("PUT /v1/devices/{dev}/name", "1 333333 ++ 3"),
    ("POST /v1/passkeys/challenge", "1 333333 ++ 3"),
    ("POST /v1/passkeys", "1 333333 ++ 3"),
    ("GET /v1/passkeys", "1 333333 ++ 3"),
    ("DELETE /v1/passkeys/{pky}", "1 333333 ++ 3"),
    ("GET /v1/me", "1 333333 ++ 3"),
    ("POST /v1/me/test-page", "1 333333 ++ 3"),
    ("GET /v1/me/paging-rules", "1 333333 ++ 3"),
    ("PUT /v1/me/paging-rules", "1 333333 ++ 3"),
    ("GET /v1/users/{usr}/paging-rules", "1 333333 3+ +"),
    ("GET /v1/readiness", "1 333333 3+ +"),
    ("GET /v1/carriers", "1 333333 3+ +"),
    ("PUT /v1/me/away", "1 333333 ++ 3"),
    ("DELETE /v1/me/away", "1 333333 ++ 3"),
    ("POST /v1/users", "1 333333 3+ +"),
    ("GET /v1/users", "1 333333 3+ +"),
    ("GET /v1/users/{usr}", "1 333333 3+ +"),
    ("DELETE /v1/users/{usr}", "1 333333 3+ +"),
    ("PUT /v1/me/email", "1 333333 ++ 3"),
    ("PUT /v1/users/{usr}/email", "1 333333 3+ +"),
    ("PUT /v1/users/{usr}/role", "1 333333 3+ +"),
    ("PUT /v1/users/{usr}/away", "1 333333 3+ +"),
    ("DELETE /v1/users/{usr}/away", "1 333333 3+ +"),
    ("POST /v1/bots", "1 333333 3+ +"),
    ("GET /v1/bots", "1 333333 3+ +"),
    ("DELETE /v1/bots/{bot}", "1 333333 3+ +"),
    ("POST /v1/bots/{bot}/rotate", "1 333333 3+ +"),
    ("POST /v1/bots/{bot}/keys", "1 333333 3+ +"),
    ("GET /v1/bots/{bot}/keys", "1 333333 3+ +"),
    ("DELETE /v1/bots/{bot}/keys/{bky}", "1 333333 3+ +"),
    ("GET /v1/bots/{bot}/limits", "1 333333 3+ +"),
    ("PUT /v1/bots/{bot}/limits", "1 333333 3+ +"),
    ("DELETE /v1/bots/{bot}/limits", "1 333333 3+ +"),
    ("GET /v1/chat/rooms", "1 333333 3+ +"),
    ("PUT /v1/chat/rooms", "1 333333 3+ +"),
    ("GET /v1/chat/subscriptions", "1 333333 3+ +"),
    ("POST /v1/chat/subscriptions", "1 333333 3+ +"),
    ("DELETE /v1/chat/subscriptions/{sub}", "1 333333 3+ +"),
    ("POST /v1/bots/me/rotate", "1 ++++++ 33 3"),
    ("POST /v1/teams", "1 333333 3+ +"),
    ("GET /v1/teams", "1 333333 3+ +"),
    ("PUT /v1/teams/{name}/members/{usr}", "1 333333 3+ +"),
    ("DELETE /v1/teams/{name}/members/{usr}", "1 333333 3+ +"),
    ("GET /v1/policies", "1 333333 3+ +"),
    ("GET /v1/policies/{name}", "1 333333 3+ +"),
    ("PUT /v1/policies/{name}", "1 333333 3+ +"),
    ("DELETE /v1/policies/{name}", "1 333333 3+ +"),
    ("GET /v1/chat/commands", "1 333333 3+ +"),
    ("GET /v1/chat/commands/{name}", "1 333333 3+ +"),
    ("PUT /v1/chat/commands/{name}", "1 333333 3+ +"),
    ("DELETE /v1/chat/commands/{name}", "1 333333 3+ +"),
    ("POST /v1/chat-identities/codes", "1 3+3+33 33 3"),
    ("POST /v1/chat-identities/look-up", "1 333333 ++ 3"),
    ("GET /v1/chat-identities/person?platform=slack&workspace=T0&user=U1", "1 3+3+33 33 3"),
    ("POST /v1/chat-identities", "1 333333 ++ 3"),
    ("GET /v1/chat-identities", "1 333333 ++ 3"),
    ("GET /v1/chat-identities?all=true", "1 333333 3+ +"),
    ("DELETE /v1/chat-identities/{cid}", "1 333333 3+ +"),
    ("POST /v1/policies/test", "1 333333 3+ +"),
    ("GET /v1/freezes", "1 333333 3+ +"),
    ("DELETE /v1/freezes/{frz}", "1 333333 3+ +"),
    // An act may be a member's own matter.
    ("GET /v1/acts", "1 333333 ++ +"),
    ("POST /v1/acts/{act}/challenge", "1 333333 ++ 3"),
    ("POST /v1/acts/{act}/confirm", "1 333333 ++ 3"),
    ("GET /v1/journal", "1 333333 3+ +"),
    ("GET /v1/journal/verification", "1 333333 3+ +"),
    ("GET /v1/events", "1 33333+ ++ +"),
    ("POST /v1/webhooks", "1 333333 3+ +"),
    ("GET /v1/webhooks", "1 333333 3+ +"),
    ("GET /v1/webhooks/{whk}", "1 333333 3+ +"),
    ("DELETE /v1/webhooks/{whk}", "1 333333 3+ +"),
    ("POST /v1/webhooks/{whk}/rotate", "1 333333 3+ +"),
    ("POST /v1/webhooks/{whk}/enable", "1 333333 3+ +"),
    ("POST /v1/webhooks/{whk}/test", "1 333333 3+ +"),
    ("GET /healthz", "+ ++++++ ++ +"),
    ("GET /readyz", "+ ++++++ ++ +"),
];

mod stories {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{CALLERS, TABLE};
    use crate::world::contract::OPERATIONS;
    use crate::world::raw::{As, RSA_KEY, Raw, RawPhone};
    use crate::world::{World, deploy};

    /// A body that would do, so that only the caller can be what is refused.
    fn body(route: &str, raw: &Raw<'_>) -> Option<Value> {
        let credential = json!({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}});
        Some(match route {
            "POST /v1/approvals" => json!({"action": deploy("api", "production"), "requester": "@nobody"}),
            "POST /v1/approvals/{apr}/challenge" => json!({"verdict": "approve"}),
            "POST /v1/approvals/{apr}/answers" => {
                json!({"challenge": format!("chl_{:032x}", 1), "credential": credential})
            }
            "POST /v1/approvals/{apr}/break-glass" => json!({"reason": "nobody answers"}),
            "POST /v1/grants/redeem" => json!({"grant": "a.b.c", "action": deploy("api", "production")}),
            "POST /v1/grants/{grt}/outcome" => json!({"outcome": "succeeded"}),
            "POST /v1/incidents" => json!({"title": "Down", "to": ["@nobody"]}),
            "POST /v1/incidents/{ref}/reassign" | "POST /v1/incidents/{ref}/responders" => json!({"to": ["@nobody"]}),
            "POST /v1/incidents/{ref}/snooze" => json!({"for_seconds": 60}),
            "POST /v1/incidents/{ref}/notes" => json!({"text": "the disk is full"}),
            "POST /v1/incidents/{ref}/merge" => json!({"into": "P000001"}),
            "POST /v1/incidents/{ref}/urgency" => json!({"urgency": "low"}),
            "POST /v1/enrollments" => json!({"user": "@nobody"}),
            "POST /v1/logins" => {
                let phone = raw.world.blank_phone();
                phone.prepare_login("cli", "@ada", "A laptop").expect("a request")
            }
            "POST /v1/enrollments/claim" => {
                RawPhone::blank(raw.world.clock.clone(), raw.issuer()).claim("7K3MQ2XNB4TD9VWH5RFA8CPE")
            }
            "PUT /v1/devices/{dev}/push" => json!({"kind": "web_push", "endpoint": "https://push.example/x",
                "keys": {"p256dh": RawPhone::blank(raw.world.clock.clone(), raw.issuer()).p256dh(), "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}),
            "PUT /v1/devices/{dev}/name" => json!({"name": "A phone"}),
            "POST /v1/devices/{dev}/confirm" => {
                json!({"challenge": format!("dch_{:032x}", 1), "match": "000000", "credential": credential})
            }
            "POST /v1/passkeys" => json!({"ceremony": format!("cer_{:032x}", 1), "name": "Face ID", "credential": credential}),
            "POST /v1/users" => json!({"handle": "yannick", "name": "Yannick Schutz"}),
            "PUT /v1/me/away" | "PUT /v1/users/{usr}/away" => {
                json!({"until": raw.world.clock.now().after(crate::world::minutes(5))})
            }
            "PUT /v1/me/email" | "PUT /v1/users/{usr}/email" => json!({"email": "ys@example.com"}),
            "PUT /v1/users/{usr}/role" => json!({"role": "member"}),
            "POST /v1/teams" => json!({"name": "ops"}),
            "POST /v1/services" => json!({"name": "api", "team": "nowhere"}),
            "PUT /v1/services/{name}" => json!({"team": "nowhere"}),
            "PUT /v1/services/{name}/integrations/{name}" => json!({}),
            "POST /v1/services/{name}/integrations" => json!({"name": "prom", "kind": "events"}),
            "POST /v1/escalation-policies" => {
                json!({"name": "api", "steps": [{"to": ["@nobody"], "escalate_after_minutes": 5}]})
            }
            "PUT /v1/escalation-policies/{name}" => json!({"steps": [{"to": ["@nobody"], "escalate_after_minutes": 5}]}),
            "POST /v1/maintenance" => json!({"team": "nowhere", "for_seconds": 60, "reason": "a move"}),
            // Of nobody that is there, so that nothing is made.
            "POST /v1/schedules" => {
                let mut schedule = crate::world::nights("@nobody");
                schedule["name"] = json!("nights");
                schedule
            }
            "PUT /v1/schedules/{name}" => crate::world::nights("@nobody"),
            "POST /v1/schedules/{name}/overrides" => json!({"user": "@nobody", "for": "60m"}),
            // Of nobody that is there, so that nothing is made.
            "PUT /v1/policies/{name}" => json!({"require": {"groups": [{"quorum": 1, "teams": ["nowhere"]}]}}),
            // Its example is none of its lines, so that nothing is made.
            "PUT /v1/chat/commands/{name}" => json!({"pattern": "restart (?<service>[a-z]+)", "action": {"type": "restart",
                "target": "{service}"}, "success": "restarting", "help": "restart a service", "example": "stop web"}),
            "POST /v1/policies/test" => {
                json!({"action": deploy("api", "production"), "requester": "@nobody", "bot": "heimdall"})
            }
            "POST /v1/chat-identities/codes" => json!({"platform": "slack", "workspace": "T0", "user": "U1"}),
            "POST /v1/chat-identities" | "POST /v1/chat-identities/look-up" => json!({"code": "7K3MQ2XNB4TD"}),
            "POST /v1/acts/{act}/confirm" => json!({"challenge": format!("ach_{:032x}", 1), "credential": credential}),
            "POST /v1/bots/{bot}/keys" => json!({"public_key": RSA_KEY, "platform": "irc", "workspace": "example"}),
            "PUT /v1/bots/{bot}/limits" => json!({"actions": [{"type": "deploy"}]}),
            // Of a bot that is not there, so that nothing is made.
            "PUT /v1/chat/rooms" => {
                json!({"bot": "nowhere", "platform": "slack", "workspace": "T1", "room": "C1", "only": {"env": "production"}})
            }
            "POST /v1/chat/subscriptions" => {
                json!({"bot": "nowhere", "platform": "slack", "workspace": "T1", "room": "C1", "of": "incidents"})
            }
            "POST /v1/bots" => json!({"name": "heimdall", "scopes": ["events:read"]}),
            "POST /v1/webhooks" => json!({"url": "https://hooks.example.com/x"}),
            route if route.starts_with("POST") || route.starts_with("PUT") => json!({}),
            _ => return None,
        })
    }

    /// Ids that parse and that nothing has.
    fn path(template: &str) -> String {
        let mut path = template.replace("{ref}", "P000000").replace("{name}", "nothing");
        for kind in ["bky", "apr", "act", "dev", "pky", "usr", "bot", "grt", "whk", "frz", "cid", "mnt", "ovr", "cal", "sub"] {
            path = path.replace(&format!("{{{kind}}}"), &format!("{kind}_{:032x}", 1));
        }
        path
    }

    /// `POST /v1/approvals/{}`: without the parameters' names and the query.
    fn bare(route: &str) -> String {
        let parts = route.split('?').next().unwrap_or_default().split('/');
        parts.map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    }

    /// Every route that wants credentials refuses a device that waits: it gets no access token, and with another's its proof is not of
    /// the token's key.
    pub(crate) async fn a_device_that_waits_does_nothing(world: &World) {
        let raw = Raw::new(world);
        let admin = raw.person("ada", "admin").await;
        let (waiting, _) = raw.claimed("ada").await;
        waiting.try_sign_in(&raw).await.expect_refusal(403, "device_waiting");
        for (route, _) in TABLE.iter().filter(|(_, row)| row.starts_with('1')) {
            let (method, template) = route.split_once(' ').unwrap();
            let path = path(template).replace(&format!("dev_{:032x}", 1), &waiting.device);
            let fire = |token: String| {
                let (header, claims) = waiting.proof_parts(method, &path, Some(&token));
                let shot = raw.shot(As::Nobody, method, &path).header("authorization", &format!("DPoP {token}"));
                let shot = shot.header("dpop", &waiting.jws(&header, &claims));
                match body(route, &raw) {
                    Some(body) => shot.json(&body).fire(),
                    None => shot.fire(),
                }
            };
            assert_eq!(fire(admin.token()).await.expect(401).body["reason"], "key_differs", "{route}");
            fire("a.b.c".to_owned()).await.expect_refusal(401, "invalid_token");
        }
        assert_eq!(world.db.number("select count(*) from devices").await, 1);
    }

    /// Routes beside those of administrators that a device which recovers its person may not call yet.
    const OF_THE_ESTABLISHED: [&str; 20] = [
        "POST /v1/calendar-feeds",
        "PUT /v1/me/paging-rules",
        "POST /v1/schedules/{name}/overrides",
        "DELETE /v1/schedules/{name}/overrides/{ovr}",
        "POST /v1/maintenance",
        "DELETE /v1/maintenance/{mnt}",
        "PUT /v1/me/email",
        "PUT /v1/me/away",
        "DELETE /v1/me/away",
        "POST /v1/approvals/{apr}/challenge",
        "POST /v1/approvals/{apr}/answers",
        "POST /v1/devices/{dev}/challenge",
        "POST /v1/devices/{dev}/confirm",
        "POST /v1/devices/{dev}/reject",
        "PUT /v1/devices/{dev}/name",
        "DELETE /v1/passkeys/{pky}",
        "GET /v1/acts",
        "POST /v1/acts/{act}/challenge",
        "POST /v1/acts/{act}/confirm",
        "POST /v1/chat-identities",
    ];

    pub(crate) async fn a_device_that_is_too_new_decides_nothing(world: &World) {
        let raw = Raw::new(world);
        raw.person("ada", "admin").await;
        let made = raw.post(As::Operator, "/v1/users/@ada/recover", &json!({})).await.expect(201);
        let code = made.body["code"].as_str().unwrap().replace('-', "");
        let mut new = RawPhone::blank(world.clock.clone(), raw.issuer());
        let claimed = raw.post(As::Nobody, "/v1/enrollments/claim", &new.claim(&code)).await.expect(201);
        new.belongs_to(&claimed);
        new.sign_in(&raw).await;
        let mut refused = 0;
        for (route, row) in TABLE {
            let columns: Vec<_> = row.chars().filter(|c| *c != ' ').collect();
            let (method, template) = route.split_once(' ').unwrap();
            let shot = raw.shot(As::Phone(&new), method, &path(template));
            let seen = match body(route, &raw) {
                Some(body) => shot.json(&body).fire().await,
                None => shot.fire().await,
            };
            let of_admins = columns[7] == '3' && columns[8] == '+';
            if of_admins || OF_THE_ESTABLISHED.contains(route) {
                assert_eq!((seen.status, seen.code()), (403, "device_too_new"), "{route}: {}", seen.text);
                assert_eq!(seen.body["approves_from"], claimed.body["device"]["approves_from"], "{route}");
                refused += 1;
            } else {
                assert_ne!(seen.code(), "device_too_new", "{route}");
            }
        }
        assert!(refused > 30, "{refused}");
    }

    pub(crate) async fn who_may_call_what(world: &World) {
        let documented: BTreeSet<_> =
            OPERATIONS.iter().map(|known| bare(&format!("{} {}", known.method, known.template))).collect();
        let rows: BTreeSet<_> = TABLE.iter().map(|(route, _)| bare(route)).collect();
        assert_eq!(rows, documented, "every route has a row, and every row a route");

        let raw = Raw::new(world);
        let (admin, member) = (raw.person("ada", "admin").await, raw.person("mem", "member").await);
        let mut bots = vec![raw.bot("bare", &["events:read"]).await];
        world.db.raw("update bots set scopes = '[]' where name = 'bare'").await;
        for (at, scope) in phoneops::identity::Scope::ALL.iter().enumerate() {
            bots.push(raw.bot(&format!("bot-{at}"), &[scope.as_str()]).await);
        }
        let callers = std::iter::once(As::Nobody).chain(bots.iter().map(As::Bot));
        let callers: Vec<_> = callers.chain([As::Phone(&member), As::Phone(&admin), As::Operator]).collect();
        let mut wrong = Vec::new();
        for (route, row) in TABLE {
            let (method, template) = route.split_once(' ').unwrap();
            let expected: Vec<_> = row.chars().filter(|c| *c != ' ').collect();
            assert_eq!(expected.len(), callers.len(), "{route} has a column for each of {CALLERS}");
            for (at, (caller, expected)) in callers.iter().zip(expected).enumerate() {
                let shot = raw.shot(*caller, method, &path(template));
                let seen = match body(route, &raw) {
                    Some(body) => shot.json(&body).fire().await,
                    None => shot.fire().await,
                };
                let found = match (seen.status, seen.code()) {
                    (401, "unauthenticated") => '1',
                    (403, "forbidden") => '3',
                    _ => '+',
                };
                if found != expected {
                    wrong.push(format!("{route}, column {at}: {found} instead of {expected}: {}", seen.text));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
