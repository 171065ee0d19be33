//! A reader for as much of Python as exported networks are written in.

/// A token with its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Number(String),
    Text(String),
    /// A text with expressions in curly brackets: `f"k.{i}"`.
    Format(String),
    Sign(String),
}

/// A statement with the statements in it.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) head: Vec<Token>,
    pub(super) body: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Name(String),
    Number(f64),
    Text(String),
    /// The parts of a text with expressions in it.
    Format(Vec<Expr>),
    Attribute(Box<Expr>, String),
    Call(Box<Expr>, Vec<Arg>),
    Index(Box<Expr>, Vec<Expr>),
    /// `:` in an index.
    All,
    /// What is before an index: `:3`.
    First(Box<Expr>),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Binary(char, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Starred(Box<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arg {
    pub(super) name: Option<String>,
    pub(super) value: Expr,
}

/// The statements of a file; docstrings are statements of one text.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let lines = logical_lines(text);
    let mut at = 0;
    let statements = block(&lines, &mut at, 0);
    assert_eq!(at, lines.len(), "line {at} is indented strangely");
    statements
}

fn block(lines: &[(usize, Vec<Token>)], at: &mut usize, indent: usize) -> Vec<Statement> {
    let mut statements = Vec::new();
    while let Some((depth, head)) = lines.get(*at).filter(|(depth, _)| *depth >= indent) {
        assert_eq!(*depth, indent, "{head:?} is indented strangely");
        *at += 1;
        let opens = head.last() == Some(&Token::Sign(":".to_owned()));
        let inner = lines.get(*at).map_or(0, |(depth, _)| *depth);
        assert_eq!(opens, inner > indent, "{head:?}");
        let body = if opens { block(lines, at, inner) } else { Vec::new() };
        statements.push(Statement {
            head: head.clone(),
            body,
        });
    }
    statements
}

/// Lines that are not empty, with their indentation; a line continues while a bracket is open.
fn logical_lines(text: &str) -> Vec<(usize, Vec<Token>)> {
    let mut lines: Vec<(usize, Vec<Token>)> = Vec::new();
    let (mut rest, mut open) = (text, 0);
    while !rest.is_empty() {
        let indent = rest.len() - rest.trim_start_matches(' ').len();
        rest = &rest[indent..];
        let mut tokens = Vec::new();
        while let Some(c) = rest.chars().next().filter(|c| *c != '\n') {
            if c == ' ' {
                rest = &rest[1..];
            } else if c == '#' {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            } else {
                let (token, length) = token(rest);
                open += match &token {
                    Token::Sign(sign) if ["(", "[", "{"].contains(&sign.as_str()) => 1,
                    Token::Sign(sign) if [")", "]", "}"].contains(&sign.as_str()) => -1,
                    _ => 0,
                };
                tokens.push(token);
                rest = &rest[length..];
            }
        }
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        match lines.last_mut().filter(|(depth, _)| *depth == usize::MAX) {
            Some((_, line)) => line.extend(tokens),
            None if tokens.is_empty() => continue,
            None => lines.push((indent, tokens)),
        }
        // A line that continues is marked until its last bracket closes.
        let last = lines.len() - 1;
        lines[last].0 = match (open, lines[last].0) {
            (0, usize::MAX) => indent_of(&mut lines),
            (0, depth) => depth,
            (_, usize::MAX) => usize::MAX,
            (_, depth) => {
                lines[last].1.insert(0, Token::Number(depth.to_string()));
                usize::MAX
            }
        };
    }
    assert_eq!(open, 0, "a bracket is not closed");
    lines
}

/// The indentation that was kept in front of a continued line.
fn indent_of(lines: &mut [(usize, Vec<Token>)]) -> usize {
    let line = lines.last_mut().expect("a line");
    match line.1.remove(0) {
        Token::Number(depth) => depth.parse().expect("a depth"),
        other => panic!("{other:?} before a line"),
    }
}

fn token(text: &str) -> (Token, usize) {
    let run = |keep: fn(char) -> bool| text.find(|c| !keep(c)).unwrap_or(text.len());
    let first = text.chars().next().expect("a character");
    if let Some(rest) = text.strip_prefix("\"\"\"") {
        let length = end_of_text(rest, "\"\"\"");
        return (Token::Text(rest[..length].to_owned()), length + 6);
    }
    if let Some(rest) = text.strip_prefix("f\"") {
        let length = end_of_text(rest, "\"");
        return (Token::Format(rest[..length].to_owned()), length + 3);
    }
    if let Some(rest) = text.strip_prefix('"') {
        let length = end_of_text(rest, "\"");
        return (Token::Text(rest[..length].to_owned()), length + 2);
    }
    if first.is_alphabetic() || first == '_' {
        let length = run(|c| c.is_alphanumeric() || c == '_');
        return (Token::Name(text[..length].to_owned()), length);
    }
    if first.is_ascii_digit() {
        let mut length = run(|c| c.is_ascii_alphanumeric() || c == '.');
        if text[..length].ends_with('e') && text[length..].starts_with('-') {
            length += 1 + text[length + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        }
        return (Token::Number(text[..length].to_owned()), length);
    }
    let length = if ["**", "->", "=="].iter().any(|sign| text.starts_with(sign)) {
        2
    } else {
        1
    };
    assert!("()[]{},:.=+-*/@<>|!&~%^".contains(first), "the sign {first:?}");
    (Token::Sign(text[..length].to_owned()), length)
}

fn end_of_text(text: &str, quotes: &str) -> usize {
    let mut at = 0;
    while !text[at..].starts_with(quotes) {
        let c = text[at..].chars().next().expect("quotes are closed");
        at += c.len_utf8();
        if c == '\\' {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    at
}

/// The parts of a text with expressions in it.
fn format(text: &str) -> Expr {
    let mut parts = Vec::new();
    for part in text.split('{') {
        let Some((inside, behind)) = part.split_once('}') else {
            parts.push(Expr::Text(part.to_owned()));
            continue;
        };
        let [(_, line)] = &logical_lines(inside)[..] else {
            panic!("{{{inside}}}")
        };
        let mut tokens = Tokens { tokens: line };
        parts.push(tokens.expr());
        assert!(tokens.tokens.is_empty(), "{{{inside}}}");
        parts.push(Expr::Text(behind.to_owned()));
    }
    Expr::Format(parts)
}

/// The tokens of one expression or of a part of a statement.
pub(super) struct Tokens<'t> {
    pub(super) tokens: &'t [Token],
}

impl Tokens<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.tokens.first(), Some(Token::Sign(found)) if found == sign)
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    pub(super) fn name(&mut self) -> String {
        match self.tokens.split_first() {
            Some((Token::Name(name), rest)) => {
                self.tokens = rest;
                name.clone()
            }
            other => panic!("no name but {other:?}"),
        }
    }

    /// Expressions with commas between them.
    pub(super) fn list(&mut self) -> Expr {
        let first = self.expr();
        if !self.is(",") {
            return first;
        }
        let mut items = vec![first];
        while self.take(",") {
            if self.tokens.is_empty() || self.is(")") {
                break;
            }
            items.push(self.expr());
        }
        Expr::Tuple(items)
    }

    pub(super) fn expr(&mut self) -> Expr {
        if self.take("*") {
            return Expr::Starred(Box::new(self.expr()));
        }
        let mut left = self.product();
        loop {
            left = match (self.take("+"), self.is("-")) {
                (true, _) => Expr::Binary('+', Box::new(left), Box::new(self.product())),
                (false, true) => {
                    self.take("-");
                    Expr::Binary('-', Box::new(left), Box::new(self.product()))
                }
                _ => return left,
            };
        }
    }

    fn product(&mut self) -> Expr {
        let mut left = self.unary();
        loop {
            let sign = if self.take("*") {
                '*'
            } else if self.take("@") {
                '@'
            } else {
                return left;
            };
            left = Expr::Binary(sign, Box::new(left), Box::new(self.unary()));
        }
    }

    fn unary(&mut self) -> Expr {
        if self.take("-") {
            return Expr::Negative(Box::new(self.unary()));
        }
        let mut expr = self.atom();
        loop {
            expr = if self.take(".") {
                Expr::Attribute(Box::new(expr), self.name())
            } else if self.take("(") {
                Expr::Call(Box::new(expr), self.args())
            } else if self.take("[") {
                Expr::Index(Box::new(expr), self.index())
            } else {
                return expr;
            };
        }
    }

    fn atom(&mut self) -> Expr {
        if self.take("(") {
            let inner = if self.is(")") {
                Expr::Tuple(Vec::new())
            } else {
                self.list()
            };
            assert!(self.take(")"), "`)` before {:?}", self.tokens);
            return inner;
        }
        if self.take("[") {
            let items = self.until("]", Self::expr);
            return Expr::List(items);
        }
        if self.take("{") {
            let items = self.until("}", |tokens| {
                let key = tokens.expr();
                assert!(tokens.take(":"));
                (key, tokens.expr())
            });
            return Expr::Dict(items);
        }
        let (first, rest) = self.tokens.split_first().expect("an expression");
        self.tokens = rest;
        match first {
            Token::Name(name) => Expr::Name(name.clone()),
            Token::Number(number) => Expr::Number(number.parse().expect("a number")),
            Token::Text(text) => Expr::Text(text.clone()),
            Token::Format(text) => format(text),
            Token::Sign(sign) => panic!("`{sign}` is no expression, before {rest:?}"),
        }
    }

    fn until<T>(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(item(self));
            assert!(self.take(",") || self.is(end), "`{end}` before {:?}", self.tokens);
        }
        items
    }

    fn args(&mut self) -> Vec<Arg> {
        self.until(")", |tokens| match tokens.tokens {
            [Token::Name(name), Token::Sign(sign), ..] if sign == "=" => {
                tokens.tokens = &tokens.tokens[2..];
                Arg {
                    name: Some(name.clone()),
                    value: tokens.expr(),
                }
            }
            _ => Arg {
                name: None,
                value: tokens.expr(),
            },
        })
    }

    fn index(&mut self) -> Vec<Expr> {
        self.until("]", |tokens| {
            match (tokens.take(":"), tokens.is(",") || tokens.is("]")) {
                (true, true) => Expr::All,
                (true, false) => Expr::First(Box::new(tokens.expr())),
                (false, _) => tokens.expr(),
            }
        })
    }
}
