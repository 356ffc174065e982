//! What is said in chat: signed calls of ChatOps RPC at a rate, a mix as rooms have it, and whether any of what was said is lost.
//!
//! ```text
//! cargo bench --bench chat -- --rate 500 --seconds 60
//! ```
//!
//! The server is this program again, as in `loops`, whose modules these are.
//!
//! **Invariants**
//! - Each call is signed for itself with the bot's RSA key, by somebody who is linked; what signing costs is paid here, on the same machine.
//! - A reply that does not say what must come of its line ends the run: a page that is not taken, an incident that does not end.
//! - Afterwards everything is looked for where it must be: no incident but the shared ones is open, and each note that was taken stands once in
//!   the timeline of the incident that all wrote to at the same time.
//! - Conversations begin at the rate, whatever becomes of those before; a line's time runs from when it is said until its reply is read.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

#[allow(dead_code, reason = "`loops` uses all of it")]
#[path = "../loops/load.rs"]
mod load;
#[allow(dead_code, reason = "`loops` uses all of it")]
#[path = "../loops/process.rs"]
mod process;
#[allow(dead_code, reason = "`loops` uses all of it")]
#[path = "../loops/report.rs"]
mod report;
mod room;
#[allow(dead_code, reason = "`loops` uses all of it")]
#[path = "../loops/server.rs"]
mod server;
#[allow(dead_code, reason = "`loops` uses all of it")]
#[path = "../loops/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::Value;

use load::{Laps, Meter, Span, Times};
use report::Report;
use room::Room;
use world::{Database, World};

/// Why a run ends early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures chat.
#[derive(Parser)]
struct Options {
    /// Lines a second.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds that are counted.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds before that are not.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// People, each with a room.
    #[arg(long, default_value_t = 64)]
    people: usize,
    /// On which database; `PostgreSQL` is at `PHONEOPS_BENCH_POSTGRES`, in a database that is made for the run.
    #[arg(long, value_enum, default_value_t = On::All)]
    engine: On,
    /// Print JSON in place of the table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    Sqlite,
    Postgres,
    All,
}

