//! Test vectors for what phones sign to answer, `api-spec/vectors/answers.json`, and the proof that no kind of signature passes for
//! another.
//!
//! After a change: `PHONEOPS_WRITE_VECTORS=1 cargo test --lib approvals::vectors`, and review the difference.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::grant::GrantKey;
use super::machine::{Approval, State, Verdict};
use super::policy::{Factor, Given, PolicyRef, Requirement, SignedWith};
use super::statement::{JwsRefused, Statement, challenge, verify_jws};
use super::store::StoredGrant;
use super::{Action, Display, builtin_policy};
use crate::clock::Timestamp;
use crate::db::{Options, Store};
use crate::id::DeviceId;
use crate::identity::access_token::AccessTokens;
use crate::identity::code::EnrollmentCode;
use crate::identity::vectors::signer;
use crate::identity::{IssuerKeys, assertion, dpop};
use crate::secret::{MasterKey, b64u, from_b64u, sha256, tagged_sha256};

const ISSUER: &str = "https://phoneops.example";
const NOW: i64 = 1_700_000_000;
const DEVICE: &str = "dev_018bcfe568007000800000000000000a";
const HEADER: &str = r#"{"alg":"ES256","typ":"phoneops-answer+jws"}"#;

fn id<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("an id")
}

fn approval() -> Approval {
    let action = json!({"type": "deploy", "target": "production", "params": {"app": "api", "ref": "new_auth"}});
    let (now, by) = (Timestamp::from_seconds(NOW), id("usr_018bcfe568007000800000000000000a"));
    Approval {
        id: id("apr_018bcfe568007000800000000000000c"),
        tag: "R7K2".into(),
        bot: id("bot_018bcfe568007000800000000000000b"),
        requester: by,
        action: serde_json::from_value::<Action>(action).unwrap(),
        reason: None,
        origin: None,
        requirement: Requirement {
            policy: PolicyRef { name: "staging".into(), sha256: builtin_policy().sha256 },
            factor: Factor::Tap,
            requester: true,
            requester_excluded: true,
            groups: Vec::new(),
            delegations: Vec::new(),
            window_seconds: 300,
            delay_seconds: 0,
            executor: None,
            bound_grant: false,
            break_glass: true,
        },
        created_at: now,
        expires_at: now.after(std::time::Duration::from_secs(300)),
        asked: 1,
        given: vec![Given { by, key: SignedWith::Device(id::<DeviceId>(DEVICE)), factor: Factor::Tap, at: now }],
        bound_to: None,
        break_glass: None,
        state: State::Pending,
    }
}

fn statement(verdict: Verdict, factor: Factor) -> String {
    let approval = approval();
    let display = Display::of(&approval.action, "Yannick Schutz (@yannick)", "heimdall", None);
    let nonce = std::array::from_fn(|at| u8::try_from(at).unwrap());
    Statement::new(ISSUER, &approval, &display, approval.requester, (verdict, factor), nonce).canonical()
}

/// The signature of the file while it verifies, for ECDSA is randomised.
fn token(header: &str, payload: &str, by: &str, old: &Value) -> String {
    let kept = old["jws"].as_str().filter(|jws| {
        let same = jws.starts_with(&format!("{}.{}.", b64u(header), b64u(payload)));
        let (input, signature) = jws.rsplit_once('.').unwrap_or_default();
        let signature = from_b64u(signature).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        same && signature.is_some_and(|signature| signer(by).key.verify(input.as_bytes(), &signature).is_ok())
    });
    kept.map_or_else(|| signer(by).token(header, payload), str::to_owned)
}

/// A name, a header, a payload, who signs, and why it is refused against the statement of `tap_approve`.
fn refused() -> Vec<(&'static str, String, String, &'static str, &'static str)> {
    let good = statement(Verdict::Approve, Factor::Tap);
    let with = |header: Value| serde_json_canonicalizer::to_string(&header).unwrap();
    let spaced = good.replacen(':', ": ", 1);
    let ours = HEADER.to_owned();
    vec![
        ("denied", ours.clone(), statement(Verdict::Deny, Factor::Tap), "device", "challenge_mismatch"),
        ("reported", ours.clone(), statement(Verdict::Report, Factor::Tap), "device", "challenge_mismatch"),
        ("for_a_code", ours.clone(), statement(Verdict::Approve, Factor::Code), "device", "challenge_mismatch"),
        ("spelled_otherwise", ours.clone(), spaced, "device", "challenge_mismatch"),
        ("by_another_device", ours, good.clone(), "other", "signature_invalid"),
        ("typ_of_a_jwt", with(json!({"alg": "ES256", "typ": "JWT"})), good.clone(), "device", "typ_wrong"),
        ("typ_of_a_grant", with(json!({"alg": "ES256", "typ": "phoneops-grant+jwt"})), good.clone(), "device", "typ_wrong"),
        ("typ_of_a_sign_in", with(json!({"alg": "ES256", "typ": "phoneops-assertion+jwt"})), good.clone(), "device", "typ_wrong"),
        ("without_alg", with(json!({"alg": "none", "typ": "phoneops-answer+jws"})), good.clone(), "device", "alg_wrong"),
        (
            "with_a_kid",
            with(json!({"alg": "ES256", "kid": DEVICE, "typ": "phoneops-answer+jws"})),
            good.clone(),
            "device",
            "header_member_unexpected",
        ),
        (
            "with_its_own_key",
            with(json!({"alg": "ES256", "jwk": signer("other").key.to_jwk(), "typ": "phoneops-answer+jws"})),
            good,
            "other",
            "header_member_unexpected",
        ),
    ]
}

