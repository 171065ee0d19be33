//! The forward pass of one struct: one emitter per step, each a statement that makes a new `x`
//! of the old one.

use super::names::fields;
use super::shared::Shared;
use super::types;
use crate::ir::{Op, PrivateTensors, Shape};
use crate::ops::Rust;
use crate::plan::{Arm, Body, Field, FieldId, Location, Plan, Step, Type};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// Emits the steps of one body.
pub(super) struct Forward<'p> {
    plan: &'p Plan<'p>,
    shared: &'p Shared<'p>,
    body: &'p Body,
    fields: Vec<Ident>,
}

/// The `forward` of a struct.
pub(super) fn method(of: &Type, plan: &Plan<'_>, shared: &Shared<'_>) -> TokenStream {
    let forward = Forward::new(plan, shared, &of.body, &[]);
    let name = format_ident!("{}", of.name);
    let (input, output) = (types::activation(of.body.input), types::activation(of.body.output));
    let pass = of.uses_pass.then(|| quote!(pass: &mut rt::Pass<E, D>,));
    let visits = shared.visits_type();
    let visits = of.uses_shared.then(|| quote!(shared: &mut #visits,));
    let steps = forward.steps(&of.body.steps);
    quote! {
        impl<E: rt::Scalar, D: rt::Backend<E>> #name<E, D> {
            fn forward<B: rt::Dim, T: rt::Tape<E, D>>(&self, #pass #visits x: #input) -> Result<#output, D::Err> {
                #steps
                Ok(x)
            }
        }
    }
}

impl<'p> Forward<'p> {
    pub(super) fn new(plan: &'p Plan<'p>, shared: &'p Shared<'p>, body: &'p Body, reserved: &[&str]) -> Self {
        Forward {
            plan,
            shared,
            body,
            fields: fields(body, reserved),
        }
    }

    pub(super) fn steps(&self, steps: &[Step]) -> TokenStream {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Step) -> TokenStream {
        match step {
            Step::Layer {
                op,
                output,
                tensors,
                private,
                arms,
            } => {
                let mut call = Rust::new(inputs(*output, arms), *output, self.tensors(op, tensors));
                self.layer(op, *private, &mut call);
                match arms.as_slice() {
                    [] => call.statements(),
                    arms => call.joined(self.arms(arms)),
                }
            }
            Step::Module(field) => {
                let (name, args) = (&self.fields[*field], self.args(*field));
                quote!(let x = self.#name.forward(#args x)?;)
            }
            Step::Repeat(field) => {
                let (name, args) = (&self.fields[*field], self.args(*field));
                quote! {
                    let mut x = x;
                    for block in self.#name.iter() {
                        x = block.forward(#args x)?;
                    }
                }
            }
        }
    }

    /// What the forward pass of a field wants before its input.
    fn args(&self, field: usize) -> TokenStream {
        let (Field::Module { of, .. } | Field::Repeat { of, .. }) = &self.body.fields[field] else {
            return TokenStream::new();
        };
        let of = &self.plan.types[*of];
        let pass = of.uses_pass.then(|| quote!(pass,));
        let shared = of.uses_shared.then(|| quote!(shared,));
        quote!(#pass #shared)
    }

    /// A layer with what it has of its own for its kernel. An addition makes another kernel. Factors act
    /// on the output, so that the kernel is prepared once for all of its visits; the bias comes after them.
    fn layer(&self, op: &Op, private: PrivateTensors<FieldId>, call: &mut Rust) {
        let own = |field| self.tensor(Location::Own(field));
        if let Some(factors) = private.low_rank {
            let [a, b] = factors.map(own);
            call.change("weight", |weight| quote!(rt::LowRank::new(#weight, #a, #b)));
        }
        let Some(scale) = private.scale.map(own) else {
            return op.rust(call);
        };
        let bias = call.take("bias");
        op.rust(call);
        call.call(quote!(rt::op::scale(x, #scale, #bias)));
    }

    /// The statements that make the inputs of a join of `x`; the first stays `x`.
    fn arms(&self, arms: &[Arm]) -> TokenStream {
        let names = names(arms);
        let forks = names.windows(2).map(|pair| {
            let (one, rest) = (&pair[0], &pair[1]);
            quote!(let (#one, #rest) = #one.fork()?;)
        });
        let first = arms.first().map(|arm| self.steps(&arm.steps));
        let others = arms.iter().zip(&names).skip(1).map(|(arm, name)| {
            // An empty branch is the identity.
            (!arm.steps.is_empty()).then(|| {
                let steps = self.steps(&arm.steps);
                quote!(let #name = { let x = #name; #steps x };)
            })
        });
        quote!(#(#forks)* #first #(#others)*)
    }

    /// The expressions for the tensors of an operation, or nameless for the module that holds them all.
    fn tensors(&self, op: &Op, sources: &[Location]) -> Vec<(&'static str, TokenStream)> {
        if op.module().is_some() {
            let module = sources.iter().map(|source| match source {
                Location::Own(field) => {
                    let name = &self.fields[*field];
                    quote!(self.#name)
                }
                source => self.tensor(*source),
            });
            return module.map(|module| ("", module)).collect();
        }
        let names = op.tensors().into_iter().map(|tensor| tensor.name);
        let tensors = names.zip(sources);
        tensors.map(|(name, source)| (name, self.tensor(*source))).collect()
    }

    fn tensor(&self, source: Location) -> TokenStream {
        match source {
            Location::Own(field) => {
                let name = &self.fields[field];
                quote!(&self.#name)
            }
            Location::Shared(group, tensor) => self.shared.visit(group, tensor),
        }
    }
}

/// The variables of the branches of a join: `x`, then the names that they have, numbered where they are equal.
fn names(arms: &[Arm]) -> Vec<Ident> {
    let name = |(at, arm): (usize, &Arm)| {
        let alone = arms[1..].iter().filter(|other| other.name == arm.name).count() == 1;
        match (at, alone) {
            (0, _) => format_ident!("x"),
            (_, true) => format_ident!("{}", arm.name),
            (at, false) => format_ident!("{}{at}", arm.name),
        }
    };
    arms.iter().enumerate().map(name).collect()
}

/// The inputs of an operation with their shapes.
fn inputs(output: Shape, arms: &[Arm]) -> Vec<(Ident, Shape)> {
    match arms {
        [] => vec![(format_ident!("x"), output)],
        arms => names(arms).into_iter().zip(arms.iter().map(|arm| arm.output)).collect(),
    }
}
