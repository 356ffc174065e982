//! What the vectors show: each kind of token as it should be, and each way in which it can be wrong.

use serde_json::{Value, json};

use super::{Case, signer};
use crate::secret::{b64u, from_b64u, sha256, tagged_sha256};

pub(super) const ISSUER: &str = "https://phoneops.example";
pub(super) const DEVICE: &str = "dev_018bcfe568007000800000000000000a";
const CODE: &str = "7K3MQ2XNB4TD9VWH5RFA8CPE";
const ACCESS_TOKEN: &str = "an.access.token";
const JTI: &str = "bm90LXNvLXJhbmRvbQ";
pub(super) const NOW: i64 = 1_700_000_000;

pub(super) fn enrollment() -> Case {
    let device = json!({ "name": "Yannick's phone", "platform": "ios" });
    let canonical = serde_json_canonicalizer::to_vec(&device).unwrap();
    Case {
        name: "enrollment_proof",
        kind: "enrollment_proof",
        header: r#"{"alg":"ES256","typ":"phoneops-enrollment+jwt"}"#.into(),
        claims: text(&json!({
            "aud": ISSUER, "iat": NOW,
            "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", CODE.as_bytes())),
            "device_sha256": b64u(tagged_sha256("phoneops.device.v1", &canonical)),
        })),
        signer: "device",
        forge: str::to_owned,
        inputs: json!({ "issuer": ISSUER, "code": CODE, "device": device, "key": "device", "now": NOW }),
        refusal: None,
    }
}

pub(super) fn sign_in() -> Case {
    Case {
        name: "sign_in_assertion",
        kind: "sign_in_assertion",
        header: text(&json!({ "alg": "ES256", "kid": DEVICE, "typ": "phoneops-assertion+jwt" })),
        claims: text(&json!({
            "aud": format!("{ISSUER}/v1/token"), "exp": NOW + 60, "iat": NOW, "iss": DEVICE, "jti": JTI, "sub": DEVICE,
        })),
        inputs: json!({ "audience": format!("{ISSUER}/v1/token"), "key": "device", "now": NOW }),
        ..enrollment()
    }
}

/// The canonical text, so that a vector does not depend on the order in which a map keeps its members.
fn text(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

/// A proof without an access token, as at sign-in.
pub(super) fn bare_proof() -> Case {
    Case {
        name: "dpop_proof_at_sign_in",
        kind: "dpop_proof",
        header: text(&json!({ "alg": "ES256", "jwk": signer("device").key.to_jwk(), "typ": "dpop+jwt" })),
        claims: text(&json!({ "htm": "POST", "htu": format!("{ISSUER}/v1/token"), "iat": NOW, "jti": JTI })),
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

pub(super) fn accepted() -> Vec<Case> {
    let mut spelled = proof().claim("htu", "HTTPS://PhoneOps.Example:443/v1/%61pprovals");
    spelled.name = "dpop_proof_with_its_url_spelled_otherwise";
    let mut oldest = proof().claim("iat", NOW - 120);
    oldest.name = "dpop_proof_at_its_oldest";
    let mut early = proof().claim("iat", NOW + 30);
    early.name = "dpop_proof_from_a_clock_that_runs_ahead";
    vec![enrollment(), sign_in(), bare_proof(), proof(), spelled, oldest, early]
}

pub(super) fn refused() -> Vec<Case> {
    [refused_by_any(), refused_proofs(), refused_sign_ins(), refused_enrollments()].into_iter().flatten().collect()
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
        proof().forged(|token| format!("{token}{}", "A".repeat(8192))).refused("longer_than_8_kib", "too_long"),
        proof().forged(|token| format!("{token}.")).refused("four_parts", "not_compact"),
        proof().forged(|token| token.replacen('.', "", 2)).refused("one_part", "not_compact"),
        proof().forged(|token| format!("{token}==")).refused("padded_signature", "encoding_invalid"),
        proof().forged(|token| token.replacen('.', "=.", 1)).refused("padded_header", "encoding_invalid"),
        proof().forged(|token| token[..token.len() - 4].to_owned()).refused("short_signature", "encoding_invalid"),
        text,
        repeated,
        repeated_claim,
        proof().head("typ", "JWT").refused("typ_of_another_kind", "typ_wrong"),
        proof().head("typ", "DPoP+jwt").refused("typ_in_capitals", "typ_wrong"),
        proof().head("typ", Value::Null).refused("typ_missing", "typ_wrong"),
        proof().head("alg", "none").refused("alg_none", "alg_wrong"),
        proof().head("alg", "HS256").refused("alg_hs256", "alg_wrong"),
        proof().head("alg", Value::Null).refused("alg_missing", "alg_wrong"),
        proof().head("crit", json!(["b64"])).refused("crit", "crit_refused"),
        proof().head("kid", DEVICE).refused("header_member_not_asked_for", "header_member_unexpected"),
        proof().head("jwk", with_d(jwk.clone())).refused("jwk_with_private_d", "jwk_invalid"),
        proof().head("jwk", Value::Null).refused("jwk_missing", "jwk_invalid"),
        proof().head("jwk", json!("key")).refused("jwk_is_no_object", "jwk_invalid"),
        proof()
            .head("jwk", json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["x"] }))
            .refused("jwk_off_the_curve", "jwk_invalid"),
        foreign,
        proof().forged(last_bit_flipped).refused("signature_changed", "signature_invalid"),
    ]
}

