//! Google's errors: a status, its name, and details that say whose fault it is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An `errorCode` of FCM, as its details carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FcmError {
    /// 400: the registration is malformed.
    InvalidArgument,
    /// 401: the credentials for APNs or Web Push that Firebase holds are bad.
    ThirdPartyAuthError,
    /// 403: the registration belongs to another sender.
    SenderIdMismatch,
    /// 404: the app was removed, or its registration replaced.
    Unregistered,
    /// 429: too many messages, in all or to one device.
    QuotaExceeded,
    /// 500.
    Internal,
    /// 503.
    Unavailable,
}

impl FcmError {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::InvalidArgument,
        Self::ThirdPartyAuthError,
        Self::SenderIdMismatch,
        Self::Unregistered,
        Self::QuotaExceeded,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The HTTP status, and its name in the envelope.
    #[must_use]
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::InvalidArgument => (400, "INVALID_ARGUMENT"),
            Self::ThirdPartyAuthError => (401, "UNAUTHENTICATED"),
            Self::SenderIdMismatch => (403, "PERMISSION_DENIED"),
            Self::Unregistered => (404, "NOT_FOUND"),
            Self::QuotaExceeded => (429, "RESOURCE_EXHAUSTED"),
            Self::Internal => (500, "INTERNAL"),
            Self::Unavailable => (503, "UNAVAILABLE"),
        }
    }
}

/// An answer that is not 200.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// For the journal: the `errorCode`, the field that is wrong, or the name of the status.
    pub(super) reason: String,
    pub(super) body: Value,
    pub(super) retry_after: Option<u64>,
}

fn envelope(status: u16, name: &str, message: &str, details: &Value) -> Value {
    json!({"error": {"code": status, "message": message, "status": name, "details": details}})
}

impl Refused {
    /// It is about the registration, or about FCM itself.
    pub(super) fn fcm(error: FcmError, message: &str) -> Self {
        let (status, name) = error.status();
        let details = json!([{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": error}]);
        let reason = json!(error).as_str().unwrap_or_default().to_owned();
        Self { status, reason, body: envelope(status, name, message, &details), retry_after: None }
    }

    /// The message itself is wrong: the registration has nothing to do with it.
    pub(super) fn field(field: &str, description: &str) -> Self {
        let violations = json!([{"field": field, "description": description}]);
        let details = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]);
        let body = envelope(400, "INVALID_ARGUMENT", description, &details);
        Self { status: 400, reason: field.to_owned(), body, retry_after: None }
    }

    /// The access token is none, or of no use here.
    pub(super) fn credentials(status: u16, message: &str) -> Self {
        let name = if status == 401 { "UNAUTHENTICATED" } else { "PERMISSION_DENIED" };
        let reason = if status == 401 { "ACCESS_TOKEN_INVALID" } else { "IAM_PERMISSION_DENIED" };
        let details =
            json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]);
        Self { status, reason: name.to_owned(), body: envelope(status, name, message, &details), retry_after: None }
    }
}
