//! Valid receipts, changed in thousands of ways: both verifiers name the same check, every time.
//!
//! **Invariants**
//! - Every check is the first to fail for some receipt.
//! - A run that fails prints one seed; `PHONEOPS_TEST_SEED` plays it again.

use std::collections::BTreeMap;

use phoneops::approvals::receipt::verify::{Check, TrustRoot, verify};
use phoneops::secret::random;
use serde_json::{Value, json};

use crate::receipts::forge::{self, Draft, Forge, user};
use crate::receipts::python;
use crate::support::dice::Dice;

/// How many receipts are tried.
const MUTANTS: usize = 5_000;

fn ours(bytes: &[u8], root: &TrustRoot) -> String {
    match verify(bytes, Some(root), None) {
        Ok(_) => "valid".to_owned(),
        Err(fault) => fault.check.code().to_owned(),
    }
}

#[test]
fn both_verifiers_agree_on_whatever_is_changed() {
    let seed = std::env::var("PHONEOPS_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from_le_bytes(random()) | 1);
    let (mut dice, forge) = (Dice(seed), Forge::new());
    let keys = forge.trust_root();
    let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for mutant in 0..MUTANTS {
        let bytes = mutated(&forge, &mut dice, mutant);
        let (ours, theirs) = (ours(&bytes, &root), python::verdict(&bytes, Some(&keys)));
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(ours, theirs, "mutant {mutant} of PHONEOPS_TEST_SEED={seed}: ours and Python's verdict differ on {shown}");
        *seen.entry(ours).or_default() += 1;
    }
    let without_root = forge.finish(&forge.approved(&["passkey"])).to_string().into_bytes();
    assert_eq!(verify(&without_root, None, None).unwrap_err().check, Check::Unauthenticated);
    assert_eq!(python::verdict(&without_root, None), "unauthenticated");
    let elsewhere = verify(&without_root, Some(&root), Some("https://other.example")).unwrap_err();
    assert_eq!(elsewhere.check, Check::Issuer);
    println!("seed {seed}: {seen:?}");
    let apart = [Check::Unauthenticated, Check::Issuer];
    let never: Vec<_> = Check::ALL.iter().filter(|check| !apart.contains(check) && !seen.contains_key(check.code())).collect();
    assert!(never.is_empty(), "PHONEOPS_TEST_SEED={seed}: nothing failed at {never:?}: {seen:?}");
    assert!(seen["valid"] * 50 > MUTANTS, "too few are valid: {seen:?}");
}

/// Signed rightly, by the right key, as something else.
#[test]
fn no_kind_of_signature_passes_for_another() {
    let kinds = [
        "phoneops-receipt+jws",
        "phoneops-attestation+jwt",
        "phoneops-answer+jws",
        "phoneops-grant+jwt",
        "phoneops-enrollment+jwt",
        "phoneops-assertion+jwt",
        "phoneops-access+jwt",
        "dpop+jwt",
        "JWT",
    ];
    let mut forge = Forge::new();
    let keys = forge.trust_root();
    let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
    let ours_of = (forge.receipt_typ, forge.attestation_typ, forge.answer_typ);
    for kind in kinds {
        for (at, (own, check)) in
            [(ours_of.0, Check::ReceiptSignature), (ours_of.1, Check::AttestationInvalid), (ours_of.2, Check::AnswerSignature)]
                .into_iter()
                .enumerate()
        {
            (forge.receipt_typ, forge.attestation_typ, forge.answer_typ) = ours_of;
            *[&mut forge.receipt_typ, &mut forge.attestation_typ, &mut forge.answer_typ][at] = kind;
            let bytes = forge.finish(&forge.approved(&["tap"])).to_string().into_bytes();
            let expected = if kind == own { "valid" } else { check.code() };
            assert_eq!(
                (ours(&bytes, &root).as_str(), python::verdict(&bytes, Some(&keys)).as_str()),
                (expected, expected),
                "{kind}"
            );
        }
    }
}

fn base(forge: &Forge, dice: &mut Dice) -> Draft {
    match dice.roll(12) {
        8 => forge.delegated(),
        9 => forge.bound(),
        10 => forge.opened(),
        11 => forge.closed(),
        0 | 1 => forge.approved(&["passkey"]),
        2 => forge.approved(&["passkey", "code", "tap"]),
        3 => forge.approved(&["code", "passkey"]),
        4 => forge.denied("deny"),
        5 => forge.denied("report"),
        6 => Forge::ended("expired"),
        _ => Forge::ended("cancelled"),
    }
}

fn mutated(forge: &Forge, dice: &mut Dice, mutant: usize) -> Vec<u8> {
    let mut draft = base(forge, dice);
    match mutant % 6 {
        0 => damaged(&forge.finish(&draft), dice),
        1 => {
            let mut whole = forge.finish(&draft);
            disturb(&mut whole["receipt"], dice);
            forge.seal(&whole["receipt"], draft.signed_by).to_string().into_bytes()
        }
        2 => {
            twist_signed(&mut draft, dice);
            forge.finish(&draft).to_string().into_bytes()
        }
        3 => {
            // What was changed is signed by everybody: only what it means can be wrong.
            twist(&mut draft, forge, dice);
            Forge::sync(&mut draft);
            forge.finish(&draft).to_string().into_bytes()
        }
        4 => {
            disturb(&mut draft.receipt, dice);
            if draft.receipt["approval"].is_object() && draft.receipt["requirement"].is_object() {
                Forge::sync(&mut draft);
            }
            if draft.receipt.is_object() {
                return forge.finish(&draft).to_string().into_bytes();
            }
            forge.seal(&draft.receipt, 0).to_string().into_bytes()
        }
        _ => {
            let mut whole = forge.finish(&draft);
            let at = dice.roll(5);
            crossed(&mut whole["receipt"], at);
            forge.seal(&whole["receipt"], draft.signed_by).to_string().into_bytes()
        }
    }
}

/// Damage to the text, after everything was signed.
fn damaged(whole: &Value, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = whole.to_string().into_bytes();
    let at = dice.roll(bytes.len());
    match dice.roll(9) {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, *dice.pick(b" \n{}[]\",:0-.eE\\\x00\xff")),
        3 => drop(bytes.remove(at)),
        4 => bytes = [b" \n".to_vec(), bytes, b"\t".to_vec()].concat(),
        5 => bytes = [b"\xef\xbb\xbf".to_vec(), bytes].concat(),
        6 => bytes = String::from_utf8(bytes).unwrap().replacen("\"tag\":", "\"tag\":\"AAAA\",\"tag\":", 1).into_bytes(),
        7 => {
            let number = *dice.pick(&["1.0", "-0", "1e3", "9007199254740993", "NaN", "01", "null", "\"\\ud800\"", "\"\\u0000\""]);
            bytes = String::from_utf8(bytes).unwrap().replacen("\"tag\":\"R7K2\"", &format!("\"tag\":{number}"), 1).into_bytes();
        }
        // Another spelling of the same.
        _ => bytes = String::from_utf8(bytes).unwrap().replacen("R7K2", "\\u0052\\u0037K2", 1).into_bytes(),
    }
    bytes
}

