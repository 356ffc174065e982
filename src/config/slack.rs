//! `[slack]`: the workspace whose people are spoken with.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::{Host, Url};

use super::Error;
use crate::secret::Secret;

/// `[slack]`, once `bot` is set.
#[derive(Clone, Debug)]
pub struct Slack {
    /// The bot of this installation that speaks there, by name.
    pub bot: String,
    /// What the app acts with in the workspace: `xoxb-…`.
    pub bot_token: Secret,
    /// What the app opens sockets with (Socket Mode): `xapp-…`. Without one Slack calls `/slack/…`.
    pub app_token: Option<Secret>,
    /// What Slack signs its calls with. Without one `/slack/…` is not there.
    pub signing_secret: Option<Secret>,
    /// Where the Web API is, with a slash at its end.
    pub api_url: Url,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
}

const API_URL: &str = "https://slack.com/api/";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SlackFile {
    bot: Option<String>,
    bot_token: Option<String>,
    bot_token_file: Option<PathBuf>,
    app_token: Option<String>,
    app_token_file: Option<PathBuf>,
    signing_secret: Option<String>,
    signing_secret_file: Option<PathBuf>,
    api_url: Option<String>,
    ca_file: Option<PathBuf>,
}

impl SlackFile {
    /// Sets `PHONEOPS_SLACK_…`; `false` when there is no such key. What comes by the environment stands over the file in either form.
    pub(super) fn set(&mut self, key: &str, value: &str) -> bool {
        let text = || Some(value.to_owned());
        let path = || Some(PathBuf::from(value));
        match key {
            "BOT" => self.bot = text(),
            "BOT_TOKEN" => (self.bot_token, self.bot_token_file) = (text(), None),
            "BOT_TOKEN_FILE" => (self.bot_token, self.bot_token_file) = (None, path()),
            "APP_TOKEN" => (self.app_token, self.app_token_file) = (text(), None),
            "APP_TOKEN_FILE" => (self.app_token, self.app_token_file) = (None, path()),
            "SIGNING_SECRET" => (self.signing_secret, self.signing_secret_file) = (text(), None),
            "SIGNING_SECRET_FILE" => (self.signing_secret, self.signing_secret_file) = (None, path()),
            "API_URL" => self.api_url = text(),
            "CA_FILE" => self.ca_file = path(),
            _ => return false,
        }
        true
    }

    pub(super) fn finish(self) -> Result<Option<Slack>, Error> {
        let Self {
            bot,
            bot_token,
            bot_token_file,
            app_token,
            app_token_file,
            signing_secret,
            signing_secret_file,
            api_url,
            ca_file,
        } = self;
        let bot_token = secret("bot_token", bot_token, bot_token_file.as_deref())?;
        let app_token = secret("app_token", app_token, app_token_file.as_deref())?;
        let signing_secret = secret("signing_secret", signing_secret, signing_secret_file.as_deref())?;
        let Some(bot) = bot else {
            let others = [&bot_token, &app_token, &signing_secret].iter().any(|secret| secret.is_some());
            let alone = others || api_url.is_some() || ca_file.is_some();
            return if alone { Err(refused("bot", "is missing: which bot speaks in Slack, by its name")) } else { Ok(None) };
        };
        let bot_token =
            bot_token.ok_or_else(|| refused("bot_token", "is missing: it is under OAuth & Permissions of the Slack app"))?;
        if !bot_token.expose().starts_with("xoxb-") {
            return Err(refused("bot_token", "expected a bot's token, which begins with xoxb-"));
        }
        if app_token.as_ref().is_some_and(|token| !token.expose().starts_with("xapp-")) {
            return Err(refused("app_token", "expected a token of the app, which begins with xapp-"));
        }
        if app_token.is_none() && signing_secret.is_none() {
            return Err(refused(
                "app_token",
                "is missing: it opens a socket to Slack. Where Slack calls instead, set signing_secret",
            ));
        }
        let api_url = place(api_url.as_deref().unwrap_or(API_URL))?;
        Ok(Some(Slack { bot, bot_token, app_token, signing_secret, api_url, ca_file }))
    }
}

