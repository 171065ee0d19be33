//! Steps: layers, blocks and the constructs that join them.

use super::{Node, Rule, TreeBuilder, content};
use crate::ast::{Body, Call, Expr, PathArm, Statement, Step, StepKind, UpTo};
use crate::source::{Name, Span};

impl TreeBuilder<'_, '_> {
    pub(super) fn step(&mut self, pair: Node<'_>) -> Option<Step> {
        let span = self.span(&pair);
        let mut inner = content(pair).peekable();
        let label = inner
            .next_if(|part| part.as_rule() == Rule::label)
            .and_then(|label| self.label(label));
        let construct = inner.next()?;
        let kind = match construct.as_rule() {
            Rule::residual => self.residual(construct)?,
            Rule::repeat => self.repeat(construct)?,
            Rule::for_each => self.for_each(construct)?,
            Rule::when => self.when(construct)?,
            Rule::sequence => StepKind::Sequence(self.body(content(construct).next()?)),
            Rule::from => StepKind::From(self.expr(content(construct).next()?)),
            _ => StepKind::Call(self.call(construct)?),
        };
        Some(Step { label, kind, span })
    }

    pub(super) fn label(&mut self, pair: Node<'_>) -> Option<Name> {
        content(pair).next().map(|ident| self.name(&ident))
    }

    fn residual(&mut self, pair: Node<'_>) -> Option<StepKind> {
        let start = self.span(&pair).start as usize;
        let head = Span::new(start, start + "residual".len());
        let (mut args, mut body, mut shortcut) = (Vec::new(), None, None);
        for part in content(pair) {
            match part.as_rule() {
                Rule::args => args = self.args(part),
                Rule::shortcut => shortcut = content(part).next().map(|inner| self.body(inner)),
                _ => body = Some(self.body(part)),
            }
        }
        Some(StepKind::Residual {
            head,
            args,
            body: body?,
            shortcut,
        })
    }

    fn paths(&mut self, braces: Node<'_>) -> Vec<PathArm> {
        let span = self.span(&braces);
        let arms: Vec<_> = content(braces).collect();
        let spans: Vec<Span> = arms.iter().map(|arm| self.span(arm)).collect();
        let mut paths: Vec<PathArm> = arms.into_iter().filter_map(|arm| self.path(arm)).collect();
        let invalid = self.skipped_between(span, spans.iter().copied());
        paths.extend(invalid.into_iter().map(|span| PathArm {
            label: None,
            body: Body {
                statements: vec![Statement::Invalid(span)],
                span,
            },
        }));
        paths
    }

    fn path(&mut self, arm: Node<'_>) -> Option<PathArm> {
        let mut inner = content(arm).peekable();
        let label = inner
            .next_if(|part| part.as_rule() == Rule::label)
            .and_then(|label| self.label(label));
        Some(PathArm {
            label,
            body: self.body(inner.next()?),
        })
    }

    fn repeat(&mut self, pair: Node<'_>) -> Option<StepKind> {
        let mut inner = content(pair).peekable();
        let (count, up_to) = self.count(inner.next()?)?;
        let index = inner
            .next_if(|part| part.as_rule() == Rule::ident)
            .map(|ident| self.name(&ident));
        Some(StepKind::Repeat {
            count,
            up_to,
            index,
            body: self.body(inner.next()?),
        })
    }

    /// How often something is repeated: a number, or what a loop has instead.
    fn count(&mut self, pair: Node<'_>) -> Option<(Expr, Option<UpTo>)> {
        if pair.as_rule() != Rule::up_to {
            return Some((self.expr(pair), None));
        }
        let span = self.span(&pair);
        let mut inner = content(pair);
        let most = self.expr(inner.next()?);
        let args = inner.filter_map(|arg| self.arg(arg)).collect();
        Some((most, Some(UpTo { args, span })))
    }

    fn for_each(&mut self, pair: Node<'_>) -> Option<StepKind> {
        let start = self.span(&pair).start as usize;
        let head = Span::new(start, start + "each".len());
        let (mut values, mut names, mut body) = (Vec::new(), Vec::new(), None);
        for part in content(pair) {
            match part.as_rule() {
                Rule::expr => values.push(self.expr(part)),
                Rule::ident => names.push(self.name(&part)),
                _ => body = Some(self.body(part)),
            }
        }
        Some(StepKind::Each {
            head,
            values,
            names,
            body: body?,
        })
    }

    fn when(&mut self, pair: Node<'_>) -> Option<StepKind> {
        let mut inner = content(pair);
        let condition = self.expr(inner.next()?);
        let then = self.body(inner.next()?);
        let otherwise = inner
            .next()
            .and_then(|part| content(part).next())
            .map(|body| self.body(body));
        Some(StepKind::When {
            condition,
            then,
            otherwise,
        })
    }

    pub(super) fn call(&mut self, pair: Node<'_>) -> Option<Call> {
        let mut inner = content(pair);
        let name = self.name(&inner.next()?);
        let (mut span, mut args, mut paths) = (name.span, Vec::new(), None);
        for part in inner {
            match part.as_rule() {
                Rule::paths => paths = Some(self.paths(part)),
                _ => {
                    span = span.to(self.span(&part));
                    args = self.args(part);
                }
            }
        }
        Some(Call {
            name,
            args,
            paths,
            span,
        })
    }
}
