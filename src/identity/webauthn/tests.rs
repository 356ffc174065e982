use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use proptest::prelude::*;

use super::*;
use crate::secret::sha256;

const ORIGIN: &str = "https://phoneops.example";
const RP_ID: &str = "phoneops.example";
const UP: u8 = 0x01;
const UV: u8 = 0x04;
const BE: u8 = 0x08;
const AT: u8 = 0x40;

fn rp() -> RelyingParty {
    RelyingParty::new(RP_ID, &ORIGIN.parse().unwrap(), "PhoneOps").unwrap()
}

/// The least that makes and uses a passkey: every field is what the next response will say.
struct Authenticator {
    pair: EcdsaKeyPair,
    id: Vec<u8>,
    rp_id: &'static str,
    flags: u8,
    counter: u32,
    client_data: fn(&mut Value),
}

impl Authenticator {
    fn new() -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            id: crate::secret::random::<16>().to_vec(),
            rp_id: RP_ID,
            flags: UP | UV,
            counter: 0,
            client_data: |_| (),
        }
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> Vec<u8> {
        let mut data = json!({ "type": kind, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false });
        (self.client_data)(&mut data);
        data.to_string().into_bytes()
    }

    fn auth_data(&self, flags: u8) -> Vec<u8> {
        let counter = self.counter.to_be_bytes();
        [&sha256(self.rp_id.as_bytes())[..], &[flags], &counter].concat()
    }

    /// The public key as COSE (RFC 9053 section 7.1): EC2, ES256, P-256, x, y.
    fn cose(&self) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        [&head[..], &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
    }

    fn register(&self, options: &Value) -> Value {
        let mut auth_data = self.auth_data(self.flags | AT);
        auth_data.extend([0; 16]);
        auth_data.extend([0, u8::try_from(self.id.len()).unwrap()]);
        auth_data.extend(&self.id);
        auth_data.extend(self.cose());
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(auth_data.len()).unwrap());
        object.extend(&auth_data);
        json!({
            "id": b64u(&self.id), "rawId": b64u(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": { "credProps": { "rk": true } },
            "response": {
                "attestationObject": b64u(object),
                "clientDataJSON": b64u(self.client_data("webauthn.create", &options["challenge"])),
                "transports": ["internal", "hybrid", "smart-card"],
                "publicKeyAlgorithm": -7,
            },
        })
    }

    fn assert(&self, options: &Value) -> Value {
        let auth_data = self.auth_data(self.flags);
        let client_data = self.client_data("webauthn.get", &options["challenge"]);
        let signed = [&auth_data[..], &sha256(&client_data)].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": b64u(&self.id), "rawId": b64u(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "authenticatorData": b64u(auth_data), "clientDataJSON": b64u(client_data),
                "signature": b64u(signature.as_ref()), "userHandle": null,
            },
        })
    }
}

fn offer_registration(exclude: &[Credential]) -> (Value, Value) {
    let (handle, name) = ("ys".parse().unwrap(), "Yannick Schutz".parse().unwrap());
    rp().start_registration(Uuid::from_u128(7), &handle, &name, exclude)
}

fn register(authenticator: &Authenticator) -> Result<Credential, WebauthnRefusal> {
    let (options, state) = offer_registration(&[]);
    rp().finish_registration(&state, &authenticator.register(&options))
}

fn assert(authenticator: &Authenticator, stored: &Credential) -> Result<Assertion, WebauthnRefusal> {
    let (options, state) = rp().start_assertion(std::slice::from_ref(stored), [9; 32]);
    rp().finish_assertion(&state, &authenticator.assert(&options), stored)
}

/// Both ceremonies with a passkey that changed after a good registration.
fn refusals(change: fn(&mut Authenticator)) -> [&'static str; 2] {
    let mut authenticator = Authenticator::new();
    let stored = register(&authenticator).unwrap();
    change(&mut authenticator);
    let code = |refusal: WebauthnRefusal| refusal.code();
    [register(&authenticator).map_or_else(code, |_| "ok"), assert(&authenticator, &stored).map_or_else(code, |_| "ok")]
}

