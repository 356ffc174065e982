//! What lies below the server: the disk's syncs, the processor's signature checks, and the engine's transactions of the same size as a loop's.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use phoneops::db::{self, Store};
use phoneops::identity::{DeviceKey, Handle, PersonName, RelyingParty};
use phoneops::secret::{Secret, random};
use phoneops::sim::authenticator::Authenticator;
use url::Url;

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

/// The two signature checks of a loop, one after the other: a yardstick for how fast the processor is at this hour.
pub(crate) fn processor(report: &mut Report) -> Result<(), Failure> {
    report.section("The processor: checking one signature");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let key = DeviceKey::from_sec1(pair.public_key().as_ref())?;
    let signature: [u8; 64] = pair.sign(&SystemRandom::new(), b"message")?.as_ref().try_into()?;
    let mut times = Times::default();
    for _ in 0..2_000 {
        let before = Instant::now();
        black_box(key.verify(b"message", &signature))?;
        times.push(before.elapsed());
    }
    report.times("ES256 with aws-lc-rs, as for each DPoP proof", &mut times);
    report.times("a passkey's assertion with webauthn-rs, which uses RustCrypto", &mut assertions()?);
    Ok(())
}

fn assertions() -> Result<Times, Failure> {
    let origin: Url = "https://phoneops.example".parse()?;
    let origin_text = origin.origin().ascii_serialization();
    let party = RelyingParty::new("phoneops.example", &origin, "PhoneOps")?;
    let (handle, name): (Handle, PersonName) = ("ys".parse()?, "ys".parse()?);
    let mut phone = Authenticator::default();
    let (options, state) = party.start_registration(uuid::Uuid::nil(), &handle, &name, &[]);
    let passkey = party.finish_registration(&state, &phone.create(&options, &origin_text)?)?;
    let mut times = Times::default();
    for _ in 0..500 {
        let (options, state) = party.start_assertion(std::slice::from_ref(&passkey), random());
        let answer = phone.get(&options, &origin_text)?;
        let before = Instant::now();
        black_box(party.finish_assertion(&state, &answer, &passkey))?;
        times.push(before.elapsed());
    }
    Ok(times)
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
    let mut samples = load::closed(options.clients, options.span(), Arc::new(|| ()), one).await?;
    report.add("transactions", samples.ended as f64 / samples.metered.as_secs_f64(), "transactions/s");
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
