//! Names of a tree: where each is defined, and where it is used.

mod walk;

use crate::ast::File;
use crate::source::{Name, Span};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Net,
    Block,
    Parameter,
    Constant,
    Index,
    /// A value of the forward pass.
    Value,
    Stage,
    Label,
    /// A layer without a label, which paths name by its kind.
    Layer,
    Output,
    /// The name of a shared kernel.
    Kernel,
}

/// A name at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub(super) span: Span,
    /// Where it is defined.
    pub(super) of: Span,
    pub(super) kind: Kind,
    /// Whether it is the name itself, and no pattern that the name matches.
    pub(super) exact: bool,
}

/// The call of a layer or block.
#[derive(Clone, Debug)]
pub(super) struct CallSite {
    pub(super) callee: Name,
    /// With its arguments: what layers refer to.
    pub(super) span: Span,
    pub(super) label: Option<Span>,
    /// Where the statement ends, branches included.
    pub(super) end: u32,
}

/// A `share` clause.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) span: Span,
}

/// The names and calls of a file.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// In the order of the text.
    pub(super) occurrences: Vec<Occurrence>,
    pub(super) calls: Vec<CallSite>,
    pub(super) clauses: Vec<Clause>,
}

impl Symbols {
    pub(super) fn of(file: &File) -> Self {
        let mut found = walk::walk(file);
        found.occurrences.sort_by_key(|found| (found.span, found.of));
        found.occurrences.dedup();
        found.calls.sort_by_key(|call| call.span);
        found
    }

    /// The names at a byte: several, where a path matches several labels.
    pub(super) fn at(&self, offset: usize) -> Vec<&Occurrence> {
        let found = self.occurrences.iter();
        found.filter(|occurrence| touches(occurrence.span, offset)).collect()
    }

    /// The call whose name or label is at a byte.
    pub(super) fn call_at(&self, offset: usize) -> Option<&CallSite> {
        let is_at = |call: &&CallSite| {
            touches(call.callee.span, offset) || call.label.is_some_and(|label| touches(label, offset))
        };
        self.calls.iter().find(is_at)
    }

    /// The clause around a byte.
    pub(super) fn clause_at(&self, offset: usize) -> Option<&Clause> {
        self.clauses.iter().find(|clause| touches(clause.span, offset))
    }
}

/// Whether a byte is in a place or right behind it, as a cursor is.
pub(super) fn touches(span: Span, offset: usize) -> bool {
    span.start as usize <= offset && offset <= span.end as usize
}
