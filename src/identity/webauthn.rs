//! Passkeys: WebAuthn Level 3 ceremonies, verified by webauthn-rs, with a challenge of our own.
//!
//! webauthn-rs has no public way to choose a challenge; its maintainers name the serialised state as the route
//! (kanidm/webauthn-rs#549). So one pair of options and state is made at start-up, and each ceremony gets a copy with our
//! challenge in both. That the crate reads it from there is held by contract tests, and the crate is pinned.
//!
//! **Invariants**
//! - User verification is required, in every registration and every assertion.
//! - What was made in a cross-origin frame is refused, whichever of `crossOrigin` and `topOrigin` says so.
//! - The origin matches exactly: scheme, host and port, with nothing after them, or a native app's as a whole.
//! - An assertion is believed only from a passkey that its ceremony offered.
//! - An authenticator's counter, once used, must rise, and its backup eligibility may not change (section 7.2, steps 17 and 22).

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    COSEAlgorithm, COSEKeyType, Credential as CoreCredential, DiscoverableAuthentication, ECDSACurve, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};

use crate::identity::attestation::cose::CoseKey;
use crate::identity::handle::{Handle, PersonName};
use crate::secret::{b64u, from_b64u};

/// A passkey as it is stored, in the JSON form of webauthn-rs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credential(CoreCredential);

impl Credential {
    /// The credential id, up to 1023 bytes (section 5.8.3).
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.0.cred_id
    }

    /// The signature counter last seen; 0 for authenticators that do not count.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.0.counter
    }

    /// The public key; none when it is not of a kind that registration allows.
    #[must_use]
    pub fn cose_key(&self) -> Option<CoseKey> {
        let key = match (&self.0.cred.type_, &self.0.cred.key) {
            (COSEAlgorithm::ES256, COSEKeyType::EC_EC2(key)) if key.curve == ECDSACurve::SECP256R1 => {
                CoseKey::Es256([&[4], &key.x[..], &key.y[..]].concat().try_into().ok()?)
            }
            (COSEAlgorithm::ES384, COSEKeyType::EC_EC2(key)) if key.curve == ECDSACurve::SECP384R1 => {
                CoseKey::Es384([&[4], &key.x[..], &key.y[..]].concat().try_into().ok()?)
            }
            (COSEAlgorithm::RS256, COSEKeyType::RSA(key)) => CoseKey::Rs256 { n: key.n.clone(), e: key.e },
            _ => return None,
        };
        CoseKey::parse(&key.encode())
    }

    /// Whether the passkey may be synchronised between devices (the BE flag, section 6.1.3).
    #[must_use]
    pub fn backup_eligible(&self) -> bool {
        self.0.backup_eligible
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", b64u(self.id()))
    }
}

/// An assertion that holds.
#[derive(Debug, Clone)]
pub struct Assertion {
    /// The passkey that signed.
    pub credential_id: Vec<u8>,
    /// Its signature counter now.
    pub counter: u32,
    /// The passkey as it must be stored from now on; `None` when nothing about it changed.
    pub updated: Option<Credential>,
}

/// Why a registration or an assertion was refused. The codes are those of the device protocol, section 6.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnRefusal {
    /// Something else was signed than what was offered.
    #[error("another challenge was signed")]
    ChallengeMismatch,
    /// The person was not verified by the authenticator.
    #[error("the authenticator did not verify the user")]
    UserVerificationMissing,
    /// Made for another website or app.
    #[error("made for another origin or relying party")]
    OriginMismatch,
    /// Made in a frame of another website's page.
    #[error("made in a cross-origin frame")]
    CrossOriginRefused,
    /// Not a passkey that was offered.
    #[error("this passkey is not one that was offered")]
    PasskeyUnknown,
    /// The signature, the counter or the backup flags contradict the stored passkey.
    #[error("the passkey's signature does not hold: {0}")]
    SignatureInvalid(&'static str),
    /// The credential is not what a browser's `toJSON()` gives.
    #[error("the credential is malformed at `{field}`")]
    Malformed {
        /// The member, as a path within the credential; empty for the credential itself.
        field: String,
    },
    /// The stored state of the ceremony is not one of ours: our fault, not the client's.
    #[error("the stored state of the ceremony does not parse")]
    StateUnreadable,
}

