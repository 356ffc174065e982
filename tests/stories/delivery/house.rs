//! The rooms that get a push onto a phone, without a server around them: a store, a clock that stands still, people with devices, and
//! carriers that do what a test wants and remember every byte they were given.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use phoneops::clock::{Clock, Timestamp};
use phoneops::config::Privacy;
use phoneops::db::{Error, Store};
use phoneops::delivery::{
    Capabilities, Carriers, Channel, Circuits, Content, Delivery, Lane, Notice, Registration, Signals, Words,
};
use phoneops::id::{DeviceId, IncidentId, UserId};
use phoneops::jobs::{self, Handoff, Job, Kind, LEASE, Queue};
use phoneops::journal::Journal;
use phoneops::push::{Carrier, Category, Message, Outcome, Target};
use phoneops::secret::{MasterKey, b64u};
use serde_json::{Value, json};
use uuid::Uuid;

/// How long a phone has to say that a push came.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What a carrier does with what it is given.
#[derive(Clone)]
pub(crate) enum Does {
    Say(Outcome),
    /// Never answers.
    Hang,
}

/// A carrier that a test plays.
pub(crate) struct Pretend {
    name: &'static str,
    does: Mutex<Does>,
    given: Mutex<Vec<(Message, Target)>>,
}

impl Pretend {
    fn new(channel: Channel) -> Arc<Self> {
        let accept = Does::Say(Outcome::Accepted { id: None });
        Arc::new(Self { name: channel.as_str(), does: Mutex::new(accept), given: Mutex::default() })
    }

    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn says(&self, outcome: Outcome) {
        self.does(Does::Say(outcome));
    }

    /// How much it was given since it was asked last.
    pub(crate) fn count(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    /// What it was given since it was asked last.
    pub(crate) fn given(&self) -> Vec<(Message, Target)> {
        std::mem::take(&mut *self.given.lock().unwrap())
    }
}

impl Carrier for Pretend {
    fn name(&self) -> &'static str {
        self.name
    }

    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, _: Timestamp) -> BoxFuture<'a, Outcome> {
        let does = self.does.lock().unwrap().clone();
        Box::pin(async move {
            self.given.lock().unwrap().push((message.clone(), target.clone()));
            match does {
                Does::Say(outcome) => outcome,
                Does::Hang => std::future::pending().await,
            }
        })
    }
}

pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) delivery: Delivery,
    pub(crate) apns: Arc<Pretend>,
    pub(crate) fcm: Arc<Pretend>,
    pub(crate) web_push: Arc<Pretend>,
    pub(crate) mail: Arc<Pretend>,
    handoff: Mutex<Handoff>,
    /// What people could not be reached, as their job said.
    pub(crate) unreachable: Mutex<Vec<Uuid>>,
}

