//! One answer: that its statement is about this approval, that its key is that person's, and that the key signed it.

use serde_json::{Value, json};

use super::plain::{self, Members, canonical};
use super::shape::{Answer, Shape, Signature};
use super::{Check, Fault, TrustRoot, no_later};
use crate::clock::Timestamp;
use crate::identity::attestation;
use crate::identity::attestation::cose::CoseKey;
use crate::identity::jws::{self, KeyMember};
use crate::identity::{DeviceKey, strict_json};
use crate::secret::{b64u, from_b64u, sha256, tagged_sha256};

/// The `typ` of an answer that a device key signed.
const ANSWER_TYP: &str = "phoneops-answer+jws";

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// What the issuer says of the key that signed.
struct Attested {
    iss: String,
    sub: String,
    device: String,
    enrolled_at: Timestamp,
    key: Key,
}

enum Key {
    Device(DeviceKey),
    Passkey { credential_id: String, rp_id: String, key: CoseKey },
}

/// Checks one answer; what names the key that signed it, so that no key counts twice.
pub(super) fn check(shape: &Shape<'_>, answer: &Answer<'_>, root: &TrustRoot) -> Result<String, Fault> {
    let expires_at = statement(shape, answer)?;
    let attested = attested(answer.attestation, root)?;
    belongs(shape, answer, &attested)?;
    let named = match (&answer.signature, &attested.key) {
        (Signature::Webauthn { credential_id, client_data, authenticator_data, signature }, Key::Passkey { rp_id, key, .. }) => {
            client(shape, answer, client_data)?;
            authenticator(authenticator_data, rp_id)?;
            let signed = [&authenticator_data[..], &sha256(client_data)].concat();
            if !key.verifies(&signed, signature) {
                return Err(Check::AnswerSignature.because("it is not the passkey's over this statement"));
            }
            format!("passkey {credential_id}")
        }
        (Signature::Jws(jws), Key::Device(key)) => {
            device_signed(jws, answer.statement, key)?;
            format!("device {}", b64u(key.thumbprint()))
        }
        _ => return Err(Check::SignatureKind.because(format!("a {} answer is not signed like that", answer.factor))),
    };
    if answer.factor == "code" && !answer.code_confirmed {
        return Err(Check::CodeUnconfirmed.because("the issuer does not say that the code was right"));
    }
    in_time(shape, answer, expires_at)?;
    Ok(named)
}

/// That the statement is this answer's; until when it said that it could be given.
fn statement(shape: &Shape<'_>, answer: &Answer<'_>) -> Result<Timestamp, Fault> {
    let members = plain::parse(answer.statement.as_bytes()).map_err(|why| Check::StatementMalformed.because(why))?;
    if canonical(&members) != answer.statement.as_bytes() {
        return Err(Check::StatementMalformed.because("it is not its own canonical form"));
    }
    let approval = &shape.approval;
    let expected = [
        ("type", json!("phoneops.answer.v1")),
        ("issuer", json!(shape.issuer)),
        ("approval", json!(approval.id)),
        ("action", approval.action.clone()),
        ("action_sha256", json!(approval.action_sha256)),
        ("requester", json!(approval.requester)),
        ("approver", json!(answer.approver)),
        ("verdict", json!(answer.verdict)),
        ("factor", json!(answer.factor)),
        ("policy", shape.policy.clone()),
        ("display_sha256", json!(approval.display_sha256)),
    ];
    for (name, value) in expected {
        if members.get(name) != Some(&value) {
            return Err(Check::StatementDiffers.because(format!("its {name} is not that of the receipt")));
        }
    }
    if members.get("for") != answer.answers_for.as_ref().map(|people| json!(people)).as_ref() {
        return Err(Check::StatementDiffers.because("its for is not that of the receipt"));
    }
    // It may have been offered before a further group was asked late, or the glass was broken, which put the end off.
    let expires_at = Members::of(&members).instant("expires_at").ok().filter(|instant| *instant <= approval.expires_at);
    let expires_at = expires_at.ok_or_else(|| Check::StatementDiffers.because("its expires_at is later than the receipt's"))?;
    let nonce = members.get("nonce").and_then(Value::as_str).and_then(from_b64u);
    if nonce.is_none_or(|nonce| nonce.len() < 16) {
        return Err(Check::StatementDiffers.because("its nonce is not 16 bytes"));
    }
    Ok(expires_at)
}

fn attested(token: &str, root: &TrustRoot) -> Result<Attested, Fault> {
    let invalid = |why: String| Check::AttestationInvalid.because(why);
    let unverified = jws::peek(token, attestation::TYP, KeyMember::Kid).map_err(|why| invalid(why.to_string()))?;
    let key = root.key(unverified.kid().unwrap_or_default());
    let key = key.ok_or_else(|| Check::AttestationKey.because("its key is not among the issuer keys"))?;
    let payload = from_b64u(unverified.payload()).unwrap_or_default();
    unverified.verify::<Value>(key).map_err(|why| invalid(why.to_string()))?;
    // Read once more: what signed texts may hold elsewhere, plain JSON may not.
    let claims = plain::parse(&payload).map_err(invalid)?;
    read(&Members::of(&claims)).map_err(invalid)
}

