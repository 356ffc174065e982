//! Frames of HTTP/2 (RFC 9113, section 4.1), and why a connection or stream ends (section 7).

use super::hpack::Undecodable;

/// What a client says first (section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest payload that is taken, and sent: what everybody starts with.
pub(super) const MAX_FRAME: usize = 16_384;
pub(super) const HEAD: usize = 9;

/// Section 6.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// Section 6.5.2.
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The error codes of section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum ErrorCode {
    /// Nobody's fault.
    NoError,
    /// The other side broke the protocol.
    ProtocolError,
    /// More data than there was room for.
    FlowControlError,
    /// A frame for a stream that is closed.
    StreamClosed,
    /// A frame of the wrong size.
    FrameSizeError,
    /// Not processed at all: safe to send again.
    RefusedStream,
    /// A header block that cannot be decoded.
    CompressionError,
    /// Too much of something.
    EnhanceYourCalm,
}

impl ErrorCode {
    /// As frames carry it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::NoError => 0x0,
            Self::ProtocolError => 0x1,
            Self::FlowControlError => 0x3,
            Self::StreamClosed => 0x5,
            Self::FrameSizeError => 0x6,
            Self::RefusedStream => 0x7,
            Self::CompressionError => 0x9,
            Self::EnhanceYourCalm => 0xb,
        }
    }
}

/// A fault of the client that ends the connection (section 5.4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(in crate::sim) struct Violation {
    pub(in crate::sim) code: ErrorCode,
    pub(in crate::sim) why: String,
}

pub(super) fn violation(code: ErrorCode, why: impl Into<String>) -> Violation {
    Violation { code, why: why.into() }
}

impl From<Undecodable> for Violation {
    fn from(cause: Undecodable) -> Self {
        violation(ErrorCode::CompressionError, cause.to_string())
    }
}

/// What every frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame.
///
/// # Panics
/// When the payload is longer than [`MAX_FRAME`].
pub(super) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    assert!(payload.len() <= MAX_FRAME, "whoever writes a frame cuts its payload");
    let length = u32::try_from(payload.len()).expect("at most 16 KiB").to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Takes the padding of DATA and HEADERS away (section 6.1).
pub(super) fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Violation> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let padded = payload.split_first().and_then(|(padding, rest)| {
        let end = rest.len().checked_sub(usize::from(*padding))?;
        Some(&rest[..end])
    });
    padded.ok_or_else(|| violation(ErrorCode::ProtocolError, "more padding than payload"))
}

/// The four bytes at the start of a payload, as a number.
pub(super) fn number(payload: &[u8]) -> Result<u32, Violation> {
    let first = payload.first_chunk::<4>();
    first
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or_else(|| violation(ErrorCode::FrameSizeError, "a payload that is too short"))
}
