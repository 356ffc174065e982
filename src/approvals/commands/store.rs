//! The SQL of declared commands.

use super::{Declaration, Declared};
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Tx};
use crate::identity::Handle;

impl FromRow for Declared {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { declaration: row.get::<Json<Declaration>>("document")?.0, changed_at: row.get("changed_at")? })
    }
}

/// The declared commands, by name.
pub(in crate::approvals) async fn list(db: &mut Db<'_>) -> Result<Vec<Declared>> {
    db.query("select document, changed_at from commands order by name").all().await
}

/// Makes a command what its declaration says from now on.
pub(in crate::approvals) async fn set(tx: &mut Tx<'_>, declaration: &Declaration, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into commands (name, document, changed_at) values ($1, $2, $3)
         on conflict (name) do update set document = excluded.document, changed_at = excluded.changed_at",
    )
    .bind(declaration.name.as_str())
    .bind(Json(declaration))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Takes a command away.
pub(in crate::approvals) async fn remove(tx: &mut Tx<'_>, name: &Handle) -> Result<()> {
    tx.query("delete from commands where name = $1").bind(name.as_str()).execute().await?;
    Ok(())
}
