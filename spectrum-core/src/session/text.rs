//! Text from outside, cut to what may be passed on.

/// The text, cut at a character so that it has at most `max` bytes.
pub(crate) fn shorten(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The text in pieces of at most `max` bytes, cut after a line or a word where there is one in the last quarter.
pub(crate) fn pieces(text: &str, max: usize) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(1);
    let mut rest = text;
    while rest.len() > max {
        let piece = shorten(rest, max);
        let late = |at: &usize| *at >= piece.len() - piece.len() / 4;
        let end = piece
            .rfind('\n')
            .filter(late)
            .or_else(|| piece.rfind(' ').filter(late))
            .map_or(piece.len(), |at| at + 1);
        if end == 0 {
            break;
        }
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(shorten("aüb", 2), "a");
        assert_eq!(shorten("aüb", 3), "aü");
        assert_eq!(shorten("aüb", 9), "aüb");
    }

    proptest! {
        #[test]
        fn pieces_are_small_and_add_up(text in "\\PC{0,64}", max in 8_usize..32) {
            let pieces = pieces(&text, max);
            prop_assert_eq!(pieces.concat(), text.as_str());
            prop_assert!(pieces.iter().all(|p| p.len() <= max));
        }
    }
}
