//! What to say when the text does not follow the grammar.

use super::habits::{Context, habit};
use super::tokens::{body_around, tokens};
use super::{Rule, hints};
use crate::diag::{Code, Diagnostic};
use crate::ops;
use crate::source::{Source, Span};
use ksdsl_grammar::pest::error::{Error, ErrorVariant, InputLocation};
use std::collections::BTreeSet;
use std::ops::Range;

/// An error that pest found in an item.
pub(super) struct Problem<'s> {
    text: &'s str,
    item: Range<usize>,
    at: usize,
    expected: Vec<String>,
}

impl<'s> Problem<'s> {
    pub(super) fn new(error: &Error<Rule>, source: &'s Source, item: Range<usize>) -> Self {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => item.start + at,
        };
        let expected = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => expected(positives),
            ErrorVariant::CustomError { .. } => Vec::new(),
        };
        let mut problem = Problem {
            text: source.text(),
            item,
            at,
            expected,
        };
        if let Some(brace) = problem.brace_of_no_join() {
            problem.at = brace;
            problem.expected = vec!["a statement".to_owned()];
        }
        problem
    }

    /// Where the parser expects a path in braces of what joins no paths: the braces are what is wrong.
    fn brace_of_no_join(&self) -> Option<usize> {
        if !self.expects("`path`") || self.expects("a statement") {
            return None;
        }
        let tokens = tokens(self.text, self.item.clone());
        let brace = body_around(&tokens, self.at)? - 1;
        let end = match tokens.get(brace.checked_sub(1)?)?.text {
            ")" => (0..brace).rev().find(|number| tokens[*number].text == "(")?,
            _ => brace,
        };
        let name = tokens.get(end.checked_sub(1)?)?.text;
        let joins = ops::joins().any(|layer| layer.name == name);
        (!joins).then_some(tokens[brace].at)
    }

    /// Where the parser failed.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether a statement, or a branch, could begin there.
    pub(super) fn expects_statement(&self) -> bool {
        self.expects("a statement") || self.expects("`path`")
    }

    fn expects(&self, what: &str) -> bool {
        self.expected.iter().any(|name| name == what)
    }

    /// What to say about it, where `statement` is not complete or not right.
    pub(super) fn diagnostic(&self, statement: Range<usize>) -> Diagnostic {
        let (found, span) = found(self.text, self.at);
        let before = &self.text[self.item.start..self.at];
        let inside = hints::bracket(&before[before.ceil_char_boundary(before.len().saturating_sub(LOOK_BACK))..]);
        let tokens = tokens(self.text, statement);
        let context = Context::new(self.text, &tokens, self.at, &self.expected, inside);
        if let Some(diagnostic) = habit(&context) {
            return diagnostic;
        }
        if let Some((word, keyword)) = hints::misspelt(self.text, self.item.start, self.at, span.range()) {
            let message = format!("`{}` is not a keyword", &self.text[word.clone()]);
            let word = Span::new(word.start, word.end);
            return Diagnostic::error(Code::Syntax, word, message)
                .help(format!("did you mean `{keyword}`?"))
                .fix(word, keyword);
        }
        let word = &self.text[span.range()];
        let advice = hints::reserved(word, &self.text[span.range().end..], &self.expected)
            .or_else(|| hints::advice(word, before, &self.expected, inside));
        let expected = join(&self.with_signs(inside));
        let diagnostic = match tokens.last().filter(|_| context.here == tokens.len()) {
            Some(last) => Diagnostic::error(Code::Syntax, Span::new(last.at, last.end()), "incomplete statement")
                .label(format!("expected {expected} after this")),
            None if expected.is_empty() => Diagnostic::error(Code::Syntax, span, format!("unexpected {found}")),
            None => Diagnostic::error(Code::Syntax, span, format!("unexpected {found}"))
                .label(format!("expected {expected}")),
        };
        diagnostic.maybe_help(advice)
    }

    /// What is expected, and the signs that are allowed there: they are no rules, and so no part of what pest
    /// expects.
    fn with_signs(&self, inside: Option<char>) -> Vec<String> {
        let signs: &[&str] = match inside {
            Some('(') => &["`,`", "`)`"],
            Some('[') => &["`]`", "`..`"],
            _ => &[],
        };
        let signs = signs.iter().filter(|_| self.expects("an operator"));
        let signs = signs.map(|sign| (*sign).to_owned());
        signs.chain(self.expected.iter().cloned()).collect()
    }
}

