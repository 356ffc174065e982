//! Which alerts of a service become one incident.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::paging::services::Settings;
use crate::secret::tagged_sha256;

/// What an alert of a service is grouped by; none when each alert is an incident of its own. A label that is missing agrees with one that
/// is missing, and with no other.
pub(super) fn group(settings: &Settings, labels: &BTreeMap<String, String>) -> Option<[u8; 32]> {
    let by = settings.group_by.as_ref()?;
    let values: BTreeMap<&str, Option<&String>> = by.iter().map(|name| (name.as_str(), labels.get(name))).collect();
    Some(tagged_sha256("phoneops.group.v1", json!(values).to_string().as_bytes()))
}

/// Since when an incident must have begun for others to join it.
pub(super) fn since(settings: &Settings, now: Timestamp) -> Timestamp {
    now.before(Duration::from_secs(u64::from(settings.group_seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_agree_when_the_labels_that_are_asked_for_do() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let by = |names: &[&str]| Settings {
            group_by: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Settings::default()
        };
        let (one, other) = (labels(&[("env", "prod"), ("host", "a")]), labels(&[("env", "prod"), ("host", "b")]));
        assert_eq!(group(&Settings::default(), &one), None);
        assert_eq!(group(&by(&["env"]), &one), group(&by(&["env"]), &other));
        assert_ne!(group(&by(&["env", "host"]), &one), group(&by(&["env", "host"]), &other));
        assert_eq!(group(&by(&["host", "env"]), &one), group(&by(&["env", "host"]), &one));
        assert_eq!(group(&by(&[]), &one), group(&by(&[]), &labels(&[])));
        assert_ne!(group(&by(&["rack"]), &one), group(&by(&["rack"]), &labels(&[("rack", "")])));
    }
}
