//! The authenticator against webauthn-rs, which knows nothing of it.

use webauthn_rs::prelude::{
    Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Uuid, Webauthn,
    WebauthnBuilder, WebauthnError,
};

use super::*;

const ORIGIN: &str = "https://phoneops.example";
const RP_ID: &str = "phoneops.example";

fn relying_party() -> Webauthn {
    WebauthnBuilder::new(RP_ID, &Url::parse(ORIGIN).unwrap()).unwrap().build().unwrap()
}

fn creation(server: &Webauthn) -> (Value, PasskeyRegistration) {
    let (options, state) = server.start_passkey_registration(Uuid::from_u128(7), "yannick", "Yannick Schutz", None).unwrap();
    (serde_json::to_value(options.public_key).unwrap(), state)
}

fn request(server: &Webauthn, passkeys: &[Passkey]) -> (Value, PasskeyAuthentication) {
    let (options, state) = server.start_passkey_authentication(passkeys).unwrap();
    (serde_json::to_value(options.public_key).unwrap(), state)
}

fn register(server: &Webauthn, authenticator: &mut Authenticator) -> Passkey {
    let (options, state) = creation(server);
    let credential = authenticator.create(&options, ORIGIN).unwrap();
    let credential: RegisterPublicKeyCredential = serde_json::from_value(credential).unwrap();
    server.finish_passkey_registration(&credential, &state).unwrap()
}

/// Answers one request while misbehaving, and says what the server thought of it.
fn answer(misbehaviour: Misbehaviour) -> (Value, Result<u32, WebauthnError>) {
    let server = self::relying_party();
    let mut authenticator = Authenticator::new();
    let passkey = register(&server, &mut authenticator);
    authenticator.misbehave(misbehaviour);
    let (options, state) = request(&server, &[passkey]);
    let response = authenticator.get(&options, ORIGIN).unwrap();
    let credential: PublicKeyCredential = serde_json::from_value(response.clone()).unwrap();
    let verdict = server.finish_passkey_authentication(&credential, &state);
    (response, verdict.map(|result| result.counter()))
}

fn client_data(response: &Value) -> Value {
    let text = response["response"]["clientDataJSON"].as_str().unwrap();
    serde_json::from_slice(&from_b64u(text).unwrap()).unwrap()
}

fn authenticator_data(response: &Value) -> Vec<u8> {
    from_b64u(response["response"]["authenticatorData"].as_str().unwrap()).unwrap()
}

#[test]
fn a_registration_and_its_assertions_are_accepted() {
    let server = self::relying_party();
    let mut authenticator = Authenticator::new();
    let mut passkey = register(&server, &mut authenticator);
    for counter in 1..=3 {
        let (options, state) = request(&server, std::slice::from_ref(&passkey));
        let response = authenticator.get(&options, ORIGIN).unwrap();
        let credential: PublicKeyCredential = serde_json::from_value(response).unwrap();
        let result = server.finish_passkey_authentication(&credential, &state).unwrap();
        assert!(result.user_verified());
        assert_eq!(result.counter(), counter);
        passkey.update_credential(&result);
    }
}

#[test]
fn passkeys_survive_serialisation() {
    let server = self::relying_party();
    let mut authenticator = Authenticator::new();
    let passkey = register(&server, &mut authenticator);
    let text = serde_json::to_string(&authenticator).unwrap();
    let mut again: Authenticator = serde_json::from_str(&text).unwrap();
    let (options, state) = request(&server, &[passkey]);
    let response = again.get(&options, ORIGIN).unwrap();
    let credential: PublicKeyCredential = serde_json::from_value(response).unwrap();
    assert!(server.finish_passkey_authentication(&credential, &state).is_ok());
}

#[test]
fn the_credential_is_one_that_the_server_allows() {
    let server = self::relying_party();
    let mut authenticator = Authenticator::new();
    let first = register(&server, &mut authenticator);
    let second = register(&server, &mut authenticator);
    for passkey in [first, second] {
        let (options, _) = request(&server, std::slice::from_ref(&passkey));
        let response = authenticator.get(&options, ORIGIN).unwrap();
        assert_eq!(response["id"], b64u(passkey.cred_id()));
    }
    let (mut options, _) = request(&server, &[register(&server, &mut authenticator)]);
    options["allowCredentials"] = json!([{"type": "public-key", "id": b64u([0; 32])}]);
    assert!(matches!(authenticator.get(&options, ORIGIN), Err(Error::NoCredential)));
    options["allowCredentials"] = json!([]);
    assert!(authenticator.get(&options, ORIGIN).is_ok());
}