/// How far the bracket around an error is looked for.
const LOOK_BACK: usize = 4096;

/// What stands at `at`, and where it ends.
fn found(text: &str, at: usize) -> (String, Span) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || is_invisible(c);
    // A letter that names cannot have stops the parser inside a word.
    let at = match text[at.min(text.len())..].starts_with(|c: char| !c.is_ascii() && is_word(c)) {
        true => text[..at].trim_end_matches(is_word).len(),
        false => at,
    };
    let rest = &text[at.min(text.len())..];
    let word = rest.chars().take_while(|c| is_word(*c)).count();
    let length: usize = rest.chars().take(word.max(1)).map(char::len_utf8).sum();
    match length {
        0 => ("end of input".to_owned(), Span::new(at, at)),
        _ => (format!("`{}`", shown(&rest[..length])), Span::new(at, at + length)),
    }
}

/// Marks on letters and characters without width, which make a word another one than it seems.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

/// A text as a message shows it, so that every character is seen.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match is_invisible(c) || c.is_control() {
            true => c.escape_unicode().to_string(),
            false => c.to_string(),
        })
        .collect()
}

/// What could stand there, in the words of the language, deterministic and without repetition.
fn expected(rules: &[Rule]) -> Vec<String> {
    let names: BTreeSet<String> = rules.iter().filter_map(|rule| describe(*rule)).collect();
    let mut names: Vec<String> = names.into_iter().collect();
    // A name in an expression may go on with arguments, as an operand may with an operator.
    if names.iter().any(|name| name == "an operator") {
        names.retain(|name| name != "`(`");
    }
    // Where a whole expression may go on, the operators say nothing new one by one.
    if names.iter().any(|name| name == "an operator") && names.len() > 4 {
        names.retain(|name| name != "an operator");
    }
    // Where any statement may stand, so may the arguments of the call before it; naming them all
    // says less than one word.
    if ["`input`", "`stage`", "a step"]
        .iter()
        .all(|name| names.iter().any(|has| has == name))
    {
        return vec!["a statement".to_owned()];
    }
    names
}

fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if names.len() <= 8 => format!("{} or {last}", first.join(", ")),
        _ => {
            let shown = &names[..7];
            format!("{} or something else", shown.join(", "))
        }
    }
}

/// The keyword a rule stands for.
pub(super) fn keyword(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::k_and => "and",
        Rule::k_as => "as",
        Rule::k_at => "at",
        Rule::k_bias => "bias",
        Rule::k_block => "block",
        Rule::k_blocks => "blocks",
        Rule::k_each => "each",
        Rule::k_else => "else",
        Rule::k_every => "every",
        Rule::k_except => "except",
        Rule::k_exit => "exit",
        Rule::k_false => "false",
        Rule::k_from => "from",
        Rule::k_groups => "groups",
        Rule::k_in => "in",
        Rule::k_input => "input",
        Rule::k_into => "into",
        Rule::k_isomorphic => "isomorphic",
        Rule::k_keep => "keep",
        Rule::k_kernel => "kernel",
        Rule::k_let => "let",
        Rule::k_net => "net",
        Rule::k_network => "network",
        Rule::k_norms => "norms",
        Rule::k_transposed => "transposed",
        Rule::k_not => "not",
        Rule::k_of => "of",
        Rule::k_or => "or",
        Rule::k_output => "output",
        Rule::k_path => "path",
        Rule::k_private => "private",
        Rule::k_repeat => "repeat",
        Rule::k_residual => "residual",
        Rule::k_seq => "seq",
        Rule::k_share => "share",
        Rule::k_set => "set",
        Rule::k_shortcut => "shortcut",
        Rule::k_signal => "signal",
        Rule::k_stage => "stage",
        Rule::k_to => "to",
        Rule::k_true => "true",
        Rule::k_up => "up",
        Rule::k_use => "use",
        Rule::k_when => "when",
        Rule::k_with => "with",
        Rule::times => "x",
        _ => return None,
    })
}

