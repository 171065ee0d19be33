//! Sharing clauses and layer paths.

use super::{Node, Rule, TreeBuilder, content};
use crate::ast::{Mapping, Segment, Select, Selector, Share, SharePart};

impl TreeBuilder<'_, '_> {
    pub(super) fn share(&mut self, pair: Node<'_>) -> Option<Share> {
        let span = self.span(&pair);
        let (mut part, mut select, mut into, mut at) = (SharePart::All, None, None, None);
        let mut private = Vec::new();
        let (mut name, mut when) = (None, None);
        for clause in content(pair) {
            match clause.as_rule() {
                Rule::part_of if clause.as_str().starts_with("kernel") => part = SharePart::Kernel,
                Rule::part_of => part = SharePart::Bias,
                Rule::isomorphic => select = Some(self.isomorphic(clause)),
                Rule::selectors => select = Some(Select::Paths(self.selectors(clause))),
                Rule::blocks => select = Some(self.blocks(clause)),
                Rule::into => into = self.into(clause),
                Rule::at => at = content(clause).next().and_then(|place| self.call(place)),
                Rule::with_private => private = content(clause).filter_map(|part| self.call(part)).collect(),
                Rule::share_name => name = content(clause).next().map(|ident| self.name(&ident)),
                _ => when = content(clause).next().map(|expr| self.expr(expr)),
            }
        }
        Some(Share {
            part,
            select: select?,
            into,
            at,
            private,
            name,
            when,
            span,
        })
    }

    fn isomorphic(&mut self, pair: Node<'_>) -> Select {
        let (mut kind, mut scopes) = (None, Vec::new());
        for part in content(pair) {
            match part.as_rule() {
                Rule::ident => kind = Some(self.name(&part)),
                _ => scopes = self.selectors(part),
            }
        }
        Select::Isomorphic { kind, scopes }
    }

    fn blocks(&mut self, pair: Node<'_>) -> Select {
        let (mut selectors, mut inside, mut norms) = (Vec::new(), false, false);
        for part in content(pair) {
            match part.as_rule() {
                Rule::with_norms => norms = true,
                Rule::blocks_in => {
                    inside = true;
                    selectors = content(part)
                        .next()
                        .map(|part| self.selectors(part))
                        .unwrap_or_default();
                }
                _ => selectors = self.selectors(part),
            }
        }
        Select::Blocks {
            selectors,
            inside,
            norms,
        }
    }

    fn into(&mut self, pair: Node<'_>) -> Option<Mapping> {
        let mapping = content(pair).next()?;
        Some(match mapping.as_rule() {
            Rule::visits => {
                let span = self.span(&mapping);
                let visits = content(mapping).map(|visit| {
                    let kernel = content(visit).next()?;
                    (kernel.as_rule() == Rule::expr).then(|| self.expr(kernel))
                });
                Mapping::List(visits.collect(), span)
            }
            Rule::groups => Mapping::Groups(self.expr(content(mapping).next()?)),
            _ => Mapping::Named(self.call(mapping)?),
        })
    }

    fn selectors(&mut self, pair: Node<'_>) -> Vec<Selector> {
        content(pair).map(|selector| self.selector(selector)).collect()
    }

    fn selector(&mut self, pair: Node<'_>) -> Selector {
        let span = self.span(&pair);
        let segments = content(pair)
            .filter_map(|part| match part.as_rule() {
                Rule::segment => Some(Segment::Name(self.name(&part))),
                _ => self.index(part),
            })
            .collect();
        Selector { segments, span }
    }

    fn index(&mut self, pair: Node<'_>) -> Option<Segment> {
        let inner = content(pair).next()?;
        let span = self.span(&inner);
        Some(match inner.as_rule() {
            Rule::any_index => Segment::AnyIndex(span),
            Rule::range => {
                let (mut from, mut to) = (None, None);
                for end in content(inner) {
                    let is_from = end.as_rule() == Rule::range_from;
                    let expr = content(end).next().map(|expr| self.expr(expr));
                    *(if is_from { &mut from } else { &mut to }) = expr;
                }
                Segment::Range(from, to, span)
            }
            _ => Segment::Index(self.expr(inner)),
        })
    }
}
