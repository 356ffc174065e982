//! The life of devices and passkeys: who lets them in, who is told, and what a device that recovers somebody may not do yet.

crate::world::stories! {
    a_second_device_is_confirmed_by_the_first
    a_device_key_confirms_where_there_is_no_passkey
    what_is_rejected_or_over_is_no_device
    every_device_of_the_person_hears
    a_claim_whose_reply_was_lost
    a_confirmation_is_for_its_device_and_moment
    a_passkey_is_guarded_by_a_passkey
    a_device_that_a_passkey_confirmed_makes_its_first
    taking_the_guards_away_gains_nothing
    taking_the_guards_away_with_two_devices
    a_second_passkey_after_a_recovery_is_guarded
    a_lost_phone
    a_plain_code_is_no_way_around_recovery
    whoever_objects_ends_a_recovery
    another_administrator_recovers
    enrolling_somebody_else_takes_a_passkey
    another_administrator_takes_a_passkey
    when_things_were_used
    where_somebody_reads_e_mail
}

mod stories {
    use std::time::Duration;

    use phoneops::sim::authenticator::Misbehaviour;
    use phoneops::sim::phone::{Error, Mismatch};
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawPhone};
    use crate::world::{Person, World, deploy, expect_push, minutes, phone_refused, refused, seconds};

    const DAY: Duration = Duration::from_hours(24);

    fn text(value: &Value) -> String {
        value.as_str().expect("a text").to_owned()
    }

    pub(crate) async fn a_second_device_is_confirmed_by_the_first(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let tablet = world.waiting_phone(&yannick).await;
        let id = tablet.device_id().unwrap();
        phone_refused(tablet.sign_in().await, "device_waiting");
        phone_refused(tablet.inbox().await, "device_waiting");

        let listed = yannick.phone.devices().await.unwrap();
        assert_eq!((listed.len(), &listed[1]["id"], &listed[1]["state"]), (2, &json!(id), &json!("waiting")));
        assert!(listed[1]["match"].is_null(), "the number is read off the new device: {listed:?}");
        assert_eq!(world.db.number("select count(*) from devices").await, 1, "what waits is no device");
        heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;

        let other = if tablet.match_number() == "000000" { "111111" } else { "000000" };
        let deceived = yannick.phone.confirm_device(&id, other).await.unwrap_err();
        assert!(matches!(deceived, Error::Unsafe(Mismatch::Number)), "{deceived}");
        let mut body = yannick.phone.prepare_confirmation(&id, &tablet.match_number()).await.unwrap();
        body["match"] = json!(other);
        let path = format!("/v1/devices/{id}/confirm");
        let refused = yannick.phone.post(&path, &body).await.unwrap();
        let told = refused.body["detail"].as_str().unwrap();
        assert!(refused.code() == "match_wrong" && told.contains("read it there again and type its six digits"), "{told}");
        phone_refused(tablet.sign_in().await, "device_waiting");

        let confirmed = yannick.phone.confirm_device(&id, &tablet.match_number()).await.unwrap();
        assert_eq!((&confirmed["id"], &confirmed["state"]), (&json!(id), &json!("active")));
        yannick.expect_push(world, "A new device joined").await;
        tablet.sign_in().await.unwrap();
        tablet.create_passkey("Touch ID").await.unwrap();
        tablet.register_push().await.unwrap();
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        expect_push(&tablet, world, "Approval needed").await;
        tablet.approve(&asked).await.unwrap();
        yannick.expect_push(world, "Answered by Yannick Schutz").await;
        for (kind, times) in [("device.waiting", 1), ("device.confirmed", 1), ("device.rejected", 0), ("device.enrolled", 2)] {
            assert_eq!(world.recorded(kind).await, times, "{kind}");
        }
        // Its key is attested since it became one, and not before.
        assert_eq!(world.db.number("select count(*) from devices where attestation is null").await, 0);
    }

    pub(crate) async fn a_device_key_confirms_where_there_is_no_passkey(world: &World) {
        let yannick = world.newcomer("yannick", "Yannick Schutz").await;
        let tablet = world.another_phone(&yannick).await;
        tablet.sign_in().await.unwrap();

        let laptop = world.waiting_phone(&yannick).await;
        let (id, number) = (laptop.device_id().unwrap(), laptop.match_number());
        let signed = yannick.phone.prepare_confirmation(&id, &number).await.unwrap();
        assert!(signed["jws"].is_string() && signed["credential"].is_null());
        yannick.phone.create_passkey("Face ID").await.unwrap();
        let path = format!("/v1/devices/{id}/confirm");
        assert_eq!(yannick.phone.post(&path, &signed).await.unwrap().code(), "passkey_required");
        phone_refused(laptop.sign_in().await, "device_waiting");
        yannick.phone.confirm_device(&id, &number).await.unwrap();
        laptop.sign_in().await.unwrap();
    }

    pub(crate) async fn what_is_rejected_or_over_is_no_device(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let stranger = world.person("mallory", "Mallory Example").await;
        let thief = world.waiting_phone(&yannick).await;
        let id = thief.device_id().unwrap();
        phone_refused(stranger.phone.reject_device(&id).await, "not_found");
        phone_refused(stranger.phone.confirm_device(&id, &thief.match_number()).await, "not_found");
        yannick.phone.reject_device(&id).await.unwrap();
        phone_refused(yannick.phone.confirm_device(&id, &thief.match_number()).await, "device_decided");
        phone_refused(yannick.phone.reject_device(&id).await, "device_decided");
        phone_refused(thief.sign_in().await, "invalid_grant");

        let late = world.waiting_phone(&yannick).await;
        let id = late.device_id().unwrap();
        let signed = yannick.phone.prepare_confirmation(&id, &late.match_number()).await.unwrap();
        world.advance(minutes(10)).await;
        assert_eq!(yannick.phone.post(&format!("/v1/devices/{id}/confirm"), &signed).await.unwrap().code(), "device_expired");
        phone_refused(yannick.phone.confirm_device(&id, &late.match_number()).await, "device_expired");
        phone_refused(late.sign_in().await, "invalid_grant");
        assert_eq!(yannick.phone.devices().await.unwrap().len(), 1);

        // Revoking what waits is rejecting it, for the owner and for an administrator.
        for by_owner in [true, false] {
            let waits = world.waiting_phone(&yannick).await;
            let path = format!("/v1/devices/{}", waits.device_id().unwrap());
            if by_owner {
                yannick.phone.delete(&path, None).await.unwrap().accepted().unwrap();
            } else {
                world.operator.delete(&path).await.unwrap();
                yannick.expect_push(world, "Rejected").await;
            }
            phone_refused(waits.sign_in().await, "invalid_grant");
            refused(world.operator.delete(&path).await, "not_found");
        }
        assert_eq!((world.recorded("device.rejected").await, world.recorded("device.confirmed").await), (3, 0));
    }

    pub(crate) async fn every_device_of_the_person_hears(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let tablet = world.another_phone(&yannick).await;
        tablet.register_push().await.unwrap();
        let laptop = world.waiting_phone(&yannick).await;
        let rung = expect_push(&tablet, world, "A new device waits").await;
        assert_eq!((rung.kind(), &rung.data()["subject"]), ("device", &json!(laptop.device_id().unwrap())));
        tablet.confirm_device(&laptop.device_id().unwrap(), &laptop.match_number()).await.unwrap_err();
        // The tablet has no passkey of its own: the phone has.
        yannick.phone.confirm_device(&laptop.device_id().unwrap(), &laptop.match_number()).await.unwrap();
        yannick.expect_push(world, "A new device joined").await;
        world.settle().await;
        let mut heard = Vec::new();
        for _ in 0..2 {
            heard.push(tablet.next_push(Duration::from_secs(2)).await.unwrap().expect("a push").title().to_owned());
        }
        heard.sort();
        assert_eq!(heard, ["A new device joined", "Confirmed"]);
        ys.expect_silence(world).await;
    }

    pub(crate) async fn a_claim_whose_reply_was_lost(world: &World) {
        let raw = Raw::new(world);
        let first = raw.person("yannick", "member").await;
        let mut second = RawPhone::blank(world.clock.clone(), raw.issuer());
        let claim = second.claim(&raw.code("yannick").await);
        let again = || raw.post(As::Nobody, "/v1/enrollments/claim", &claim);
        let claimed = again().await.expect(201);
        assert_eq!(again().await.expect(200).body, claimed.body);
        second.belongs_to(&claimed);
        let refused = second.try_sign_in(&raw).await.expect_refusal(403, "device_waiting");
        assert_eq!(refused.body["match"], second.match_number());
        let body = first.prepare_confirmation(&raw, &second).await;
        let path = format!("/v1/devices/{}/confirm", second.device);
        raw.post(As::Phone(&first), &path, &body).await.expect(200);
        assert_eq!(again().await.expect(200).body["device"]["state"], "active");
        // One key is one device, whether it waits, waited, or is one.
        for code in [raw.code("yannick").await, raw.code("yannick").await] {
            raw.post(As::Nobody, "/v1/enrollments/claim", &second.claim(&code)).await.expect_refusal(409, "device_key_taken");
        }
        let (third, _) = raw.claimed("yannick").await;
        let code = raw.code("yannick").await;
        raw.post(As::Nobody, "/v1/enrollments/claim", &third.claim(&code)).await.expect_refusal(409, "device_key_taken");
    }

    pub(crate) async fn a_confirmation_is_for_its_device_and_moment(world: &World) {
        let raw = Raw::new(world);
        let first = raw.person("yannick", "member").await;
        let other = raw.bare_phone("yannick", &first).await;
        let ((one, _), (two, _)) = (raw.claimed("yannick").await, raw.claimed("yannick").await);
        let send = |by: &'static str, device: &str, body: &Value| {
            let (path, body) = (format!("/v1/devices/{device}/confirm"), body.clone());
            let by = if by == "first" { As::Phone(&first) } else { As::Phone(&other) };
            let raw = &raw;
            async move { raw.post(by, &path, &body).await }
        };
        let (for_one, for_two) = (first.prepare_confirmation(&raw, &one).await, first.prepare_confirmation(&raw, &two).await);
        let mut crossed = for_one.clone();
        crossed["credential"] = for_two["credential"].clone();
        send("first", &one.device, &crossed).await.expect_refusal(403, "challenge_mismatch");
        let mut crossed = for_two.clone();
        crossed["match"] = json!(one.match_number());
        send("first", &one.device, &crossed).await.expect_refusal(404, "challenge_unknown");
        send("other", &one.device, &for_one).await.expect_refusal(404, "challenge_unknown");
        // An answer to an approval is no confirmation, nor is what a device key signs where a passkey is asked for.
        let bot = raw.able_bot("heimdall").await;
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let mut answered = for_one.clone();
        answered["credential"] = first.prepare(&raw, &asked, "approve").await["credential"].clone();
        send("first", &one.device, &answered).await.expect_refusal(403, "challenge_mismatch");
        let mut weaker = for_one.clone();
        weaker.as_object_mut().unwrap().remove("credential");
        weaker["jws"] = json!(first.jws(&json!({"alg": "ES256", "typ": "phoneops-device-confirmation+jws"}), &json!({})));
        send("first", &one.device, &weaker).await.expect_refusal(403, "factor_mismatch");
        world.advance(seconds(120)).await;
        send("first", &two.device, &for_two).await.expect_refusal(409, "challenge_expired");
        one.try_sign_in(&raw).await.expect_refusal(403, "device_waiting");
        let good = first.prepare_confirmation(&raw, &one).await;
        // Sent again under its idempotency key it is the same; without, the device waits no more.
        let shot = || {
            let path = format!("/v1/devices/{}/confirm", one.device);
            raw.shot(As::Phone(&first), "POST", &path).json(&good).header("idempotency-key", "k").fire()
        };
        assert_eq!(shot().await.expect(200).body, shot().await.expect(200).body);
        send("first", &one.device, &good).await.expect_refusal(409, "device_decided");
        assert_eq!(world.recorded("device.confirmed").await, 2);
    }

    /// Begins to make a passkey, with the guard's options when there is one.
    async fn begun(raw: &Raw<'_>, phone: &RawPhone) -> Value {
        raw.post(As::Phone(phone), "/v1/passkeys/challenge", &json!({})).await.expect(200).body
    }

    pub(crate) async fn a_passkey_is_guarded_by_a_passkey(world: &World) {
        let raw = Raw::new(world);
        let phone = raw.person("yannick", "member").await;
        assert!(begun(&raw, &phone).await["guard"].is_object());
        // The same person's first passkey is on this phone: the second is made by another authenticator, under the first's signature.
        let other = RawPhone::blank(world.clock.clone(), raw.issuer());
        let make = |begun: &Value, guard: Option<Value>| {
            let mut body =
                json!({"ceremony": begun["ceremony"], "name": "Key", "credential": other.attest(&begun["public_key"])});
            if let Some(guard) = guard {
                body["guard"] = guard;
            }
            body
        };
        let post = |body: Value| {
            let (raw, phone) = (&raw, &phone);
            async move { raw.post(As::Phone(phone), "/v1/passkeys", &body).await }
        };
        let first = begun(&raw, &phone).await;
        post(make(&first, None)).await.expect_refusal(403, "passkey_guard_required");
        let second = begun(&raw, &phone).await;
        let guard = phone.sign(&second["guard"], Misbehaviour::default());
        post(make(&first, Some(guard.clone()))).await.expect_refusal(403, "challenge_mismatch");
        let made = post(make(&second, Some(guard))).await.expect(201);
        assert!(made.body["id"].is_string());
        let journal = world.journal().await;
        let created = journal.iter().rfind(|entry| entry["kind"] == "passkey.created").unwrap();
        assert!(text(&created["data"]["guarded_by"]).starts_with("pky_"));

        // A registration that began while there was none is guarded by what was made meanwhile.
        let ys = raw.bare_person("ys").await;
        let (one, two) = (begun(&raw, &ys).await, begun(&raw, &ys).await);
        assert!(one["guard"].is_null() && two["guard"].is_null());
        for (begun, status) in [(one, 201), (two, 403)] {
            let body = json!({"ceremony": begun["ceremony"], "name": "Key", "credential": ys.attest(&begun["public_key"])});
            let reply = raw.post(As::Phone(&ys), "/v1/passkeys", &body).await.expect(status);
            assert!(status == 201 || reply.code() == "passkey_guard_required", "{}", reply.text);
        }
    }

    pub(crate) async fn a_device_that_a_passkey_confirmed_makes_its_first(world: &World) {
        let raw = Raw::new(world);
        let phone = raw.person("yannick", "member").await;
        let soon = raw.bare_phone("yannick", &phone).await;
        assert!(begun(&raw, &soon).await["guard"].is_null());
        soon.make_passkey(&raw).await;
        assert!(begun(&raw, &soon).await["guard"].is_object(), "its second is guarded");
        let late = raw.bare_phone("yannick", &phone).await;
        let early = late.new_passkey(&raw).await;
        assert!(early["guard"].is_null());
        world.advance(minutes(10)).await;
        late.sign_in(&raw).await;
        assert!(begun(&raw, &late).await["guard"].is_object());
        raw.post(As::Phone(&late), "/v1/passkeys", &early).await.expect_refusal(404, "ceremony_unknown");
    }

    pub(crate) async fn taking_the_guards_away_gains_nothing(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "admin").await);
        let passkeys = raw.get(As::Phone(&phone), "/v1/passkeys").await.expect(200).body;
        let id = text(&passkeys["passkeys"][0]["id"]);
        raw.delete(As::Phone(&phone), &format!("/v1/passkeys/{id}")).await.expect(204);
        phone.make_passkey(&raw).await;
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        phone.challenge(&raw, &asked, "approve").await.expect_refusal(403, "device_too_new");
        raw.get(As::Phone(&phone), "/v1/users").await.expect_refusal(403, "device_too_new");
        assert_eq!(world.recorded("device.recovered").await, 1);
        world.advance(DAY).await;
        phone.sign_in(&raw).await;
        raw.get(As::Phone(&phone), "/v1/users").await.expect(200);
    }

    /// As whoever has two devices does: neither signs with a passkey that came on a device that has to wait.
    pub(crate) async fn taking_the_guards_away_with_two_devices(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "admin").await);
        let passkeys = raw.get(As::Phone(&phone), "/v1/passkeys").await.expect(200).body;
        let id = text(&passkeys["passkeys"][0]["id"]);
        raw.delete(As::Phone(&phone), &format!("/v1/passkeys/{id}")).await.expect(204);
        let second = raw.bare_phone("yannick", &phone).await;
        raw.get(As::Phone(&second), "/v1/users").await.expect_refusal(403, "device_too_new");
        assert_eq!(world.recorded("device.recovered").await, 1, "a device key alone recovers, and everybody hears");
        second.make_passkey(&raw).await;
        // The first one is not too new. But the passkey is.
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        phone.challenge(&raw, &asked, "approve").await.expect_refusal(403, "passkey_unknown");
        world.advance(DAY).await;
        second.sign_in(&raw).await;
        let asked = raw.ask(&bot, "yannick", &deploy("api", "staging")).await;
        second.answer(&raw, &asked, "approve").await.expect(200);
    }

    /// The wait of a recovery vouches for the first passkey alone.
    pub(crate) async fn a_second_passkey_after_a_recovery_is_guarded(world: &World) {
        let raw = Raw::new(world);
        raw.person("yannick", "admin").await;
        let made = raw.post(As::Operator, "/v1/users/@yannick/recover", &json!({})).await.expect(201);
        let mut new = RawPhone::blank(world.clock.clone(), raw.issuer());
        let code = text(&made.body["code"]).replace('-', "");
        let claimed = raw.post(As::Nobody, "/v1/enrollments/claim", &new.claim(&code)).await.expect(201);
        new.belongs_to(&claimed);
        new.sign_in(&raw).await;
        for device in raw.get(As::Operator, "/v1/users/@yannick/devices").await.expect(200).body["devices"].as_array().unwrap() {
            if device["id"] != new.device.as_str() {
                raw.delete(As::Operator, &format!("/v1/devices/{}", text(&device["id"]))).await.expect(204);
            }
        }
        let first = new.make_passkey(&raw).await;
        world.advance(DAY).await;
        new.sign_in(&raw).await;
        raw.delete(As::Phone(&new), &format!("/v1/passkeys/{first}")).await.expect(204);
        new.make_passkey(&raw).await;
        raw.get(As::Phone(&new), "/v1/users").await.expect_refusal(403, "device_too_new");
    }

    /// A phone that claims a code with a name for it, and its reply.
    async fn claims(world: &World, code: &str) -> (std::sync::Arc<phoneops::sim::phone::Phone>, Value) {
        let phone = world.blank_phone();
        let reply = phone.enrol(code, "A new phone", None).await.expect("the phone claims");
        (phone, reply)
    }

    async fn recovery_code(world: &World, handle: &str) -> String {
        let reply = world.operator.post(&format!("/v1/users/{handle}/recover"), &json!({})).await.expect("a code");
        assert_eq!(reply.status, 201);
        text(&reply.body["code"])
    }

    /// Everything that a device that is too new may not do.
    async fn decides_nothing(world: &World, phone: &phoneops::sim::phone::Phone, asked: &str, own: &str) {
        let until = world.clock.now();
        for path in [format!("/v1/approvals/{asked}/challenge"), "/v1/enrollments".to_owned()] {
            let body =
                if path.ends_with("challenge") { json!({"verdict": "deny", "factor": "tap"}) } else { json!({"user": own}) };
            let reply = phone.post(&path, &body).await.unwrap();
            assert_eq!((reply.status, reply.code()), (403, "device_too_new"), "{path}: {:?}", reply.body);
            assert!(text(&reply.body["approves_from"]) > until.to_string());
        }
        for path in ["/v1/users", "/v1/bots", "/v1/acts", "/v1/policies", "/v1/journal"] {
            assert_eq!(phone.get(path).await.unwrap().code(), "device_too_new", "{path}");
        }
    }

    pub(crate) async fn a_lost_phone(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        ada.phone.register_push().await.unwrap();
        let yannick = world.recoverable_admin("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let code = recovery_code(world, "@yannick").await;
        let (phone, claimed) = claims(world, &code).await;
        assert_eq!(claimed["device"]["state"], "active");
        let until = text(&claimed["device"]["approves_from"]);
        assert_eq!(until, world.clock.now().after(DAY).to_string());
        // Everybody who could object is told.
        ada.expect_push(world, "Yannick Schutz (@yannick) is being recovered").await;
        yannick.expect_push(world, "Yannick Schutz (@yannick) is being recovered").await;
        assert_eq!(world.recorded("device.recovered").await, 1);
        // It is paged at once.
        phone.register_push().await.unwrap();
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        expect_push(&phone, world, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        phone.acknowledge(&reference).await.unwrap();
        yannick.expect_push(world, "Acknowledged by Yannick Schutz").await;
        phone.resolve(&reference).await.unwrap();
        world.settle().await;
        let _ = (phone.next_push(Duration::ZERO).await, yannick.phone.next_push(Duration::ZERO).await);
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        expect_push(&phone, world, "Approval needed").await;
        decides_nothing(world, &phone, &asked, "@yannick").await;
        // It ends nobody who could object, and another passkey takes one that is there.
        let old = yannick.phone.device_id().unwrap();
        assert_eq!(phone.delete(&format!("/v1/devices/{old}"), None).await.unwrap().code(), "device_too_new");
        let begun = phone.post("/v1/passkeys/challenge", &json!({})).await.unwrap().accepted().unwrap();
        assert!(begun["guard"].is_object());
        yannick.phone.deny(&asked, None).await.unwrap();
        expect_push(&phone, world, "Answered by Yannick Schutz").await;

        world.advance(seconds(24 * 3600 - 1)).await;
        assert_eq!(phone.get("/v1/users").await.unwrap().code(), "device_too_new");
        world.advance(seconds(1)).await;
        assert_eq!(phone.get("/v1/users").await.unwrap().status, 200);
        phone.delete(&format!("/v1/devices/{old}"), None).await.unwrap().accepted().unwrap();
        phone.create_passkey("Face ID").await.unwrap();
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        expect_push(&phone, world, "Approval needed").await;
        phone.approve(&asked).await.unwrap();
        heimdall.expect_grant(&asked).await;
    }

    pub(crate) async fn a_plain_code_is_no_way_around_recovery(world: &World) {
        let heimdall = world.bot("heimdall").await;
        let yannick = world.newcomer("yannick", "Yannick Schutz").await;
        yannick.phone.create_passkey("Face ID").await.unwrap();
        let path = format!("/v1/devices/{}", yannick.phone.device_id().unwrap());
        // Two codes made while there was a phone; it is gone when they are claimed.
        let (code, unused) = (world.code("yannick").await, world.code("yannick").await);
        yannick.phone.delete(&path, None).await.unwrap().accepted().unwrap();
        let (phone, claimed) = claims(world, &code).await;
        assert_eq!(claimed["device"]["state"], "active");
        assert_eq!(claimed["device"]["approves_from"], world.clock.now().after(DAY).to_string().as_str());
        phone.create_passkey("Face ID").await.unwrap();
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        phone_refused(phone.approve(&asked).await, "device_too_new");
        // The next one waits, and what is too new confirms nothing.
        let (next, claimed) = claims(world, &unused).await;
        assert_eq!(claimed["device"]["state"], "waiting");
        let id = next.device_id().unwrap();
        phone_refused(phone.confirm_device(&id, &next.match_number()).await, "device_too_new");
        phone_refused(phone.reject_device(&id).await, "device_too_new");
        assert_eq!(world.recorded("device.recovered").await, 1);
    }

    pub(crate) async fn whoever_objects_ends_a_recovery(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let yannick = world.newcomer("yannick", "Yannick Schutz").await;
        for objector in [&yannick, &ada] {
            let (thief, _) = claims(world, &recovery_code(world, "@yannick").await).await;
            thief.sign_in().await.unwrap();
            let path = format!("/v1/devices/{}", thief.device_id().unwrap());
            objector.phone.delete(&path, None).await.unwrap().accepted().unwrap();
            world.advance(DAY).await;
            phone_refused(thief.sign_in().await, "invalid_grant");
        }
        yannick.phone.sign_in().await.unwrap();
    }

    pub(crate) async fn another_administrator_recovers(world: &World) {
        let raw = Raw::new(world);
        let (ada, bea) = (raw.person("ada", "admin").await, raw.person("bea", "admin").await);
        let ys = raw.person("ys", "member").await;
        let nothing = json!({});
        let recover = |by| raw.post(by, "/v1/users/@ada/recover", &nothing);
        recover(As::Phone(&ys)).await.expect_refusal(403, "forbidden");
        recover(As::Phone(&ada)).await.expect_refusal(403, "forbidden");
        let act = recover(As::Phone(&bea)).await.expect(202);
        assert_eq!(act.body["change"], json!({"kind": "recovery.started", "user": ada.user}));
        ada.confirm_act(&raw, &act.id()).await.expect_refusal(403, "forbidden");
        let confirmed = bea.confirm_act(&raw, &act.id()).await.expect(200);
        assert_eq!(confirmed.body["state"], "done");
        let code = text(&confirmed.body["enrollment"]["code"]);
        assert!(confirmed.body["enrollment"]["link"].as_str().unwrap().ends_with(&code));
        let (phone, claimed) = claims(world, &code).await;
        assert!(claimed["device"]["approves_from"].is_string());
        assert_eq!(phone.get("/v1/users").await.unwrap().code(), "device_too_new");
        assert_eq!((world.recorded("act.confirmed").await, world.recorded("device.recovered").await), (1, 1));
    }

    pub(crate) async fn enrolling_somebody_else_takes_a_passkey(world: &World) {
        let raw = Raw::new(world);
        let (ada, ys) = (raw.person("ada", "admin").await, raw.person("ys", "member").await);
        raw.post(As::Operator, "/v1/users", &json!({"handle": "bea", "name": "Bea Example"})).await.expect(201);
        let enroll = |by, who: &str| {
            let (raw, body) = (&raw, json!({"user": who}));
            async move { raw.post(by, "/v1/enrollments", &body).await }
        };
        // For oneself it needs none.
        assert!(enroll(As::Phone(&ada), "@ada").await.expect(201).body["code"].is_string());
        assert!(enroll(As::Phone(&ys), &ys.user).await.expect(201).body["code"].is_string());
        enroll(As::Phone(&ys), "@bea").await.expect_refusal(403, "forbidden");
        enroll(As::Phone(&ada), "@nobody").await.expect_refusal(404, "not_found");
        let act = enroll(As::Phone(&ada), "@bea").await.expect(202);
        assert!(act.body["code"].is_null() && act.body["enrollment"].is_null());
        // The code comes with the confirmation, once: the same call again does not show it.
        let path = format!("/v1/acts/{}", act.id());
        let offered = raw.post(As::Phone(&ada), &format!("{path}/challenge"), &json!({})).await.expect(200).body;
        let body = json!({"challenge": offered["challenge"], "credential": ada.sign(&offered, Misbehaviour::default())});
        let shot =
            || raw.shot(As::Phone(&ada), "POST", &format!("{path}/confirm")).json(&body).header("idempotency-key", "k").fire();
        let (first, again) = (shot().await.expect(200), shot().await.expect(200));
        assert!(again.body["enrollment"]["code"].is_null() && again.body["enrollment"]["link"].is_null());
        assert_eq!(first.body["enrollment"]["id"], again.body["enrollment"]["id"]);
        let (phone, claimed) = claims(world, first.body["enrollment"]["code"].as_str().unwrap()).await;
        assert_eq!((&claimed["user"]["handle"], &claimed["device"]["state"]), (&json!("bea"), &json!("active")));
        phone.sign_in().await.unwrap();
        let acts = raw.get(As::Phone(&ada), "/v1/acts").await.expect(200);
        assert_eq!(acts.body["acts"], json!([]), "no code is in a list");
    }

    pub(crate) async fn another_administrator_takes_a_passkey(world: &World) {
        let raw = Raw::new(world);
        let ada = raw.person("ada", "admin").await;
        let bea = json!({"handle": "bea", "name": "Bea Example", "role": "admin"});
        let act = raw.post(As::Phone(&ada), "/v1/users", &bea).await.expect(202);
        assert_eq!(world.db.number("select count(*) from users").await, 1);
        ada.confirm_act(&raw, &act.id()).await.expect(200);
        let users = raw.get(As::Phone(&ada), "/v1/users").await.expect(200).body;
        assert_eq!((&users["users"][1]["handle"], &users["users"][1]["role"]), (&json!("bea"), &json!("admin")));
        raw.post(As::Phone(&ada), "/v1/users", &bea).await.expect_refusal(409, "handle_taken");
        raw.post(As::Phone(&ada), "/v1/users", &json!({"handle": "cyd", "name": "Cyd Example"})).await.expect(201);
    }

    pub(crate) async fn when_things_were_used(world: &World) {
        let raw = Raw::new(world);
        let (bot, ada) = (raw.able_bot("heimdall").await, raw.person("ada", "admin").await);
        let used_at = world.clock.now().to_string();
        let asked = raw.ask(&bot, "ada", &deploy("api", "production")).await;
        ada.answer(&raw, &asked, "deny").await.expect(200);
        let noted = "select (select count(*) from devices where last_used_at is not null)
            + (select count(*) from bots where last_used_at is not null)";
        assert_eq!(world.db.number(noted).await, 0, "no call writes anything for it");
        world.advance(minutes(10)).await;
        for _ in 0..200 {
            if world.db.number(noted).await == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let all = raw.get(As::Operator, "/v1/users/@ada/devices").await.expect(200).body;
        assert_eq!(all["devices"][0]["last_used_at"], used_at.as_str());
        assert_eq!(all["passkeys"][0]["last_used_at"], used_at.as_str());
        let bots = raw.get(As::Operator, "/v1/bots").await.expect(200).body;
        assert_eq!(bots["bots"][0]["last_used_at"], used_at.as_str());
    }

    impl World {
        /// An administrator with a phone that rings and a passkey.
        async fn recoverable_admin(&self, handle: &str, name: &str) -> Person {
            let person = self.administrator(handle, name).await;
            person.phone.register_push().await.expect("a push registration");
            person
        }
    }

    /// The address is the person's and the administrators', the journal knows that it changed and not to what, and it goes with them.
    pub(crate) async fn where_somebody_reads_e_mail(world: &World) {
        let raw = Raw::new(world);
        let (ann, _) = (raw.person("ann", "member").await, world.person("ben", "Ben Example").await);
        let put = |by, path: &str, email: Value| raw.shot(by, "PUT", path).json(&json!({"email": email})).fire();
        put(As::Phone(&ann), "/v1/me/email", json!("ann@mail.example")).await.expect(204);
        put(As::Operator, "/v1/users/@ben/email", json!("ben@mail.example")).await.expect(204);
        put(As::Operator, "/v1/users/@ben/email", json!("ben@mail.example")).await.expect(204);
        put(As::Operator, "/v1/users/@nobody/email", json!(null)).await.expect_refusal(404, "not_found");
        let odd = put(As::Phone(&ann), "/v1/me/email", json!("ann@mail.example\r\nBcc: x@y.example")).await;
        assert_eq!(odd.expect_refusal(400, "invalid_request").field(), Some("email"));
        assert_eq!(raw.get(As::Phone(&ann), "/v1/me").await.expect(200).body["user"]["email"], "ann@mail.example");
        assert_eq!(raw.get(As::Operator, "/v1/users/@ben").await.expect(200).body["email"], "ben@mail.example");
        // Whoever claims a device with a code of hers may not be her.
        let (_, waiting) = raw.claimed("ann").await;
        assert!(!waiting.text.contains("mail.example"), "{}", waiting.text);
        let body = json!({"handle": "cleo", "name": "Cleo Example", "role": "admin", "email": "cleo@mail.example"});
        raw.post(As::Operator, "/v1/users", &body).await.expect(201);

        raw.delete(As::Operator, "/v1/users/@ben").await.expect(204);
        assert_eq!(world.db.number("select count(*) from users where email is not null").await, 2, "ann and cleo");
        assert_eq!(world.recorded("user.email_changed").await, 2);
        assert!(!Value::from(world.journal().await).to_string().contains("mail.example"));
    }
}
