//! How wide text is, whatever font shows it.

/// Widths of the characters from space to tilde in DejaVu Sans, in thousandths of the font's size. Of the fonts that
/// readers have it is among the widest; Helvetica, Arial, Segoe and Roboto are narrower.
const WIDTHS: [u16; 95] = [
    318, 401, 460, 838, 637, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, 637, 637, 637, 637, 637, 637, 637,
    637, 637, 637, 337, 337, 838, 838, 838, 531, 1000, 685, 687, 699, 771, 632, 576, 775, 752, 295, 295, 656, 558, 863,
    749, 788, 604, 788, 695, 635, 611, 732, 685, 989, 686, 611, 686, 391, 337, 391, 838, 500, 500, 613, 635, 550, 635,
    616, 353, 635, 634, 278, 278, 580, 278, 975, 634, 612, 635, 635, 412, 521, 393, 634, 592, 818, 592, 592, 525, 637,
    337, 637, 838,
];

/// The width of a character that is not in the table; no character of a common font is wider.
const OTHER: u16 = 1100;

/// What is added, in hundredths: Verdana's letters are up to as much wider.
const SPARE: f64 = 1.03;

/// The width of a text in pixels, or a little more.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let of = |c: char| {
        let position = (c as usize).checked_sub(' ' as usize);
        let width = position.and_then(|position| WIDTHS.get(position));
        f64::from(width.copied().unwrap_or(OTHER))
    };
    SPARE * size * text.chars().map(of).sum::<f64>() / 1000.0
}

/// A name truncated to `most` characters.
pub(super) fn shortened(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        None => name.to_owned(),
        Some(_) => name.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Words in lines of at most `most` pixels; a word that is longer has a line of its own.
pub(super) fn wrapped(words: &[String], size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + width(", ", size) <= most => {
                line.push_str(", ");
                line.push_str(word);
            }
            Some(line) => {
                line.push(',');
                lines.push(word.clone());
            }
            None => lines.push(word.clone()),
        }
    }
    lines
}
