//! The SQL of e-mail addresses.

use crate::db::{Result, Tx};
use crate::id::UserId;
use crate::push::MailAddress;

pub(super) async fn set_email(tx: &mut Tx<'_>, user: UserId, email: Option<&MailAddress>) -> Result<()> {
    tx.query("update users set email = $2 where id = $1")
        .bind(user)
        .bind(email.map(MailAddress::as_str))
        .execute()
        .await
        .map(drop)
}
