//! The syntax tree of `share` clauses.

use super::{Arg, Call, Expr};
use crate::source::{Name, Span};

/// A `share` clause.
#[derive(Clone, Debug)]
pub struct Share {
    /// What is shared.
    pub part: SharePart,
    /// Which layers.
    pub select: Select,
    /// How visits are mapped to kernels.
    pub into: Option<MappingExpr>,
    /// Layers and scopes that are left out.
    pub except: Vec<Selector>,
    /// The first of each so many layers or blocks.
    pub every: Option<Expr>,
    /// Which of the visits share.
    pub at: Option<Call>,
    /// Whether `at` means a place in the whole network.
    pub of_network: bool,
    /// What every visit has of its own.
    pub private: Vec<Call>,
    /// More layers, or scopes of them, which use the kernel transposed.
    pub transposed: Vec<Selector>,
    /// The name of the shared kernel.
    pub name: Option<Name>,
    /// The condition on the clause.
    pub when: Option<Expr>,
    /// The whole clause.
    pub span: Span,
}

impl Share {
    /// The kind of the isomorphic layers, with the arguments that narrow it.
    pub fn kind(&self) -> Option<(&Name, &[Arg])> {
        match &self.select {
            Select::Isomorphic { kind, args, .. } => kind.as_ref().map(|kind| (kind, args.as_slice())),
            _ => None,
        }
    }
}

/// How visits are mapped to kernels.
#[derive(Clone, Debug)]
pub enum MappingExpr {
    /// `3 groups`.
    Groups(Expr),
    /// A mapping by name: `cycle(3)`.
    Named(Call),
    /// The kernel of every visit, none for one that keeps its own: `[0, 0, 1, _]`.
    List(Vec<Option<Expr>>, Span),
}

impl MappingExpr {
    /// Where it says so.
    pub fn span(&self) -> Span {
        match self {
            MappingExpr::Groups(expr) => expr.span,
            MappingExpr::Named(call) => call.span,
            MappingExpr::List(_, span) => *span,
        }
    }
}

/// Which parameters of the selected layers are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SharePart {
    /// Everything the layers have.
    All,
    /// The kernel; biases stay private.
    Kernel,
    /// The bias; kernels stay private.
    Bias,
}

/// Which layers a clause selects.
#[derive(Clone, Debug)]
pub enum Select {
    /// The layers at these paths; they must be isomorphic.
    Paths(Vec<Selector>),
    /// All sets of isomorphic layers of a kind in the given scopes (the whole network if none).
    Isomorphic {
        /// The kind of layer, such as `conv`.
        kind: Option<Name>,
        /// Arguments that the layers of the kind were called with.
        args: Vec<Arg>,
        /// The scopes.
        scopes: Vec<Selector>,
        /// Whether each scope has sets of its own.
        each: bool,
    },
    /// The layers at the same position of whole blocks.
    Blocks {
        /// The blocks, or scopes that contain them.
        selectors: Vec<Selector>,
        /// Whether `selectors` are scopes.
        inside: bool,
        /// Whether each scope has sets of its own.
        each: bool,
        /// Whether norms are shared as well.
        norms: bool,
    },
}

/// A path with wildcards.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// The whole path.
    pub span: Span,
}

/// One segment of a selector.
#[derive(Clone, Debug)]
pub enum Segment {
    /// A name; `*` in it stands for any characters, `**` alone for any number of segments.
    Name(Name),
    /// `[3]`.
    Index(Expr),
    /// `[*]`.
    AnyIndex(Span),
    /// `[1..3]`, half open, either end optional.
    Range(Option<Expr>, Option<Expr>, Span),
}