fn last_bit_flipped(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = from_b64u(signature).unwrap();
    bytes[63] ^= 1;
    format!("{signed}.{}", b64u(bytes))
}

fn refused_proofs() -> Vec<Case> {
    vec![
        proof().claim("iat", 1.5).refused("iat_is_no_integer", "claims_malformed"),
        proof().claim("jti", Value::Null).refused("jti_missing", "claims_malformed"),
        proof().claim("htm", "POST").refused("htm_of_another_call", "htm_wrong"),
        proof().claim("htm", "get").refused("htm_in_small_letters", "htm_wrong"),
        proof().claim("htu", format!("{ISSUER}/v1/me")).refused("htu_of_another_call", "htu_wrong"),
        proof().claim("htu", "https://other.example/v1/approvals").refused("htu_of_another_host", "htu_wrong"),
        proof().claim("htu", "http://phoneops.example/v1/approvals").refused("htu_without_tls", "htu_wrong"),
        proof().claim("iat", NOW - 121).refused("iat_121_seconds_old", "iat_stale"),
        proof().claim("iat", NOW + 31).refused("iat_31_seconds_ahead", "iat_early"),
        proof().claim("jti", "bm90LXJhbmRvbQ").refused("jti_too_short", "jti_invalid"),
        proof().claim("jti", "not so very random").refused("jti_is_no_base64url", "jti_invalid"),
        proof().claim("jti", "a".repeat(129)).refused("jti_too_long", "jti_invalid"),
        proof().claim("ath", Value::Null).refused("ath_missing_beside_a_token", "ath_missing"),
        proof().claim("ath", b64u(sha256(b"another"))).refused("ath_of_another_token", "ath_wrong"),
        proof().input("access_token", Value::Null).refused("ath_without_a_token", "ath_unexpected"),
    ]
}

fn refused_sign_ins() -> Vec<Case> {
    let other = "dev_018bcfe568007000800000000000000b";
    let mut foreign = sign_in().refused("sign_in_signed_by_another_device", "signature_invalid");
    foreign.signer = "other";
    vec![
        foreign,
        sign_in().head("kid", Value::Null).refused("kid_missing", "kid_invalid"),
        sign_in().head("kid", "usr_018bcfe568007000800000000000000a").refused("kid_is_no_device", "kid_invalid"),
        sign_in().head("jwk", signer("device").key.to_jwk()).refused("sign_in_with_jwk", "header_member_unexpected"),
        sign_in().claim("iss", other).refused("iss_is_another_device", "iss_wrong"),
        sign_in().claim("sub", other).refused("sub_is_another_device", "sub_wrong"),
        sign_in().claim("aud", ISSUER).refused("aud_is_the_issuer_only", "aud_wrong"),
        sign_in().claim("aud", "https://other.example/v1/token").refused("aud_is_another_server", "aud_wrong"),
        sign_in().claim("iat", NOW + 31).claim("exp", NOW + 91).refused("sign_in_31_seconds_ahead", "iat_early"),
        sign_in().claim("iat", NOW - 60).claim("exp", NOW).refused("exp_is_now", "exp_passed"),
        sign_in().claim("exp", NOW + 301).refused("exp_301_seconds_after_iat", "exp_too_far"),
        sign_in().claim("exp", NOW).refused("exp_not_after_iat", "exp_too_far"),
        sign_in().claim("jti", "short").refused("sign_in_jti_too_short", "jti_invalid"),
        sign_in().claim("nbf", NOW).refused("sign_in_with_an_unknown_claim", "claims_malformed"),
    ]
}

fn refused_enrollments() -> Vec<Case> {
    let mut foreign = enrollment().refused("enrollment_signed_by_another_key", "signature_invalid");
    foreign.signer = "other";
    vec![
        foreign,
        enrollment().claim("aud", "https://other.example").refused("enrollment_at_another_server", "aud_wrong"),
        enrollment().input("code", "00000000000000000000000A").refused("enrollment_with_another_code", "code_wrong"),
        enrollment()
            .input("device", json!({ "name": "Somebody's phone", "platform": "ios" }))
            .refused("enrollment_of_another_device", "device_wrong"),
        enrollment().claim("iat", NOW - 121).refused("enrollment_121_seconds_old", "iat_stale"),
        enrollment().claim("iat", NOW + 31).refused("enrollment_31_seconds_ahead", "iat_early"),
        enrollment().claim("user", "yannick").refused("enrollment_with_an_unknown_claim", "claims_malformed"),
    ]
}
