//! Approvals in sentences, built by pure functions.

use serde::{Deserialize, Deserializer};

use super::super::Outcome;
use super::super::reply::Person;
use super::super::words::{names, span};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::text::line;

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum State {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

/// Who decided.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct Decision {
    by: Person,
    reason: Option<String>,
}

/// One person's approval.
#[derive(Clone, Debug, Deserialize)]
struct Given {
    by: Person,
}

/// A break-glass.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct BreakGlass {
    until: Timestamp,
    reason: String,
}

/// An approval, as `/v1/approvals` shows it.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct Approval {
    pub(in crate::cli) id: String,
    pub(in crate::cli) tag: String,
    pub(in crate::cli) state: State,
    pub(in crate::cli) approvers: Vec<Person>,
    pub(in crate::cli) created_at: Timestamp,
    pub(in crate::cli) expires_at: Timestamp,
    /// The approvals it was given, the first one first.
    #[serde(default)]
    approvals: Vec<Given>,
    pub(in crate::cli) decision: Option<Decision>,
    pub(in crate::cli) break_glass: Option<BreakGlass>,
    folded_into: Option<String>,
    cancelled_because: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(in crate::cli) grant: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub(in crate::cli) code: Option<Secret>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

impl Approval {
    /// The exit code that its state asks for.
    pub(in crate::cli) fn outcome(&self) -> Outcome {
        match self.state {
            State::Pending => Outcome::Pending,
            State::Approved => Outcome::Done,
            State::Denied => Outcome::Denied,
            State::Expired => Outcome::Expired,
            State::Cancelled => Outcome::Cancelled,
        }
    }

    /// That it waits, for whom, and how long at most. The tag is what people match between chat and phone.
    pub(in crate::cli) fn waits(&self) -> String {
        let (tag, id, phones) = (&self.tag, &self.id, names(&self.approvers));
        let folded = if self.folded_into.is_some() { "; it did not ring, for a request alike it is open" } else { "" };
        format!("Request {tag} ({id}) waits on the phone of {phones}, {} at most{folded}", span(self.life()))
    }

    /// How long it may be answered, by the server's own clock.
    pub(in crate::cli) fn life(&self) -> std::time::Duration {
        self.created_at.until(self.expires_at)
    }

    /// How it stands.
    pub(in crate::cli) fn sentence(&self) -> String {
        match (self.state, &self.break_glass) {
            (State::Pending, Some(glass)) => {
                let (tag, reason) = (&self.tag, line(&glass.reason, 500));
                return format!(
                    "Request {tag}: the operator broke the glass ({reason}). It opens at {} unless somebody denies",
                    glass.until
                );
            }
            (State::Approved, Some(glass)) => {
                return format!(
                    "Request {} opened by break-glass, and approved by nobody: {}",
                    self.tag,
                    line(&glass.reason, 500)
                );
            }
            _ => {}
        }
        match self.state {
            State::Pending => self.waits(),
            State::Approved => format!("Request {} approved by {}", self.tag, self.givers()),
            State::Denied => format!("Request {} denied by {}{}", self.tag, self.decider(), self.reason()),
            State::Expired => format!("Request {} expired: nobody answered within {}", self.tag, span(self.life())),
            State::Cancelled if self.cancelled_because.as_deref() == Some("frozen") => {
                format!("Request {} was cancelled: somebody reported the bot, and what it asks is frozen", self.tag)
            }
            State::Cancelled => format!("Request {} was cancelled", self.tag),
        }
    }

    fn givers(&self) -> String {
        let givers: Vec<_> = self.approvals.iter().map(|given| given.by.clone()).collect();
        if givers.is_empty() { self.decider() } else { names(&givers) }
    }

    fn decider(&self) -> String {
        self.decision.as_ref().map_or_else(|| "nobody known".into(), |decision| line(&decision.by.name, 80))
    }

    fn reason(&self) -> String {
        let reason = self.decision.as_ref().and_then(|decision| decision.reason.as_deref());
        reason.map(|reason| format!(": {}", line(reason, 1000))).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::cli::request) fn approval(state: &str, decision: &Value) -> Approval {
        let mut body = json!({
            "id": "apr_1", "tag": "R7K2", "state": state, "created_at": "2026-03-01T10:00:00Z", "expires_at": "2026-03-01T10:05:00Z",
            "approvers": [{"id": "usr_1", "handle": "yannick", "name": "Yannick Schutz"}], "grant": "eyJ.secret",
        });
        if !decision.is_null() {
            body["decision"] = decision.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn every_state_has_its_sentence_and_its_exit_code() {
        let by = |reason: Value| {
            let mut decision = json!({"verdict": "deny", "by": {"id": "usr_1", "handle": "yannick", "name": "Yannick Schutz"}});
            if !reason.is_null() {
                decision["reason"] = reason;
            }
            decision
        };
        let none = Value::Null;
        for (state, decision, sentence, code) in [
            ("pending", &none, "Request R7K2 (apr_1) waits on the phone of Yannick Schutz, 5 minutes at most", 8),
            ("approved", &by(Value::Null), "Request R7K2 approved by Yannick Schutz", 0),
            ("denied", &by(json!("not on\na\u{7} Friday")), "Request R7K2 denied by Yannick Schutz: not on a\\u{7} Friday", 3),
            ("denied", &by(Value::Null), "Request R7K2 denied by Yannick Schutz", 3),
            ("expired", &none, "Request R7K2 expired: nobody answered within 5 minutes", 5),
            ("cancelled", &none, "Request R7K2 was cancelled", 6),
        ] {
            let approval = approval(state, decision);
            assert_eq!((approval.sentence().as_str(), approval.outcome().code()), (sentence, code));
            assert!(!format!("{approval:?}").contains("eyJ"), "the grant prints");
        }
        let given = json!([{"by": {"id": "usr_2", "handle": "ys", "name": "Ys Example"}}, {"by": by(Value::Null)["by"]}]);
        let two = Approval { approvals: serde_json::from_value(given).unwrap(), ..approval("approved", &by(Value::Null)) };
        assert_eq!(two.sentence(), "Request R7K2 approved by Ys Example and Yannick Schutz");
        let folded = Approval { folded_into: Some("apr_2".into()), ..approval("pending", &none) };
        assert!(folded.sentence().ends_with("5 minutes at most; it did not ring, for a request alike it is open"));
        let frozen = Approval { cancelled_because: Some("frozen".into()), ..approval("cancelled", &none) };
        assert!(frozen.sentence().ends_with("somebody reported the bot, and what it asks is frozen"));
    }

    #[test]
    fn a_break_glass_is_called_that() {
        let glass = |state| {
            let mut approval = approval(state, &Value::Null);
            let glass = json!({"at": "2026-03-01T10:01:00Z", "until": "2026-03-01T10:16:00Z", "reason": "nobody\nanswers"});
            approval.break_glass = serde_json::from_value(glass).unwrap();
            approval.sentence()
        };
        let waits = "Request R7K2: the operator broke the glass (nobody answers). It opens at 2026-03-01T10:16:00Z unless somebody denies";
        assert_eq!(glass("pending"), waits);
        assert_eq!(glass("approved"), "Request R7K2 opened by break-glass, and approved by nobody: nobody answers");
        assert_eq!(glass("cancelled"), "Request R7K2 was cancelled");
    }
}
