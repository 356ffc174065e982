//! Test vectors for clients in other languages, `api-spec/vectors/device.json`, and the table of refusals behind them.
//!
//! **Invariants**
//! - Everything in the file but the signatures follows from this source; ECDSA is randomised, so the signatures are
//!   taken from the file as long as they verify.
//! - Every refusal code of the JWS verifiers has a vector, and no kind of token passes for another.
//!
//! After a change: `PHONEOPS_WRITE_VECTORS=1 cargo test --lib vectors`, and review the difference.

use std::collections::BTreeSet;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::identity::access_token::AccessTokens;
use crate::identity::code::EnrollmentCode;
use crate::identity::device_key::DeviceKey;
use crate::identity::{assertion, dpop};
use crate::secret::{MasterKey, b64u, from_b64u, sha256, tagged_sha256};

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
        pair: EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &from_b64u(d).unwrap(),
            &point,
        )
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

const ISSUER: &str = "https://phoneops.example";
const DEVICE: &str = "dev_018bcfe568007000800000000000000a";
const CODE: &str = "7K3MQ2XNB4TD9VWH5RFA8CPE";
const ACCESS_TOKEN: &str = "an.access.token";
const JTI: &str = "bm90LXNvLXJhbmRvbQ";
const NOW: i64 = 1_700_000_000;

/// What is signed, by whom, and what becomes of it.
struct Case {
    name: &'static str,
    kind: &'static str,
    header: String,
    claims: String,
    signer: &'static str,
    /// Turns the signed token into the one that is sent.
    forge: fn(String) -> String,
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

    fn forged(mut self, forge: fn(String) -> String) -> Self {
        self.forge = forge;
        self
    }

    /// The vector as it stands in the file, with the signature of `old` when that still verifies.
    fn vector(&self, old: &Value) -> Value {
        let signer = signer(self.signer);
        let signed = format!("{}.{}", b64u(&self.header), b64u(&self.claims));
        let signature = old["signature"]
            .as_str()
            .and_then(from_b64u)
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .filter(|it| signer.key.verify(signed.as_bytes(), it).is_ok())
            .unwrap_or_else(|| signer.sign(signed.as_bytes()));
        let token = (self.forge)(format!("{signed}.{}", b64u(signature)));
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

fn enrollment() -> Case {
    let device = json!({ "name": "Yannick's phone", "platform": "ios" });
    let canonical = serde_json_canonicalizer::to_vec(&device).unwrap();
    Case {
        name: "enrollment_proof",
        kind: "enrollment_proof",
        header: r#"{"alg":"ES256","typ":"phoneops-enrollment+jwt"}"#.into(),
        claims: json!({
            "aud": ISSUER, "iat": NOW,
            "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", CODE.as_bytes())),
            "device_sha256": b64u(tagged_sha256("phoneops.device.v1", &canonical)),
        })
        .to_string(),
        signer: "device",
        forge: |token| token,
        inputs: json!({ "issuer": ISSUER, "code": CODE, "device": device, "key": "device", "now": NOW }),
        refusal: None,
    }
}

fn sign_in() -> Case {
    Case {
        name: "sign_in_assertion",
        kind: "sign_in_assertion",
        header: json!({ "alg": "ES256", "kid": DEVICE, "typ": "phoneops-assertion+jwt" }).to_string(),
        claims: json!({
            "aud": format!("{ISSUER}/v1/token"), "exp": NOW + 60, "iat": NOW, "iss": DEVICE, "jti": JTI, "sub": DEVICE,
        })
        .to_string(),
        inputs: json!({ "audience": format!("{ISSUER}/v1/token"), "key": "device", "now": NOW }),
        ..enrollment()
    }
}

