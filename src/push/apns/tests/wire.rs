//! What header compression (RFC 7541) was made to remember, read off the bytes of a connection.

/// How one field was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// From the table, name and value.
    Indexed,
    /// And remembered.
    Incremental,
    /// And not remembered.
    Without,
    /// And nobody may remember it.
    Never,
}

/// The forms of every request, each with the number of its name in the table; 0 for a name that was written out.
pub(super) fn requests(bytes: &[u8]) -> Vec<Vec<(Form, usize)>> {
    let mut rest = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the preface");
    let mut blocks = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (payload, next) = tail.split_at(length);
        if head[3] == 1 {
            assert_eq!(head[4] & !5, 0, "no padding and no priority");
            blocks.push(fields(payload));
        }
        rest = next;
    }
    blocks
}

fn fields(mut block: &[u8]) -> Vec<(Form, usize)> {
    let mut fields = Vec::new();
    while let Some(first) = block.first() {
        let (form, bits) = match first {
            0x80.. => (Form::Indexed, 7),
            0x40..0x80 => (Form::Incremental, 6),
            0x20..0x40 => panic!("the table keeps its size"),
            0x10..0x20 => (Form::Never, 4),
            _ => (Form::Without, 4),
        };
        let name = integer(&mut block, bits);
        if form != Form::Indexed {
            if name == 0 {
                skip(&mut block);
            }
            skip(&mut block);
        }
        fields.push((form, name));
    }
    fields
}

/// RFC 7541 section 5.1.
fn integer(block: &mut &[u8], bits: u32) -> usize {
    let (first, rest) = block.split_first().expect("an integer");
    *block = rest;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    let mut shift = 0;
    while value >= most {
        let (next, rest) = block.split_first().expect("the rest of an integer");
        *block = rest;
        value += usize::from(next & 0x7f) << shift;
        shift += 7;
        if next & 0x80 == 0 {
            break;
        }
    }
    value
}

fn skip(block: &mut &[u8]) {
    let length = integer(block, 7);
    *block = &block[length..];
}
