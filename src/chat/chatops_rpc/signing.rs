//! What a call signs.

use crate::secret::from_b64;

/// The bytes that are signed: the URL as the client has it, the nonce, the time and the body, parted by line breaks. A call without a
/// body ends with one.
#[must_use]
pub fn message(url: &str, nonce: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [url.as_bytes(), nonce.as_bytes(), timestamp.as_bytes(), body].join(&b'\n')
}

/// The header `Chatops-Signature`: `Signature keyid=NAME,signature=BASE64`.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Which key.
    pub key: &'a str,
    /// The signature.
    pub bytes: Vec<u8>,
}

/// Not such a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `Signature keyid=NAME,signature=BASE64`")]
pub struct NotASignature;

impl<'a> Signature<'a> {
    /// Reads the header. Members that are not known are passed over; what is there twice is refused.
    ///
    /// # Errors
    /// When a member is missing or is no base64.
    pub fn parse(header: &'a str) -> Result<Self, NotASignature> {
        let (scheme, members) = header.trim().split_once(char::is_whitespace).ok_or(NotASignature)?;
        if scheme != "Signature" {
            return Err(NotASignature);
        }
        let (mut key, mut signature) = (None, None);
        for member in members.split(',') {
            // Base64 ends with equals signs: the first one parts.
            let (name, value) = member.trim().split_once('=').ok_or(NotASignature)?;
            let place = match name {
                "keyid" => &mut key,
                "signature" => &mut signature,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(NotASignature);
            }
        }
        let bytes = from_b64(signature.ok_or(NotASignature)?).ok_or(NotASignature)?;
        let key = key.filter(|key| !key.is_empty()).ok_or(NotASignature)?;
        Ok(Self { key, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_own_examples_are_built() {
        let get = message("https://example.com/_chatops", "abc123", "2017-05-11T19:15:23Z", b"");
        assert_eq!(get, b"https://example.com/_chatops\nabc123\n2017-05-11T19:15:23Z\n");
        let post = message("https://example.com/_chatops", "abc123", "2017-05-11T19:15:23Z", br#"{"method": "foo"}"#);
        assert_eq!(post, b"https://example.com/_chatops\nabc123\n2017-05-11T19:15:23Z\n{\"method\": \"foo\"}");
    }

    #[test]
    fn a_header_is_read_whole_or_refused() {
        let read = |header| Signature::parse(header);
        let one = Signature { key: "rsakey1", bytes: vec![1, 2] };
        assert_eq!(read("Signature keyid=rsakey1,signature=AQI="), Ok(one));
        let spaced = Signature { key: "k", bytes: vec![1, 2, 3] };
        assert_eq!(read("Signature  signature=AQID, keyid=k, algorithm=x"), Ok(spaced));
        for odd in [
            "",
            "Signature",
            "Bearer keyid=k,signature=AQID",
            "Signature keyid=k",
            "Signature signature=AQID",
            "Signature keyid=,signature=AQID",
            "Signature keyid=k,signature=AQ-_",
            "Signature keyid=k,keyid=l,signature=AQID",
            "Signature keyid=k,signature=AQID,signature=AQID",
            "Signature keyid",
        ] {
            assert_eq!(read(odd), Err(NotASignature), "{odd}");
        }
    }
}
