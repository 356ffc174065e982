//! Native apps that may speak for this installation: named, so that the platforms let them use its passkeys and open its links.

use std::str::FromStr;

use url::Url;

use crate::secret::b64u;

/// An app that is not named as its platform names apps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnApp {
    /// Apple's form.
    #[error(
        "{0:?} is not an app id: a team id of 10 letters and digits, a dot and the bundle id, as 9JA89QQLNQ.com.example.phoneops"
    )]
    Ios(String),
    /// Android's form.
    #[error(
        "{0:?} is not package=FINGERPRINT: the package's name and the SHA-256 of its signing certificate, 32 bytes of hex with colons, as \
         com.example.phoneops=FA:C6:…"
    )]
    Android(String),
}

/// An iOS app: its team id and its bundle id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IosApp(String);

impl IosApp {
    /// `TEAMID.bundle.id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IosApp {
    type Err = NotAnApp;

    fn from_str(text: &str) -> Result<Self, NotAnApp> {
        let refused = || NotAnApp::Ios(text.to_owned());
        let (team, bundle) = text.split_once('.').ok_or_else(refused)?;
        let team_fits = team.len() == 10 && team.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if team_fits && bundle.split('.').all(part) { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }
}

/// An Android app: its package and the certificate it is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndroidApp {
    /// `com.example.phoneops`.
    pub package: String,
    /// SHA-256 of the signing certificate.
    pub certificate_sha256: [u8; 32],
}

impl AndroidApp {
    /// The origin that Android puts into passkey assertions of this app.
    ///
    /// # Panics
    /// Never: it is always a URL.
    #[must_use]
    pub fn origin(&self) -> Url {
        format!("android:apk-key-hash:{}", b64u(self.certificate_sha256)).parse().expect("base64url fits into a URL")
    }

    /// The fingerprint as Android's tools print it: upper-case hex with colons.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.certificate_sha256.map(|byte| format!("{byte:02X}")).join(":")
    }
}

impl FromStr for AndroidApp {
    type Err = NotAnApp;

    fn from_str(text: &str) -> Result<Self, NotAnApp> {
        let read = || {
            let (package, fingerprint) = text.split_once('=')?;
            let bytes: Vec<u8> = fingerprint.split(':').map(byte).collect::<Option<_>>()?;
            let fits = package.contains('.') && package.split('.').all(is_package_part);
            fits.then_some(Self { package: package.to_owned(), certificate_sha256: bytes.try_into().ok()? })
        };
        read().ok_or_else(|| NotAnApp::Android(text.to_owned()))
    }
}

fn byte(hex: &str) -> Option<u8> {
    let two = hex.len() == 2 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    two.then(|| u8::from_str_radix(hex, 16).ok())?
}

fn is_package_part(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "FA:C6:17:45:DC:09:03:78:6F:B9:ED:E6:2A:96:2B:39:9F:73:48:F0:BB:6F:89:9B:83:32:66:75:91:03:3B:9C";

    #[test]
    fn an_ios_app_has_a_team_and_a_bundle() {
        assert_eq!("9JA89QQLNQ.com.example.phoneops".parse::<IosApp>().unwrap().as_str(), "9JA89QQLNQ.com.example.phoneops");
        for odd in [
            "",
            "com.example.phoneops",
            "9JA89QQLNQ",
            "9JA89QQLNQ.",
            "9ja89qqlnq.com.example",
            "9JA89QQLNQ.com..x",
            "9JA89QQLNQ.a b",
        ] {
            assert_eq!(odd.parse::<IosApp>(), Err(NotAnApp::Ios(odd.into())));
        }
    }

    #[test]
    fn an_android_apps_origin_is_the_digest_of_its_certificate() {
        let app: AndroidApp = format!("com.example.phoneops={FINGERPRINT}").parse().unwrap();
        assert_eq!((app.package.as_str(), app.fingerprint().as_str()), ("com.example.phoneops", FINGERPRINT));
        assert_eq!(app.origin().as_str(), "android:apk-key-hash:-sYXRdwJA3hvue3mKpYrOZ9zSPC7b4mbgzJmdZEDO5w");
        let lower = format!("com.example.phoneops={}", FINGERPRINT.to_lowercase()).parse::<AndroidApp>();
        assert_eq!(lower, Ok(app));
        for odd in ["phoneops=", "com.example.phoneops", "com.example.phoneops=FA:C6", "com.9example.x=+1", "com..x=00"] {
            assert!(odd.parse::<AndroidApp>().is_err(), "{odd}");
        }
        let short_package = format!("phoneops={FINGERPRINT}");
        assert!(short_package.parse::<AndroidApp>().is_err());
    }
}
