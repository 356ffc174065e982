//! What lies below the server: the disk's syncs, and the engine's transactions of the same size as a loop's.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use phoneops::db::{self, Store};
use phoneops::secret::{Secret, random};

use crate::load::{self, Laps, Times};
use crate::report::Report;
use crate::world::{self, Database};
use crate::{Failure, Options};

/// An approve loop writes about 22 rows in 5 transactions, each of a few hundred bytes.
const STATEMENTS: usize = 4;
const ROW_BYTES: usize = 400;

/// `fdatasync` after each append of one page: what every commit waits for.
pub(crate) fn disk(report: &mut Report) -> Result<(), Failure> {
    report.section("The disk: append 4 KiB and fdatasync, one after the other");
    let directory = world::directory()?;
    let mut file = OpenOptions::new().create_new(true).append(true).open(directory.path().join("syncs"))?;
    let (page, began, mut times) = ([7_u8; 4096], Instant::now(), Times::default());
    while began.elapsed() < Duration::from_secs(2) {
        let before = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    report.add("syncs", times.count() as f64 / began.elapsed().as_secs_f64(), "syncs/s");
    report.times("each", &mut times);
    Ok(())
}

/// The same `Store::write` that the server uses, with nothing around it.
pub(crate) async fn engine(
    name: &str,
    database: Option<&Database>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    report.section(format!("{name}: bare transactions of {STATEMENTS} inserts, {} writers", options.clients));
    let directory = world::directory()?;
    let where_to = match database {
        None => db::Options::Lite { path: directory.path().join("raw.sqlite") },
        Some(database) => db::Options::Pg { url: Secret::new(database.url.clone()), connections: 16 },
    };
    let store = Store::open(&where_to).await?;
    let table = db::Sql::either(
        "create table bench_rows (id blob primary key, body text not null) strict",
        "create table bench_rows (id bytea primary key, body text not null)",
    );
    store.write(move |tx| Box::pin(async move { tx.query(table).execute().await })).await?;
    let one = move |_client: usize, mut laps: Laps| {
        let store = store.clone();
        async move {
            store.write(|tx| Box::pin(insert(tx))).await?;
            laps.lap("transaction");
            Ok(laps)
        }
    };
    let mut samples = load::closed(options.clients, options.span(), || (), one).await?;
    report.add("transactions", samples.whole.count() as f64 / options.seconds as f64, "transactions/s");
    report.times("each", &mut samples.whole);
    Ok(())
}

async fn insert(tx: &mut db::Tx<'_>) -> db::Result<()> {
    let body = "x".repeat(ROW_BYTES);
    for _ in 0..STATEMENTS {
        let id: [u8; 16] = random();
        tx.query("insert into bench_rows (id, body) values ($1, $2)").bind(id.to_vec()).bind(body.as_str()).execute().await?;
    }
    Ok(())
}
