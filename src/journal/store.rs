//! The journal's SQL, and the chain it computes.

use serde_json::{Value, json};

use super::{Actor, Entry, Happened, Order, Sealed, Search};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{EventId, UserId};
use crate::secret::{b64u, tagged_sha256};

/// At most so many entries are numbered in one transaction.
const BATCH: i64 = 200;

pub(super) async fn insert(tx: &mut Tx<'_>, id: EventId, at: Timestamp, entry: Entry) -> Result<()> {
    tx.query("insert into journal (id, at, kind, actor, subject, data) values ($1, $2, $3, $4, $5, $6)")
        .bind(id)
        .bind(at)
        .bind(entry.kind)
        .bind(Json(entry.actor))
        .bind(entry.subject)
        .bind(Json(entry.data))
        .execute()
        .await?;
    Ok(())
}

/// What the chain covers of an entry.
struct Body {
    id: EventId,
    at: Timestamp,
    kind: String,
    actor: Value,
    subject: String,
    data: Value,
}

impl Body {
    fn digest(&self, seq: i64, previous: &[u8; 32]) -> Result<[u8; 32]> {
        let body = json!({
            "seq": seq, "id": self.id, "at": self.at, "kind": self.kind,
            "actor": self.actor, "subject": self.subject, "data": self.data,
        });
        let canonical = serde_json_canonicalizer::to_vec(&body).map_err(|e| Error::Failed(e.to_string()))?;
        Ok(tagged_sha256("phoneops.journal.v1", &[previous.as_slice(), &canonical].concat()))
    }
}

impl FromRow for Body {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            actor: row.get::<Json<Value>>("actor")?.0,
            subject: row.get("subject")?,
            data: row.get::<Json<Value>>("data")?.0,
        })
    }
}

/// The number and digest of the last sealed entry.
pub(super) struct Head {
    pub(super) seq: i64,
    sha256: [u8; 32],
}

impl Head {
    /// An error unless the entries, which end here, end where `head` says: the last ones may be gone, or be somebody else's.
    pub(super) fn must_be(&self, head: &Self) -> Result<()> {
        if self.seq < head.seq {
            return Err(missing(self.seq + 1, &format!("the head is at number {}", head.seq)));
        }
        if self.seq > head.seq || self.sha256 != head.sha256 {
            return Err(Error::inconsistent("journal", numbered(self.seq), format!("the head is another, number {}", head.seq)));
        }
        Ok(())
    }
}

/// How an entry is named whose id cannot be trusted or is not there.
fn numbered(seq: i64) -> String {
    format!("number {seq}")
}

fn missing(seq: i64, why: &str) -> Error {
    Error::inconsistent("journal", numbered(seq), format!("missing: {why}"))
}

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { seq: row.get("seq")?, sha256: row.get("sha256")? })
    }
}

/// Locks the head row, so that two nodes never number at once.
const LOCK_HEAD: Sql = Sql::either(
    "select seq, sha256 from journal_head where id = 1",
    "select seq, sha256 from journal_head where id = 1 for update",
);

const SEAL: Sql = Sql::either(
    "update journal set seq = l.value ->> 'seq', sha256 = unhex(l.value ->> 'sha256')
     from json_each($1) as l where journal.id = unhex(l.value ->> 'id')",
    "update journal set seq = l.seq, sha256 = decode(l.sha256, 'hex')
     from jsonb_to_recordset($1) as l (id uuid, seq bigint, sha256 text) where journal.id = l.id",
);

pub(super) async fn seal(tx: &mut Tx<'_>) -> Result<usize> {
    let Head { mut seq, mut sha256 } = tx.query(LOCK_HEAD).one().await?;
    let unsealed: Vec<Body> = tx
        .query("select id, at, kind, actor, subject, data from journal where seq is null order by id limit $1")
        .bind(BATCH)
        .all()
        .await?;
    if unsealed.is_empty() {
        return Ok(0);
    }
    let mut links = Vec::with_capacity(unsealed.len());
    for body in &unsealed {
        seq += 1;
        sha256 = body.digest(seq, &sha256)?;
        links.push(json!({"id": body.id.0.simple().to_string(), "seq": seq, "sha256": hex(&sha256)}));
    }
    let sealed = tx.query(SEAL).bind(Json(links)).execute().await?;
    if sealed != unsealed.len() as u64 {
        return Err(Error::inconsistent("journal", numbered(seq), format!("{sealed} of {} entries were sealed", unsealed.len())));
    }
    tx.query("update journal_head set seq = $1, sha256 = $2 where id = 1").bind(seq).bind(sha256).execute().await?;
    Ok(unsealed.len())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromRow for Sealed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let body = Body::from_row(row)?;
        Ok(Self {
            seq: row.get("seq")?,
            id: body.id,
            at: body.at,
            kind: body.kind,
            actor: body.actor,
            subject: body.subject,
            data: body.data,
            sha256: b64u(row.get::<[u8; 32]>("sha256")?),
        })
    }
}

