//! Test vectors for clients in other languages, `api-spec/vectors/device.json`, and the table of refusals behind them.
//!
//! **Invariants**
//! - Everything in the file but the signatures follows from this source; ECDSA is randomised, so the signatures are
//!   taken from the file as long as they verify.
//! - Every refusal code of the JWS verifiers has a vector, and no kind of token passes for another.
//!
//! After a change: `PHONEOPS_WRITE_VECTORS=1 cargo test --lib vectors`, and review the difference.

mod cases;

use std::collections::BTreeSet;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use self::cases::{DEVICE, ISSUER, NOW, accepted, bare_proof, enrollment, refused, sign_in};

use crate::clock::Timestamp;
use crate::identity::access_token::AccessTokens;
use crate::identity::code::EnrollmentCode;
use crate::identity::device_key::DeviceKey;
use crate::identity::{assertion, dpop};
use crate::secret::{MasterKey, b64u, from_b64u};

/// A published private key: RFC 6979 appendix A.2.5 for `device`, RFC 7515 appendix A.3 for `other`.
pub(crate) fn signer(name: &str) -> Signer {
    let (d, x, y) = match name {
        "device" => (
            "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE",
            "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
            "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk",
        ),
        "other" => (
            "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ),
        _ => panic!("no signer {name}"),
    };
    let point = [vec![4], from_b64u(x).unwrap(), from_b64u(y).unwrap()].concat();
    Signer {
        d,
        key: DeviceKey::from_sec1(&point).unwrap(),
        pair: EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &from_b64u(d).unwrap(), &point)
            .unwrap(),
    }
}

/// A device that signs in tests.
pub(crate) struct Signer {
    d: &'static str,
    pub(crate) key: DeviceKey,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(&SystemRandom::new(), message).unwrap();
        signature.as_ref().try_into().unwrap()
    }

    pub(crate) fn token(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64u(header), b64u(payload));
        format!("{signed}.{}", b64u(self.sign(signed.as_bytes())))
    }
}

/// What is signed, by whom, and what becomes of it.
struct Case {
    name: &'static str,
    kind: &'static str,
    header: String,
    claims: String,
    signer: &'static str,
    /// Turns the signed token into the one that is sent.
    forge: fn(&str) -> String,
    inputs: Value,
    /// The refusal code; `None` when the token holds.
    refusal: Option<&'static str>,
}

impl Case {
    fn refused(mut self, name: &'static str, code: &'static str) -> Self {
        (self.name, self.refusal) = (name, Some(code));
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims = changed(&self.claims, name, value.into());
        self
    }

    fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header = changed(&self.header, name, value.into());
        self
    }

    fn input(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.inputs[name] = value.into();
        self
    }

    fn forged(mut self, forge: fn(&str) -> String) -> Self {
        self.forge = forge;
        self
    }

    /// The vector as it stands in the file, with the signature of `old` when that still verifies.
    fn vector(&self, old: &Value) -> Value {
        let device = signer(self.signer);
        let signed = format!("{}.{}", b64u(&self.header), b64u(&self.claims));
        let signature = old["signature"]
            .as_str()
            .and_then(from_b64u)
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .filter(|it| device.key.verify(signed.as_bytes(), it).is_ok())
            .unwrap_or_else(|| device.sign(signed.as_bytes()));
        let token = (self.forge)(&format!("{signed}.{}", b64u(signature)));
        let mut vector = json!({
            "name": self.name, "kind": self.kind, "signed_by": self.signer, "header": self.header,
            "claims": self.claims, "signature": b64u(signature), "token": token, "inputs": self.inputs,
        });
        match self.refusal {
            Some(code) => vector["refusal"] = code.into(),
            None => vector["result"] = verify(self.kind, &token, &self.inputs).unwrap(),
        }
        vector
    }
}

/// Sets a member of a JSON text; `null` removes it.
fn changed(text: &str, name: &str, value: Value) -> String {
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    object.remove(name);
    if !value.is_null() {
        object.insert(name.to_owned(), value);
    }
    serde_json_canonicalizer::to_string(&object).unwrap()
}

/// Runs the verifier of `kind` and tells its result, or the code of its refusal.
fn verify(kind: &str, token: &str, inputs: &Value) -> Result<Value, &'static str> {
    let text = |name: &str| inputs[name].as_str().unwrap_or_default();
    let now = Timestamp::from_seconds(inputs["now"].as_i64().unwrap());
    match kind {
        "dpop_proof" => {
            let access_token = inputs["access_token"].as_str();
            let proof = dpop::verify(token, text("method"), text("url"), access_token, now).map_err(|refusal| refusal.code())?;
            assert_eq!(proof.thumbprint, proof.key.thumbprint());
            Ok(json!({
                "thumbprint": b64u(proof.thumbprint), "jti_sha256": b64u(proof.jti_sha256),
                "expires_at": proof.expires_at.as_seconds(),
            }))
        }
        "sign_in_assertion" => {
            let sign_in = assertion::peek_sign_in(token)
                .and_then(|it| it.verify(&signer(text("key")).key, text("audience"), now))
                .map_err(|refusal| refusal.code())?;
            Ok(json!({
                "device": sign_in.device, "jti_sha256": b64u(sign_in.jti_sha256),
                "expires_at": sign_in.expires_at.as_seconds(),
            }))
        }
        "enrollment_proof" => {
            let code = EnrollmentCode::parse(text("code")).unwrap();
            let key = signer(text("key")).key;
            let proven = assertion::verify_enrollment(token, &key, text("issuer"), &code, &inputs["device"], now)
                .map_err(|refusal| refusal.code())?;
            Ok(json!({
                "thumbprint": b64u(proven.key.thumbprint()), "code_sha256": b64u(proven.code_sha256),
                "issued_at": proven.issued_at.as_seconds(),
            }))
        }
        _ => panic!("no verifier of {kind}"),
    }
}