fn main() -> ExitCode {
    if server::is_child() {
        return server::run();
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut report = Report::default();
    let done = runtime.block_on(measure(&options, &mut report));
    if options.json {
        println!("{:#}", report.to_json());
    } else {
        println!("{report}");
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chat: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options, report: &mut Report) -> Result<(), Failure> {
    if options.engine != On::Postgres {
        on_engine("SQLite", None, options, report).await?;
    }
    if options.engine == On::Sqlite {
        return Ok(());
    }
    let Ok(url) = std::env::var("PHONEOPS_BENCH_POSTGRES") else {
        report.note("PostgreSQL", "skipped: PHONEOPS_BENCH_POSTGRES is not set");
        return Ok(());
    };
    let database = Database::create(&url).await?;
    let done = on_engine("PostgreSQL", Some(&database), options, report).await;
    database.remove().await?;
    done
}

/// What reads the processor time that the server has used, and what it has read.
fn meter(server: u32) -> (Meter, Arc<Mutex<Vec<Duration>>>) {
    let readings = Arc::new(Mutex::new(Vec::new()));
    let kept = readings.clone();
    let read = move || kept.lock().unwrap_or_else(PoisonError::into_inner).extend(process::cpu(server));
    (Arc::new(read), readings)
}

/// Lines of a conversation.
const LINES: u32 = 10;

async fn on_engine(engine: &str, database: Option<&Database>, options: &Options, report: &mut Report) -> Result<(), Failure> {
    let world = World::start(database, options.people).await?;
    let room = Arc::new(Room::open(&world).await?);
    // The one incident that everybody writes to at the same time.
    let shared = room.page_everybody().await?;
    let (talk, notes) = (room.clone(), Arc::new(AtomicU64::new(0)));
    let (incident, written) = (shared.clone(), notes.clone());
    let span = Span { warm_up: Duration::from_secs(options.warm_up), counted: Duration::from_secs(options.seconds) };
    report.section(format!("{engine}: {} lines a second for {} s, {} people", options.rate, options.seconds, options.people));
    let (meter, readings) = meter(world.server.pid());
    let rate = (options.rate / LINES).max(1);
    let mut samples = load::open(options.people, rate, span, meter, move |who, laps| {
        let (room, shared, notes) = (talk.clone(), incident.clone(), written.clone());
        async move { conversation(&room, who, &shared, &notes, laps).await }
    })
    .await?;
    let used = match readings.lock().unwrap_or_else(PoisonError::into_inner)[..] {
        [from, until] => until.saturating_sub(from),
        _ => return Err("the processor time is not known".into()),
    };
    let lost = lost(&world, &shared, notes.load(Ordering::SeqCst)).await?;

    let mut all = Times::default();
    for (_, times) in samples.in_order() {
        all.extend(times);
    }
    report.add("lines answered a second", all.count() as f64 / span.counted.as_secs_f64(), "");
    report.times("to the reply, all lines", &mut all);
    for (name, times) in samples.in_order() {
        report.times(&format!("  {name}"), times);
    }
    let lines = (samples.ended * LINES as usize).max(1);
    report.add("processor time of the server a line", used.as_secs_f64() * 1e3 / lines as f64, "ms");
    report.add("notes on one incident by all of them", notes.load(Ordering::SeqCst) as f64, "");
    report.add("lost updates", lost as f64, "");
    world.stop().await?;
    if lost > 0 { Err(format!("{lost} updates are lost").into()) } else { Ok(()) }
}

/// What is said about an incident from its beginning to its end, and about a deployment that is thought better of.
async fn conversation(room: &Room, who: usize, shared: &str, notes: &AtomicU64, mut laps: Laps) -> Result<Laps, Failure> {
    let incident = room.page(who).await?;
    laps.lap("page");
    room.says(who, &format!("incident {incident}"), &incident).await?;
    laps.lap("incident");
    room.says(who, &format!("ack {incident}"), &format!("Incident {incident} acknowledged")).await?;
    laps.lap("ack");
    room.says(who, &format!("note {incident} restarted it"), &incident).await?;
    laps.lap("note");
    let number = notes.fetch_add(1, Ordering::SeqCst);
    room.says(who, &format!("note {shared} note number {number}."), shared).await?;
    laps.lap("note, all on one incident");
    room.says(who, "who's on call", "").await?;
    laps.lap("who's on call");
    let asked = room.says(who, "deploy api/new_auth to production", " request ").await?;
    let request = asked.split_once(" request ").and_then(|(_, rest)| rest.get(..4)).ok_or("a request without a tag")?.to_owned();
    laps.lap("deploy");
    room.says(who, &format!("request {request}"), &request).await?;
    laps.lap("request");
    room.says(who, &format!("cancel {request}"), "was cancelled").await?;
    laps.lap("cancel");
    room.says(who, &format!("resolve {incident}"), &format!("Incident {incident} resolved")).await?;
    laps.lap("resolve");
    Ok(laps)
}

/// How much of what was taken is not where it must be.
async fn lost(world: &World, shared: &str, notes: u64) -> Result<u64, Failure> {
    let mut seen = BTreeSet::new();
    let mut twice = 0;
    let mut cursor = String::new();
    loop {
        let page = world.bot.get(&format!("/v1/incidents/{shared}/timeline?limit=500{cursor}")).await?.body;
        for line in page["lines"].as_array().ok_or("no lines")? {
            let text = line["text"].as_str().unwrap_or_default();
            let Some((_, number)) = text.split_once("note number ") else { continue };
            let number: u64 = number.split('.').next().unwrap_or_default().parse()?;
            twice += u64::from(!seen.insert(number));
        }
        let Some(next) = page.get("next").filter(|next| !next.is_null()) else { break };
        cursor = format!("&cursor={}", next.as_str().map_or_else(|| next.to_string(), str::to_owned));
    }
    let open = world.bot.get("/v1/incidents").await?.body;
    let open: Vec<_> = open["incidents"].as_array().ok_or("no incidents")?.iter().filter(|one| is_open(one, shared)).collect();
    for incident in &open {
        eprintln!("still open: {incident}");
    }
    let missing = (0..notes).filter(|number| !seen.contains(number)).count();
    Ok(u64::try_from(missing + open.len())? + twice)
}

fn is_open(incident: &Value, shared: &str) -> bool {
    incident["state"] != "resolved" && incident["ref"] != shared
}
