//! A mailbox.

use std::fmt;

use serde::{Deserialize, Serialize};

/// RFC 5321 section 4.5.3.1.3, without the angle brackets.
const MAX_BYTES: usize = 254;

/// Where a person reads e-mail: `ys@example.com`.
///
/// Personal, so its `Debug` shows the domain alone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

/// Text that is no address, or one that we do not write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an e-mail address like ys@example.com, with at most {MAX_BYTES} bytes")]
pub struct NotAMailAddress;

impl MailAddress {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MailAddress {
    type Error = NotAMailAddress;

    /// A dot-string and a domain (RFC 5321 section 4.1.2). Quoted local parts and address literals are not written to.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (local, domain) = text.rsplit_once('@').ok_or(NotAMailAddress)?;
        let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        let atoms = local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom));
        let label = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            !part.is_empty() && plain && !part.starts_with('-') && !part.ends_with('-')
        };
        if text.len() <= MAX_BYTES && local.len() <= 64 && atoms && domain.split('.').all(label) {
            Ok(Self(text))
        } else {
            Err(NotAMailAddress)
        }
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.0
    }
}

impl schemars::JsonSchema for MailAddress {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MailAddress".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "maxLength": MAX_BYTES, "description": "An e-mail address like `ys@example.com`"})
    }
}

impl std::str::FromStr for MailAddress {
    type Err = NotAMailAddress;

    fn from_str(text: &str) -> Result<Self, NotAMailAddress> {
        text.to_owned().try_into()
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.0.rsplit_once('@').map_or("", |(_, domain)| domain);
        write!(f, "MailAddress(…@{domain})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_line_of_a_mailbox_and_shows_its_domain_alone() {
        let address = MailAddress::try_from("y.s+pager@example.com".to_owned()).unwrap();
        assert_eq!((address.as_str(), format!("{address:?}").as_str()), ("y.s+pager@example.com", "MailAddress(…@example.com)"));
        let long = format!("ys@{}.example", "a".repeat(250));
        for bad in [
            "",
            "ys",
            "@example.com",
            "ys@",
            "y s@example.com",
            "ys@exa mple.com",
            "ys@-a.com",
            "ys@a\r\nBcc: x@b.c",
            "a..b@c.de",
            "\"a\"@c.de",
            &long,
        ] {
            assert_eq!(MailAddress::try_from(bad.to_owned()), Err(NotAMailAddress), "{bad}");
        }
    }
}
