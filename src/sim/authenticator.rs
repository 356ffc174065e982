//! A software `WebAuthn` authenticator and the browser around it: ES256, attestation "none".
//!
//! It takes and gives the JSON forms of `WebAuthn` Level 3 (section 5.1, `parseCreationOptionsFromJSON` and `toJSON`), so a
//! server cannot tell it from a phone. It behaves well unless a test tells it how to misbehave.
//!
//! **Invariants**
//! - The private keys are real, and leave only through serialisation of the whole authenticator.
//! - The signature counter of a credential grows with every assertion.
//! - Without a [`Misbehaviour`] it refuses what a browser would refuse.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::cbor::Cbor;
use super::key::Key;
use crate::secret::{b64u, from_b64u, random, sha256};

const ES256: i64 = -7;
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED_CREDENTIAL: u8 = 0x40;
/// `SubjectPublicKeyInfo` of a P-256 key, up to the point itself (RFC 5480).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why the browser or the authenticator refused a ceremony.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options are not what `WebAuthn` Level 3 describes.
    #[error("the WebAuthn options cannot be read: {0}")]
    Options(#[from] serde_json::Error),
    /// The challenge is not base64url of at least 16 bytes.
    #[error("the WebAuthn challenge is not base64url of at least 16 bytes")]
    Challenge,
    /// The options ask for another algorithm than ES256 (`NotSupportedError`).
    #[error("the WebAuthn options do not allow ES256")]
    Algorithm,
    /// The relying party's id is not the origin's host nor a parent of it (`SecurityError`).
    #[error("the relying party {rp_id} is not allowed to {origin}")]
    RelyingParty {
        /// The id that was asked for.
        rp_id: String,
        /// The origin that asked.
        origin: String,
    },
    /// A credential of `excludeCredentials` is here already (`InvalidStateError`).
    #[error("a passkey for this account is on this device already")]
    Excluded,
    /// No credential matches `allowCredentials` (`NotAllowedError`).
    #[error("no passkey on this device matches")]
    NoCredential,
}

/// How to misbehave. The default is not to.
#[derive(Clone, Debug, Default)]
pub struct Misbehaviour {
    /// Leave the user verification flag off.
    pub user_unverified: bool,
    /// Claim this origin in `clientDataJSON`.
    pub origin: Option<String>,
    /// Say `crossOrigin: true` in `clientDataJSON`.
    pub cross_origin: bool,
    /// Hash this relying party id into the authenticator data.
    pub rp_id: Option<String>,
    /// Flip a bit of the signed content after signing. A registration is not signed, so nothing happens there.
    pub tampered_signature: bool,
    /// Answer this challenge instead of the one asked.
    pub challenge: Option<Vec<u8>>,
}

/// An authenticator and its passkeys.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticator {
    credentials: Vec<Credential>,
    #[serde(skip)]
    misbehaviour: Misbehaviour,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    id: String,
    rp_id: String,
    user_handle: String,
    key: Key,
    counter: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationOptions {
    challenge: String,
    rp: RelyingParty,
    user: User,
    pub_key_cred_params: Vec<Parameter>,
    #[serde(default)]
    exclude_credentials: Vec<Descriptor>,
    #[serde(default)]
    extensions: CreationExtensions,
}

#[derive(Deserialize)]
struct RelyingParty {
    id: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
struct Parameter {
    alg: i64,
}

#[derive(Deserialize)]
struct Descriptor {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationExtensions {
    #[serde(default)]
    cred_props: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestOptions {
    challenge: String,
    rp_id: Option<String>,
    #[serde(default)]
    allow_credentials: Vec<Descriptor>,
}

/// `CollectedClientData`, in the order that `WebAuthn` Level 3 section 5.8.1.1 prescribes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientData<'a> {
    r#type: &'a str,
    challenge: String,
    origin: &'a str,
    cross_origin: bool,
}

impl Authenticator {
    /// An authenticator without passkeys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on misbehave like this; `Misbehaviour::default()` makes it good again.
    pub fn misbehave(&mut self, misbehaviour: Misbehaviour) {
        self.misbehaviour = misbehaviour;
    }

    /// Makes a passkey: `navigator.credentials.create` of a page at `origin`.
    ///
    /// Takes `PublicKeyCredentialCreationOptionsJSON`, gives `RegistrationResponseJSON`.
    ///
    /// # Errors
    /// What a browser would refuse; see [`Error`].
    pub fn create(&mut self, options: &Value, origin: &str) -> Result<Value, Error> {
        let options = CreationOptions::deserialize(options)?;
        let rp_id = relying_party(options.rp.id, origin)?;
        if !options.pub_key_cred_params.iter().any(|p| p.alg == ES256) {
            return Err(Error::Algorithm);
        }
        let excluded = |known: &Credential| known.rp_id == rp_id && listed(&options.exclude_credentials, &known.id);
        if self.credentials.iter().any(excluded) {
            return Err(Error::Excluded);
        }
        let client_data = self.client_data("webauthn.create", &options.challenge, origin)?;
        let id: [u8; 32] = random();
        let credential = Credential { id: b64u(id), user_handle: options.user.id, key: Key::generate(), counter: 0, rp_id };
        let authenticator_data = self.attested_data(&credential, &id);
        let response = registration(&credential, &authenticator_data, &client_data, options.extensions.cred_props);
        self.credentials.push(credential);
        Ok(response)
    }

