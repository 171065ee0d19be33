//! Python text: lines that are indented and fit.

/// The longest line, in characters.
const WIDTH: usize = 100;
/// One level of indentation.
const INDENT: &str = "    ";

/// Lines of Python.
#[derive(Default)]
pub(super) struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    /// No lines yet, to be written at this depth.
    pub(super) fn at(depth: usize) -> Self {
        Lines {
            text: String::new(),
            depth,
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// One line; an empty one is not indented.
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.push_str(&INDENT.repeat(self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// Text of several lines.
    pub(super) fn lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// Text that is indented already.
    pub(super) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// What `write` writes, one level deeper.
    pub(super) fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }

    /// The lines from here on are one level deeper.
    pub(super) fn indent(&mut self) {
        self.depth += 1;
    }

    /// The lines from here on are one level less deep.
    pub(super) fn outdent(&mut self) {
        self.depth -= 1;
    }

    /// `head(a, b)tail`, cut into several lines where it does not fit.
    pub(super) fn call(&mut self, head: &str, args: &[String], tail: &str) {
        let one = format!("{head}({}){tail}", args.join(", "));
        if self.fits(&one) {
            return self.line(&one);
        }
        self.line(&format!("{head}("));
        self.nested(|lines| {
            let all = args.join(", ");
            match lines.fits(&all) {
                true => lines.line(&all),
                false => args.iter().for_each(|arg| lines.line(&format!("{arg},"))),
            }
        });
        self.line(&format!("){tail}"));
    }

    /// `head`, the items and `tail`, on one line or with as many items on a line as fit.
    pub(super) fn list(&mut self, head: &str, items: Vec<String>, separator: &str, tail: &str) {
        let items = items.join(separator);
        let one = format!("{head}{items}{tail}");
        if self.fits(&one) {
            return self.line(&one);
        }
        self.line(head);
        self.nested(|lines| wrap(&items, lines.room()).iter().for_each(|line| lines.line(line)));
        self.line(tail);
    }

    /// A docstring: these lines, each wrapped.
    pub(super) fn docstring(&mut self, text: &[String]) {
        let room = self.room();
        let lines: Vec<String> = text
            .iter()
            .flat_map(|text| text.split('\n'))
            .flat_map(|line| wrap(&escape(line), room))
            .collect();
        match lines.as_slice() {
            [one] if self.fits(&format!("\"\"\"{one}\"\"\"")) => self.line(&format!("\"\"\"{one}\"\"\"")),
            [first, rest @ ..] => {
                self.line(&format!("\"\"\"{first}"));
                rest.iter().for_each(|line| self.line(line));
                self.line("\"\"\"");
            }
            [] => {}
        }
    }

    /// A comment: these lines, each wrapped.
    pub(super) fn comment(&mut self, text: &str) {
        let room = self.room().saturating_sub(2);
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            for line in wrap(line, room) {
                self.line(&format!("# {line}"));
            }
        }
    }

    fn fits(&self, line: &str) -> bool {
        line.chars().count() <= self.room()
    }

    fn room(&self) -> usize {
        WIDTH.saturating_sub(INDENT.len() * self.depth)
    }
}

/// Cuts a line at spaces so that the pieces fit where that is possible.
fn wrap(line: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut length = 0;
    for word in line.split(' ') {
        let more = word.chars().count();
        if length > 0 && length + 1 + more > room {
            pieces.push(std::mem::take(&mut piece));
            length = 0;
        } else if !piece.is_empty() || length > 0 {
            piece.push(' ');
            length += 1;
        }
        piece.push_str(word);
        length += more;
    }
    pieces.push(piece);
    pieces.iter().map(|piece| piece.trim_end().to_owned()).collect()
}

/// Text for the inside of a docstring, whatever characters are in it.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' | '"' => escaped.extend(['\\', c]),
            '\t' => escaped.push(c),
            c if c.is_control() => escaped.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{Lines, wrap};

    #[test]
    fn lines_are_cut_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-word-too-long and more", 8), ["a-word-too-long", "and more"]);
        assert_eq!(wrap("", 7), [""]);
    }

    #[test]
    fn docstrings_hold_any_text() {
        let mut lines = Lines::default();
        lines.docstring(&["say \"\"\"no\"\"\" \\ \u{0}".to_owned()]);
        assert_eq!(
            lines.into_text(),
            "\"\"\"say \\\"\\\"\\\"no\\\"\\\"\\\" \\\\ \\x00\"\"\"\n"
        );
    }

    #[test]
    fn calls_that_do_not_fit_are_cut() {
        let mut lines = Lines::default();
        let args: Vec<String> = (0..3).map(|arg| format!("{arg}{}", "x".repeat(40))).collect();
        lines.call("f", &args[..2], "");
        lines.call("f", &args, ".g");
        let text = lines.into_text();
        let [a, b, c] = [0, 1, 2].map(|arg| args[arg].clone());
        assert_eq!(text, format!("f({a}, {b})\nf(\n    {a},\n    {b},\n    {c},\n).g\n"));
    }
}