#[test]
fn a_passkey_is_made_stored_and_used() {
    let authenticator = Authenticator::new();
    let stored = register(&authenticator).unwrap();
    let text = serde_json::to_string(&stored).unwrap();
    let stored: Credential = serde_json::from_str(&text).unwrap();
    let assertion = assert(&authenticator, &stored).unwrap();
    assert_eq!(assertion.credential_id, authenticator.id);
    assert_eq!((assertion.counter, assertion.updated.is_none()), (0, true));
}

#[test]
fn our_challenge_stands_in_the_options_and_in_the_state() {
    let (options, state) = rp().start_assertion(&[], [9; 32]);
    assert_eq!(options["challenge"], b64u([9; 32]));
    assert_eq!(state["webauthn"]["ast"]["challenge"], b64u([9; 32]));
}

#[test]
fn the_crate_checks_the_challenge_that_we_set_and_no_other() {
    let authenticator = Authenticator::new();
    let stored = register(&authenticator).unwrap();
    let offered = std::slice::from_ref(&stored);
    let (options, state) = rp().start_assertion(offered, [9; 32]);
    let (other_options, other_state) = rp().start_assertion(offered, [8; 32]);
    let answer = |options| authenticator.assert(options);
    let finish = |state, answer| rp().finish_assertion(state, &answer, &stored).map(|_| ());
    assert_eq!(finish(&state, answer(&options)), Ok(()));
    assert_eq!(finish(&other_state, answer(&other_options)), Ok(()));
    assert_eq!(finish(&state, answer(&other_options)), Err(WebauthnRefusal::ChallengeMismatch));
    assert_eq!(finish(&other_state, answer(&options)), Err(WebauthnRefusal::ChallengeMismatch));
}

#[test]
fn options_are_what_browsers_parse() {
    let stored = register(&Authenticator::new()).unwrap();
    let (creation, _) = offer_registration(std::slice::from_ref(&stored));
    let selection = json!({ "residentKey": "preferred", "requireResidentKey": false, "userVerification": "required" });
    assert_eq!(creation["authenticatorSelection"], selection);
    assert_eq!(creation["rp"], json!({ "id": RP_ID, "name": "PhoneOps" }));
    let user = json!({ "id": b64u(Uuid::from_u128(7)), "name": "ys", "displayName": "Yannick Schutz" });
    assert_eq!(creation["user"], user);
    assert_eq!(creation["excludeCredentials"][0]["id"], b64u(stored.id()));
    let (request, _) = rp().start_assertion(std::slice::from_ref(&stored), [9; 32]);
    let expected = json!({
        "challenge": b64u([9; 32]), "timeout": 300_000, "rpId": RP_ID, "userVerification": "required",
        "allowCredentials": [{ "type": "public-key", "id": b64u(stored.id()), "transports": ["internal", "hybrid"] }],
    });
    assert_eq!(request, expected);
    // A null would be an error to the browser where it expects a list.
    assert!(!creation.to_string().contains("null"), "{creation}");
}

#[test]
fn user_verification_is_required() {
    let missing = ["user_verification_missing"; 2];
    assert_eq!(refusals(|it| it.flags = UP), missing);
    assert_eq!(refusals(|it| it.flags = UV), missing);
}

#[test]
fn cross_origin_frames_are_refused() {
    let refused = ["cross_origin_refused"; 2];
    assert_eq!(refusals(|it| it.client_data = |data| data["crossOrigin"] = true.into()), refused);
    assert_eq!(refusals(|it| it.client_data = |data| data["topOrigin"] = "https://evil.example".into()), refused);
    assert_eq!(refusals(|it| it.client_data = |data| data["topOrigin"] = Value::Null), refused);
    let absent = refusals(|it| it.client_data = |data| data["crossOrigin"] = Value::Null);
    assert_eq!(absent, ["ok"; 2]);
}

