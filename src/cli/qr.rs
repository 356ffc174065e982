//! QR codes, for phones to read off a terminal or a page.

use qrcode::render::{svg, unicode::Dense1x2};
use qrcode::{EcLevel, QrCode};

use super::Failure;

/// Black on white whatever the terminal's own colours are: not every reader takes an inverted code.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

fn code(text: &str) -> Result<QrCode, Failure> {
    let coded = QrCode::with_error_correction_level(text, EcLevel::M);
    coded.map_err(|error| Failure::Other(format!("no QR code can be made: {error}")))
}

/// In half blocks: two modules in a character. With `colours` black on white, else as text on a dark ground.
pub(super) fn terminal(text: &str, colours: bool) -> Result<String, Failure> {
    let code = code(text)?;
    let mut renderer = code.render::<Dense1x2>();
    if !colours {
        return Ok(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
    }
    let lines: Vec<_> = renderer.build().lines().map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}")).collect();
    Ok(lines.join("\n"))
}

/// As an SVG document.
pub(super) fn svg(text: &str) -> Result<String, Failure> {
    Ok(code(text)?.render::<svg::Color<'_>>().min_dimensions(300, 300).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://phoneops.example/enroll#7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE";

    /// Every module of the code, read back off what was printed.
    fn modules(printed: &str, dark_is_drawn: bool) -> Vec<bool> {
        let rows = printed.lines().flat_map(|line| {
            let upper: Vec<_> = line.chars().map(|c| matches!(c, '\u{2580}' | '\u{2588}') == dark_is_drawn).collect();
            let lower = line.chars().map(|c| matches!(c, '\u{2584}' | '\u{2588}') == dark_is_drawn).collect();
            [upper, lower]
        });
        let quiet = 4;
        let rows: Vec<Vec<bool>> = rows.collect();
        let size = rows[0].len() - 2 * quiet;
        rows[quiet..quiet + size].iter().flat_map(|row| row[quiet..quiet + size].to_vec()).collect()
    }

    #[test]
    fn what_is_printed_is_the_code_in_both_colourings() {
        let expected: Vec<_> = code(LINK).unwrap().to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect();
        assert_eq!(modules(&terminal(LINK, false).unwrap(), false), expected);
        let coloured = terminal(LINK, true).unwrap();
        assert!(coloured.lines().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(RESET)));
        assert_eq!(modules(&coloured.replace(BLACK_ON_WHITE, "").replace(RESET, ""), true), expected);
        assert!(coloured.lines().next().unwrap().chars().count() < 80, "fits a terminal");
    }

    #[test]
    fn the_svg_is_a_document() {
        let document = svg(LINK).unwrap();
        assert!(document.starts_with("<?xml") && document.contains("<svg ") && document.ends_with("</svg>"));
    }
}