const AFTER: &str = "select id, seq, at, kind, actor, subject, data, sha256 from journal where seq > $1 order by seq limit $2";

pub(super) async fn list(db: &mut Db<'_>, after: i64, limit: u32) -> Result<Vec<Sealed>> {
    db.query(AFTER).bind(after).bind(limit).all().await
}

pub(super) async fn last(db: &mut Db<'_>) -> Result<i64> {
    db.query("select seq from journal_head where id = 1").one().await
}

/// The texts differ in how JSON is searched. `$4` to `$9` are null where nothing is asked.
const SEARCH: Sql = Sql::either(
    "select id, seq, at, kind, actor, subject, data, sha256 from journal
     where seq > $1 and seq <= $2
       and exists (select 1 from json_each($3) as asked where substr(kind, 1, length(asked.value)) = asked.value)
       and ($4 is null or actor ->> 'kind' = $4)
       and ($5 is null or actor ->> 'user' = $5 or actor ->> 'bot' = $5 or actor ->> 'device' = $5)
       and ($6 is null or subject = $6)
       and ($7 is null or at >= $7) and ($8 is null or at < $8)
       and ($9 is null or instr(lower(data), lower($9)) > 0)
     order by case when $10 then -seq else seq end limit $11",
    "select id, seq, at, kind, actor, subject, data, sha256 from journal
     where seq > $1 and seq <= $2
       and exists (select 1 from jsonb_array_elements_text($3) as asked where starts_with(kind, asked))
       and ($4::text is null or actor ->> 'kind' = $4)
       and ($5::text is null or actor ->> 'user' = $5 or actor ->> 'bot' = $5 or actor ->> 'device' = $5)
       and ($6::text is null or subject = $6)
       and ($7::bigint is null or at >= $7) and ($8::bigint is null or at < $8)
       and ($9::text is null or position(lower($9) in lower(data::text)) > 0)
     order by case when $10 then -seq else seq end limit $11",
);

/// At most `limit` entries with numbers above `above` and up to `to` that fit, in the asked order.
pub(super) async fn search(db: &mut Db<'_>, search: &Search, above: i64, to: i64, limit: u32) -> Result<Vec<Sealed>> {
    // Every kind begins with nothing.
    let kinds = if search.kinds.is_empty() { vec![String::new()] } else { search.kinds.clone() };
    let (word, id) = search.actor.as_ref().map_or((None, None), super::By::columns);
    db.query(SEARCH)
        .bind(above)
        .bind(to)
        .bind(Json(kinds))
        .bind(word)
        .bind(id)
        .bind(search.subject.clone())
        .bind(search.since)
        .bind(search.until)
        .bind(search.text.as_deref().map(as_stored))
        .bind(search.order == Order::Newest)
        .bind(limit)
        .all()
        .await
}

impl FromRow for Happened {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            actor: row.get::<Json<Actor>>("actor")?.0,
            data: row.get::<Json<Value>>("data")?.0,
        })
    }
}

/// At most `limit` entries about `subject` after `after`, in order.
pub(super) async fn about(db: &mut Db<'_>, subject: &str, after: Option<EventId>, limit: u32) -> Result<Vec<Happened>> {
    let after = after.map_or(uuid::Uuid::nil(), |id| id.0);
    db.query("select id, at, kind, actor, data from journal where subject = $1 and id > $2 order by id limit $3")
        .bind(subject.to_owned())
        .bind(after)
        .bind(limit)
        .all()
        .await
}

