//! The text a macro was given, from its tokens, and the way back from places in the text to tokens.
//!
//! Tokens carry no blanks and no comments. Where all of them stand in one file in the order given,
//! each is put at its own line and column, so that the text is the one the user sees with blanks
//! for comments. Where a macro called the macro, tokens may come from several places, and only
//! their order and their adjacency are kept.

use crate::message::Place;
use proc_macro2::{Delimiter, LineColumn, Spacing, Span, TokenStream, TokenTree};
use std::ops::Range;

/// The text of a macro's tokens.
pub(crate) struct Text {
    text: String,
    /// The bytes of each token in the text, in order.
    tokens: Vec<(Range<usize>, Span)>,
}

impl Text {
    /// The text of `tokens`.
    pub(crate) fn of(tokens: TokenStream) -> Self {
        let mut pieces = Pieces::default();
        pieces.add(tokens);
        let written = if pieces.regrouped {
            None
        } else {
            as_written(&pieces.list)
        };
        written.unwrap_or_else(|| in_order(&pieces.list))
    }

    /// The text itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The tokens that a range of bytes touches; for an empty range the token at or after it, and
    /// the last one at the end.
    pub(crate) fn place(&self, range: Range<usize>) -> Place {
        let end = range.end.max(range.start + 1);
        let from = self.tokens.partition_point(|(bytes, _)| bytes.end <= range.start);
        let to = self.tokens.partition_point(|(bytes, _)| bytes.start < end);
        let span = |index: usize| self.tokens.get(index).or(self.tokens.last()).map(|(_, span)| *span);
        match (span(from), span(from.max(to.saturating_sub(1)))) {
            (Some(first), Some(last)) => Place { first, last },
            _ => Span::call_site().into(),
        }
    }

    fn push(&mut self, piece: &Piece) {
        let start = self.text.len();
        self.text.push_str(&piece.text);
        self.tokens.push((start..self.text.len(), piece.span));
    }

    fn new() -> Self {
        Text {
            text: String::new(),
            tokens: Vec::new(),
        }
    }
}

/// One token, bracket or doc comment.
struct Piece {
    text: String,
    span: Span,
    /// A sign that belongs together with the next one, such as the first of `..`.
    joint: bool,
}

impl Piece {
    fn is_word_before(&self, next: &Piece) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        is_word(self.text.chars().next_back()) && is_word(next.text.chars().next())
    }

    /// Whether the next token stood on another line, or nobody knows where either stood: a statement may end
    /// between them. The words that select a clause's layers go on in their line.
    fn may_end_a_line_before(&self, next: &Piece) -> bool {
        let (here, there) = (self.span, next.span);
        let unknown = here.start() >= here.end() || here.start() == there.start();
        let goes_on = matches!(self.text.as_str(), "isomorphic" | "blocks");
        !goes_on && (unknown || here.end().line != there.start().line)
    }

    fn is_doc(&self) -> bool {
        self.text.starts_with("//")
    }

    /// Whether nothing stood between this token and the next where they were written.
    fn touches(&self, next: &Piece) -> bool {
        let (start, end) = (self.span.start(), self.span.end());
        start < end && end == next.span.start() && !self.is_word_before(next)
    }
}

/// The tokens of a stream, groups laid open.
#[derive(Default)]
struct Pieces {
    list: Vec<Piece>,
    /// Brackets were added that nobody wrote.
    regrouped: bool,
}

impl Pieces {
    fn add(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            if let Some((text, length)) = doc_comment(token, after) {
                self.push(text, token.span(), false);
                rest = &after[length..];
                continue;
            }
            match token {
                TokenTree::Group(group) => self.group(group),
                TokenTree::Punct(punct) => {
                    self.push(punct.to_string(), punct.span(), punct.spacing() == Spacing::Joint);
                }
                other => self.push(other.to_string(), other.span(), false),
            }
        }
    }

    fn group(&mut self, group: &proc_macro2::Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            // An expression that another macro passes on stays one operand.
            Delimiter::None if group.stream().into_iter().nth(1).is_some() => {
                self.regrouped = true;
                ("(", ")")
            }
            Delimiter::None => return self.add(group.stream()),
        };
        self.push(open.to_owned(), group.span_open(), false);
        self.add(group.stream());
        self.push(close.to_owned(), group.span_close(), false);
    }

    fn push(&mut self, text: String, span: Span, joint: bool) {
        self.list.push(Piece { text, span, joint });
    }
}