/// Every place in a value.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        out.push(place.clone());
        places(value, &place, out);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value)),
        _ => {}
    }
}

/// Changes one place of a value.
fn disturb(value: &mut Value, dice: &mut Dice) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let Some(place) = all.get(dice.roll(all.len().max(1))).cloned() else { return };
    let other = value.pointer(dice.pick(&all[..]).as_str()).cloned().unwrap_or_default();
    let (parent, name) = place.rsplit_once('/').unwrap();
    if dice.roll(8) == 0 {
        if let Some(Value::Object(members)) = value.pointer_mut(parent) {
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        return;
    }
    let there = value.pointer_mut(&place).unwrap();
    *there = if dice.roll(6) == 0 { other } else { changed(there, dice) };
}

fn changed(value: &Value, dice: &mut Dice) -> Value {
    match (value, dice.roll(6)) {
        (_, 0) => dice.pick(&[json!(null), json!(1.5), json!(true), json!([]), json!({}), json!(7), json!("")]).clone(),
        (Value::String(text), 1) => json!(format!("{text}x")),
        (Value::String(text), 2) => json!(text.chars().skip(1).collect::<String>()),
        (Value::String(text), 3) if text.starts_with("usr_") => json!(user(dice.roll(5))),
        (Value::String(text), 3) if text.ends_with('Z') && text.starts_with("20") => json!(instant(dice)),
        (Value::String(text), _) => {
            let mut chars: Vec<char> = text.chars().collect();
            if !chars.is_empty() {
                let at = dice.roll(chars.len());
                chars[at] = *dice.pick(&['a', '0', 'Z', 'é', '_', '.']);
            }
            json!(chars.into_iter().collect::<String>())
        }
        (Value::Number(number), 1..=3) => json!(number.as_i64().unwrap_or_default() + [-1, 1, 1000][dice.roll(3)]),
        (Value::Number(number), _) => json!(number.to_string()),
        (Value::Bool(truth), _) => json!(!truth),
        (Value::Array(items), 1) => items.iter().skip(1).cloned().collect(),
        (Value::Array(items), 2) => items.iter().chain(items.first()).cloned().collect(),
        (Value::Array(items), _) => items.iter().rev().cloned().collect(),
        (Value::Object(members), 1) => json!(members.values().collect::<Vec<_>>()),
        (Value::Object(members), _) => {
            let mut members = members.clone();
            members.insert("more".into(), json!({"of": "it"}));
            Value::Object(members)
        }
        (Value::Null, _) => json!(0),
    }
}

