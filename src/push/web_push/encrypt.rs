//! Message encryption for Web Push (RFC 8291) in the `aes128gcm` content coding (RFC 8188).
//!
//! **Invariants**
//! - Every message has a fresh key pair and a fresh salt, so a key and nonce never meet twice.
//! - Every body is exactly [`BODY_BYTES`] long, whatever the message: its length tells nothing, and no push service finds
//!   it too large.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::payload::Payload;
use super::subscription::Subscription;
use crate::secret::random;

/// The length of every body. The standard lets a service refuse more than 4096; the smallest limit met in the field is Mozilla's
/// 2744, where it hands messages to FCM.
pub(super) const BODY_BYTES: usize = 2_744;

/// How many bytes of payload a body has room for.
pub(super) const ROOM: usize = BODY_BYTES - HEADER_BYTES - DELIMITER_BYTES - TAG_BYTES;

/// Salt, record size, key length, key (RFC 8188 section 2.1).
const HEADER_BYTES: usize = 16 + 4 + 1 + POINT_BYTES;
const POINT_BYTES: usize = 65;
const DELIMITER_BYTES: usize = 1;
const TAG_BYTES: usize = 16;

/// What the header declares; one record larger than any we make (RFC 8291 section 4).
const RECORD_SIZE: u32 = 4_096;

const _: () = assert!(BODY_BYTES <= 4_096);

/// Encrypts `payload` so that only the subscription's owner can read it. [`BODY_BYTES`] long.
pub(super) fn encrypt(payload: &Payload, to: &Subscription) -> Vec<u8> {
    let ephemeral = PrivateKey::generate(&ECDH_P256).expect("P-256 keys can be generated");
    seal(payload.as_bytes(), ROOM, to, &ephemeral, &random())
}

/// RFC 8291 section 3.4, with the key pair and salt given: `plaintext`, its delimiter, and zeros up to `padded` bytes.
fn seal(plaintext: &[u8], padded: usize, to: &Subscription, ephemeral: &PrivateKey, salt: &[u8; 16]) -> Vec<u8> {
    let public = ephemeral.compute_public_key().expect("a private key has a public key");
    let prk = shared_secret(to, ephemeral, public.as_ref(), salt);
    let mut key = [0; 16];
    expand(&prk, &[b"Content-Encoding: aes128gcm\0"], &mut key);
    let mut nonce = [0; NONCE_LEN];
    expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce);

    let mut body = Vec::with_capacity(HEADER_BYTES + padded + DELIMITER_BYTES + TAG_BYTES);
    body.extend_from_slice(salt);
    body.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    body.push(65);
    body.extend_from_slice(public.as_ref());
    body.extend_from_slice(plaintext);
    body.push(2); // the delimiter of the last record
    body.resize(HEADER_BYTES + padded + DELIMITER_BYTES, 0);

    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("16 bytes are a key"));
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::empty(), &mut body[HEADER_BYTES..])
        .expect("a record is far below AES-GCM's limit");
    body.extend_from_slice(tag.as_ref());
    body
}

