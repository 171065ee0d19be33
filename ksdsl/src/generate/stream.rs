//! Text that comes token by token: whole characters, up to a stop string.

/// What of a text is known not to change: the bytes of a token need not be whole characters, and the end of what there is
/// may be the beginning of the stop string.
#[derive(Debug, Default)]
pub struct Stream {
    stop: Option<String>,
    held: Vec<u8>,
    stopped: bool,
}

impl Stream {
    /// A text up to this string, which is not part of it; an empty one stops nothing.
    pub fn new(stop: Option<String>) -> Self {
        Self {
            stop: stop.filter(|stop| !stop.is_empty()),
            ..Self::default()
        }
    }

    /// Whether the stop string has come.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Adds bytes; the text that is certain now. Bytes that are not UTF-8 become U+FFFD.
    pub fn add(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        let stop = self.stop.as_ref().map_or(&[][..], |stop| stop.as_bytes());
        if let Some(at) = find(&self.held, stop) {
            self.stopped = true;
            self.held.truncate(at);
            return self.end();
        }
        let certain = self.held.len() - beginning(&self.held, stop);
        let certain = whole_characters(&self.held[..certain]);
        let rest = self.held.split_off(certain);
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held = rest;
        text
    }

    /// What is left at the end.
    pub fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Where `what` begins in `text`, if it is there and not empty.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return None;
    }
    text.windows(what.len()).position(|window| window == what)
}

/// The most bytes at the end of a text that `what` begins with.
fn beginning(text: &[u8], what: &[u8]) -> usize {
    let most = what.len().saturating_sub(1).min(text.len());
    let is_one = |len: &usize| text.ends_with(&what[..*len]);
    (1..=most).rev().find(is_one).unwrap_or(0)
}

/// The length without the bytes of a character at the end that may go on.
fn whole_characters(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match std::str::from_utf8(&text[at..]) {
            Ok(_) => return text.len(),
            Err(error) => match error.error_len() {
                Some(len) => at += error.valid_up_to() + len,
                None => return at + error.valid_up_to(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    /// Whatever the pieces, the text is the same, and nothing of it is taken back.
    fn text(bytes: &[u8], pieces: usize, stop: Option<&str>) -> (String, bool) {
        let mut stream = Stream::new(stop.map(str::to_owned));
        let mut text: String = bytes.chunks(pieces).map(|piece| stream.add(piece)).collect();
        text += &stream.end();
        (text, stream.is_stopped())
    }

    #[test]
    fn a_text_does_not_depend_on_its_pieces() {
        let bytes = "abc abd é\u{1f600} abx; ab".as_bytes();
        for pieces in 1..=bytes.len() {
            assert_eq!(
                text(bytes, pieces, None),
                ("abc abd é\u{1f600} abx; ab".to_owned(), false)
            );
            assert_eq!(
                text(bytes, pieces, Some("abx")),
                ("abc abd é\u{1f600} ".to_owned(), true)
            );
            assert_eq!(text(bytes, pieces, Some("\u{1f600}")), ("abc abd é".to_owned(), true));
            assert_eq!(
                text(bytes, pieces, Some("aby")),
                ("abc abd é\u{1f600} abx; ab".to_owned(), false)
            );
            assert_eq!(text(bytes, pieces, Some("")).0, "abc abd é\u{1f600} abx; ab");
            // Bytes that are no characters, and a character that does not end.
            assert_eq!(text(b"a\xffb\xf0\x9f", pieces, None).0, "a\u{fffd}b\u{fffd}");
        }
        assert_eq!(text(b"aaab", 1, Some("aab")), ("a".to_owned(), true));
    }

    #[test]
    fn characters_come_when_they_are_whole() {
        let mut stream = Stream::new(Some("\n\n".to_owned()));
        assert_eq!(stream.add(b"a\xc3"), "a");
        assert_eq!(stream.add(b"\xa9"), "é");
        assert_eq!(stream.add(b"\n"), "");
        assert_eq!(stream.add(b"b"), "\nb");
        assert_eq!(stream.add(b"\n\nc"), "");
        assert!(stream.is_stopped() && stream.add(b"d").is_empty() && stream.end().is_empty());
    }
}