const INSTANTS: &[&str] = &[
    "2026-03-01T09:59:54Z",
    "2026-03-01T09:59:56Z",
    "2026-03-01T10:00:00Z",
    "2026-03-01T10:00:30.5Z",
    "2026-03-01T10:00:36Z",
    "2026-03-01T10:04:59.999999Z",
    "2026-03-01T10:05:00Z",
    "2026-03-01T10:05:30Z",
    "2026-03-01T10:05:29.9Z",
    "2026-03-01T10:05:30.50Z",
    "2026-02-30T10:00:00Z",
    "1969-12-31T23:59:59Z",
    "2026-03-01T24:00:00Z",
    "2026-03-01t10:00:00Z",
    "9999-12-31T23:59:59Z",
];

fn instant(dice: &mut Dice) -> &'static str {
    INSTANTS[dice.roll(INSTANTS.len())]
}

/// Changes what somebody signs, and lets them sign it.
fn twist_signed(draft: &mut Draft, dice: &mut Dice) {
    if draft.pieces.is_empty() {
        draft.signed_by = dice.roll(3);
        return;
    }
    let at = dice.roll(draft.pieces.len());
    let piece = &mut draft.pieces[at];
    match dice.roll(9) {
        0 => disturb(&mut piece.statement, dice),
        1 => {
            disturb(&mut piece.statement, dice);
            piece.client_data["challenge"] = json!(forge::challenge(&forge::text(&piece.statement)));
        }
        2 | 3 => disturb(&mut piece.attestation, dice),
        4 => disturb(&mut piece.client_data, dice),
        5 => {
            let at = dice.roll(piece.authenticator_data.len());
            piece.authenticator_data[at] ^= 1 << dice.roll(8);
        }
        6 => piece.authenticator_data[32] = *dice.pick(&[0, 1, 4, 5, 0x1d, 0x45]),
        7 => piece.authenticator_data.truncate(dice.roll(40)),
        _ => {
            let place = *dice.pick(&["/crossOrigin", "/topOrigin", "/origin", "/type", "/challenge"]);
            let app = json!("android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck");
            let value =
                dice.pick(&[json!(true), json!(null), json!("https://phoneops.example"), json!("webauthn.create"), app]).clone();
            piece.client_data[&place[1..]] = value;
        }
    }
}