#[test]
fn another_origin_or_relying_party_is_refused() {
    let refused = ["origin_mismatch"; 2];
    let changes: [fn(&mut Value); 6] = [
        |data| data["origin"] = "https://evil.example".into(),
        |data| data["origin"] = "https://sub.phoneops.example".into(),
        |data| data["origin"] = "http://phoneops.example".into(),
        |data| data["origin"] = "https://phoneops.example:8443".into(),
        |data| data["origin"] = "https://phoneops.example/path".into(),
        |data| data["origin"] = "android:apk-key-hash:abc".into(),
    ];
    for change in changes {
        let mut authenticator = Authenticator::new();
        let stored = register(&authenticator).unwrap();
        authenticator.client_data = change;
        let code = |refusal: WebauthnRefusal| refusal.code();
        let made = register(&authenticator).map_or_else(code, |_| "ok");
        let used = assert(&authenticator, &stored).map_or_else(code, |_| "ok");
        assert_eq!([made, used], refused);
    }
    assert_eq!(refusals(|it| it.rp_id = "evil.example"), refused);
}

#[test]
fn a_native_apps_origin_is_accepted_as_a_whole_and_only_where_it_is_named() {
    let app: Url = "android:apk-key-hash:-sYXRdwJA3hvue3mKpYrOZ9zSPC7b4mbgzJmdZEDO5w".parse().unwrap();
    let named = RelyingParty::with_apps(RP_ID, &ORIGIN.parse().unwrap(), "PhoneOps", std::slice::from_ref(&app)).unwrap();
    let ceremonies = |rp: &RelyingParty, change: fn(&mut Value)| {
        let authenticator = Authenticator { client_data: change, ..Authenticator::new() };
        let (handle, name) = ("ys".parse().unwrap(), "Yannick Schutz".parse().unwrap());
        let (options, state) = rp.start_registration(Uuid::from_u128(7), &handle, &name, &[]);
        let stored = rp.finish_registration(&state, &authenticator.register(&options)).map_err(|refusal| refusal.code())?;
        let (options, state) = rp.start_assertion(std::slice::from_ref(&stored), [9; 32]);
        rp.finish_assertion(&state, &authenticator.assert(&options), &stored).map_err(|refusal| refusal.code()).map(|_| ())
    };
    let from_app: fn(&mut Value) =
        |data| data["origin"] = "android:apk-key-hash:-sYXRdwJA3hvue3mKpYrOZ9zSPC7b4mbgzJmdZEDO5w".into();
    assert_eq!(ceremonies(&named, from_app), Ok(()));
    assert_eq!(ceremonies(&named, |_| ()), Ok(()), "the browser's stays");
    assert_eq!(ceremonies(&rp(), from_app), Err("origin_mismatch"));
    let others: [fn(&mut Value); 3] = [
        |data| data["origin"] = "android:apk-key-hash:-sYXRdwJA3hvue3mKpYrOZ9zSPC7b4mbgzJmdZEDO5wA".into(),
        |data| data["origin"] = "android:apk-key-hash:".into(),
        |data| data["origin"] = "ios:bundle-id:com.example.phoneops".into(),
    ];
    for other in others {
        assert_eq!(ceremonies(&named, other), Err("origin_mismatch"));
    }
}

#[test]
fn another_challenge_is_refused() {
    let codes = refusals(|it| it.client_data = |data| data["challenge"] = b64u([0; 32]).into());
    assert_eq!(codes, ["challenge_mismatch"; 2]);
}

#[test]
fn another_ceremony_is_refused() {
    assert_eq!(refusals(|it| it.client_data = |data| data["type"] = "webauthn.get".into()), ["malformed", "ok"]);
    assert_eq!(refusals(|it| it.client_data = |data| data["type"] = "webauthn.create".into()), ["ok", "malformed"]);
}

