//! Links as QR codes, for apps that have no way of their own to make one.

use qrcode::{Color, EcLevel, QrCode};

/// The modules of the code, row by row, `1` where one is dark; without the quiet zone of four modules that belongs around it. None when
/// the text is too long for a code.
pub(super) fn rows(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let modules = code.to_colors();
    let row = |row: &[Color]| row.iter().map(|module| if *module == Color::Dark { '1' } else { '0' }).collect();
    Some(modules.chunks(code.width()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_a_square_with_its_three_finders() {
        let rows = rows("https://phoneops.example/enroll#7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE").unwrap();
        let size = rows.len();
        assert!(
            size >= 21 && size % 4 == 1 && rows.iter().all(|row| row.len() == size && row.bytes().all(|b| b"01".contains(&b)))
        );
        let finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"];
        for (at, line) in finder.iter().enumerate() {
            assert!(rows[at].starts_with(line) && rows[at].ends_with(line) && rows[size - 7 + at].starts_with(line));
        }
    }

    #[test]
    fn what_is_too_long_has_none() {
        assert_eq!(rows(&"x".repeat(3000)), None);
    }
}
