//! A person's other devices: confirming one that waits, rejecting it, and being one (device protocol, section 2).
//!
//! **Invariants**
//! - Nothing is signed unless the number that the person typed is that of the key in the statement.

use serde_json::{Value, json};

use super::answer::{canonical, expect, jcs, signed_by_passkey};
use super::error::{Error, Mismatch};
use super::{Phone, reference};
use crate::secret::{b64u, from_b64u, tagged_sha256};

const TYPE: &str = "phoneops.device_confirmation.v1";

impl Phone {
    /// The person's devices, those that wait included.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn devices(&self) -> Result<Vec<Value>, Error> {
        let mut reply = self.get("/v1/devices").await?.accepted()?;
        match reply["devices"].take() {
            Value::Array(devices) => Ok(devices),
            _ => Err(Error::Protocol("a list of devices without devices".to_owned())),
        }
    }

    /// Asks to become a device of `user` (`@handle`) without a code; it waits then. Doing it again is harmless.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn ask_to_join(&self, platform: &str, user: &str, device_name: &str) -> Result<Value, Error> {
        let body = self.prepare_login(platform, user, device_name)?;
        let reply = self.post_anonymously("/v1/logins", &body).await?.accepted()?;
        self.become_device(&reply).await?;
        Ok(reply)
    }

    /// The body with which [`Phone::ask_to_join`] asks, not yet sent.
    ///
    /// # Errors
    /// [`Error::Protocol`].
    pub fn prepare_login(&self, platform: &str, user: &str, device_name: &str) -> Result<Value, Error> {
        let device = json!({"name": device_name, "platform": platform});
        let header = json!({"alg": "ES256", "typ": "phoneops-login+jwt"});
        let claims = json!({
            "aud": self.issuer(), "user": user, "device_sha256": b64u(tagged_sha256("phoneops.device.v1", &jcs(&device)?)),
            "iat": self.now().as_seconds(),
        });
        let proof = self.device_key.jws(&header, &claims);
        Ok(json!({"user": user, "device": device, "device_key": self.device_key.jwk(), "proof": proof}))
    }

    /// The number that this phone shows while it waits, as the protocol computes it.
    #[must_use]
    pub fn match_number(&self) -> String {
        match_number(&self.device_key.thumbprint())
    }

    /// Confirms a device that waits, with a passkey where the person has one; gives the device as it then is. `typed` is what the person
    /// read off it.
    ///
    /// # Errors
    /// [`Error::Unsafe`] when the statement is not about the device with that number; [`Error::Refused`].
    pub async fn confirm_device(&self, id: &str, typed: &str) -> Result<Value, Error> {
        let body = self.prepare_confirmation(id, typed).await?;
        self.post(&format!("/v1/devices/{}/confirm", reference(id)?), &body).await?.accepted()
    }

    /// The body with which [`Phone::confirm_device`] confirms, not yet sent.
    ///
    /// # Errors
    /// As [`Phone::confirm_device`].
    pub async fn prepare_confirmation(&self, id: &str, typed: &str) -> Result<Value, Error> {
        let path = format!("/v1/devices/{}/challenge", reference(id)?);
        let challenge = self.post(&path, &json!({})).await?.accepted()?;
        let text = challenge["statement"].as_str().unwrap_or_default();
        let statement = canonical(text)?;
        expect(statement["type"] == TYPE, Mismatch::Type)?;
        expect(statement["issuer"] == self.issuer(), Mismatch::Issuer)?;
        expect(statement["user"] == self.user_id()?.as_str(), Mismatch::Approver)?;
        expect(statement["by"] == self.device_id()?.as_str(), Mismatch::Approver)?;
        expect(statement["device"] == id, Mismatch::Approval)?;
        let thumbprint = from_b64u(statement["jkt"].as_str().unwrap_or_default()).unwrap_or_default();
        expect(match_number(&thumbprint) == typed.replace(' ', ""), Mismatch::Number)?;
        let mut body = json!({"challenge": challenge["challenge"], "match": typed});
        if challenge["public_key"].is_null() {
            let header = json!({"alg": "ES256", "typ": "phoneops-device-confirmation+jws"});
            body["jws"] = json!(self.device_key.jws_over(&header, text));
        } else {
            signed_by_passkey(&challenge["public_key"], TYPE, text)?;
            body["credential"] = self.use_passkey(&challenge["public_key"])?;
        }
        Ok(body)
    }

    /// Ends the waiting of a device.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn reject_device(&self, id: &str) -> Result<(), Error> {
        self.post(&format!("/v1/devices/{}/reject", reference(id)?), &json!({})).await?.accepted().map(drop)
    }

    /// The signature of a passkey that is there already over the registration of another, where the challenge asks for one.
    pub(super) fn guard(&self, challenge: &Value) -> Result<Option<Value>, Error> {
        let guard = &challenge["guard"];
        if guard.is_null() {
            return Ok(None);
        }
        let tag = "phoneops.passkey_registration.v1";
        let text = guard["statement"].as_str().unwrap_or_default();
        let statement = canonical(text)?;
        expect(statement["type"] == tag, Mismatch::Type)?;
        expect(statement["issuer"] == self.issuer(), Mismatch::Issuer)?;
        expect(statement["user"] == self.user_id()?.as_str(), Mismatch::Approver)?;
        expect(statement["device"] == self.device_id()?.as_str(), Mismatch::Approver)?;
        expect(statement["ceremony"] == challenge["ceremony"], Mismatch::Approval)?;
        signed_by_passkey(&guard["public_key"], tag, text)?;
        self.use_passkey(&guard["public_key"]).map(Some)
    }
}

/// The six digits of a key's thumbprint.
fn match_number(thumbprint: &[u8]) -> String {
    let digest = tagged_sha256("phoneops.match.v1", thumbprint);
    let number = u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")) % 1_000_000;
    format!("{number:06}")
}
