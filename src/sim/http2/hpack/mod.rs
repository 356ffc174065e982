//! Header compression (RFC 7541): a decoder of everything, and an encoder that compresses nothing.
//!
//! Written here because the crates that do it are either part of an HTTP/2 library and private to it, or have not been looked after
//! for years. The vectors of appendix C hold it.
//!
//! **Invariants**
//! - Whatever is no HPACK is an error, never a guess: both ends' tables would differ from then on.

mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub(in crate::sim) use table::Field;

use table::Table;

/// `SETTINGS_HEADER_TABLE_SIZE` when nobody says otherwise (RFC 9113, section 6.5.2), which is what Apple's has.
pub(super) const TABLE_SIZE: usize = 4096;

/// A header block that is no HPACK: a connection error `COMPRESSION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::sim) enum Undecodable {
    /// It ends in the middle of a field.
    #[error("the header block ends in the middle of a field")]
    CutShort,
    /// A number larger than any index, length or size.
    #[error("an integer in the header block is too large")]
    TooLarge,
    /// There is nothing at that index.
    #[error("an index of the header block points nowhere")]
    Index,
    /// A string that is no Huffman code.
    #[error("a string of the header block is no Huffman code")]
    Huffman,
    /// The table may not become that large, or changes its size after the first field.
    #[error("a change of the table's size that is not allowed")]
    Resize,
}

/// The reading half of a connection's header compression.
pub(super) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { table: Table::new(TABLE_SIZE) }
    }

    /// The fields of one whole header block, in their order.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, Undecodable> {
        let mut block = Block(block);
        let mut fields = Vec::with_capacity(16);
        while let Some(first) = block.peek() {
            match first {
                0x80.. => {
                    let index = block.integer(7)?;
                    fields.push(self.table.field(index).ok_or(Undecodable::Index)?.clone());
                }
                0x40.. => {
                    let field = self.literal(&mut block, 6)?;
                    self.table.insert(field.clone());
                    fields.push(field);
                }
                0x20.. => self.resize(block.integer(5)?, fields.is_empty())?,
                _ => fields.push(self.literal(&mut block, 4)?),
            }
        }
        Ok(fields)
    }

    fn literal(&self, block: &mut Block<'_>, prefix: u32) -> Result<Field, Undecodable> {
        let name = match block.integer(prefix)? {
            0 => block.string()?.as_str().into(),
            index => self.table.field(index).ok_or(Undecodable::Index)?.name.clone(),
        };
        Ok(Field { name, value: block.string()?.as_str().into() })
    }

    fn resize(&mut self, limit: usize, at_start: bool) -> Result<(), Undecodable> {
        if limit > TABLE_SIZE || !at_start {
            return Err(Undecodable::Resize);
        }
        self.table.resize(limit);
        Ok(())
    }
}

/// What is left to read of a header block.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Undecodable> {
        let (first, rest) = self.0.split_first().ok_or(Undecodable::CutShort)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Section 5.1: the lower `prefix` bits of the first byte, and more bytes when they are all ones.
    fn integer(&mut self, prefix: u32) -> Result<usize, Undecodable> {
        let mask = (1_usize << prefix) - 1;
        let mut number = usize::from(self.byte()?) & mask;
        if number < mask {
            return Ok(number);
        }
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.byte()?);
            number += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Undecodable::TooLarge)
    }

    /// Section 5.2.
    fn string(&mut self) -> Result<String, Undecodable> {
        let coded = self.peek().ok_or(Undecodable::CutShort)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Undecodable::CutShort)?;
        self.0 = rest;
        let bytes = if coded { huffman::decode(text).ok_or(Undecodable::Huffman)? } else { text.to_vec() };
        Ok(String::from_utf8(bytes).unwrap_or_else(|not| String::from_utf8_lossy(not.as_bytes()).into_owned()))
    }
}

/// Appends a `:status`, which is in the static table for the commonest.
pub(super) fn encode_status(status: u16, out: &mut Vec<u8>) {
    match status {
        200 => out.push(0x88),
        204 => out.push(0x89),
        400 => out.push(0x8c),
        404 => out.push(0x8d),
        500 => out.push(0x8e),
        other => {
            // A literal without indexing whose name is that of entry 8.
            out.push(0x08);
            string(&other.to_string(), out);
        }
    }
}

/// Appends a field as a literal without indexing (section 6.2.2), its strings as they are.
pub(super) fn encode(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(0);
    string(name, out);
    string(value, out);
}

fn string(text: &str, out: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 0x7f {
        out.push(low(length));
    } else {
        out.push(0x7f);
        length -= 0x7f;
        while length >= 0x80 {
            out.push(low(length) | 0x80);
            length >>= 7;
        }
        out.push(low(length));
    }
    out.extend_from_slice(text.as_bytes());
}

/// The lower seven bits.
fn low(number: usize) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits fit a byte")
}
