//! Listening: the stream of events, the long poll, and the search of the journal.

crate::world::stories! {
    everybody_hears_what_concerns_them
    a_stream_goes_on_where_it_ended
    a_long_poll_wakes_and_moves_on
    who_stops_being_trusted_hears_nothing_more
    a_node_that_cannot_see_who_is_trusted_tells_nobody_anything
    a_reader_that_stalls_misses_nothing
    many_listeners_wake_together
    the_journal_is_searched
}

mod stories {
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;
    use phoneops::journal::{Actor, Entry, Journal};
    use reqwest::header::ACCEPT;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw, RawBot};
    use crate::world::{World, deploy};

    /// A stream of events as its reader has it.
    struct Stream {
        response: reqwest::Response,
        text: String,
        /// The last `id`.
        last: i64,
    }

    impl Stream {
        /// As the bot, after an event.
        async fn open(world: &World, bot: &RawBot, query: &str, after: Option<i64>) -> Self {
            let url = format!("{}/v1/events{query}", world.server.issuer());
            let mut request = world.http.get(url).bearer_auth(&bot.token).header(ACCEPT, "text/event-stream");
            if let Some(after) = after {
                request = request.header("last-event-id", after.to_string());
            }
            let response = request.send().await.expect("the server answers");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let mut stream = Self { response, text: String::new(), last: -1 };
            assert!(stream.block().await.is_some_and(|data| data.is_none()), "it says at once from where");
            stream
        }

        /// The data of the next block, if it has any; nothing when the stream ended.
        async fn block(&mut self) -> Option<Option<Value>> {
            while !self.text.contains("\n\n") {
                let chunk = self.response.chunk().await.ok().flatten()?;
                self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            }
            let (block, rest) = self.text.split_once("\n\n").expect("it is there");
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            self.last = field("id: ").expect("an id").parse().expect("a number");
            let data = field("data: ").map(|data| serde_json::from_str(&data).expect("JSON"));
            self.text = rest.to_string();
            Some(data)
        }

        async fn event(&mut self) -> Value {
            let next = async {
                loop {
                    let data = self.block().await.expect("the stream goes on");
                    if let Some(data) = data.filter(|data| ASIDE.iter().all(|aside| data["kind"] != *aside)) {
                        return data;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(10), next).await.expect("an event comes")
        }

        /// How long it went on.
        async fn ended(mut self) -> Duration {
            let begun = Instant::now();
            let ending = async { while self.block().await.is_some() {} };
            tokio::time::timeout(Duration::from_secs(20), ending).await.expect("the stream ends");
            begun.elapsed()
        }
    }

    /// Everything that a caller hears after a number.
    async fn heard(raw: &Raw<'_>, by: As<'_>, query: &str) -> Vec<Value> {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let body = raw.get(by, &format!("/v1/events?after={after}{query}")).await.expect(200).body;
            all.extend(body["events"].as_array().expect("events").clone());
            let next = body["next"].as_i64().expect("a number");
            if next == after {
                return all;
            }
            after = next;
        }
    }

    /// Nobody here has a phone that rings: that has an event of its own, and the last resort is rung at once. Told elsewhere
    /// (`tests/stories/delivery/ways.rs`, `tests/stories/incidents.rs`).
    const ASIDE: [&str; 2] = ["person.unreachable", "incident.rang"];

    fn kinds(events: &[Value]) -> Vec<&str> {
        events.iter().map(|event| event["kind"].as_str().expect("a kind")).filter(|kind| !ASIDE.contains(kind)).collect()
    }

    async fn listening_bot(raw: &Raw<'_>, name: &str) -> RawBot {
        raw.bot(name, &["approvals:request", "grants:redeem", "incidents:write", "incidents:read", "events:read"]).await
    }

    pub(crate) async fn everybody_hears_what_concerns_them(world: &World) {
        let raw = Raw::new(world);
        let (heimdall, loki) = (listening_bot(&raw, "heimdall").await, listening_bot(&raw, "loki").await);
        let (yannick, zoe) = (raw.person("yannick", "member").await, raw.person("zoe", "member").await);
        let action = deploy("api", "production");
        let (approval, grant) = raw.granted(&heimdall, &yannick, "yannick", &action).await;
        raw.post(As::Bot(&heimdall), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await.expect(200);
        let reference = raw.page(&loki, "yannick").await;
        let acting = json!({"actor": "@yannick"});
        raw.post(As::Bot(&heimdall), &format!("/v1/incidents/{reference}/resolve"), &acting).await.expect(200);
        world.settle().await;
        world.journal().await;

        let mine = heard(&raw, As::Bot(&heimdall), "").await;
        let expected = ["approval.requested", "approval.approved", "grant.redeemed", "incident.triggered", "incident.resolved"];
        assert_eq!(kinds(&mine), expected, "a bot hears what became of what it asked for, and what it acted on");
        assert_eq!((&mine[0]["subject"], &mine[0]["data"]["action"]), (&json!(approval), &action));
        let theirs = heard(&raw, As::Bot(&loki), "").await;
        assert_eq!(kinds(&theirs), ["incident.triggered", "incident.resolved"]);
        let own = heard(&raw, As::Phone(&yannick), "").await;
        for kind in ["user.created", "device.enrolled", "passkey.created", "approval.approved", "incident.triggered"] {
            assert!(kinds(&own).contains(&kind), "{kind} of {:?}", kinds(&own));
        }
        assert!(!own.iter().any(|event| event.to_string().contains(&zoe.user)), "of others nothing");
        let hers = heard(&raw, As::Phone(&zoe), "").await;
        assert_eq!(kinds(&hers), ["user.created", "enrollment.created", "device.enrolled", "passkey.created"]);
        let all = heard(&raw, As::Operator, "").await;
        assert_eq!(all.len(), world.journal().await.len());
        let numbers: Vec<_> = all.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a + 1 == *b), "{numbers:?}");

        let some = heard(&raw, As::Operator, "&kind=approval.,grant.redeemed").await;
        assert_eq!(kinds(&some), ["approval.requested", "approval.approved", "grant.redeemed"]);
        let some = heard(&raw, As::Operator, &format!("&subject={approval}")).await;
        assert_eq!(kinds(&some), ["approval.requested", "approval.approved"]);
        for (query, field) in [("kind=A", "kind"), ("wait=61", "wait"), ("after=-1", "after"), ("zzz=1", "zzz")] {
            let seen = raw.get(As::Operator, &format!("/v1/events?{query}")).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(field));
        }
        let deaf = raw.able_bot("deaf").await;
        raw.get(As::Bot(&deaf), "/v1/events").await.expect_refusal(403, "forbidden");
    }

    pub(crate) async fn a_stream_goes_on_where_it_ended(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        raw.person("yannick", "member").await;
        raw.page(&bot, "yannick").await;
        // From now on: what was before is not told.
        world.journal().await;
        let mut stream = Stream::open(world, &bot, "", None).await;
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let event = stream.event().await;
        assert_eq!((&event["kind"], &event["subject"]), (&json!("approval.requested"), &json!(asked)));
        assert_eq!(event["seq"], stream.last);
        let last = stream.last;
        drop(stream);
        for app in ["web", "db"] {
            raw.ask(&bot, "yannick", &deploy(app, app)).await;
        }
        let mut stream = Stream::open(world, &bot, "", Some(last)).await;
        assert_eq!(stream.event().await["data"]["action"]["params"]["app"], "web");
        assert_eq!(stream.event().await["data"]["action"]["params"]["app"], "db");
        raw.delete(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(204);
        assert_eq!(stream.event().await["kind"], "approval.cancelled");
        // A filter, and everything from the beginning.
        let mut stream = Stream::open(world, &bot, "?after=0&kind=incident.", None).await;
        assert_eq!(stream.event().await["kind"], "incident.triggered");
        let refused = raw.shot(As::Bot(&bot), "GET", "/v1/events").header("last-event-id", "x").fire().await;
        assert_eq!(refused.expect_refusal(400, "invalid_request").field(), Some("Last-Event-ID"));
    }

    pub(crate) async fn a_long_poll_wakes_and_moves_on(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        raw.person("yannick", "member").await;
        world.journal().await;
        let now = raw.get(As::Bot(&bot), "/v1/events").await.expect(200).body;
        assert_eq!(now["events"], json!([]));
        let path = format!("/v1/events?after={}&wait=25", now["next"]);
        let polling = async { (raw.get(As::Bot(&bot), &path).await.expect(200).body, Instant::now()) };
        let asking = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            Instant::now()
        };
        let ((polled, woken), asked) = futures_util::future::join(polling, asking).await;
        assert_eq!(kinds(polled["events"].as_array().unwrap()), ["approval.requested"]);
        let late = woken.saturating_duration_since(asked);
        assert!(late < Duration::from_secs(2), "{late:?}");
        // What is not for this caller moves the cursor all the same.
        raw.person("zoe", "member").await;
        world.journal().await;
        let path = format!("/v1/events?after={}", polled["next"]);
        let body = raw.get(As::Bot(&bot), &path).await.expect(200).body;
        assert_eq!(kinds(body["events"].as_array().unwrap()), Vec::<&str>::new());
        assert!(body["next"].as_i64() > polled["next"].as_i64());
    }

    pub(crate) async fn who_stops_being_trusted_hears_nothing_more(world: &World) {
        let raw = Raw::new(world);
        let (bot, other) = (listening_bot(&raw, "heimdall").await, listening_bot(&raw, "loki").await);
        let phone = raw.person("yannick", "member").await;
        let stream = Stream::open(world, &bot, "", None).await;
        let mut stays = Stream::open(world, &other, "", None).await;
        let url = format!("{}/v1/events", world.server.issuer());
        let listening = world.http.get(url).header(ACCEPT, "text/event-stream");
        let listening = listening.header("authorization", format!("DPoP {}", phone.token()));
        let response = listening.header("dpop", phone.proof("GET", "/v1/events")).send().await.unwrap();
        let mut phones = Stream { response, text: String::new(), last: -1 };
        assert!(phones.block().await.is_some());
        raw.delete(As::Operator, &format!("/v1/bots/{}", bot.id)).await.expect(204);
        raw.delete(As::Operator, &format!("/v1/devices/{}", phone.device)).await.expect(204);
        let (first, second) = futures_util::future::join(stream.ended(), phones.ended()).await;
        assert!(first < Duration::from_secs(5) && second < Duration::from_secs(5), "{first:?} {second:?}");
        raw.page(&other, "yannick").await;
        assert_eq!(stays.event().await["kind"], "incident.triggered", "others go on");
    }

    pub(crate) async fn a_node_that_cannot_see_who_is_trusted_tells_nobody_anything(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        let stream = Stream::open(world, &bot, "", None).await;
        world.db.raw("alter table bots rename to bots_elsewhere").await;
        let ended = stream.ended().await;
        world.db.raw("alter table bots_elsewhere rename to bots").await;
        assert!(ended < Duration::from_secs(5), "{ended:?}");
        // It sees again: whoever comes back goes on.
        let listening = async {
            loop {
                let mut stream = Stream::open(world, &bot, "?after=0", None).await;
                tokio::select! {
                    block = stream.block() => if block.is_none() { continue },
                    () = tokio::time::sleep(Duration::from_secs(3)) => {}
                }
                return;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), listening).await.expect("it stays");
    }

    /// Entries with much to say, about a person.
    async fn chatter(world: &World, user: &str, count: usize) {
        let (journal, user, now) = (Journal::default(), user.to_owned(), world.clock.now());
        let text = "x".repeat(8_000);
        let appending = world.server.store.write(move |tx| {
            Box::pin(async move {
                for n in 0..count {
                    let data = json!({"user": user, "n": n, "text": text});
                    let entry = Entry { kind: "test.said", actor: Actor::System, subject: user.clone(), data };
                    journal.append(tx, now, entry).await?;
                }
                Ok::<_, phoneops::db::Error>(())
            })
        });
        appending.await.expect("it is written");
    }

    pub(crate) async fn a_reader_that_stalls_misses_nothing(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        let phone = raw.person("yannick", "admin").await;
        let url = format!("{}/v1/events?kind=test.", world.server.issuer());
        let listening = world.http.get(url).header(ACCEPT, "text/event-stream");
        let listening = listening.header("authorization", format!("DPoP {}", phone.token()));
        let response = listening.header("dpop", phone.proof("GET", "/v1/events")).send().await.unwrap();
        let mut stalled = Stream { response, text: String::new(), last: -1 };
        assert!(stalled.block().await.is_some());
        // More than the window and than all buffers on the way hold: 16 MB.
        let all = 2_000;
        for _ in 0..10 {
            chatter(world, &phone.user, all / 10).await;
        }
        while phoneops::journal::seal(&world.server.store).await.expect("the journal is sealed") > 0 {}
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for n in 0..all {
            assert_eq!(stalled.event().await["data"]["n"], n % (all / 10), "none is missed, none comes twice");
        }
        // Another was not kept waiting by it.
        raw.get(As::Bot(&bot), "/v1/events").await.expect(200);
    }

    pub(crate) async fn many_listeners_wake_together(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        raw.person("yannick", "member").await;
        let mut streams = join_all((0..200).map(|_| Stream::open(world, &bot, "", None))).await;
        raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let asked = Instant::now();
        let woken = join_all(streams.iter_mut().map(Stream::event)).await;
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        assert!(woken.iter().all(|event| event["kind"] == "approval.requested"));
    }

    pub(crate) async fn the_journal_is_searched(world: &World) {
        let raw = Raw::new(world);
        let bot = listening_bot(&raw, "heimdall").await;
        let phone = raw.person("yannick", "admin").await;
        let before = world.clock.now();
        world.advance(Duration::from_secs(60)).await;
        phone.sign_in(&raw).await;
        let asked = raw.ask(&bot, "yannick", &deploy("api/Neue_Größe", "production")).await;
        phone.answer(&raw, &asked, "deny").await.expect(200);
        raw.page(&bot, "yannick").await;
        world.journal().await;
        let find = async |query: &str| {
            let body = raw.get(As::Phone(&phone), &format!("/v1/journal?{query}")).await.expect(200).body;
            kinds(body["entries"].as_array().unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(find("kind=approval.").await, ["approval.requested", "approval.denied"]);
        assert_eq!(find("kind=approval.&order=newest").await, ["approval.denied", "approval.requested"]);
        let by_them = find(&format!("kind=approval.,incident.&actor={}", phone.user)).await;
        assert_eq!(by_them, ["approval.requested", "approval.denied"], "or by a bot for them");
        assert_eq!(find(&format!("actor={}", phone.device)).await.last().map(String::as_str), Some("approval.denied"));
        assert_eq!(find(&format!("actor={}", bot.id)).await, ["approval.requested", "incident.triggered"]);
        assert_eq!(find("actor=operator&kind=user.").await, ["user.created"]);
        assert_eq!(find(&format!("subject={asked}")).await, ["approval.requested", "approval.denied"]);
        assert_eq!(find("text=neue_gr%C3%B6%C3%9Fe").await, ["approval.requested"]);
        assert_eq!(find("text=%25").await, Vec::<String>::new(), "a text is a text and no pattern");
        let after = world.clock.now();
        assert_eq!(find(&format!("since={after}&kind=approval.,user.")).await, ["approval.requested", "approval.denied"]);
        assert_eq!(find(&format!("until={after}&kind=approval.,user.")).await, ["user.created"]);
        assert!(before < after);
        for (query, field) in [
            ("kind=A", "kind"),
            ("actor=root", "actor"),
            ("since=now", "since"),
            ("text=", "text"),
            ("limit=0", "limit"),
            ("order=up", "order"),
        ] {
            let seen = raw.get(As::Operator, &format!("/v1/journal?{query}")).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(field), "{}", seen.text);
        }
        pages_are_whole(&raw, world.journal().await.len()).await;
        let held = raw.get(As::Operator, "/v1/journal/verification").await.expect(200).body;
        assert_eq!(held, json!({"valid": true, "last": world.journal().await.len()}));
        let kind = raw.get(As::Operator, "/v1/journal?after=2&limit=1").await.expect(200).body["entries"][0]["kind"].clone();
        world.db.raw("update journal set kind = 'x.y' where seq = 3").await;
        let held = raw.get(As::Operator, "/v1/journal/verification").await.expect(200).body;
        assert!(held["valid"] == false && held["fault"].as_str().unwrap().contains("digest"), "{held}");
        world.db.raw(&format!("update journal set kind = '{}' where seq = 3", kind.as_str().unwrap())).await;
    }

    async fn pages_are_whole(raw: &Raw<'_>, all: usize) {
        for order in ["oldest", "newest"] {
            let (mut after, mut numbers) = (String::new(), Vec::new());
            loop {
                let path = format!("/v1/journal?order={order}&limit=3{after}");
                let body = raw.get(As::Operator, &path).await.expect(200).body;
                numbers.extend(body["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
                let Some(next) = body["next"].as_i64() else { break };
                after = format!("&after={next}");
            }
            if order == "newest" {
                numbers.reverse();
            }
            assert_eq!(numbers, (1..=all as u64).collect::<Vec<_>>(), "{order}");
        }
    }
}
