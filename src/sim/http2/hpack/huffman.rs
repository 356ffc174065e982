//! The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, so the lengths say everything.

/// How many bits each byte takes, and at the end EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const LONGEST: usize = 30;
const EOS: usize = 256;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first of them, in the upper bits of a 32-bit window.
    first: u64,
    /// What follows the last of them, likewise: a window below it holds a code of this length, unless of a shorter one.
    end: u64,
    /// Where their symbols begin in `Code::symbols`.
    at: usize,
}

struct Code {
    rows: [Row; LONGEST + 1],
    symbols: [usize; 257],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code { rows: [Row { first: 0, end: 0, at: 0 }; LONGEST + 1], symbols: [0; 257] };
    let (mut next, mut placed, mut length) = (0_u64, 0_usize, 1_usize);
    while length <= LONGEST {
        next <<= 1;
        let shift = 32 - length;
        code.rows[length].first = next << shift;
        code.rows[length].at = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[placed] = symbol;
                placed += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.rows[length].end = next << shift;
        length += 1;
    }
    code
}

/// The text behind a Huffman-coded string; `None` when it holds EOS or is padded with anything but up to seven one bits.
pub(super) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    let mut rest = coded.iter();
    // The bits not yet read stand in the upper end of the window.
    let (mut window, mut filled) = (0_u64, 0_usize);
    loop {
        while filled <= 24
            && let Some(byte) = rest.next()
        {
            window |= u64::from(*byte) << (24 - filled);
            filled += 8;
        }
        if filled < 8 && is_padding(window, filled) {
            return Some(text);
        }
        let (symbol, length) = symbol(window)?;
        if length > filled || symbol == EOS {
            return None;
        }
        text.push(u8::try_from(symbol).ok()?);
        window = (window << length) & 0xffff_ffff;
        filled -= length;
    }
}

fn is_padding(window: u64, filled: usize) -> bool {
    let ones = (1_u64 << filled) - 1;
    window >> (32 - filled) == ones
}

/// The symbol at the upper end of the window, and how many bits it takes.
fn symbol(window: u64) -> Option<(usize, usize)> {
    let (length, row) = CODE.rows.iter().enumerate().skip(5).find(|(_, row)| window < row.end)?;
    let nth = usize::try_from((window - row.first) >> (32 - length)).ok()?;
    Some((CODE.symbols[row.at + nth], length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 7541 appendix B lists them.
    #[test]
    fn the_code_is_that_of_the_appendix() {
        let listed = [(b'0', 0x0, 5), (b'a', 0x3, 5), (b' ', 0x14, 6), (b':', 0x5c, 7), (b'X', 0xfc, 8), (b'\\', 0x7fff0, 19)];
        for (byte, code, length) in listed {
            assert_eq!(symbol(code << (32 - length)), Some((usize::from(byte), length)), "{byte}");
        }
        assert_eq!(symbol(0x3fff_ffff << 2), Some((EOS, 30)));
        assert_eq!(symbol(0xfff_ffe2 << 4), Some((2, 28)));
    }

    #[test]
    fn padding_is_ones_and_less_than_a_byte() {
        assert_eq!(decode(&[]).unwrap(), b"");
        assert_eq!(decode(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decode(&[0b0000_0110]), None, "padded with a zero");
        assert_eq!(decode(&[0b0000_0111, 0xff]), None, "padded with eleven bits");
        assert_eq!(decode(&[0xff]), None, "padded with a byte");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "EOS");
    }
}
