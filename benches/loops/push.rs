//! From a trigger to the push service: how long until the phone's provider has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use phoneops::clock::Timestamp;
use phoneops::sim::push_service::PushService;
use serde_json::json;

use crate::load::{self, Times};
use crate::report::Report;
use crate::world::World;
use crate::{Failure, Options};

/// A page: its incident, when it was sent, and when its reply was there.
struct Mark {
    reference: String,
    handle: String,
    sent: Timestamp,
    replied: Timestamp,
}

/// The pages, by their titles.
type Marks = Arc<Mutex<HashMap<String, Mark>>>;

/// When the push of each page arrived, by its title. The push service remembers the newest only.
#[derive(Default)]
struct Arrived(Mutex<HashMap<String, Timestamp>>);

impl Arrived {
    fn read(&self, push_service: &PushService) {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in push_service.journal() {
            if let Some(title) = entry.title {
                arrived.entry(title).or_insert(entry.at);
            }
        }
    }
}

/// How often what arrived is read, in which a push service that remembers 10,000 must not forget any.
const READ_EVERY: Duration = Duration::from_millis(500);

/// How many are resolved at once when all have left.
const RESOLVED_AT_ONCE: usize = 32;

/// Pages at a rate. They are resolved when all have left, before they ring again: what is resolved sooner does not ring at all.
pub(crate) async fn measure(engine: &str, world: &World, options: &Options, report: &mut Report) -> Result<(), Failure> {
    at_rate(engine, world, options.push_rate, options, report).await
}

/// As [`measure`], so many a second.
pub(crate) async fn at_rate(
    engine: &str,
    world: &World,
    rate: u32,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    report.section(format!("{engine}: trigger to push service, {rate} pages/s"));
    let marks = Marks::default();
    let (people, bot, clock, seen) = (world.people.clone(), world.bot.clone(), world.clock.clone(), marks.clone());
    let one = move |client: usize, laps: load::Laps| {
        let (people, bot, clock, seen) = (people.clone(), bot.clone(), clock.clone(), seen.clone());
        async move {
            let person = &people[client % people.len()];
            let sent = clock.now();
            let title = format!("Page at {}", sent.as_micros());
            let paged = bot.post("/v1/incidents", &json!({"title": title, "to": [person.handle]})).await?;
            let reference = paged.body["ref"].as_str().ok_or("a page without a reference")?.to_owned();
            let mark = Mark { reference, handle: person.handle.clone(), sent, replied: clock.now() };
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(title, mark);
            Ok(laps)
        }
    };
    let arrived = Arc::new(Arrived::default());
    // A task of its own, which nobody's load keeps from reading; until the last has arrived, and the louder rings after it have not yet
    // pushed the first out of what the push service remembers.
    let reading = {
        let (arrived, push_service) = (arrived.clone(), world.push_service.clone());
        tokio::spawn(async move {
            loop {
                arrived.read(&push_service);
                tokio::time::sleep(READ_EVERY).await;
            }
        })
    };
    let pages = load::open(options.clients, rate, options.span(), Arc::new(|| ()), one).await;
    let quiet = world.server.quiet().await;
    reading.abort();
    arrived.read(&world.push_service);
    let (pages, ()) = (pages?, quiet?);
    let arrived = std::mem::take(&mut *arrived.0.lock().unwrap_or_else(PoisonError::into_inner));
    let marks = std::mem::take(&mut *marks.lock().unwrap_or_else(PoisonError::into_inner));
    resolve(world, &marks).await?;
    let (mut from_reply, mut from_request, mut early) = (Times::default(), Times::default(), 0);
    for (title, at) in &arrived {
        let Some(Mark { sent, replied, .. }) = marks.get(title) else { continue };
        // The push is not held back for the reply and often overtakes it, which counts as no time at all.
        early += u32::from(at < replied);
        from_reply.push(if at < replied { Duration::ZERO } else { replied.until(*at) });
        from_request.push(sent.until(*at));
    }
    if from_reply.count() < marks.len() {
        return Err(format!("of {} pages only {} reached the push service", marks.len(), from_reply.count()).into());
    }
    report.add("pages counted", pages.whole.count() as f64, "pages");
    report.times("from the request to the push service's answer", &mut from_request);
    report.times("from the reply to the push service's answer", &mut from_reply);
    report.add("pushes that overtook the reply", 100.0 * f64::from(early) / from_reply.count() as f64, "%");
    Ok(())
}

async fn resolve(world: &World, marks: &HashMap<String, Mark>) -> Result<(), Failure> {
    let resolved = futures_util::stream::iter(marks.values().map(|mark| {
        let body = json!({"actor": mark.handle});
        async move { world.bot.post(&format!("/v1/incidents/{}/resolve", mark.reference), &body).await }
    }));
    resolved.buffer_unordered(RESOLVED_AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}
