//! Values: what goes in comes out, and anything else is an error.

use phoneops::clock::Timestamp;
use phoneops::db::{Column, Engine, Error, FromRow, Json, Result, Row, Sql, Store, Value};
use phoneops::id::{ApprovalId, UserId};
use serde_json::json;
use uuid::Uuid;

use crate::NOW;
use crate::support::{TestDb, engines};

engines! {
    every_type_survives_the_database
    null_is_none_of_every_type
    what_is_not_of_the_type_is_an_error
    a_count_beyond_32_bits_is_an_error
    parameters_are_bound_by_their_number
    a_wrong_number_of_parameters_is_an_error
    a_missing_column_and_a_missing_row_are_errors
}

async fn with_values(db: &TestDb) -> Store {
    let store = db.store().await;
    db.raw_either(
        "create table vals (i integer, b integer, t text, y blob, u blob, j text) strict",
        "create table vals (i bigint, b boolean, t text, y bytea, u uuid, j jsonb)",
    )
    .await;
    store
}

/// Stores `values`, reads the row back as `T`, and leaves the table empty.
async fn there_and_back<T: FromRow + Send + 'static>(store: &Store, values: [Value; 6]) -> Result<T> {
    store
        .write(|tx| {
            Box::pin(async {
                let insert = tx.query("insert into vals (i, b, t, y, u, j) values ($1, $2, $3, $4, $5, $6)");
                values.into_iter().fold(insert, phoneops::db::Query::bind).execute().await?;
                let row = tx.query("select i, b, t, y, u, j from vals").one().await?;
                tx.query("delete from vals").execute().await?;
                Ok(row)
            })
        })
        .await
}

#[derive(Debug, PartialEq)]
struct Everything {
    i: i64,
    at: Timestamp,
    b: bool,
    t: String,
    y: Vec<u8>,
    u: Uuid,
    user: UserId,
    j: serde_json::Value,
}

impl FromRow for Everything {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            i: row.get("i")?,
            at: row.get("i")?,
            b: row.get("b")?,
            t: row.get("t")?,
            y: row.get("y")?,
            u: row.get("u")?,
            user: row.get("u")?,
            j: row.get::<Json<_>>("j")?.0,
        })
    }
}

async fn every_type_survives_the_database(db: TestDb) {
    let store = with_values(&db).await;
    let texts = ["", "yannick", "Grüße, 世界 🚨\n'quoted' \"twice\" \\ $1 %_ ? :name"];
    let bytes: [&[u8]; 3] = [&[], &[0, 1, 255], &[0xff; 5_000]];
    let documents = [json!({}), json!({"a": [1, -2, true, null, "ü\n"], "big": 9_007_199_254_740_991_i64}), json!("text")];
    let integers = [0, i64::MIN, i64::MAX];
    for (n, (((t, y), j), i)) in texts.iter().zip(bytes).zip(documents).zip(integers).enumerate() {
        let u = UserId::new(NOW);
        let expected = Everything {
            i,
            at: Timestamp::from_micros(i),
            b: n % 2 == 0,
            t: (*t).to_owned(),
            y: y.to_vec(),
            u: u.0,
            user: u,
            j: j.clone(),
        };
        let values = [i.into(), (n % 2 == 0).into(), (*t).into(), y.into(), u.into(), Json(j).into()];
        assert_eq!(there_and_back::<Everything>(&store, values).await.unwrap(), expected);
    }
    let instant = [NOW.into(), true.into(), "".into(), [9_u8; 32].into(), ApprovalId::new(NOW).into(), Json(1).into()];
    assert_eq!(there_and_back::<Everything>(&store, instant).await.unwrap().at, NOW);
}

#[derive(Debug)]
struct Nothing(Vec<&'static str>);

impl FromRow for Nothing {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let mut nulls = Vec::new();
        let mut note = |name, null: bool| {
            if null {
                nulls.push(name);
            }
        };
        note("i64", row.get::<Option<i64>>("i")?.is_none());
        note("u32", row.get::<Option<u32>>("i")?.is_none());
        note("at", row.get::<Option<Timestamp>>("i")?.is_none());
        note("bool", row.get::<Option<bool>>("b")?.is_none());
        note("text", row.get::<Option<String>>("t")?.is_none());
        note("bytes", row.get::<Option<Vec<u8>>>("y")?.is_none());
        note("digest", row.get::<Option<[u8; 32]>>("y")?.is_none());
        note("uuid", row.get::<Option<Uuid>>("u")?.is_none());
        note("id", row.get::<Option<UserId>>("u")?.is_none());
        note("json", row.get::<Option<Json<serde_json::Value>>>("j")?.is_none());
        Ok(Self(nulls))
    }
}

async fn null_is_none_of_every_type(db: TestDb) {
    let store = with_values(&db).await;
    let nulls = [
        None::<i64>.into(),
        None::<bool>.into(),
        None::<String>.into(),
        None::<Vec<u8>>.into(),
        None::<Uuid>.into(),
        Value::Json(None),
    ];
    let found = there_and_back::<Nothing>(&store, nulls).await.unwrap().0;
    assert_eq!(found, ["i64", "u32", "at", "bool", "text", "bytes", "digest", "uuid", "id", "json"]);
}

