//! The SQL of receipts: answers with the attestations of the keys that signed them, and grants.

use serde_json::Value;

use crate::approvals::Verdict;
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row};
use crate::id::{ApprovalId, DeviceId, UserId};

/// An answer as evidence.
pub(super) struct Evidence {
    pub(super) approver: UserId,
    pub(super) device: DeviceId,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) statement: String,
    pub(super) credential: Value,
    pub(super) answered_at: Timestamp,
    /// The attestation of the key that signed: the passkey's, or else the device's.
    pub(super) attestation: Option<String>,
}

impl FromRow for Evidence {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let device: DeviceId = row.get("device_id")?;
        let verdict = serde_json::from_value(Value::String(row.get("verdict")?));
        Ok(Self {
            approver: row.get("approver_id")?,
            device,
            verdict: verdict.map_err(|error| Error::inconsistent("answers", device, error))?,
            reason: row.get("reason")?,
            statement: row.get("statement")?,
            credential: row.get::<Json<Value>>("credential")?.0,
            answered_at: row.get("answered_at")?,
            attestation: row.get("attestation")?,
        })
    }
}

/// The answers to an approval, in the order in which they came.
pub(super) async fn evidence(db: &mut Db<'_>, approval: ApprovalId) -> Result<Vec<Evidence>> {
    db.query(
        "select answers.*, case when answers.passkey_id is null then devices.attestation else passkeys.attestation end as attestation
         from answers join devices on devices.id = answers.device_id left join passkeys on passkeys.id = answers.passkey_id
         where answers.approval_id = $1 order by answers.answered_at, answers.challenge_id",
    )
    .bind(approval)
    .all()
    .await
}