impl House {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let [apns, fcm, web_push, mail] = Channel::ALL.map(Pretend::new);
        let carriers =
            Carriers { apns: Some(apns.clone()), fcm: Some(fcm.clone()), web_push: web_push.clone(), mail: Some(mail.clone()) };
        let (delivery, handoff) = delivery(&store, &clock, MasterKey::generate(), carriers);
        let (handoff, unreachable) = (Mutex::new(handoff), Mutex::default());
        Self { store, clock, delivery, apns, fcm, web_push, mail, handoff, unreachable }
    }

    pub(crate) async fn person(&self, email: Option<&str>) -> UserId {
        let now = self.clock.now();
        let (id, email) = (UserId::new(now), email.map(str::to_owned));
        let insert =
            "insert into users (id, handle, name, role, created_at, email) values ($1, $2, 'Somebody', 'member', $3, $4)";
        self.store
            .write::<_, Error, _>(move |tx| {
                Box::pin(async move {
                    tx.query(insert)
                        .bind(id)
                        .bind(format!("u{}", &id.0.simple().to_string()[12..]))
                        .bind(now)
                        .bind(email)
                        .execute()
                        .await
                })
            })
            .await
            .unwrap();
        id
    }

    /// So many devices of a person that are reached by `channel`.
    pub(crate) async fn devices(&self, user: UserId, channel: Channel, count: usize) -> Vec<DeviceId> {
        let now = self.clock.now();
        let ids: Vec<_> = (0..count).map(|_| DeviceId::new(now)).collect();
        let plain = serde_json::to_vec(&registration(channel)).unwrap();
        for some in ids.chunks(1000) {
            let rows: Vec<_> =
                some.iter().map(|id| (*id, self.delivery.master.seal(&format!("push_registrations/{id}"), &plain))).collect();
            self.store
                .write::<_, Error, _>(move |tx| {
                    Box::pin(async move {
                        for (id, sealed) in rows {
                            tx.query(
                                "insert into devices (id, user_id, name, platform, public_key, thumbprint, enrolled_at, confirmed_at)
                                 values ($1, $2, 'A phone', 'ios', $3, $4, $5, $5)",
                            )
                            .bind(id)
                            .bind(user)
                            .bind(vec![4_u8; 65])
                            .bind(id.0.as_bytes().to_vec())
                            .bind(now)
                            .execute()
                            .await?;
                            tx.query(
                                "insert into push_registrations (device_id, address_sealed, registered_at, kind)
                                 values ($1, $2, $3, $4)",
                            )
                            .bind(id)
                            .bind(sealed)
                            .bind(now)
                            .bind(channel.as_str())
                            .execute()
                            .await?;
                        }
                        Ok(())
                    })
                })
                .await
                .unwrap();
        }
        ids
    }

    /// Tells somebody; on how many ways at first.
    pub(crate) async fn tell(&self, notice: Notice) -> usize {
        let (delivery, now) = (self.delivery.clone(), self.clock.now());
        let told = self.store.write::<_, Error, _>(move |tx| Box::pin(async move { delivery.notify(tx, notice, now).await }));
        told.await.unwrap()
    }

    /// Makes every attempt that is due once, and every job. A carrier that hangs hangs this too.
    pub(crate) async fn work(&self) {
        loop {
            let mut worked = self.jobs().await;
            for lane in Lane::ALL {
                let claimed = self.delivery.claim(lane, 500).await.unwrap();
                worked |= !claimed.is_empty();
                let done = join_all(claimed.into_iter().map(|claimed| self.delivery.send(claimed))).await;
                if !done.is_empty() {
                    self.delivery.record(done.into()).await.unwrap();
                }
            }
            if !worked {
                return;
            }
        }
    }

    /// Does every job that is due; whether there was one.
    pub(crate) async fn jobs(&self) -> bool {
        let mut jobs = Vec::new();
        {
            let mut handoff = self.handoff.lock().unwrap();
            while let Some((job, _place)) = tokio::task::unconstrained(handoff.next()).now_or_never().flatten() {
                jobs.push(job);
            }
        }
        jobs.extend(self.delivery.queue.claim(&self.store, self.clock.now(), 100).await.unwrap());
        let worked = !jobs.is_empty();
        for job in jobs {
            match job.kind {
                Kind::FailOver => self.delivery.fail_over(job).await.unwrap(),
                Kind::FanOut => self.delivery.fan_out(job).await.unwrap(),
                Kind::Unreachable => self.hear(job).await,
                Kind::Withdraw => self.delivery.withdraw_more(job).await.unwrap(),
                other => panic!("nobody enqueued {other:?}"),
            }
        }
        worked
    }

    async fn hear(&self, job: Job) {
        self.unreachable.lock().unwrap().push(job.subject);
        self.store.write::<_, Error, _>(move |tx| Box::pin(async move { jobs::complete(tx, &job).await })).await.unwrap();
    }

    /// Turns the clock, stopping wherever something is due.
    pub(crate) async fn advance(&self, by: Duration) {
        let end = self.clock.now().after(by);
        loop {
            self.work().await;
            let attempt = self.delivery.next_due_of_all().await.unwrap();
            let job = jobs::next_due(&self.store).await.unwrap();
            let Some(due) = attempt.into_iter().chain(job).min().filter(|due| *due <= end) else { break };
            self.clock.advance(self.clock.now().until(due));
        }
        self.clock.advance(self.clock.now().until(end));
    }

    /// How many entries of a kind the journal has.
    pub(crate) async fn recorded(&self, kind: &'static str) -> i64 {
        let count = "select count(*) from journal where kind = $1";
        self.store.read::<_, Error, _>(move |db| Box::pin(async move { db.query(count).bind(kind).one().await })).await.unwrap()
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        self.store.read::<_, Error, _>(move |db| Box::pin(async move { db.query(sql).one().await })).await.unwrap()
    }
}