#[test]
fn another_key_under_the_same_id_is_refused() {
    let codes = refusals(|it| it.pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
    assert_eq!(codes, ["ok", "signature_invalid"]);
}

#[test]
fn a_passkey_that_was_not_offered_is_unknown() {
    let (mine, yours) = (Authenticator::new(), Authenticator::new());
    let stored = [register(&mine).unwrap(), register(&yours).unwrap()];
    let (options, state) = rp().start_assertion(&stored[..1], [9; 32]);
    let finish = |answer: &Value, stored| rp().finish_assertion(&state, answer, stored).unwrap_err();
    let unknown = WebauthnRefusal::PasskeyUnknown;
    assert_eq!(finish(&yours.assert(&options), &stored[1]), unknown);
    assert_eq!(finish(&yours.assert(&options), &stored[0]), unknown);
    assert_eq!(finish(&mine.assert(&options), &stored[1]), unknown);
    assert_eq!(refusals(|it| it.id = vec![1; 16])[1], "passkey_unknown");
}

#[test]
fn a_counter_must_rise_once_it_counts() {
    let mut authenticator = Authenticator::new();
    authenticator.counter = 5;
    let stored = register(&authenticator).unwrap();
    let repeated = assert(&authenticator, &stored).unwrap_err();
    assert_eq!(repeated.code(), "signature_invalid");
    authenticator.counter = 6;
    let assertion = assert(&authenticator, &stored).unwrap();
    let updated = assertion.updated.unwrap();
    assert_eq!((assertion.counter, updated.counter()), (6, 6));
    assert!(assert(&authenticator, &updated).is_err());
    authenticator.counter = 0;
    assert!(assert(&authenticator, &updated).is_err());
}

#[test]
fn backup_eligibility_may_not_change() {
    assert_eq!(refusals(|it| it.flags |= BE), ["ok", "signature_invalid"]);
}

#[test]
fn malformed_members_are_named() {
    let authenticator = Authenticator::new();
    let stored = register(&authenticator).unwrap();
    let (options, state) = rp().start_assertion(std::slice::from_ref(&stored), [9; 32]);
    let good = authenticator.assert(&options);
    for (pointer, value, field) in [
        ("/response/signature", json!("***"), "response.signature"),
        ("/response/authenticatorData", json!(b64u([1; 36])), "response.authenticatorData"),
        ("/response/authenticatorData", json!(7), "response.authenticatorData"),
        ("/response/clientDataJSON", json!(b64u("{}")), "response.clientDataJSON.origin"),
        ("/response/clientDataJSON", json!(b64u([0xff])), "response.clientDataJSON"),
        ("/response", json!({}), "response.authenticatorData"),
        ("/response", json!([]), "response"),
        ("/rawId", json!("="), "rawId"),
        ("/id", json!("other"), "id"),
        ("/type", json!("password"), "type"),
        ("", json!(null), ""),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        match rp().finish_assertion(&state, &bad, &stored).unwrap_err() {
            WebauthnRefusal::Malformed { field: named } if named == field => (),
            other => panic!("{pointer} of {field}: {other:?}"),
        }
    }
}

#[test]
fn a_malformed_attestation_is_named() {
    let authenticator = Authenticator::new();
    let (options, state) = offer_registration(&[]);
    let good = authenticator.register(&options);
    let mut other_id = good.clone();
    (other_id["id"], other_id["rawId"]) = (b64u([1; 16]).into(), b64u([1; 16]).into());
    let mut no_object = good.clone();
    no_object["response"]["attestationObject"] = b64u([0xa0]).into();
    let mut deep = good.clone();
    deep["response"]["attestationObject"] = b64u(vec![0x81; 100_000]).into();
    for (bad, field) in [(other_id, "rawId"), (no_object, "response.attestationObject"), (deep, "response.attestationObject")] {
        let refusal = rp().finish_registration(&state, &bad).unwrap_err();
        assert_eq!(refusal, WebauthnRefusal::malformed(field));
    }
    assert!(rp().finish_registration(&state, &good).is_ok());
}

#[test]
fn a_state_that_is_not_ours_is_our_fault() {
    let authenticator = Authenticator::new();
    let stored = register(&authenticator).unwrap();
    let (options, _) = rp().start_assertion(std::slice::from_ref(&stored), [9; 32]);
    let used = rp().finish_assertion(&json!({}), &authenticator.assert(&options), &stored);
    assert_eq!(used.unwrap_err(), WebauthnRefusal::StateUnreadable);
    let made = rp().finish_registration(&json!(1), &json!({}));
    assert_eq!(made.unwrap_err(), WebauthnRefusal::StateUnreadable);
}

#[test]
fn a_credential_names_itself() {
    let authenticator = Authenticator::new();
    let (options, _) = rp().start_assertion(&[], [9; 32]);
    assert_eq!(credential_id(&authenticator.assert(&options)), Ok(authenticator.id.clone()));
    for bad in [json!({}), json!([]), json!({ "rawId": 1 }), json!({ "rawId": "=" })] {
        assert_eq!(credential_id(&bad), Err(WebauthnRefusal::malformed("rawId")));
    }
}

#[test]
fn an_rp_id_must_belong_to_its_origin() {
    let at = |rp_id, origin: &str| RelyingParty::new(rp_id, &origin.parse().unwrap(), "PhoneOps");
    assert!(at("phoneops.example", "https://sub.phoneops.example").is_ok());
    assert!(at("localhost", "http://localhost:8080").is_ok());
    for (rp_id, origin) in [
        ("other.example", ORIGIN),
        ("ops.example", ORIGIN),
        ("sub.phoneops.example", ORIGIN),
        ("127.0.0.1", "http://127.0.0.1:8080"),
    ] {
        let refused = at(rp_id, origin).unwrap_err();
        assert!(matches!(refused, RelyingPartyInvalid::NotAnEffectiveDomain { .. }), "{refused}");
    }
}

/// JSON of any shape, little of it sensible.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| b64u(bytes).into()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|it| json!(it)),
        ]
    })
}

