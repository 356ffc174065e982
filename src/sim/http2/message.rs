//! Requests and responses, whatever carried them (RFC 9113, section 8).

use std::sync::Arc;

use super::hpack::Field;

/// A request that has arrived whole.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Request {
    /// 0 over HTTP/1.1.
    pub(in crate::sim) stream: u32,
    pub(in crate::sim) method: Arc<str>,
    /// With its query.
    pub(in crate::sim) path: Arc<str>,
    /// In their order, without those that begin with a colon.
    pub(in crate::sim) fields: Vec<Field>,
    /// What is longer than the server takes is cut off.
    pub(in crate::sim) body: Vec<u8>,
}

impl Request {
    /// The values of a header, in their order.
    pub(in crate::sim) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        self.fields.iter().filter(move |field| &*field.name == name).map(|field| &field.value)
    }

    /// The first value of a header.
    pub(in crate::sim) fn header(&self, name: &str) -> Option<&Arc<str>> {
        self.fields.iter().find(|field| &*field.name == name).map(|field| &field.value)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Response {
    pub(in crate::sim) status: u16,
    pub(in crate::sim) headers: Vec<(&'static str, String)>,
    pub(in crate::sim) body: Vec<u8>,
}

/// Header fields that mean something on HTTP/1.1 only (section 8.2.2).
const OF_THE_CONNECTION: [&str; 5] = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// The request that a header block makes, still without its body; `None` when it is malformed (sections 8.1.1 and 8.3.1).
pub(super) fn request(stream: u32, block: Vec<Field>) -> Option<Request> {
    let (mut method, mut path, mut scheme, mut authority) = (None, None, None, None);
    let mut fields = Vec::with_capacity(block.len());
    for field in block {
        let pseudo = match &*field.name {
            ":method" => &mut method,
            ":path" => &mut path,
            ":scheme" => &mut scheme,
            ":authority" => &mut authority,
            name if is_plain(name, &field.value) => {
                fields.push(field);
                continue;
            }
            _ => return None,
        };
        // They come first, and each once.
        if !fields.is_empty() || pseudo.replace(field.value).is_some() {
            return None;
        }
    }
    scheme?;
    let path = path.filter(|path| !path.is_empty())?;
    Some(Request { stream, method: method?, path, fields, body: Vec::new() })
}

/// Whether a trailer section is one: plain fields only.
pub(super) fn is_trailer(block: &[Field]) -> bool {
    block.iter().all(|field| is_plain(&field.name, &field.value))
}

fn is_plain(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':';
    !name.is_empty()
        && name.bytes().all(token)
        && !OF_THE_CONNECTION.contains(&name)
        && (name != "te" || value == "trailers")
        && !value.contains(['\0', '\r', '\n'])
}

/// Whether `content-length`, where it is given, says how long the body is (section 8.1.1).
pub(super) fn has_its_length(request: &Request) -> bool {
    request.all("content-length").all(|length| length.parse() == Ok(request.body.len()))
}
