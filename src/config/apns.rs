//! `[apns]`: iPhones and iPads with a native app.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::Error;

/// `[apns]`, once there is a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apns {
    /// The key that Apple gave out as `AuthKey_….p8`: PKCS#8 in PEM.
    pub key_file: PathBuf,
    /// The key's id, 10 characters.
    pub key_id: String,
    /// The id of the team that it belongs to, 10 characters.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// Where messages are sent.
    pub endpoint: Url,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether Apple lets the app sound through mute and Focus.
    pub critical_alerts: bool,
}

const ENDPOINT: &str = "https://api.push.apple.com";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApnsFile {
    key_file: Option<PathBuf>,
    key_id: Option<String>,
    team_id: Option<String>,
    topic: Option<String>,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    critical_alerts: Option<bool>,
}

impl ApnsFile {
    /// Sets `PHONEOPS_APNS_…`, which is called `name`; `false` when there is no such key.
    pub(super) fn set(&mut self, key: &str, name: &str, value: &str) -> Result<bool, Error> {
        let text = || Some(value.to_owned());
        match key {
            "KEY_FILE" => self.key_file = Some(value.into()),
            "KEY_ID" => self.key_id = text(),
            "TEAM_ID" => self.team_id = text(),
            "TOPIC" => self.topic = text(),
            "ENDPOINT" => self.endpoint = text(),
            "CA_FILE" => self.ca_file = Some(value.into()),
            "CRITICAL_ALERTS" => {
                let refused = |why: std::str::ParseBoolError| Error::Value { key: name.to_owned(), why: why.to_string() };
                self.critical_alerts = Some(value.parse().map_err(refused)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<Option<Apns>, Error> {
        let refused = |key: &str, why: String| Error::Value { key: format!("apns.{key}"), why };
        let missing = |key| refused(key, "is missing: [apns] needs key_file, key_id, team_id and topic".to_owned());
        let Self { key_file, key_id, team_id, topic, endpoint, ca_file, critical_alerts } = self;
        let named = [&key_id, &team_id, &topic, &endpoint].iter().any(|key| key.is_some());
        if key_file.is_none() && !named && ca_file.is_none() && critical_alerts.is_none() {
            return Ok(None);
        }
        let endpoint = endpoint.as_deref().unwrap_or(ENDPOINT);
        Ok(Some(Apns {
            key_file: key_file.ok_or_else(|| missing("key_file"))?,
            key_id: key_id.ok_or_else(|| missing("key_id"))?,
            team_id: team_id.ok_or_else(|| missing("team_id"))?,
            topic: topic.ok_or_else(|| missing("topic"))?,
            endpoint: endpoint.parse().map_err(|why: url::ParseError| refused("endpoint", why.to_string()))?,
            ca_file,
            critical_alerts: critical_alerts.unwrap_or(false),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 4] =
        [("KEY_FILE", "/etc/key.p8"), ("KEY_ID", "ABC123DEFG"), ("TEAM_ID", "DEF123GHIJ"), ("TOPIC", "com.example.phoneops")];

    fn finished(pairs: &[(&str, &str)]) -> Result<Option<Apns>, Error> {
        let mut file = ApnsFile::default();
        for (key, value) in pairs {
            assert!(file.set(key, key, value)?);
        }
        file.finish()
    }

    #[test]
    fn it_is_configured_by_its_key_and_a_refusal_names_what_is_missing() {
        assert_eq!(finished(&[]).unwrap(), None);
        let apns = finished(&WHOLE).unwrap().unwrap();
        assert_eq!((apns.endpoint.as_str(), apns.critical_alerts), ("https://api.push.apple.com/", false));
        for left_out in WHOLE {
            let rest: Vec<_> = WHOLE.into_iter().filter(|pair| *pair != left_out).collect();
            let refused = finished(&rest).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("apns.{}: ", left_out.0.to_lowercase())), "{refused}");
        }
        let with = |pair| finished(&[WHOLE.as_slice(), &[pair]].concat());
        assert!(with(("CRITICAL_ALERTS", "true")).unwrap().unwrap().critical_alerts);
        assert!(with(("CRITICAL_ALERTS", "loud")).unwrap_err().to_string().starts_with("CRITICAL_ALERTS: "));
        assert!(with(("ENDPOINT", "here")).unwrap_err().to_string().starts_with("apns.endpoint: "));
        assert!(finished(&[("CA_FILE", "/etc/ca.pem")]).is_err());
        assert!(!ApnsFile::default().set("PORT", "PHONEOPS_APNS_PORT", "1").unwrap());
    }
}