/// The last entry about `subject` that a bot caused in this person's name, or in which they disowned one.
pub(super) async fn last_of(
    db: &mut Db<'_>,
    subject: &str,
    user: UserId,
    kinds: &str,
    disowned: &str,
) -> Result<Option<Happened>> {
    db.query(
        "select id, at, kind, actor, data from journal
         where subject = $1 and substr(kind, 1, length($3)) = $3 and actor ->> 'user' = $2 and (actor ->> 'kind' = 'bot' or kind = $4)
         order by id desc limit 1",
    )
    .bind(subject.to_owned())
    .bind(user.to_string())
    .bind(kinds.to_owned())
    .bind(disowned.to_owned())
    .optional()
    .await
}

/// The last entry of a kind about `subject` that has this text as this fact.
pub(super) async fn last_about(
    db: &mut Db<'_>,
    subject: &str,
    kind: &str,
    (fact, text): (&str, String),
) -> Result<Option<Happened>> {
    db.query(
        "select id, at, kind, actor, data from journal where subject = $1 and kind = $2 and data ->> $3 = $4 order by id desc limit 1",
    )
    .bind(subject.to_owned())
    .bind(kind.to_owned())
    .bind(fact.to_owned())
    .bind(text)
    .optional()
    .await
}

/// A text as it stands inside stored JSON.
fn as_stored(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A sealed entry, to be checked against its predecessor.
pub(super) struct Link {
    body: Body,
    seq: i64,
    sha256: [u8; 32],
}

/// One that cannot even be read is an error of its own, so that the entry is named and the rows before it are still checked.
impl FromRow for Result<Link> {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let seq = row.get("seq")?;
        let read = || Ok(Link { body: Body::from_row(row)?, seq, sha256: row.get("sha256")? });
        Ok(read().map_err(|error: Error| Error::inconsistent("journal", numbered(seq), error)))
    }
}

/// Some links, from one snapshot.
pub(super) struct Stretch {
    pub(super) links: Vec<Result<Link>>,
    /// What the first entry that is there follows.
    pub(super) cut: Head,
    /// What the last one is.
    pub(super) head: Head,
}

/// At most `limit` links after number `after`.
pub(super) async fn links(db: &mut Db<'_>, after: i64, limit: u32) -> Result<Stretch> {
    let links = db.query(AFTER).bind(after).bind(limit).all().await?;
    let cut = db.query("select cut_seq as seq, cut_sha256 as sha256 from journal_head where id = 1").one().await?;
    let head = db.query("select seq, sha256 from journal_head where id = 1").one().await?;
    Ok(Stretch { links, cut, head })
}

/// At most so many entries are cut in one transaction.
const CUT: i64 = 500;

struct Cuttable {
    link: Head,
    at: Timestamp,
}

impl FromRow for Cuttable {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { link: Head::from_row(row)?, at: row.get("at")? })
    }
}

pub(super) async fn cut_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    // Locked, so that no two nodes cut at once.
    let head: Head = tx.query(LOCK_HEAD).one().await?;
    let first: Vec<Cuttable> = tx
        .query("select seq, sha256, at from journal where seq < $1 order by seq limit $2")
        .bind(head.seq)
        .bind(CUT)
        .all()
        .await?;
    // The first that is too young ends the cut, whatever the times of those behind it.
    let last = first.into_iter().take_while(|entry| entry.at < before).last();
    let Some(Cuttable { link: last, .. }) = last else { return Ok(0) };
    tx.query("update journal_head set cut_seq = $1, cut_sha256 = $2 where id = 1")
        .bind(last.seq)
        .bind(last.sha256)
        .execute()
        .await?;
    tx.query("delete from journal where seq <= $1").bind(last.seq).execute().await
}

impl Link {
    /// This link as the new end of the chain, when it follows `last`.
    pub(super) fn follow(&self, last: &Head) -> Result<Head> {
        if self.seq != last.seq + 1 {
            return Err(missing(last.seq + 1, &format!("number {} follows {}", self.seq, last.seq)));
        }
        if self.body.digest(self.seq, &last.sha256)? != self.sha256 {
            return Err(Error::inconsistent("journal", self.body.id, "its digest does not match its content"));
        }
        Ok(Head { seq: self.seq, sha256: self.sha256 })
    }
}
