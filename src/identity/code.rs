//! Enrolment codes: what a person types or scans once to make a phone theirs.
//!
//! **Invariants**
//! - 120 random bits in 24 characters of Crockford base32, which has no I, L, O or U to misread.
//! - Stored and proven only as its tagged digest; the text is shown once, in groups of four.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::{Secret, random, tagged_sha256};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 24;

/// An enrolment code. `Debug` hides it, and it has no `Display`.
#[derive(Clone)]
pub struct EnrollmentCode(Secret);

/// A text that is not an enrolment code. Does not repeat it: it may be one with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an enrolment code has 24 letters and digits")]
pub struct NotACode;

impl EnrollmentCode {
    /// A new code.
    #[must_use]
    pub fn generate() -> Self {
        let bytes = Zeroizing::new(random::<15>());
        let code = bytes.chunks_exact(5).flat_map(|five| {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).rev().map(move |place| letter(bits >> (5 * place)))
        });
        Self(Secret::new(code.collect()))
    }

    /// From what a person typed: capital or small letters, with or without `-` and spaces, O for 0, I or L for 1.
    ///
    /// # Errors
    /// [`NotACode`] when it is not 24 characters of the alphabet after that.
    pub fn parse(text: &str) -> Result<Self, NotACode> {
        let mut code = Zeroizing::new(String::with_capacity(LENGTH));
        for typed in text.chars().filter(|typed| !matches!(typed, '-' | ' ')) {
            let meant = match typed.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(meant).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || code.len() == LENGTH {
                return Err(NotACode);
            }
            code.push(meant);
        }
        if code.len() < LENGTH {
            return Err(NotACode);
        }
        Ok(Self(Secret::new(std::mem::take(&mut *code))))
    }

    /// The code for a person, in groups of four: `7K3M-Q2XN-…`. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose_grouped(&self) -> String {
        let mut grouped = String::with_capacity(LENGTH + LENGTH / 4);
        for (at, letter) in self.0.expose().chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                grouped.push('-');
            }
            grouped.push(letter);
        }
        grouped
    }

    /// `H("phoneops.enrollment.v1", code)`: how the code is stored, and what an enrolment proof names.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        tagged_sha256("phoneops.enrollment.v1", self.0.expose().as_bytes())
    }
}

/// The letter of the lowest five bits.
fn letter(bits: u64) -> char {
    char::from(ALPHABET[usize::from(bits.to_le_bytes()[0] & 31)])
}

impl fmt::Debug for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_being_typed() {
        let code = EnrollmentCode::generate();
        let shown = code.expose_grouped();
        assert_eq!((shown.len(), shown.matches('-').count()), (29, 5));
        for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', " ")] {
            assert_eq!(EnrollmentCode::parse(&typed).unwrap().hash(), code.hash());
        }
    }

    #[test]
    fn look_alikes_are_mended() {
        let meant = EnrollmentCode::parse("0111-0111-0111-0111-0111-0111").unwrap();
        let typed = EnrollmentCode::parse("oIl1 OiL1 oIl1 OiL1 oIl1 OiL1").unwrap();
        assert_eq!(typed.hash(), meant.hash());
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        let good = "7K3MQ2XNB4TD9VWH5RFA8CPE";
        assert!(EnrollmentCode::parse(good).is_ok());
        for bad in [
            "",
            "----",
            &good[1..],
            &format!("{good}0"),
            &good.replace('7', "U"),
            &good.replace('7', "é"),
            &good.replace('7', "\u{ff17}"),
            &good.replace('7', "7\t"),
        ] {
            assert!(EnrollmentCode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn codes_use_the_whole_alphabet_and_differ() {
        let codes: Vec<_> = (0..64).map(|_| EnrollmentCode::generate().expose_grouped()).collect();
        for letter in ALPHABET {
            let letter = char::from(*letter);
            assert!(codes.iter().any(|code| code.contains(letter)), "{letter}");
        }
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len());
    }

    #[test]
    fn a_code_does_not_print() {
        let code = EnrollmentCode::generate();
        assert_eq!(format!("{code:?}"), "EnrollmentCode(…)");
    }
}
