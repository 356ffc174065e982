//! The SQL of paging rules.

use std::collections::HashMap;

use super::Rules;
use crate::clock::Timestamp;
use crate::db::{self, Db, FromRow, Json, Result, Row, Tx, among};
use crate::id::UserId;

/// Whose rules they are.
struct Kept(UserId, Rules);

impl FromRow for Kept {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get("user_id")?, row.get::<Json<Rules>>("rules")?.0))
    }
}

/// The rules of these people, of those who have any of their own.
pub(in crate::paging) async fn of(db: &mut Db<'_>, people: &[UserId]) -> Result<HashMap<UserId, Rules>> {
    let ids: Vec<_> = people.iter().map(|user| user.0).collect();
    let kept: Vec<Kept> =
        db.query(among!("select user_id, rules from paging_rules where user_id in")).bind(db::ids(&ids)).all().await?;
    Ok(kept.into_iter().map(|Kept(user, rules)| (user, rules)).collect())
}

pub(super) async fn put(tx: &mut Tx<'_>, user: UserId, rules: &Rules, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into paging_rules (user_id, rules, updated_at) values ($1, $2, $3)
         on conflict (user_id) do update set rules = $2, updated_at = $3",
    )
    .bind(user)
    .bind(Json(rules))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}
