//! The syntax tree, with the source location of every node.

mod share;

use crate::source::{Name, Span, Spanned};
pub use share::{MappingExpr, Segment, Select, Selector, Share, SharePart};
use std::collections::BTreeSet;

/// A whole source.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Networks, in the order written.
    pub nets: Vec<Net>,
    /// Networks of imported files: others can be instances of them.
    pub imported: Vec<Net>,
    /// Blocks outside networks, in the order written, those of imported files last.
    pub blocks: Vec<Block>,
    /// Names that parts with syntax errors may define: nothing is said about their use.
    pub lost: BTreeSet<String>,
}

impl File {
    /// The networks, those of imported files last.
    pub fn all_nets(&self) -> impl Iterator<Item = &Net> + Clone {
        self.nets.iter().chain(&self.imported)
    }
}

/// A network or a named instance of one.
#[derive(Clone, Debug)]
pub struct Net {
    /// Its name.
    pub name: Name,
    /// The `///` lines above it.
    pub docs: Vec<String>,
    /// What it is.
    pub kind: NetKind,
    /// The whole item.
    pub span: Span,
}

/// What a `net` item defines.
#[derive(Clone, Debug)]
pub enum NetKind {
    /// A family with parameters and a body.
    Family {
        /// Its parameters.
        params: Vec<Param>,
        /// Its statements.
        body: Body,
    },
    /// `= base(args)`.
    Instance {
        /// The network it is an instance of.
        base: Name,
        /// The values given.
        args: Vec<Arg>,
    },
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its name.
    pub name: Name,
    /// The `///` lines above it.
    pub docs: Vec<String>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its statements.
    pub body: Body,
    /// The whole item.
    pub span: Span,
}

/// A parameter of a network or a block.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its default, if it has one.
    pub default: Option<Expr>,
}

/// Statements between braces.
#[derive(Clone, Debug)]
pub struct Body {
    /// The statements in order.
    pub statements: Vec<Statement>,
    /// The location of the braces.
    pub span: Span,
}

/// One statement.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `input ...`.
    Input(Input),
    /// `output name`.
    Output(Name),
    /// `let name = value`.
    Let(Name, Expr),
    /// `keep name`.
    Keep(Name),
    /// `set name`.
    Set(Expr),
    /// `exit name`.
    Exit(Name),
    /// A block defined inside a network.
    Block(Block),
    /// `stage name { ... }`.
    Stage(Name, Body),
    /// A `share` clause.
    Share(Box<Share>),
    /// A step of the forward pass.
    Step(Step),
    /// A statement with a syntax error, already reported.
    Invalid(Span),
}

/// An input of a network.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Its sizes.
    pub dims: Dims,
    /// What token ids are below.
    pub vocabulary: Option<Expr>,
    /// Where it says that it is a signal.
    pub signal: Option<Span>,
}

/// A step with its optional name.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name given.
    pub label: Option<Name>,
    /// What it does.
    pub kind: StepKind,
    /// The whole step.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// A layer or a block.
    Call(Call),
    /// A residual connection.
    Residual {
        /// The word `residual`, with its arguments.
        head: Span,
        /// `project = ...` and the like.
        args: Vec<Arg>,
        /// The body.
        body: Body,
        /// The explicit shortcut, if there is one.
        shortcut: Option<Body>,
    },
    /// A repetition.
    Repeat {
        /// How often; at most, in a loop.
        count: Expr,
        /// What makes it a loop, whose count is given at run time.
        up_to: Option<UpTo>,
        /// The name of the index.
        index: Option<Name>,
        /// What is repeated.
        body: Body,
    },
    /// A body for each of several values.
    Each {
        /// The word `each`.
        head: Span,
        /// The values.
        values: Vec<Expr>,
        /// The names of the results, if those are not the values' own.
        names: Vec<Name>,
        /// What is done with each.
        body: Body,
    },
    /// Optional parts.
    When {
        /// The condition.
        condition: Expr,
        /// If it holds.
        then: Body,
        /// If not.
        otherwise: Option<Body>,
    },
    /// A plain group.
    Sequence(Body),
    /// `from name`.
    From(Expr),
}

/// `up to 16, gradients = 4`.
#[derive(Clone, Debug)]
pub struct UpTo {
    /// The options.
    pub args: Vec<Arg>,
    /// The words `up to`, with the count and the options.
    pub span: Span,
}

/// One branch.
#[derive(Clone, Debug)]
pub struct PathArm {
    /// The name given.
    pub label: Option<Name>,
    /// Its statements.
    pub body: Body,
}

/// A layer or a block with arguments.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of the layer or block.
    pub name: Name,
    /// The arguments.
    pub args: Vec<Arg>,
    /// The branches, if there are braces.
    pub paths: Option<Vec<PathArm>>,
    /// Name and arguments.
    pub span: Span,
}

impl Call {
    /// The branches.
    pub fn paths(&self) -> &[PathArm] {
        self.paths.as_deref().unwrap_or_default()
    }

    /// The values that an operation of several inputs joins by name: its arguments by position.
    pub fn values(&self) -> impl Iterator<Item = &Arg> {
        self.args.iter().filter(|arg| arg.name.is_none())
    }

    /// Whether a statement with a syntax error stands among the branches, so that nobody knows how many there are.
    pub fn has_invalid_paths(&self) -> bool {
        let is_invalid = |path: &PathArm| matches!(path.body.statements.as_slice(), [Statement::Invalid(_)]);
        self.paths().iter().any(is_invalid)
    }
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Its name, if given by name.
    pub name: Option<Name>,
    /// Its value.
    pub value: Dims,
}

/// One or several sizes: `3`, `3 x 32 x 32`.
#[derive(Clone, Debug)]
pub struct Dims {
    /// The sizes; at least one.
    pub sizes: Vec<Expr>,
    /// The whole.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its location.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An invalid expression, already reported.
    Invalid,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A parameter, a constant or a word.
    Name(String),
    /// `min(a, b)` and the like, or a layer with arguments: `squeeze_excite(reduction = 4)`.
    Function(Name, Vec<Arg>),
    /// A value of the forward pass, by its number: only where a value is turned back into an expression.
    Kept(crate::ir::ValueId),
    /// `[64, 128]`.
    List(Vec<Expr>),
    /// `widths[i]`.
    Index(Box<Expr>, Box<Expr>),
    /// `-a`.
    Negate(Box<Expr>),
    /// `not a`.
    Not(Box<Expr>),
    /// `a + b` and the like.
    Binary(Box<Expr>, Spanned<BinaryOp>, Box<Expr>),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    Ne,
    Le,
    Ge,
    Lt,
    Gt,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl BinaryOp {
    /// Its precedence; a higher value binds tighter.
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 0,
            And => 1,
            Eq | Ne | Le | Ge | Lt | Gt => 2,
            Add | Sub => 3,
            Mul | Div | Rem => 4,
        }
    }

    /// Its notation.
    pub fn symbol(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Or => "or",
            And => "and",
            Eq => "==",
            Ne => "!=",
            Le => "<=",
            Ge => ">=",
            Lt => "<",
            Gt => ">",
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Rem => "%",
        }
    }
}
