//! A bot's next token, and what becomes of the ones before.

crate::world::stories! {
    the_old_token_works_until_the_overlap_is_over
    a_second_rotation_ends_the_first_token
    a_bot_rotates_its_own_token
    a_repeated_rotation_shows_no_token
    streams_end_with_their_token
}

mod stories {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawBot, Seen};
    use crate::world::{World, seconds};

    fn with_token(bot: &RawBot, token: &Value) -> RawBot {
        RawBot { id: bot.id.clone(), token: token.as_str().expect("a token").to_owned() }
    }

    async fn rotate(raw: &Raw<'_>, bot: &RawBot, body: Value) -> Seen {
        raw.post(As::Operator, &format!("/v1/bots/{}/rotate", bot.id), &body).await
    }

    /// The next token, beside which the old one works for so long.
    async fn next(raw: &Raw<'_>, bot: &RawBot, overlap: u32) -> RawBot {
        let rotated = rotate(raw, bot, json!({"overlap_seconds": overlap})).await.expect(200);
        with_token(bot, &rotated.body["token"])
    }

    async fn works(raw: &Raw<'_>, bot: &RawBot) -> bool {
        let seen = raw.get(As::Bot(bot), "/v1/incidents").await;
        assert!(matches!(seen.status, 200 | 401), "{}", seen.text);
        seen.status == 200
    }

    async fn listed(raw: &Raw<'_>) -> Value {
        raw.get(As::Operator, "/v1/bots").await.expect(200).body["bots"][0]["previous_token_until"].clone()
    }

    pub(crate) async fn the_old_token_works_until_the_overlap_is_over(world: &World) {
        let raw = Raw::new(world);
        let first = raw.able_bot("heimdall").await;
        assert_eq!(listed(&raw).await, Value::Null);
        let rotated = rotate(&raw, &first, json!({})).await.expect(200);
        let second = with_token(&first, &rotated.body["token"]);
        let until = world.clock.now().after(Duration::from_secs(86_400));
        assert_eq!(rotated.body["previous_token_until"], json!(until));
        assert_eq!(listed(&raw).await, json!(until));
        let entry = world.journal().await.into_iter().find(|entry| entry["kind"] == "bot.rotated").unwrap();
        assert_eq!((&entry["actor"]["kind"], &entry["data"]["previous_token_until"]), (&json!("operator"), &json!(until)));
        world.advance(seconds(86_399)).await;
        assert!(works(&raw, &first).await && works(&raw, &second).await);
        world.advance(seconds(1)).await;
        assert!(!works(&raw, &first).await && works(&raw, &second).await);
        assert_eq!(listed(&raw).await, Value::Null);

        let third = next(&raw, &second, 0).await;
        assert!(!works(&raw, &second).await && works(&raw, &third).await, "0 ends it at once");
        for bad in [604_801_i64, -1] {
            rotate(&raw, &first, json!({"overlap_seconds": bad})).await.expect_refusal(400, "invalid_request");
        }
        let fourth = next(&raw, &third, 604_800).await;
        assert!(works(&raw, &third).await && works(&raw, &fourth).await);
        raw.delete(As::Operator, &format!("/v1/bots/{}", first.id)).await.expect(204);
        assert!(!works(&raw, &third).await && !works(&raw, &fourth).await, "revoking ends both");
        rotate(&raw, &first, json!({})).await.expect_refusal(404, "not_found");
    }

    pub(crate) async fn a_second_rotation_ends_the_first_token(world: &World) {
        let raw = Raw::new(world);
        let first = raw.able_bot("heimdall").await;
        let second = next(&raw, &first, 3600).await;
        let third = next(&raw, &second, 3600).await;
        assert!(!works(&raw, &first).await && works(&raw, &second).await && works(&raw, &third).await);
    }

    pub(crate) async fn a_bot_rotates_its_own_token(world: &World) {
        let raw = Raw::new(world);
        let first = raw.bot("heimdall", &["incidents:read"]).await;
        let own = |bot: RawBot| {
            let raw = &raw;
            async move { raw.post(As::Bot(&bot), "/v1/bots/me/rotate", &json!({"overlap_seconds": 60})).await }
        };
        let again = || RawBot { id: first.id.clone(), token: first.token.clone() };
        let second = own(again()).await.expect(200);
        let second = with_token(&first, &second.body["token"]);
        assert!(works(&raw, &first).await && works(&raw, &second).await);
        // Whoever has the token that is being replaced gets no next one.
        own(again()).await.expect_refusal(403, "forbidden");
        let entry = world.journal().await.into_iter().find(|entry| entry["kind"] == "bot.rotated").unwrap();
        assert_eq!(entry["actor"]["kind"], "bot");
        world.advance(seconds(60)).await;
        assert!(!works(&raw, &first).await && works(&raw, &second).await);
    }

    pub(crate) async fn a_repeated_rotation_shows_no_token(world: &World) {
        let raw = Raw::new(world);
        let first = raw.able_bot("heimdall").await;
        let path = format!("/v1/bots/{}/rotate", first.id);
        let once = || raw.shot(As::Operator, "POST", &path).json(&json!({})).header("idempotency-key", "once").fire();
        let shown = once().await.expect(200).body;
        let again = once().await.expect(200).body;
        assert!(shown["token"].is_string() && again["token"].is_null());
        assert_eq!((&shown["id"], &shown["previous_token_until"]), (&again["id"], &again["previous_token_until"]));
        assert_eq!(world.recorded("bot.rotated").await, 1);
        assert_eq!(world.db.number("select token_number from bots").await, 1);
    }

    async fn stream(world: &World, token: &str) -> reqwest::Response {
        let listening = world.http.get(format!("{}/v1/events", world.server.issuer())).bearer_auth(token);
        let mut stream = listening.header("accept", "text/event-stream").send().await.unwrap();
        stream.chunk().await.unwrap().expect("it says from where");
        stream
    }

    async fn ended(mut stream: reqwest::Response) -> Duration {
        let begun = Instant::now();
        while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
        begun.elapsed()
    }

    pub(crate) async fn streams_end_with_their_token(world: &World) {
        let raw = Raw::new(world);
        let first = raw.bot("heimdall", &["events:read"]).await;
        let opened_before = stream(world, &first.token).await;
        let second = next(&raw, &first, 3600).await;
        let opened_after = stream(world, &first.token).await;
        let stays = stream(world, &second.token).await;
        // Neither ends while the overlap lasts.
        let both = futures_util::future::select(Box::pin(ended(opened_before)), Box::pin(ended(opened_after)));
        let waited = tokio::time::timeout(Duration::from_secs(3), both).await;
        assert!(waited.is_err(), "the old token works");
        let (one, other) = (stream(world, &first.token).await, stream(world, &first.token).await);
        world.advance(seconds(3600)).await;
        assert!(ended(one).await < Duration::from_secs(5));
        assert!(ended(other).await < Duration::from_secs(5));
        let stays = tokio::spawn(ended(stays));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!stays.is_finished(), "the new token works");
        // A rotation without an overlap, and one that ends the token before the previous: both are heard of.
        let third = next(&raw, &second, 3600).await;
        let (old, new) = (stream(world, &second.token).await, stream(world, &third.token).await);
        next(&raw, &third, 3600).await;
        assert!(ended(old).await < Duration::from_secs(5));
        let rotated = Instant::now();
        stays.await.unwrap();
        assert!(rotated.elapsed() < Duration::from_secs(5));
        next(&raw, &third, 0).await;
        assert!(ended(new).await < Duration::from_secs(5));
    }
}