    /// Uses a passkey: `navigator.credentials.get` of a page at `origin`.
    ///
    /// Takes `PublicKeyCredentialRequestOptionsJSON`, gives `AuthenticationResponseJSON`. The credential is the first of
    /// `allowCredentials` that is here, or, when that list is empty, the newest for the relying party.
    ///
    /// # Errors
    /// What a browser would refuse; see [`Error`].
    pub fn get(&mut self, options: &Value, origin: &str) -> Result<Value, Error> {
        let options = RequestOptions::deserialize(options)?;
        let rp_id = relying_party(options.rp_id, origin)?;
        let client_data = self.client_data("webauthn.get", &options.challenge, origin)?;
        let position = self.choose(&rp_id, &options.allow_credentials)?;
        self.credentials[position].counter += 1;
        let credential = &self.credentials[position];
        let authenticator_data = self.authenticator_data(credential, 0);
        let mut signed = authenticator_data.clone();
        signed.extend(sha256(client_data.as_bytes()));
        if self.misbehaviour.tampered_signature {
            // Signing other bytes keeps the signature well-formed: only its verification can find it out.
            signed[0] ^= 1;
        }
        Ok(json!({
            "id": credential.id,
            "rawId": credential.id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "authenticatorData": b64u(authenticator_data),
                "clientDataJSON": b64u(client_data),
                "signature": b64u(credential.key.sign_der(&signed)),
                "userHandle": credential.user_handle,
            },
        }))
    }

    fn choose(&self, rp_id: &str, allowed: &[Descriptor]) -> Result<usize, Error> {
        let here = |id: Option<&str>| {
            self.credentials.iter().rposition(|known| known.rp_id == rp_id && id.is_none_or(|id| id == known.id))
        };
        if allowed.is_empty() {
            return here(None).ok_or(Error::NoCredential);
        }
        allowed.iter().find_map(|descriptor| here(Some(&descriptor.id))).ok_or(Error::NoCredential)
    }

    fn client_data(&self, kind: &str, challenge: &str, origin: &str) -> Result<String, Error> {
        let asked = from_b64u(challenge).filter(|bytes| bytes.len() >= 16);
        let asked = asked.ok_or(Error::Challenge)?;
        Ok(serde_json::to_string(&ClientData {
            r#type: kind,
            challenge: b64u(self.misbehaviour.challenge.as_ref().unwrap_or(&asked)),
            origin: self.misbehaviour.origin.as_deref().unwrap_or(origin),
            cross_origin: self.misbehaviour.cross_origin,
        })?)
    }

    /// `WebAuthn` Level 3, section 6.1: `rpIdHash || flags || signCount`.
    fn authenticator_data(&self, credential: &Credential, flags: u8) -> Vec<u8> {
        let rp_id = self.misbehaviour.rp_id.as_ref().unwrap_or(&credential.rp_id);
        let verified = if self.misbehaviour.user_unverified { 0 } else { USER_VERIFIED };
        let mut data = sha256(rp_id.as_bytes()).to_vec();
        data.push(flags | USER_PRESENT | verified);
        data.extend(credential.counter.to_be_bytes());
        data
    }

    /// The same with attested credential data (section 6.5.1): a zero AAGUID, the id, the public key.
    fn attested_data(&self, credential: &Credential, id: &[u8; 32]) -> Vec<u8> {
        let mut data = self.authenticator_data(credential, ATTESTED_CREDENTIAL);
        data.extend([0; 16]);
        data.extend([0, 32]);
        data.extend(id);
        data.extend(cose_key(&credential.key).encode());
        data
    }
}

/// The public key as COSE (RFC 9053, section 7.1.1): EC2, ES256, P-256.
fn cose_key(key: &Key) -> Cbor {
    Cbor::Map(vec![
        (Cbor::Int(1), Cbor::Int(2)),
        (Cbor::Int(3), Cbor::Int(ES256)),
        (Cbor::Int(-1), Cbor::Int(1)),
        (Cbor::Int(-2), Cbor::Bytes(key.x().to_vec())),
        (Cbor::Int(-3), Cbor::Bytes(key.y().to_vec())),
    ])
}

fn registration(credential: &Credential, authenticator_data: &[u8], client_data: &str, tell_properties: bool) -> Value {
    let attestation = Cbor::Map(vec![
        (Cbor::text("fmt"), Cbor::text("none")),
        (Cbor::text("attStmt"), Cbor::Map(Vec::new())),
        (Cbor::text("authData"), Cbor::Bytes(authenticator_data.to_vec())),
    ]);
    let extensions = if tell_properties { json!({"credProps": {"rk": true}}) } else { json!({}) };
    json!({
        "id": credential.id,
        "rawId": credential.id,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": extensions,
        "response": {
            "clientDataJSON": b64u(client_data),
            "attestationObject": b64u(attestation.encode()),
            "authenticatorData": b64u(authenticator_data),
            "publicKey": b64u([&SPKI_PREFIX[..], credential.key.public()].concat()),
            "publicKeyAlgorithm": ES256,
            "transports": ["internal"],
        },
    })
}

fn listed(descriptors: &[Descriptor], id: &str) -> bool {
    descriptors.iter().any(|known| known.id == id)
}

/// The relying party's id for a page at `origin`: its host, or the parent domain it asked for.
fn relying_party(asked: Option<String>, origin: &str) -> Result<String, Error> {
    let refused = |rp_id: &str| Error::RelyingParty { rp_id: rp_id.to_owned(), origin: origin.to_owned() };
    let host = Url::parse(origin)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .ok_or_else(|| refused(asked.as_deref().unwrap_or_default()))?;
    match asked {
        None => Ok(host),
        Some(rp_id) if host == rp_id || host.ends_with(&format!(".{rp_id}")) => Ok(rp_id),
        Some(rp_id) => Err(refused(&rp_id)),
    }
}

#[cfg(test)]
mod tests;
