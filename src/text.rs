//! Text that strangers wrote and people will read.
//!
//! **Invariants**
//! - What [`visible`] returns holds no control character and no character that reorders or hides its neighbours, and two different
//!   inputs never become the same output.

/// Whether `c` can make text look like something it is not: controls, line and paragraph separators, bidi controls
/// (Unicode Annex 9), zero-width and other invisible characters.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every deceptive character written out as `\u{…}` and every backslash doubled.
#[must_use]
pub fn visible(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if is_deceptive(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// `text` for one line of prose: visible, white space folded, at most `max` characters with an ellipsis for the rest.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String =
        folded.chars().flat_map(|c| if is_deceptive(c) { visible(&c.to_string()).chars().collect() } else { vec![c] }).collect();
    if shown.chars().count() <= max {
        return shown;
    }
    shown.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_right_to_left_override_is_shown_and_not_obeyed() {
        assert_eq!(visible("prod\u{202e}gnigats"), "prod\\u{202e}gnigats");
        assert_eq!(line("  All your\n apps \u{7}are down ", 80), "All your apps \\u{7}are down");
        assert_eq!(line("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_remains_and_different_stays_different(a in any::<String>(), b in any::<String>()) {
            prop_assert!(!visible(&a).chars().any(is_deceptive));
            prop_assert_eq!(visible(&a) == visible(&b), a == b);
            prop_assert!(line(&a, 10).chars().count() <= 10);
        }
    }
}
