//! Typed ids: a prefix that says what it names, and a UUID version 7 (RFC 9562), which sorts by time.
//!
//! **Invariants**
//! - The text form is `prefix_` and 32 lower-case hex digits, and nothing else parses.
//! - An id of one kind never parses as another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::secret::random;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like {prefix}_ and 32 hex digits")]
pub struct NotAnId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// A fresh UUID version 7 for `now`.
#[must_use]
pub fn uuid_at(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_micros().max(0) / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What its text starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id.
            #[must_use]
            pub fn new(now: Timestamp) -> Self {
                Self(uuid_at(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse($prefix, text).map(Self).ok_or(NotAnId { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <std::borrow::Cow<'de, str>>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-9a-f]{32}$"),
                })
            }
        }
    )*};
}

ids! {
    /// A person.
    UserId = "usr";
    /// An API client that people's chat speaks through.
    BotId = "bot";
    /// A phone, browser or command line of a user.
    DeviceId = "dev";
    /// A passkey of a user.
    PasskeyId = "pky";
    /// A passkey registration under way.
    CeremonyId = "cer";
    /// An enrolment code, named without showing it.
    EnrollmentId = "enr";
    /// A request that an action be allowed.
    ApprovalId = "apr";
    /// One statement offered to one approver for signing.
    ChallengeId = "chl";
    /// Proof that an action was approved, good for one redemption.
    GrantId = "grt";
    /// Something a human must look at.
    IncidentId = "inc";
    /// One user told about one subject.
    NotificationId = "ntf";
    /// One try to reach one device.
    AttemptId = "att";
    /// A unit of work to be done at the edge.
    JobId = "job";
    /// An entry of the journal.
    EventId = "evt";
}

fn parse(prefix: &str, text: &str) -> Option<Uuid> {
    let hex = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let plain = hex.len() == 32 && !hex.bytes().any(|b| b.is_ascii_uppercase());
    Uuid::try_parse(hex).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_is_not_another_kind() {
        let id = UserId::new(Timestamp::from_seconds(1_700_000_000));
        assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        assert!(id.to_string().parse::<BotId>().is_err());
        assert!(id.to_string().to_uppercase().parse::<UserId>().is_err());
        assert!("usr_6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse::<UserId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = IncidentId::new(Timestamp::from_seconds(1_000));
        let late = IncidentId::new(Timestamp::from_seconds(1_001));
        assert!(early < late && early.to_string() < late.to_string());
    }
}
