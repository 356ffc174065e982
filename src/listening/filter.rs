//! What a listener asks for, of all that it may hear.

/// Kinds and a subject; what is empty is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Vec<String>,
    subject: Option<String>,
}

/// A filter that could fit nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected up to 20 beginnings of kinds, like approval. or incident.triggered, with commas between them")]
pub struct NotAFilter;

/// More in one filter is a mistake.
const MAX_KINDS: usize = 20;

impl Filter {
    /// `kinds` are beginnings of kinds, separated by commas.
    ///
    /// # Errors
    /// When one of them cannot be the beginning of a kind.
    pub fn new(kinds: Option<&str>, subject: Option<String>) -> Result<Self, NotAFilter> {
        let kinds = kinds.map_or_else(|| Ok(Vec::new()), |kinds| beginnings(kinds.split(',')))?;
        Ok(Self { kinds, subject })
    }

    /// The beginnings of kinds.
    #[must_use]
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Whether an event is asked for.
    #[must_use]
    pub fn takes(&self, kind: &str, subject: &str) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|beginning| kind.starts_with(beginning)))
            && self.subject.as_deref().is_none_or(|asked| asked == subject)
    }
}

/// Beginnings of kinds, checked.
///
/// # Errors
/// When there are too many, or one cannot be the beginning of a kind.
pub(super) fn beginnings<'a>(kinds: impl Iterator<Item = &'a str>) -> Result<Vec<String>, NotAFilter> {
    let word =
        |kind: &&str| (1..=60).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'));
    let kinds: Vec<_> = kinds.map(str::trim).collect();
    if kinds.len() > MAX_KINDS || !kinds.iter().all(word) {
        return Err(NotAFilter);
    }
    Ok(kinds.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_fit_by_their_beginning_and_subjects_wholly() {
        let filter = Filter::new(Some("approval., incident.triggered"), None).unwrap();
        assert!(filter.takes("approval.denied", "x") && filter.takes("incident.triggered", "x"));
        assert!(!filter.takes("incident.rang", "x") && !filter.takes("grant.redeemed", "x"));
        let filter = Filter::new(None, Some("apr_1".into())).unwrap();
        assert!(filter.takes("approval.denied", "apr_1") && !filter.takes("approval.denied", "apr_12"));
        assert!(Filter::default().takes("anything", "x"));
        for bad in ["", "approval.,", "Approval", "a b", &"a".repeat(61), &["a"; 21].join(",")] {
            assert!(Filter::new(Some(bad), None).is_err(), "{bad}");
        }
    }
}
