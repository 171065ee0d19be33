//! The tree as text. Statements keep the lines that their author gave them, as long as these are not too long;
//! everything within a statement is laid out anew.

use super::flat::{
    flat_braces, flat_list, flat_pieces, flat_unit, is_apart, segment, segment_with_comments, separator,
};
use super::tokens::{Comment, Token};
use super::tree::{Body, List, Piece, Unit};

/// The longest line in characters, as long as nothing in it has to be longer; comments do not count.
const WIDTH: usize = 120;
/// Spaces per level.
const INDENT: usize = 4;

/// The text of a file.
pub(super) fn text(items: &[Unit], end: &Token) -> String {
    let mut out = Writer::default();
    out.statements(items, 0, true);
    out.comments_on_lines(&end.before, 0);
    out.text.truncate(out.text.trim_end().len());
    if !out.text.is_empty() {
        out.text.push('\n');
    }
    out.text
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Characters in the current line.
    column: usize,
    /// Whether the current line ends with a comment that nothing can follow.
    closed: bool,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.column = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    fn line(&mut self, indent: usize) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
        self.closed = false;
    }

    fn fits(&self, text: &str) -> bool {
        self.column + text.chars().count() <= WIDTH
    }

    /// Statements, or the items of a file, each of which has lines of its own.
    fn statements(&mut self, units: &[Unit], indent: usize, are_items: bool) {
        let mut joinable = false;
        for (number, unit) in units.iter().enumerate() {
            let flat = flat_unit(unit);
            let inline = unit
                .first()
                .before
                .iter()
                .all(|comment| comment.is_inline() && !comment.own_line);
            if joinable
                && !unit.first().newline
                && inline
                && let Some(text) = &flat
            {
                let text = format!("{}{text}", separator(&units[number - 1]));
                if self.fits(&text) {
                    self.push(&text);
                    joinable = self.trail(&unit.after, indent);
                    continue;
                }
            }
            let moved = unit.at_line_start();
            let unit = moved.as_ref().unwrap_or(unit);
            let flat = if moved.is_some() { flat_unit(unit) } else { flat };
            self.comments_before(unit, number == 0, indent);
            let whole = flat.filter(|text| self.fits(text));
            let is_whole = whole.is_some();
            match whole {
                Some(text) => self.push(&text),
                None => self.pieces(&unit.pieces, indent),
            }
            joinable = self.trail(&unit.after, indent) && is_whole && !are_items;
        }
    }

    /// The comments and the blank lines before a statement, and the start of its line.
    fn comments_before(&mut self, unit: &Unit, is_first: bool, indent: usize) {
        let first = unit.first();
        let own = first
            .before
            .iter()
            .take_while(|comment| comment.own_line || !comment.is_inline());
        for (number, comment) in own.enumerate() {
            self.blank_line(comment.blank && !(is_first && number == 0));
            self.line(indent);
            self.push(&comment.text);
        }
        self.blank_line(first.blank && !(is_first && first.before.is_empty()));
        self.line(indent);
    }

    fn blank_line(&mut self, wanted: bool) {
        if wanted && !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Comments in lines of their own.
    fn comments_on_lines(&mut self, comments: &[Comment], indent: usize) {
        for comment in comments {
            self.blank_line(comment.blank);
            self.line(indent);
            self.push(&comment.text);
        }
    }

    /// The comments behind something; returns whether more can follow in the line.
    fn trail(&mut self, comments: &[Comment], indent: usize) -> bool {
        for comment in comments {
            if self.closed {
                self.line(indent);
            } else {
                self.push(" ");
            }
            self.push(&comment.text);
            self.closed = comment.ends_line();
        }
        !self.closed
    }

    /// The pieces of a statement or an element that does not fit into its line.
    fn pieces(&mut self, pieces: &[Piece], indent: usize) {
        let mut before: Option<&Token> = None;
        for (number, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Token(token) => {
                    self.token(before, token, &pieces[number..], indent);
                    before = Some(token);
                }
                Piece::List(list) => {
                    let flat = flat_list(list);
                    let lead = match self.closed && flat.is_some() {
                        true => {
                            self.line(indent + INDENT);
                            ""
                        }
                        false => self.space(before, &list.open),
                    };
                    let rest = segment(&list.close, &pieces[number + 1..]);
                    match flat.filter(|flat| self.fits(&format!("{lead}{flat}{rest}"))) {
                        Some(flat) => self.push(&format!("{lead}{flat}")),
                        None => self.list(before, list, indent),
                    }
                    before = Some(&list.close);
                }
                Piece::Body(body) => {
                    let rest = flat_pieces(before, &pieces[number..]);
                    if let Some(rest) = rest.filter(|rest| !self.closed && self.fits(rest)) {
                        return self.push(&rest);
                    }
                    self.braces(before, body, indent);
                    before = Some(&body.close);
                }
            }
        }
    }

    /// A token with its comments, on a line of its own if it may begin one and does not fit.
    fn token(&mut self, before: Option<&Token>, token: &Token, rest: &[Piece], indent: usize) {
        let is_first = before.is_none();
        let continues = ["else", "shortcut", "{"].iter().any(|word| token.is(word));
        let deeper = if continues { indent } else { indent + INDENT };
        // Those of the first token of a statement that end lines are written already.
        let comments = token
            .before
            .iter()
            .skip_while(|comment| is_first && (comment.own_line || !comment.is_inline()));
        for comment in comments {
            if self.closed || comment.own_line {
                self.line(deeper);
            } else if !is_first {
                self.push(" ");
            }
            self.push(&comment.text);
            self.closed = comment.ends_line();
            if is_first && !self.closed {
                self.push(" ");
            }
        }
        let space = self.space(before, token).to_owned();
        let may_break = before.is_some_and(|before| token.mark.may_break || before.is(","));
        let next = segment_with_comments(token, &rest[1..]);
        if self.closed || may_break && !self.fits(&format!("{space}{}{next}", token.text)) {
            self.line(deeper);
        } else {
            self.push(&space);
        }
        self.push(&token.text);
        self.trail(&token.after, deeper);
    }

    /// The space between two tokens, unless the line is new.
    fn space(&self, before: Option<&Token>, token: &Token) -> &'static str {
        match before {
            Some(before) if !self.closed && is_apart(before, token) => " ",
            _ => "",
        }
    }

    /// A list on several lines.
    fn list(&mut self, before: Option<&Token>, list: &List, indent: usize) {
        self.token(before, &list.open, &[Piece::Token(Token::default())], indent);
        let deeper = indent + INDENT;
        let keeps_lines = list.elements.first().is_some_and(|first| first.first().newline);
        for (number, element) in list.elements.iter().enumerate() {
            let mut flat = flat_unit(element);
            let comments = &element.first().before;
            let inline = comments.iter().all(|comment| comment.is_inline() && !comment.own_line);
            let asked = keeps_lines && element.first().newline;
            let fits = flat.as_ref().is_some_and(|flat| self.fits(&format!(" {flat},")));
            let joined = number > 0 && !self.closed && inline && !asked && fits;
            let moved = if joined { None } else { element.at_line_start() };
            let element = moved.as_ref().unwrap_or(element);
            if joined {
                self.push(" ");
            } else {
                flat = flat_unit(element);
                self.comments_before_element(&element.first().before, deeper);
                self.line(deeper);
            }
            match flat.filter(|flat| self.fits(&format!("{flat},"))) {
                Some(flat) => self.push(&flat),
                None => self.pieces(&element.pieces, deeper),
            }
            if self.closed {
                self.line(deeper);
            }
            self.push(",");
            self.trail(&element.after, deeper);
        }
        for comment in &list.close.before {
            self.line(deeper);
            self.push(&comment.text);
        }
        self.line(indent);
        self.push(&list.close.text);
        self.trail(&list.close.after, indent + INDENT);
    }

    fn comments_before_element(&mut self, comments: &[Comment], indent: usize) {
        for comment in comments
            .iter()
            .take_while(|comment| comment.own_line || !comment.is_inline())
        {
            self.line(indent);
            self.push(&comment.text);
        }
    }

    /// A body, on several lines unless only a comment behind it keeps the statement from one.
    fn braces(&mut self, before: Option<&Token>, body: &Body, indent: usize) {
        let flat = flat_braces(body).filter(|_| !self.closed && body.close.after.iter().any(Comment::ends_line));
        match flat.filter(|flat| self.fits(&format!(" {flat}"))) {
            Some(flat) => {
                self.push(" ");
                self.push(&flat);
                self.trail(&body.close.after, indent);
            }
            None => self.body(before, body, indent),
        }
    }

    /// A body on several lines.
    fn body(&mut self, before: Option<&Token>, body: &Body, indent: usize) {
        self.token(before, &body.open, &[Piece::Token(Token::default())], indent);
        self.statements(&body.statements, indent + INDENT, false);
        let mut comments = body.close.before.clone();
        if let (Some(first), true) = (comments.first_mut(), body.statements.is_empty()) {
            first.blank = false;
        }
        self.comments_on_lines(&comments, indent + INDENT);
        self.line(indent);
        self.push("}");
        self.trail(&body.close.after, indent);
    }
}
