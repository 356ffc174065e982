//! Listeners on event streams: what each costs, and how fast one event wakes them all.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::load::Times;
use crate::report::Report;
use crate::world::World;

/// How long all may take to hear.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens `listeners` streams over a connection each, and lets one thing happen.
pub(crate) async fn measure(listeners: usize, report: &mut Report) -> Result<(), Failure> {
    report.section(format!("SQLite: {listeners} listeners on event streams"));
    let world = World::start(None, 1).await?;
    world.server.quiet().await?;
    let before = world.server.resident()?;
    let began = Instant::now();
    let mut streams = Vec::with_capacity(listeners);
    for _ in 0..listeners {
        streams.push(listen(&world).await?);
    }
    let opened = began.elapsed();
    world.server.quiet().await?;
    let after = world.server.resident()?;
    report.add("opening them", opened.as_secs_f64(), "s");
    report.add("server memory with all of them", after as f64 / 1e6, "MB");
    report.add("each", after.saturating_sub(before) as f64 / 1024.0 / listeners as f64, "KiB");
    let mut times = wake(&world, streams).await?;
    report.add("woken by one event", times.count() as f64, "listeners");
    report.times("from the request that makes it to a listener's hearing", &mut times);
    world.stop().await
}

/// A stream as bytes on a socket, whose reader knows that it listens.
async fn listen(world: &World) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(world.server.address).await?;
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {}\r\n\r\n",
        world.bot_token.expose()
    );
    stream.write_all(request.as_bytes()).await?;
    // The first of the stream says from where it listens.
    until(&mut stream, "\nid: ").await?;
    Ok(stream)
}

/// Reads until this has come.
async fn until(stream: &mut TcpStream, awaited: &str) -> Result<(), Failure> {
    let (mut text, mut part) = (String::new(), [0; 4096]);
    while !text.contains(awaited) {
        let length = stream.read(&mut part).await?;
        if length == 0 {
            return Err(format!("a stream ended: {text}").into());
        }
        text.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    Ok(())
}

/// Asks for an approval; when each listener heard of it.
async fn wake(world: &World, streams: Vec<TcpStream>) -> Result<Times, Failure> {
    let (mut waiting, began) = (JoinSet::new(), Instant::now());
    for mut stream in streams {
        waiting.spawn(async move {
            until(&mut stream, "approval.requested").await?;
            Ok::<_, Failure>(began.elapsed())
        });
    }
    let ask = json!({"action": {"type": "deploy", "target": "production", "params": {}}, "requester": world.people[0].handle});
    world.bot.post("/v1/approvals", &ask).await?;
    let mut times = Times::default();
    let all = async {
        while let Some(woken) = waiting.join_next().await {
            times.push(woken??);
        }
        Ok(times)
    };
    tokio::time::timeout(PATIENCE, all).await.map_err(|_| format!("not everybody heard within {PATIENCE:?}"))?
}