fn read(claims: &Members<'_>) -> Result<Attested, String> {
    claims.only(&["iss", "sub", "iat", "device", "enrolled_at", "key"])?;
    claims.integer("iat")?;
    let key = claims.object("key")?;
    Ok(Attested {
        iss: claims.text("iss")?.to_owned(),
        sub: claims.id("sub", "usr")?.to_owned(),
        device: claims.id("device", "dev")?.to_owned(),
        enrolled_at: claims.instant("enrolled_at")?,
        key: if key.word("kind", &["device", "passkey"])? == "device" { device_key(&key)? } else { passkey(&key)? },
    })
}

fn device_key(key: &Members<'_>) -> Result<Key, String> {
    key.only(&["kind", "jwk", "jkt"])?;
    let jwk = key.get("jwk")?.as_object().ok_or("key.jwk is not an object")?;
    let public = DeviceKey::from_jwk(jwk).map_err(|why| why.to_string())?;
    if key.text("jkt")? != b64u(public.thumbprint()) {
        return Err("key.jkt is not the thumbprint of key.jwk".into());
    }
    Ok(Key::Device(public))
}

fn passkey(key: &Members<'_>) -> Result<Key, String> {
    key.only(&["kind", "id", "rp_id", "credential_id", "public_key"])?;
    key.id("id", "pky")?;
    key.bytes("credential_id")?;
    Ok(Key::Passkey {
        credential_id: key.text("credential_id")?.to_owned(),
        rp_id: key.text("rp_id")?.to_owned(),
        key: CoseKey::parse(&key.bytes("public_key")?).ok_or("key.public_key is no key of a kind that is allowed")?,
    })
}

/// The attested key is the answerer's, was theirs by then, and is the one that the signature names.
fn belongs(shape: &Shape<'_>, answer: &Answer<'_>, attested: &Attested) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::AttestationDiffers.because(why));
    if attested.iss != shape.issuer {
        return differs("it is of another installation");
    }
    if attested.sub != answer.approver {
        return differs("the key is another person's");
    }
    if attested.device != answer.device {
        return differs("the key is another device's");
    }
    if !no_later(attested.enrolled_at, answer.answered_at) {
        return differs("the key was enrolled after it signed");
    }
    match (&attested.key, answer.factor, &answer.signature) {
        (Key::Passkey { credential_id, .. }, "passkey", Signature::Webauthn { credential_id: named, .. }) => {
            if credential_id == named { Ok(()) } else { differs("another passkey signed") }
        }
        (Key::Passkey { .. }, "passkey", _) | (Key::Device(_), "code" | "tap", _) => Ok(()),
        _ => differs("a key of this kind does not sign with this factor"),
    }
}

/// `WebAuthn` Level 3, section 7.2, steps 10 to 13.
fn client(shape: &Shape<'_>, answer: &Answer<'_>, bytes: &[u8]) -> Result<(), Fault> {
    let data = strict_json::parse(bytes).map_err(|why| Check::ClientData.because(why.to_string()))?;
    let is = |name: &str, text: &str| data.get(name).and_then(Value::as_str) == Some(text);
    if !is("type", "webauthn.get") {
        return Err(Check::ClientData.because("its type is not webauthn.get"));
    }
    if !is("challenge", &b64u(tagged_sha256("phoneops.answer.v1", answer.statement.as_bytes()))) {
        return Err(Check::Challenge.because("another statement was signed"));
    }
    if !shape.origins.iter().any(|origin| is("origin", origin)) {
        return Err(Check::Origin.because("it was signed at another origin"));
    }
    let same_origin = matches!(data.get("crossOrigin"), None | Some(Value::Null | Value::Bool(false)));
    if !same_origin || data.contains_key("topOrigin") {
        return Err(Check::Origin.because("it was signed in a cross-origin frame"));
    }
    Ok(())
}

/// `WebAuthn` Level 3, section 7.2, steps 15 to 17.
fn authenticator(data: &[u8], rp_id: &str) -> Result<(), Fault> {
    let wrong = |why: &str| Err(Check::AuthenticatorData.because(why));
    let Some((hash, rest)) = data.split_first_chunk::<32>().filter(|(_, rest)| rest.len() >= 5) else {
        return wrong("it is shorter than 37 bytes");
    };
    if *hash != sha256(rp_id.as_bytes()) {
        return wrong("it is for another relying party");
    }
    let needed = USER_PRESENT | USER_VERIFIED;
    if rest[0] & needed == needed { Ok(()) } else { Err(Check::UserVerification.because("the person was not verified")) }
}

fn device_signed(token: &str, statement: &str, key: &DeviceKey) -> Result<(), Fault> {
    let wrong = |why: String| Check::AnswerSignature.because(why);
    let unverified = jws::peek_long(token, ANSWER_TYP, KeyMember::Absent).map_err(|why| wrong(why.to_string()))?;
    if unverified.payload() != b64u(statement) {
        return Err(wrong("it is over another statement".into()));
    }
    unverified.verify::<Value>(key).map_err(|why| wrong(why.to_string())).map(|_| ())
}

fn in_time(shape: &Shape<'_>, answer: &Answer<'_>, expires_at: Timestamp) -> Result<(), Fault> {
    let approval = &shape.approval;
    let late = |why: &str| Err(Check::AnswerTime.because(why));
    if !no_later(approval.created_at, answer.answered_at) {
        return late("it came before the request");
    }
    if answer.answered_at >= expires_at {
        return late("it came after the request expired");
    }
    if !no_later(answer.answered_at, approval.ended_at) {
        return late("it came after the request ended");
    }
    Ok(())
}
