//! From a trigger to the push service: how long until the phone's provider has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phoneops::clock::Timestamp;
use serde_json::json;

use crate::load::{self, Times};
use crate::report::Report;
use crate::world::World;
use crate::{Failure, Options};

/// When a page was sent, and when its reply was there.
type Marks = Arc<Mutex<HashMap<String, (Timestamp, Timestamp)>>>;

/// Pages at a rate; each is resolved at once so that it rings once.
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
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(title, (sent, clock.now()));
            tokio::time::sleep(Duration::from_millis(200)).await;
            person.phone.resolve(paged.body["ref"].as_str().ok_or("a page without a reference")?).await?;
            Ok(laps)
        }
    };
    let pages = load::open(options.clients, rate, options.span(), Arc::new(|| ()), one).await?;
    world.server.quiet().await?;
    let marks = std::mem::take(&mut *marks.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut from_reply, mut from_request, mut early) = (Times::default(), Times::default(), 0);
    for entry in world.push_service.journal() {
        let Some((sent, replied)) = entry.title.as_deref().and_then(|title| marks.get(title)) else { continue };
        // The push is not held back for the reply and often overtakes it, which counts as no time at all.
        early += u32::from(entry.at < *replied);
        from_reply.push(if entry.at < *replied { Duration::ZERO } else { replied.until(entry.at) });
        from_request.push(sent.until(entry.at));
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
