//! The six digits of the `code` factor: shown to the requester's side, typed by whoever approves.
//!
//! **Invariants**
//! - A code never leaves but in the reply to the request; at rest it is sealed under the master key.
//! - A try is counted before anybody learns what it was worth, in one row for the approval and one for the person, so that no number of
//!   nodes compares more than three.
//! - No new request starts a person's count anew; only their own success does.

use std::time::Duration;

use super::machine::Approval;
use super::refused::Refused;
use super::store;
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{ApprovalId, UserId};
use crate::secret::{MasterKey, Secret, equal, random};

/// Wrong codes that an approval bears, and that a person may type in a row before they have to wait.
pub(super) const TRIES: u32 = 3;

/// The first wait; each further wrong code doubles it.
const FIRST_WAIT: Duration = Duration::from_mins(15);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// From so many wrong codes in a row on only a passkey helps (NIST SP 800-63B-4 section 3.2.2).
const CEILING: u32 = 100;

/// Six digits, each of the million equally likely.
pub(super) fn draw() -> Secret {
    loop {
        let drawn = u32::from_be_bytes(random()) >> 12;
        // 20 bits: what is beyond the million is drawn again, and not folded onto the rest.
        if drawn < 1_000_000 {
            return Secret::new(format!("{drawn:06}"));
        }
    }
}

/// Whether a text could be a code.
pub(super) fn is_one(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn seal(master: &MasterKey, approval: ApprovalId, code: &Secret) -> Vec<u8> {
    master.seal(&place(approval), code.expose().as_bytes())
}

fn place(approval: ApprovalId) -> String {
    format!("approvals/{approval}/code")
}

/// From when on a person may try again who typed so many wrong codes, the last of them then. `None`: now.
fn locked_until(failures: u32, failed_at: Timestamp) -> Option<Timestamp> {
    let beyond = failures.checked_sub(TRIES)?;
    let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    Some(failed_at.after(wait))
}

/// What a code was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is the one.
    Right,
    /// It is not. That must be kept, so the transaction must be committed.
    Wrong {
        /// How many more this approval bears.
        left: u32,
    },
}

/// Compares a code. The approval's row is locked by the caller, the person's here, always in this order.
///
/// # Errors
/// When nothing may be compared any more: [`Refused::CodeExhausted`], [`Refused::CodeLocked`].
pub(super) async fn attempt(
    tx: &mut Tx<'_>,
    master: &MasterKey,
    approval: &Approval,
    approver: UserId,
    code: &Secret,
    now: Timestamp,
) -> Result<Tried, super::Error> {
    let stored = store::find_code(tx.db(), approval.id).await?;
    let sealed = stored.sealed.ok_or(Refused::OtherFactor)?;
    if stored.tries >= TRIES {
        return Err(Refused::CodeExhausted.into());
    }
    let before = store::lock_code_failures(tx, approver, now).await?;
    if before.failures >= CEILING {
        return Err(Refused::CodeExhausted.into());
    }
    if let Some(until) = locked_until(before.failures, before.failed_at).filter(|until| now < *until) {
        return Err(Refused::CodeLocked { until }.into());
    }
    let broken = |error| db::Error::inconsistent("approvals", approval.id, error);
    let expected = master.open(&place(approval.id), &sealed).map_err(broken)?;
    if equal(&expected, code.expose().as_bytes()) {
        store::clear_code_failures(tx, approver).await?;
        return Ok(Tried::Right);
    }
    store::count_wrong_code(tx, approval.id, approver, now).await?;
    Ok(Tried::Wrong { left: TRIES - stored.tries - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_six_digits_and_evenly_spread() {
        let mut seen = [[0_u32; 10]; 6];
        for _ in 0..100_000 {
            let code = draw();
            assert!(is_one(code.expose()));
            for (place, digit) in code.expose().bytes().enumerate() {
                seen[place][usize::from(digit - b'0')] += 1;
            }
        }
        // Chi-squared with 9 degrees of freedom: beyond 40 once in 100,000 runs for an even source.
        for place in seen {
            let off = place.iter().map(|&count| (f64::from(count) - 10_000.0).powi(2) / 10_000.0).sum::<f64>();
            assert!(off < 40.0, "{place:?}");
        }
    }

    #[test]
    fn who_guesses_waits_ever_longer() {
        let at = Timestamp::from_seconds(1_000);
        let wait = |failures| locked_until(failures, at).map(|until| at.until(until).as_secs() / 60);
        assert_eq!([0, 1, 2].map(wait), [None; 3]);
        assert_eq!([3, 4, 5, 6].map(wait), [Some(15), Some(30), Some(60), Some(120)]);
        assert_eq!([10, 40, 99].map(wait), [Some(24 * 60); 3]);
    }

    #[test]
    fn only_six_digits_could_be_a_code() {
        assert!(is_one("000000") && !is_one("12345") && !is_one("1234567") && !is_one("12345a") && !is_one("１23456"));
    }
}
