//! How an operation says what it is in an exported PyTorch module.

use super::Shape;

/// A class or a function that a file defines if an operation uses it. Files order them by name.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Helper {
    /// Its name.
    pub name: &'static str,
    /// What it is written with.
    pub needs: &'static [&'static Helper],
    /// Its text.
    pub text: &'static str,
}

/// A statement.
pub(crate) enum Statement {
    /// `head(args)tail`.
    Call(String, Vec<String>, &'static str),
    /// Anything else.
    Line(String),
}

/// What an operation is written with, and what it has written so far.
pub struct Python {
    inputs: Vec<(String, Shape)>,
    /// The expressions for the operation's tensors by their names.
    tensors: Vec<(&'static str, String)>,
    /// The module with all tensors of the operation, if it is the layer's own.
    module: Option<String>,
    pub(crate) statements: Vec<Statement>,
    pub(crate) helpers: Vec<&'static Helper>,
}

impl Python {
    pub(crate) fn new(
        inputs: Vec<(String, Shape)>,
        tensors: Vec<(&'static str, String)>,
        module: Option<String>,
    ) -> Self {
        let inputs = inputs.into_iter().map(|(name, shape)| (name, shape.as_map()));
        Python {
            inputs: inputs.collect(),
            tensors,
            module,
            statements: Vec::new(),
            helpers: Vec::new(),
        }
    }

    /// The expressions for the inputs with their shapes. The output takes the first one's name.
    pub(super) fn inputs(&self) -> Vec<(String, Shape)> {
        self.inputs.clone()
    }

    /// The expression for the first input.
    pub(super) fn x(&self) -> String {
        self.inputs[0].0.clone()
    }

    /// The expressions for those of these tensors that the layer has.
    pub(super) fn tensors(&self, names: &[&str]) -> Vec<String> {
        let find = |name: &&str| self.tensors.iter().find(|(of, _)| of == name);
        names
            .iter()
            .filter_map(find)
            .map(|(_, tensor)| tensor.clone())
            .collect()
    }

    /// The module with all tensors of the operation, if it is the layer's own rather than shared.
    pub(super) fn module(&self) -> Option<String> {
        self.module.clone()
    }

    /// Makes a new `x` of the old one: `x = function(x, args)`.
    pub(super) fn call(&mut self, function: &str, args: Vec<String>) {
        self.call_and(function, args, "");
    }

    /// The same with something after the call.
    pub(super) fn call_and(&mut self, function: &str, args: Vec<String>, tail: &'static str) {
        let all = std::iter::once(self.x()).chain(args).collect();
        self.call_of(function, all, tail);
    }

    /// The same with all arguments given.
    pub(super) fn call_of(&mut self, function: &str, args: Vec<String>, tail: &'static str) {
        let head = format!("{} = {function}", self.x());
        self.statements.push(Statement::Call(head, args, tail));
    }

    /// Makes a new `x` by an expression.
    pub(super) fn assign(&mut self, expression: &str) {
        let line = format!("{} = {expression}", self.x());
        self.statements.push(Statement::Line(line));
    }

    /// Has a class or a function defined.
    pub(super) fn needs(&mut self, helper: &'static Helper) {
        self.helpers.push(helper);
    }
}

/// One size for both directions, or `(height, width)`.
pub(super) fn sizes([height, width]: [u64; 2]) -> String {
    match height == width {
        true => height.to_string(),
        false => format!("({height}, {width})"),
    }
}
