//! The durable pipeline's figures: one notification to very many devices, attempt rows and outcomes included, and single urgent pages
//! meanwhile. The carrier does nothing, so that what is measured is everything around it.
//!
//! ```text
//! cargo bench --bench herd -- --devices 100000
//! cargo bench --bench herd -- --devices 100000 --database postgres://…/an_empty_database
//! ```
//!
//! **Invariants**
//! - A run counts as over when every outcome is recorded, not when the last push was handed over.
//! - The rooms are the server's own, and so is the disk: every commit is synced.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

#[path = "../../tests/stories/delivery/house.rs"]
mod house;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::BoxFuture;
use phoneops::clock::{Clock, Timestamp};
use phoneops::db::{Options as Database, Store};
use phoneops::delivery::Channel;
use phoneops::engine::Lanes;
use phoneops::push::{Carrier, Message, Outcome, Target};
use phoneops::secret::Secret;

use house::{House, news, page};

/// Measures how fast pushes leave the house.
#[derive(Parser)]
struct Options {
    /// Devices of the herd.
    #[arg(long, default_value_t = 100_000)]
    devices: usize,
    /// Milliseconds between urgent pages.
    #[arg(long, default_value_t = 40)]
    urgent_every_ms: u64,
    /// An empty `PostgreSQL` database; SQLite in a temporary directory when absent.
    #[arg(long)]
    database: Option<String>,
    /// Given by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Takes everything at once, and remembers when it had what is urgent.
#[derive(Default)]
struct Null {
    taken: AtomicUsize,
    urgent: Mutex<HashMap<String, Instant>>,
}

impl Carrier for Null {
    fn name(&self) -> &'static str {
        "null"
    }

    fn send<'a>(&'a self, message: &'a Message, _: &'a Target, _: Timestamp) -> BoxFuture<'a, Outcome> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        if message.urgency == phoneops::push::Urgency::High {
            let mut urgent = self.urgent.lock().expect("nothing panics while holding it");
            // The first time: nobody says that it came, so after a while it rings again, louder.
            urgent.entry(message.thread.clone()).or_insert_with(Instant::now);
        }
        Box::pin(std::future::ready(Outcome::Accepted { id: None }))
    }
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = match &options.database {
        Some(url) => Database::Pg { url: Secret::new(url.clone()), connections: 16 },
        None => Database::Lite { path: directory.path().join("herd.sqlite") },
    };
    let store = Store::open(&database).await.expect("the database opens");
    let mut house = House::new(store, Clock::system());
    let null = Arc::new(Null::default());
    house.delivery.carriers.web_push = null.clone();
    let house = Arc::new(house);
    let (crowd, one) = (house.person(None).await, house.person(None).await);
    house.devices(crowd, Channel::WebPush, options.devices).await;
    house.devices(one, Channel::WebPush, 1).await;
    let (over, lanes) = (Arc::new(AtomicBool::new(false)), Lanes::start(house.delivery.clone()));
    let working = tokio::spawn(jobs(house.clone(), over.clone()));

    let began = Instant::now();
    house.tell(news(crowd, house.clock.now())).await;
    let urgent = tokio::spawn(urgent(house.clone(), one, over.clone(), Duration::from_millis(options.urgent_every_ms)));
    let accepted = "select count(*) from attempts where state = 'accepted' and urgency = 'normal'";
    // Counting rows is work for the database: not before there is something to find.
    while null.taken.load(Ordering::Relaxed) < options.devices {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while house.number(accepted).await < i64::try_from(options.devices).expect("a count") {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let took = began.elapsed();
    over.store(true, Ordering::SeqCst);
    let asked = urgent.await.expect("the urgent pages were told");
    working.await.expect("the jobs were done");
    lanes.stop().await;

    let given = null.urgent.lock().expect("nothing panics while holding it").clone();
    let mut waits: Vec<_> = asked.iter().filter_map(|(thread, at)| Some(given.get(thread)?.duration_since(*at))).collect();
    waits.sort();
    let at = |percent: usize| {
        waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64) * 1000.0
    };
    println!("devices           {}", options.devices);
    println!("time to last      {:.2} s", took.as_secs_f64());
    println!("pushes/s, durable {:.0}", options.devices as f64 / took.as_secs_f64());
    println!("sent              {}", null.taken.load(Ordering::Relaxed));
    println!("urgent meanwhile  {} of {}: p50 {:.1} ms, p99 {:.1} ms", waits.len(), asked.len(), at(50), at(99));
    println!("memory            {:.0} MB", memory_mb());
}

/// Does the jobs, as the engine would.
async fn jobs(house: Arc<House>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        if !house.jobs().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A page to one phone every so often: when each was asked for.
async fn urgent(house: Arc<House>, user: phoneops::id::UserId, over: Arc<AtomicBool>, every: Duration) -> Vec<(String, Instant)> {
    let mut asked = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let notice = page(user, house.clock.now());
        asked.push((notice.content.subject.clone(), Instant::now()));
        house.tell(notice).await;
        tokio::time::sleep(every).await;
    }
    asked
}

/// The resident memory of this process.
fn memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: f64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
    kilobytes / 1024.0
}
