//! The vectors of RFC 7541, appendix C.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decoded(decoder: &mut Decoder, hex: &str) -> Vec<String> {
    let fields = decoder.decode(&bytes(hex)).unwrap();
    fields.iter().map(|field| format!("{}: {}", field.name, field.value)).collect()
}

const FIRST: [&str; 4] = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];

/// C.1
#[test]
fn integers() {
    assert_eq!(Block(&[0x0a]).integer(5), Ok(10));
    assert_eq!(Block(&[0x1f, 0x9a, 0x0a]).integer(5), Ok(1337));
    assert_eq!(Block(&[0x2a]).integer(8), Ok(42));
    assert_eq!(Block(&[0x1f, 0x9a]).integer(5), Err(Undecodable::CutShort));
    assert_eq!(Block(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).integer(7), Err(Undecodable::TooLarge));
}

/// C.2
#[test]
fn literals() {
    let mut decoder = Decoder::new();
    let indexed = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    assert_eq!(decoded(&mut decoder, indexed), ["custom-key: custom-header"]);
    assert_eq!(decoder.table.size(), 55);
    assert_eq!(decoded(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468"), [":path: /sample/path"]);
    assert_eq!(decoded(&mut decoder, "1008 7061 7373 776f 7264 0673 6563 7265 74"), ["password: secret"]);
    assert_eq!(decoded(&mut decoder, "82"), [":method: GET"]);
    assert_eq!(decoder.table.size(), 55, "the others were not kept");
}

/// C.3 and C.4: the same requests, plain and with Huffman codes.
#[test]
fn requests() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for requests in [plain, coded] {
        let mut decoder = Decoder::new();
        assert_eq!(decoded(&mut decoder, requests[0]), FIRST);
        assert_eq!(decoder.table.size(), 57);
        assert_eq!(decoded(&mut decoder, requests[1]), [&FIRST[..], &["cache-control: no-cache"]].concat());
        assert_eq!(decoder.table.size(), 110);
        let third = [":method: GET", ":scheme: https", ":path: /index.html", FIRST[3], "custom-key: custom-value"];
        assert_eq!(decoded(&mut decoder, requests[2]), third);
        assert_eq!(decoder.table.size(), 164);
    }
}

/// C.6: responses with Huffman codes, in a table of 256 bytes, so that fields leave it.
#[test]
fn responses_that_evict() {
    let mut decoder = Decoder { table: Table::new(256) };
    let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b \
                 97c8 e9ae 82ae 43d3";
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let rest = ["cache-control: private", date, "location: https://www.example.com"];
    assert_eq!(decoded(&mut decoder, first), [&[":status: 302"], &rest[..]].concat());
    assert_eq!(decoder.table.size(), 222);
    assert_eq!(decoded(&mut decoder, "4883 640e ffc1 c0bf"), [&[":status: 307"], &rest[..]].concat());
    assert_eq!(decoder.table.size(), 222, "the oldest field left");
    let third = "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf \
                 cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
    let expected = [
        ":status: 200",
        rest[0],
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        rest[2],
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    assert_eq!(decoded(&mut decoder, third), expected);
    assert_eq!(decoder.table.size(), 215);
}

#[test]
fn what_is_no_hpack_is_refused() {
    let refused = |hex: &str| Decoder::new().decode(&bytes(hex)).unwrap_err();
    assert_eq!(refused("80"), Undecodable::Index, "index 0");
    assert_eq!(refused("be"), Undecodable::Index, "nothing in the dynamic table yet");
    assert_eq!(refused("400a 6375"), Undecodable::CutShort);
    assert_eq!(refused("40"), Undecodable::CutShort);
    assert_eq!(refused("0081 ff00"), Undecodable::Huffman);
    assert_eq!(refused("3fe2 1f"), Undecodable::Resize, "4097 bytes");
    assert_eq!(refused("8220"), Undecodable::Resize, "after a field");
}

#[test]
fn what_is_encoded_is_decoded() {
    let long = "x".repeat(300);
    let mut block = Vec::new();
    for status in [200, 204, 400, 403, 404, 500, 503] {
        encode_status(status, &mut block);
    }
    encode("apns-id", &long, &mut block);
    let fields = Decoder::new().decode(&block).unwrap();
    let values: Vec<_> = fields.iter().map(|field| &*field.value).collect();
    assert_eq!(values, ["200", "204", "400", "403", "404", "500", "503", &long]);
    assert_eq!(&*fields[7].name, "apns-id");
}
