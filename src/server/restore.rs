//! Putting a backup in the place of the database.
//!
//! **Invariants**
//! - Nothing is touched before the backup is known to be whole, ours, and openable with this master key.
//! - What was there before is set aside, never deleted.
//! - A restore that was interrupted while files changed places is noticed at the next start, which refuses: half of one database and
//!   half of another must never be served.
//! - What was pending in the backup, or approved and not redeemed, is void before the server can start on it: a PostgreSQL database that
//!   came from a dump is known by itself (`db/fence.rs`).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{DATABASE, Error, SCRATCH, build, master_key, master_key_path, open, prepare_to};
use crate::approvals::Voided;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{self, Store};
use crate::journal::{self, Actor, Entry};

/// While this file is there, the database's files may not belong together.
const UNFINISHED: &str = "restore-unfinished";

/// What a restore did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What was ended.
    pub voided: Voided,
    /// What works as it did when the backup was made.
    pub revived: Revived,
    /// The number of the last journal entry in the backup.
    pub journal: i64,
    /// Where the database that was there before is now.
    pub set_aside: Option<PathBuf>,
}

/// What is read or paged by without a person, and works as it did when the backup was made: also what was revoked or rotated since, for the
/// backup does not know that. It is not ended, for what reports by it would report to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revived {
    /// Keys of integrations, those that work beside a newer one too.
    pub integration_keys: i64,
    /// Addresses of calendars.
    pub calendars: i64,
}

/// Whether there is a SQLite database that a restore would set aside.
#[must_use]
pub fn is_occupied(config: &Config) -> bool {
    config.data_dir.join(DATABASE).exists()
}

/// Puts `backup` in the place of the SQLite database. No server may be running there.
///
/// # Errors
/// [`Error`]; nothing has changed then, unless the files were already changing places, which the next start says.
pub async fn restore(config: &Config, backup: &Path, clock: &Clock) -> Result<Restored, Error> {
    let _lock = prepare_to(&config.data_dir)?;
    let workshop = config.data_dir.join(SCRATCH);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let copy = workshop.join(DATABASE);
    is_sqlite(backup)?;
    std::fs::copy(backup, &copy).map_err(failed(backup))?;

    let mut inside = config.clone();
    inside.master_key_file = Some(master_key_path(config));
    inside.data_dir.clone_from(&workshop);
    inside.database_url = None;
    let store = open(&inside).await?;
    store.check().await?;
    let (voided, revived, journal) = void(&inside, &store, clock).await?;
    let ready = workshop.join("ready.sqlite");
    store.backup(ready.clone()).await?;
    drop(store);
    let set_aside = swap(&config.data_dir, &ready, clock).map_err(failed(&config.data_dir))?;
    Ok(Restored { voided, revived, journal, set_aside })
}

/// Ends what a restored PostgreSQL dump revived. No server may be running on it.
///
/// # Errors
/// [`Error`].
pub async fn void_dump(config: &Config, clock: &Clock) -> Result<Restored, Error> {
    let _lock = prepare_to(&config.data_dir)?;
    let store = open(config).await?;
    let (voided, revived, journal) = void(config, &store, clock).await?;
    // Only now may a server start on it.
    store.make_at_home().await?;
    Ok(Restored { voided, revived, journal, set_aside: None })
}

/// Checks the journal and the keys, ends what was open, and counts and records what works again.
async fn void(config: &Config, store: &Store, clock: &Clock) -> Result<(Voided, Revived, i64), Error> {
    let journal = journal::verify(store).await?;
    let master = master_key(config)?;
    let built = build(config, clock, &master, store, None, CancellationToken::new()).await;
    let (app, engine, _handoff) = built.map_err(|error| match error {
        Error::Database(db::Error::Inconsistent { table: "signing_keys", .. }) => Error::OtherMasterKey(master_key_path(config)),
        other => other,
    })?;
    let voided = app.approvals.void_restored().await.map_err(|failure| Error::Restore(failure.to_string()))?;
    let revived = Revived { integration_keys: app.paging.count_keys().await?, calendars: app.schedules.count_feeds().await? };
    let data = json!({"integration_keys": revived.integration_keys, "calendars": revived.calendars});
    let entry = Entry { kind: "backup.revived", actor: Actor::Operator, subject: "house".to_owned(), data };
    let (record, now) = (engine.journal, clock.now());
    store.write(move |tx| Box::pin(async move { record.append(tx, now, entry).await })).await?;
    Ok((voided, revived, journal))
}

/// The first bytes of every SQLite file (its file format, section 1.3).
fn is_sqlite(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut start = [0; 16];
    let mut file = File::open(path).map_err(failed)?;
    match file.read_exact(&mut start) {
        Ok(()) if start == *b"SQLite format 3\0" => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(failed(error)),
        _ => Err(Error::Restore(format!("{} is no backup: it is not a SQLite database", path.display()))),
    }
}

/// Sets the old database aside with its log, and puts `ready` in its place.
fn swap(data_dir: &Path, ready: &Path, clock: &Clock) -> io::Result<Option<PathBuf>> {
    let sync = || File::open(data_dir)?.sync_all();
    let (main, marker) = (data_dir.join(DATABASE), data_dir.join(UNFINISHED));
    File::create(&marker)?.sync_all()?;
    sync()?;
    crate::crash_point!("restore-begun");
    let stamp = clock.now().to_string().replace([':', '-'], "");
    let aside = data_dir.join(format!("phoneops-replaced-{stamp}.sqlite"));
    let occupied = main.exists();
    for end in ["-wal", "-shm", ""] {
        let with = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        match std::fs::rename(with(&main), with(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    crate::crash_point!("restore-emptied");
    std::fs::rename(ready, &main)?;
    sync()?;
    std::fs::remove_file(&marker)?;
    sync()?;
    Ok(occupied.then_some(aside))
}

/// An error when a restore was interrupted here.
pub(super) fn finished(data_dir: &Path) -> Result<(), Error> {
    if data_dir.join(UNFINISHED).exists() { Err(Error::RestoreUnfinished(data_dir.to_owned())) } else { Ok(()) }
}