impl WebauthnRefusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ChallengeMismatch => "challenge_mismatch",
            Self::UserVerificationMissing => "user_verification_missing",
            Self::OriginMismatch => "origin_mismatch",
            Self::CrossOriginRefused => "cross_origin_refused",
            Self::PasskeyUnknown => "passkey_unknown",
            Self::SignatureInvalid(_) => "signature_invalid",
            Self::Malformed { .. } => "malformed",
            Self::StateUnreadable => "state_unreadable",
        }
    }

    fn malformed(field: impl Into<String>) -> Self {
        Self::Malformed { field: field.into() }
    }
}

/// A relying party that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelyingPartyInvalid {
    /// The id is not the host of the origin, nor a domain above it.
    #[error("rp_id {rp_id} must be the host of {origin}, or a domain above it")]
    NotAnEffectiveDomain {
        /// The id.
        rp_id: String,
        /// The origin.
        origin: Url,
    },
    /// webauthn-rs no longer keeps the challenge where this code sets it.
    #[error("this webauthn-rs does not serialise its state as expected")]
    StateFormat,
}

/// This installation, as passkeys know it.
pub struct RelyingParty {
    webauthn: Webauthn,
    id: String,
    origins: Vec<String>,
    request_options: Value,
    assertion_state: Value,
}

/// What is kept between offering an assertion and receiving it.
#[derive(Serialize, Deserialize)]
struct AssertionState {
    /// The credential ids that were offered, as base64url.
    offered: Vec<String>,
    /// The state of webauthn-rs, with our challenge in it.
    webauthn: DiscoverableAuthentication,
}

impl RelyingParty {
    /// The relying party `rp_id` at `origin`, shown to people as `rp_name`.
    ///
    /// # Errors
    /// [`RelyingPartyInvalid`] when the id does not belong to the origin.
    pub fn new(rp_id: &str, origin: &Url, rp_name: &str) -> Result<Self, RelyingPartyInvalid> {
        Self::with_apps(rp_id, origin, rp_name, &[])
    }

    /// The same, where native apps may sign too; `apps` are the origins that their platforms put into what they sign.
    ///
    /// # Errors
    /// As [`RelyingParty::new`].
    pub fn with_apps(rp_id: &str, origin: &Url, rp_name: &str, apps: &[Url]) -> Result<Self, RelyingPartyInvalid> {
        let webauthn = WebauthnBuilder::new(rp_id, origin)
            .and_then(|builder| apps.iter().fold(builder.rp_name(rp_name), WebauthnBuilder::append_allowed_origin).build())
            .map_err(|_| RelyingPartyInvalid::NotAnEffectiveDomain { rp_id: rp_id.to_owned(), origin: origin.clone() })?;
        let (request_options, assertion_state) = templates(&webauthn).ok_or(RelyingPartyInvalid::StateFormat)?;
        let apps =
            apps.iter().map(|app| if app.cannot_be_a_base() { app.to_string() } else { app.origin().ascii_serialization() });
        let origins = [origin.origin().ascii_serialization()].into_iter().chain(apps).collect();
        Ok(Self { webauthn, id: rp_id.to_owned(), origins, request_options, assertion_state })
    }

    /// The id that passkeys are made for.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Offers a registration to a user: `PublicKeyCredentialCreationOptionsJSON` for the browser, and the state to store.
    /// `user` ends up in the passkey, and `exclude` are the passkeys that the user has.
    ///
    /// # Panics
    /// Never: webauthn-rs refuses only empty names here, and its own types always serialise.
    #[must_use]
    pub fn start_registration(&self, user: Uuid, handle: &Handle, name: &PersonName, exclude: &[Credential]) -> (Value, Value) {
        let exclude = exclude.iter().map(|it| it.0.cred_id.clone()).collect();
        let (options, state) = self
            .webauthn
            .start_passkey_registration(user, handle.as_str(), name.as_str(), Some(exclude))
            .expect("neither a handle nor a name is empty");
        let mut options = serde_json::to_value(options.public_key).expect("options are JSON");
        // The crate says "discouraged"; a discoverable passkey is what a phone makes best.
        options["authenticatorSelection"]["residentKey"] = "preferred".into();
        let state = serde_json::to_value(state).expect("the state is JSON");
        (options, state)
    }

