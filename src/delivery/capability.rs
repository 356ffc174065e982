//! The capability to say that a push came: it travels in the push, and is good for that attempt alone.
//!
//! **Invariants**
//! - It is stored nowhere and guessed by nobody: 128 bits of a MAC under a key of the installation, compared in constant time.
//! - It is a secret of the phone it was sent to: it reaches no log, error or `Debug`.

use zeroize::Zeroizing;

use crate::id::AttemptId;
use crate::secret::{MasterKey, b64u, equal, from_b64u, hmac_sha256};

/// Bytes of the MAC that travel.
const MAC: usize = 16;

/// Makes capabilities, and reads them. Cheap to clone.
#[derive(Clone)]
pub struct Capabilities(Zeroizing<[u8; 32]>);

impl Capabilities {
    /// Those of an installation.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self(master.derive("phoneops.receipts.v1"))
    }

    /// `b64url(attempt ‖ MAC)`: 43 characters.
    pub(super) fn of(&self, attempt: AttemptId) -> String {
        b64u([attempt.0.as_bytes().as_slice(), &self.mac(attempt)].concat())
    }

    /// The attempt that a capability is good for.
    pub(super) fn open(&self, text: &str) -> Option<AttemptId> {
        let bytes = from_b64u(text)?;
        let (id, mac) = bytes.split_first_chunk::<16>()?;
        let attempt = AttemptId(uuid::Uuid::from_bytes(*id));
        equal(mac, &self.mac(attempt)).then_some(attempt)
    }

    fn mac(&self, attempt: AttemptId) -> [u8; MAC] {
        let mut mac = [0; MAC];
        mac.copy_from_slice(&hmac_sha256(&*self.0, attempt.0.as_bytes())[..MAC]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_capability_is_good_for_its_attempt_and_unharmed_alone() {
        let (ours, theirs) = (Capabilities::new(&MasterKey::generate()), Capabilities::new(&MasterKey::generate()));
        let [one, two] = [(); 2].map(|()| AttemptId::new(Timestamp::from_seconds(1_800_000_000)));
        let capability = ours.of(one);
        assert_eq!((ours.open(&capability), capability.len()), (Some(one), 43));
        assert_eq!((theirs.open(&capability), ours.open(""), ours.open("x")), (None, None, None));
        let bytes = from_b64u(&capability).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut harmed = bytes.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ours.open(&b64u(&harmed)), None, "bit {bit}");
        }
        assert_eq!(ours.open(&b64u(&bytes[..31])), None);
        assert_eq!(ours.open(&b64u([bytes.as_slice(), &[0]].concat())), None);
        let swapped = [two.0.as_bytes().as_slice(), &bytes[16..]].concat();
        assert_eq!(ours.open(&b64u(swapped)), None, "another attempt's");
    }
}