/// The doc comment that begins with this token, as it was written, and how many more tokens it
/// took: rustc hands `/// text` over as `#[doc = " text"]`.
fn doc_comment(hash: &TokenTree, after: &[TokenTree]) -> Option<(String, usize)> {
    if !is_sign(hash, '#') {
        return None;
    }
    let inner = after.first().is_some_and(|token| is_sign(token, '!'));
    let TokenTree::Group(group) = after.get(usize::from(inner))? else {
        return None;
    };
    let attribute: Vec<TokenTree> = group.stream().into_iter().collect();
    let [TokenTree::Ident(name), equals, TokenTree::Literal(value)] = attribute.as_slice() else {
        return None;
    };
    if name != "doc" || !is_sign(equals, '=') {
        return None;
    }
    let text = match hash.span().source_text() {
        Some(written) if written.starts_with('/') => written,
        // The attribute itself was written; it is not a part of the language.
        Some(written) if written == "#" => return None,
        _ => {
            let value = syn::parse_str::<syn::LitStr>(&value.to_string()).ok()?.value();
            let slashes = if inner { "//!" } else { "///" };
            let lines: Vec<String> = value.lines().map(|line| format!("{slashes}{line}")).collect();
            lines.join("\n")
        }
    };
    Some((text, 1 + usize::from(inner)))
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Every token at its own line and column; `None` where they do not stand in this order, or not as
/// long as they are.
fn as_written(pieces: &[Piece]) -> Option<Text> {
    let mut text = Text::new();
    let mut at = LineColumn {
        line: pieces.first()?.span.start().line,
        column: 0,
    };
    let mut last: Option<&Piece> = None;
    for piece in pieces {
        let start = piece.span.start();
        let glued = start == at && last.is_some_and(|last| last.is_word_before(piece));
        if start < at || glued {
            return None;
        }
        if start.line > at.line {
            text.text.extend(std::iter::repeat_n('\n', start.line - at.line));
            at.column = 0;
        }
        text.text.extend(std::iter::repeat_n(' ', start.column - at.column));
        text.push(piece);
        at = end_of(&piece.text, start);
        if at != piece.span.end() {
            return None;
        }
        last = Some(piece);
    }
    Some(text)
}

/// Where a text that starts at `start` ends; columns count characters.
fn end_of(text: &str, start: LineColumn) -> LineColumn {
    match text.rsplit_once('\n') {
        None => LineColumn {
            line: start.line,
            column: start.column + text.chars().count(),
        },
        Some((before, last)) => LineColumn {
            line: start.line + before.matches('\n').count() + 1,
            column: last.chars().count(),
        },
    }
}

/// The tokens in order, a blank between those that did not touch, or a new line where one stood or may have stood.
fn in_order(pieces: &[Piece]) -> Text {
    let mut text = Text::new();
    let mut last: Option<&Piece> = None;
    for piece in pieces {
        match last {
            _ if piece.is_doc() => text.text.push('\n'),
            Some(last) if last.is_doc() => text.text.push('\n'),
            Some(last) if last.joint || last.touches(piece) => {}
            Some(last) if last.may_end_a_line_before(piece) => text.text.push('\n'),
            Some(_) => text.text.push(' '),
            None => {}
        }
        text.push(piece);
        last = Some(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Pieces, Text, in_order};
    use ksdsl::codegen;
    use ksdsl::compile::{Options, compile};
    use ksdsl::source::Source;
    use proc_macro2::TokenStream;

    fn tokens(text: &str) -> TokenStream {
        text.parse().expect("tokens of Rust")
    }

    fn in_order_of(text: &str) -> Text {
        let mut pieces = Pieces::default();
        pieces.add(tokens(text));
        in_order(&pieces.list)
    }

    fn generated(text: &str) -> String {
        let compilation = compile(&Source::new("test", text), &Options::default());
        assert_eq!(compilation.diagnostics, [], "{text}");
        let networks = compilation.networks.iter().map(codegen::network);
        codegen::format(networks.collect())
    }

    #[test]
    fn comments_become_blanks() {
        let text = "  net /* é */ a { // größe\n    relu /* one\n two */ x\n}";
        let expected = "  net         a {\n    relu\n        x\n}";
        assert_eq!(Text::of(tokens(text)).as_str(), expected);
    }

    #[test]
    fn doc_comments_stay_at_their_place() {
        let text = "/// One.\n/// Two: größe.\nnet a { }";
        assert_eq!(Text::of(tokens(text)).as_str(), text);
    }

    #[test]
    fn places_lead_back_to_tokens() {
        let text = "net größe { conv1: relu }";
        let rebuilt = Text::of(tokens(text));
        let of = |range| {
            let place = rebuilt.place(range);
            (place.first.start().column, place.last.end().column)
        };
        // Offsets are bytes, columns are characters: `größe` has two letters of two bytes.
        let conv = text.find("conv1").expect("the label");
        assert_eq!(of(conv..conv + 5), (12, 17));
        assert_eq!(of(conv + 4..conv + 5), (12, 17), "a place inside a token is the token");
        assert_eq!(of(conv..text.len() - 2), (12, 23), "several tokens");
        assert_eq!(of(text.len()..text.len()), (24, 25), "the end is the last token");
        assert_eq!(of(conv - 1..conv - 1), (12, 17), "an empty place is the next token");
    }

    #[test]
    fn tokens_without_places_keep_their_order() {
        assert_eq!(
            in_order_of("share s1[0 .. 2].*conv  as\n x").as_str(),
            "share s1[0 .. 2].*conv as\nx"
        );
        assert_eq!(in_order_of("a\n/// Doc.\nnet b").as_str(), "a\n/// Doc.\nnet b");
        assert_eq!(
            in_order_of("share isomorphic\nconv\nrelu").as_str(),
            "share isomorphic conv\nrelu"
        );
    }

    /// Generated code without the texts that networks keep of their specification: tokens alone do not say how
    /// it was laid out.
    fn without_specifications(code: &str) -> String {
        let mut parts = code.split("const SPECIFICATION: &'static str = ");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |kept, part| {
            let (_, rest) = part.split_once("const INPUT").expect("the sizes come next");
            kept + rest
        })
    }

    #[test]
    fn every_example_means_the_same_as_in_its_file() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nets");
        let mut count = 0;
        for entry in std::fs::read_dir(examples).expect("the examples") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("an example");
            let expected = generated(&text);
            assert_eq!(generated(Text::of(tokens(&text)).as_str()), expected);
            let in_order = generated(in_order_of(&text).as_str());
            assert_eq!(without_specifications(&in_order), without_specifications(&expected));
            count += 1;
        }
        assert!(count >= 2, "the examples were not found");
    }
}
