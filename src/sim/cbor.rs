//! The little CBOR (RFC 8949) that an authenticator writes.
//!
//! **Invariants**
//! - Heads are as short as possible and lengths definite. Map keys are written in the order given, which the caller keeps
//!   canonical by CTAP2's rule (shorter first, then bytewise).

/// A value to be written.
pub(super) enum Cbor {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    Map(Vec<(Cbor, Cbor)>),
}

impl Cbor {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) if *value >= 0 => head(out, 0, value.unsigned_abs()),
            Self::Int(value) => head(out, 1, value.unsigned_abs() - 1),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend(text.as_bytes());
            }
            Self::Map(entries) => {
                head(out, 5, entries.len() as u64);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// Major type and argument in as few bytes as possible (section 3.1).
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 0x18, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 0x1a);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples from RFC 8949, appendix A.
    #[test]
    fn values_are_written_as_in_the_appendix() {
        let cases: [(Cbor, &[u8]); 12] = [
            (Cbor::Int(0), &[0x00]),
            (Cbor::Int(23), &[0x17]),
            (Cbor::Int(24), &[0x18, 0x18]),
            (Cbor::Int(1000), &[0x19, 0x03, 0xe8]),
            (Cbor::Int(1_000_000), &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (Cbor::Int(1_000_000_000_000), &[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]),
            (Cbor::Int(-1), &[0x20]),
            (Cbor::Int(-1000), &[0x39, 0x03, 0xe7]),
            (Cbor::Bytes(vec![1, 2, 3, 4]), &[0x44, 1, 2, 3, 4]),
            (Cbor::text("IETF"), &[0x64, 0x49, 0x45, 0x54, 0x46]),
            (Cbor::Map(Vec::new()), &[0xa0]),
            (Cbor::Map(vec![(Cbor::Int(1), Cbor::Int(2)), (Cbor::Int(3), Cbor::Int(4))]), &[0xa2, 1, 2, 3, 4]),
        ];
        for (value, expected) in cases {
            assert_eq!(value.encode(), expected);
        }
    }
}
