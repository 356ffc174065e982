//! Bringing the schema up to date.
//!
//! **Invariants**
//! - A migration that has landed is never edited: its digest is stored and compared at every start.
//! - Both engines have the same migrations, by number and name, and end with the same tables and columns (`tests/migrations.rs`).
//! - A database that knows more migrations than this program is refused, not guessed at.

use sqlx::Row as _;

use super::{Error, Result};
use crate::secret::{b64u, sha256};

struct Migration {
    version: i64,
    name: &'static str,
    lite: &'static str,
    pg: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            lite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            pg: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_house_create", 2 "0002_policies_create", 3 "0003_receipts_create", 4 "0004_listening_create",
    5 "0005_installation_create", 6 "0006_fatigue_create", 7 "0007_devices_change", 8 "0008_delegation_create",
    9 "0009_grants_change", 10 "0010_chat_identities_create", 11 "0011_retention_change", 12 "0012_logins_change",
    13 "0013_provider_tokens_create", 14 "0014_attempts_change", 15 "0015_users_change", 16 "0016_paging_create",
    17 "0017_registrations_change", 18 "0018_rules_create", 20 "0020_commands_create", 21 "0021_rooms_create",
    22 "0022_chatops_create", 23 "0023_slack_create",
];

const BOOK: &str =
    "create table if not exists schema_migrations (version bigint primary key, name text not null, sha256 text not null)";

/// Which migrations are still to be applied, given those that were, in order.
fn pending(applied: &[(i64, String)], text: fn(&Migration) -> &'static str) -> Result<&'static [Migration]> {
    let refuse = |what: String| Err(Error::Failed(what));
    for (at, (version, digest)) in applied.iter().enumerate() {
        let Some(known) = MIGRATIONS.get(at) else {
            return refuse(format!(
                "the database has migration {version}, which this version of phoneops does not know: use a newer one"
            ));
        };
        if known.version != *version || b64u(sha256(text(known).as_bytes())) != *digest {
            return refuse(format!("migration {} was changed after it was applied", known.name));
        }
    }
    Ok(&MIGRATIONS[applied.len()..])
}

const APPLIED: &str = "select version, sha256 from schema_migrations order by version";
const RECORD: &str = "insert into schema_migrations (version, name, sha256) values ($1, $2, $3)";

pub(super) fn lite(connection: &mut rusqlite::Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(&BOOK.replace("bigint", "integer"))?;
    let applied =
        transaction.prepare(APPLIED)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>()?;
    for migration in pending(&applied, |m| m.lite)? {
        transaction.execute_batch(migration.lite)?;
        let digest = b64u(sha256(migration.lite.as_bytes()));
        transaction.execute(RECORD, (migration.version, migration.name, digest))?;
    }
    Ok(transaction.commit()?)
}

pub(super) async fn pg(pool: &sqlx::PgPool) -> Result<()> {
    let mut transaction = pool.begin().await?;
    // A migration may take long, and so may waiting for the node that does it: the time-outs of daily work do not apply.
    sqlx::raw_sql("set local statement_timeout = 0; set local lock_timeout = 0").execute(&mut *transaction).await?;
    // Nodes that start together wait for each other here: "phon" in ASCII.
    sqlx::query("select pg_advisory_xact_lock(1885892462)").execute(&mut *transaction).await?;
    sqlx::raw_sql(BOOK).execute(&mut *transaction).await?;
    let mut applied = Vec::new();
    for row in sqlx::query(APPLIED).fetch_all(&mut *transaction).await? {
        applied.push((row.try_get(0)?, row.try_get(1)?));
    }
    for migration in pending(&applied, |m| m.pg)? {
        sqlx::raw_sql(migration.pg).execute(&mut *transaction).await?;
        sqlx::query(RECORD)
            .bind(migration.version)
            .bind(migration.name)
            .bind(b64u(sha256(migration.pg.as_bytes())))
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}
