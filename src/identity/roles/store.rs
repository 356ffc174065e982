//! The SQL of roles.

use crate::db::{Result, Tx};
use crate::id::UserId;
use crate::identity::Role;

pub(super) async fn set_role(tx: &mut Tx<'_>, user: UserId, role: Role) -> Result<()> {
    let role = if role == Role::Admin { "admin" } else { "member" };
    tx.query("update users set role = $2 where id = $1").bind(user).bind(role).execute().await.map(drop)
}
