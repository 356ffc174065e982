//! The README's figures: both loops against a real server, beside the limits of what lies below it.
//!
//! ```text
//! cargo bench --bench loops -- --seconds 10 --engine all --json
//! ```
//!
//! The server is this program again, as a child process (`server`): its memory and processor time are then its own, and it has
//! a runtime and an allocator of its own, as in production. The people, the bot and the simulated push service are here; what
//! they cost is measured and shown too, since on one machine they compete with the server for its processors.
//!
//! **Invariants**
//! - Nothing is prepared that a phone or a bot would do in the loop: every call is signed for itself, every answer by its passkey.
//! - A loop that fails ends the run: there is no figure for work that was not done.
//! - Every section shows the machine's load average, without which a figure says little.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

mod idle;
mod listeners;
mod load;
mod loops;
mod pages;
mod policy;
mod process;
mod push;
mod raw;
mod report;
mod restart;
mod server;
mod start;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use report::Report;
use world::World;

/// Why a run ends early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures PhoneOps on this machine.
#[derive(Parser)]
struct Options {
    /// Seconds of each load.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before each load that are not counted.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// People, and clients of the closed loops.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Loops per second of the open loops.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Pages per second of the push section.
    #[arg(long, default_value_t = 50)]
    push_rate: u32,
    /// Pages per second of the pages section, one after another.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    rates: Vec<u32>,
    /// Long polls of the idle section.
    #[arg(long, default_value_t = 10_000)]
    polls: usize,
    /// Listeners of the listeners section; each takes a file descriptor here and one in the server (`ulimit -n`).
    #[arg(long, default_value_t = 20_000)]
    listeners: usize,
    /// Timers of the restart section.
    #[arg(long, default_value_t = 1_000_000)]
    timers: u32,
    /// On which database; `PostgreSQL` is at `PHONEOPS_BENCH_POSTGRES`, in a database that is made for the run.
    #[arg(long, value_enum, default_value_t = On::All)]
    engine: On,
    /// Which sections; all when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// The disk and the engine below the server.
    Raw,
    /// Start, memory, size.
    Start,
    /// Ask, challenge, answer, redeem.
    Approve,
    /// Page, acknowledge, resolve.
    Page,
    /// From trigger to push service.
    Push,
    /// The same at several rates, alone and while another carrier hangs.
    Pages,
    /// A restart with a million timers.
    Restart,
    /// Which policy rules; two of three people sign.
    Policy,
    /// Long polls that wait.
    Idle,
    /// Event streams that are listened to.
    Listeners,
}

impl Options {
    fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    fn span(&self) -> load::Span {
        load::Span { warm_up: Duration::from_secs(self.warm_up), counted: Duration::from_secs(self.seconds) }
    }
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
            eprintln!("loops: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options, report: &mut Report) -> Result<(), Failure> {
    if options.wants(Section::Raw) {
        raw::disk(report)?;
        raw::processor(report)?;
    }
    if options.wants(Section::Policy) {
        policy::matching(report)?;
    }
    if options.wants(Section::Start) {
        start::measure(report).await?;
    }
    if options.engine != On::Postgres {
        on_engine(options, None, report).await?;
    }
    if options.engine == On::Sqlite {
        return Ok(());
    }
    let Ok(url) = std::env::var("PHONEOPS_BENCH_POSTGRES") else {
        report.note("PostgreSQL", "skipped: PHONEOPS_BENCH_POSTGRES is not set");
        return Ok(());
    };
    let database = world::Database::create(&url).await?;
    let done = on_engine(options, Some(&database), report).await;
    database.remove().await?;
    done
}

async fn on_engine(options: &Options, database: Option<&world::Database>, report: &mut Report) -> Result<(), Failure> {
    let engine = if database.is_some() { "PostgreSQL" } else { "SQLite" };
    if options.wants(Section::Raw) {
        raw::engine(engine, database, options, report).await?;
    }
    let of_people = [Section::Approve, Section::Page, Section::Push, Section::Policy];
    if of_people.into_iter().any(|section| options.wants(section)) {
        with_people(engine, database, options, report).await?;
    }
    if options.wants(Section::Pages) {
        pages::measure(engine, database, options, report).await?;
    }
    // Last on PostgreSQL, where the sections share a database: it makes a million rows.
    if options.wants(Section::Restart) {
        restart::measure(engine, database, options, report).await?;
    }
    if options.wants(Section::Idle) && database.is_none() {
        idle::measure(options.polls, report).await?;
    }
    if options.wants(Section::Listeners) && database.is_none() {
        listeners::measure(options.listeners, report).await?;
    }
    Ok(())
}

async fn with_people(
    engine: &str,
    database: Option<&world::Database>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    let each = if options.wants(Section::Policy) { policy::Trios::SIZE } else { 1 };
    let world = World::start(database, options.clients * each).await?;
    for (section, kind) in [(Section::Approve, loops::Kind::Approve), (Section::Page, loops::Kind::Page)] {
        if options.wants(section) {
            loops::measure(engine, &world, &kind, options, report).await?;
        }
    }
    if options.wants(Section::Push) {
        push::measure(engine, &world, options, report).await?;
    }
    // Last, because the other loops ask for what no policy allows.
    if options.wants(Section::Policy) {
        let trios = policy::Trios::rule(&world).await?;
        loops::measure(engine, &world, &loops::Kind::Quorum(trios), options, report).await?;
    }
    world.stop().await
}
