//! Grants that must not be redeemed.

crate::world::stories! {
    grants_for_something_else
    grants_that_are_none
    grants_whose_ground_is_gone
}

mod stories {
    use phoneops::secret::{b64u, from_b64u};
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawBot, Seen};
    use crate::world::{World, seconds};

    fn action() -> Value {
        json!({"type": "deploy", "target": "production", "params": {"app": "api", "count": 3, "dry": false, "hosts": ["a", "b"]}})
    }

    async fn redeem(raw: &Raw<'_>, bot: &RawBot, grant: &str, action: &Value) -> Seen {
        raw.post(As::Bot(bot), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await
    }

    pub(crate) async fn grants_for_something_else(world: &World) {
        let raw = Raw::new(world);
        let (bot, other) = (raw.able_bot("heimdall").await, raw.able_bot("loki").await);
        let phone = raw.person("yannick", "member").await;
        let (asked, grant) = raw.granted(&bot, &phone, "yannick", &action()).await;
        redeem(&raw, &other, &grant, &action()).await.expect_refusal(403, "grant_not_yours");
        raw.get(As::Bot(&other), &format!("/v1/approvals/{asked}")).await.expect_refusal(404, "not_found");
        for (pointer, value) in [
            ("/type", json!("Deploy")),
            ("/target", json!("production ")),
            ("/params", json!({})),
            ("/params/app", json!("apI")),
            ("/params/app", json!(["api"])),
            ("/params/count", json!("3")),
            ("/params/count", json!(4)),
            ("/params/dry", json!(true)),
            ("/params/dry", json!(0)),
            ("/params/hosts", json!(["b", "a"])),
            ("/params/hosts", json!(["a"])),
            ("/params/hosts/1", json!("c")),
        ] {
            let mut changed = action();
            *changed.pointer_mut(pointer).unwrap() = value;
            redeem(&raw, &bot, &grant, &changed).await.expect_refusal(403, "grant_other_action");
        }
        let mut more = action();
        more["params"]["force"] = json!(true);
        redeem(&raw, &bot, &grant, &more).await.expect_refusal(403, "grant_other_action");
        assert_eq!(world.recorded("grant.redeemed").await, 0);
        world.advance(seconds(300)).await;
        redeem(&raw, &bot, &grant, &action()).await.expect_refusal(409, "grant_expired");
        let over = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        assert!(over.body["grant"].is_null());
        assert_eq!(world.recorded("grant.redeemed").await, 0);
    }

    pub(crate) async fn grants_that_are_none(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let (_, grant) = raw.granted(&bot, &phone, "yannick", &action()).await;
        let parts: Vec<_> = grant.split('.').collect();
        let header: Value = serde_json::from_slice(&from_b64u(parts[0]).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&from_b64u(parts[1]).unwrap()).unwrap();
        let unsigned =
            |alg: &str| format!("{}.{}.", b64u(json!({"alg": alg, "typ": "phoneops-grant+jwt"}).to_string()), parts[1]);
        let mut later = claims.clone();
        later["exp"] = json!(claims["exp"].as_i64().unwrap() + 3600);
        let keys = raw.get(As::Nobody, "/.well-known/jwks.json").await.expect(200).body;
        let mut embedded = header.clone();
        embedded["jwk"] = phone.jwk();
        let forged = [
            String::new(),
            "garbage".to_owned(),
            "..".to_owned(),
            unsigned("none"),
            unsigned("None"),
            unsigned("HS256"),
            phone.jws(&header, &claims),
            phone.jws(&embedded, &claims),
            format!("{}.{}.{}", parts[0], b64u(later.to_string()), parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], b64u([0; 64])),
            format!(
                "{}.{}.{}",
                b64u(json!({"alg": "ES256", "typ": "JWT", "kid": header["kid"]}).to_string()),
                parts[1],
                parts[2]
            ),
            format!("{grant}."),
            phone.token(),
            phone.assertion(),
            phone.proof("POST", "/v1/grants/redeem"),
            hmac_with_the_public_key(&header, parts[1], &keys["keys"][0]),
        ];
        for not in forged {
            redeem(&raw, &bot, &not, &action()).await.expect_refusal(403, "grant_invalid");
        }
        assert_eq!(world.recorded("grant.redeemed").await, 0);
        redeem(&raw, &bot, &grant, &action()).await.expect(200);
    }

    /// The oldest trick with JWTs: HMAC under the public key.
    fn hmac_with_the_public_key(header: &Value, claims: &str, jwk: &Value) -> String {
        let mut header = header.clone();
        header["alg"] = json!("HS256");
        let input = format!("{}.{claims}", b64u(header.to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, jwk.to_string().as_bytes());
        format!("{input}.{}", b64u(aws_lc_rs::hmac::sign(&key, input.as_bytes())))
    }

    pub(crate) async fn grants_whose_ground_is_gone(world: &World) {
        let raw = Raw::new(world);
        let bot = raw.able_bot("heimdall").await;
        let other = raw.person("ys", "admin").await;
        for (handle, gone) in [("ann", "passkey"), ("bea", "device"), ("cyd", "user")] {
            let phone = raw.person(handle, "member").await;
            let (_, grant) = raw.granted(&bot, &phone, handle, &action()).await;
            let ended = match gone {
                "passkey" => {
                    let id =
                        raw.get(As::Phone(&phone), "/v1/passkeys").await.body["passkeys"][0]["id"].as_str().unwrap().to_owned();
                    raw.delete(As::Phone(&phone), &format!("/v1/passkeys/{id}")).await
                }
                "device" => raw.delete(As::Phone(&phone), &format!("/v1/devices/{}", phone.device)).await,
                _ => raw.delete(As::Phone(&other), &format!("/v1/users/{}", phone.user)).await,
            };
            ended.expect(204);
            redeem(&raw, &bot, &grant, &action()).await.expect_refusal(403, "grant_revoked");
        }
        assert_eq!(world.recorded("grant.redeemed").await, 0);
    }
}