/// A delivery with these carriers, and its worker's end.
pub(crate) fn delivery(store: &Store, clock: &Clock, master: MasterKey, carriers: Carriers) -> (Delivery, Handoff) {
    let (queue, handoff) = Queue::new(clock.clone(), LEASE);
    let delivery = Delivery {
        store: store.clone(),
        clock: clock.clone(),
        journal: Journal::default(),
        queue,
        carriers,
        issuer: "https://phoneops.example.com".parse().unwrap(),
        patience: PATIENCE,
        privacy: Privacy::default(),
        capabilities: Capabilities::new(&master),
        signals: Signals::default(),
        circuits: Circuits::default(),
        master,
    };
    (delivery, handoff)
}

/// How a device is reached by `channel`.
pub(crate) fn registration(channel: Channel) -> Registration {
    // RFC 8291, appendix A.
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let written: Value = match channel {
        Channel::Apns => json!({"kind": "apns", "token": "ab".repeat(32)}),
        Channel::Fcm => json!({"kind": "fcm", "installation": {"fid": "cNcqEYGCQ9WhIM5JCxcBbz"}}),
        Channel::WebPush => {
            let keys = json!({"p256dh": p256dh, "auth": b64u([7; 16])});
            json!({"kind": "web_push", "endpoint": "https://push.example.com/secret", "keys": keys})
        }
        Channel::Mail => panic!("a device is not reached by e-mail"),
    };
    serde_json::from_value(written).unwrap()
}

/// A page about `subject` that rings for a minute.
pub(crate) fn page(user: UserId, now: Timestamp) -> Notice {
    let subject = IncidentId::new(now).0;
    Notice {
        user,
        subject,
        round: 1,
        content: Content {
            category: Category::Page,
            high: true,
            words: Words { title: "All your apps are down".into(), body: "Page PIHXOC6 from heimdall".into() },
            full: None,
            path: "/i/PIHXOC6".into(),
            subject: format!("inc_{}", subject.simple()),
            reference: Some("PIHXOC6".into()),
        },
        expires_at: now.after(Duration::from_secs(60)),
        replaces: None,
    }
}

/// The same, that wakes nobody.
pub(crate) fn news(user: UserId, now: Timestamp) -> Notice {
    let mut notice = page(user, now);
    (notice.content.high, notice.content.category) = (false, Category::Outcome);
    notice
}

/// Members of what was shown, by which they are told apart.
pub(crate) fn tags(given: &[(Message, Target)]) -> BTreeMap<String, usize> {
    let mut tags = BTreeMap::new();
    for (message, _) in given {
        *tags.entry(message.tag.clone()).or_default() += 1;
    }
    tags
}

/// Everything of a message that a carrier could write to its provider.
pub(crate) fn bytes(message: &Message) -> String {
    json!({
        "title": message.title, "body": message.body, "navigate": message.navigate, "tag": message.tag, "thread": message.thread,
        "kind": message.category.as_str(), "data": message.data,
    })
    .to_string()
}
