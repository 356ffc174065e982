//! RFC 8291: opening a pushed message with the keys of the phone.
//!
//! Independent of the encryption in the server: a shared mistake would show as a message that does not open.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Salt, record size, and the length of the key id (RFC 8188, section 2.1).
const FIXED_HEADER: usize = 16 + 4 + 1;
/// An uncompressed P-256 point, the key id that RFC 8291 section 4 demands.
const POINT: usize = 65;

/// Why a body does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undecryptable {
    #[error("the body is shorter than its own header")]
    Truncated,
    #[error("the key id is not an uncompressed P-256 point of 65 bytes")]
    KeyId,
    #[error("the record size is below 18 or smaller than the one record sent")]
    RecordSize,
    #[error("the message is not encrypted for this subscription, or is damaged")]
    Sealed,
    #[error("the record does not end in the delimiter 0x02 of a last record")]
    Delimiter,
}

/// What a subscription's owner knows.
pub(super) struct Receiver {
    pub(super) private: PrivateKey,
    pub(super) public: [u8; 65],
    pub(super) auth: [u8; 16],
}

/// A number of bytes to expand to.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn hkdf<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes and fewer are within HKDF's limit");
    out
}

impl Receiver {
    /// The plaintext of an `aes128gcm` body of one record (RFC 8188 section 2, RFC 8291 section 3.4).
    pub(super) fn open(&self, body: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let (header, rest) = body.split_at_checked(FIXED_HEADER).ok_or(Undecryptable::Truncated)?;
        let (salt, sizes) = header.split_at(16);
        let record_size = u32::from_be_bytes([sizes[0], sizes[1], sizes[2], sizes[3]]);
        if usize::from(sizes[4]) != POINT {
            return Err(Undecryptable::KeyId);
        }
        let (sender, record) = rest.split_at_checked(POINT).ok_or(Undecryptable::Truncated)?;
        if record_size < 18 || record.len() > usize::try_from(record_size).unwrap_or(usize::MAX) {
            return Err(Undecryptable::RecordSize);
        }
        self.open_record(salt, sender, record)
    }

    fn open_record(&self, salt: &[u8], sender: &[u8], record: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let ikm = self.input_key(sender)?;
        let key: [u8; 16] = hkdf(salt, &ikm, b"Content-Encoding: aes128gcm\0");
        let nonce: [u8; 12] = hkdf(salt, &ikm, b"Content-Encoding: nonce\0");
        let key = UnboundKey::new(&AES_128_GCM, &key).expect("16 bytes are an AES-128 key");
        let mut sealed = record.to_vec();
        let plain = LessSafeKey::new(key)
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| Undecryptable::Sealed)?;
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain[*end] == 2).ok_or(Undecryptable::Delimiter)?;
        Ok(plain[..end].to_vec())
    }

    /// RFC 8291, section 3.3: the shared secret, mixed with the authentication secret and both public keys.
    fn input_key(&self, sender: &[u8]) -> Result<[u8; 32], Undecryptable> {
        let info = [b"WebPush: info\0", &self.public[..], sender].concat();
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        agree(&self.private, peer, Undecryptable::KeyId, |shared| Ok(hkdf(&self.auth, shared, &info)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::from_b64u;

    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    /// The keys of RFC 8291, appendix A.
    fn receiver() -> Receiver {
        let private = from_b64u("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94").unwrap();
        let public = from_b64u("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        Receiver {
            private: PrivateKey::from_private_key(&ECDH_P256, &private).unwrap(),
            public: public.unwrap().try_into().unwrap(),
            auth: from_b64u("BTBZMqHH6r4Tts7J_aSIgg").unwrap().try_into().unwrap(),
        }
    }

    #[test]
    fn the_message_of_the_appendix_opens() {
        let body = from_b64u(BODY).unwrap();
        let plain = receiver().open(&body).unwrap();
        assert_eq!(plain, b"When I grow up, I want to be a watermelon");
    }

    #[test]
    fn a_body_with_any_harmed_byte_does_not() {
        let body = from_b64u(BODY).unwrap();
        // The record size (bytes 16 to 19) is not authenticated: only too small a one is noticed.
        for at in (0..16).chain(20..body.len()) {
            let mut harmed = body.clone();
            harmed[at] ^= 1;
            assert!(receiver().open(&harmed).is_err(), "byte {at}");
        }
        for length in 0..body.len() {
            assert!(receiver().open(&body[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_record_larger_than_the_record_size_does_not() {
        let mut body = from_b64u(BODY).unwrap();
        for size in [17_u32, 18, 57] {
            body[16..20].copy_from_slice(&size.to_be_bytes());
            assert_eq!(receiver().open(&body), Err(Undecryptable::RecordSize));
        }
        body[16..20].copy_from_slice(&58_u32.to_be_bytes());
        assert!(receiver().open(&body).is_ok());
    }

    #[test]
    fn another_phone_does_not() {
        let body = from_b64u(BODY).unwrap();
        let mut other = receiver();
        other.auth[0] ^= 1;
        assert_eq!(other.open(&body), Err(Undecryptable::Sealed));
    }
}