/// Changes what the receipt means.
fn twist(draft: &mut Draft, forge: &Forge, dice: &mut Dice) {
    for _ in 0..=dice.roll(2) {
        twist_once(draft, forge, dice);
    }
}

/// The glass broken at another time, for another time, or before others.
fn broken_otherwise(receipt: &mut Value, dice: &mut Dice) {
    let name = *dice.pick(&["at", "until", "expires_at", "told"]);
    let other = json!(instant(dice));
    receipt["break_glass"][name] = if name == "told" { json!([user(dice.roll(4))]) } else { other };
}

/// Another proof of the redemption, rightly signed or not.
fn reproven(receipt: &mut Value, forge: &Forge, dice: &mut Dice) {
    let mut claims = Forge::proof_claims();
    match dice.roll(5) {
        0 => claims["htm"] = json!("GET"),
        1 => claims["htu"] = json!("https://other.example/v1/grants/redeem"),
        2 => claims["iat"] = json!(1_772_359_230 + [-126, -125, -124, 36, 35, 37][dice.roll(6)]),
        3 => drop(claims.as_object_mut().unwrap().remove("ath")),
        _ => {}
    }
    let (named, signer) = (*dice.pick(&[3, 3, 2]), *dice.pick(&[3, 3, 2]));
    receipt["redemption"]["proof"] = json!(forge.proof(named, signer, &claims));
}