/// What reading the one value of `sql` as `T` gives.
async fn value<T: Column + Send + 'static>(store: &Store, sql: impl Into<Sql>) -> Result<T> {
    let sql = sql.into();
    store.read(move |db| Box::pin(async move { db.query(sql).one().await })).await
}

macro_rules! refused {
    ($store:ident, $($type:ty: $sql:expr;)*) => {$(
        let out = value::<$type>(&$store, $sql).await;
        assert!(matches!(out, Err(Error::Failed(_))), "{} from {}: {out:?}", stringify!($type), stringify!($sql));
    )*};
}

async fn what_is_not_of_the_type_is_an_error(db: TestDb) {
    let store = with_values(&db).await;
    let (uuid, small) = (Sql::either("select x'0102'", "select '\\x0102'::bytea"), "select 7");
    refused! { store,
        i64: "select 'text'";
        Timestamp: "select 'text'";
        bool: "select 'text'";
        bool: small;
        String: small;
        Vec<u8>: "select 'text'";
        [u8; 32]: uuid;
        Uuid: uuid;
        UserId: "select 'text'";
        Json<serde_json::Value>: small;
        Json<Vec<i64>>: Sql::either("select '{}'", "select '{}'::jsonb");
        i64: "select null";
        String: "select null";
        Uuid: "select null";
        bool: "select null";
        [u8; 32]: "select null";
        Json<serde_json::Value>: "select null";
    }
    if db.engine() == Engine::Lite {
        refused! { store, Json<serde_json::Value>: "select 'not json'"; String: "select cast(x'ff' as text)"; }
    }
}

async fn a_count_beyond_32_bits_is_an_error(db: TestDb) {
    let store = with_values(&db).await;
    let wide = |lite, pg| Sql::either(lite, pg);
    assert_eq!(value::<u32>(&store, wide("select 4294967295", "select 4294967295::bigint")).await.unwrap(), u32::MAX);
    refused! { store,
        u32: wide("select 4294967296", "select 4294967296::bigint");
        u32: wide("select -1", "select -1::bigint");
    }
}

async fn parameters_are_bound_by_their_number(db: TestDb) {
    let store = with_values(&db).await;
    let odd: Vec<String> = store
        .write::<_, Error, _>(|tx| {
            Box::pin(async {
                tx.query("insert into vals (t, i) values ($2, $1)").bind(1_i64).bind("first").execute().await?;
                tx.query("insert into vals (i, t) values ($1 + $1, $2)").bind(2_i64).bind("twice").execute().await?;
                tx.query("insert into vals (t, i) select $3, $2 where $1 = 'so' and $2 > 0")
                    .bind("so")
                    .bind(9_i64)
                    .bind("third")
                    .execute()
                    .await?;
                tx.query("select t from vals where i in ($2, $1, $2) or t = $3 order by i")
                    .bind(4_i64)
                    .bind(1_i64)
                    .bind("third")
                    .all()
                    .await
            })
        })
        .await
        .unwrap();
    assert_eq!(odd, ["first", "twice", "third"]);
}

async fn a_wrong_number_of_parameters_is_an_error(db: TestDb) {
    const MANY: &str = "select $1 + $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 + $10 + $11 + $12 + $13 + $14 + $15 + $16 + $17
        + $18 + $19 + $20 + $21 + $22 + $23 + $24 + $25";
    let store = with_values(&db).await;
    let bound = async |sql: &'static str, count: i64| -> Result<u64> {
        store
            .write(move |tx| Box::pin(async move { (0..count).fold(tx.query(sql), phoneops::db::Query::bind).execute().await }))
            .await
    };
    bound("delete from vals where i = $1 or i = $2", 2).await.expect("as many as there are");
    for count in [0, 1, 3] {
        let out = bound("delete from vals where i = $1 or i = $2", count).await;
        assert!(matches!(out, Err(Error::Failed(_))), "{count}: {out:?}");
    }
    let out = bound("delete from vals", 1).await;
    assert!(matches!(out, Err(Error::Failed(_))), "{out:?}");
    // The 25th has no name on SQLite, and would be NULL.
    let sum: Result<Option<i64>> = store
        .write(move |tx| Box::pin(async move { (0..25_i64).fold(tx.query(MANY), phoneops::db::Query::bind).one().await }))
        .await;
    assert!(!matches!(sum, Ok(None)), "a parameter was lost");
}

async fn a_missing_column_and_a_missing_row_are_errors(db: TestDb) {
    let store = with_values(&db).await;
    let missing: Result<Everything> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into vals (i) values (1)").execute().await?;
                tx.query("select i from vals").one().await
            })
        })
        .await;
    assert!(matches!(missing, Err(Error::Failed(_))), "{missing:?}");
    refused! { store, i64: "select i from vals where i = 1"; }
}
