//! Positions as editors count them, in lines and UTF-16 code units, and bytes.

use lsp_types::{Position, Range};

/// The lines of a text.
#[derive(Debug)]
pub(super) struct Lines {
    /// The bytes at which they begin.
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            // Alone it ends a line, too.
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1));
        Lines {
            starts: starts.collect(),
        }
    }

    /// The position of a byte of the text; inside a character, that of its beginning.
    pub(super) fn position(&self, text: &str, offset: usize) -> Position {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset) - 1;
        let units = text[self.starts[line]..offset].encode_utf16().count();
        Position::new(number(line), number(units))
    }

    /// The byte of a position; behind the end of a line or of the text, that end.
    pub(super) fn offset(&self, text: &str, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else {
            return text.len();
        };
        let end = self.starts.get(line + 1).copied().unwrap_or(text.len());
        let content = text[start..end].trim_end_matches(['\n', '\r']);
        let mut units = 0;
        for (at, letter) in content.char_indices() {
            units += letter.len_utf16();
            if units > position.character as usize {
                return start + at;
            }
        }
        start + content.len()
    }

    /// The range of some bytes.
    pub(super) fn range(&self, text: &str, bytes: std::ops::Range<usize>) -> Range {
        Range::new(self.position(text, bytes.start), self.position(text, bytes.end))
    }

    /// The bytes of a range, in order.
    pub(super) fn bytes(&self, text: &str, range: Range) -> std::ops::Range<usize> {
        let (start, end) = (self.offset(text, range.start), self.offset(text, range.end));
        start..end.max(start)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use lsp_types::Position;

    /// `ö` has two bytes and one unit, `𝄞` four bytes and two units (Unicode 15, tables of UTF-8 and UTF-16).
    #[test]
    fn columns_are_utf_16_units() {
        let text = "aö𝄞b\nc";
        let lines = Lines::new(text);
        let expected = [(0, 0), (1, 1), (3, 2), (7, 4), (8, 5)];
        for (offset, column) in expected {
            let position = Position::new(0, column);
            assert_eq!(lines.position(text, offset), position);
            assert_eq!(lines.offset(text, position), offset);
        }
        assert_eq!(lines.position(text, 9), Position::new(1, 0));
        // Inside a character, and inside a pair of units.
        assert_eq!(lines.position(text, 5), Position::new(0, 2));
        assert_eq!(lines.offset(text, Position::new(0, 3)), 3);
    }

    /// The protocol's ends of lines: `\n`, `\r\n` and `\r`.
    #[test]
    fn every_end_of_a_line_counts() {
        let text = "a\r\nb\rc\n\n";
        let lines = Lines::new(text);
        let starts = [0, 3, 5, 7, 8];
        for (line, start) in (0..).zip(starts) {
            assert_eq!(lines.position(text, start), Position::new(line, 0));
            assert_eq!(lines.offset(text, Position::new(line, 0)), start);
        }
        assert_eq!(lines.offset(text, Position::new(0, 99)), 1);
        assert_eq!(lines.offset(text, Position::new(99, 0)), text.len());
    }
}
