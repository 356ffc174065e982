//! Every reason for which a message, or a request for an access token, is not taken.

use super::*;

#[tokio::test]
async fn an_assertion_that_is_not_in_order() {
    let world = World::new().await;
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let with = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        claims
    };
    let table = [
        (json!({"alg": "none"}), world.claims(), "invalid_grant"),
        (json!({"alg": "RS256", "kid": "other"}), world.claims(), "invalid_grant"),
        (header.clone(), with("iss", json!("other@phoneops-sim.iam.example.com")), "invalid_grant"),
        (header.clone(), with("aud", json!("https://oauth2.example.com/token")), "invalid_grant"),
        (header.clone(), with("exp", json!(START + 3_601)), "invalid_grant"),
        (header.clone(), with("exp", json!(START)), "invalid_grant"),
        (header.clone(), with("iat", json!(START + 301)), "invalid_grant"),
        (header.clone(), with("scope", json!("https://www.googleapis.com/auth/cloud-platform.read-only")), "invalid_scope"),
    ];
    for (header, claims, error) in table {
        let (status, body) = world.ask(&header, &claims).await;
        assert_eq!((status, body["error"].as_str()), (400, Some(error)), "{header} {claims}");
    }
    let token_uri = world.fcm.service_account()["token_uri"].as_str().unwrap().to_owned();
    let ask = async |form: &[(&str, &str)]| {
        let reply = world.http.post(&token_uri).form(form).send().await.unwrap();
        reply.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(&[("grant_type", "password")]).await, "unsupported_grant_type");
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(ask(&[grant]).await, "invalid_request");
    let good = assertion(&world.fcm.service_account(), &header, &world.claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(ask(&[grant, ("assertion", &format!("{signed}.AAAA"))]).await, "invalid_grant");
    assert_eq!(world.fcm.tokens_issued(), 1);
}

#[tokio::test]
async fn an_access_token_ends() {
    let world = World::new().await;
    assert_eq!(world.say("x").await, accepted());
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.say("x").await, refused(401, "ACCESS_TOKEN_INVALID"));
    world.sign_in().await;
    assert_eq!(world.say("x").await, accepted());
    world.fcm.revoke_tokens();
    assert_eq!(world.say("x").await, refused(401, "ACCESS_TOKEN_INVALID"));
    world.sign_in().await;
    let anonymous = world.http.post(format!("{}{}", world.fcm.url(), world.path())).json(&world.message("x"));
    assert_eq!(anonymous.send().await.unwrap().status(), 401);
    let elsewhere = format!("{}/v1/projects/other/messages:send", world.fcm.url());
    let elsewhere = world.http.post(elsewhere).header("authorization", world.bearer()).json(&world.message("x"));
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn requests_for_access_tokens_are_scripted() {
    let world = World::new().await;
    let ask = async || world.ask(&json!({"alg": "RS256"}), &world.claims()).await;
    world.fcm.script_tokens(TokenFault::Refuse { error: "invalid_grant".to_owned() }, 1);
    world.fcm.script_tokens(TokenFault::Answer { status: 503, body: "{}".to_owned() }, 1);
    assert_eq!(ask().await.1["error"], "invalid_grant");
    assert_eq!(ask().await.0, 503);
    assert_eq!(ask().await.0, 200);
}