fn refused(key: &str, why: impl Into<String>) -> Error {
    Error::Value { key: format!("slack.{key}"), why: why.into() }
}

/// A secret that stands there, or in a file.
fn secret(key: &str, text: Option<String>, file: Option<&Path>) -> Result<Option<Secret>, Error> {
    let text = match (text, file) {
        (Some(_), Some(_)) => return Err(refused(key, format!("stands beside {key}_file: one of them"))),
        (Some(text), None) => Secret::new(text),
        (None, Some(path)) => {
            let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
            Secret::new(std::fs::read_to_string(path).map_err(unreadable)?)
        }
        (None, None) => return Ok(None),
    };
    let text = text.expose().trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(key, "expected one word"));
    }
    Ok(Some(Secret::new(text.to_owned())))
}

/// Where the Web API is: tokens are sent there, so in the clear to this machine alone.
fn place(text: &str) -> Result<Url, Error> {
    let mut url: Url = text.parse().map_err(|why: url::ParseError| refused("api_url", why.to_string()))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !(url.scheme() == "https" || url.scheme() == "http" && here) || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("api_url", "expected an https URL; http is for this machine only"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(pairs: &[(&str, &str)]) -> Result<Option<Slack>, Error> {
        let mut file = SlackFile::default();
        assert!(pairs.iter().all(|(key, value)| file.set(key, value)));
        file.finish()
    }

    const WHOLE: [(&str, &str); 3] = [("BOT", "heimdall"), ("BOT_TOKEN", "xoxb-1"), ("APP_TOKEN", "xapp-1")];

    #[test]
    fn nothing_is_off_and_all_of_it_is_on() {
        assert!(finished(&[]).unwrap().is_none());
        let slack = finished(&WHOLE).unwrap().expect("it is on");
        assert_eq!((slack.bot.as_str(), slack.api_url.as_str()), ("heimdall", API_URL));
        assert!(!format!("{slack:?}").contains("xoxb-1") && !format!("{slack:?}").contains("xapp-1"));
        let here = finished(&[WHOLE.as_slice(), &[("API_URL", "http://127.0.0.1:9740/api")]].concat()).unwrap();
        assert_eq!(here.expect("it is on").api_url.as_str(), "http://127.0.0.1:9740/api/");
    }

    #[test]
    fn secrets_may_be_in_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "xoxb-2\n").unwrap();
        let path = file.path().to_str().unwrap();
        let slack = finished(&[("BOT", "heimdall"), ("BOT_TOKEN_FILE", path), ("SIGNING_SECRET", "s")]).unwrap().expect("on");
        assert_eq!(slack.bot_token.expose(), "xoxb-2");
        assert!(slack.app_token.is_none() && slack.signing_secret.is_some());
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_refused_by_name() {
        let why = |pairs: &[(&str, &str)]| finished(pairs).unwrap_err().to_string();
        assert!(why(&[("BOT_TOKEN", "xoxb-1")]).starts_with("slack.bot: is missing"));
        assert!(why(&[("BOT", "heimdall")]).starts_with("slack.bot_token: is missing"));
        assert!(why(&[("BOT", "heimdall"), ("BOT_TOKEN", "xoxp-1")]).starts_with("slack.bot_token: expected"));
        assert!(why(&[("BOT", "heimdall"), ("BOT_TOKEN", "xoxb-1")]).starts_with("slack.app_token: is missing"));
        assert!(why(&[("BOT", "heimdall"), ("BOT_TOKEN", "xoxb-1"), ("APP_TOKEN", "xoxb-1")]).starts_with("slack.app_token: "));
        assert!(why(&[("BOT", "heimdall"), ("BOT_TOKEN", "xoxb- 1")]).starts_with("slack.bot_token: expected one word"));
        for odd in ["http://slack.example/api/", "ftp://localhost/", "https://slack.com/api/?x=1", "slack"] {
            assert!(why(&[WHOLE.as_slice(), &[("API_URL", odd)]].concat()).starts_with("slack.api_url: "), "{odd}");
        }
        assert!(!SlackFile::default().set("TOKEN", "xoxb-1"));
    }
}
