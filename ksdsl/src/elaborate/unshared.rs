//! A network before its `share` clauses are resolved.

use crate::ast::Share;
use crate::ir::{Count, Kept, Node, Op, Path, Port, Shape};
use crate::source::Span;
use crate::value::{Env, Value};

/// What a network is called and made of.
pub struct Head<'f> {
    /// Its name.
    pub name: &'f str,
    /// The `///` lines above it.
    pub docs: &'f [String],
    /// What specifies it, as written.
    pub text: String,
}

/// A network before its `share` clauses are resolved.
pub struct Elaborated<'f> {
    pub(crate) head: Head<'f>,
    pub(crate) parameters: Vec<(String, Value)>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) values: Vec<Kept>,
    pub(crate) loops: Vec<Count>,
    pub(crate) layers: Vec<Unshared>,
    /// The clauses that hold, with the environment they are read in.
    pub shares: Vec<&'f Share>,
    /// The values clauses can refer to.
    pub env: Env,
    /// Whether layers are missing because of errors.
    pub incomplete: bool,
}

/// A layer before its kernels are shared.
pub(crate) struct Unshared {
    pub(crate) path: Path,
    pub(crate) op: Op,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) span: Span,
    /// How often it runs at most, in loops.
    pub(crate) iterations: Option<u64>,
}
