//! A storm: very many alerts of one group, by HTTP, each durable before its 202, folded into one incident.
//!
//! ```text
//! cargo bench --bench alerts -- --alerts 50000
//! cargo bench --bench alerts -- --alerts 50000 --database postgres://…/an_empty_database
//! ```
//!
//! **Invariants**
//! - Every alert has a key of its own, so that each is a row, an update of the incident and an entry of the journal.
//! - An alert that is not taken, or a second incident, ends the run.
//! - The server is whole, and so is the disk: every commit is synced. Whoever sends shares its processors.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use phoneops::client::Client;
use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::server::Server;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Measures how fast alerts of one group are taken.
#[derive(Parser)]
struct Options {
    /// Alerts of the storm.
    #[arg(long, default_value_t = 50_000)]
    alerts: usize,
    /// Connections that send them.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// An empty `PostgreSQL` database; SQLite in a temporary directory when absent.
    #[arg(long)]
    database: Option<String>,
    /// Given by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut settings = vec![
        ("PHONEOPS_PUBLIC_URL".to_owned(), format!("http://localhost:{}", address.port())),
        ("PHONEOPS_DATA_DIR".to_owned(), directory.path().display().to_string()),
    ];
    settings.extend(options.database.clone().map(|url| ("PHONEOPS_DATABASE_URL".to_owned(), url)));
    let config = Config::load(None, settings).expect("the settings are valid");
    let server = Server::start(&config, Clock::system(), listener, None).await.expect("the server starts");
    let operator = Client::local(server.socket()).expect("a client");
    let key = service(&operator).await;

    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients: Vec<_> =
        (0..options.clients).map(|_| tokio::spawn(send(address, key.clone(), next.clone(), options.alerts))).collect();
    let mut waits = Vec::with_capacity(options.alerts);
    for client in clients {
        waits.extend(client.await.expect("every alert is taken"));
    }
    let took = began.elapsed();
    let open = operator.get("/v1/services/api").await.expect("the service").body["open_incidents"].clone();
    server.stop().await;
    assert_eq!(open, json!(1), "one incident of all of them");
    waits.sort();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_secs_f64() * 1000.0;
    println!("alerts            {}", waits.len());
    println!("time to last 202  {:.2} s", took.as_secs_f64());
    println!("alerts/s, durable {:.0}", waits.len() as f64 / took.as_secs_f64());
    println!("wait for the 202  p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
    println!("incidents         {open}");
}

/// A service that makes one incident of all its alerts; its key.
async fn service(operator: &Client) -> String {
    operator.post("/v1/teams", &json!({"name": "api"})).await.expect("a team");
    let service = json!({"name": "api", "team": "api", "settings": {"group_by": []}});
    operator.post("/v1/services", &service).await.expect("a service");
    let made = operator.post("/v1/services/api/integrations", &json!({"name": "storm", "kind": "events"})).await;
    made.expect("an integration").body["key"].as_str().expect("a key").to_owned()
}

/// One connection: an alert after the other, until there are enough; how long each took.
async fn send(address: std::net::SocketAddr, key: String, next: Arc<AtomicUsize>, alerts: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the server answers");
    stream.set_nodelay(true).expect("an option of the socket");
    let mut waits = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= alerts {
            return waits;
        }
        let body = json!({"routing_key": key, "event_action": "trigger", "dedup_key": format!("host-{number}"),
            "payload": {"summary": format!("host-{number} is down"), "source": format!("host-{number}"), "severity": "critical",
                "custom_details": {"env": "prod", "rack": number % 40}}})
        .to_string();
        let head = format!(
            "POST /v2/enqueue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let began = Instant::now();
        stream.write_all(format!("{head}{body}").as_bytes()).await.expect("the server listens");
        let reply = reply(&mut stream).await;
        assert!(reply.starts_with("HTTP/1.1 202 "), "{reply}");
        waits.push(began.elapsed());
    }
}

/// A whole reply with a length.
async fn reply(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.expect("a reply");
        assert!(count > 0, "the server closed the connection");
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.expect("a length") {
            return text.into_owned();
        }
    }
}
