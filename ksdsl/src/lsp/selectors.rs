//! What the names in a path of a clause may mean in the text: labels, stages, and layers without labels.
//!
//! Paths match the resolved network, which does not say where a name was written. So this follows the tree, without values:
//! of `when`, both branches count, and an index is any index.

use super::symbols::{Kind, Occurrence};
use crate::ast::{Block, Body, Expr, PathArm, Segment, Selector, Statement, Step, StepKind};
use crate::ops::{self, LayerDef};
use crate::share::select::wildcard;
use crate::source::Span;
use std::collections::{HashMap, HashSet};

/// The body of a network, with the blocks that it may use.
pub(super) struct Tree<'t> {
    pub(super) body: &'t Body,
    pub(super) inner: &'t HashMap<&'t str, &'t Block>,
    pub(super) blocks: &'t [Block],
}

/// What stands below a path.
#[derive(Clone, Copy)]
enum Level<'t> {
    /// The names and indices of a body.
    Body(&'t Body),
    /// One index, for each iteration of a body.
    Iterations(&'t Body),
    /// The branches of an operation.
    Arms(&'t [PathArm]),
}

impl Level<'_> {
    /// Where it is in the text, which no other level of its kind is.
    fn id(&self) -> (u8, Span) {
        match self {
            Level::Body(body) => (0, body.span),
            Level::Iterations(body) => (1, body.span),
            Level::Arms(arms) => (2, arms.first().map_or(Span::default(), |arm| arm.body.span)),
        }
    }
}

/// Something that a segment of a path may be.
enum Entry<'t> {
    Named {
        name: &'t str,
        span: Span,
        kind: Kind,
        inside: Vec<Level<'t>>,
    },
    Indexed(Level<'t>),
}

impl<'t> Tree<'t> {
    /// Notes what each name of a path means.
    pub(super) fn resolve(&self, selector: &Selector, found: &mut Vec<Occurrence>) {
        let mut here = vec![Level::Body(self.body)];
        for segment in &selector.segments {
            let mut next = Vec::new();
            match segment {
                Segment::Name(name) if name.value == "**" => next = self.below(&here),
                Segment::Name(pattern) => {
                    for entry in here.iter().flat_map(|level| self.entries(*level)) {
                        if let Entry::Named {
                            name,
                            span,
                            kind,
                            inside,
                        } = entry
                            && matches(&pattern.value, name, kind)
                        {
                            found.push(Occurrence {
                                span: pattern.span,
                                of: span,
                                kind,
                                exact: pattern.value == name,
                            });
                            next.extend(inside);
                        }
                    }
                }
                Segment::Index(_) | Segment::AnyIndex(_) | Segment::Range(..) => {
                    let entries = here.iter().flat_map(|level| self.entries(*level));
                    next.extend(entries.filter_map(|entry| match entry {
                        Entry::Indexed(level) => Some(level),
                        Entry::Named { .. } => None,
                    }));
                }
            }
            let mut seen = HashSet::new();
            next.retain(|level| seen.insert(level.id()));
            here = next;
        }
    }

    /// These levels and all below them.
    fn below(&self, here: &[Level<'t>]) -> Vec<Level<'t>> {
        let (mut stack, mut seen, mut all) = (here.to_vec(), HashSet::new(), Vec::new());
        while let Some(level) = stack.pop() {
            if !seen.insert(level.id()) {
                continue;
            }
            all.push(level);
            for entry in self.entries(level) {
                match entry {
                    Entry::Named { inside, .. } => stack.extend(inside),
                    Entry::Indexed(level) => stack.push(level),
                }
            }
        }
        all
    }

    fn entries(&self, level: Level<'t>) -> Vec<Entry<'t>> {
        let mut entries = Vec::new();
        match level {
            Level::Body(body) => self.body_entries(body, &mut entries),
            Level::Iterations(body) => entries.push(self.iteration(body)),
            Level::Arms(arms) => {
                for arm in arms {
                    match &arm.label {
                        Some(label) => entries.push(Entry::Named {
                            name: &label.value,
                            span: label.span,
                            kind: Kind::Label,
                            inside: vec![Level::Body(&arm.body)],
                        }),
                        None => self.body_entries(&arm.body, &mut entries),
                    }
                }
            }
        }
        entries
    }

    /// What an iteration of a body is: the block, if that is all of it.
    fn iteration(&self, body: &'t Body) -> Entry<'t> {
        let block = match body.statements.as_slice() {
            [
                Statement::Step(Step {
                    label: None,
                    kind: StepKind::Call(call),
                    ..
                }),
            ] => self.block(&call.name.value),
            _ => None,
        };
        Entry::Indexed(Level::Body(block.map_or(body, |block| &block.body)))
    }

    fn block(&self, name: &str) -> Option<&'t Block> {
        let of_file = || self.blocks.iter().find(|block| block.name.value == name);
        self.inner
            .get(name)
            .copied()
            .or_else(of_file)
            .filter(|_| ops::find(name).is_none())
    }

    fn body_entries(&self, body: &'t Body, entries: &mut Vec<Entry<'t>>) {
        for statement in &body.statements {
            match statement {
                Statement::Stage(name, body) => entries.push(Entry::Named {
                    name: &name.value,
                    span: name.span,
                    kind: Kind::Stage,
                    inside: vec![Level::Body(body)],
                }),
                Statement::Step(step) => self.step(step, entries),
                _ => {}
            }
        }
    }

    fn step(&self, step: &'t Step, entries: &mut Vec<Entry<'t>>) {
        let inside = self.inside(step);
        match (&step.label, &step.kind) {
            (Some(label), _) => entries.push(Entry::Named {
                name: &label.value,
                span: label.span,
                kind: Kind::Label,
                inside,
            }),
            (None, StepKind::Call(call)) => match (ops::find(&call.name.value), self.block(&call.name.value)) {
                (Some(LayerDef { name, .. }), _) => {
                    entries.push(Entry::Named {
                        name,
                        span: call.name.span,
                        kind: Kind::Layer,
                        inside: Vec::new(),
                    });
                    entries.extend(inside.into_iter().flat_map(|level| self.entries(level)));
                }
                (None, Some(_)) => entries.extend(inside.into_iter().map(Entry::Indexed)),
                // What a parameter stands for is not known here.
                (None, None) => {}
            },
            (None, _) => entries.extend(inside.into_iter().flat_map(|level| self.entries(level))),
        }
    }

    /// What stands below a step with a label, or beside those around one without.
    fn inside(&self, step: &'t Step) -> Vec<Level<'t>> {
        match &step.kind {
            StepKind::Call(call) => match (&call.paths, self.block(&call.name.value)) {
                (Some(arms), _) if !arms.is_empty() => vec![Level::Arms(arms)],
                (_, Some(block)) => vec![Level::Body(&block.body)],
                _ => Vec::new(),
            },
            StepKind::Residual { body, shortcut, .. } => {
                let bodies = std::iter::once(body).chain(shortcut);
                bodies.map(Level::Body).collect()
            }
            StepKind::Repeat {
                up_to: Some(_), body, ..
            } => match self.iteration(body) {
                Entry::Indexed(level) => vec![level],
                Entry::Named { .. } => Vec::new(),
            },
            StepKind::Repeat { body, .. } | StepKind::Each { body, .. } => vec![Level::Iterations(body)],
            StepKind::When { then, otherwise, .. } => {
                let bodies = std::iter::once(then).chain(otherwise);
                bodies.map(Level::Body).collect()
            }
            StepKind::Sequence(body) => vec![Level::Body(body)],
            StepKind::From(_) => Vec::new(),
        }
    }
}

/// Whether a pattern means a name. A layer without a label may have a number behind its kind: `conv_2`.
fn matches(pattern: &str, name: &str, kind: Kind) -> bool {
    let numbered = || {
        let number = pattern.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
        number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    wildcard(pattern, name) || kind == Kind::Layer && numbered()
}

/// The expressions in a path.
pub(super) fn numbers(selector: &Selector) -> impl Iterator<Item = &Expr> {
    selector.segments.iter().flat_map(|segment| match segment {
        Segment::Index(expr) => vec![expr],
        Segment::Range(from, to, _) => from.iter().chain(to).collect(),
        Segment::Name(_) | Segment::AnyIndex(_) => Vec::new(),
    })
}
