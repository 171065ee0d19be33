//! How an operation says what it is in generated Rust.

use super::Shape;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

/// What an operation is written with, and what it has written so far. The names of the runtime begin with `rt::`.
pub struct Rust {
    inputs: Vec<(Ident, Shape)>,
    output: Shape,
    /// The expressions for the operation's tensors by their names, that for its module under an empty name.
    tensors: Vec<(&'static str, TokenStream)>,
    calls: Vec<(Option<Shape>, TokenStream)>,
}

impl Rust {
    pub(crate) fn new(inputs: Vec<(Ident, Shape)>, output: Shape, tensors: Vec<(&'static str, TokenStream)>) -> Self {
        let inputs = inputs.into_iter().map(|(name, shape)| (name, shape.as_map()));
        Rust {
            inputs: inputs.collect(),
            output: output.as_map(),
            tensors,
            calls: Vec::new(),
        }
    }

    /// The variables of the inputs with their shapes; the first is `x`.
    pub(super) fn inputs(&self) -> Vec<(Ident, Shape)> {
        self.inputs.clone()
    }

    /// The shape of the output.
    pub(super) fn output(&self) -> Shape {
        self.output
    }

    /// The argument for a tensor; `rt::NoBias` for one that the layer does not have.
    pub(super) fn tensor(&self, name: &str) -> TokenStream {
        let mut tensors = self.tensors.iter();
        match tensors.find(|(of, _)| *of == name) {
            Some((_, tokens)) => tokens.clone(),
            None => quote!(rt::NoBias),
        }
    }

    /// The module with all tensors of the operation.
    pub(super) fn module(&self) -> TokenStream {
        self.tensor("")
    }

    /// Makes a new `x` by a fallible call whose output has the type of an input.
    pub(crate) fn call(&mut self, call: TokenStream) {
        self.calls.push((None, call));
    }

    /// The same for a call that learns the shape of its output from its type.
    pub(super) fn call_typed(&mut self, call: TokenStream) {
        self.call_to(self.output, call);
    }

    /// Makes a new `x` of all inputs by an operation of the engine that is made of loops, `rt::op::Name { .. }`, with
    /// these tensors.
    pub(super) fn composed(&mut self, operation: TokenStream, tensors: &[&str]) {
        let inputs = self.inputs.iter().map(|(input, _)| input);
        let tensors: Vec<TokenStream> = tensors.iter().map(|name| self.tensor(name)).collect();
        self.call_typed(match tensors.is_empty() {
            true => quote!(rt::op::apply(#operation, [#(#inputs),*])),
            false => quote!(rt::op::apply_with(#operation, [#(#inputs),*], [#(#tensors),*])),
        });
    }

    /// Makes a new `x` of two inputs of any shapes by such an operation.
    pub(super) fn composed_pair(&mut self, operation: TokenStream) {
        let inputs = self.inputs.iter().map(|(input, _)| input);
        self.call_typed(quote!(rt::op::apply_pair(#operation, #(#inputs),*)));
    }

    /// The same for a shape between those of the inputs and the output.
    pub(super) fn call_to(&mut self, shape: Shape, call: TokenStream) {
        self.calls.push((Some(shape), call));
    }

    /// Writes a tensor otherwise.
    pub(crate) fn change(&mut self, name: &str, change: impl Fn(&TokenStream) -> TokenStream) {
        for (_, tensor) in self.tensors.iter_mut().filter(|(of, _)| *of == name) {
            *tensor = change(tensor);
        }
    }

    /// Takes a tensor away; the operation is written as if it had none.
    pub(crate) fn take(&mut self, name: &str) -> TokenStream {
        let tensor = self.tensor(name);
        self.tensors.retain(|(of, _)| *of != name);
        tensor
    }

    /// The statement that makes a new `x` of several inputs, which `inputs` makes of the old one.
    pub(crate) fn joined(mut self, inputs: TokenStream) -> TokenStream {
        let (shape, last) = self.calls.pop().unwrap_or_else(|| (None, quote!(Ok(x))));
        let ty = shape.map(activation).map(|ty| quote!(: #ty));
        let statements = self.statements();
        quote!(let x #ty = { #inputs #statements #last? };)
    }

    /// The statements that make a new `x`.
    pub(crate) fn statements(self) -> TokenStream {
        let statement = |(shape, call): (Option<Shape>, TokenStream)| {
            let ty = shape.map(activation).map(|ty| quote!(: #ty));
            quote!(let x #ty = #call?;)
        };
        self.calls.into_iter().map(statement).collect()
    }
}

/// A size as a literal without suffix.
pub(crate) fn size(value: u64) -> Literal {
    Literal::u64_unsuffixed(value)
}

/// A finite number as a literal without suffix, to full precision.
pub(crate) fn real(value: f64) -> TokenStream {
    let size = Literal::f64_unsuffixed(value.abs());
    if value.is_sign_negative() {
        quote!(-#size)
    } else {
        quote!(#size)
    }
}

/// The typed activation of a shape: `rt::Map<B, 64, 32, 32, E, D, T>`. A sequence is a map of one row.
pub(crate) fn activation(shape: Shape) -> TokenStream {
    let sizes = match shape.as_map() {
        Shape::Tokens { length, features } => vec![features, 1, length],
        shape => shape.sizes(),
    };
    let literals = sizes.iter().copied().map(size);
    match sizes.len() {
        1 => quote!(rt::Flat<B, #(#literals),*, E, D, T>),
        _ => quote!(rt::Map<B, #(#literals),*, E, D, T>),
    }
}
