//! The forward pass of one struct: one emitter per step, each a statement that makes a new `x`
//! of the old one.

use super::names;
use super::shared::Shared;
use super::types;
use crate::ir::{Join, Op, Shape};
use crate::ops::Rust;
use crate::plan::{Body, Field, Plan, Private, Source, Step, Type};
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
            fields: names::fields(body, reserved),
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
            } => self.layer(op, *output, tensors, *private),
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
            Step::Residual { main, skip } => self.residual(main, skip),
            Step::Branch { join, arms } => self.branch(*join, arms),
            Step::Gate(gate) => {
                let gate = self.steps(gate);
                quote! {
                    let x = {
                        let (x, gate) = x.fork()?;
                        let gate = { let x = gate; #gate x };
                        rt::op::gate(x, gate)?
                    };
                }
            }
            Step::Attend { inputs, heads } => self.attend(inputs, *heads),
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

    fn attend(&self, inputs: &[Vec<Step>; 3], heads: u64) -> TokenStream {
        let [query, key, value] = inputs.each_ref().map(|steps| self.steps(steps));
        let heads = types::size(heads);
        quote! {
            let x = {
                let (q, k) = x.fork()?;
                let (k, v) = k.fork()?;
                let q = { let x = q; #query x };
                let k = { let x = k; #key x };
                let v = { let x = v; #value x };
                rt::op::Attend::<#heads>::apply(q, k, v)?
            };
        }
    }

    fn residual(&self, main: &[Step], skip: &[Step]) -> TokenStream {
        let (main, other) = (self.steps(main), self.steps(skip));
        let skip = if skip.is_empty() {
            quote!()
        } else {
            quote!(let skip = { let x = skip; #other x };)
        };
        quote! {
            let x = {
                let (x, skip) = x.fork()?;
                #main
                #skip
                rt::op::add(x, skip)?
            };
        }
    }

    fn branch(&self, join: Join, arms: &[(Vec<Step>, Shape)]) -> TokenStream {
        let inputs: Vec<Ident> = (0..arms.len()).map(|arm| format_ident!("x{arm}")).collect();
        let forks = inputs.windows(2).map(|pair| {
            let (one, rest) = (&pair[0], &pair[1]);
            quote!(let (#one, #rest) = #one.fork()?;)
        });
        let arms_done = arms.iter().zip(&inputs).map(|((steps, _), input)| {
            // An empty branch is the identity.
            (!steps.is_empty()).then(|| {
                let steps = self.steps(steps);
                quote!(let #input = { let x = #input; #steps x };)
            })
        });
        let joins = arms
            .iter()
            .zip(&inputs)
            .skip(1)
            .scan(arms[0].1, |so_far, ((_, shape), arm)| {
                let (statement, joined) = join_arm(join, *so_far, *shape, arm);
                *so_far = joined;
                Some(statement)
            });
        let first = &inputs[0];
        quote! {
            let x = {
                let #first = x;
                #(#forks)*
                #(#arms_done)*
                let x = #first;
                #(#joins)*
                x
            };
        }
    }

    /// A layer with what it has of its own for its kernel. An addition makes another kernel. Factors act
    /// on the output, so that the kernel is prepared once for all of its visits; the bias comes after them.
    fn layer(&self, op: &Op, output: Shape, sources: &[Source], private: Private) -> TokenStream {
        let mut tensors = self.tensors(op, sources);
        if private.low_rank != Private::NONE.low_rank {
            let [a, b] = private.low_rank.map(|factor| self.tensor(factor));
            let kernel = tensors.iter_mut().filter(|(name, _)| *name == "weight");
            kernel.for_each(|(_, weight)| *weight = quote!(rt::LowRank::new(#weight, #a, #b)));
        }
        let scaled = private.scale != Source::Absent;
        let bias = tensors.iter().position(|(name, _)| *name == "bias");
        let bias = bias.filter(|_| scaled).map(|at| tensors.remove(at).1);
        let mut call = Rust::new(vec![(format_ident!("x"), output)], output, tensors);
        op.rust(&mut call);
        let statements = call.statements();
        let scale = scaled.then(|| {
            let (scale, bias) = (self.tensor(private.scale), bias.unwrap_or_else(|| quote!(rt::NoBias)));
            quote!(let x = rt::op::scale(x, #scale, #bias)?;)
        });
        quote!(#statements #scale)
    }

    /// The expressions for the tensors of an operation, or nameless for the module that holds them all.
    fn tensors(&self, op: &Op, sources: &[Source]) -> Vec<(&'static str, TokenStream)> {
        if op.module().is_some() {
            let module = sources.iter().map(|source| match source {
                Source::Own(field) => {
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

    fn tensor(&self, source: Source) -> TokenStream {
        match source {
            Source::Absent => quote!(rt::NoBias),
            Source::Own(field) => {
                let name = &self.fields[field];
                quote!(&self.#name)
            }
            Source::Shared(group, tensor) => self.shared.visit(group, tensor),
        }
    }
}

/// The statement that joins one more arm to `x`, and the shape it gives.
fn join_arm(join: Join, so_far: Shape, arm_shape: Shape, arm: &Ident) -> (TokenStream, Shape) {
    match (join, so_far, arm_shape) {
        (Join::Add, ..) => (quote!(let x = rt::op::add(x, #arm)?;), so_far),
        (Join::Multiply, Shape::Map { .. }, Shape::Flat(_)) => (quote!(let x = rt::op::gate(x, #arm)?;), so_far),
        (Join::Multiply, Shape::Flat(_), Shape::Map { .. }) => (quote!(let x = rt::op::gate(#arm, x)?;), arm_shape),
        (Join::Multiply, ..) => (quote!(let x = rt::op::multiply(x, #arm)?;), so_far),
        (Join::Concat, ..) => {
            let joined = so_far.with_channels(so_far.channels() + arm_shape.channels());
            let output = types::activation(joined);
            (quote!(let x: #output = rt::op::concat(x, #arm)?;), joined)
        }
    }
}