    /// Verifies the `toJSON()` form of a new passkey against the stored state.
    ///
    /// # Errors
    /// [`WebauthnRefusal`].
    pub fn finish_registration(&self, state: &Value, credential: &Value) -> Result<Credential, WebauthnRefusal> {
        let state: PasskeyRegistration = read_state(state)?;
        let response: RegisterPublicKeyCredential = read(credential)?;
        check_envelope(&response.id, &response.raw_id, &response.type_)?;
        self.check_client_data(&response.response.client_data_json)?;
        let passkey = self
            .webauthn
            .finish_passkey_registration(&response, &state)
            .map_err(|error| refusal(&error, "response.attestationObject"))?;
        let mut made = CoreCredential::from(passkey);
        if made.cred_id != response.raw_id {
            return Err(WebauthnRefusal::malformed("rawId"));
        }
        // The crate keeps them only beside an attestation; as mere hints they help every browser (section 7.1, step 27).
        made.transports = response.response.transports;
        let made = Credential(made);
        // What could not be attested could not be believed later.
        made.cose_key().ok_or_else(|| WebauthnRefusal::malformed("response.attestationObject"))?;
        Ok(made)
    }

    /// Offers an assertion over `challenge` by one of `credentials`: `PublicKeyCredentialRequestOptionsJSON` for the browser,
    /// and the state to store.
    #[must_use]
    pub fn start_assertion(&self, credentials: &[Credential], challenge: [u8; 32]) -> (Value, Value) {
        let challenge = b64u(challenge);
        let mut options = self.request_options.clone();
        options["challenge"] = challenge.as_str().into();
        options["allowCredentials"] = credentials.iter().map(descriptor).collect();
        let offered: Vec<_> = credentials.iter().map(|it| b64u(it.id())).collect();
        let mut webauthn = self.assertion_state.clone();
        webauthn["ast"]["challenge"] = challenge.into();
        (options, json!({ "offered": offered, "webauthn": webauthn }))
    }

    /// Verifies the `toJSON()` form of an assertion against the stored state and the stored passkey, which is the one that
    /// [`credential_id`] names.
    ///
    /// # Errors
    /// [`WebauthnRefusal`].
    pub fn finish_assertion(&self, state: &Value, credential: &Value, stored: &Credential) -> Result<Assertion, WebauthnRefusal> {
        let state: AssertionState = read_state(state)?;
        let response: PublicKeyCredential = read(credential)?;
        check_envelope(&response.id, &response.raw_id, &response.type_)?;
        let offered = state.offered.contains(&response.id);
        if !offered || stored.id() != response.raw_id {
            return Err(WebauthnRefusal::PasskeyUnknown);
        }
        self.check_client_data(&response.response.client_data_json)?;
        let result = self
            .webauthn
            .finish_discoverable_authentication_v2(&response, state.webauthn, &stored.0)
            .map_err(|error| refusal(&error, "response.authenticatorData"))?;
        let updated = result.needs_update().then(|| {
            let mut updated = stored.clone();
            updated.0.counter = result.counter();
            updated.0.backup_state = result.backup_state();
            updated
        });
        Ok(Assertion { credential_id: response.raw_id, counter: result.counter(), updated })
    }

    /// Checks what webauthn-rs leaves open: cross-origin frames at assertions, and origins with something after the port.
    fn check_client_data(&self, bytes: &[u8]) -> Result<(), WebauthnRefusal> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let data: ClientData = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| WebauthnRefusal::malformed(within("response.clientDataJSON", &error)))?;
        if data.cross_origin == Some(true) || data.top_origin {
            return Err(WebauthnRefusal::CrossOriginRefused);
        }
        if !self.origins.contains(&data.origin) {
            return Err(WebauthnRefusal::OriginMismatch);
        }
        Ok(())
    }
}

impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelyingParty({})", self.origins.join(" "))
    }
}

/// The id of the passkey that a credential in its `toJSON()` form says it is from, for looking it up.
///
/// # Errors
/// [`WebauthnRefusal::Malformed`] when there is none.
pub fn credential_id(credential: &Value) -> Result<Vec<u8>, WebauthnRefusal> {
    credential["rawId"].as_str().and_then(from_b64u).ok_or_else(|| WebauthnRefusal::malformed("rawId"))
}