#[tokio::test]
async fn a_message_that_is_not_in_order_names_its_field() {
    let world = World::new().await;
    let message = |message: Value| json!({"message": message});
    let to = |rest: Value| {
        let mut message = json!({"token": world.id});
        message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"message": message})
    };
    let table = [
        (json!([]), ""),
        (json!({"message": {}, "extra": 1}), ""),
        (json!({}), "message"),
        (message(json!({"data": {}})), "message"),
        (message(json!({"token": world.id, "fid": "x"})), "message"),
        (message(json!({"topic": "news"})), "message.topic"),
        (to(json!({"payload": {}})), "message"),
        (to(json!({"data": {"n": 1}})), "message.data[n].value"),
        (to(json!({"data": {"from": "x"}})), "message.data"),
        (to(json!({"data": {"gcm.x": "x"}})), "message.data"),
        (to(json!({"data": {"google_x": "x"}})), "message.data"),
        (to(json!({"data": {"message_type": "x"}})), "message.data"),
        (to(json!({"data": {"x": "y".repeat(4_096)}})), "message"),
        (to(json!({"android": {"priority": "URGENT"}})), "message.android.priority"),
        (to(json!({"android": {"ttl": 300}})), "message.android.ttl"),
        (to(json!({"android": {"ttl": "300"}})), "message.android.ttl"),
        (to(json!({"android": {"ttl": "2419201s"}})), "message.android.ttl"),
        (to(json!({"android": {"ttl": "-1s"}})), "message.android.ttl"),
        (to(json!({"android": {"collapseKey": 7}})), "message.android.collapse_key"),
        (to(json!({"android": {"notification": {"channel": "x"}}})), "message.android.notification"),
    ];
    for (body, field) in table {
        assert_eq!(told(&world.post(&body).await), refused(400, field), "{body}");
    }
    let full = to(json!({"data": {"x": "y".repeat(4_095)}, "android": {"ttl": "2419200s", "collapseKey": "k"}}));
    assert_eq!(told(&world.post(&full).await), accepted());
    let garbage = world.request(&json!(null)).body("{").send().await.unwrap();
    assert_eq!(garbage.status(), 400);
}

#[tokio::test]
async fn a_registration_that_is_dead_or_none_or_anothers() {
    let world = World::new().await;
    let to = |token: &str| json!({"message": {"token": token, "data": data("x")}});
    assert_eq!(told(&world.post(&to("no token at all")).await), refused(400, "INVALID_ARGUMENT"));
    assert_eq!(told(&world.post(&to("abcdefgh:ijklmnop")).await), refused(404, "UNREGISTERED"));
    world.fcm.give_away(&world.id).unwrap();
    assert_eq!(world.say("x").await, refused(403, "SENDER_ID_MISMATCH"));
    world.fcm.unregister(&world.id).unwrap();
    assert_eq!(world.say("x").await, refused(404, "UNREGISTERED"));
}

#[tokio::test]
async fn every_error_can_be_scripted() {
    let world = World::new().await;
    for error in FcmError::ALL {
        world.script(Fault::Refuse { error: *error, retry_after: None });
        let (status, name) = error.status();
        let (answered, body) = world.post(&world.message("x")).await;
        assert_eq!((answered, &body["error"]["status"]), (status, &json!(name)));
        assert_eq!(body["error"]["details"][0]["errorCode"], json!(error));
    }
    world.script(Fault::Violation { field: "message.android.ttl".to_owned() });
    assert_eq!(world.say("x").await, refused(400, "message.android.ttl"));
    world.script(Fault::Unauthenticated);
    assert_eq!(world.say("x").await, refused(401, "ACCESS_TOKEN_INVALID"));
    world.script(Fault::Answer { status: 502, body: "<html>Bad Gateway</html>".to_owned() });
    assert_eq!(world.post(&world.message("x")).await, (502, Value::Null));
    assert!(world.titles().is_empty());
    assert_eq!(world.say("x").await, accepted());
}

#[tokio::test]
async fn quotas_are_counted_by_project_and_by_phone() {
    let world = World::with(Settings { quota: 3, ..Settings::default() }).await;
    for expected in [accepted(), accepted(), accepted(), refused(429, "QUOTA_EXCEEDED")] {
        assert_eq!(world.say("x").await, expected);
    }
    world.clock.advance(Duration::from_secs(30));
    let reply = world.request(&world.message("x")).send().await.unwrap();
    assert_eq!(reply.headers()["retry-after"], "31");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.say("x").await, accepted());

    let generous = World::new().await;
    let all = futures_util::future::join_all((0..241).map(|_| generous.say("x"))).await;
    assert_eq!(all.iter().filter(|told| **told == accepted()).count(), 240);
    assert!(all.contains(&refused(429, "QUOTA_EXCEEDED")));
}