fn document(old: &Value) -> Value {
    let kept = |list: &str, name: &str| {
        let all = old[list].as_array().into_iter().flatten();
        all.clone().find(|it| it["name"] == name).cloned().unwrap_or_default()
    };
    let passkeys = [("passkey_approve", Verdict::Approve), ("passkey_deny", Verdict::Deny), ("passkey_report", Verdict::Report)];
    let passkeys = passkeys.map(|(name, verdict)| {
        let text = statement(verdict, Factor::Passkey);
        json!({"name": name, "factor": "passkey", "challenge": b64u(challenge(&text)), "statement": text})
    });
    let accepted = [
        ("tap_approve", Verdict::Approve, Factor::Tap),
        ("code_approve", Verdict::Approve, Factor::Code),
        ("tap_deny", Verdict::Deny, Factor::Tap),
        ("tap_report", Verdict::Report, Factor::Tap),
    ];
    let accepted = accepted.map(|(name, verdict, factor)| {
        let text = statement(verdict, factor);
        let jws = token(HEADER, &text, "device", &kept("accepted", name));
        json!({"name": name, "factor": factor, "header": HEADER, "statement": text, "jws": jws})
    });
    let offered = statement(Verdict::Approve, Factor::Tap);
    let refused = refused().into_iter().map(|(name, header, payload, by, refusal)| {
        let jws = token(&header, &payload, by, &kept("refused", name));
        json!({"name": name, "statement": offered, "jws": jws, "refusal": refusal})
    });
    json!({
        "about": "Vectors for api-spec/device-protocol.md, section 6. `statement` is what was offered. With the factor passkey its \
                  `challenge` is what a passkey signs; with the others `jws` is what the key `device` of device.json signs.",
        "passkey": passkeys,
        "accepted": accepted,
        "refused": refused.collect::<Vec<_>>(),
    })
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api-spec/vectors/answers.json");

#[test]
fn the_committed_vectors_are_what_this_source_makes() {
    let text = std::fs::read_to_string(FILE).unwrap_or_default();
    let committed: Value = serde_json::from_str(&text).unwrap_or_default();
    let made = document(&committed);
    if std::env::var_os("PHONEOPS_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, format!("{}\n", serde_json::to_string_pretty(&made).unwrap())).unwrap();
    } else {
        assert_eq!(committed, made, "see the head of src/approvals/vectors.rs");
    }
}

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let document: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let key = signer("device").key;
    let verify = |vector: &Value| verify_jws(vector["jws"].as_str().unwrap(), vector["statement"].as_str().unwrap(), &key);
    for vector in document["accepted"].as_array().unwrap() {
        assert_eq!(verify(vector), Ok(()), "{}", vector["name"]);
    }
    for vector in document["refused"].as_array().unwrap() {
        let code = match verify(vector).expect_err("it is refused") {
            JwsRefused::Jws(refusal) => refusal.code(),
            JwsRefused::OtherStatement => "challenge_mismatch",
        };
        assert_eq!(vector["refusal"], code, "{}", vector["name"]);
    }
}

#[test]
fn a_flipped_bit_of_an_answer_is_refused() {
    let (key, text) = (signer("device").key, statement(Verdict::Approve, Factor::Tap));
    let jws = signer("device").token(HEADER, &text);
    for at in 0..jws.len() {
        let mut bytes = jws.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify_jws(&changed, &text, &key).is_err(), "{at}");
    }
}

type Verifier<'v> = Box<dyn Fn(&str) -> bool + 'v>;

