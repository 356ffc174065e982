//! Long polls that wait: what each costs, and how fast they are woken.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::load::Times;
use crate::report::Report;
use crate::world::World;

/// Long polls of one approval: so many are woken by one decision.
const TOGETHER: usize = 1_000;

/// Each poll asks for so many seconds, the longest that is agreed to.
const WAIT: u64 = 60;

/// Opens `polls` long polls over a connection each, and then withdraws the approval that the first of them wait for.
pub(crate) async fn measure(polls: usize, report: &mut Report) -> Result<(), Failure> {
    report.section(format!("SQLite: {polls} idle long polls"));
    let world = World::start(None, 1).await?;
    world.server.quiet().await?;
    let before = world.server.resident()?;
    let began = Instant::now();
    let mut approvals = Vec::new();
    let mut streams = Vec::with_capacity(polls);
    for number in 0..polls {
        if number % TOGETHER == 0 {
            approvals.push(ask(&world).await?);
        }
        streams.push(poll(&world, &approvals[number / TOGETHER]).await?);
    }
    let opened = began.elapsed();
    world.server.quiet().await?;
    if began.elapsed() > Duration::from_secs(WAIT - 5) {
        return Err(format!("opening {polls} polls took {opened:?}: the first may have ended").into());
    }
    let after = world.server.resident()?;
    report.add("opening them", opened.as_secs_f64(), "s");
    report.add("server memory before", before as f64 / 1e6, "MB");
    report.add("server memory with all of them", after as f64 / 1e6, "MB");
    report.add("each", after.saturating_sub(before) as f64 / 1024.0 / polls as f64, "KiB");
    let others = streams.split_off(TOGETHER.min(polls));
    let mut times = wake(&world, &approvals[0], streams).await?;
    report.add("woken by one decision", times.count() as f64, "polls");
    report.times("from the decision's request to a poll's answer", &mut times);
    drop(others);
    world.stop().await
}

async fn ask(world: &World) -> Result<String, Failure> {
    let ask = json!({"action": {"type": "deploy", "target": "production", "params": {}}, "requester": world.people[0].handle});
    let asked = world.bot.post("/v1/approvals", &ask).await?;
    Ok(asked.body["id"].as_str().ok_or("an approval without an id")?.to_owned())
}

/// A poll as bytes on a socket: ten thousand HTTP clients would be measured with it otherwise.
async fn poll(world: &World, approval: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(world.server.address).await?;
    let request = format!(
        "GET /v1/approvals/{approval}?wait={WAIT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        world.bot_token.expose()
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Withdraws the approval; when each poll was answered.
async fn wake(world: &World, approval: &str, streams: Vec<TcpStream>) -> Result<Times, Failure> {
    let (mut waiting, began) = (JoinSet::new(), Instant::now());
    for mut stream in streams {
        waiting.spawn(async move {
            let mut answer = [0; 4096];
            let length = stream.read(&mut answer).await?;
            let at = Instant::now();
            let text = String::from_utf8_lossy(&answer[..length]);
            let right = text.starts_with("HTTP/1.1 200") && text.contains("\"cancelled\"");
            if right { Ok(at - began) } else { Err(Failure::from(format!("a poll was answered: {text}"))) }
        });
    }
    world.bot.delete(&format!("/v1/approvals/{approval}")).await?;
    let mut times = Times::default();
    while let Some(woken) = waiting.join_next().await {
        times.push(woken??);
    }
    Ok(times)
}