#[test]
fn what_a_browser_refuses_is_refused() {
    let server = self::relying_party();
    let mut authenticator = Authenticator::new();
    register(&server, &mut authenticator);
    let (options, _) = creation(&server);

    let elsewhere = authenticator.create(&options, "https://phoneops.example.net");
    assert!(matches!(elsewhere, Err(Error::RelyingParty { .. })));
    let lookalike = authenticator.create(&options, "https://evilphoneops.example");
    assert!(matches!(lookalike, Err(Error::RelyingParty { .. })));
    assert!(authenticator.create(&options, "https://www.phoneops.example").is_ok());

    let mut other_algorithm = options.clone();
    other_algorithm["pubKeyCredParams"] = json!([{"type": "public-key", "alg": -257}]);
    assert!(matches!(authenticator.create(&other_algorithm, ORIGIN), Err(Error::Algorithm)));

    let mut known = options.clone();
    known["excludeCredentials"] = json!([{"type": "public-key", "id": authenticator.credentials[0].id}]);
    assert!(matches!(authenticator.create(&known, ORIGIN), Err(Error::Excluded)));

    let mut short = options;
    short["challenge"] = json!("c2hvcnQ");
    assert!(matches!(authenticator.create(&short, ORIGIN), Err(Error::Challenge)));
}

#[test]
fn the_public_key_in_the_reply_is_the_one_attested() {
    let mut authenticator = Authenticator::new();
    let (options, _) = creation(&self::relying_party());
    let response = authenticator.create(&options, ORIGIN).unwrap();
    let spki = from_b64u(response["response"]["publicKey"].as_str().unwrap()).unwrap();
    assert_eq!(&spki[26..], authenticator.credentials[0].key.public());
    let data = authenticator_data(&response);
    assert_eq!(data[..32], sha256(RP_ID.as_bytes()));
    assert_eq!(data[32], USER_PRESENT | USER_VERIFIED | ATTESTED_CREDENTIAL);
}

#[test]
fn a_missing_user_verification_shows() {
    let (response, verdict) = answer(Misbehaviour { user_unverified: true, ..Misbehaviour::default() });
    assert_eq!(authenticator_data(&response)[32], USER_PRESENT);
    assert!(matches!(verdict, Err(WebauthnError::UserNotVerified)));
}

#[test]
fn another_origin_shows() {
    let (response, verdict) = answer(Misbehaviour { origin: Some("https://phish.example".into()), ..Misbehaviour::default() });
    assert_eq!(client_data(&response)["origin"], "https://phish.example");
    assert!(matches!(verdict, Err(WebauthnError::InvalidRPOrigin)));
}

#[test]
fn a_cross_origin_frame_shows() {
    let (response, verdict) = answer(Misbehaviour { cross_origin: true, ..Misbehaviour::default() });
    assert_eq!(client_data(&response)["crossOrigin"], true);
    // webauthn-rs does not look at it in assertions: PhoneOps has to.
    assert!(verdict.is_ok());
    let (response, _) = answer(Misbehaviour::default());
    assert_eq!(client_data(&response)["crossOrigin"], false);
}

#[test]
fn another_relying_party_shows() {
    let (response, verdict) = answer(Misbehaviour { rp_id: Some("phish.example".into()), ..Misbehaviour::default() });
    assert_eq!(authenticator_data(&response)[..32], sha256(b"phish.example"));
    assert!(matches!(verdict, Err(WebauthnError::InvalidRPIDHash)));
}

#[test]
fn a_tampered_signature_shows() {
    let (_, verdict) = answer(Misbehaviour { tampered_signature: true, ..Misbehaviour::default() });
    assert!(matches!(verdict, Err(WebauthnError::AuthenticationFailure)));
}

#[test]
fn a_challenge_of_ones_own_choice_shows() {
    let (response, verdict) = answer(Misbehaviour { challenge: Some(vec![9; 32]), ..Misbehaviour::default() });
    assert_eq!(client_data(&response)["challenge"], b64u([9; 32]));
    assert!(matches!(verdict, Err(WebauthnError::MismatchedChallenge)));
}

#[test]
fn misbehaviour_ends_when_told_so() {
    let mut authenticator = Authenticator::new();
    let (options, _) = creation(&self::relying_party());
    authenticator.misbehave(Misbehaviour { cross_origin: true, ..Misbehaviour::default() });
    let bad = authenticator.create(&options, ORIGIN).unwrap();
    assert_eq!(client_data(&bad)["crossOrigin"], true);
    authenticator.misbehave(Misbehaviour::default());
    let good = authenticator.create(&options, ORIGIN).unwrap();
    assert_eq!(client_data(&good)["crossOrigin"], false);
}
