//! Codes that people type: what makes a phone theirs, and what makes a chat identity theirs.
//!
//! **Invariants**
//! - Crockford base32, which has no I, L, O or U to misread: 120 random bits in 24 characters enrol, 60 in 12 link.
//! - Stored and proven only as its tagged digest; the text is shown once, in groups of four.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::{Secret, random, tagged_sha256};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The letters of an enrolment code.
const LENGTH: usize = 24;

/// The letters of a link code.
const LINK_LENGTH: usize = 12;

/// An enrolment code. `Debug` hides it, and it has no `Display`.
#[derive(Clone)]
pub struct EnrollmentCode(Secret);

/// What somebody types to say that a chat identity is theirs: 60 random bits in 12 characters. `Debug` hides it.
#[derive(Clone)]
pub struct LinkCode(Secret);

/// A text that is not a code. Does not repeat it: it may be one with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("such a code has {0} letters and digits")]
pub struct NotACode(usize);

impl EnrollmentCode {
    /// A new code.
    #[must_use]
    pub fn generate() -> Self {
        Self(draw(LENGTH))
    }

    /// From what a person typed: capital or small letters, with or without `-` and spaces, O for 0, I or L for 1.
    ///
    /// # Errors
    /// [`NotACode`] when it is not 24 characters of the alphabet after that.
    pub fn parse(text: &str) -> Result<Self, NotACode> {
        typed(text, LENGTH).map(Self)
    }

    /// The code for a person, in groups of four: `7K3M-Q2XN-…`. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose_grouped(&self) -> String {
        grouped(&self.0)
    }

    /// `H("phoneops.enrollment.v1", code)`: how the code is stored, and what an enrolment proof names.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        tagged_sha256("phoneops.enrollment.v1", self.0.expose().as_bytes())
    }
}

impl LinkCode {
    /// A new code.
    #[must_use]
    pub fn generate() -> Self {
        Self(draw(LINK_LENGTH))
    }

    /// As [`EnrollmentCode::parse`].
    ///
    /// # Errors
    /// [`NotACode`] when it is not 12 characters of the alphabet after that.
    pub fn parse(text: &str) -> Result<Self, NotACode> {
        typed(text, LINK_LENGTH).map(Self)
    }

    /// The code for a person, in groups of four. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose_grouped(&self) -> String {
        grouped(&self.0)
    }

    /// `H("phoneops.chat-link.v1", code)`: how the code is stored.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        tagged_sha256("phoneops.chat-link.v1", self.0.expose().as_bytes())
    }
}

/// So many letters, drawn.
fn draw(length: usize) -> Secret {
    let bytes = Zeroizing::new(random::<LENGTH>());
    Secret::new(bytes[..length].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect())
}

/// The code that somebody meant.
fn typed(text: &str, length: usize) -> Result<Secret, NotACode> {
    let mut code = Zeroizing::new(String::with_capacity(length));
    for typed in text.chars().filter(|typed| !matches!(typed, '-' | ' ')) {
        let meant = match typed.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let known = u8::try_from(meant).is_ok_and(|byte| ALPHABET.contains(&byte));
        if !known || code.len() == length {
            return Err(NotACode(length));
        }
        code.push(meant);
    }
    if code.len() < length {
        return Err(NotACode(length));
    }
    Ok(Secret::new(std::mem::take(&mut *code)))
}

/// In groups of four.
fn grouped(code: &Secret) -> String {
    let mut grouped = String::with_capacity(LENGTH + LENGTH / 4);
    for (at, letter) in code.expose().chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push('-');
        }
        grouped.push(letter);
    }
    grouped
}

impl fmt::Debug for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentCode(…)")
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode(…)")
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
    fn a_link_code_is_shorter_and_of_its_own_kind() {
        let code = LinkCode::generate();
        let shown = code.expose_grouped();
        assert_eq!((shown.len(), LinkCode::parse(&shown.to_lowercase()).unwrap().hash()), (14, code.hash()));
        let (whole, half) = ("7K3MQ2XNB4TD9VWH5RFA8CPE", "7K3MQ2XNB4TD");
        assert!(LinkCode::parse(whole).is_err() && EnrollmentCode::parse(half).is_err());
        assert_ne!(code.hash(), tagged_sha256("phoneops.enrollment.v1", shown.replace('-', "").as_bytes()));
    }

    #[test]
    fn a_code_does_not_print() {
        assert_eq!(format!("{:?}", EnrollmentCode::generate()), "EnrollmentCode(…)");
        assert_eq!(format!("{:?}", LinkCode::generate()), "LinkCode(…)");
    }
}
