//! Keys by which a chat's own bot signs its calls: RSA, as ChatOps RPC has it.
//!
//! **Invariants**
//! - At most two keys of a bot work, so that the next can be brought in before the last is revoked. A name is one working key's.
//! - A key says in which workspace its bot speaks: an identity of another is none that it could claim.
//! - What a key signed is good for one call, on whichever node, and for a minute before and after the time that it names.

mod store;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaSubjectPublicKey};
use serde_json::json;
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::call::{Call, Caller, UsedProof};
use super::chat::ChatId;
use super::model::Bot;
use super::service::{Error, Identity, Refusal, record};
use super::store as people;
use crate::clock::Timestamp;
use crate::id::{BotId, BotKeyId};
use crate::secret::{b64u, sha256, tagged_sha256};
use crate::text::is_deceptive;

/// How far the time that a call names may be from ours, either way.
const SKEW: Duration = Duration::from_mins(1);

/// Keys of a bot that work at once.
const AT_ONCE: usize = 2;

/// How long a key is, in bits.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The longest name of a key, in characters.
const MAX_NAME: usize = 100;

/// The longest nonce that is taken, in characters.
const MAX_NONCE: usize = 200;

/// A key that works.
#[derive(Clone)]
pub struct BotKey {
    /// Its id.
    pub id: BotKeyId,
    /// Whose it is.
    pub bot: BotId,
    /// What calls name it by.
    pub name: KeyName,
    /// The key.
    pub public_key: RsaPublicKey,
    /// The chat that its bot speaks in.
    pub platform: ChatId,
    /// The workspace there.
    pub workspace: ChatId,
    /// Since when it works.
    pub created_at: Timestamp,
}

/// A key to be registered.
#[derive(Debug)]
pub struct NewBotKey {
    /// What calls name it by; its id when it is not said.
    pub name: Option<KeyName>,
    /// The key.
    pub public_key: RsaPublicKey,
    /// The chat that its bot speaks in.
    pub platform: ChatId,
    /// The workspace there.
    pub workspace: ChatId,
}

/// What a call names its key by: 1 to 100 characters without white space, commas, equals signs and controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

/// A text that is no name of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 100 characters without white space, commas, equals signs and controls")]
pub struct NotAKeyName;

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NotAKeyName;

    fn from_str(text: &str) -> Result<Self, NotAKeyName> {
        let odd = |c: char| c.is_whitespace() || c == ',' || c == '=' || is_deceptive(c);
        if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(odd) {
            return Err(NotAKeyName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// An RSA public key of 2048 to 8192 bits.
#[derive(Clone)]
pub struct RsaPublicKey {
    der: Vec<u8>,
    parsed: ParsedPublicKey,
}

/// Not a key that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an RSA public key of 2048 to 8192 bits in PEM, beginning with -----BEGIN PUBLIC KEY-----")]
pub struct NotAnRsaKey;

impl RsaPublicKey {
    /// Reads PEM with a `SubjectPublicKeyInfo` (RFC 7468, section 13).
    ///
    /// # Errors
    /// When it holds no such key, or one that is too short or too long.
    pub fn from_pem(pem: &str) -> Result<Self, NotAnRsaKey> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotAnRsaKey)?;
        Self::from_der(der.to_vec())
    }

    fn from_der(der: Vec<u8>) -> Result<Self, NotAnRsaKey> {
        // What the algorithm asks of a key is looked at when a signature is, which is too late here.
        let bits = RsaSubjectPublicKey::from_der(&der).map_err(|_| NotAnRsaKey)?.modulus_len() * 8;
        if !BITS.contains(&bits) {
            return Err(NotAnRsaKey);
        }
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).map_err(|_| NotAnRsaKey)?;
        Ok(Self { der, parsed })
    }

    /// Whether this is the key's signature of `message`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    /// SHA-256 of the key, base64url: what people compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        b64u(sha256(&self.der))
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({})", self.fingerprint())
    }
}

/// What a call says of its own signature.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    /// Which key.
    pub key: &'a str,
    /// What makes it one of a kind.
    pub nonce: &'a str,
    /// When it was signed.
    pub at: Timestamp,
    /// What was signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Why a signed call was refused. Callers hear that it was, and not why: each of them would be an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedRefusal {
    /// No such key works.
    #[error("the key is not known, or was revoked")]
    UnknownKey,
    /// Signed too long ago, or in what is the future here.
    #[error("the time is more than a minute away from the server's")]
    Stale,
    /// The nonce is none.
    #[error("the nonce must have 1 to 200 characters")]
    Nonce,
    /// The signature is another's, or of something else.
    #[error("the signature does not verify")]
    Signature,
    /// It was used before.
    #[error("the nonce was used before")]
    Replayed,
}