/// A proof without an access token, as at sign-in.
fn bare_proof() -> Case {
    Case {
        name: "dpop_proof_at_sign_in",
        kind: "dpop_proof",
        header: json!({ "alg": "ES256", "jwk": signer("device").key.to_jwk(), "typ": "dpop+jwt" })
            .to_string(),
        claims:
            json!({ "htm": "POST", "htu": format!("{ISSUER}/v1/token"), "iat": NOW, "jti": JTI })
                .to_string(),
        inputs: json!({ "method": "POST", "url": format!("{ISSUER}/v1/token"), "now": NOW }),
        ..enrollment()
    }
}

/// A proof with an access token, as on every later call.
fn proof() -> Case {
    let mut case = bare_proof()
        .claim("htm", "GET")
        .claim("htu", format!("{ISSUER}/v1/approvals"))
        .claim("ath", b64u(sha256(ACCESS_TOKEN.as_bytes())))
        .input("method", "GET")
        .input("url", format!("{ISSUER}/v1/approvals?for=me"))
        .input("access_token", ACCESS_TOKEN);
    case.name = "dpop_proof_with_access_token";
    case
}

fn accepted() -> Vec<Case> {
    let mut spelled = proof().claim("htu", "HTTPS://PhoneOps.Example:443/v1/%61pprovals");
    spelled.name = "dpop_proof_with_its_url_spelled_otherwise";
    let mut oldest = proof().claim("iat", NOW - 120);
    oldest.name = "dpop_proof_at_its_oldest";
    let mut early = proof().claim("iat", NOW + 30);
    early.name = "dpop_proof_from_a_clock_that_runs_ahead";
    vec![
        enrollment(),
        sign_in(),
        bare_proof(),
        proof(),
        spelled,
        oldest,
        early,
    ]
}

