//! Answering an approval: what the phone checks before it signs (device protocol, section 6).
//!
//! **Invariants**
//! - Nothing is signed before every check has passed.
//! - What is checked is the text that is signed, not a copy of it.

use serde_json::{Value, json};

use super::error::{Error, Mismatch};
use super::{Phone, reference};
use crate::secret::{b64u, tagged_sha256};

/// What the person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allow it.
    Approve,
    /// Refuse it.
    Deny,
    /// Refuse it: it was not the requester who asked.
    Report,
}

/// How the phone signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor<'c> {
    /// With a passkey.
    Passkey,
    /// With the device's key, and the code that the requester's side was shown.
    Code(&'c str),
    /// With the device's key alone.
    Tap,
}

impl Factor<'_> {
    /// The word in the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Code(_) => "code",
            Self::Tap => "tap",
        }
    }
}

impl Verdict {
    /// The word in the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Report => "report",
        }
    }
}

/// A signed answer that is ready to be sent, as often and as altered as a test wants.
#[derive(Clone, Debug)]
pub struct PreparedAnswer {
    /// The path to `POST` it to.
    pub path: String,
    /// The body.
    pub body: Value,
}

impl Phone {
    /// Approves with a passkey, and gives the approval as it then is.
    ///
    /// # Errors
    /// [`Error::Unsafe`] when a check fails before signing; [`Error::Refused`] with one of the codes of section 6.
    pub async fn approve(&self, id: &str) -> Result<Value, Error> {
        self.answer(id, Verdict::Approve, None).await
    }

    /// Denies with a passkey, and gives the approval as it then is.
    ///
    /// # Errors
    /// As [`Phone::approve`].
    pub async fn deny(&self, id: &str, reason: Option<&str>) -> Result<Value, Error> {
        self.answer(id, Verdict::Deny, reason).await
    }

    /// Answers in any way, and gives the approval as it then is.
    ///
    /// # Errors
    /// As [`Phone::approve`].
    pub async fn answer_with(&self, id: &str, verdict: Verdict, factor: Factor<'_>) -> Result<Value, Error> {
        let answer = self.prepare_answer_with(id, verdict, factor, None).await?;
        self.post(&answer.path, &answer.body).await?.accepted()
    }

    async fn answer(&self, id: &str, verdict: Verdict, reason: Option<&str>) -> Result<Value, Error> {
        let answer = self.prepare_answer(id, verdict, reason).await?;
        self.post(&answer.path, &answer.body).await?.accepted()
    }

    /// Fetches, shows, checks and signs with a passkey, but does not send.
    ///
    /// # Errors
    /// As [`Phone::approve`].
    pub async fn prepare_answer(&self, id: &str, verdict: Verdict, reason: Option<&str>) -> Result<PreparedAnswer, Error> {
        self.prepare_answer_with(id, verdict, Factor::Passkey, reason).await
    }

    /// Fetches, shows, checks and signs, but does not send.
    ///
    /// # Errors
    /// As [`Phone::approve`].
    pub async fn prepare_answer_with(
        &self,
        id: &str,
        verdict: Verdict,
        factor: Factor<'_>,
        reason: Option<&str>,
    ) -> Result<PreparedAnswer, Error> {
        let approval = self.approval(id).await?;
        let path = format!("/v1/approvals/{}", reference(id)?);
        let asked = json!({"verdict": verdict.as_str(), "factor": factor.as_str()});
        let challenge = self.post(&format!("{path}/challenge"), &asked).await?.accepted()?;
        let approver = self.user_id()?;
        let meant =
            Meant { issuer: self.issuer(), approval: &approval, id, approver: &approver, verdict, factor: factor.as_str() };
        let statement = meant.check(&challenge)?;
        let mut body = json!({"challenge": challenge["challenge"]});
        match factor {
            Factor::Passkey => body["credential"] = self.use_passkey(&challenge["public_key"])?,
            Factor::Code(_) | Factor::Tap => {
                body["jws"] = json!(self.device_key.jws_over(&json!({"alg": "ES256", "typ": "phoneops-answer+jws"}), statement));
            }
        }
        if let Factor::Code(code) = factor {
            body["code"] = json!(code);
        }
        if let Some(reason) = reason {
            body["reason"] = json!(reason);
        }
        Ok(PreparedAnswer { path: format!("{path}/answers"), body })
    }

