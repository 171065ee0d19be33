//! A text as words and signs, with the comments and line breaks between them.

use crate::parse::marks::{Mark, Marks};

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    /// Its text, without blanks at its end.
    pub(super) text: String,
    /// Whether nothing but blanks precedes it in its line.
    pub(super) own_line: bool,
    /// Whether a blank line precedes it.
    pub(super) blank: bool,
}

impl Comment {
    /// Whether nothing can follow it in its line.
    pub(super) fn ends_line(&self) -> bool {
        self.text.starts_with("//")
    }

    /// Whether it can stand between two words of a line.
    pub(super) fn is_inline(&self) -> bool {
        !self.ends_line() && !self.text.contains('\n')
    }
}

/// A word, a number or a sign.
#[derive(Clone, Debug, Default)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) mark: Mark,
    /// The comments before it, but for those that belong to the token before.
    pub(super) before: Vec<Comment>,
    /// The comments behind it in its line, if the line ends with them.
    pub(super) after: Vec<Comment>,
    /// Whether a line break precedes it, or a comment before it.
    pub(super) newline: bool,
    /// Whether a blank line precedes it, after all comments.
    pub(super) blank: bool,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// The tokens of a text, and an empty one at its end.
pub(super) fn tokens(text: &str, marks: &Marks) -> Vec<Token> {
    let mut lexer = Lexer { text, marks, at: 0 };
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let (comments, trailing, newline, blank) = lexer.gap(!tokens.is_empty());
        let mut before = comments;
        if let Some(last) = tokens.last_mut() {
            last.after = before.drain(..trailing).collect();
        }
        let mark = marks.get(&lexer.at).copied().unwrap_or_default();
        let token = lexer.lexeme(mark);
        let ends = token.is_empty();
        tokens.push(Token {
            text: token.to_owned(),
            mark,
            before,
            after: Vec::new(),
            newline,
            blank,
        });
        if ends {
            return tokens;
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    marks: &'t Marks,
    at: usize,
}

impl<'t> Lexer<'t> {
    /// The comments up to the next token; how many of them end the line of the token before, if there is one; and
    /// whether line breaks and blank lines precede the next.
    fn gap(&mut self, after_token: bool) -> (Vec<Comment>, usize, bool, bool) {
        let (mut comments, mut trailing, mut breaks, mut newline) = (Vec::new(), 0, 0, false);
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next().filter(|first| first.is_ascii_whitespace()) else {
                let length = comment_length(rest);
                if length == 0 {
                    let open_line = !newline && !rest.is_empty();
                    let trailing = if open_line || !after_token { 0 } else { trailing };
                    return (comments, trailing, newline, breaks > 1);
                }
                comments.push(Comment {
                    text: rest[..length].trim_end().to_owned(),
                    own_line: newline || !after_token && comments.is_empty(),
                    blank: breaks > 1,
                });
                trailing += usize::from(!newline);
                self.at += length;
                breaks = 0;
                continue;
            };
            self.at += 1;
            if first == '\n' {
                breaks += 1;
                newline = true;
            }
        }
    }

    /// The next word, number or sign; empty at the end.
    fn lexeme(&mut self, mark: Mark) -> &'t str {
        let rest = &self.text[self.at..];
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = match rest.chars().next() {
            None => 0,
            Some(_) if mark.end > self.at => mark.end - self.at,
            Some(_) if rest.starts_with("..") => 2,
            Some('a'..='z' | 'A'..='Z' | '0'..='9' | '_') => {
                let word = rest.bytes().take_while(is_word).count();
                // The `x` of `3x32x32`, which is a word with the number behind it.
                let marked = self.marks.range(self.at + 1..self.at + word);
                let next = marked.filter(|(_, mark)| mark.end > 0).map(|(at, _)| at - self.at);
                next.min().unwrap_or(word)
            }
            Some(sign) => sign.len_utf8(),
        };
        let token = &rest[..length];
        self.at += length;
        token
    }
}

/// The bytes of the comment that a text begins with; 0 if none does.
fn comment_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    let (mut at, mut depth) = (0, 0);
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            _ if depth == 0 => return 0,
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            Some(_) => at += 1,
            None => return text.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}
