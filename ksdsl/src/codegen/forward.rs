//! The forward pass of one struct: one emitter per step, each a statement that makes a new `x`
//! of the old one.

use super::names;
use super::shared::Shared;
use super::types;
use crate::ir::{Activation, Conv, Join, Op, Part, PoolKind, Shape};
use crate::plan::{Body, Field, Plan, Private, Source, Step, Type};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// Emits the steps of one body.
pub(super) struct Forward<'p> {
    plan: &'p Plan<'p>,
    shared: &'p Shared,
    body: &'p Body,
    fields: Vec<Ident>,
}

/// The `forward` of a struct.
pub(super) fn method(of: &Type, plan: &Plan<'_>, shared: &Shared) -> TokenStream {
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
    pub(super) fn new(plan: &'p Plan<'p>, shared: &'p Shared, body: &'p Body, reserved: &[&str]) -> Self {
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
                kernel,
                bias,
                private,
            } => self.private_layer(op, *output, [*kernel, *bias], *private),
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

    fn layer(&self, op: &Op, output: Shape, kernel: Source, bias: Source) -> TokenStream {
        match op {
            Op::Conv(_) | Op::Linear { .. } => self.weighted(op, output, self.param(kernel, Part::Kernel), bias),
            Op::BatchNorm { eps, momentum, .. } => {
                let (norm, eps, momentum) = (self.norm(kernel), types::real(eps.0), types::real(momentum.0));
                quote!(let x = #norm.apply(pass, x, #eps, #momentum)?;)
            }
            Op::LayerNorm { eps, .. } => {
                let (norm, eps) = (self.norm(kernel), types::real(eps.0));
                quote!(let x = #norm.apply(x, #eps)?;)
            }
            Op::Activation(kind) => {
                let function = format_ident!("{}", activation(*kind));
                quote!(let x = rt::op::#function(x)?;)
            }
            Op::Pool {
                kind,
                kernel,
                stride,
                pad,
            } => pool(*kind, *kernel, *stride, *pad, output),
            Op::GlobalPool(PoolKind::Average) => quote!(let x = rt::op::global_avg_pool(x)?;),
            Op::GlobalPool(PoolKind::Max) => quote!(let x = rt::op::global_max_pool(x)?;),
            Op::Dropout(p) => {
                let p = types::real(p.0);
                quote!(let x = rt::op::dropout(pass, x, #p)?;)
            }
            Op::Flatten => {
                let output = types::activation(output);
                quote!(let x: #output = rt::op::flatten(x)?;)
            }
            Op::PositionEmbedding { .. } => {
                let weight = self.param(kernel, Part::Kernel);
                quote!(let x = rt::op::position_embedding(x, #weight)?;)
            }
            // `Step::Attend` joins what such a layer joins.
            Op::Attend { .. } | Op::Invalid => TokenStream::new(),
        }
    }

    /// A layer with what it has of its own for its kernel. An addition makes another kernel. Factors act
    /// on the output, so that the kernel is prepared once for all of its visits; the bias comes after them.
    fn private_layer(&self, op: &Op, output: Shape, [kernel, bias]: [Source; 2], private: Private) -> TokenStream {
        if private == Private::NONE {
            return self.layer(op, output, kernel, bias);
        }
        let mut weight = self.param(kernel, Part::Kernel);
        if private.low_rank != Private::NONE.low_rank {
            let [a, b] = private.low_rank.map(|factor| self.param(factor, Part::Kernel));
            weight = quote!(rt::LowRank::new(#weight, #a, #b));
        }
        if private.scale == Source::Absent {
            return self.weighted(op, output, weight, bias);
        }
        let layer = self.weighted(op, output, weight, Source::Absent);
        let (scale, bias) = (self.param(private.scale, Part::Kernel), self.param(bias, Part::Bias));
        quote! {
            #layer
            let x = rt::op::scale(x, #scale, #bias)?;
        }
    }

    /// A convolution or a linear layer with this kernel.
    fn weighted(&self, op: &Op, output: Shape, weight: TokenStream, bias: Source) -> TokenStream {
        let bias = self.param(bias, Part::Bias);
        match op {
            Op::Conv(conv) => conv_step(conv, output, weight, bias),
            _ => quote!(let x = rt::op::linear(x, #weight, #bias)?;),
        }
    }

    fn param(&self, source: Source, part: Part) -> TokenStream {
        match source {
            Source::Absent => quote!(rt::NoBias),
            Source::Own(field) => {
                let name = &self.fields[field];
                quote!(&self.#name)
            }
            Source::Shared(group) => self.shared.visit(group, part, self.plan.network),
        }
    }

    fn norm(&self, source: Source) -> TokenStream {
        match source {
            Source::Own(field) => {
                let name = &self.fields[field];
                quote!(self.#name)
            }
            Source::Shared(group) => self.shared.visit(group, Part::Norm, self.plan.network),
            Source::Absent => TokenStream::new(),
        }
    }
}

fn conv_step(conv: &Conv, output: Shape, weight: TokenStream, bias: TokenStream) -> TokenStream {
    let ([sy, sx], [dy, dx]) = (conv.stride.map(types::size), conv.dilation.map(types::size));
    let (pad, groups) = (conv.pad.map(types::size), types::size(conv.groups));
    let output = types::activation(output);
    quote! {
        let x: #output = rt::op::Conv::<
            rt::Stride<#sy, #sx>, rt::Pad<#(#pad),*>, rt::Dilation<#dy, #dx>, #groups,
        >::apply(x, #weight, #bias)?;
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

fn pool(kind: PoolKind, kernel: [u64; 2], stride: [u64; 2], pad: [u64; 2], output: Shape) -> TokenStream {
    let name = match kind {
        PoolKind::Max => format_ident!("MaxPool"),
        PoolKind::Average => format_ident!("AvgPool"),
    };
    let ([ky, kx], [sy, sx], [py, px]) = (kernel.map(types::size), stride.map(types::size), pad.map(types::size));
    let output = types::activation(output);
    quote! {
        let x: #output = rt::op::#name::<
            rt::Kernel<#ky, #kx>, rt::Stride<#sy, #sx>, rt::Pad<#py, #py, #px, #px>,
        >::apply(x)?;
    }
}

fn activation(kind: Activation) -> &'static str {
    match kind {
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Silu => "silu",
        Activation::Sigmoid => "sigmoid",
        Activation::HardSwish => "hard_swish",
    }
}
