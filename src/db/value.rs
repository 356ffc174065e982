//! Values on their way into a statement and out of a row.
//!
//! Both engines store the same things in their native types: instants as 64-bit microseconds, UUIDs as `uuid` or a 16-byte
//! blob, JSON as `jsonb` or text, booleans as `boolean` or 0 and 1.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Error, Result};
use crate::clock::Timestamp;
use crate::id;

/// One bound parameter; `None` is NULL of that type.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the types they name")]
pub enum Value {
    Int(Option<i64>),
    Bool(Option<bool>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Json(Option<serde_json::Value>),
}

/// A value stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> From<Json<T>> for Value {
    fn from(Json(value): Json<T>) -> Self {
        // Only maps with keys that are not strings fail here, and no stored type has one.
        Self::Json(Some(serde_json::to_value(value).expect("stored types are JSON")))
    }
}

macro_rules! into_value {
    ($($from:ty => $variant:ident |$v:ident| $convert:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($v: $from) -> Self {
                Self::$variant(Some($convert))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map(|$v| $convert))
            }
        }
    )*};
}

into_value! {
    i64 => Int |v| v;
    u32 => Int |v| i64::from(v);
    bool => Bool |v| v;
    String => Text |v| v;
    &str => Text |v| v.to_owned();
    &String => Text |v| v.clone();
    Vec<u8> => Bytes |v| v;
    &[u8] => Bytes |v| v.to_vec();
    [u8; 32] => Bytes |v| v.to_vec();
    &[u8; 32] => Bytes |v| v.to_vec();
    Uuid => Uuid |v| v;
    Timestamp => Int |v| v.as_micros();
}

/// A type that one column holds. Reading the wrong type is an error, never a default.
pub trait Column: Sized {
    /// From SQLite; `None` when the stored value is not of this type.
    fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self>;
    /// From PostgreSQL.
    ///
    /// # Errors
    /// When the column is absent or of another type.
    fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error>;
}

macro_rules! column {
    ($($type:ty, $pg:ty => |$p:ident| $from_pg:expr, $pattern:pat => $from_lite:expr;)*) => {$(
        impl Column for $type {
            fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
                use rusqlite::types::ValueRef::{Blob, Integer, Text};
                // Each type uses one of the three; naming them keeps the arms readable.
                let _ = (Blob as fn(_) -> _, Integer as fn(_) -> _, Text as fn(_) -> _);
                match value {
                    $pattern => $from_lite,
                    _ => None,
                }
            }
            fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
                row.try_get::<$pg, _>(column).map(|$p| $from_pg)
            }
        }
    )*};
}

column! {
    i64, i64 => |v| v, Integer(v) => Some(v);
    bool, bool => |v| v, Integer(v @ 0..=1) => Some(v == 1);
    String, String => |v| v, Text(v) => String::from_utf8(v.to_vec()).ok();
    Vec<u8>, Vec<u8> => |v| v, Blob(v) => Some(v.to_vec());
    Uuid, Uuid => |v| v, Blob(v) => Uuid::from_slice(v).ok();
    Timestamp, i64 => |v| Timestamp::from_micros(v), Integer(v) => Some(Timestamp::from_micros(v));
}

impl Column for u32 {
    fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
        i64::from_lite(value)?.try_into().ok()
    }

    fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
        let wide = i64::from_pg(row, column)?;
        wide.try_into().map_err(|_| sqlx::Error::Decode(format!("{wide} is not a 32-bit count").into()))
    }
}

impl Column for [u8; 32] {
    fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
        Vec::from_lite(value)?.try_into().ok()
    }

    fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
        Vec::from_pg(row, column)?
            .try_into()
            .map_err(|v: Vec<u8>| sqlx::Error::Decode(format!("expected 32 bytes, found {}", v.len()).into()))
    }
}

impl<T: Column> Column for Option<T> {
    fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
        match value {
            rusqlite::types::ValueRef::Null => Some(None),
            value => T::from_lite(value).map(Some),
        }
    }

    fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
        use sqlx::ValueRef as _;
        if row.try_get_raw(column)?.is_null() {
            return Ok(None);
        }
        T::from_pg(row, column).map(Some)
    }
}

impl<T: DeserializeOwned> Column for Json<T> {
    fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
        match value {
            rusqlite::types::ValueRef::Text(text) => serde_json::from_slice(text).ok().map(Json),
            _ => None,
        }
    }

    fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
        let sqlx::types::Json(value) = row.try_get::<sqlx::types::Json<serde_json::Value>, _>(column)?;
        serde_json::from_value(value).map(Json).map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

macro_rules! id_columns {
    ($($id:ident)*) => {$(
        into_value! { id::$id => Uuid |v| v.0; }
        impl Column for id::$id {
            fn from_lite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
                Uuid::from_lite(value).map(Self)
            }
            fn from_pg(row: &sqlx::postgres::PgRow, column: usize) -> Result<Self, sqlx::Error> {
                Uuid::from_pg(row, column).map(Self)
            }
        }
    )*};
}

id_columns! {
    UserId BotId BotKeyId DeviceId PasskeyId CeremonyId EnrollmentId ApprovalId ChallengeId GrantId FreezeId IncidentId NotificationId AttemptId
    JobId EventId TeamId ActId ActChallengeId WebhookId ChatIdentityId ChatMessageId ChatSubscriptionId SlackCallId DeviceChallengeId
    ServiceId IntegrationId AlertId BundleId EscalationPolicyId ScheduleId OverrideId CalendarFeedId MaintenanceWindowId
}

/// One row of a result, whichever engine it came from.
pub enum Row<'r> {
    /// From SQLite.
    Lite(&'r rusqlite::Row<'r>),
    /// From PostgreSQL.
    Pg(&'r sqlx::postgres::PgRow),
}

impl Row<'_> {
    /// The named column.
    ///
    /// # Errors
    /// [`Error::Failed`] when there is no such column or it holds another type.
    pub fn get<T: Column>(&self, name: &str) -> Result<T> {
        match self {
            Self::Lite(row) => {
                let value = row.get_ref(name)?;
                T::from_lite(value).ok_or_else(|| Error::Failed(format!("column {name}: unexpected {}", value.data_type())))
            }
            Self::Pg(row) => {
                use sqlx::{Column as _, Row as _};
                let at = row
                    .columns()
                    .iter()
                    .position(|column| column.name() == name)
                    .ok_or_else(|| Error::Failed(format!("no column {name}")))?;
                Ok(T::from_pg(row, at)?)
            }
        }
    }

    fn first<T: Column>(&self) -> Result<T> {
        match self {
            Self::Lite(row) => {
                let value = row.get_ref(0)?;
                T::from_lite(value).ok_or_else(|| Error::Failed(format!("unexpected {}", value.data_type())))
            }
            Self::Pg(row) => Ok(T::from_pg(row, 0)?),
        }
    }
}

/// A type read from a whole row.
pub trait FromRow: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When a column is missing, of another type, or the row makes no sense.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

/// A row with one column can be read as that column.
impl<T: Column> FromRow for T {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        row.first()
    }
}
