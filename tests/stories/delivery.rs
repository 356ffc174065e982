//! What is sent and what is not: withdrawn or late pushes, dead registrations, silent phones, jobs that are given up. On both engines.

mod house;
mod natively;
mod registrations;
mod screens;
mod ways;

crate::world::stories! {
    what_is_over_is_not_sent
    what_is_over_is_not_sent_again
    nothing_more_is_sent_to_whoever_has_left
    a_page_that_no_phone_has_rings_louder_and_shows_once
    a_phone_that_is_gone_hands_the_page_on_at_once
    how_far_a_push_came
    an_approval_is_not_sent_after_its_deadline
    gone_retires_the_registration_that_was_tried
    gone_leaves_a_registration_that_was_made_meanwhile
    an_address_is_the_device_s_that_registered_it_last
    a_page_whose_push_makes_no_sense_goes_on_to_the_next_person
    a_page_whose_timer_is_buried_rings_again_once_it_can
}

mod stories {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use phoneops::clock::{Clock, Timestamp};
    use phoneops::delivery::{Carriers, Channel, Delivery, Lane};
    use phoneops::push::{Carrier, Message, Outcome, Target};
    use phoneops::secret::MasterKey;
    use phoneops::sim::push_service::Fault;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use crate::world::raw::{As, Raw, RawBot, RawPhone};
    use crate::world::{Bot, Person, World, deploy, minutes, seconds};

