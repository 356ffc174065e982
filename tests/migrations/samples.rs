//! One row for every table, as the program would write it. A new table gets its sample with its migration.

use phoneops::db::Engine;

use crate::support::TestDb;

/// One row of a table, every column named.
pub(crate) struct Sample {
    pub(crate) table: &'static str,
    pub(crate) values: Vec<(&'static str, Value)>,
}

/// A value, written as each engine wants it.
#[derive(Clone)]
pub(crate) enum Value {
    Id(u8),
    Int(i64),
    Text(&'static str),
    Json(&'static str),
    Bytes(u8, usize),
    Null,
}

use Value::{Bytes, Id, Int, Json, Null, Text};

/// 2026-02-03 04:05:06 UTC, in microseconds.
const NOW: i64 = 1_770_091_506_000_000;
const MINUTE: i64 = 60_000_000;

const DIGEST: Value = Bytes(0xd1, 32);

impl Value {
    fn literal(&self, engine: Engine) -> String {
        let (open, close) = if engine == Engine::Lite { ("x'", "'") } else { ("'\\x", "'") };
        match self {
            // A version 7 UUID that differs in its last byte.
            Id(n) if engine == Engine::Lite => format!("x'0199e5d00000700080000000000000{n:02x}'"),
            Id(n) => format!("'0199e5d0-0000-7000-8000-0000000000{n:02x}'"),
            Int(n) => n.to_string(),
            Text(text) | Json(text) => format!("'{}'", text.replace('\'', "''")),
            Bytes(byte, count) => format!("{open}{}{close}", format!("{byte:02x}").repeat(*count)),
            Null => "null".into(),
        }
    }
}

impl Sample {
    /// The statement that inserts it.
    pub(crate) fn insert(&self, engine: Engine) -> String {
        let columns: Vec<_> = self.values.iter().map(|(column, _)| *column).collect();
        let literals: Vec<_> = self.values.iter().map(|(_, value)| value.literal(engine)).collect();
        format!("insert into {} ({}) values ({})", self.table, columns.join(", "), literals.join(", "))
    }

    fn with(mut self, column: &str, value: &Value) -> Self {
        for (name, old) in &mut self.values {
            if *name == column {
                *old = value.clone();
            }
        }
        self
    }
}

macro_rules! samples {
    ($($table:ident { $($column:ident: $value:expr),* $(,)? })*) => {
        vec![$(Sample { table: stringify!($table), values: vec![$((stringify!($column), $value)),*] }),*]
    };
}

/// A sample of every table that a migration does not fill itself, in an order that their foreign keys allow.
pub(crate) fn all() -> Vec<Sample> {
    [people(), approvals(), policies(), paging(), incidents(), machinery()].into_iter().flatten().collect()
}

const USER: Value = Id(1);
const BOT: Value = Id(2);
const DEVICE: Value = Id(3);
const PASSKEY: Value = Id(4);

fn people() -> Vec<Sample> {
    samples! {
        users {
            id: USER, handle: Text("yannick"), name: Text("Yannick Schutz"), role: Text("admin"), created_at: Int(NOW), removed_at: Null,
            email: Text("yannick@example.com"),
        }
        bots {
            id: BOT, name: Text("heimdall"), token_sha256: DIGEST, scopes: Json(r#"["approvals","incidents"]"#), created_at: Int(NOW),
            revoked_at: Null, last_used_at: Int(NOW), token_number: Int(1), previous_token_sha256: DIGEST,
            previous_token_until: Int(NOW + 1440 * MINUTE),
        }
        devices {
            id: DEVICE, user_id: USER, name: Text("Yannick's phone"), platform: Text("ios"), public_key: Bytes(4, 65), thumbprint: DIGEST,
            enrolled_at: Int(NOW), revoked_at: Null, attestation: Text("eyJ.eyJ.c2ln"), confirmed_at: Int(NOW), confirmed_with: Text("passkey"),
            approves_from: Int(NOW + 1440 * MINUTE), last_used_at: Int(NOW),
        }
        waiting_devices {
            id: Id(7), user_id: USER, name: Text("Yannick's tablet"), platform: Text("ios"), public_key: Bytes(4, 65), thumbprint: DIGEST,
            claimed_at: Int(NOW), expires_at: Int(NOW + 10 * MINUTE), verdict: Text("rejected"), decided_at: Int(NOW + MINUTE),
            decided_by: DEVICE, via: Text("login"), address: Text("203.0.113.9"),
        }
        enrollments {
            id: Id(5), code_sha256: DIGEST, user_id: USER, created_at: Int(NOW), expires_at: Int(NOW + 10 * MINUTE),
            claimed_at: Int(NOW + MINUTE), device_id: DEVICE, purpose: Text("recovery"), waiting_id: Id(7),
        }
        chat_identities {
            id: Id(40), platform: Text("slack"), workspace: Text("T0ORG"), chat_user: Text("U0YANNICK"), name: Text("yannick"),
            user_id: USER, bot_id: BOT, linked_at: Int(NOW), unlinked_at: Null,
        }
        chat_link_codes {
            code_sha256: DIGEST, platform: Text("slack"), workspace: Text("T0ORG"), chat_user: Text("U0YANNICK"), name: Null, bot_id: BOT,
            expires_at: Int(NOW + 10 * MINUTE), identity_id: Id(40),
        }
        provider_tokens { name: Text("apns/DEF123GHIJ/ABC123DEFG"), token_sealed: Bytes(7, 60), minted_at: Int(NOW) }
        push_registrations {
            device_id: DEVICE, address_sealed: Bytes(0x5e, 180), registered_at: Int(NOW), retired_at: Null, kind: Text("apns"),
            heard_at: Int(NOW), address_mac: DIGEST,
        }
        passkeys {
            id: PASSKEY, user_id: USER, device_id: DEVICE, name: Text("iCloud"), credential_id: Bytes(0xc1, 20),
            credential: Json(r#"{"cred":{"counter":0}}"#), created_at: Int(NOW), revoked_at: Null, attestation: Null,
            last_used_at: Int(NOW),
        }
        device_challenges {
            id: Id(8), waiting_id: Id(7), device_id: DEVICE, statement: Text(r#"{"type":"phoneops.device_confirmation.v1"}"#),
            ceremony: Json(r#"{"ast":{}}"#), expires_at: Int(NOW + 2 * MINUTE), used_at: Int(NOW + MINUTE), passkey_id: PASSKEY,
            proof: Json(r#"{"id":"wcHB"}"#),
        }
        ceremonies {
            id: Id(6), device_id: DEVICE, state: Json(r#"{"rs":{"challenge":"AAAA"}}"#), expires_at: Int(NOW + 5 * MINUTE),
            guard: Json(r#"{"statement":"{}"}"#),
        }
        signing_keys {
            id: Text("grant-2026-02"), purpose: Text("grant"), public_key: Bytes(4, 65), private_key_sealed: Bytes(0x5e, 60),
            created_at: Int(NOW), retired_at: Int(NOW + MINUTE),
        }
        installation { name: Text("rp_id"), value: Text("phoneops.example") }
        used_proofs { sha256: DIGEST, expires_at: Int(NOW + 2 * MINUTE) }
        idempotency_keys {
            caller: Text("bot_0199e5d0000070008000000000000002"), key: Text("deploy-42"), request_sha256: DIGEST,
            outcome: Json(r#"{"status":201,"body":{"id":"apr_0199e5d0000070008000000000000010"}}"#), expires_at: Int(NOW + 1440 * MINUTE),
        }
    }
}

fn approvals() -> Vec<Sample> {
    let (approval, challenge) = (Id(16), Id(17));
    samples! {
        approvals {
            id: approval.clone(), tag: Text("R7K2"), bot_id: BOT, requester_id: USER,
            action: Json(r#"{"type":"deploy","target":"production","params":{"app":"api","ref":"new_auth"}}"#), action_sha256: DIGEST,
            reason: Text("Grüße from #ops"), origin: Json(r#"{"platform":"slack","workspace":"T1","room":"C1"}"#),
            requirement: Json(r#"{"factor":"passkey","policy":"builtin/requester-passkey"}"#), state: Text("approved"),
            created_at: Int(NOW), expires_at: Int(NOW + 5 * MINUTE), decided_at: Int(NOW + MINUTE), decided_by: USER,
            decision_reason: Null, decision_verdict: Text("approve"), given: Json("[]"), asked: Int(1), holds_until: Null,
            code_sealed: Bytes(0x5e, 34), code_tries: Int(0), cancelled_why: Null, bound_jkt: DIGEST,
            break_glass: Null,
        }
        doorbells {
            approval_id: approval.clone(), user_id: USER, requester_id: USER, action_type: Text("deploy"), action_target: Text("production"),
            asked_at: Int(NOW), rung_at: Int(NOW), user_ring: Int(1), requester_ring: Int(1), folded_into: Null,
            over_at: Int(NOW + MINUTE), verdict: Text("approve"),
        }
        freezes {
            id: Id(22), bot_id: BOT, requester_id: USER, approval_id: approval.clone(), frozen_by: USER, frozen_at: Int(NOW),
            lifted_at: Int(NOW + MINUTE), lifted_by: Json(r#"{"kind":"operator"}"#),
        }
        code_failures { user_id: USER, failures: Int(3), failed_at: Int(NOW) }
        challenges {
            id: challenge.clone(), approval_id: approval.clone(), approver_id: USER, verdict: Text("approve"),
            factor: Text("passkey"), statement: Text(r#"{"type":"phoneops.answer.v1"}"#), ceremony: Json(r#"{"ast":{}}"#), expires_at: Int(NOW + 2 * MINUTE),
            used_at: Int(NOW + MINUTE),
        }
        answers {
            challenge_id: challenge.clone(), approval_id: approval.clone(), approver_id: USER, device_id: DEVICE, passkey_id: PASSKEY,
            verdict: Text("approve"), factor: Text("passkey"), reason: Null, statement: Text(r#"{"type":"phoneops.answer.v1"}"#),
            credential: Json(r#"{"id":"wcHB"}"#), answered_at: Int(NOW + MINUTE),
        }
        grants {
            id: Id(18), approval_id: approval.clone(), bot_id: BOT, issued_at: Int(NOW + MINUTE), expires_at: Int(NOW + 6 * MINUTE),
            redeemed_at: Int(NOW + MINUTE), outcome: Text("failed"), outcome_detail: Text("exit code 3"), outcome_at: Int(NOW + 2 * MINUTE),
            redeem_proof: Text("eyJ.eyJ.c2ln"),
        }
    }
}

fn policies() -> Vec<Sample> {
    let (team, act) = (TEAM, Id(20));
    samples! {
        teams { id: team.clone(), name: Text("ops"), created_at: Int(NOW) }
        team_members { team_id: team.clone(), user_id: USER, added_at: Int(NOW) }
        absences { user_id: USER, from_at: Int(NOW), until_at: Int(NOW + MINUTE), delegate_id: Null, set_at: Int(NOW) }
        commands {
            name: Text("restart"), document: Json(r#"{"name":"restart","pattern":"restart (?<service>[a-z]+)","action":{"type":"restart","target":"{service}","params":{}},"success":"you are restarting {service}","help":"restart a service","example":"restart web"}"#),
            changed_at: Int(NOW)
        }
        policies {
            version: Int(1), name: Text("prod"), document: Json(r#"{"name":"prod","match":{},"require":{"requester":true}}"#),
            changed_at: Int(NOW),
        }
        acts {
            id: act.clone(), content: Json(r#"{"change":{"kind":"policy.removed","name":"prod"},"why":"it takes a policy away"}"#),
            policy_version: Int(1), proposed_by: Json(r#"{"kind":"operator"}"#), created_at: Int(NOW), expires_at: Int(NOW + 10 * MINUTE),
            done_at: Int(NOW + MINUTE), done_by: USER,
        }
        act_challenges {
            id: Id(21), act_id: act.clone(), admin_id: USER, statement: Text(r#"{"type":"phoneops.act.v1"}"#), ceremony: Json(r#"{"ast":{}}"#),
            expires_at: Int(NOW + 2 * MINUTE), used_at: Int(NOW + MINUTE), passkey_id: PASSKEY, credential: Json(r#"{"id":"wcHB"}"#),
        }
    }
}

const TEAM: Value = Id(19);
const SERVICE: Value = Id(52);
const INTEGRATION: Value = Id(53);
const INCIDENT: Value = Id(32);

fn paging() -> Vec<Sample> {
    let (policy, schedule) = (Id(51), Id(54));
    samples! {
        escalation_policies {
            id: policy.clone(), name: Text("api"), team_id: TEAM,
            steps: Json(r#"[{"targets":["usr_0199e5d0000070008000000000000001"],"escalate_after":300}]"#), repeats: Int(1),
            last_resort: Json("[]"), created_at: Int(NOW), removed_at: Null,
        }
        services {
            id: SERVICE, name: Text("api"), team_id: TEAM, policy_id: policy.clone(), settings: Json(r#"{"urgency":"by_severity"}"#),
            created_at: Int(NOW), removed_at: Null,
        }
        integrations {
            id: INTEGRATION, service_id: SERVICE, name: Text("nightly backup"), kind: Text("heartbeat"), key_sha256: DIGEST,
            previous_key_sha256: DIGEST, previous_key_until: Int(NOW + 60 * MINUTE), settings: Json(r#"{"every_seconds":60}"#),
            created_at: Int(NOW), revoked_at: Null, beat_at: Int(NOW), beat_due_at: Int(NOW + MINUTE),
        }
        schedules {
            id: schedule.clone(), name: Text("api-nights"), team_id: TEAM, zone: Text("Europe/Paris"), layers: Json("[]"),
            created_at: Int(NOW), changed_at: Int(NOW), removed_at: Null, holder_id: USER, hand_over_at: Int(NOW + MINUTE),
            gaps_told: Json(r#"{"near":[],"hours":true}"#),
        }
        overrides {
            id: Id(55), schedule_id: schedule.clone(), user_id: USER, instead_of_id: Null, from_at: Int(NOW), until_at: Int(NOW + MINUTE),
            made_by: Json(r#"{"kind":"operator"}"#), created_at: Int(NOW), removed_at: Null,
        }
        calendar_feeds {
            id: Id(56), capability_sha256: DIGEST, user_id: USER, schedule_id: schedule.clone(), created_at: Int(NOW), revoked_at: Null,
        }
        chat_messages {
            id: Id(80), bot_id: BOT, platform: Text("slack"), workspace: Text("T0ORG"), room: Text("C1"), thread: Null,
            subject_kind: Text("incident"), subject_id: INCIDENT, asked: Text("1.1"), line: Text("page @yannick Down"), success: Null,
            message: Text("1.2"), said_at: Int(NOW),
        }
        chat_rooms {
            bot_id: BOT, platform: Text("slack"), workspace: Text("T0ORG"), room: Text("C1"), team_id: TEAM, service_id: SERVICE,
            only_labels: Json(r#"{"*":"production"}"#), changed_at: Int(NOW),
        }
        chat_subscriptions {
            id: Id(81), bot_id: BOT, platform: Text("slack"), workspace: Text("T0ORG"), room: Text("C1"), subject_kind: Text("incident"),
            team_id: TEAM, service_id: SERVICE, urgency: Text("high"), labels: Json("{}"), made_by: Json(r#"{"kind":"operator"}"#),
            created_at: Int(NOW),
        }
        bot_keys {
            id: Id(82), bot_id: BOT, name: Text("hubot"), public_key: Bytes(0x30, 294), platform: Text("irc"), workspace: Text("example"),
            created_at: Int(NOW), revoked_at: Null,
        }
        slack_calls {
            id: Id(83), once_sha256: DIGEST, sealed: Bytes(0x5e, 400), received_at: Int(NOW), due_at: Int(NOW + MINUTE), tries: Int(1),
            done_at: Int(NOW + MINUTE),
        }
        slack_followers { bot_id: BOT, workspace: Text("T0ORG"), seq: Int(7), lease: Int(2), held_until: Int(NOW + MINUTE) }
        bot_limits { bot_id: BOT, limits: Json(r#"{"users":["@yannick"]}"#), changed_at: Int(NOW) }
        paging_rules { user_id: USER, rules: Json("{}"), updated_at: Int(NOW) }
        maintenance_windows {
            id: Id(57), service_id: SERVICE, team_id: Null, from_at: Int(NOW), until_at: Int(NOW + MINUTE), reason: Text("new disks"),
            made_by: Json(r#"{"kind":"operator"}"#), created_at: Int(NOW), ended_at: Null,
        }
    }
}

fn incidents() -> Vec<Sample> {
    let (incident, notification) = (INCIDENT, Id(33));
    samples! {
        incidents {
            id: incident.clone(), ref: Text("PIHXOC6"), title: Text("All your apps are down"), details: Null,
            links: Json(r#"["https://grafana.example.com/d/1"]"#), urgency: Text("high"),
            opened_by: Json(r#"{"kind":"bot","bot":"bot_0199e5d0000070008000000000000002"}"#),
            plan: Json(r#"{"steps":[{"targets":["usr_0199e5d0000070008000000000000001"]}]}"#), state: Text("triggered"), step: Int(0),
            ring: Int(1), timer_at: Int(NOW + MINUTE), acted_by: Null, acted_via: Null, acted_at: Null, created_at: Int(NOW),
            service_id: SERVICE, team_id: TEAM, labels: Json(r#"{"env":"production"}"#), reports: Int(2), pass: Int(0),
            since_at: Int(NOW), rung_at: Int(NOW), acted_source_id: Null, snoozed: Int(0), merged_into_id: Null,
        }
        incident_responders { incident_id: incident.clone(), user_id: USER, since_at: Int(NOW), rung_at: Int(NOW) }
        bundles {
            id: Id(59), user_id: USER, kind: Text("storm"), group_id: TEAM, round: Int(1), rung_at: Int(NOW), told_at: Int(NOW + 1),
            due_at: Int(NOW + MINUTE),
        }
        bundle_incidents { bundle_id: Id(59), incident_id: incident.clone(), folded_at: Int(NOW), counted_at: Int(NOW + 1) }
        alerts {
            id: Id(58), integration_id: INTEGRATION, service_id: SERVICE, dedup_key: Text("db1/disk"), state: Text("closed"),
            incident_id: incident.clone(), severity: Text("critical"), summary: Text("disk full"), source: Text("db1"), details: Json("{}"),
            labels: Json("{}"), links: Json("[]"), reports: Int(3), openings: Json(r#"["2027-01-15T08:00:00Z"]"#),
            suppressed_by: Null, group_sha256: DIGEST, paged_at: Int(NOW), closes_at: Null,
            first_at: Int(NOW), last_at: Int(NOW + 1), closed_at: Int(NOW + 1),
        }
        notifications {
            id: notification.clone(), user_id: USER, subject_id: incident.clone(), round: Int(1),
            content: Json(r#"{"title":"All your apps are down"}"#), created_at: Int(NOW), expires_at: Int(NOW + 60 * MINUTE),
            withdrawn_at: Null, replaces_id: Null, fan_out_after: DEVICE, unreachable_at: Int(NOW + MINUTE),
        }
        attempts {
            id: Id(34), notification_id: notification.clone(), device_id: DEVICE, channel: Text("apns"), urgency: Text("high"),
            step: Int(1), state: Text("accepted"), detail: Text("201"), created_at: Int(NOW), finished_at: Int(NOW + 1),
            due_at: Int(NOW), lease: Int(1), tries: Int(0), route_down_at: Int(NOW), received_at: Int(NOW + 2),
            displayed_at: Int(NOW + 3), opened_at: Int(NOW + 4), registered_at: Int(NOW), asked: Int(1), unsure_at: Int(NOW + 1),
        }
        withdrawals {
            subject_id: incident.clone(), content: Json(r#"{"title":"Resolved by Ys Example"}"#), answered_on: DEVICE,
            created_at: Int(NOW), expires_at: Int(NOW + 60 * MINUTE), user_id: USER, device_id: DEVICE,
        }
    }
}

fn machinery() -> Vec<Sample> {
    samples! {
        webhooks {
            id: Id(50), bot_id: BOT, url_sealed: Bytes(0x5e, 90), kinds: Json(r#"["approval."]"#), secret_sealed: Bytes(0x5e, 60),
            previous_sealed: Bytes(0x5f, 60), previous_until: Int(NOW + 1440 * MINUTE), cursor: Int(17), failures: Int(2),
            failing_since: Int(NOW), last_error: Text("it answered 500"), created_at: Int(NOW), disabled_at: Null, disabled_why: Null,
        }
        jobs {
            id: Id(48), kind: Text("fail_over"), subject_id: Id(33), due_at: Int(NOW), lease: Int(1), tries: Int(1), created_at: Int(NOW),
            last_error: Text("503"), buried_at: Null, urgent: Int(1),
        }
        journal {
            id: Id(49), seq: Null, at: Int(NOW), kind: Text("approval.requested"), actor: Json(r#"{"kind":"system"}"#),
            subject: Text("apr_0199e5d0000070008000000000000010"), data: Json("{}"), sha256: Null,
        }
    }
}

/// Changes that make a sample senseless, which the schema itself must refuse: table, column, value.
fn unloved() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("users", "role", Text("root")),
        ("devices", "platform", Text("windows")),
        ("devices", "user_id", Id(99)),
        ("devices", "confirmed_with", Text("hope")),
        ("waiting_devices", "verdict", Text("maybe")),
        ("waiting_devices", "decided_at", Null),
        ("waiting_devices", "via", Text("mail")),
        ("device_challenges", "proof", Null),
        ("enrollments", "purpose", Text("fun")),
        ("approvals", "state", Text("maybe")),
        ("approvals", "decided_at", Null),
        ("approvals", "decided_by", Null),
        ("approvals", "decision_verdict", Text("maybe")),
        // What was opened by break-glass was decided by nobody.
        ("approvals", "break_glass", Json("{}")),
        ("bots", "previous_token_until", Null),
        ("bots", "previous_token_sha256", Null),
        ("approvals", "cancelled_why", Text("frozen")),
        ("doorbells", "rung_at", Null),
        ("doorbells", "requester_ring", Null),
        ("doorbells", "folded_into", Id(16)),
        ("doorbells", "over_at", Null),
        ("doorbells", "verdict", Text("report")),
        ("freezes", "lifted_at", Null),
        ("challenges", "verdict", Text("maybe")),
        ("challenges", "factor", Text("none")),
        ("challenges", "ceremony", Null),
        ("answers", "verdict", Text("maybe")),
        ("answers", "factor", Text("tap")),
        ("answers", "passkey_id", Null),
        ("acts", "done_by", Null),
        ("grants", "outcome", Text("maybe")),
        ("grants", "outcome", Null),
        ("grants", "outcome_at", Null),
        ("grants", "redeemed_at", Null),
        ("incidents", "timer_at", Null),
        ("incidents", "urgency", Text("medium")),
        ("incidents", "snoozed", Int(2)),
        ("incidents", "service_id", Id(99)),
        ("services", "team_id", Null),
        ("integrations", "kind", Text("events")),
        ("integrations", "kind", Text("carrier pigeon")),
        ("overrides", "until_at", Int(NOW)),
        ("maintenance_windows", "until_at", Int(NOW)),
        ("maintenance_windows", "service_id", Null),
        ("maintenance_windows", "team_id", TEAM),
        ("alerts", "state", Text("open")),
        ("alerts", "severity", Text("bad")),
        ("alerts", "closed_at", Null),
        ("alerts", "closes_at", Int(NOW)),
        ("alerts", "paged_at", Null),
        ("incident_responders", "user_id", Id(99)),
        ("attempts", "state", Text("lost")),
        ("attempts", "channel", Text("pigeon")),
        ("attempts", "channel", Text("mail")),
        ("attempts", "urgency", Text("medium")),
        ("push_registrations", "kind", Text("mail")),
        ("withdrawals", "user_id", Null),
        ("withdrawals", "user_id", Id(99)),
        ("jobs", "due_at", Null),
        ("jobs", "urgent", Int(2)),
        ("bundles", "kind", Text("flood")),
        ("absences", "until_at", Int(NOW)),
        ("absences", "delegate_id", USER),
        ("absences", "delegate_id", Id(99)),
        ("chat_messages", "subject_kind", Text("page")),
        ("chat_messages", "bot_id", Id(99)),
        ("chat_subscriptions", "subject_kind", Text("page")),
        ("chat_subscriptions", "urgency", Text("medium")),
        ("chat_rooms", "service_id", Id(99)),
        ("bot_limits", "bot_id", Id(99)),
        ("bot_keys", "bot_id", Id(99)),
        ("slack_calls", "once_sha256", Null),
        ("slack_followers", "bot_id", Id(99)),
        ("webhooks", "disabled_at", Int(NOW)),
        ("webhooks", "failing_since", Null),
        ("webhooks", "previous_until", Null),
    ]
}

/// Each of [`unloved`] is refused, where the same row without the change is taken.
pub(crate) async fn assert_unloved_are_refused(db: &TestDb) {
    // Children first.
    for sample in all().iter().rev() {
        db.raw(&format!("delete from {}", sample.table)).await;
    }
    for sample in all() {
        let (table, engine) = (sample.table, db.engine());
        for (_, column, value) in unloved().into_iter().filter(|(name, ..)| *name == table) {
            let what = format!("{table}.{column} = {}", value.literal(engine));
            let changed = all().into_iter().find(|other| other.table == table).expect("it is there").with(column, &value);
            assert!(!db.takes(&changed.insert(engine)).await, "{what} was taken");
        }
        db.raw(&sample.insert(engine)).await;
    }
}