    /// Confirms a change that weakens, with an administrator's passkey; gives the act as it then is.
    ///
    /// # Errors
    /// [`Error::Unsafe`] when the statement is not about this change; [`Error::Refused`].
    pub async fn confirm_act(&self, act: &Value) -> Result<Value, Error> {
        let path = format!("/v1/acts/{}", reference(act["id"].as_str().unwrap_or_default())?);
        let challenge = self.post(&format!("{path}/challenge"), &json!({})).await?.accepted()?;
        let text = challenge["statement"].as_str().unwrap_or_default();
        let statement = canonical(text)?;
        expect(statement["type"] == "phoneops.act.v1", Mismatch::Type)?;
        expect(statement["issuer"] == self.issuer(), Mismatch::Issuer)?;
        expect(statement["admin"] == self.user_id()?.as_str(), Mismatch::Approver)?;
        expect(statement["act"] == act["id"], Mismatch::Approval)?;
        expect(statement["change"] == act["change"], Mismatch::Action)?;
        signed_by_passkey(&challenge["public_key"], "phoneops.act.v1", text)?;
        let credential = self.use_passkey(&challenge["public_key"])?;
        let body = json!({"challenge": challenge["challenge"], "credential": credential});
        self.post(&format!("{path}/confirm"), &body).await?.accepted()
    }
}

/// That a passkey would sign this text under this tag, with its user verified.
pub(super) fn signed_by_passkey(asked: &Value, tag: &str, text: &str) -> Result<(), Mismatch> {
    expect(asked["challenge"] == b64u(tagged_sha256(tag, text.as_bytes())), Mismatch::Challenge)?;
    expect(asked["userVerification"] == "required", Mismatch::UserVerification)
}

/// What the person saw and wants.
struct Meant<'a> {
    issuer: &'a str,
    approval: &'a Value,
    id: &'a str,
    approver: &'a str,
    verdict: Verdict,
    factor: &'static str,
}

impl Meant<'_> {
    /// The text of the statement, once it has been found to be what the person saw and wants.
    fn check<'c>(&self, challenge: &'c Value) -> Result<&'c str, Error> {
        let text =
            challenge["statement"].as_str().ok_or_else(|| Error::Protocol("a challenge without a statement".to_owned()))?;
        let statement = canonical(text)?;
        self.check_statement(&statement)?;
        check_digests(&statement, self.approval)?;
        if self.factor == "passkey" {
            signed_by_passkey(&challenge["public_key"], "phoneops.answer.v1", text)?;
        }
        Ok(text)
    }

    /// For whom the person was shown to answer; null when for nobody but themselves.
    fn answers_for(&self) -> Value {
        let all = self.approval["delegations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mine = all.iter().filter(|delegation| delegation["by"]["id"] == self.approver);
        let absent: Vec<_> = mine.map(|delegation| delegation["for"]["id"].clone()).collect();
        if absent.is_empty() { Value::Null } else { Value::Array(absent) }
    }

    fn check_statement(&self, statement: &Value) -> Result<(), Mismatch> {
        let requester = &self.approval["requester"]["id"];
        expect(statement["type"] == "phoneops.answer.v1", Mismatch::Type)?;
        expect(statement["issuer"] == self.issuer, Mismatch::Issuer)?;
        expect(statement["approval"] == self.id, Mismatch::Approval)?;
        expect(statement["approver"] == self.approver, Mismatch::Approver)?;
        expect(statement["for"] == self.answers_for(), Mismatch::For)?;
        expect(statement["verdict"] == self.verdict.as_str(), Mismatch::Verdict)?;
        expect(statement["factor"] == self.factor, Mismatch::Factor)?;
        expect(requester.is_string() && statement["requester"] == *requester, Mismatch::Requester)?;
        expect(statement["action"] == self.approval["action"], Mismatch::Action)
    }
}

fn check_digests(statement: &Value, approval: &Value) -> Result<(), Error> {
    let digest = |tag, value: &Value| Ok::<_, Error>(b64u(tagged_sha256(tag, &jcs(value)?)));
    let action = digest("phoneops.action.v1", &statement["action"])?;
    expect(statement["action_sha256"] == action, Mismatch::ActionDigest)?;
    let display = digest("phoneops.display.v1", &approval["display"])?;
    expect(statement["display_sha256"] == display, Mismatch::DisplayDigest)?;
    Ok(())
}

pub(super) fn expect(holds: bool, otherwise: Mismatch) -> Result<(), Mismatch> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// The statement, when its text is canonical: two members of one name, for which readers differ, are not.
pub(super) fn canonical(text: &str) -> Result<Value, Error> {
    let statement: Value = serde_json::from_str(text).map_err(|_| Mismatch::Canonical)?;
    expect(jcs(&statement)? == text.as_bytes(), Mismatch::Canonical)?;
    Ok(statement)
}

