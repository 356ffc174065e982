//! `api-spec/vectors/receipts.json`: receipts that hold and receipts that do not, for whoever writes a verifier.
//!
//! After a change: `PHONEOPS_WRITE_VECTORS=1 cargo test --test stories receipts::vectors`, and review the difference.

use std::collections::BTreeSet;

use phoneops::approvals::receipt::verify::{Check, TrustRoot, verify};
use serde_json::{Value, json};

use crate::receipts::forge::{Draft, Forge, user};
use crate::receipts::python;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api-spec/vectors/receipts.json");

/// A vector's name, its text, and the check that fails first.
type Vector = (&'static str, String, Option<Check>);

fn drafts(forge: &Forge) -> Vec<Vector> {
    let mut all: Vec<Vector> = Vec::new();
    let mut valid = |name, draft: &Draft| all.push((name, forge.finish(draft).to_string(), None));
    valid("approved with a passkey", &forge.approved(&["passkey"]));
    valid("approved by three, with each factor", &forge.approved(&["passkey", "code", "tap"]));
    valid("approved by somebody for two others, who are away", &forge.delegated());
    let mut put_off = forge.approved(&["passkey"]);
    put_off.receipt["approval"]["expires_at"] = json!("2026-03-01T10:07:00Z");
    put_off.pieces[0].fields["until"] = json!("2026-03-01T10:05:00Z");
    Forge::sync(&mut put_off);
    valid("a statement from before the end was put off", &put_off);
    valid("denied", &forge.denied("deny"));
    valid("reported", &forge.denied("report"));
    let mut second_thoughts = forge.denied("deny");
    second_thoughts.receipt["decision"]["by"] = json!(user(0));
    answered_as(&mut second_thoughts, 0);
    Forge::sync(&mut second_thoughts);
    valid("approved, and then denied by the same person with another key", &second_thoughts);
    valid("expired", &Forge::ended("expired"));
    valid("cancelled", &Forge::ended("cancelled"));
    valid("redeemed under a proof by the key that the grant is bound to", &forge.bound());
    valid("opened by break-glass, and approved by nobody", &forge.opened());
    valid("a break-glass that an administrator denied", &forge.closed());
    all.extend(second_version(forge));
    for (name, check, change, again) in wrong_in_the_whole().into_iter().chain(wrong_in_an_answer()).chain(wrong_afterwards()) {
        let mut draft = forge.approved(&["passkey", "code"]);
        change(&mut draft);
        if again == Again::Signed {
            Forge::sync(&mut draft);
        }
        all.push((name, forge.finish(&draft).to_string(), Some(check)));
    }
    for (name, check, change) in wrong_delegations() {
        let mut draft = forge.delegated();
        change(&mut draft);
        Forge::sync(&mut draft);
        all.push((name, forge.finish(&draft).to_string(), Some(check)));
    }
    all.extend(by_hand(forge));
    all
}

/// What only the second version knows, gone wrong.
fn second_version(forge: &Forge) -> Vec<Vector> {
    let proven = |named, signer, change: fn(&mut Value)| {
        let (mut draft, mut claims) = (forge.bound(), Forge::proof_claims());
        change(&mut claims);
        draft.receipt["redemption"]["proof"] = json!(forge.proof(named, signer, &claims));
        forge.finish(&draft).to_string()
    };
    let opened = |change: fn(&mut Value)| {
        let mut draft = forge.opened();
        change(&mut draft.receipt);
        forge.finish(&draft).to_string()
    };
    let differs = Some(Check::RedemptionDiffers);
    let mut unproven = forge.bound();
    unproven.receipt["redemption"].as_object_mut().unwrap().remove("proof");
    vec![
        ("a bound grant without a proof", forge.finish(&unproven).to_string(), differs),
        ("a proof by another key", proven(2, 2, |_| {}), differs),
        ("a proof that another key signed", proven(3, 2, |_| {}), differs),
        ("a proof of another call", proven(3, 3, |claims| claims["htu"] = json!("https://phoneops.example/v1/me")), differs),
        ("a proof of another time", proven(3, 3, |claims| claims["iat"] = json!(1_772_359_000)), differs),
        (
            "a break-glass that waited for less than a minute",
            opened(|receipt| receipt["break_glass"]["until"] = json!("2026-03-01T10:01:39Z")),
            Some(Check::StateDiffers),
        ),
        (
            "a break-glass that opened before its wait was over",
            opened(|receipt| receipt["break_glass"]["until"] = json!("2026-03-01T10:16:00Z")),
            Some(Check::StateDiffers),
        ),
        (
            "a break-glass after which it would have expired sooner",
            opened(|receipt| receipt["break_glass"]["expires_at"] = json!("2026-03-01T10:20:40.000001Z")),
            Some(Check::StateDiffers),
        ),
        (
            "a break-glass whose grant claims a passkey",
            opened(|receipt| {
                receipt["grant"]["acr"] = json!("phoneops:passkey");
                receipt["grant"]["approvers"] = json!([user(0)]);
            }),
            Some(Check::GrantDiffers),
        ),
        (
            "a break-glass under the first version",
            opened(|receipt| receipt["type"] = json!("phoneops.receipt.v1")),
            Some(Check::Shape),
        ),
    ]
}

/// A change to a receipt with delegations, signed by everybody, and the check that fails because of it.
type Misrepresented = (&'static str, Check, fn(&mut Draft));

fn wrong_delegations() -> Vec<Misrepresented> {
    vec![
        ("for somebody whose delegate they are not", Check::DelegationDiffers, |d| d.pieces[0].fields["for"] = json!([user(4)])),
        ("not for everybody whose delegate they are", Check::DelegationDiffers, |d| d.pieces[1].fields["for"] = json!([user(4)])),
        ("a delegate of the requester", Check::DelegationDiffers, |d| {
            d.receipt["requirement"]["delegations"][0]["for"] = json!(user(0));
            d.pieces[1].fields["for"] = json!([user(0), user(5)]);
        }),
        ("a delegate who is away", Check::DelegationDiffers, |d| {
            let more = json!({"for": user(1), "by": user(3)});
            d.receipt["requirement"]["delegations"].as_array_mut().unwrap().push(more);
        }),
        ("two delegates of one person", Check::DelegationDiffers, |d| {
            let more = json!({"for": user(4), "by": user(3)});
            d.receipt["requirement"]["delegations"].as_array_mut().unwrap().push(more);
        }),
        ("a statement that outlives the request", Check::StatementDiffers, |d| {
            d.pieces[0].fields["until"] = json!("2026-03-01T10:05:00.000001Z");
        }),
    ]
}

/// Whether digests and statements follow a change, so that people sign what was changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Signed,
    Unsigned,
}

/// A change to a receipt that holds, and the check that fails because of it.
type Broken = (&'static str, Check, fn(&mut Draft), Again);

fn wrong_in_the_whole() -> Vec<Broken> {
    vec![
        ("another version", Check::Version, |d| d.receipt["type"] = json!("phoneops.receipt.v9"), Again::Signed),
        ("a member of another type", Check::Shape, |d| d.receipt["people"] = json!({}), Again::Signed),
        (
            "an instant in another spelling",
            Check::Shape,
            |d| d.receipt["issued_at"] = json!("2026-03-01T11:00:00.0Z"),
            Again::Signed,
        ),
        ("an issuer key nobody trusts", Check::ReceiptKey, |d| d.signed_by = 2, Again::Signed),
        (
            "another action under the same digest",
            Check::ActionDigest,
            |d| d.receipt["approval"]["action"]["target"] = json!("staging"),
            Again::Unsigned,
        ),
        (
            "another display under the same digest",
            Check::DisplayDigest,
            |d| d.receipt["approval"]["display"]["title"] = json!("deploy → staging"),
            Again::Unsigned,
        ),
    ]
}

fn wrong_in_an_answer() -> Vec<Broken> {
    vec![
        (
            "a deny presented as an approve",
            Check::StatementDiffers,
            |d| d.pieces[0].statement["verdict"] = json!("deny"),
            Again::Unsigned,
        ),
        ("an attestation that nobody trusts", Check::AttestationKey, |d| d.pieces[1].attested_by = 2, Again::Signed),
        (
            "an attestation with something more",
            Check::AttestationInvalid,
            |d| d.pieces[0].attestation["nbf"] = json!(1),
            Again::Signed,
        ),
        ("another person's key", Check::AttestationDiffers, |d| d.pieces[0].attestation["sub"] = json!(user(2)), Again::Signed),
        (
            "a key enrolled afterwards",
            Check::AttestationDiffers,
            |d| d.pieces[0].attestation["enrolled_at"] = json!("2026-03-01T10:00:26Z"),
            Again::Signed,
        ),
        ("a device's signature for a passkey's", Check::SignatureKind, |d| d.pieces[0].kind = "jws", Again::Signed),
        (
            "client data of a registration",
            Check::ClientData,
            |d| d.pieces[0].client_data["type"] = json!("webauthn.create"),
            Again::Signed,
        ),
        (
            "a challenge of another statement",
            Check::Challenge,
            |d| d.pieces[0].statement["nonce"] = json!("A".repeat(22)),
            Again::Unsigned,
        ),
        (
            "another origin",
            Check::Origin,
            |d| d.pieces[0].client_data["origin"] = json!("https://phoneops.example.net"),
            Again::Signed,
        ),
        ("a cross-origin frame", Check::Origin, |d| d.pieces[0].client_data["crossOrigin"] = json!(true), Again::Signed),
        ("another relying party", Check::AuthenticatorData, |d| d.pieces[0].authenticator_data[0] ^= 1, Again::Signed),
        ("no user verification", Check::UserVerification, |d| d.pieces[0].authenticator_data[32] = 0x01, Again::Signed),
        ("another device's signature", Check::AnswerSignature, |d| d.pieces[1].signer = 0, Again::Signed),
        (
            "a code that nobody confirmed",
            Check::CodeUnconfirmed,
            |d| d.pieces[1].fields["code_confirmed"] = json!(false),
            Again::Signed,
        ),
        (
            "an answer after the deadline",
            Check::AnswerTime,
            |d| d.pieces[0].fields["answered_at"] = json!("2026-03-01T10:05:00Z"),
            Again::Signed,
        ),
    ]
}

/// Answered as somebody else, with the issuer's word for it.
fn answered_as(draft: &mut Draft, n: usize) {
    draft.pieces[1].fields["approver"] = json!(user(n));
    draft.pieces[1].attestation["sub"] = json!(user(n));
}

fn wrong_afterwards() -> Vec<Broken> {
    vec![
        ("an answer twice", Check::ApproverRepeated, |d| answered_as(d, 0), Again::Signed),
        ("a stranger's answer", Check::ApproverNotEligible, |d| answered_as(d, 2), Again::Signed),
        (
            "approved, and nobody decided",
            Check::StateDiffers,
            |d| drop(d.receipt.as_object_mut().unwrap().remove("decision")),
            Again::Signed,
        ),
        (
            "too few answers",
            Check::RequirementUnmet,
            |d| d.receipt["requirement"]["needs"][0]["any_of"][0]["count"] = json!(3),
            Again::Signed,
        ),
        (
            "too weak a factor",
            Check::RequirementUnmet,
            |d| d.receipt["requirement"]["needs"][0]["any_of"][0]["factor"] = json!("passkey"),
            Again::Signed,
        ),
        (
            "a grant for another action",
            Check::GrantDiffers,
            |d| d.receipt["grant"]["authorization_details"] = json!([]),
            Again::Signed,
        ),
        (
            "a grant that claims too much",
            Check::GrantDiffers,
            |d| d.receipt["grant"]["acr"] = json!("phoneops:passkey"),
            Again::Signed,
        ),
        (
            "a redemption after the grant's end",
            Check::RedemptionDiffers,
            |d| d.receipt["redemption"]["at"] = json!("2026-03-01T10:05:30Z"),
            Again::Signed,
        ),
        (
            "an outcome before the redemption",
            Check::OutcomeDiffers,
            |d| d.receipt["outcome"]["at"] = json!("2026-03-01T10:00:25Z"),
            Again::Signed,
        ),
    ]
}

/// What is wrong in the text, or in what is signed as a text.
fn by_hand(forge: &Forge) -> Vec<Vector> {
    let whole = forge.finish(&forge.approved(&["passkey"]));
    let text = whole.to_string();
    let resealed = |change: &dyn Fn(&mut Value)| {
        let mut receipt = whole["receipt"].clone();
        change(&mut receipt);
        forge.seal(&receipt, 0).to_string()
    };
    let spaced = |receipt: &mut Value| {
        let statement = receipt["answers"][0]["statement"].as_str().unwrap().replacen(':', ": ", 1);
        receipt["answers"][0]["statement"] = json!(statement);
    };
    let same_key = || {
        let mut draft = forge.approved(&["passkey", "passkey"]);
        let (key, signer) = (draft.pieces[0].attestation["key"].clone(), draft.pieces[0].signer);
        (draft.pieces[1].attestation["key"], draft.pieces[1].signer) = (key, signer);
        forge.finish(&draft).to_string()
    };
    vec![
        ("a fraction", text.replacen("\"count\":3", "\"count\":3.0", 1), Some(Check::Malformed)),
        ("a repeated member", text.replacen("\"tag\":", "\"tag\":\"R7K2\",\"tag\":", 1), Some(Check::Malformed)),
        ("a member changed after signing", text.replacen("release day", "release dax", 1), Some(Check::ReceiptSignature)),
        ("a statement with a space", resealed(&spaced), Some(Check::StatementMalformed)),
        ("one key for two people", same_key(), Some(Check::KeyRepeated)),
        ("the same in another spelling", text.replacen("R7K2", "\\u0052\\u0037K2", 1).replacen('{', "{\n  ", 1), None),
    ]
}

fn written(forge: &Forge) -> Value {
    let vectors = drafts(forge)
        .into_iter()
        .map(|(name, receipt, check)| json!({"name": name, "receipt": receipt, "check": check.map(Check::code)}));
    json!({
        "about": "Receipts (api-spec/receipt.md) as texts. `check` is the check that fails first, or null when the receipt holds.",
        "issuer_keys": forge.trust_root(), "vectors": vectors.collect::<Vec<_>>(),
    })
}

#[test]
fn the_committed_vectors_hold_or_fail_where_they_say_in_both_verifiers() {
    if std::env::var_os("PHONEOPS_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, format!("{:#}\n", written(&Forge::new()))).unwrap();
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(FILE).expect("the vectors are there")).unwrap();
    let keys = &kept["issuer_keys"];
    let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
    let mut named = BTreeSet::new();
    for vector in kept["vectors"].as_array().unwrap() {
        let text = vector["receipt"].as_str().unwrap().as_bytes();
        let expected = vector["check"].as_str().unwrap_or("valid");
        let ours = verify(text, Some(&root), None).map_or_else(|fault| fault.check.code(), |_| "valid");
        assert_eq!(ours, expected, "{}", vector["name"]);
        assert_eq!(python::verdict(text, Some(keys)), expected, "{}", vector["name"]);
        named.insert(expected.to_owned());
    }
    let without = ["unauthenticated", "issuer"];
    let missing: Vec<_> =
        Check::ALL.iter().map(|check| check.code()).filter(|code| !without.contains(code) && !named.contains(*code)).collect();
    assert!(missing.is_empty(), "no vector fails at {missing:?}");
}

#[test]
fn the_committed_vectors_are_those_of_this_source() {
    let kept: Value = serde_json::from_slice(&std::fs::read(FILE).expect("the vectors are there")).unwrap();
    let list = |value: &Value| -> Vec<(Value, Value)> {
        value["vectors"].as_array().unwrap().iter().map(|vector| (vector["name"].clone(), vector["check"].clone())).collect()
    };
    assert_eq!(list(&kept), list(&written(&Forge::new())), "see how they are made in the README beside them");
}