#[derive(Deserialize)]
struct ClientData {
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: Option<bool>,
    #[serde(default, rename = "topOrigin", deserialize_with = "is_present")]
    top_origin: bool,
}

fn is_present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The options and the state of one assertion ceremony of webauthn-rs, to be filled in for each of ours.
fn templates(webauthn: &Webauthn) -> Option<(Value, Value)> {
    let (options, state) = webauthn.start_discoverable_authentication().ok()?;
    let mut options = serde_json::to_value(options.public_key).ok()?;
    let state = serde_json::to_value(state).ok()?;
    // An extension that browsers do not know, asked for by the crate.
    options.as_object_mut()?.remove("extensions");
    let same = options.get("challenge")? == state.pointer("/ast/challenge")?;
    let verified = options.get("userVerification")? == "required" && state.pointer("/ast/policy")? == "required";
    (same && verified).then_some((options, state))
}

/// A passkey as the browser is told of it (section 5.8.3).
fn descriptor(credential: &Credential) -> Value {
    let mut descriptor = json!({ "type": "public-key", "id": b64u(credential.id()) });
    if let Some(transports) = &credential.0.transports {
        let known = transports.iter().map(AsRef::<str>::as_ref);
        descriptor["transports"] = known.filter(|name| *name != "unknown").collect();
    }
    descriptor
}

fn read_state<T: DeserializeOwned>(state: &Value) -> Result<T, WebauthnRefusal> {
    T::deserialize(state).map_err(|_| WebauthnRefusal::StateUnreadable)
}

fn read<T: DeserializeOwned>(credential: &Value) -> Result<T, WebauthnRefusal> {
    serde_path_to_error::deserialize(credential).map_err(|error| WebauthnRefusal::malformed(within("", &error)))
}

/// The path of an error below `whole`, or `whole` when the error is in no member of it.
fn within(whole: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    // serde names a missing member only in its message: missing field `x`.
    let message = error.inner().to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let members = [whole, path.trim_matches('.'), missing.unwrap_or_default()];
    let members: Vec<_> = members.into_iter().filter(|it| !it.is_empty()).collect();
    members.join(".")
}

fn check_envelope(id: &str, raw_id: &[u8], kind: &str) -> Result<(), WebauthnRefusal> {
    if kind != "public-key" {
        return Err(WebauthnRefusal::malformed("type"));
    }
    if id != b64u(raw_id) {
        return Err(WebauthnRefusal::malformed("id"));
    }
    Ok(())
}

/// Sorts the crate's errors into ours; `binary` is the member that holds the authenticator data in this ceremony.
fn refusal(error: &WebauthnError, binary: &str) -> WebauthnRefusal {
    use WebauthnError as E;
    match error {
        E::MismatchedChallenge => WebauthnRefusal::ChallengeMismatch,
        E::UserNotVerified | E::UserNotPresent => WebauthnRefusal::UserVerificationMissing,
        E::InvalidRPOrigin | E::InvalidRPIDHash => WebauthnRefusal::OriginMismatch,
        E::CredentialCrossOrigin => WebauthnRefusal::CrossOriginRefused,
        E::CredentialNotFound => WebauthnRefusal::PasskeyUnknown,
        E::AuthenticationFailure | E::AttestationStatementSigInvalid => WebauthnRefusal::SignatureInvalid("it does not verify"),
        E::SignatureInvalid => WebauthnRefusal::SignatureInvalid("it is not a signature"),
        E::CredentialPossibleCompromise => WebauthnRefusal::SignatureInvalid("its counter did not rise"),
        E::CredentialBackupEligibilityInconsistent | E::CredentialMayNotBeHardwareBound => {
            WebauthnRefusal::SignatureInvalid("its backup flags contradict its registration")
        }
        E::InvalidClientDataType => WebauthnRefusal::malformed("response.clientDataJSON.type"),
        E::ParseJSONFailure(_) => WebauthnRefusal::malformed("response.clientDataJSON"),
        // What remains are the many ways in which CBOR, keys and attestation statements can be wrong.
        _ => WebauthnRefusal::malformed(binary),
    }
}

#[cfg(test)]
mod tests;
