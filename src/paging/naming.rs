//! Whom a page is for, as people write it: `@yannick`, `team:api`, `schedule:api-nights`, `service:api`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::identity::{Handle, UserRef, Who};

/// Whom a page is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A person.
    Person(Who),
    /// Everybody of a team.
    Team(Handle),
    /// Whoever is on call.
    Schedule(Handle),
    /// Whom the service's escalation policy says.
    Service(Handle),
}

/// A text that names nobody who could be paged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected @handle, usr_…, team:NAME, schedule:NAME or service:NAME")]
pub struct NotATo;

impl From<UserRef> for To {
    fn from(user: UserRef) -> Self {
        Self::Person(user.into())
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(who) => who.fmt(f),
            Self::Team(name) => write!(f, "team:{}", name.as_str()),
            Self::Schedule(name) => write!(f, "schedule:{}", name.as_str()),
            Self::Service(name) => write!(f, "service:{}", name.as_str()),
        }
    }
}

impl FromStr for To {
    type Err = NotATo;

    fn from_str(text: &str) -> Result<Self, NotATo> {
        let name = |name: &str| name.parse().map_err(|_| NotATo);
        match text.split_once(':') {
            Some(("team", team)) => name(team).map(Self::Team),
            Some(("schedule", schedule)) => name(schedule).map(Self::Schedule),
            Some(("service", service)) => name(service).map(Self::Service),
            _ => text.parse().map(Self::Person).map_err(|_| NotATo),
        }
    }
}

impl Serialize for To {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Person(who) => who.serialize(serializer),
            Self::Team(_) | Self::Schedule(_) | Self::Service(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match &value {
            serde_json::Value::String(text) => text.parse().map_err(serde::de::Error::custom),
            _ => serde_json::from_value(value).map(Self::Person).map_err(serde::de::Error::custom),
        }
    }
}

impl schemars::JsonSchema for To {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "To".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let named = schemars::json_schema!({"type": "string", "pattern": "^(team|schedule|service):[a-z][a-z0-9._-]{1,31}$"});
        let person = generator.subschema_for::<Who>();
        schemars::json_schema!({"anyOf": [person, named]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_page_is_for_is_read_as_people_write_it() {
        for (text, to) in [
            ("@yannick", To::Person("@yannick".parse().unwrap())),
            ("slack:T1:U1", To::Person("slack:T1:U1".parse().unwrap())),
            ("team:api", To::Team("api".parse().unwrap())),
            ("schedule:api-nights", To::Schedule("api-nights".parse().unwrap())),
            ("service:api", To::Service("api".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<To>().unwrap(), to, "{text}");
            assert_eq!(serde_json::from_value::<To>(serde_json::to_value(&to).unwrap()).unwrap(), to, "{text}");
        }
        for not in ["", "team:", "team:A B", "service:", "schedule:x:y"] {
            assert_eq!(not.parse::<To>(), Err(NotATo), "{not}");
        }
    }
}
