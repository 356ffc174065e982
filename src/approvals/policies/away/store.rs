//! The SQL of absences.

use super::Absence;
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Result, Row, Sql, Tx};
use crate::id::UserId;

impl FromRow for Absence {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            user: row.get("user_id")?,
            from: row.get("from_at")?,
            until: row.get("until_at")?,
            delegate: row.get("delegate_id")?,
        })
    }
}

/// Who is away at `instant`. A delegate who has left is none.
pub(super) async fn at(db: &mut Db<'_>, instant: Timestamp) -> Result<Vec<Absence>> {
    db.query(
        "select absences.user_id, absences.from_at, absences.until_at,
             case when users.removed_at is null then users.id end as delegate_id
         from absences left join users on users.id = absences.delegate_id
         where absences.from_at <= $1 and absences.until_at > $1",
    )
    .bind(instant)
    .all()
    .await
}

pub(super) async fn find(db: &mut Db<'_>, user: UserId) -> Result<Option<Absence>> {
    db.query("select * from absences where user_id = $1").bind(user).optional().await
}

/// As [`find`], locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, user: UserId) -> Result<Option<Absence>> {
    tx.query(Sql::either("select * from absences where user_id = $1", "select * from absences where user_id = $1 for update"))
        .bind(user)
        .optional()
        .await
}

/// Puts an absence in the place of whatever there was.
pub(super) async fn set(tx: &mut Tx<'_>, absence: &Absence, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into absences (user_id, from_at, until_at, delegate_id, set_at) values ($1, $2, $3, $4, $5)
         on conflict (user_id) do update set from_at = excluded.from_at, until_at = excluded.until_at,
             delegate_id = excluded.delegate_id, set_at = excluded.set_at",
    )
    .bind(absence.user)
    .bind(absence.from)
    .bind(absence.until)
    .bind(absence.delegate)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.query("delete from absences where user_id = $1").bind(user).execute().await?;
    Ok(())
}
