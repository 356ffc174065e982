//! What it costs to know who is on call: calculated, and asked of a server.
//!
//! ```text
//! cargo bench --bench on_call -- --schedules 1000
//! cargo bench --bench on_call -- --database postgres://…/an_empty_database
//! ```
//!
//! **Invariants**
//! - The schedules are such as people have: a rotation of weeks, one of days for office hours above it, in zones whose clocks change.
//! - The server is the real one, in this process; it is asked through its own socket.

use std::time::{Duration, Instant};

use clap::Parser;
use phoneops::client::Client;
use phoneops::clock::{Clock, Timestamp};
use phoneops::config::Config;
use phoneops::oncall::{self, Schedule, Span};
use phoneops::server::Server;
use serde_json::{Value, json};

/// Measures who is on call.
#[derive(Parser)]
struct Options {
    /// How many schedules.
    #[arg(long, default_value_t = 1_000)]
    schedules: usize,
    /// How often each is asked.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// An empty `PostgreSQL` database; SQLite in a temporary directory when absent.
    #[arg(long)]
    database: Option<String>,
    /// Given by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

const ZONES: [&str; 4] = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
const PEOPLE: usize = 8;

fn written(number: usize) -> Value {
    let people = |from: usize| (0..4).map(|at| format!("@person-{}", (number + from + at) % PEOPLE)).collect::<Vec<_>>();
    let weeks = json!({"name": "weeks", "people": people(0), "shift": "1 week", "first": "2026-01-05T09:00"});
    let days = json!({"name": "days", "people": people(2), "shift": "1 day", "first": "2026-01-05T09:00",
        "hours": ["mon-fri 09:00-18:00"]});
    json!({"zone": ZONES[number % ZONES.len()], "layers": [weeks, days]})
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    calculated(&options);
    asked(&options).await;
}

/// Without storage or server.
fn calculated(options: &Options) {
    let schedule = |number| -> Schedule<String> {
        let body = written(number);
        let layers = serde_json::from_value(body["layers"].clone()).expect("layers");
        oncall::layered(body["zone"].as_str().expect("a zone"), layers).expect("a schedule")
    };
    let schedules: Vec<_> = (0..options.schedules).map(schedule).collect();
    let now = Clock::system().now();
    let week = Span::new(now, now.after(Duration::from_hours(24 * 7))).expect("a week");
    let rate = |what: &str, calculate: &dyn Fn(&Schedule<String>, Timestamp) -> usize| {
        let began = Instant::now();
        let mut found = 0;
        for round in 0..options.rounds {
            let at = now.after(Duration::from_mins(7) * u32::try_from(round).expect("a count"));
            found += schedules.iter().map(|schedule| calculate(schedule, at)).sum::<usize>();
        }
        let each = began.elapsed() / u32::try_from(options.rounds * schedules.len()).expect("a count");
        println!("{what:<44} {:>9.2} µs   ({found} found)", each.as_secs_f64() * 1e6);
    };
    rate("calculated: who is on call", &|schedule, at| usize::from(schedule.at(at) != oncall::Covered::Gap));
    rate("calculated: the shifts of seven days", &|schedule, _| schedule.shifts(week).len());
}

/// Of a server, one after the other.
async fn asked(options: &Options) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut variables = vec![
        ("PHONEOPS_PUBLIC_URL".to_owned(), format!("http://localhost:{}", address.port())),
        ("PHONEOPS_DATA_DIR".to_owned(), directory.path().display().to_string()),
    ];
    variables.extend(options.database.clone().map(|url| ("PHONEOPS_DATABASE_URL".to_owned(), url)));
    let config = Config::load(None, variables).expect("the settings are valid");
    let server = Server::start(&config, Clock::system(), listener, None).await.expect("the server starts");
    let operator = Client::local(server.socket()).expect("a client");
    for number in 0..PEOPLE {
        let user = json!({"handle": format!("person-{number}"), "name": format!("Person {number}")});
        operator.post("/v1/users", &user).await.expect("a user");
    }
    for number in 0..options.schedules {
        operator.put(&format!("/v1/schedules/schedule-{number}"), &written(number)).await.expect("a schedule");
    }
    let one = |round: usize| format!("/v1/on-call?schedule=schedule-{}", round % options.schedules);
    times(&operator, "asked: of one schedule", options.rounds * 50, one).await;
    times(&operator, &format!("asked: of all {}", options.schedules), options.rounds, |_| "/v1/on-call".into()).await;
    server.stop().await;
}

async fn times(client: &Client, what: &str, rounds: usize, path: impl Fn(usize) -> String) {
    let mut took = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let began = Instant::now();
        let reply = client.get(&path(round)).await.expect("an answer");
        took.push(began.elapsed());
        assert_eq!(reply.status, 200);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
    println!("{what:<44} p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
}
