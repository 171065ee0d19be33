//! Widths of text, read from the font itself (OpenType 1.9, tables `head`, `hhea`, `hmtx` and `cmap`).

/// DejaVu Sans, among the widest of the fonts that readers have.
const FONT: &[u8] = include_bytes!("../../data/font/DejaVuSans-subset.ttf");

fn number(at: usize) -> usize {
    usize::from(u16::from_be_bytes([FONT[at], FONT[at + 1]]))
}

fn long(at: usize) -> usize {
    (number(at) << 16) | number(at + 2)
}

/// Where a table begins.
fn table(name: &[u8; 4]) -> usize {
    let entries = (0..number(4)).map(|entry| 12 + 16 * entry);
    let entry = entries.clone().find(|entry| FONT[*entry..entry + 4] == *name);
    long(entry.expect("the table") + 8)
}

/// The glyph of a character, by the table's format 4: segments with their ends, starts, deltas and offsets.
fn glyph(c: char) -> Option<usize> {
    let cmap = table(b"cmap");
    let mut subtables = (0..number(cmap + 2)).map(|entry| cmap + long(cmap + 4 + 8 * entry + 4));
    let at = subtables.find(|at| number(*at) == 4).expect("a table of format 4");
    let segments = number(at + 6) / 2;
    let code = c as usize;
    let segment = (0..segments).find(|segment| number(at + 14 + 2 * segment) >= code)?;
    let start = number(at + 16 + 2 * (segments + segment));
    let delta = number(at + 16 + 2 * (2 * segments + segment));
    let offset_at = at + 16 + 2 * (3 * segments + segment);
    if start > code {
        return None;
    }
    let glyph = match number(offset_at) {
        0 => (code + delta) % 65536,
        offset => (number(offset_at + offset + 2 * (code - start)) + delta) % 65536,
    };
    (glyph > 0).then_some(glyph)
}

/// The width of a text of this size.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let units = number(table(b"head") + 18);
    let metrics = number(table(b"hhea") + 34);
    let of = |c: char| {
        let glyph = glyph(c).unwrap_or_else(|| panic!("the font has no `{c}`"));
        number(table(b"hmtx") + 4 * glyph.min(metrics - 1)) as f64
    };
    text.chars().map(of).sum::<f64>() * size / units as f64
}

#[test]
fn widths_are_those_that_are_known() {
    // fontTools: TTFont(...)["hmtx"] of "A", "i", space and the multiplication sign: 1401, 569, 651, 1716 of 2048.
    for (text, units) in [
        ("A", 1401.0),
        ("i", 569.0),
        (" ", 651.0),
        ("\u{d7}", 1716.0),
        ("Ai", 1970.0),
    ] {
        assert_eq!(width(text, 2048.0), units, "{text}");
    }
}