    /// A carrier that counts what it was given.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Carrier for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn send<'a>(&'a self, _: &'a Message, _: &'a Target, _: Timestamp) -> BoxFuture<'a, Outcome> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Outcome::Accepted { id: None } })
        }
    }

    /// A worker of its own, beside the server's, whose clock is a little ahead: what is to be tried again soon is due for it.
    struct Worker {
        delivery: Delivery,
        carrier: Arc<Counting>,
    }

    impl Worker {
        fn new(world: &World) -> Self {
            let key = std::fs::read_to_string(world.server.socket().with_file_name("master.key")).unwrap();
            let carrier = Arc::new(Counting::default());
            let carriers = Carriers { apns: None, fcm: None, web_push: carrier.clone(), mail: None };
            let clock = Clock::manual(world.clock.now());
            let (delivery, _) =
                crate::delivery::house::delivery(&world.server.store, &clock, MasterKey::parse(&key).unwrap(), carriers);
            Self { delivery, carrier }
        }

        /// Makes the one attempt that is to be tried again soon; how many messages were sent.
        async fn perform(&self, world: &World) -> usize {
            let soon = world.clock.now().after(seconds(5));
            self.delivery.clock.advance(self.delivery.clock.now().until(soon));
            for claimed in self.delivery.claim(Lane { channel: Channel::WebPush, urgent: true }, 10).await.unwrap() {
                let done = self.delivery.send(claimed).await;
                self.delivery.record([done].into()).await.unwrap();
            }
            self.carrier.0.swap(0, Ordering::SeqCst)
        }
    }

    const AWAY: Fault = Fault::Status { status: 503, retry_after: None };

    /// The push service does not take this phone's next pushes.
    fn away(world: &World, person: &Person, times: u32) {
        world.push_service.script(&person.phone.subscription_id().unwrap(), AWAY, times).unwrap();
    }

    /// How many messages arrived at the push service under a title, taken or not.
    fn arrived(world: &World, title: &str) -> usize {
        world.push_service.journal().iter().filter(|entry| entry.title.as_deref() == Some(title)).count()
    }

    /// A page whose push failed once and waits to be tried again.
    async fn page_that_waits(world: &World, heimdall: &Bot, yannick: &Person) -> String {
        away(world, yannick, 1);
        let reference = heimdall.page(yannick, "All your apps are down").await;
        world.settle().await;
        reference
    }

    /// As [`page_that_waits`], of an approval.
    async fn request_that_waits(world: &World, heimdall: &Bot, yannick: &Person) -> String {
        away(world, yannick, 1);
        let asked = heimdall.ask(yannick, deploy("api", "production")).await;
        world.settle().await;
        asked
    }

    pub(crate) async fn what_is_over_is_not_sent(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let worker = Worker::new(world);

        let open = page_that_waits(world, &heimdall, &yannick).await;
        assert_eq!(worker.perform(world).await, 1, "what is not over is sent");
        assert_eq!(worker.perform(world).await, 0, "once");
        yannick.phone.resolve(&open).await.unwrap();

        let acknowledged = page_that_waits(world, &heimdall, &yannick).await;
        yannick.phone.acknowledge(&acknowledged).await.unwrap();
        assert_eq!(worker.perform(world).await, 0, "after an acknowledgement");
        yannick.phone.resolve(&acknowledged).await.unwrap();

        let resolved = page_that_waits(world, &heimdall, &yannick).await;
        yannick.phone.resolve(&resolved).await.unwrap();
        assert_eq!(worker.perform(world).await, 0, "after the end");

        let decided = request_that_waits(world, &heimdall, &yannick).await;
        yannick.phone.approve(&decided).await.unwrap();
        assert_eq!(worker.perform(world).await, 0, "after a decision");

        let cancelled = request_that_waits(world, &heimdall, &yannick).await;
        heimdall.client.delete(&format!("/v1/approvals/{cancelled}")).await.unwrap();
        assert_eq!(worker.perform(world).await, 0, "after it was cancelled");
        yannick.expect_push(world, "Cancelled").await;

        let late = request_that_waits(world, &heimdall, &yannick).await;
        let life: Timestamp = serde_json::from_value(heimdall.approval(&late).await["expires_at"].clone()).unwrap();
        world.clock.advance(world.clock.now().until(life));
        assert_eq!(worker.perform(world).await, 0, "at the deadline");
        world.settle().await;
        while let Some(push) = yannick.phone.next_push(Duration::ZERO).await.unwrap() {
            assert_eq!(push.title(), "Expired");
        }
        let unfinished = world.db.number("select count(*) from attempts where state = 'waiting'").await;
        assert_eq!(unfinished, 0, "each attempt knows how it ended");
    }

    pub(crate) async fn a_page_that_no_phone_has_rings_louder_and_shows_once(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        world.advance(seconds(14)).await;
        assert_eq!(arrived(world, "All your apps are down"), 1);
        world.advance(seconds(1)).await;
        assert_eq!(arrived(world, "All your apps are down"), 2, "again, for no phone said that it came");
        let deliveries = heimdall.client.get(&format!("/v1/incidents/{reference}/deliveries")).await.unwrap().body;
        let words =
            |member: &str| deliveries["deliveries"].as_array().unwrap().iter().map(|one| one[member].clone()).collect::<Vec<_>>();
        assert_eq!(words("state"), [json!("accepted"), json!("accepted")], "which is nobody's phone yet: {deliveries}");
        assert_eq!(words("louder"), [json!(true), json!(false)]);
        // The push service kept one for the phone, which was away: the same topic.
        yannick.expect_push(world, "All your apps are down").await;
        assert_eq!(yannick.phone.shown().await.unwrap().len(), 1, "it shows once");
        yannick.phone.resolve(&reference).await.unwrap();
    }

    pub(crate) async fn a_phone_that_is_gone_hands_the_page_on_at_once(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let heimdall = world.bot("heimdall").await;
        let gone = Fault::Status { status: 410, retry_after: None };
        world.push_service.script(&yannick.phone.subscription_id().unwrap(), gone, 1).unwrap();
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        ys.expect_push(world, "All your apps are down").await;
        assert_eq!(world.recorded("person.unreachable").await, 2, "and is still not there when the last step rings everybody");
        let told = heimdall.client.get("/v1/events?after=0&kind=person.").await.unwrap().body;
        assert_eq!(told["events"][0]["kind"], "person.unreachable", "its bot hears of it: {told}");
        ys.phone.resolve(&reference).await.unwrap();
    }

    pub(crate) async fn how_far_a_push_came(world: &World) {
        let raw = Raw::new(world);
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        let push = yannick.expect_push(world, "Approval needed").await;
        let path = format!("/v1/approvals/{asked}/deliveries");
        let seen = heimdall.client.get(&path).await.unwrap().body["deliveries"][0].clone();
        assert_eq!(
            (&seen["state"], &seen["to"]["handle"], &seen["carrier"]),
            (&json!("displayed"), &json!("yannick"), &json!("web_push"))
        );
        assert_eq!(seen["device"]["name"], "A phone");
        let capability = push.data()["receipt"].as_str().unwrap();
        let say = async |capability: &str, event: &str| {
            let path = format!("/v1/receipts/{capability}");
            raw.post(As::Nobody, &path, &json!({"event": event})).await
        };
        say(capability, "opened").await.expect(204);
        say(capability, "opened").await.expect(204);
        say(&capability[1..], "opened").await.expect_refusal(404, "not_found");
        say("x", "opened").await.expect_refusal(404, "not_found");
        say(capability, "eaten").await.expect_refusal(400, "invalid_request");
        let seen = heimdall.client.get(&path).await.unwrap().body["deliveries"][0].clone();
        assert_eq!((&seen["state"], seen["opened_at"].is_string()), (&json!("opened"), true));
        let ys = world.person("ys", "Ys Example").await;
        assert_eq!(ys.phone.get(&path).await.unwrap().code(), "not_found", "it does not concern them");
        yannick.phone.deny(&asked, None).await.unwrap();
    }

    pub(crate) async fn nothing_more_is_sent_to_whoever_has_left(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let heimdall = world.bot("heimdall").await;
        let page = page_that_waits(world, &heimdall, &yannick).await;
        world.operator.delete("/v1/users/@yannick").await.unwrap();
        // Nobody is waited for who is not there: the next person's phone rings at once.
        world.advance(seconds(2)).await;
        ys.expect_push(world, "All your apps are down").await;
        yannick.expect_silence(world).await;
        ys.phone.acknowledge(&page).await.unwrap();
        ys.phone.resolve(&page).await.unwrap();
    }

    pub(crate) async fn what_is_over_is_not_sent_again(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let page = page_that_waits(world, &heimdall, &yannick).await;
        yannick.phone.acknowledge(&page).await.unwrap();
        world.advance(minutes(5)).await;
        assert_eq!(arrived(world, "All your apps are down"), 1, "only the try that failed");
        yannick.phone.resolve(&page).await.unwrap();

        let request = request_that_waits(world, &heimdall, &yannick).await;
        yannick.phone.deny(&request, None).await.unwrap();
        world.advance(minutes(5)).await;
        let cancelled = request_that_waits(world, &heimdall, &yannick).await;
        heimdall.client.delete(&format!("/v1/approvals/{cancelled}")).await.unwrap();
        yannick.expect_push(world, "Cancelled").await;
        world.advance(minutes(5)).await;
        assert_eq!(arrived(world, "Approval needed"), 2, "only the tries that failed");
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn an_approval_is_not_sent_after_its_deadline(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let subscription = yannick.phone.subscription_id().unwrap();
        away(world, &yannick, u32::MAX);
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        let deadline: Timestamp = serde_json::from_value(heimdall.approval(&asked).await["expires_at"].clone()).unwrap();
        world.advance(world.clock.now().until(deadline.before(seconds(1)))).await;
        let tried = arrived(world, "Approval needed");
        assert!(tried > 5, "it was tried again and again: {tried}");
        world.push_service.clear_faults(&subscription).unwrap();
        world.advance(minutes(5)).await;
        assert_eq!(arrived(world, "Approval needed"), tried, "not after the deadline");
        assert_eq!(heimdall.approval(&asked).await["state"], "expired");
        // A push service that did not say yes may have sent it all the same: the phone hears that nothing is left to do.
        yannick.expect_push(world, "Expired").await;
    }

    /// A push service that answers when the test says so.
    struct Slow(TcpListener);

    /// A push that waits for its answer.
    struct Held {
        path: String,
        stream: TcpStream,
    }

    impl Slow {
        async fn start() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
        }

        /// Registers a place here as the phone's.
        async fn register(&self, raw: &Raw<'_>, phone: &RawPhone, place: &str) {
            let endpoint = format!("http://{}/{place}", self.0.local_addr().unwrap());
            let keys = json!({"p256dh": phone.p256dh(), "auth": "AAAAAAAAAAAAAAAAAAAAAA"});
            let body = json!({"kind": "web_push", "endpoint": endpoint, "keys": keys});
            let path = format!("/v1/devices/{}/push", phone.device);
            raw.shot(As::Phone(phone), "PUT", &path).json(&body).fire().await.expect(200);
        }

        /// The next push. None of ours has a body that begins like a head's end.
        async fn push(&self) -> Held {
            let (mut stream, _) = tokio::time::timeout(Duration::from_secs(10), self.0.accept()).await.unwrap().unwrap();
            let mut read = Vec::new();
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(stream.read_buf(&mut read).await.unwrap() > 0, "a request");
            }
            let head = String::from_utf8_lossy(&read);
            let path = head.split(' ').nth(1).unwrap().to_owned();
            Held { path, stream }
        }
    }

    impl Held {
        async fn answer(mut self, status: &str) {
            let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            self.stream.write_all(reply.as_bytes()).await.unwrap();
            // Closing with unread bytes of the body would take the answer back.
            let _ = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
        }
    }

    /// How many registrations a push can be sent to.
    async fn registered(world: &World) -> i64 {
        world.db.number("select count(*) from push_registrations where retired_at is null").await
    }

    async fn resolve(raw: &Raw<'_>, phone: &RawPhone, reference: &str) {
        raw.post(As::Phone(phone), &format!("/v1/incidents/{reference}/resolve"), &json!({})).await.expect(200);
    }

    async fn cast(raw: &Raw<'_>) -> (RawBot, RawPhone, Slow) {
        (raw.able_bot("heimdall").await, raw.person("yannick", "member").await, Slow::start().await)
    }

    pub(crate) async fn gone_retires_the_registration_that_was_tried(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone, service) = cast(&raw).await;
        service.register(&raw, &phone, "old").await;
        let reference = raw.page(&bot, "yannick").await;
        service.push().await.answer("410 Gone").await;
        world.settle().await;
        assert_eq!((registered(world).await, world.recorded("push.failed").await), (0, 1));
        resolve(&raw, &phone, &reference).await;
    }

    pub(crate) async fn gone_leaves_a_registration_that_was_made_meanwhile(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone, service) = cast(&raw).await;
        service.register(&raw, &phone, "old").await;
        let reference = raw.page(&bot, "yannick").await;
        let held = service.push().await;
        assert_eq!(held.path, "/old");
        service.register(&raw, &phone, "new").await;
        held.answer("410 Gone").await;
        let again = service.push().await;
        assert_eq!(again.path, "/new", "it rings there at once");
        again.answer("201 Created").await;
        world.settle().await;
        assert_eq!(registered(world).await, 1, "the new address was never said to be gone");
        assert_eq!(world.recorded("person.unreachable").await, 0, "nor judged by the old one");
        resolve(&raw, &phone, &reference).await;
    }

    pub(crate) async fn an_address_is_the_device_s_that_registered_it_last(world: &World) {
        let raw = Raw::new(world);
        let (bot, phone, service) = cast(&raw).await;
        let other = raw.person("ys", "member").await;
        service.register(&raw, &phone, "handed-on").await;
        service.register(&raw, &other, "handed-on").await;
        assert_eq!((registered(world).await, world.recorded("device.push_retired").await), (1, 1));
        let told = world.journal().await.into_iter().find(|entry| entry["kind"] == "device.push_retired").unwrap();
        assert_eq!((&told["subject"], &told["data"]["registered_by"]), (&json!(phone.device), &json!(other.device)));

        // Whoever had the phone before is not rung on it.
        let approval = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        world.settle().await;
        let reference = raw.page(&bot, "ys").await;
        service.push().await.answer("201 Created").await;
        world.settle().await;
        let told = world.db.number("select count(*) from attempts where state = 'accepted'").await;
        assert_eq!((told, world.recorded("person.unreachable").await), (1, 1), "the page, and no approval");
        resolve(&raw, &other, &reference).await;
        raw.delete(As::Bot(&bot), &format!("/v1/approvals/{approval}")).await.expect(204);

        // Both at once: one has it, whichever.
        tokio::join!(service.register(&raw, &phone, "both"), service.register(&raw, &other, "both"));
        assert_eq!((registered(world).await, world.recorded("device.push_retired").await), (1, 2));
        world.settle().await;
    }

    /// What an operator does with a buried job once it was seen.
    async fn dig_up(world: &World, kind: &str) {
        let seen = world.db.number(&format!("select count(*) from jobs where buried_at is not null and kind = '{kind}'")).await;
        assert_eq!(seen, 1, "one job of kind {kind} is buried");
        world.db.raw("delete from jobs where buried_at is not null").await;
    }

    /// Longer than a job is tried before it is buried: 25 leases.
    const LONG: Duration = Duration::from_secs(9 * 60);

    pub(crate) async fn a_page_whose_push_makes_no_sense_goes_on_to_the_next_person(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let heimdall = world.bot("heimdall").await;
        let reference = page_that_waits(world, &heimdall, &yannick).await;
        world.db.raw("update attempts set lease = 1000 where state = 'waiting'").await;
        world.advance(seconds(5)).await;
        assert_eq!(world.recorded("push.failed").await, 1, "whoever made it ended each time: it is given up, and seen");
        ys.expect_push(world, "All your apps are down").await;
        ys.phone.resolve(&reference).await.unwrap();
        yannick.expect_push(world, "Resolved by Ys Example").await;
    }

    pub(crate) async fn a_page_whose_timer_is_buried_rings_again_once_it_can(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        // A row that makes no sense: every try to ring fails.
        world.db.raw("update incidents set links = '{}'").await;
        world.advance(LONG + minutes(1)).await;
        yannick.expect_silence(world).await;
        assert_eq!(world.recorded("job.buried").await, 1, "it is seen");
        dig_up(world, "incident_timer").await;

        world.db.raw("update incidents set links = '[]'").await;
        let mut rung = None;
        for _ in 0..12 {
            world.advance(seconds(10)).await;
            rung = yannick.phone.next_push(Duration::ZERO).await.unwrap();
            if rung.is_some() {
                break;
            }
        }
        assert_eq!(rung.expect("it rings within two minutes").title(), "All your apps are down");
        yannick.phone.resolve(&reference).await.unwrap();
    }
}
