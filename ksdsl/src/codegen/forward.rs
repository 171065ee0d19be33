//! The forward pass of one struct: one emitter per step, each a statement that makes a new `x`
//! of the old one.

use super::names::{fields, values};
use super::shared::Shared;
use super::types;
use crate::ir::{Op, Part, PrivateTensors, Shape, View};
use crate::ops::Rust;
use crate::plan::{Arm, Body, Field, FieldId, LocalId, Location, Plan, Step, Type, TypeId, Use};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// Emits the steps of one body.
pub(super) struct Forward<'p> {
    pub(super) plan: &'p Plan<'p>,
    shared: &'p Shared<'p>,
    body: &'p Body,
    pub(super) fields: Vec<Ident>,
    values: Vec<Ident>,
}

/// The `forward` of a struct.
pub(super) fn method(of: &Type, plan: &Plan<'_>, shared: &Shared<'_>) -> TokenStream {
    let forward = Forward::new(plan, shared, &of.body, &[]);
    let name = format_ident!("{}", of.name);
    let input = types::activation(of.body.input);
    let taken = forward.values[..of.body.takes].iter().zip(&of.body.values);
    let taken = taken.map(|(name, value)| {
        let ty = types::activation(value.shape);
        quote!(mut #name: #ty)
    });
    let output = forward.with_sets(types::activation(of.body.output), |value| {
        types::activation(of.body.values[value].shape)
    });
    let x = forward.with_sets(quote!(x), |value| forward.value(value));
    let pass = of.uses_pass.then(|| quote!(pass: &mut rt::Pass<E, D>,));
    let visits = shared.visits_type();
    let visits = of.uses_shared.then(|| quote!(shared: &mut #visits,));
    let steps = forward.steps(&of.body.steps);
    quote! {
        impl<E: rt::Scalar, D: rt::Backend<E>> #name<E, D> {
            fn forward<B: rt::Dim, T: rt::Tape<E, D>>(&self, #pass #visits x: #input, #(#taken),*) -> Result<#output, D::Err> {
                #steps
                Ok(#x)
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
            values: values(body),
        }
    }

    /// An output, with those of the values from outside that the body sets.
    fn with_sets(&self, output: TokenStream, of: impl Fn(LocalId) -> TokenStream) -> TokenStream {
        let sets: Vec<TokenStream> = self.body.sets.iter().map(|value| of(*value)).collect();
        match sets.is_empty() {
            true => output,
            false => quote!((#output, #(#sets),*)),
        }
    }

    /// The variables of the values that come from outside.
    pub(super) fn taken(&self) -> &[Ident] {
        &self.values[..self.body.takes]
    }

    /// The variables of the values that go outside.
    pub(super) fn given(&self) -> Vec<TokenStream> {
        self.body.sets.iter().map(|value| self.value(*value)).collect()
    }

    pub(super) fn value(&self, value: LocalId) -> TokenStream {
        let name = &self.values[value];
        quote!(#name)
    }

    /// A value as something of its own: the last time it is moved.
    fn used(&self, of: Use) -> TokenStream {
        let name = &self.values[of.value];
        match of.last {
            true => quote!(#name),
            false => quote!(#name.again()),
        }
    }

    pub(super) fn steps(&self, steps: &[Step]) -> TokenStream {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Step) -> TokenStream {
        match step {
            Step::Layer {
                op,
                input,
                output,
                tensors,
                private,
                view,
                arms,
            } => {
                let mut call = Rust::new(inputs(*input, arms), *output, self.tensors(op, tensors));
                self.combine(*private, &mut call);
                self.view(op, *view, tensors, &mut call);
                self.layer(op, *private, &mut call);
                match arms.as_slice() {
                    [] => call.statements(),
                    arms => call.joined(self.arms(arms)),
                }
            }
            Step::Module(field, uses) => self.module(*field, uses),
            Step::Repeat(field, uses) => self.repeat(*field, uses),
            Step::Loop(of) => self.run_time_loop(of),
            Step::Keep(value) => {
                let name = &self.values[*value];
                quote!(let (x, mut #name) = x.fork()?;)
            }
            Step::Set(value) => {
                let name = &self.values[*value];
                quote!(let x = { let (x, kept) = x.fork()?; #name = kept; x };)
            }
            Step::From(of) => {
                let value = self.used(*of);
                quote!(let x = #value.after(x);)
            }
        }
    }

    /// The call of a struct.
    fn module(&self, field: FieldId, uses: &[Use]) -> TokenStream {
        let (name, args) = (&self.fields[field], self.args(field));
        let sets = self.sets(field, uses);
        let values = uses.iter().map(|of| match sets.contains(&of.value) {
            true => self.value(of.value),
            false => self.used(*of),
        });
        let call = quote!(self.#name.forward(#args x, #(#values),*)?);
        if sets.is_empty() {
            return quote!(let x = #call;);
        }
        let (new, names) = self.new_values(&sets);
        quote!(let (x, #(#new),*) = #call; #(#names = #new;)*)
    }

    /// The calls of equal structs in a row. A value that is used no more after them ends with them.
    fn repeat(&self, field: FieldId, uses: &[Use]) -> TokenStream {
        let (name, args) = (&self.fields[field], self.args(field));
        let sets = self.sets(field, uses);
        let values = uses.iter().map(|of| match sets.contains(&of.value) {
            true => self.value(of.value),
            false => self.used(Use { last: false, ..*of }),
        });
        let ended = uses.iter().filter(|of| of.last && !sets.contains(&of.value));
        let ended = ended.map(|of| self.value(of.value));
        let call = quote!(block.forward(#args x, #(#values),*)?);
        let (new, names) = self.new_values(&sets);
        let step = match sets.is_empty() {
            true => quote!(x = #call;),
            false => quote!(let (y, #(#new),*) = #call; x = y; #(#names = #new;)*),
        };
        quote! {
            let mut x = x;
            for block in self.#name.iter() {
                #step
            }
            #(drop(#ended);)*
        }
    }

    /// The struct of a field.
    pub(super) fn type_of(&self, field: FieldId) -> TypeId {
        let (Field::Module { of, .. } | Field::Repeat { of, .. }) = &self.body.fields[field] else {
            unreachable!("a struct is called")
        };
        *of
    }

    /// Which of the values that a struct takes it sets.
    fn sets(&self, field: FieldId, uses: &[Use]) -> Vec<LocalId> {
        let sets = self.plan.types[self.type_of(field)].body.sets.iter();
        sets.map(|taken| uses[*taken].value).collect()
    }

    /// Variables for new values, and those of the old ones.
    pub(super) fn new_values(&self, sets: &[LocalId]) -> (Vec<Ident>, Vec<TokenStream>) {
        let new = sets.iter().map(|value| format_ident!("new_{}", self.values[*value]));
        (new.collect(), sets.iter().map(|value| self.value(*value)).collect())
    }

    /// What the forward pass of a field wants before its input.
    pub(super) fn args(&self, field: usize) -> TokenStream {
        let of = &self.plan.types[self.type_of(field)];
        let pass = of.uses_pass.then(|| quote!(pass,));
        let shared = of.uses_shared.then(|| quote!(shared,));
        quote!(#pass #shared)
    }

    /// Makes a layer's kernel of those of its bank.
    fn combine(&self, private: PrivateTensors<FieldId>, call: &mut Rust) {
        if let Some(coefficients) = private.coefficients {
            let coefficients = self.tensor(Location::Own(coefficients));
            call.change("weight", |bank| quote!(rt::Combined::new(#bank, #coefficients)));
        }
    }

    /// Takes the part of a shared kernel that a layer uses.
    fn view(&self, op: &Op, view: View, tensors: &[Location], call: &mut Rust) {
        let kernel = op.tensors().iter().position(|tensor| tensor.part == Part::Kernel);
        let stored = match kernel.and_then(|at| tensors.get(at)) {
            Some(Location::Shared(group, _)) => self.shared.kernel_shape(*group),
            _ => None,
        };
        let shapes = stored.zip(op.kernel_shape());
        let how = match (view.transposed, view.slice) {
            (false, false) => return,
            (false, true) => quote!(of),
            (true, _) => quote!(transposed),
        };
        if let Some((stored, own)) = shapes {
            let (stored, own) = (types::rank(&stored), types::rank(&own));
            call.change("weight", |kernel| quote!(rt::View::<#stored, #own, _>::#how(#kernel)));
        }
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
        // A branch that begins with a named value needs no input.
        let inputs: Vec<&Ident> = names
            .iter()
            .enumerate()
            .filter(|(at, _)| *at == 0 || arms[*at].source().is_none())
            .map(|(_, name)| name)
            .collect();
        let forks = inputs.windows(2).map(|pair| {
            let (one, rest) = (pair[0], pair[1]);
            quote!(let (#one, #rest) = #one.fork()?;)
        });
        let first = arms.first().map(|arm| self.steps(&arm.steps));
        let others = arms.iter().zip(&names).skip(1).map(|(arm, name)| {
            let (input, steps) = match arm.source() {
                Some(of) => (self.used(of), &arm.steps[1..]),
                None => (quote!(#name), arm.steps.as_slice()),
            };
            // An empty branch is the identity.
            match (steps, arm.source()) {
                ([], None) => TokenStream::new(),
                ([], Some(_)) => quote!(let #name = #input;),
                (steps, _) => {
                    let steps = self.steps(steps);
                    quote!(let #name = { let x = #input; #steps x };)
                }
            }
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
fn inputs(input: Shape, arms: &[Arm]) -> Vec<(Ident, Shape)> {
    match arms {
        [] => vec![(format_ident!("x"), input)],
        arms => names(arms).into_iter().zip(arms.iter().map(|arm| arm.output)).collect(),
    }
}
