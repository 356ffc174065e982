//! Receipts: made by a real server on both engines, checked by two verifiers that share nothing but the specification.

mod forge;
mod mutations;
mod policies;
pub(crate) mod python;
mod vectors;

crate::world::stories! {
    a_deployment_and_what_became_of_it
    however_it_ended_there_is_a_receipt
    a_receipt_is_for_those_it_concerns
    an_outcome_is_told_once_by_the_redeemer
    keys_that_were_rotated_still_verify
    another_node_hears_of_a_rotation
    keys_from_before_there_were_attestations
}

mod stories {
    use std::collections::BTreeSet;

    use phoneops::approvals::receipt::Ended;
    use phoneops::approvals::receipt::verify::{TrustRoot, Verified, verify};
    use serde_json::{Value, json};

    use crate::receipts::python;
    use crate::world::{Bot, World, deploy, minutes, refused};

    /// Asks, approves and redeems; the approval's id and the grant's.
    async fn redeemed(world: &World, bot: &Bot, person: &crate::world::Person, app: &str) -> (String, String) {
        let action = deploy(app, "production");
        let asked = bot.ask(person, action.clone()).await;
        person.expect_push(world, "Approval needed").await;
        person.phone.approve(&asked).await.unwrap();
        let grant = bot.expect_grant(&asked).await;
        let redeemed = bot.redeem(&grant, &action).await.unwrap();
        (asked, redeemed.body["grant"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn report(bot: &Bot, grant: &str, body: Value) -> Result<phoneops::client::Reply, phoneops::client::Error> {
        bot.client.post(&format!("/v1/grants/{grant}/outcome"), &body).await
    }

    pub(crate) async fn receipt(bot: &Bot, asked: &str) -> Value {
        bot.client.get(&format!("/v1/approvals/{asked}/receipt")).await.expect("a receipt").body
    }

    pub(crate) async fn jwks(world: &World) -> Value {
        world.operator.get("/.well-known/jwks.json").await.expect("the keys").body
    }

    /// Both verifiers say that it holds.
    pub(crate) fn holds(receipt: &Value, keys: &Value) -> Verified {
        let bytes = receipt.to_string().into_bytes();
        assert_eq!(python::verdict(&bytes, Some(keys)), "valid");
        let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
        verify(&bytes, Some(&root), None).unwrap()
    }

    pub(crate) async fn a_deployment_and_what_became_of_it(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let (asked, grant) = redeemed(world, &heimdall, &yannick, "api/new_auth").await;
        report(&heimdall, &grant, json!({"outcome": "succeeded", "detail": "release 42"})).await.unwrap();
        let push = yannick.expect_push(world, "deploy → production: succeeded").await;
        assert_eq!((push.kind(), push.data()["subject"].as_str()), ("outcome", Some(asked.as_str())));
        assert!(push.body().ends_with(": release 42"), "{}", push.body());

        let approval = heimdall.approval(&asked).await;
        assert_eq!(
            (&approval["outcome"]["outcome"], &approval["outcome"]["detail"]),
            (&json!("succeeded"), &json!("release 42"))
        );
        let signed = receipt(&heimdall, &asked).await;
        let verified = holds(&signed, &jwks(world).await);
        assert_eq!(verified.state, Ended::Approved);
        let receipt = &signed["receipt"];
        let attestation = receipt["answers"][0]["attestation"].as_str().unwrap();
        let no_grant = heimdall.redeem(attestation, &deploy("api/new_auth", "production")).await;
        refused(no_grant, "grant_invalid");
        assert_eq!(receipt["approval"]["action"], deploy("api/new_auth", "production"));
        assert_eq!(receipt["people"][0]["handle"], "yannick");
        assert_eq!((&receipt["grant"]["jti"], &receipt["outcome"]["outcome"]), (&json!(grant), &json!("succeeded")));

        // What was signed before a device was lost still stands.
        let device = yannick.phone.device_id().unwrap();
        world.operator.delete(&format!("/v1/devices/{device}")).await.unwrap();
        holds(&super::stories::receipt(&heimdall, &asked).await, &jwks(world).await);
    }

    pub(crate) async fn however_it_ended_there_is_a_receipt(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let ask = || async {
            let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
            yannick.expect_push(world, "Approval needed").await;
            asked
        };
        let denied = ask().await;
        let undecided = heimdall.client.get(&format!("/v1/approvals/{denied}/receipt")).await;
        refused(undecided, "approval_undecided");
        yannick.phone.deny(&denied, Some("not on a Friday")).await.unwrap();
        // He is not rung for the like for a minute.
        world.advance(minutes(1)).await;
        let cancelled = ask().await;
        heimdall.client.delete(&format!("/v1/approvals/{cancelled}")).await.unwrap();
        yannick.expect_push(world, "Cancelled").await;
        let expired = ask().await;
        world.advance(minutes(5)).await;
        yannick.expect_push(world, "Expired").await;
        let keys = jwks(world).await;
        for (asked, state) in [(denied, Ended::Denied), (cancelled, Ended::Cancelled), (expired, Ended::Expired)] {
            let receipt = receipt(&heimdall, &asked).await;
            assert_eq!(holds(&receipt, &keys).state, state);
            assert_eq!(receipt["receipt"]["grant"], Value::Null);
        }
    }

    pub(crate) async fn a_receipt_is_for_those_it_concerns(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let (heimdall, loki) = (world.bot("heimdall").await, world.bot("loki").await);
        let (asked, _) = redeemed(world, &heimdall, &yannick, "api").await;
        let path = format!("/v1/approvals/{asked}/receipt");
        refused(loki.client.get(&path).await, "not_found");
        crate::world::phone_refused(get(&ys.phone, &path).await, "not_found");
        get(&yannick.phone, &path).await.unwrap();
        world.operator.get(&path).await.unwrap();
    }

    async fn get(phone: &phoneops::sim::phone::Phone, path: &str) -> Result<Value, phoneops::sim::phone::Error> {
        phone.get(path).await?.accepted()
    }

    pub(crate) async fn an_outcome_is_told_once_by_the_redeemer(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let (heimdall, loki) = (world.bot("heimdall").await, world.bot("loki").await);
        let action = deploy("api", "production");
        let asked = heimdall.ask(&yannick, action.clone()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&asked).await.unwrap();
        let token = heimdall.expect_grant(&asked).await;
        let id = world.db.number("select count(*) from grants").await;
        assert_eq!(id, 1);
        let claims = phoneops::secret::from_b64u(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let grant = claims["jti"].as_str().unwrap();
        refused(report(&heimdall, grant, json!({"outcome": "succeeded"})).await, "grant_not_redeemed");
        heimdall.redeem(&token, &action).await.unwrap();
        refused(report(&loki, grant, json!({"outcome": "failed"})).await, "not_found");
        refused(report(&heimdall, grant, json!({"outcome": "maybe"})).await, "invalid_request");
        report(&heimdall, grant, json!({"outcome": "failed"})).await.unwrap();
        yannick.expect_push(world, "deploy → production: failed").await;
        refused(report(&heimdall, grant, json!({"outcome": "succeeded"})).await, "outcome_reported");
        assert_eq!(heimdall.approval(&asked).await["outcome"]["outcome"], "failed");
        assert_eq!(world.recorded("grant.outcome_reported").await, 1);
    }

    pub(crate) async fn keys_that_were_rotated_still_verify(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let (before, _) = redeemed(world, &heimdall, &yannick, "api").await;
        let (old_receipt, old_keys) = (receipt(&heimdall, &before).await, jwks(world).await);
        let action = deploy("web", "production");
        let asked = heimdall.ask(&yannick, action.clone()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&asked).await.unwrap();
        let grant = heimdall.expect_grant(&asked).await;

        let rotated = world.operator.post("/v1/keys/rotate", &json!({})).await.unwrap();
        let retired: Vec<_> = rotated.body["keys"].as_array().unwrap().iter().map(|key| key["retired_at"].is_string()).collect();
        assert_eq!(retired, [true, false]);
        assert_eq!(world.recorded("keys.rotated").await, 1);
        let new_keys = jwks(world).await;
        assert_eq!(new_keys["keys"].as_array().unwrap().len(), 2);

        heimdall.redeem(&grant, &action).await.unwrap();
        holds(&old_receipt, &new_keys);
        let new_receipt = receipt(&heimdall, &asked).await;
        assert_ne!(kid(&new_receipt), kid(&old_receipt), "the next key signs");
        holds(&new_receipt, &new_keys);
        let fault = python::verdict(new_receipt.to_string().as_bytes(), Some(&old_keys));
        assert_eq!(fault, "receipt_key", "who trusts only the old keys does not believe it");
    }

    fn kid(signed: &Value) -> Value {
        let header = signed["signature"].as_str().unwrap().split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&phoneops::secret::from_b64u(header).unwrap()).unwrap();
        header["kid"].clone()
    }

    /// The other node's part is played by the set of keys alone: what it knows, and when it hears.
    pub(crate) async fn another_node_hears_of_a_rotation(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let action = deploy("api", "production");
        let asked = heimdall.ask(&yannick, action.clone()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&asked).await.unwrap();
        // A key that this node has not heard of signs its next grant.
        let text = std::fs::read_to_string(world.server.socket().with_file_name("master.key")).unwrap();
        let master = phoneops::secret::MasterKey::parse(&text).unwrap();
        let (store, now) = (world.server.store.clone(), world.clock.now());
        let other = phoneops::identity::IssuerKeys::open(&store, &master, world.server.issuer(), now).await.unwrap();
        let call = phoneops::identity::Call::operator();
        let keys = other.rotate(&call, &phoneops::journal::Journal::default(), now).await.unwrap();
        assert_eq!(keys.len(), 2);
        let ours = heimdall.expect_grant(&asked).await;
        let theirs = resigned(&ours, keys.last().unwrap());
        assert_ne!(ours, theirs);
        heimdall.redeem(&theirs, &action).await.unwrap();
        let kids: BTreeSet<_> = keys.iter().map(|key| json!(key.id).to_string()).collect();
        let known: BTreeSet<_> = jwks(world).await["keys"].as_array().unwrap().iter().map(|key| key["kid"].to_string()).collect();
        assert_eq!(known, kids);
        holds(&receipt(&heimdall, &asked).await, &jwks(world).await);
    }

    /// The same claims, signed by another of the installation's keys.
    fn resigned(grant: &str, key: &phoneops::identity::IssuerKey) -> String {
        let claims = phoneops::secret::from_b64u(grant.split('.').nth(1).unwrap()).unwrap();
        key.sign("phoneops-grant+jwt", &serde_json::from_slice::<Value>(&claims).unwrap())
    }

    pub(crate) async fn keys_from_before_there_were_attestations(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let (asked, _) = redeemed(world, &heimdall, &yannick, "api").await;
        for table in ["devices", "passkeys"] {
            world.db.raw(&format!("update {table} set attestation = null")).await;
        }
        holds(&receipt(&heimdall, &asked).await, &jwks(world).await);
        let missing = "select (select count(*) from devices where attestation is null)
            + (select count(*) from passkeys where attestation is null)";
        assert_eq!(world.db.number(missing).await, 0);
    }
}