impl Identity {
    /// Lets a bot sign with another key.
    ///
    /// # Errors
    /// Only administrators may; there may be no such bot, it may have two keys already, or a working key may have the name.
    pub async fn add_bot_key(&self, call: &Call, bot: BotId, new: NewBotKey) -> Result<BotKey, Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let id = BotKeyId::new(now);
        let NewBotKey { name, public_key, platform, workspace } = new;
        let name = name.unwrap_or_else(|| KeyName(id.to_string()));
        let key = BotKey { id, bot, name, public_key, platform, workspace, created_at: now };
        let id = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                // Of two that are registered at once, the second sees the first.
                if !store::lock_bot(tx, bot).await? {
                    return Err(Refusal::NotFound(bot.to_string()).into());
                }
                if store::of_bot(tx.db(), bot).await?.len() >= AT_ONCE {
                    return Err(Refusal::TwoKeys.into());
                }
                if !store::insert(tx, &key).await? {
                    return Err(Refusal::NameTaken(key.name.0).into());
                }
                let data = json!({
                    "key": id, "name": key.name.as_str(), "fingerprint": key.public_key.fingerprint(),
                    "platform": key.platform, "workspace": key.workspace,
                });
                record(tx, &journal, now, actor, "bot.key_added", bot, data).await?;
                Ok::<_, Error>(id)
            })
        });
        let id = id.await?;
        let found: Option<BotKey> = self.store.look(move |db| Box::pin(store::by_id(db, id))).await?;
        found.ok_or_else(|| Refusal::NotFound(id.to_string()).into())
    }

    /// The keys of a bot that work, the oldest first.
    ///
    /// # Errors
    /// Only administrators may see them; there may be no such bot.
    pub async fn bot_keys(&self, call: &Call, bot: BotId) -> Result<Vec<BotKey>, Error> {
        call.admin()?;
        self.bot_by_id(bot).await?;
        Ok(self.store.read(move |db| Box::pin(store::of_bot(db, bot))).await?)
    }

    /// Ends a key, at once.
    ///
    /// # Errors
    /// Only administrators may; the bot may have no such key.
    pub async fn revoke_bot_key(&self, call: &Call, bot: BotId, id: BotKeyId) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::revoke(tx, bot, id, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                record(tx, &journal, now, actor, "bot.key_revoked", bot, json!({"key": id})).await
            })
        })
        .await
    }

    /// Whether a key works still, and its bot.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn bot_key_works(&self, id: BotKeyId) -> crate::db::Result<bool> {
        self.store.look(move |db| Box::pin(store::works(db, id))).await
    }

    /// Whoever signed this call: the bot, and the key. The nonce is used up by it, whatever becomes of the call.
    ///
    /// # Errors
    /// Why the signature is not believed, or a storage error.
    pub async fn authenticate_signed(&self, signed: SignedCall<'_>) -> Result<Result<(Call, BotKey), SignedRefusal>, Error> {
        let now = self.clock.now();
        let name = signed.key.to_owned();
        let key: Option<BotKey> = self.store.look(move |db| Box::pin(async move { store::by_name(db, &name).await })).await?;
        let Some(key) = key else { return Ok(Err(SignedRefusal::UnknownKey)) };
        let id = key.bot;
        let bot: Option<Bot> = self.store.look(move |db| Box::pin(people::find_bot(db, id))).await?;
        let Some(bot) = bot.filter(|bot| bot.revoked_at.is_none()) else { return Ok(Err(SignedRefusal::UnknownKey)) };
        if !key.public_key.verifies(signed.message, signed.signature) {
            return Ok(Err(SignedRefusal::Signature));
        }
        if signed.at < now.before(SKEW) || signed.at > now.after(SKEW) {
            return Ok(Err(SignedRefusal::Stale));
        }
        if signed.nonce.is_empty() || signed.nonce.chars().count() > MAX_NONCE {
            return Ok(Err(SignedRefusal::Nonce));
        }
        let named = [key.id.0.as_bytes().as_slice(), signed.nonce.as_bytes()].concat();
        // Until it would be stale on every clock that is right to two seconds.
        let proof = UsedProof { sha256: tagged_sha256("phoneops.bot-nonce.v1", &named), expires_at: signed.at.after(SKEW * 2) };
        let fresh: bool = self.store.write(move |tx| Box::pin(async move { people::use_proof(tx, &proof).await })).await?;
        if !fresh {
            return Ok(Err(SignedRefusal::Replayed));
        }
        self.note_bot(bot.id, now);
        Ok(Ok((Call::by(Caller::Bot(Box::new(bot.without_token()))), key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::from_b64;

    /// The key that the protocol's own documents give.
    const OFFICIAL: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuAr7aMOLW08UrP8gWPzf
P5+GF1ov3I2Wn1n7AsDxez36+hyUAY7skZzd7+Nz/j8HT10NRSMA/lkc49FaJlNQ
2wAsvsF53AwtTna+FkR1e1P66+PhKB9NeoCf5TCvVvihR1VI/BS4AAOdYLCr8NuX
89I74qK2WYSziHzTzxbMMZldgXO+GDlKdZXNzCrk4Kj0ger2bap9/amUXRuuqOVS
LZJ3l0mYRWu45TG9tlF8jmix48+2e1pzhbw1qezD7vB8lsGH2qaKQrs1Em1tZHRg
xbrslbDbmD+q3Oq0CpnFNp7eIoAxXcrLPyw/IlplCLM0hxouPRlQ/yEhfnLnjnbh
HQIDAQAB
-----END PUBLIC KEY-----
";

    /// What it signed.
    const MESSAGE: &str = "http://test.host/_chatops\n889c9543c22695bc031f723ef2fd28ef1fbed6b0\n2017-06-28T22:51:41Z\n";

    /// Its signature.
    const SIGNATURE: &str = "trtOLqLMKzCohxT6Uzeqs+n5Q1msTQUIO4GDl0pyyyTea5MOte6dIQ+k9AlYHOJ2IHTxGHVhDYJTm2AtgHOEZqrLpqOLqORj64HbwIWtTyuRBUmUmzHWMJKHa6jy4u9aB8VgSKxE7oDHU6Zo/7kGvqvTBSumF2kMaSjkMXhkUd5WmuQGWpPJ5hC0W65alCJU1inQQDZDgj1oH/849zZB3WU8Ne61BMM1Qb4IcljDU6UciGyPOgXRNSALvgKdCSJyhLhHBxYvuypCjUpgiWKm4h3u0GOpem8NoBXLjeEHT4fRwJYP8hmQWauUgOmjvKt2wufykHZDZNp4fPwkm6qGKg==";

    #[test]
    fn the_protocols_own_example_verifies_and_nothing_else_does() {
        let key = RsaPublicKey::from_pem(OFFICIAL).expect("a key");
        let signature = base64_of(SIGNATURE);
        assert!(key.verifies(MESSAGE.as_bytes(), &signature));
        assert!(!key.verifies(MESSAGE.trim_end().as_bytes(), &signature), "a GET ends with a line break");
        for at in 0..signature.len() {
            let mut forged = signature.clone();
            forged[at] ^= 1;
            assert!(!key.verifies(MESSAGE.as_bytes(), &forged), "{at}");
        }
        assert!(!key.verifies(MESSAGE.as_bytes(), &[]));
    }

    fn base64_of(text: &str) -> Vec<u8> {
        from_b64(text).expect("base64")
    }

    #[test]
    fn what_is_no_rsa_key_of_two_thousand_bits_is_refused() {
        let short = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdlatRjRjogo3WojgGHFHYLugd
UWAY9iR3fy4arWNA1KoS8kVw33cJibXr8bvwUAUparCwlvdbH6dvEOfou0/gCFQs
HUfQrSDv+MuSUMAe8jzKE4qW+jK+xQU9a03GUnKHkkle+Q0pX/g6jXZ7r1/xAK5D
o2kQ+X5xK9cipRgEKwIDAQAB
-----END PUBLIC KEY-----
";
        let truncated = OFFICIAL.replacen("HQIDAQAB\n", "", 1);
        let private = OFFICIAL.replace("PUBLIC", "PRIVATE");
        for odd in ["", "a key", short, truncated.as_str(), private.as_str()] {
            assert_eq!(RsaPublicKey::from_pem(odd).err(), Some(NotAnRsaKey), "{odd}");
        }
    }

    #[test]
    fn names_hold_nothing_that_would_end_them() {
        assert!("hubotkey".parse::<KeyName>().is_ok());
        for odd in ["", "a b", "a,b", "a=b", "a\u{202e}b", &"x".repeat(101)] {
            assert_eq!(odd.parse::<KeyName>(), Err(NotAKeyName), "{odd:?}");
        }
    }
}
