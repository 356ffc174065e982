//! Grants that are bound to a key: a stolen token and a grant that was seen are not enough.

crate::world::stories! {
    a_bound_grant_takes_a_proof_by_its_key
    a_proof_is_for_one_grant_and_one_time
    a_policy_that_demands_a_bound_grant
}

mod stories {
    use phoneops::approvals::receipt::verify::{TrustRoot, verify};
    use phoneops::secret::{b64u, sha256};
    use serde_json::{Value, json};

    use crate::receipts::python;
    use crate::world::raw::{As, Raw, RawBot, RawPhone, Seen};
    use crate::world::{World, deploy};

    const REDEEM: &str = "/v1/grants/redeem";

    fn jkt(key: &RawPhone) -> String {
        b64u(sha256(&serde_json_canonicalizer::to_vec(&key.jwk()).unwrap()))
    }

    fn key(raw: &Raw<'_>) -> RawPhone {
        RawPhone::blank(raw.world.clock.clone(), raw.issuer())
    }

    fn asking(key: Option<&RawPhone>) -> Value {
        let mut body = json!({"action": deploy("api", "production"), "requester": "@yannick"});
        if let Some(key) = key {
            body["bind"] = json!({"jkt": jkt(key)});
        }
        body
    }

    /// Asks, bound to `key`, and has it approved; the approval and its grant.
    async fn granted(raw: &Raw<'_>, bot: &RawBot, phone: &RawPhone, key: Option<&RawPhone>) -> (String, String) {
        let asked = raw.post(As::Bot(bot), "/v1/approvals", &asking(key)).await.expect(201).id();
        phone.answer(raw, &asked, "approve").await.expect(200);
        let found = raw.get(As::Bot(bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        assert_eq!(found.body["bind"]["jkt"].as_str(), key.map(jkt).as_deref());
        (asked, found.body["grant"].as_str().unwrap().to_owned())
    }

    async fn redeem(raw: &Raw<'_>, bot: &RawBot, grant: &str, proofs: &[String]) -> Seen {
        let shot = raw.shot(As::Bot(bot), "POST", REDEEM).json(&json!({"grant": grant, "action": deploy("api", "production")}));
        proofs.iter().fold(shot, |shot, proof| shot.header("dpop", proof)).fire().await
    }

    fn proof(key: &RawPhone, grant: &str, change: impl Fn(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = key.proof_parts("POST", REDEEM, Some(grant));
        change(&mut header, &mut claims);
        key.jws(&header, &claims)
    }

    fn good(key: &RawPhone, grant: &str) -> String {
        proof(key, grant, |_, _| {})
    }

    pub(crate) async fn a_bound_grant_takes_a_proof_by_its_key(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let (ours, other) = (key(&raw), key(&raw));
        let (asked, grant) = granted(&raw, &bot, &phone, Some(&ours)).await;
        redeem(&raw, &bot, &grant, &[]).await.expect_refusal(401, "grant_proof_required");
        let now = ours.now();
        let refused = [
            ("key_differs", good(&other, &grant)),
            ("htu_wrong", proof(&ours, &grant, |_, claims| claims["htu"] = json!("https://other.example/v1/grants/redeem"))),
            ("htm_wrong", proof(&ours, &grant, |_, claims| claims["htm"] = json!("PUT"))),
            ("iat_stale", proof(&ours, &grant, |_, claims| claims["iat"] = json!(now - 121))),
            ("iat_early", proof(&ours, &grant, |_, claims| claims["iat"] = json!(now + 31))),
            ("ath_wrong", good(&ours, &format!("{grant}x"))),
            ("ath_missing", proof(&ours, &grant, |_, claims| drop(claims.as_object_mut().unwrap().remove("ath")))),
            ("signature_invalid", proof(&ours, &grant, |header, _| header["jwk"] = other.jwk())),
            ("typ_wrong", proof(&ours, &grant, |header, _| header["typ"] = json!("JWT"))),
        ];
        for (reason, proof) in refused {
            let seen = redeem(&raw, &bot, &grant, &[proof]).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(seen.body["reason"], reason);
        }
        let twice = [good(&ours, &grant), good(&ours, &grant)];
        redeem(&raw, &bot, &grant, &twice).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(world.recorded("grant.redeemed").await, 0);

        redeem(&raw, &bot, &grant, &[good(&ours, &grant)]).await.expect(200);
        redeem(&raw, &bot, &grant, &[good(&ours, &grant)]).await.expect_refusal(409, "grant_redeemed");
        let entry = world.journal().await.into_iter().find(|entry| entry["kind"] == "grant.redeemed").unwrap();
        assert_eq!(entry["data"]["jkt"], json!(jkt(&ours)));
        holds(&raw, &bot, &asked, &jkt(&ours)).await;
    }

    /// The receipt says which key, and both verifiers look at its proof.
    async fn holds(raw: &Raw<'_>, bot: &RawBot, asked: &str, jkt: &str) {
        let receipt = raw.get(As::Bot(bot), &format!("/v1/approvals/{asked}/receipt")).await.expect(200).body;
        let keys = raw.get(As::Nobody, "/.well-known/jwks.json").await.expect(200).body;
        assert_eq!(receipt["receipt"]["type"], "phoneops.receipt.v2");
        assert_eq!(receipt["receipt"]["grant"]["cnf"]["jkt"].as_str(), Some(jkt));
        assert!(receipt["receipt"]["redemption"]["proof"].is_string());
        let bytes = receipt.to_string().into_bytes();
        assert_eq!(python::verdict(&bytes, Some(&keys)), "valid");
        let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
        assert!(!verify(&bytes, Some(&root), None).unwrap().break_glass);
    }

    pub(crate) async fn a_proof_is_for_one_grant_and_one_time(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let ours = key(&raw);
        let (_, first) = granted(&raw, &bot, &phone, Some(&ours)).await;
        let (_, second) = granted(&raw, &bot, &phone, Some(&ours)).await;
        let jti = "AAAAAAAAAAAAAAAAAAAAAA";
        let with_jti = |grant: &str| proof(&ours, grant, |_, claims| claims["jti"] = json!(jti));
        redeem(&raw, &bot, &first, &[with_jti(&first)]).await.expect(200);
        let seen = redeem(&raw, &bot, &second, &[good(&ours, &first)]).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(seen.body["reason"], "ath_wrong", "the proof of another grant");
        let seen = redeem(&raw, &bot, &second, &[with_jti(&second)]).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(seen.body["reason"], "replayed");
        redeem(&raw, &bot, &second, &[good(&ours, &second)]).await.expect(200);
        // Where none is asked for, none is looked at.
        let (_, free) = granted(&raw, &bot, &phone, None).await;
        redeem(&raw, &bot, &free, &[with_jti(&first)]).await.expect(200);
    }

    pub(crate) async fn a_policy_that_demands_a_bound_grant(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let ours = key(&raw);
        for bad in ["", "x", &b64u([0; 31]), &format!("{}=", b64u([0; 32]))] {
            let mut body = asking(Some(&ours));
            body["bind"]["jkt"] = json!(bad);
            let seen = raw.post(As::Bot(&bot), "/v1/approvals", &body).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.body["field"], "bind.jkt");
        }
        let (_, before) = granted(&raw, &bot, &phone, None).await;
        let rule = json!({"match": {}, "require": {"requester": true, "bound_grant": true}});
        raw.shot(As::Operator, "PUT", "/v1/policies/bound").json(&rule).fire().await.expect(200);
        redeem(&raw, &bot, &before, &[]).await.expect_refusal(403, "grant_policy_changed");
        let seen = raw.post(As::Bot(&bot), "/v1/approvals", &asking(None)).await.expect_refusal(403, "grant_binding_required");
        assert_eq!(seen.body["field"], "bind");
        let (_, grant) = granted(&raw, &bot, &phone, Some(&ours)).await;
        redeem(&raw, &bot, &grant, &[good(&ours, &grant)]).await.expect(200);
        // Demanding it no more weakens.
        let rule = json!({"match": {}, "require": {"requester": true}});
        raw.shot(As::Operator, "PUT", "/v1/policies/bound").json(&rule).fire().await.expect(202);
    }
}
