//! Networks, blocks, parameters and statements.

use super::habits::error;
use super::{Node, Rule, TreeBuilder, content, only_content};
use crate::ast::{Arg, Block, Body, Dims, Expr, ExprKind, File, Input, Net, NetKind, Param, Statement};
use crate::diag::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use ksdsl_grammar::pest::iterators::Pairs;

impl TreeBuilder<'_, '_> {
    pub(super) fn item(&mut self, pairs: Pairs<'_, Rule>, file: &mut File) {
        for pair in pairs.flat_map(content) {
            match pair.as_rule() {
                Rule::net => file.nets.extend(self.net(pair)),
                // The files stand in the source already.
                Rule::use_ => {}
                _ => file.blocks.extend(self.block(pair)),
            }
        }
    }

    fn net(&mut self, pair: Node<'_>) -> Option<Net> {
        let docs = self.source.docs_above(self.base + pair.as_span().start());
        let span = self.span(&pair);
        let mut inner = content(pair);
        let name = self.name(&inner.next()?);
        let mut params = Vec::new();
        for part in inner {
            match part.as_rule() {
                Rule::params => params = self.params(part),
                Rule::instance_of => {
                    let mut inner = content(part);
                    let base = self.name(&inner.next()?);
                    let args = inner.next().map(|args| self.args(args)).unwrap_or_default();
                    return Some(Net {
                        name,
                        docs,
                        kind: NetKind::Instance { base, args },
                        span,
                    });
                }
                _ => {
                    let body = self.body(part);
                    return Some(Net {
                        name,
                        docs,
                        kind: NetKind::Family { params, body },
                        span,
                    });
                }
            }
        }
        None
    }

    fn block(&mut self, pair: Node<'_>) -> Option<Block> {
        let docs = self.source.docs_above(self.base + pair.as_span().start());
        let span = self.span(&pair);
        let mut inner = content(pair);
        let name = self.name(&inner.next()?);
        let mut params = Vec::new();
        for part in inner {
            match part.as_rule() {
                Rule::params => params = self.params(part),
                _ => {
                    return Some(Block {
                        name,
                        docs,
                        params,
                        body: self.body(part),
                        span,
                    });
                }
            }
        }
        None
    }

    fn params(&mut self, pair: Node<'_>) -> Vec<Param> {
        if let Some(surplus) = content(pair.clone()).nth(limits::PARAMETERS) {
            let text = format!(
                "a block or a network may have at most {} parameters",
                limits::PARAMETERS
            );
            self.diagnostics
                .push(Diagnostic::error(Code::SourceTooLarge, self.span(&surplus), text));
        }
        content(pair)
            .take(limits::PARAMETERS)
            .filter_map(|param| {
                let mut inner = content(param);
                let name = self.name(&inner.next()?);
                let default = inner.next().map(|expr| self.expr(expr));
                Some(Param { name, default })
            })
            .collect()
    }

    pub(super) fn body(&mut self, pair: Node<'_>) -> Body {
        let span = self.span(&pair);
        let pairs: Vec<_> = content(pair).collect();
        let no_statements = self.check_ends(&pairs);
        let mut statements: Vec<(Span, Statement)> = Vec::new();
        for (number, pair) in pairs.into_iter().enumerate() {
            let span = self.span(&pair);
            let statement = match no_statements.contains(&number) {
                true => Some(Statement::Invalid(span)),
                false => self.statement(pair),
            };
            statements.extend(statement.map(|statement| (span, statement)));
        }
        let invalid = self.skipped_between(span, statements.iter().map(|(span, _)| *span));
        statements.extend(invalid.into_iter().map(|span| (span, Statement::Invalid(span))));
        statements.sort_by_key(|(span, _)| span.start);
        let statements = statements.into_iter().map(|(_, statement)| statement).collect();
        Body { statements, span }
    }

    /// The skipped statements that stand directly in braces, and not in one of their `parts`.
    pub(super) fn skipped_between(&self, braces: Span, parts: impl Iterator<Item = Span> + Clone) -> Vec<Span> {
        let inside = |span: Span, at: u32| span.start <= at && at < span.end;
        let spans = self.skipped.iter().map(|range| Span::new(range.start, range.end));
        spans
            .filter(|skipped| inside(braces, skipped.start))
            .filter(|skipped| !parts.clone().any(|part| inside(part, skipped.start)))
            .collect()
    }

    fn statement(&mut self, pair: Node<'_>) -> Option<Statement> {
        Some(match pair.as_rule() {
            Rule::input => {
                let mut inner = content(pair).peekable();
                let label = inner.next_if(|part| part.as_rule() == Rule::label);
                let name = label.and_then(|label| self.label(label));
                let dims = self.dims(inner.next()?);
                let dims = self.without_list(dims);
                let signal = inner.next_if(|part| part.as_rule() == Rule::as_signal);
                let signal = signal.map(|part| self.span(&part));
                let vocabulary = inner.next().and_then(|part| content(part).next());
                let vocabulary = vocabulary.map(|expr| self.expr(expr));
                Statement::Input(Input {
                    name,
                    dims,
                    vocabulary,
                    signal,
                })
            }
            Rule::output => Statement::Output(self.name(&content(pair).next()?)),
            Rule::let_ => {
                let mut inner = content(pair);
                let name = self.name(&inner.next()?);
                Statement::Let(name, self.expr(inner.next()?))
            }
            Rule::keep => Statement::Keep(self.name(&content(pair).next()?)),
            Rule::exit => Statement::Exit(self.name(&content(pair).next()?)),
            Rule::set => Statement::Set(self.expr(content(pair).next()?)),
            Rule::block => Statement::Block(self.block(pair)?),
            Rule::stage => {
                let mut inner = content(pair);
                let name = self.name(&inner.next()?);
                Statement::Stage(name, self.body(inner.next()?))
            }
            Rule::share => Statement::Share(Box::new(self.share(pair)?)),
            _ => Statement::Step(self.step(pair)?),
        })
    }

    /// The sizes of an input; those written as a list are reported.
    fn without_list(&mut self, mut dims: Dims) -> Dims {
        let list = match dims.sizes.as_mut_slice() {
            [
                Expr {
                    kind: ExprKind::List(list),
                    ..
                },
            ] if !list.is_empty() => std::mem::take(list),
            _ => return dims,
        };
        let sizes = list.iter().map(|size| &self.source.text()[size.span.range()]);
        let sizes = sizes.collect::<Vec<_>>().join(" x ");
        self.diagnostics.push(
            error(dims.span, "input sizes are separated by `x`")
                .help(format!("write `input {sizes}`"))
                .fix(dims.span, sizes),
        );
        Dims { sizes: list, ..dims }
    }

    pub(super) fn args(&mut self, pair: Node<'_>) -> Vec<Arg> {
        content(pair).filter_map(|arg| self.arg(arg)).collect()
    }

    pub(super) fn arg(&mut self, pair: Node<'_>) -> Option<Arg> {
        let mut inner: Vec<_> = content(pair).collect();
        let value = self.dims(inner.pop()?);
        Some(Arg {
            name: inner.pop().map(|name| self.name(&name)),
            value,
        })
    }

    pub(super) fn dims(&mut self, pair: Node<'_>) -> Dims {
        let span = self.span(&pair);
        let sizes = only_content(pair.into_inner())
            .flat_map(|part| match part.as_rule() {
                Rule::compact => part.into_inner().map(|int| self.int(&int)).collect(),
                _ => vec![self.expr(part)],
            })
            .collect();
        Dims { sizes, span }
    }
}
