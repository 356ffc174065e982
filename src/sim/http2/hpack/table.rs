//! What an index of HPACK stands for (RFC 7541, section 2.3 and appendix A).
//!
//! **Invariants**
//! - The dynamic table is never larger than its limit; the oldest fields leave first.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

/// A header field: its name in lower case and its value. A value that is no UTF-8 has replacement characters in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Field {
    pub(in crate::sim) name: Arc<str>,
    pub(in crate::sim) value: Arc<str>,
}

impl Field {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// As section 4.1 counts it.
    fn size(&self) -> usize {
        self.name.len() + self.value.len() + 32
    }
}

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"),
    (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""), ("accept-encoding", "gzip, deflate"), ("accept-language", ""),
    ("accept-ranges", ""), ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""),
    ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

/// Made once, because a request has a dozen fields.
static STATIC_FIELDS: LazyLock<Vec<Field>> =
    LazyLock::new(|| STATIC.iter().map(|(name, value)| Field::new(name, value)).collect());

/// The static and the dynamic table as one.
pub(super) struct Table {
    dynamic: VecDeque<Field>,
    size: usize,
    limit: usize,
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self { dynamic: VecDeque::new(), size: 0, limit }
    }

    /// The field at an index, from 1.
    pub(super) fn field(&self, index: usize) -> Option<&Field> {
        let index = index.checked_sub(1)?;
        match index.checked_sub(STATIC.len()) {
            None => STATIC_FIELDS.get(index),
            Some(index) => self.dynamic.get(index),
        }
    }

    /// A field larger than the whole table empties it (section 4.4).
    pub(super) fn insert(&mut self, field: Field) {
        let size = field.size();
        self.evict(self.limit.saturating_sub(size));
        if size <= self.limit {
            self.size += size;
            self.dynamic.push_front(field);
        }
    }

    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    fn evict(&mut self, room: usize) {
        while self.size > room
            && let Some(oldest) = self.dynamic.pop_back()
        {
            self.size -= oldest.size();
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