fn twist_once(draft: &mut Draft, forge: &Forge, dice: &mut Dice) {
    let states = [json!("approved"), json!("denied"), json!("expired"), json!("cancelled")];
    let verdicts = [json!("approve"), json!("deny"), json!("report")];
    let factors = [json!("passkey"), json!("code"), json!("tap")];
    if dice.roll(2) == 0 && !draft.pieces.is_empty() {
        let count = draft.pieces.len();
        let at = dice.roll(count);
        let piece = &mut draft.pieces[at];
        match dice.roll(16) {
            13 => {
                piece.fields["for"] =
                    dice.pick(&[json!([user(4)]), json!([user(4), user(5)]), json!([user(1)]), json!([])]).clone();
            }
            14 => drop(piece.fields.as_object_mut().unwrap().remove("for")),
            0 => piece.fields["verdict"] = dice.pick(&verdicts).clone(),
            1 => piece.fields["factor"] = dice.pick(&factors).clone(),
            2 => piece.fields["answered_at"] = json!(instant(dice)),
            3 => piece.attestation["enrolled_at"] = json!(instant(dice)),
            4 => piece.attested_by = dice.roll(3),
            5 => piece.signer = dice.roll(4),
            6 => piece.kind = if piece.kind == "jws" { "webauthn" } else { "jws" },
            7 => {
                (piece.fields["factor"], piece.fields["code_confirmed"]) = (json!("code"), json!(dice.roll(2) == 0));
            }
            12 => {
                let coded = draft.pieces.iter_mut().find(|piece| piece.fields["factor"] == "code");
                if let Some(piece) = coded {
                    piece.fields["code_confirmed"] = json!(false);
                }
            }
            8 => drop(draft.pieces.remove(at)),
            9 => {
                // Somebody answers for somebody else, with the issuer's word that the key is theirs.
                let other = json!(user(dice.roll(5)));
                piece.fields["approver"] = other.clone();
                piece.attestation["sub"] = other;
            }
            10 if count > 1 => {
                // One key, two people.
                let (key, signer, kind) =
                    (draft.pieces[0].attestation["key"].clone(), draft.pieces[0].signer, draft.pieces[0].kind);
                let factor = draft.pieces[0].fields["factor"].clone();
                let piece = &mut draft.pieces[count - 1];
                (piece.attestation["key"], piece.signer, piece.kind) = (key, signer, kind);
                piece.fields["factor"] = factor;
                piece.fields["code_confirmed"] = json!(true);
            }
            11 if count > 1 => {
                let person = draft.pieces[0].fields["approver"].clone();
                let piece = &mut draft.pieces[count - 1];
                piece.fields["approver"] = person.clone();
                piece.attestation["sub"] = person;
            }
            _ => piece.fields["device"] = json!(format!("dev_{:032x}", dice.roll(4))),
        }
        return;
    }
    let receipt = &mut draft.receipt;
    match dice.roll(19) {
        13 => {
            let one = |dice: &mut Dice| json!({"for": user(dice.roll(6)), "by": user(dice.roll(4))});
            let some: Vec<_> = (0..=dice.roll(2)).map(|_| one(dice)).collect();
            receipt["requirement"]["delegations"] = json!(some);
        }
        14 => {
            // Put off after the first statement was offered, or the reverse.
            let at = json!(instant(dice));
            receipt["approval"]["expires_at"] = at.clone();
            if let Some(piece) = draft.pieces.first_mut() {
                piece.fields["until"] = json!(instant(dice));
            }
        }
        15 if receipt["redemption"]["proof"].is_string() => reproven(receipt, forge, dice),
        16 if receipt["break_glass"].is_object() => broken_otherwise(receipt, dice),
        17 => receipt["type"] = dice.pick(&[json!("phoneops.receipt.v1"), json!("phoneops.receipt.v2")]).clone(),
        18 if receipt["grant"].is_object() => {
            receipt["grant"]["acr"] = dice.pick(&[json!("phoneops:break-glass"), json!("phoneops:passkey")]).clone();
        }
        0 => receipt["approval"]["state"] = dice.pick(&states).clone(),
        1 => {
            let name = *dice.pick(&["created_at", "expires_at", "ended_at"]);
            receipt["approval"][name] = json!(instant(dice));
        }
        2 if receipt["decision"].is_object() => receipt["decision"]["verdict"] = dice.pick(&verdicts).clone(),
        3 if receipt["decision"].is_object() => receipt["decision"]["by"] = json!(user(dice.roll(4))),
        4 => receipt["requirement"]["needs"][0]["any_of"][0]["count"] = json!(dice.roll(5)),
        5 => receipt["requirement"]["needs"][0]["any_of"][0]["factor"] = dice.pick(&factors).clone(),
        6 => receipt["requirement"]["needs"][0]["any_of"][0]["of"] = json!([user(dice.roll(3)), user(dice.roll(4))]),
        7 | 8 if receipt["grant"].is_object() => {
            let name =
                *dice.pick(&["iss", "aud", "sub", "iat", "exp", "acr", "approval", "approvers", "authorization_details", "cnf"]);
            receipt["grant"][name] = changed(&receipt["grant"][name], dice);
        }
        9 | 12 if receipt["redemption"].is_object() => receipt["redemption"]["at"] = json!(instant(dice)),
        10 if receipt["outcome"].is_object() => receipt["outcome"]["at"] = json!(instant(dice)),
        11 => {
            let name = *dice.pick(&["decision", "grant", "redemption", "outcome", "break_glass"]);
            receipt.as_object_mut().unwrap().remove(name);
        }
        _ => receipt["approval"]["requester"] = json!(user(dice.roll(4))),
    }
}

/// Parts of one answer in another, or digests that are not those.
fn crossed(receipt: &mut Value, at: usize) {
    let answers = receipt["answers"].as_array().map_or(0, Vec::len);
    match at {
        0 => receipt["approval"]["action_sha256"] = receipt["approval"]["display_sha256"].clone(),
        1 => receipt["approval"]["display"]["title"] = json!("deploy → staging"),
        2 if answers > 1 => {
            let other = receipt["answers"][0]["attestation"].clone();
            receipt["answers"][1]["attestation"] = other;
        }
        3 if answers > 0 => {
            let statement = format!("{} ", receipt["answers"][0]["statement"].as_str().unwrap());
            receipt["answers"][0]["statement"] = json!(statement);
        }
        _ if answers > 1 => {
            let other = receipt["answers"][0]["signature"].clone();
            receipt["answers"][1]["signature"] = other;
        }
        _ => {}
    }
}
