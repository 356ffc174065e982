//! Who sends: a service account of a Firebase project.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::goes_in_secret;
use crate::clock::Timestamp;
use crate::secret::b64u;

/// What the access token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// How long an assertion may be used, in seconds: Google takes no more.
const ASSERTION_SECONDS: i64 = 3_600;

/// A service account, as Google's console gives it out: JSON with a private key.
pub struct ServiceAccount {
    project: String,
    email: String,
    key_id: String,
    key: RsaKeyPair,
    token_uri: Url,
}

/// JSON that is no service account. Says which member, and not what it held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAccountInvalid {
    /// Not the JSON of any credentials.
    #[error("is not the JSON of a service account: {0}")]
    Json(String),
    /// A member does not do.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: Option<String>,
    project_id: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<zeroize::Zeroizing<String>>,
    client_email: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// From the file's content.
    ///
    /// # Errors
    /// Names the member that does not do.
    pub fn parse(json: &[u8]) -> Result<Self, ServiceAccountInvalid> {
        let wrong = |field, problem| ServiceAccountInvalid::Field { field, problem };
        let written: Written = serde_json::from_slice(json).map_err(|error| {
            // The error's own words may quote the file, which holds a key.
            ServiceAccountInvalid::Json(format!("line {}, column {}", error.line(), error.column()))
        })?;
        if written.kind.as_deref() != Some("service_account") {
            return Err(wrong("type", "expected \"service_account\""));
        }
        let project = written.project_id.filter(|id| is_project(id)).ok_or(wrong("project_id", "expected a project's id"))?;
        let key_id = written.private_key_id.filter(|id| is_word(id)).ok_or(wrong("private_key_id", "expected the key's id"))?;
        let pem = written.private_key.ok_or(wrong("private_key", "is missing"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok();
        let key = key.and_then(|der| RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok());
        let key = key.ok_or(wrong("private_key", "expected an RSA key in PEM (PKCS#8)"))?;
        let email = written.client_email.filter(|email| email.contains('@') && is_word(email));
        let email = email.ok_or(wrong("client_email", "expected the account's address"))?;
        let token_uri = written.token_uri.and_then(|uri| uri.parse().ok()).filter(goes_in_secret);
        let token_uri = token_uri.ok_or(wrong("token_uri", "expected an https URL; http is for this machine only"))?;
        Ok(Self { project, email, key_id, key, token_uri })
    }

    /// The project that messages are sent through.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    pub(super) fn token_uri(&self) -> &Url {
        &self.token_uri
    }

    /// What an access token is asked for with (RFC 7523 section 3), signed with RS256.
    pub(super) fn assertion(&self, now: Timestamp) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let iat = now.as_seconds();
        let claims = json!({"iss": self.email, "scope": SCOPE, "aud": self.token_uri.as_str(), "iat": iat, "exp": iat + ASSERTION_SECONDS});
        let input = format!("{}.{}", b64u(header.to_string()), b64u(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .expect("an RSA key signs as long as it is");
        format!("{input}.{}", b64u(signature))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("project", &self.project).finish_non_exhaustive()
    }
}

/// `my-project-1a2b`, or of a domain `example.com:my-project`.
fn is_project(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    (1..=100).contains(&id.len()) && id.bytes().all(plain) && id.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::OnceLock;

    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;
    use crate::secret::{b64, from_b64u};

    /// One key for all tests: making one takes long. As PEM, and the public half.
    fn key() -> &'static (String, Vec<u8>) {
        static KEY: OnceLock<(String, Vec<u8>)> = OnceLock::new();
        KEY.get_or_init(|| {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
            let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", b64(der.as_ref()));
            (pem, public.as_ref().to_vec())
        })
    }

    /// The JSON of an account whose access tokens are got at `token_uri`.
    pub(in crate::push::fcm) fn written(token_uri: &str) -> Value {
        json!({"type": "service_account", "project_id": "phoneops-1a2b", "private_key_id": "0a1b2c", "private_key": key().0,
               "client_email": "push@phoneops-1a2b.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri,
               "auth_uri": "https://accounts.example/auth", "universe_domain": "googleapis.com"})
    }

    fn parse(written: &Value) -> Result<ServiceAccount, ServiceAccountInvalid> {
        ServiceAccount::parse(written.to_string().as_bytes())
    }

    /// Header and claims of an assertion, once its signature held.
    pub(in crate::push::fcm) fn read(assertion: &str) -> (Value, Value) {
        let (input, signature) = assertion.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key().1.as_slice());
        key.verify(input.as_bytes(), &from_b64u(signature).unwrap()).expect("the signature is good");
        let (header, claims) = input.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice(&from_b64u(part).unwrap()).unwrap();
        (json(header), json(claims))
    }

    #[test]
    fn an_assertion_says_who_for_what_to_whom_and_until_when() {
        let account = parse(&written("https://oauth2.googleapis.com/token")).unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let (header, claims) = read(&account.assertion(now));
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "0a1b2c"}));
        assert_eq!(
            claims,
            json!({"iss": "push@phoneops-1a2b.iam.gserviceaccount.com", "scope": SCOPE,
                   "aud": "https://oauth2.googleapis.com/token", "iat": 1_800_000_000, "exp": 1_800_003_600})
        );
        assert_eq!(format!("{account:?}"), r#"ServiceAccount { project: "phoneops-1a2b", .. }"#);
    }

    #[test]
    fn a_refusal_names_the_member_and_not_what_it_held() {
        let good = written("https://oauth2.googleapis.com/token");
        for (field, bad) in [
            ("type", json!("authorized_user")),
            ("project_id", json!("../other")),
            ("project_id", json!("123")),
            ("private_key_id", json!("")),
            ("private_key", json!("hunter2")),
            ("private_key", json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
            ("client_email", json!("somebody")),
            ("token_uri", json!("http://oauth2.googleapis.com/token")),
            ("token_uri", json!("https://ops:hunter2@localhost/token")),
        ] {
            for bad in [bad, Value::Null] {
                let mut written = good.clone();
                written[field] = bad;
                let said = parse(&written).unwrap_err().to_string();
                assert!(said.starts_with(&format!("{field}: ")) && !said.contains("hunter2"), "{said}");
            }
        }
        let said = ServiceAccount::parse(b"{\"private_key\": hunter2}").unwrap_err().to_string();
        assert_eq!(said, "is not the JSON of a service account: line 1, column 17");
    }
}