/// Every kind of signed text, offered to every verifier: only its own accepts. All are signed, where that is possible, by the very key
/// that the verifier trusts.
#[tokio::test]
async fn no_kind_of_signature_passes_for_another() {
    let (now, device, approval) = (Timestamp::from_seconds(NOW), signer("device"), approval());
    let text = statement(Verdict::Approve, Factor::Tap);
    let master = MasterKey::generate();
    let tokens = AccessTokens::new(&master, ISSUER);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Options::Lite { path: folder.path().join("keys.sqlite") }).await.unwrap();
    let keys = IssuerKeys::open(&store, &master, ISSUER, now).await.unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, keys.current().private()).unwrap();
    let grants = GrantKey::new(keys.clone());
    let stored = StoredGrant {
        id: id("grt_018bcfe568007000800000000000000d"),
        approval: approval.id,
        bot: approval.bot,
        issued_at: now,
        expires_at: approval.expires_at,
        redeemed_at: None,
        redeem_proof: None,
    };
    let jti = "bm90LXNvLXJhbmRvbQ";
    let (code, described) = ("7K3MQ2XNB4TD9VWH5RFA8CPE", json!({"name": "A phone", "platform": "ios"}));
    let canonical = |value: &Value| serde_json_canonicalizer::to_string(value).unwrap();
    let enrollment = json!({"aud": ISSUER, "iat": NOW, "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", code.as_bytes())),
        "device_sha256": b64u(tagged_sha256("phoneops.device.v1", canonical(&described).as_bytes()))});
    let audience = format!("{ISSUER}/v1/token");
    let sign_in = json!({"aud": audience, "exp": NOW + 60, "iat": NOW, "iss": DEVICE, "sub": DEVICE, "jti": jti});
    let proof = json!({"htm": "POST", "htu": audience, "iat": NOW, "jti": jti});
    let signed = [
        ("answer", HEADER.to_owned(), text.clone()),
        ("enrollment", r#"{"alg":"ES256","typ":"phoneops-enrollment+jwt"}"#.to_owned(), canonical(&enrollment)),
        ("sign_in", canonical(&json!({"alg": "ES256", "kid": DEVICE, "typ": "phoneops-assertion+jwt"})), canonical(&sign_in)),
        ("confirmation", r#"{"alg":"ES256","typ":"phoneops-device-confirmation+jws"}"#.to_owned(), text.clone()),
        ("proof", canonical(&json!({"alg": "ES256", "jwk": device.key.to_jwk(), "typ": "dpop+jwt"})), canonical(&proof)),
    ];
    let mut offered: Vec<(&str, String)> =
        signed.iter().map(|(kind, header, payload)| (*kind, device.token(header, payload))).collect();
    offered.push(("access", tokens.mint(approval.requester, id(DEVICE), &device.key.thumbprint(), now).expose().to_owned()));
    offered.push(("grant", grants.mint(ISSUER, &approval, &stored)));
    // Two kinds whose verifier is that of receipts.
    for typ in ["phoneops-attestation+jwt", "phoneops-receipt+jws"] {
        offered.push(("receipt", keys.current().sign(typ, &json!({"iss": ISSUER}))));
    }
    // The same texts, signed by the installation: what it trusts itself with must not pass either.
    for (_, header, payload) in &signed {
        let input = format!("{}.{}", b64u(header), b64u(payload));
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        offered.push(("nothing", format!("{input}.{}", b64u(signature.as_ref()))));
    }
    let verifiers: Vec<(&str, Verifier<'_>)> = vec![
        ("answer", Box::new(|it| verify_jws(it, &text, &device.key).is_ok())),
        ("confirmation", Box::new(|it| crate::identity::verify_confirmation(it, &text, &device.key).is_ok())),
        (
            "enrollment",
            Box::new(|it| {
                let code = EnrollmentCode::parse(code).unwrap();
                assertion::verify_enrollment(it, &device.key, ISSUER, &code, &described, now).is_ok()
            }),
        ),
        (
            "sign_in",
            Box::new(|it| assertion::peek_sign_in(it).and_then(|found| found.verify(&device.key, &audience, now)).is_ok()),
        ),
        ("proof", Box::new(|it| dpop::verify(it, "POST", &audience, None, now).is_ok_and(|found| found.key == device.key))),
        ("access", Box::new(|it| tokens.verify(it, now).is_ok())),
        ("grant", Box::new(|it| grants.verify(it, ISSUER, approval.bot, &approval.action, now).is_ok())),
    ];
    for (verifier, accepts) in &verifiers {
        for (kind, it) in &offered {
            assert_eq!(accepts(it), kind == verifier, "{kind} offered to the verifier of {verifier}");
        }
    }
}

/// What passkeys sign: one digest for each tag, whatever the text.
#[test]
fn no_challenge_of_a_passkey_is_that_of_another_purpose() {
    let text = statement(Verdict::Approve, Factor::Passkey);
    let answer = challenge(&text);
    for tag in [
        "phoneops.act.v1",
        "phoneops.action.v1",
        "phoneops.device_confirmation.v1",
        "phoneops.display.v1",
        "phoneops.journal.v1",
        "phoneops.passkey_registration.v1",
        "phoneops.policy.v1",
    ] {
        assert_ne!(tagged_sha256(tag, text.as_bytes()), answer);
    }
    assert_ne!(sha256(text.as_bytes()), answer);
}