fn document(old: &Value) -> Value {
    let vectors = |list: &str, cases: Vec<Case>| -> Vec<Value> {
        let olds = || old[list].as_array().into_iter().flatten();
        let found = |name: &str| olds().find(|it| it["name"] == name).cloned();
        cases.iter().map(|case| case.vector(&found(case.name).unwrap_or_default())).collect()
    };
    let keys = ["device", "other"].map(|name| {
        let signer = signer(name);
        let jwk = signer.key.to_jwk();
        json!({ "name": name, "jwk": jwk, "d": signer.d, "thumbprint": b64u(signer.key.thumbprint()) })
    });
    json!({
        "about": "Vectors for api-spec/device-protocol.md, sections 1 to 3. `header` and `claims` are the exact texts that \
                  are signed; `signature` is one of many valid ones, since ECDSA is randomised; `token` is what is sent. \
                  `inputs` is what the verifier knows besides, with `now` and all times in seconds. The private keys are \
                  published ones (RFC 6979 A.2.5, RFC 7515 A.3): never use them.",
        "keys": keys,
        "accepted": vectors("accepted", accepted()),
        "refused": vectors("refused", refused()),
    })
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api-spec/vectors/device.json");

#[test]
fn the_committed_vectors_are_what_this_source_makes() {
    let writing = std::env::var_os("PHONEOPS_WRITE_VECTORS").is_some();
    let text = std::fs::read_to_string(FILE).unwrap_or_default();
    let committed: Value = serde_json::from_str(&text).unwrap_or_default();
    let made = document(&committed);
    if writing {
        let text = serde_json::to_string_pretty(&made).unwrap();
        std::fs::write(FILE, format!("{text}\n")).unwrap();
    } else {
        assert_eq!(committed, made, "see the head of src/identity/vectors.rs");
    }
}

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    for vector in document["accepted"].as_array().unwrap() {
        let (kind, token) = (vector["kind"].as_str().unwrap(), vector["token"].as_str().unwrap());
        let result = verify(kind, token, &vector["inputs"]);
        assert_eq!(result.as_ref(), Ok(&vector["result"]), "{}", vector["name"]);
    }
    for vector in document["refused"].as_array().unwrap() {
        let (kind, token) = (vector["kind"].as_str().unwrap(), vector["token"].as_str().unwrap());
        let refusal = verify(kind, token, &vector["inputs"]).expect_err(vector["name"].as_str().unwrap());
        assert_eq!(refusal, vector["refusal"], "{}", vector["name"]);
    }
}

#[test]
fn every_refusal_code_has_a_vector() {
    let expected = "too_long not_compact encoding_invalid not_an_object member_repeated typ_wrong alg_wrong crit_refused \
        header_member_unexpected kid_invalid jwk_invalid signature_invalid claims_malformed htm_wrong htu_wrong iat_stale \
        iat_early jti_invalid ath_missing ath_wrong ath_unexpected iss_wrong sub_wrong aud_wrong exp_passed exp_too_far \
        code_wrong device_wrong";
    let expected: BTreeSet<_> = expected.split_whitespace().collect();
    let shown: BTreeSet<_> = refused().iter().filter_map(|case| case.refusal).collect();
    assert_eq!(shown, expected);
    let names: BTreeSet<_> = refused().iter().map(|case| case.name).collect();
    assert_eq!(names.len(), refused().len(), "names repeat");
}

#[test]
fn no_kind_of_token_passes_for_another() {
    let now = Timestamp::from_seconds(NOW);
    let tokens = AccessTokens::new(&MasterKey::generate(), ISSUER);
    let user = "usr_018bcfe568007000800000000000000a".parse().unwrap();
    let thumbprint = signer("device").key.thumbprint();
    let access = tokens.mint(user, DEVICE.parse().unwrap(), &thumbprint, now);
    let kinds = [enrollment(), sign_in(), bare_proof()];
    for verifier in &kinds {
        for offered in &kinds {
            let token = signer("device").token(&offered.header, &offered.claims);
            let outcome = verify(verifier.kind, &token, &verifier.inputs);
            if offered.kind == verifier.kind {
                assert!(outcome.is_ok(), "{}", offered.kind);
            } else {
                assert_eq!(outcome, Err("typ_wrong"), "{} as {}", offered.kind, verifier.kind);
            }
            assert!(tokens.verify(&token, now).is_err(), "{} as access token", offered.kind);
        }
        // An HMAC is 32 bytes long, so it fails before its `typ` is read.
        assert_eq!(verify(verifier.kind, access.expose(), &verifier.inputs), Err("encoding_invalid"));
    }
}
