//! The SQL of listening. It reads what other domains wrote, to learn whom an event concerns, and changes none of it.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::audience::Party;
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Sql};

impl FromRow for Party {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            subject: row.get("subject_id")?,
            user: row.get("user_id")?,
            bot: row.get("bot_id")?,
            opened_by: row.get::<Option<Json<_>>>("opened_by")?.map(|Json(actor)| actor),
        })
    }
}

const PARTIES: Sql = Sql::either(
    "with asked as (select unhex(value) as id from json_each($1))
     select distinct subject_id, user_id, null as bot_id, null as opened_by from notifications
         where subject_id in (select id from asked)
     union all select id, requester_id, bot_id, null from approvals where id in (select id from asked)
     union all select id, acted_by, acted_via, opened_by from incidents where id in (select id from asked)",
    "with asked as (select value::uuid as id from jsonb_array_elements_text($1))
     select distinct subject_id, user_id, null::uuid as bot_id, null::jsonb as opened_by from notifications
         where subject_id in (select id from asked)
     union all select id, requester_id, bot_id, null from approvals where id in (select id from asked)
     union all select id, acted_by, acted_via, opened_by from incidents where id in (select id from asked)",
);

/// Who has to do with these approvals and incidents: who asked, who was told, who acted.
pub(super) async fn parties(db: &mut Db<'_>, subjects: BTreeSet<Uuid>) -> Result<Vec<Party>> {
    let subjects: Vec<_> = subjects.into_iter().map(|id| id.simple().to_string()).collect();
    db.query(PARTIES).bind(Json(subjects)).all().await
}

/// The devices, people and bots that stopped being trusted since then.
pub(super) async fn ended_since(db: &mut Db<'_>, since: Timestamp) -> Result<Vec<Uuid>> {
    db.query(
        "select id from devices where revoked_at >= $1
         union all select id from users where removed_at >= $1
         union all select id from bots where revoked_at >= $1",
    )
    .bind(since)
    .all()
    .await
}
