//! A restart with a million timers: how long until the first page that is due, and how much memory it takes.

use std::path::Path;
use std::time::{Duration, Instant};

use phoneops::sim::push_service::PushService;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::report::Report;
use crate::server::Running;
use crate::world::{Database, World};
use crate::{Failure, Options, process};

/// Timers of incidents that can wait, all due.
const DUE: u32 = 10_000;

/// The jobs: a million for later, of both urgencies, and so many that can wait and are due.
fn timers(of: u32, engine_id: &str, series: &str) -> String {
    format!(
        "insert into jobs (id, kind, subject_id, due_at, lease, tries, created_at, urgent)
         select {engine_id}, 'incident_timer', {engine_id}, case when n <= {DUE} then 1000000 + n else 4000000000000000 + n end, 0, 0, 0,
             case when n <= {DUE} then 0 else n % 2 end
         from {series} where n <= {of}"
    )
}

/// Restarts on what one page left behind: as it is, and among so many timers.
pub(crate) async fn measure(
    engine: &str,
    database: Option<&Database>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    report.section(format!("{engine}: restart with a page that is due"));
    let world = World::start(database, 1).await?;
    world.bot.post("/v1/incidents", &json!({"title": "Down", "to": [world.people[0].handle]})).await?;
    world.server.quiet().await?;
    let World { server, push_service, data, .. } = world;
    server.stop().await?;
    let url = database.map(|database| database.url.as_str());
    for timers in [0, options.timers] {
        let rows = if timers == 0 { String::new() } else { format!("{timers} timers beside it") };
        prepare(data.path(), url, timers).await?;
        restart(data.path(), url, &push_service, &rows, report).await?;
    }
    drop(push_service);
    Ok(())
}

/// Makes the page due, and so many timers.
async fn prepare(data: &Path, url: Option<&str>, of: u32) -> Result<(), Failure> {
    let due = "update jobs set due_at = 1000000 where kind = 'incident_timer' and urgent = 1 and due_at < 4000000000000000";
    let late = "update incidents set timer_at = 1000000";
    match url {
        None => {
            let path = data.join("phoneops.sqlite");
            tokio::task::spawn_blocking(move || {
                let database = rusqlite::Connection::open(path)?;
                let series =
                    format!("(with recursive s(n) as (select 1 union all select n + 1 from s where n < {of}) select n from s)");
                if of > 0 {
                    database.execute_batch(&timers(of, "randomblob(16)", &series))?;
                }
                database.execute_batch(&format!("{due}; {late}; pragma wal_checkpoint(truncate)"))
            })
            .await??;
        }
        Some(url) => {
            let mut connection = PgConnection::connect(url).await?;
            if of > 0 {
                let sql = timers(of, "gen_random_uuid()", &format!("generate_series(1, {of}) as n"));
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            }
            sqlx::raw_sql(AssertSqlSafe(format!("{due}; {late}; analyze jobs"))).execute(&mut connection).await?;
        }
    }
    Ok(())
}

async fn restart(
    data: &Path,
    url: Option<&str>,
    push_service: &PushService,
    rows: &str,
    report: &mut Report,
) -> Result<(), Failure> {
    let pushes = || push_service.journal().last().map_or(0, |entry| entry.number);
    let (before, began) = (pushes(), Instant::now());
    let server = Running::start(data, url).await?;
    while pushes() == before {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("the page did not ring within a minute of the restart".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rang = began.elapsed();
    let name = |what: &str| if rows.is_empty() { what.to_owned() } else { format!("{what}, {rows}") };
    report.add(&name("from start to the push"), rang.as_secs_f64() * 1e3, "ms");
    report.add(&name("from ready to the push"), rang.saturating_sub(server.ready_after).as_secs_f64() * 1e3, "ms");
    tokio::time::sleep(Duration::from_secs(5)).await;
    report.add(&name("most memory in the first 5 s"), process::peak(server.pid())? as f64 / 1e6, "MB");
    server.stop().await
}
