//! The two loops, call by call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{self, Laps, Samples};
use crate::policy::Trios;
use crate::report::{Report, millis};
use crate::world::{Person, World};
use crate::{Failure, Options, process};
use phoneops::client::Client;

/// Which loop.
#[derive(Clone)]
pub(crate) enum Kind {
    Approve,
    Page,
    /// Approve, where two of three people have to sign.
    Quorum(Arc<Trios>),
}

impl Kind {
    fn title(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Page => "page",
            Self::Quorum(_) => "approve by two of three",
        }
    }

    /// At half the rate two people sign as often as one does.
    fn rate(&self, rate: u32) -> u32 {
        match self {
            Self::Approve | Self::Page => rate,
            Self::Quorum(_) => rate.div_ceil(2),
        }
    }
}

/// Measures one loop, closed and open.
pub(crate) async fn measure(
    engine: &str,
    world: &World,
    kind: &Kind,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    for rate in [None, Some(kind.rate(options.rate))] {
        let pace = rate.map_or_else(|| format!("{} clients", options.clients), |rate| format!("{rate} loops/s"));
        report.section(format!("{engine}: {} loop, {pace}", kind.title()));
        run(world, kind, rate, options, report).await?;
        world.server.quiet().await?;
    }
    Ok(())
}

async fn run(world: &World, kind: &Kind, rate: Option<u32>, options: &Options, report: &mut Report) -> Result<(), Failure> {
    let (people, bot, kind) = (world.people.clone(), world.bot.clone(), kind.clone());
    let one = move |client: usize, laps: Laps| {
        let (people, bot, kind) = (people.clone(), bot.clone(), kind.clone());
        async move {
            let person = &people[client % people.len()];
            match kind {
                Kind::Approve => approve(person, &bot, laps).await,
                Kind::Page => page(person, &bot, laps).await,
                Kind::Quorum(trios) => trios.approve(client, &bot, laps).await,
            }
        }
    };
    let readings: Arc<Mutex<Vec<Result<Cpu, Failure>>>> = Arc::default();
    let (into, pid) = (readings.clone(), world.server.pid());
    let meter = Arc::new(move || into.lock().unwrap_or_else(PoisonError::into_inner).push(Cpu::now(pid)));
    let pushes = world.pushes();
    let mut samples = match rate {
        None => load::closed(options.clients, options.span(), meter, one).await?,
        Some(rate) => load::open(options.clients, rate, options.span(), meter, one).await?,
    };
    let mut readings = std::mem::take(&mut *readings.lock().unwrap_or_else(PoisonError::into_inner)).into_iter();
    let (Some(first), Some(last)) = (readings.next(), readings.next()) else { return Err("the warm-up was not over".into()) };
    describe(&mut samples, &first?.until(&last?), report);
    report.add("pushes the push service met, warm-up included", (world.pushes() - pushes) as f64, "pushes");
    report.add("server memory", world.server.resident()? as f64 / 1e6, "MB");
    Ok(())
}

fn describe(samples: &mut Samples, spent: &Cpu, report: &mut Report) {
    let loops = samples.ended as f64;
    report.add("loops", loops / samples.metered.as_secs_f64(), "loops/s");
    report.times("whole loop", &mut samples.whole);
    for (name, times) in samples.in_order() {
        report.times(name, times);
    }
    report.add("server's processor time", millis(spent.server) / loops, "ms/loop");
    report.add("load generator's and push service's processor time", millis(spent.generator) / loops, "ms/loop");
    report.add("loops for each processor the server has to itself", loops / spent.server.as_secs_f64(), "loops/s");
}

/// Processor time of both sides.
struct Cpu {
    server: Duration,
    generator: Duration,
}

impl Cpu {
    fn now(server: u32) -> Result<Self, Failure> {
        Ok(Self { server: process::cpu(server)?, generator: process::cpu(std::process::id())? })
    }

    fn until(&self, later: &Self) -> Self {
        Self { server: later.server.saturating_sub(self.server), generator: later.generator.saturating_sub(self.generator) }
    }
}

/// Asked, shown, challenged, signed, answered, collected, redeemed: seven laps, six calls.
async fn approve(person: &Person, bot: &Client, mut laps: Laps) -> Result<Laps, Failure> {
    let action = json!({"type": "deploy", "target": "production", "params": {"app": "api", "ref": "new_auth"}});
    let asked = bot.post("/v1/approvals", &json!({"action": action, "requester": person.handle})).await?;
    laps.lap("POST /v1/approvals");
    let path = format!("/v1/approvals/{}", text(&asked.body["id"])?);
    let answered = sign(person, &path, &mut laps).await?;
    let collected = bot.get(&path).await?;
    laps.lap("GET /v1/approvals/{id}, bot");
    bot.post("/v1/grants/redeem", &json!({"grant": text(&collected.body["grant"])?, "action": action})).await?;
    laps.lap("POST /v1/grants/redeem");
    if answered["state"] == "approved" { Ok(laps) } else { Err(format!("not approved: {answered}").into()) }
}

/// Shown, challenged, signed, answered; the approval as it then is.
pub(crate) async fn sign(person: &Person, path: &str, laps: &mut Laps) -> Result<Value, Failure> {
    person.phone.get(path).await?.accepted()?;
    laps.lap("GET /v1/approvals/{id}, phone");
    let challenge = person.phone.post(&format!("{path}/challenge"), &json!({"verdict": "approve"})).await?.accepted()?;
    laps.lap("POST …/challenge");
    let credential = person.phone.use_passkey(&challenge["public_key"])?;
    laps.lap("(the phone signs)");
    let answer = json!({"challenge": challenge["challenge"], "credential": credential});
    let answered = person.phone.post(&format!("{path}/answers"), &answer).await?.accepted()?;
    laps.lap("POST …/answers");
    Ok(answered)
}

/// Paged, acknowledged, resolved.
async fn page(person: &Person, bot: &Client, mut laps: Laps) -> Result<Laps, Failure> {
    let paged = bot.post("/v1/incidents", &json!({"title": "All your apps are down", "to": [person.handle]})).await?;
    laps.lap("POST /v1/incidents");
    let reference = text(&paged.body["ref"])?;
    person.phone.acknowledge(reference).await?;
    laps.lap("POST …/acknowledge");
    let resolved = person.phone.resolve(reference).await?;
    laps.lap("POST …/resolve");
    if resolved["state"] == "resolved" { Ok(laps) } else { Err(format!("not resolved: {resolved}").into()) }
}

pub(crate) fn text(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| format!("expected a text, got {value}").into())
}