const MEMBERS: [&str; 11] = [
    "/id",
    "/rawId",
    "/type",
    "/response",
    "/response/clientDataJSON",
    "/response/authenticatorData",
    "/response/attestationObject",
    "/response/signature",
    "/response/userHandle",
    "/response/transports",
    "/clientExtensionResults",
];

/// What the signature covers: a change in one of these is never accepted.
const COVERED: [&str; 5] = ["/rawId", "/response/clientDataJSON", "/response/authenticatorData", "/response/signature", "/id"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn hostile_json_is_refused_without_panic(at in prop::sample::select(&MEMBERS[..]), value in any_json()) {
        let authenticator = Authenticator::new();
        let (options, state) = offer_registration(&[]);
        let good = authenticator.register(&options);
        let stored = rp().finish_registration(&state, &good).unwrap();
        let mut bad = good;
        if let Some(member) = bad.pointer_mut(at) {
            *member = value.clone();
            let covered = at != "/response/transports" && at != "/clientExtensionResults";
            prop_assert!(!(covered && rp().finish_registration(&state, &bad).is_ok()), "{bad}");
        }
        let (options, state) = rp().start_assertion(std::slice::from_ref(&stored), [9; 32]);
        let mut bad = authenticator.assert(&options);
        if let Some(member) = bad.pointer_mut(at) {
            *member = value;
            let accepted = rp().finish_assertion(&state, &bad, &stored).is_ok();
            prop_assert!(!(COVERED.contains(&at) && accepted), "{bad}");
        }
    }

    #[test]
    fn a_flipped_bit_in_what_is_signed_is_refused(
        at in prop::sample::select(&COVERED[1..4]), position in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let authenticator = Authenticator::new();
        let stored = register(&authenticator).unwrap();
        let (options, state) = rp().start_assertion(std::slice::from_ref(&stored), [9; 32]);
        let mut answer = authenticator.assert(&options);
        let member = answer.pointer_mut(at).unwrap();
        let mut bytes = from_b64u(member.as_str().unwrap()).unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        *member = b64u(bytes).into();
        prop_assert!(rp().finish_assertion(&state, &answer, &stored).is_err());
    }

    #[test]
    fn a_flipped_bit_in_an_attestation_never_panics(position in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (options, state) = offer_registration(&[]);
        let authenticator = Authenticator::new();
        let mut answer = authenticator.register(&options);
        let member = answer.pointer_mut("/response/attestationObject").unwrap();
        let mut bytes = from_b64u(member.as_str().unwrap()).unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        *member = b64u(bytes).into();
        // Attestation "none" signs nothing, so some changes make a passkey that is as good; its id is told twice.
        if let Ok(made) = rp().finish_registration(&state, &answer) {
            prop_assert_eq!(made.id(), &authenticator.id);
        }
    }
}
