//! `[fcm]`: Android phones with a native app.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::Error;

/// `[fcm]`, once `service_account_file` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fcm {
    /// The service account's credentials as Google's console gives them out: JSON with a private key.
    pub service_account_file: PathBuf,
    /// Where messages are sent.
    pub endpoint: Url,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
}

const ENDPOINT: &str = "https://fcm.googleapis.com";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FcmFile {
    service_account_file: Option<PathBuf>,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
}

impl FcmFile {
    /// Sets `PHONEOPS_FCM_…`; `false` when there is no such key.
    pub(super) fn set(&mut self, key: &str, value: &str) -> bool {
        match key {
            "SERVICE_ACCOUNT_FILE" => self.service_account_file = Some(value.into()),
            "ENDPOINT" => self.endpoint = Some(value.to_owned()),
            "CA_FILE" => self.ca_file = Some(value.into()),
            _ => return false,
        }
        true
    }

    pub(super) fn finish(self) -> Result<Option<Fcm>, Error> {
        let refused = |key: &str, why: String| Error::Value { key: format!("fcm.{key}"), why };
        let Self { service_account_file, endpoint, ca_file } = self;
        let Some(service_account_file) = service_account_file else {
            let alone = endpoint.is_some() || ca_file.is_some();
            return if alone { Err(refused("service_account_file", "is missing: [fcm] needs it".into())) } else { Ok(None) };
        };
        let endpoint = endpoint.as_deref().unwrap_or(ENDPOINT);
        let endpoint = endpoint.parse().map_err(|why: url::ParseError| refused("endpoint", why.to_string()))?;
        Ok(Some(Fcm { service_account_file, endpoint, ca_file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(pairs: &[(&str, &str)]) -> Result<Option<Fcm>, Error> {
        let mut file = FcmFile::default();
        assert!(pairs.iter().all(|(key, value)| file.set(key, value)));
        file.finish()
    }

    #[test]
    fn it_is_configured_by_its_account_and_a_refusal_names_the_key() {
        assert_eq!(finished(&[]).unwrap(), None);
        let fcm = finished(&[("SERVICE_ACCOUNT_FILE", "/etc/phoneops/fcm.json")]).unwrap().unwrap();
        assert_eq!(fcm.endpoint.as_str(), "https://fcm.googleapis.com/");
        let alone = finished(&[("ENDPOINT", "https://localhost:1")]).unwrap_err();
        assert!(alone.to_string().starts_with("fcm.service_account_file: "), "{alone}");
        let odd = finished(&[("SERVICE_ACCOUNT_FILE", "x"), ("ENDPOINT", "here")]).unwrap_err();
        assert!(odd.to_string().starts_with("fcm.endpoint: "), "{odd}");
        assert!(!FcmFile::default().set("PROJECT", "x"));
    }
}