/// Canonical JSON (RFC 8785).
pub(super) fn jcs(value: &Value) -> Result<Vec<u8>, Error> {
    serde_json_canonicalizer::to_vec(value).map_err(|cause| Error::Protocol(format!("no canonical form: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://phoneops.example";

    fn approval() -> Value {
        json!({"id": "apr_1", "requester": {"id": "usr_ys"},
            "action": {"type": "deploy", "target": "production", "params": {"app": "api", "ref": "new_auth", "n": 3}},
            "display": {"title": "Deploy api/new_auth to production", "lines": ["ünï\u{202e}code"]}})
    }

    fn statement() -> Value {
        let approval = approval();
        let digest = |tag, value| b64u(tagged_sha256(tag, &jcs(value).unwrap()));
        json!({"type": "phoneops.answer.v1", "issuer": ISSUER, "approval": "apr_1", "action": approval["action"],
            "action_sha256": digest("phoneops.action.v1", &approval["action"]), "requester": "usr_ys",
            "approver": "usr_yannick", "verdict": "approve", "factor": "passkey",
            "policy": {"name": "builtin/requester-passkey", "sha256": "x"},
            "display_sha256": digest("phoneops.display.v1", &approval["display"]),
            "nonce": "AAAAAAAAAAAAAAAAAAAAAA", "expires_at": "2027-01-15T08:00:00Z"})
    }

    fn challenge(statement: &str) -> Value {
        let digest = b64u(tagged_sha256("phoneops.answer.v1", statement.as_bytes()));
        json!({"challenge": "chl_1", "statement": statement,
            "public_key": {"challenge": digest, "userVerification": "required"}})
    }

    fn check(challenge: &Value) -> Option<Mismatch> {
        let approval = approval();
        let meant = Meant {
            issuer: ISSUER,
            approval: &approval,
            id: "apr_1",
            approver: "usr_yannick",
            verdict: Verdict::Approve,
            factor: "passkey",
        };
        match meant.check(challenge) {
            Ok(_) => None,
            Err(Error::Unsafe(mismatch)) => Some(mismatch),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_honest_challenge_passes() {
        let text = String::from_utf8(jcs(&statement()).unwrap()).unwrap();
        assert_eq!(check(&challenge(&text)), None);
    }

    #[test]
    fn each_deceit_is_noticed() {
        let swapped = json!({"type": "deploy", "target": "production", "params": {"app": "api", "ref": "evil"}});
        let cases = [
            ("type", json!("phoneops.answer.v2"), Mismatch::Type),
            ("issuer", json!("https://phish.example"), Mismatch::Issuer),
            ("approval", json!("apr_2"), Mismatch::Approval),
            ("approver", json!("usr_ys"), Mismatch::Approver),
            ("for", json!(["usr_away"]), Mismatch::For),
            ("verdict", json!("deny"), Mismatch::Verdict),
            ("factor", json!("tap"), Mismatch::Factor),
            ("requester", json!("usr_mallory"), Mismatch::Requester),
            ("action", swapped, Mismatch::Action),
            ("action_sha256", json!("x"), Mismatch::ActionDigest),
            ("display_sha256", json!("x"), Mismatch::DisplayDigest),
        ];
        for (member, value, mismatch) in cases {
            let mut statement = statement();
            statement[member] = value;
            let text = String::from_utf8(jcs(&statement).unwrap()).unwrap();
            assert_eq!(check(&challenge(&text)), Some(mismatch), "{member}");
        }
    }

    #[test]
    fn a_delegate_sees_for_whom_they_sign() {
        let mut approval = approval();
        approval["delegations"] = json!([{"by": {"id": "usr_yannick"}, "for": {"id": "usr_away"}},
            {"by": {"id": "usr_ys"}, "for": {"id": "usr_far"}}]);
        let check = |people: Value| {
            let mut statement = statement();
            if !people.is_null() {
                statement["for"] = people;
            }
            let approval = &approval;
            let meant = Meant {
                issuer: ISSUER,
                approval,
                id: "apr_1",
                approver: "usr_yannick",
                verdict: Verdict::Approve,
                factor: "passkey",
            };
            meant.check_statement(&statement).err()
        };
        assert_eq!(check(json!(["usr_away"])), None);
        for others in [Value::Null, json!([]), json!(["usr_far"]), json!(["usr_away", "usr_far"])] {
            assert_eq!(check(others), Some(Mismatch::For));
        }
    }

    #[test]
    fn a_statement_that_two_readers_could_read_differently_is_refused() {
        let text = String::from_utf8(jcs(&statement()).unwrap()).unwrap();
        let twice = text.replacen('{', r#"{"verdict":"deny","#, 1);
        assert_eq!(check(&challenge(&twice)), Some(Mismatch::Canonical));
        let spaced = text.replacen(':', ": ", 1);
        assert_eq!(check(&challenge(&spaced)), Some(Mismatch::Canonical));
        assert_eq!(check(&challenge("not JSON")), Some(Mismatch::Canonical));
    }

    #[test]
    fn what_the_passkey_signs_is_the_statement_with_the_person_verified() {
        let text = String::from_utf8(jcs(&statement()).unwrap()).unwrap();
        let mut other = challenge(&text);
        other["public_key"]["challenge"] = json!(b64u([0; 32]));
        assert_eq!(check(&other), Some(Mismatch::Challenge));
        let mut lax = challenge(&text);
        lax["public_key"]["userVerification"] = json!("preferred");
        assert_eq!(check(&lax), Some(Mismatch::UserVerification));
    }
}