/// RFC 8291 section 3.3 and the extraction of RFC 8188 section 2.2.
fn shared_secret(to: &Subscription, ephemeral: &PrivateKey, public: &[u8], salt: &[u8; 16]) -> Prk {
    let mut ikm = [0; 32];
    agree(ephemeral, to.p256dh().clone(), (), |ecdh| {
        let prk = Salt::new(HKDF_SHA256, to.auth()).extract(ecdh);
        let info = [b"WebPush: info\0", to.p256dh().as_ref(), public];
        expand(&prk, &info, &mut ikm);
        Ok(())
    })
    .expect("a subscription's key is a point of P-256");
    Salt::new(HKDF_SHA256, salt).extract(&ikm)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    prk.expand(info, Length(out.len())).and_then(|okm| okm.fill(out)).expect("a key is within HKDF's limit");
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::push::web_push::tests::message;
    use crate::secret::{b64u, from_b64u};

    /// A phone: the receiving half of RFC 8291, written apart from the sending half except for HKDF.
    pub(in crate::push::web_push) struct Phone {
        key: PrivateKey,
        auth: [u8; 16],
    }

    impl Phone {
        pub(in crate::push::web_push) fn new() -> Self {
            Self { key: PrivateKey::generate(&ECDH_P256).unwrap(), auth: random() }
        }

        pub(in crate::push::web_push) fn subscribe(&self, endpoint: &str) -> Subscription {
            serde_json::from_value(json!({"endpoint": endpoint, "keys": {
                "p256dh": b64u(self.key.compute_public_key().unwrap()), "auth": b64u(self.auth)}}))
            .unwrap()
        }

        /// The plaintext without its padding; `None` when the body was not meant for this phone.
        pub(in crate::push::web_push) fn decrypt(&self, body: &[u8]) -> Option<Vec<u8>> {
            use aws_lc_rs::agreement::UnparsedPublicKey;
            let (salt, rest) = body.split_at(16);
            let (size, rest) = rest.split_at(4);
            assert!(u32::from_be_bytes(size.try_into().unwrap()) as usize > rest.len());
            assert_eq!(rest[0], 65);
            let (sender, record) = rest[1..].split_at(65);
            let own = self.key.compute_public_key().unwrap();
            let mut ikm = [0; 32];
            agree(&self.key, UnparsedPublicKey::new(&ECDH_P256, sender), (), |ecdh| {
                let info = [b"WebPush: info\0".as_slice(), own.as_ref(), sender].concat();
                expand(&Salt::new(HKDF_SHA256, &self.auth).extract(ecdh), &[&info], &mut ikm);
                Ok(())
            })
            .unwrap();
            let prk = Salt::new(HKDF_SHA256, salt).extract(&ikm);
            let (mut key, mut nonce) = ([0; 16], [0; 12]);
            expand(&prk, &[b"Content-Encoding: aes128gcm\0"], &mut key);
            expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce);
            let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
            let mut record = record.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let plain = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
            let end = plain.iter().rposition(|byte| *byte != 0).unwrap();
            assert_eq!(plain[end], 2);
            Some(plain[..end].to_vec())
        }
    }

    /// RFC 8291 section 5 and appendix A.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let to: Subscription = serde_json::from_value(json!({
            "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
            "keys": {
                "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                "auth": "BTBZMqHH6r4Tts7J_aSIgg" } }))
        .unwrap();
        let private = from_b64u("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &private).unwrap();
        let salt = from_b64u("DGv6ra1nlYgDCS1FRnbzlw").unwrap().try_into().unwrap();
        let plaintext = b"When I grow up, I want to be a watermelon";
        let body = seal(plaintext, plaintext.len(), &to, &ephemeral, &salt);
        assert_eq!(
            b64u(body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
             AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn every_body_has_the_same_length_and_only_its_phone_reads_it() {
        let phone = Phone::new();
        let to = phone.subscribe("https://push.example.com/x");
        for length in [1, 100, ROOM, 10 * ROOM] {
            let mut message = message();
            message.body = "b".repeat(length);
            let payload = Payload::new(&message).unwrap();
            let body = encrypt(&payload, &to);
            assert_eq!(body.len(), BODY_BYTES);
            assert_eq!(phone.decrypt(&body).unwrap(), payload.as_bytes());
            assert!(Phone::new().decrypt(&body).is_none());
        }
    }

    #[test]
    fn the_same_message_never_encrypts_alike() {
        let to = Phone::new().subscribe("https://push.example.com/x");
        let payload = Payload::new(&message()).unwrap();
        let (one, two) = (encrypt(&payload, &to), encrypt(&payload, &to));
        assert_ne!(one[..16], two[..16], "salt");
        assert_ne!(one[21..86], two[21..86], "key");
    }
}
