//! Typed ids: a prefix that says what it names, and a UUID version 7 (RFC 9562), which sorts by time.
//!
//! **Invariants**
//! - The text form is `prefix_` and 32 lower-case hex digits, and nothing else parses.
//! - An id of one kind never parses as another.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A fresh UUID version 7 for `now`. Ids made by one process always ascend, even while the clock stands still: the 12 bits after
/// the milliseconds count (RFC 9562 section 6.2, method 1), so what happened first sorts first.
#[must_use]
pub fn uuid_at(now: Timestamp) -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let millis = u64::try_from(now.as_micros().max(0) / 1_000).unwrap_or(0);
    let next = |last: u64| (last + 1).max(millis << 12);
    let last = LAST.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last))).unwrap_or_default();
    let next = next(last);
    let mut tail: [u8; 10] = random();
    tail[0] = u8::try_from((next >> 8) & 0x0f).unwrap_or_default();
    tail[1] = u8::try_from(next & 0xff).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(next >> 12, &tail).into_uuid()
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
    /// People who are paged and who approve together.
    TeamId = "team";
    /// A key that a bot signs its calls with.
    BotKeyId = "bky";
    /// A passkey of a user.
    PasskeyId = "pky";
    /// A passkey registration under way.
    CeremonyId = "cer";
    /// An enrolment code, named without showing it.
    EnrollmentId = "enr";
    /// One statement offered to a device for confirming another of the same person.
    DeviceChallengeId = "dch";
    /// A request that an action be allowed.
    ApprovalId = "apr";
    /// One statement offered to one approver for signing.
    ChallengeId = "chl";
    /// A weakening change that waits for an administrator's passkey.
    ActId = "act";
    /// One statement of such a change, offered to one administrator for signing.
    ActChallengeId = "ach";
    /// Proof that an action was approved, good for one redemption.
    GrantId = "grt";
    /// An end, until an administrator lifts it, to what a bot may have approved.
    FreezeId = "frz";
    /// Something a human must look at.
    IncidentId = "inc";
    /// What breaks.
    ServiceId = "svc";
    /// How a monitoring system reports that a service breaks.
    IntegrationId = "int";
    /// Something an integration reported.
    AlertId = "alt";
    /// Incidents that one person is told of together.
    BundleId = "bun";
    /// Who is paged, then who next.
    EscalationPolicyId = "esc";
    /// Who is on call when.
    ScheduleId = "sch";
    /// Somebody who takes the pager for a while.
    OverrideId = "ovr";
    /// A calendar of shifts that is read by its address.
    CalendarFeedId = "cal";
    /// A time in which nobody is paged about a service.
    MaintenanceWindowId = "mnt";
    /// One user told about one subject.
    NotificationId = "ntf";
    /// One try to reach one device.
    AttemptId = "att";
    /// A unit of work to be done at the edge.
    JobId = "job";
    /// An entry of the journal.
    EventId = "evt";
    /// Somebody who is told of events by HTTP.
    WebhookId = "whk";
    /// Who somebody is in chat, linked to them.
    ChatIdentityId = "cid";
    /// Something a bot said in chat.
    ChatMessageId = "msg";
    /// A room that hears of incidents or requests unasked.
    ChatSubscriptionId = "sub";
    /// Something that Slack sent and that is to be done.
    SlackCallId = "slk";
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
    fn ids_ascend_even_while_the_clock_stands_still() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let ids: Vec<_> = (0..10_000).map(|_| EventId::new(now)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b && a.to_string() < b.to_string()));
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
    }
}
