//! Tokens as statements, lists and bodies. What only separates them, `;` and the commas of lists, is left out: the
//! layout writes it anew.

use super::tokens::{Comment, Token};

/// A part of a statement.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Token(Token),
    List(List),
    Body(Body),
}

/// Elements between brackets, separated by commas.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) open: Token,
    pub(super) elements: Vec<Unit>,
    pub(super) close: Token,
}

/// Statements between braces.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) open: Token,
    pub(super) statements: Vec<Unit>,
    pub(super) close: Token,
}

impl Body {
    /// Whether it was written on several lines; an empty one needs none.
    pub(super) fn has_lines(&self) -> bool {
        let lines = self.statements.iter().any(|statement| statement.first().newline);
        lines || self.close.newline && !self.statements.is_empty()
    }
}

/// A statement, or an element of a list; it has at least one piece.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) pieces: Vec<Piece>,
    /// The comments behind it.
    pub(super) after: Vec<Comment>,
}

impl Unit {
    /// The token that begins it.
    pub(super) fn first(&self) -> &Token {
        match &self.pieces[0] {
            Piece::Token(token) | Piece::List(List { open: token, .. }) | Piece::Body(Body { open: token, .. }) => {
                token
            }
        }
    }

    /// As it is at the start of a line, if that is not as it was: comments before it are on lines of their own.
    pub(super) fn at_line_start(&self) -> Option<Self> {
        if self.first().before.iter().all(|comment| comment.own_line) {
            return None;
        }
        let mut unit = self.clone();
        match &mut unit.pieces[0] {
            Piece::Token(token) | Piece::List(List { open: token, .. }) | Piece::Body(Body { open: token, .. }) => {
                token.before.iter_mut().for_each(|comment| comment.own_line = true);
            }
        }
        Some(unit)
    }

    fn last_mut(&mut self) -> Option<&mut Token> {
        self.pieces.last_mut().map(|piece| match piece {
            Piece::Token(token) => token,
            Piece::List(list) => &mut list.close,
            Piece::Body(body) => &mut body.close,
        })
    }

    /// Whether it ends with a brace, so that no `;` need follow.
    pub(super) fn ends_with_body(&self) -> bool {
        matches!(self.pieces.last(), Some(Piece::Body(_)))
    }
}

/// The items of a file, and the token at its end, which has the last comments.
pub(super) fn tree(tokens: Vec<Token>) -> (Vec<Unit>, Token) {
    let mut reader = Reader {
        tokens: tokens.into_iter().peekable(),
    };
    let items = reader.statements();
    (items, reader.tokens.next().unwrap_or_default())
}

struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Reader {
    /// Everything up to a closing brace or the end.
    fn statements(&mut self) -> Vec<Unit> {
        let mut statements: Vec<Unit> = Vec::new();
        let mut newline = false;
        while let Some(token) = self.tokens.next_if(|token| !token.is("}") && !token.is("")) {
            if token.is(";") {
                newline |= token.newline;
                keep_comments(&mut statements, token);
                continue;
            }
            let mut unit = self.unit(token, |next| next.mark.statement || next.is(";") || next.is("}"));
            match &mut unit.pieces[0] {
                Piece::Token(first) => first.newline |= std::mem::take(&mut newline),
                Piece::List(_) | Piece::Body(_) => {}
            }
            statements.push(unit);
        }
        statements
    }

    /// The pieces up to the token that ends them.
    fn unit(&mut self, first: Token, ends: impl Fn(&Token) -> bool) -> Unit {
        let mut pieces = vec![self.piece(first)];
        while let Some(token) = self.tokens.next_if(|next| !next.is("") && !ends(next)) {
            let piece = self.piece(token);
            pieces.push(piece);
        }
        let mut unit = Unit {
            pieces,
            after: Vec::new(),
        };
        unit.after = unit
            .last_mut()
            .map(|last| std::mem::take(&mut last.after))
            .unwrap_or_default();
        unit
    }

    fn piece(&mut self, token: Token) -> Piece {
        if token.is("{") {
            return Piece::Body(Body {
                open: token,
                statements: self.statements(),
                close: self.tokens.next().unwrap_or_default(),
            });
        }
        if !token.mark.list {
            return Piece::Token(token);
        }
        let close = if token.is("(") { ")" } else { "]" };
        let mut elements: Vec<Unit> = Vec::new();
        while let Some(next) = self.tokens.next_if(|next| !next.is(close) && !next.is("")) {
            if next.is(",") {
                keep_comments(&mut elements, next);
            } else {
                let element = self.unit(next, |next| next.is(",") || next.is(close));
                elements.push(element);
            }
        }
        Piece::List(List {
            open: token,
            elements,
            close: self.tokens.next().unwrap_or_default(),
        })
    }
}

/// Gives the comments around a separator to what stands before it.
fn keep_comments(units: &mut [Unit], separator: Token) {
    if let Some(last) = units.last_mut() {
        last.after.extend(separator.before);
        last.after.extend(separator.after);
    }
}
