//! `[delivery]` and `[privacy]`.

use serde::Deserialize;

use super::{Error, within};

/// `[delivery]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Seconds that a phone has to say that a push came, before every way to its person rings, louder. 5 to 600.
    pub receipt_seconds: u32,
}

/// `[privacy]`: what of a notification reaches push services, mail servers and locked screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Of pages.
    pub pages: PagesShow,
    /// Of approvals, and of devices and notices.
    pub approvals: ApprovalsShow,
}

/// What a page's push says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagesShow {
    /// That there is one.
    Minimal,
    /// Its title and who reported it.
    #[default]
    Title,
    /// Its details too.
    Full,
}

/// What an approval's push says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalsShow {
    /// That one waits, everywhere.
    Minimal,
    /// That one waits. Its tag, and who answered it, only where the provider cannot read it.
    #[default]
    Doorbell,
    /// What it is about.
    Full,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeliveryFile {
    receipt_seconds: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PrivacyFile {
    pages: Option<PagesShow>,
    approvals: Option<ApprovalsShow>,
}

impl DeliveryFile {
    /// Sets one key of the environment; `false` when there is no such key.
    pub(super) fn set(&mut self, key: &str, name: &str, value: &str) -> Result<bool, Error> {
        if key != "RECEIPT_SECONDS" {
            return Ok(false);
        }
        let parsed = value.parse().map_err(|why: std::num::ParseIntError| refused(name, why.to_string()))?;
        self.receipt_seconds = Some(parsed);
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<Delivery, Error> {
        Ok(Delivery { receipt_seconds: within("delivery.receipt_seconds", self.receipt_seconds, 15, 5, 600)? })
    }
}

impl PrivacyFile {
    /// Sets one key of the environment; `false` when there is no such key.
    pub(super) fn set(&mut self, key: &str, name: &str, value: &str) -> Result<bool, Error> {
        match key {
            "PAGES" => self.pages = Some(word(name, value)?),
            "APPROVALS" => self.approvals = Some(word(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> Privacy {
        Privacy { pages: self.pages.unwrap_or_default(), approvals: self.approvals.unwrap_or_default() }
    }
}

fn word<T: for<'de> Deserialize<'de>>(name: &str, value: &str) -> Result<T, Error> {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error as Unknown, StrDeserializer};
    let word: StrDeserializer<'_, Unknown> = value.into_deserializer();
    T::deserialize(word).map_err(|why| refused(name, why.to_string()))
}

fn refused(key: &str, why: String) -> Error {
    Error::Value { key: key.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::load(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_shows_its_title_and_an_approval_that_it_waits_unless_it_is_said_otherwise() {
        let config = load(&[]).unwrap();
        assert_eq!((config.delivery.receipt_seconds, config.privacy), (15, Privacy::default()));
        assert_eq!((config.privacy.pages, config.privacy.approvals), (PagesShow::Title, ApprovalsShow::Doorbell));
        let config = load(&[("PHONEOPS_PRIVACY_PAGES", "minimal"), ("PHONEOPS_PRIVACY_APPROVALS", "full")]).unwrap();
        assert_eq!((config.privacy.pages, config.privacy.approvals), (PagesShow::Minimal, ApprovalsShow::Full));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |key, value| load(&[(key, value)]).unwrap_err();
        assert!(refused("PHONEOPS_DELIVERY_RECEIPT_SECONDS", "4").contains("delivery.receipt_seconds: must be 5 to 600"));
        assert!(refused("PHONEOPS_DELIVERY_RECEIPT_SECONDS", "soon").starts_with("PHONEOPS_DELIVERY_RECEIPT_SECONDS: "));
        let said = refused("PHONEOPS_PRIVACY_PAGES", "doorbell");
        assert!(said.starts_with("PHONEOPS_PRIVACY_PAGES: ") && said.contains("minimal"), "{said}");
        assert!(refused("PHONEOPS_PRIVACY_APPROVALS", "title").starts_with("PHONEOPS_PRIVACY_APPROVALS: "));
    }
}