/// A rule in the words of the language; nothing for rules that say nothing to a reader.
fn describe(rule: Rule) -> Option<String> {
    Some(match rule {
        Rule::EOI => "end of input".into(),
        Rule::item => "`net` or `block`".into(),
        Rule::file => "the path of a file in quotes".into(),
        Rule::ident | Rule::label => "a name".into(),
        Rule::call => "a layer or block".into(),
        Rule::named => "a name".into(),
        Rule::args | Rule::params => "`(`".into(),
        Rule::visits => "`[`".into(),
        Rule::visit => "a kernel".into(),
        Rule::arg => "an argument".into(),
        Rule::param => "a parameter".into(),
        Rule::body | Rule::paths => "`{`".into(),
        Rule::instance_of => "`=`".into(),
        Rule::expr
        | Rule::dims
        | Rule::groups
        | Rule::unary
        | Rule::int
        | Rule::float
        | Rule::name
        | Rule::function
        | Rule::list
        | Rule::value => "a value".into(),
        Rule::operator => "an operator".into(),
        Rule::selector | Rule::selectors | Rule::segment => "a layer path".into(),
        Rule::index => "`[`".into(),
        Rule::any_index => "`*`".into(),
        Rule::range | Rule::range_from | Rule::range_to => "a range".into(),
        Rule::times | Rule::compact | Rule::sign | Rule::minus | Rule::not | Rule::part_of | Rule::exponent => {
            return None;
        }
        Rule::private_visit | Rule::item_of => return None,
        Rule::COMMENT | Rule::WHITESPACE | Rule::line_comment | Rule::block_comment => return None,
        Rule::step | Rule::residual | Rule::repeat | Rule::for_each | Rule::when => "a step".into(),
        other => format!("`{}`", keyword(other).or_else(|| construct(other))?),
    })
}

/// The keyword a construct begins with.
fn construct(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::net => "net",
        Rule::use_ => "use",
        Rule::block => "block",
        Rule::input => "input",
        Rule::output => "output",
        Rule::vocabulary => "of",
        Rule::as_signal => "as",
        Rule::let_ => "let",
        Rule::stage => "stage",
        Rule::share => "share",
        Rule::isomorphic => "isomorphic",
        Rule::shortcut => "shortcut",
        Rule::path => "path",
        Rule::else_ => "else",
        Rule::sequence => "seq",
        Rule::keep => "keep",
        Rule::set => "set",
        Rule::exit => "exit",
        Rule::up_to => "up",
        Rule::from => "from",
        Rule::blocks => "blocks",
        Rule::in_scopes => "in",
        Rule::each => "each",
        Rule::except => "except",
        Rule::every => "every",
        Rule::of_network => "of",
        Rule::into => "into",
        Rule::at => "at",
        Rule::with_norms | Rule::with_private | Rule::with_transposed => "with",
        Rule::share_name => "as",
        Rule::share_when => "when",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Rule, describe, keyword};

    /// A rule is described by the word it begins with, as the grammar says: `k_let = @{ "let" ~ ... }`,
    /// `let_ = { k_let ~ ... }`.
    #[test]
    fn rules_are_described_by_the_words_of_the_grammar() {
        let mut described = 0;
        let lines = ksdsl_grammar::TEXT.lines();
        for (name, body) in lines.filter_map(|line| line.split_once(" = ")) {
            let Some(rule) = Rule::all_rules().iter().find(|rule| format!("{rule:?}") == name) else {
                continue;
            };
            let body = body.trim_start_matches(['@', '$', '_', '{', ' ']);
            let body = body.strip_prefix("label? ~ ").unwrap_or(body);
            let mut tokens = body.split_whitespace();
            let first = tokens.next().unwrap_or_default();
            // A word or a choice of words is no construct.
            let is_construct = !matches!(tokens.next(), Some("|" | "}"));
            if let Some(word) = name.strip_prefix("k_") {
                assert_eq!((keyword(*rule), first), (Some(word), &*format!("\"{word}\"")), "{name}");
                described += 1;
            } else if let Some(word) = first.strip_prefix("k_").filter(|_| is_construct) {
                let text = describe(*rule);
                let general = ["a step", "`net` or `block`", "a layer path"].map(|text| Some(text.to_owned()));
                assert!(
                    text == Some(format!("`{word}`")) || general.contains(&text),
                    "{name}: {text:?}"
                );
                described += usize::from(text == Some(format!("`{word}`")));
            }
        }
        assert!(described > 45, "only {described} rules were read");
    }
}