fn refused() -> Vec<Case> {
    [
        refused_by_any(),
        refused_proofs(),
        refused_sign_ins(),
        refused_enrollments(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is wrong with a JWS of any kind, shown on the DPoP proof.
fn refused_by_any() -> Vec<Case> {
    let with_d = |mut jwk: Value| {
        jwk["d"] = signer("device").d.into();
        jwk
    };
    let jwk = signer("device").key.to_jwk();
    let mut repeated = proof().refused("header_repeats_a_member", "member_repeated");
    repeated.header = repeated.header.replacen('{', r#"{"alg":"none","#, 1);
    let mut repeated_claim = proof().refused("claims_repeat_a_member", "member_repeated");
    repeated_claim.claims = repeated_claim.claims.replacen('{', r#"{"htm":"GET","#, 1);
    let mut text = proof().refused("claims_are_no_object", "not_an_object");
    text.claims = "[]".into();
    let mut foreign = proof().refused("signed_by_another_key", "signature_invalid");
    foreign.signer = "other";
    vec![
        proof()
            .forged(|token| format!("{token}{}", "A".repeat(8192)))
            .refused("longer_than_8_kib", "too_long"),
        proof()
            .forged(|token| format!("{token}."))
            .refused("four_parts", "not_compact"),
        proof()
            .forged(|token| token.replacen('.', "", 2))
            .refused("one_part", "not_compact"),
        proof()
            .forged(|token| format!("{token}=="))
            .refused("padded_signature", "encoding_invalid"),
        proof()
            .forged(|token| token.replacen('.', "=.", 1))
            .refused("padded_header", "encoding_invalid"),
        proof()
            .forged(|token| token[..token.len() - 4].to_owned())
            .refused("short_signature", "encoding_invalid"),
        text,
        repeated,
        repeated_claim,
        proof()
            .head("typ", "JWT")
            .refused("typ_of_another_kind", "typ_wrong"),
        proof()
            .head("typ", "DPoP+jwt")
            .refused("typ_in_capitals", "typ_wrong"),
        proof()
            .head("typ", Value::Null)
            .refused("typ_missing", "typ_wrong"),
        proof().head("alg", "none").refused("alg_none", "alg_wrong"),
        proof()
            .head("alg", "HS256")
            .refused("alg_hs256", "alg_wrong"),
        proof()
            .head("alg", Value::Null)
            .refused("alg_missing", "alg_wrong"),
        proof()
            .head("crit", json!(["b64"]))
            .refused("crit", "crit_refused"),
        proof()
            .head("kid", DEVICE)
            .refused("header_member_not_asked_for", "header_member_unexpected"),
        proof()
            .head("jwk", with_d(jwk.clone()))
            .refused("jwk_with_private_d", "jwk_invalid"),
        proof()
            .head("jwk", Value::Null)
            .refused("jwk_missing", "jwk_invalid"),
        proof()
            .head("jwk", json!("key"))
            .refused("jwk_is_no_object", "jwk_invalid"),
        proof()
            .head(
                "jwk",
                json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["x"] }),
            )
            .refused("jwk_off_the_curve", "jwk_invalid"),
        foreign,
        proof()
            .forged(last_bit_flipped)
            .refused("signature_changed", "signature_invalid"),
    ]
}

fn last_bit_flipped(token: String) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = from_b64u(signature).unwrap();
    bytes[63] ^= 1;
    format!("{signed}.{}", b64u(bytes))
}

fn refused_proofs() -> Vec<Case> {
    vec![
        proof()
            .claim("iat", 1.5)
            .refused("iat_is_no_integer", "claims_malformed"),
        proof()
            .claim("jti", Value::Null)
            .refused("jti_missing", "claims_malformed"),
        proof()
            .claim("htm", "POST")
            .refused("htm_of_another_call", "htm_wrong"),
        proof()
            .claim("htm", "get")
            .refused("htm_in_small_letters", "htm_wrong"),
        proof()
            .claim("htu", format!("{ISSUER}/v1/me"))
            .refused("htu_of_another_call", "htu_wrong"),
        proof()
            .claim("htu", "https://other.example/v1/approvals")
            .refused("htu_of_another_host", "htu_wrong"),
        proof()
            .claim("htu", "http://phoneops.example/v1/approvals")
            .refused("htu_without_tls", "htu_wrong"),
        proof()
            .claim("iat", NOW - 121)
            .refused("iat_121_seconds_old", "iat_stale"),
        proof()
            .claim("iat", NOW + 31)
            .refused("iat_31_seconds_ahead", "iat_early"),
        proof()
            .claim("jti", "bm90LXJhbmRvbQ")
            .refused("jti_too_short", "jti_invalid"),
        proof()
            .claim("jti", "not so very random")
            .refused("jti_is_no_base64url", "jti_invalid"),
        proof()
            .claim("jti", "a".repeat(129))
            .refused("jti_too_long", "jti_invalid"),
        proof()
            .claim("ath", Value::Null)
            .refused("ath_missing_beside_a_token", "ath_missing"),
        proof()
            .claim("ath", b64u(sha256(b"another")))
            .refused("ath_of_another_token", "ath_wrong"),
        proof()
            .input("access_token", Value::Null)
            .refused("ath_without_a_token", "ath_unexpected"),
    ]
}

fn refused_sign_ins() -> Vec<Case> {
    let other = "dev_018bcfe568007000800000000000000b";
    let mut foreign = sign_in().refused("sign_in_signed_by_another_device", "signature_invalid");
    foreign.signer = "other";
    vec![
        foreign,
        sign_in()
            .head("kid", Value::Null)
            .refused("kid_missing", "kid_invalid"),
        sign_in()
            .head("kid", "usr_018bcfe568007000800000000000000a")
            .refused("kid_is_no_device", "kid_invalid"),
        sign_in()
            .head("jwk", signer("device").key.to_jwk())
            .refused("sign_in_with_jwk", "header_member_unexpected"),
        sign_in()
            .claim("iss", other)
            .refused("iss_is_another_device", "iss_wrong"),
        sign_in()
            .claim("sub", other)
            .refused("sub_is_another_device", "sub_wrong"),
        sign_in()
            .claim("aud", ISSUER)
            .refused("aud_is_the_issuer_only", "aud_wrong"),
        sign_in()
            .claim("aud", "https://other.example/v1/token")
            .refused("aud_is_another_server", "aud_wrong"),
        sign_in()
            .claim("iat", NOW + 31)
            .claim("exp", NOW + 91)
            .refused("sign_in_31_seconds_ahead", "iat_early"),
        sign_in()
            .claim("iat", NOW - 60)
            .claim("exp", NOW)
            .refused("exp_is_now", "exp_passed"),
        sign_in()
            .claim("exp", NOW + 301)
            .refused("exp_301_seconds_after_iat", "exp_too_far"),
        sign_in()
            .claim("exp", NOW)
            .refused("exp_not_after_iat", "exp_too_far"),
        sign_in()
            .claim("jti", "short")
            .refused("sign_in_jti_too_short", "jti_invalid"),
        sign_in()
            .claim("nbf", NOW)
            .refused("sign_in_with_an_unknown_claim", "claims_malformed"),
    ]
}

fn refused_enrollments() -> Vec<Case> {
    let mut foreign = enrollment().refused("enrollment_signed_by_another_key", "signature_invalid");
    foreign.signer = "other";
    vec![
        foreign,
        enrollment()
            .claim("aud", "https://other.example")
            .refused("enrollment_at_another_server", "aud_wrong"),
        enrollment()
            .input("code", "00000000000000000000000A")
            .refused("enrollment_with_another_code", "code_wrong"),
        enrollment()
            .input(
                "device",
                json!({ "name": "Somebody's phone", "platform": "ios" }),
            )
            .refused("enrollment_of_another_device", "device_wrong"),
        enrollment()
            .claim("iat", NOW - 121)
            .refused("enrollment_121_seconds_old", "iat_stale"),
        enrollment()
            .claim("iat", NOW + 31)
            .refused("enrollment_31_seconds_ahead", "iat_early"),
        enrollment()
            .claim("user", "yannick")
            .refused("enrollment_with_an_unknown_claim", "claims_malformed"),
    ]
}

/// Runs the verifier of `kind` and tells its result, or the code of its refusal.
fn verify(kind: &str, token: &str, inputs: &Value) -> Result<Value, &'static str> {
    let text = |name: &str| inputs[name].as_str().unwrap_or_default();
    let now = Timestamp::from_seconds(inputs["now"].as_i64().unwrap());
    match kind {
        "dpop_proof" => {
            let access_token = inputs["access_token"].as_str();
            let proof = dpop::verify(token, text("method"), text("url"), access_token, now)
                .map_err(|refusal| refusal.code())?;
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
            let proven = assertion::verify_enrollment(
                token,
                &key,
                text("issuer"),
                &code,
                &inputs["device"],
                now,
            )
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
        cases
            .iter()
            .map(|case| case.vector(&found(case.name).unwrap_or_default()))
            .collect()
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
        let (kind, token) = (
            vector["kind"].as_str().unwrap(),
            vector["token"].as_str().unwrap(),
        );
        let result = verify(kind, token, &vector["inputs"]);
        assert_eq!(result.as_ref(), Ok(&vector["result"]), "{}", vector["name"]);
    }
    for vector in document["refused"].as_array().unwrap() {
        let (kind, token) = (
            vector["kind"].as_str().unwrap(),
            vector["token"].as_str().unwrap(),
        );
        let refusal =
            verify(kind, token, &vector["inputs"]).expect_err(vector["name"].as_str().unwrap());
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
                assert_eq!(
                    outcome,
                    Err("typ_wrong"),
                    "{} as {}",
                    offered.kind,
                    verifier.kind
                );
            }
            assert!(
                tokens.verify(&token, now).is_err(),
                "{} as access token",
                offered.kind
            );
        }
        // An HMAC is 32 bytes long, so it fails before its `typ` is read.
        assert_eq!(
            verify(verifier.kind, access.expose(), &verifier.inputs),
            Err("encoding_invalid")
        );
    }
}
