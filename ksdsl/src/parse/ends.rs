//! Where a `share` clause ends: what follows on its line is not a part of it, and would otherwise be a layer that
//! nobody meant.

use super::habits::{Context, error};
use super::tokens::{Token, tokens};
use super::{Node, Rule, TreeBuilder, clauses, hints};
use crate::diag::Diagnostic;
use crate::ops;
use crate::source::Span;

impl TreeBuilder<'_, '_> {
    /// Reports clauses that something follows on their line without a `;`; returns the numbers of the statements
    /// that are none but part of the mistake.
    pub(super) fn check_ends(&mut self, statements: &[Node<'_>]) -> Vec<usize> {
        let mut no_statements = Vec::new();
        for (number, pair) in statements.windows(2).enumerate() {
            let [clause, next] = pair else { continue };
            if clause.as_rule() != Rule::share || !self.same_line(clause, next) || no_statements.contains(&number) {
                continue;
            }
            let (diagnostic, is_statement) = self.runs_on(self.span(clause), self.span(next));
            self.diagnostics.push(diagnostic);
            if !is_statement {
                let rest = statements[number..].windows(2);
                let count = rest.take_while(|pair| self.same_line(&pair[0], &pair[1])).count();
                no_statements.extend(number + 1..=number + count);
            }
        }
        no_statements
    }

    /// Whether nothing ends a statement before the next: no line, no `;`, no statement with a syntax error.
    fn same_line(&self, statement: &Node<'_>, next: &Node<'_>) -> bool {
        let gap = self.span(statement).end as usize..self.span(next).start as usize;
        let text = self.source.text();
        !text[gap.clone()].contains('\n') && tokens(text, gap).is_empty()
    }

    /// What to say of a clause that does not end before the next statement, and whether that is one.
    fn runs_on(&self, clause: Span, next: Span) -> (Diagnostic, bool) {
        let text = self.source.text();
        let rest = &text[next.range().end..];
        let line = next.range().end + rest.find(['\n', ';', '}']).unwrap_or(rest.len());
        let tokens = tokens(text, clause.start as usize..line);
        let context = Context::new(text, &tokens, next.start as usize, &[], None);
        if let Some(diagnostic) = clauses::advice(&context) {
            return (diagnostic, false);
        }
        let word = context.word(context.here);
        let end = Span::new(clause.end as usize, clause.end as usize);
        let here = context.span(context.here, context.here);
        let diagnostic = error(here, format!("`{word}` is not part of the `share` clause"))
            .label("the clause ends at the `;` or line break before it");
        if let Some(example) = part(word) {
            let diagnostic = error(here, format!("incomplete `{word}`"));
            return (diagnostic.help(format!("write `{example}`, for example")), false);
        }
        let could_be_path = context
            .tokens
            .get(context.here + 1)
            .is_none_or(|token| matches!(token.text, "[" | "."));
        if could_be_path && ends_with_path(&tokens[..context.here]) && ops::find(word).is_none() {
            let help = format!("write `, {word}` to select it as well");
            return (diagnostic.help(help).fix(end, ","), false);
        }
        let help = match word {
            "batch_norm" | "layer_norm" if context.word(1) == "blocks" => {
                "to share norms as well, write `with norms`; to end the clause, write `;`".to_owned()
            }
            "batch_norm" | "layer_norm" => {
                format!("to share norms as well, write `share isomorphic {word} ...`; to end the clause, write `;`")
            }
            _ => format!("write `; {word}`"),
        };
        // What is not a layer and has no name would be reported a second time as unknown.
        let named = context.word(context.here + 1) == ":";
        let is_step = named || ops::find(word).is_some() || hints::RESERVED.contains(&word);
        (diagnostic.help(help).fix(end, ";"), is_step)
    }
}

/// Whether the last thing before is a path, to which another can be added.
fn ends_with_path(tokens: &[Token<'_>]) -> bool {
    let parts = ["into", "at", "with", "as", "when"];
    !tokens.iter().any(|token| parts.contains(&token.text))
}

/// A part of a clause by its first word.
fn part(word: &str) -> Option<&'static str> {
    Some(match word {
        "into" => "into 2 groups",
        "at" => "at front(2)",
        "with" => "with private bias",
        _ => return None,
    })
}
