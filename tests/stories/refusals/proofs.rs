//! DPoP proofs, access tokens and sign-ins that must not be believed (device protocol, section 3).

crate::world::stories! {
    proofs
    credentials_in_the_wrong_place
    sign_ins
}

mod stories {
    use phoneops::secret::{b64u, sha256};
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawPhone, Seen};
    use crate::world::{World, minutes};

    /// What spoils the header or the claims of a proof; given the time.
    type Change = fn(&mut Value, &mut Value, i64);

    async fn me_with(raw: &Raw<'_>, phone: &RawPhone, proof: &str) -> Seen {
        raw.shot(As::Phone(phone), "GET", "/v1/me").header("dpop", proof).fire().await
    }

    pub(crate) async fn proofs(world: &World) {
        let raw = Raw::new(world);
        let (phone, other) = (raw.person("yannick", "member").await, raw.person("ys", "member").await);
        let now = phone.now();
        let changes: [(&str, Change); 17] = [
            ("htu_wrong", |_, claims, _| claims["htu"] = json!("https://evil.example/v1/me")),
            ("htu_wrong", |_, claims, _| claims["htu"] = json!(format!("{}s", claims["htu"].as_str().unwrap()))),
            ("htm_wrong", |_, claims, _| claims["htm"] = json!("POST")),
            ("htm_wrong", |_, claims, _| claims["htm"] = json!("get")),
            ("iat_stale", |_, claims, now| claims["iat"] = json!(now - 121)),
            ("iat_early", |_, claims, now| claims["iat"] = json!(now + 31)),
            ("iat_early", |_, claims, _| claims["iat"] = json!(i64::MAX)),
            ("iat_stale", |_, claims, _| claims["iat"] = json!(i64::MIN)),
            ("claims_malformed", |_, claims, _| claims["iat"] = json!(1.5e300)),
            ("ath_missing", |_, claims, _| drop(claims.as_object_mut().unwrap().remove("ath"))),
            ("ath_wrong", |_, claims, _| claims["ath"] = json!(b64u(sha256(b"another token")))),
            ("jti_invalid", |_, claims, _| claims["jti"] = json!("short")),
            ("jti_invalid", |_, claims, _| claims["jti"] = json!("a".repeat(129))),
            ("alg_wrong", |header, _, _| header["alg"] = json!("none")),
            ("typ_wrong", |header, _, _| header["typ"] = json!("JWT")),
            ("crit_refused", |header, _, _| header["crit"] = json!(["exp"])),
            ("jwk_invalid", |header, _, _| header["jwk"]["d"] = json!("AAAA")),
        ];
        for (reason, change) in changes {
            let (mut header, mut claims) = phone.proof_parts("GET", "/v1/me", Some(&phone.token()));
            change(&mut header, &mut claims, now);
            let refused = me_with(&raw, &phone, &phone.jws(&header, &claims)).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(refused.body["reason"], reason);
            assert_eq!(refused.headers["www-authenticate"], "DPoP error=\"invalid_dpop_proof\"");
        }
        // Another's key, honestly named, over this token; and dishonestly.
        let (header, claims) = phone.proof_parts("GET", "/v1/me", Some(&phone.token()));
        let theirs = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": other.jwk()});
        let refused = me_with(&raw, &phone, &other.jws(&theirs, &claims)).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(refused.body["reason"], "key_differs");
        let refused = me_with(&raw, &phone, &other.jws(&header, &claims)).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(refused.body["reason"], "signature_invalid");
        for (proof, reason) in [("", "not_compact"), ("a.b.c", "encoding_invalid"), (&"a".repeat(9000), "too_long")] {
            let refused = me_with(&raw, &phone, proof).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(refused.body["reason"], reason);
        }
        // Good once, and the edges of its time are good.
        let proof = phone.proof("GET", "/v1/me");
        me_with(&raw, &phone, &proof).await.expect(200);
        let refused = me_with(&raw, &phone, &proof).await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(refused.body["reason"], "replayed");
        for iat in [now - 120, now + 30] {
            let (header, mut claims) = phone.proof_parts("GET", "/v1/me", Some(&phone.token()));
            claims["iat"] = json!(iat);
            me_with(&raw, &phone, &phone.jws(&header, &claims)).await.expect(200);
        }
    }

    pub(crate) async fn credentials_in_the_wrong_place(world: &World) {
        let raw = Raw::new(world);
        let (phone, bot) = (raw.person("yannick", "admin").await, raw.able_bot("heimdall").await);
        let me = || raw.shot(As::Nobody, "GET", "/v1/me");
        let token = phone.token();
        me().header("authorization", &format!("Bearer {token}")).fire().await.expect_refusal(401, "unauthenticated");
        me().header("authorization", &format!("DPoP {}", bot.token)).fire().await.expect_refusal(401, "invalid_token");
        me().header("authorization", &token).fire().await.expect_refusal(401, "unauthenticated");
        for path in [format!("/v1/me?access_token={token}"), format!("/v1/me?token={}", bot.token)] {
            raw.shot(As::Nobody, "GET", &path).fire().await.expect_refusal(401, "unauthenticated");
        }
        let dpop = format!("DPoP {token}");
        let twice = me().header("authorization", &dpop).header("dpop", &phone.proof("GET", "/v1/me"));
        let refused = twice.header("dpop", &phone.proof("GET", "/v1/me")).fire().await.expect_refusal(401, "invalid_dpop_proof");
        assert_eq!(refused.body["reason"], "missing");
        me().header("authorization", &dpop).fire().await.expect_refusal(401, "invalid_dpop_proof");
        let two = me().header("authorization", &dpop).header("authorization", &format!("Bearer {}", bot.token));
        two.header("dpop", &phone.proof("GET", "/v1/me")).fire().await.expect_refusal(401, "unauthenticated");
        // On the operator's socket, bad credentials do not make an operator.
        let nobody = raw.shot(As::Operator, "GET", "/v1/users").header("authorization", "Bearer pob_x").fire().await;
        nobody.expect_refusal(401, "unauthenticated");
        for (change, code) in [(0, "invalid_token"), (token.len() - 1, "invalid_token")] {
            let mut bytes = token.clone().into_bytes();
            bytes[change] ^= 1;
            let forged = String::from_utf8(bytes).unwrap();
            me().header("authorization", &format!("DPoP {forged}")).fire().await.expect_refusal(401, code);
        }
        world.advance(minutes(10)).await;
        raw.get(As::Phone(&phone), "/v1/me").await.expect_refusal(401, "invalid_token");
        raw.delete(As::Operator, &format!("/v1/bots/{}", bot.id)).await.expect(204);
        raw.get(As::Bot(&bot), "/v1/incidents").await.expect_refusal(401, "unauthenticated");
    }

    async fn token(raw: &Raw<'_>, phone: &RawPhone, assertion: &str) -> Seen {
        let (header, claims) = phone.proof_parts("POST", "/v1/token", None);
        let form = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={assertion}");
        raw.shot(As::Nobody, "POST", "/v1/token")
            .bytes(form.into_bytes())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("dpop", &phone.jws(&header, &claims))
            .fire()
            .await
    }

    pub(crate) async fn sign_ins(world: &World) {
        let raw = Raw::new(world);
        let (phone, other) = (raw.person("yannick", "member").await, raw.person("ys", "member").await);
        let now = phone.now();
        let audience = format!("{}/v1/token", raw.issuer());
        let header = json!({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": phone.device});
        let claims = json!({"iss": phone.device, "sub": phone.device, "aud": audience, "iat": now, "exp": now + 60, "jti": "j".repeat(22)});
        for (member, value) in [
            ("iss", json!(other.device)),
            ("sub", json!(other.device)),
            ("aud", json!(raw.issuer())),
            ("iat", json!(now + 31)),
            ("exp", json!(now)),
            ("exp", json!(now + 301)),
            ("exp", json!(i64::MAX)),
            ("jti", json!("x")),
            ("nonce", json!("unknown")),
        ] {
            let mut changed = claims.clone();
            changed[member] = value;
            token(&raw, &phone, &phone.jws(&header, &changed)).await.expect_refusal(401, "invalid_grant");
        }
        // Signed by another device's key, for it or as it; and a proof by another key than the assertion.
        token(&raw, &phone, &other.jws(&header, &claims)).await.expect_refusal(401, "invalid_grant");
        let refused = token(&raw, &phone, &other.assertion()).await.expect_refusal(401, "invalid_grant");
        assert_eq!(refused.body["reason"], "dpop_key_differs");
        let assertion = phone.assertion();
        token(&raw, &phone, &assertion).await.expect(200);
        let refused = token(&raw, &phone, &assertion).await.expect_refusal(401, "invalid_grant");
        assert_eq!(refused.body["reason"], "replayed");
        // What signs one thing signs nothing else.
        for not in [phone.proof("GET", "/v1/me"), phone.token(), String::new(), "a.b.c".to_owned()] {
            token(&raw, &phone, &not).await.expect_refusal(401, "invalid_grant");
        }
    }
}
