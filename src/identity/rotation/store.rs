//! The SQL of bots' tokens.

use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Result, Row, Tx};
use crate::id::BotId;
use crate::identity::Bot;

/// A bot, with the number of the token that it was found by.
struct ByToken(Bot);

impl FromRow for ByToken {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(Bot { token_number: row.get("used_number")?, ..Bot::from_row(row)? }))
    }
}

/// The bot whose newest token this is, or whose token before that, while it works.
pub(in crate::identity) async fn find_bot_by_token(
    db: &mut Db<'_>,
    token_sha256: [u8; 32],
    now: Timestamp,
) -> Result<Option<Bot>> {
    let found = db
        .query(
            "select bots.*, case when token_sha256 = $1 then token_number else token_number - 1 end as used_number from bots
             where revoked_at is null and (token_sha256 = $1 or (previous_token_sha256 = $1 and previous_token_until > $2))",
        )
        .bind(token_sha256)
        .bind(now)
        .optional::<ByToken>()
        .await?;
    Ok(found.map(|ByToken(bot)| bot))
}

/// The next token; the newest until now works until then, and the one before it no more. `None` for `number` takes whichever is the
/// newest; `false` when that is not the newest any more, or the bot was revoked.
pub(super) async fn rotate_token(
    tx: &mut Tx<'_>,
    id: BotId,
    number: Option<i64>,
    token_sha256: [u8; 32],
    until: Timestamp,
) -> Result<bool> {
    let rows = tx
        .query(
            "update bots set previous_token_sha256 = token_sha256, previous_token_until = $3, token_sha256 = $2,
                 token_number = token_number + 1
             where id = $1 and revoked_at is null and token_number = coalesce($4, token_number)",
        )
        .bind(id)
        .bind(token_sha256)
        .bind(until)
        .bind(number)
        .execute()
        .await?;
    Ok(rows == 1)
}
