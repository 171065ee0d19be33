//! The model and its builder.

use super::forward::Forward;
use super::module::{self, StructField};
use super::shared::Shared;
use super::{comment, names, types};
use crate::analyse::analyse;
use crate::ir::{Network, Port, Shape, View};
use crate::paths::compress;
use crate::plan::{Plan, docs};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::collections::HashSet;

/// Field names a model's own fields keep clear of.
const RESERVED: &[&str] = &["shared"];

/// `Model`, `Builder` and their impls.
pub(super) fn definitions(plan: &Plan<'_>, shared: &Shared<'_>) -> TokenStream {
    let mut entries = Vec::new();
    if shared.any() {
        let name = format_ident!("shared");
        entries.push(StructField {
            docs: "The shared kernels.".to_owned(),
            ty: quote!(Shared<E, D>),
            visit: module::visit_module("shared"),
            name,
        });
    }
    entries.extend(module::entries(&plan.root, plan, RESERVED));
    let definition = module::definition(
        &format_ident!("Model"),
        comment::line(model_comment(plan.network)),
        &entries,
    );
    let (constants, aliases) = (constants(plan.network), aliases(plan.network));
    let (run, traits) = (run(plan, shared), traits(plan.network));
    quote!(#constants #aliases #definition #run #traits)
}

fn model_comment(network: &Network) -> String {
    format!(
        "The network `{}`: {} to {}, for batches of any size.",
        network.name,
        docs::ports(&network.inputs),
        docs::ports(&network.outputs)
    )
}

/// The comment of the module: what the writer said, then what it costs.
pub(super) fn module_comment(network: &Network) -> TokenStream {
    comment::attributes(&docs::of_network(network))
}

/// What generic code can ask of the builder, and the same as constants of the module.
fn constants(network: &Network) -> TokenStream {
    let analysis = analyse(network);
    let name = &network.name;
    let text = text(&network.text);
    let [trainable, unshared, macs] = [analysis.trainable, analysis.unshared, analysis.macs].map(types::size);
    let largest = types::size(network.largest_activation());
    let input = network.input().sizes().into_iter().map(types::size);
    let output = network.output().sizes().into_iter().map(types::size);
    let shared = shared_kernels(network);
    let macs_comment = match network.loops.is_empty() {
        true => " Multiply-adds of convolutions, linear layers and attention for one image.",
        false => {
            " Multiply-adds of convolutions, linear layers and attention for one image, if loops run as often as they can."
        }
    };
    quote! {
        /// Trainable parameters, each shared kernel counted once.
        pub const PARAMETERS: u64 = #trainable;
        /// Trainable parameters without sharing.
        pub const UNSHARED_PARAMETERS: u64 = #unshared;
        #[doc = #macs_comment]
        pub const MULTIPLY_ADDS: u64 = #macs;

        impl rt::Network for Builder {
            const NAME: &'static str = #name;
            const SPECIFICATION: &'static str = #text;
            const INPUT: &'static [usize] = &[#(#input),*];
            const OUTPUT: &'static [usize] = &[#(#output),*];
            const PARAMETERS: u64 = PARAMETERS;
            const UNSHARED_PARAMETERS: u64 = UNSHARED_PARAMETERS;
            const MULTIPLY_ADDS: u64 = MULTIPLY_ADDS;
            const LARGEST_ACTIVATION: usize = #largest;
            const SHARED: &'static [rt::SharedKernel] = &[#(#shared),*];
        }
    }
}

/// A text as a literal: raw, so that it can be read, where it has only characters that show as they are.
fn text(text: &str) -> TokenStream {
    let plain = |c: char| c == '\n' || c.is_ascii_graphic() || c == ' ' || !c.is_ascii() && c.is_alphanumeric();
    // More than follow any quote in it.
    let signs = |part: &str| part.len() - part.trim_start_matches('#').len();
    let fence = "#".repeat(1 + text.split('"').map(signs).max().unwrap_or(0));
    let raw = || format!("r{fence}\"{text}\"{fence}").parse().ok();
    let raw = text.chars().all(plain).then(raw).flatten();
    raw.unwrap_or_else(|| quote!(#text))
}

/// The shared kernels with their keys and visits, as checkpoints need them.
fn shared_kernels(network: &Network) -> Vec<TokenStream> {
    let mut kernels = Vec::new();
    for group in &network.groups {
        let tensors: Vec<&str> = group.tensors().iter().map(|tensor| tensor.name).collect();
        let mut members = vec![Vec::new(); group.kernels as usize];
        let mut visits = group.visits.iter().map(|layer| &network.layers[*layer]);
        let copies = group.bank.is_none() && visits.all(|layer| layer.view == View::default());
        for (layer, kernel) in group.visits.iter().zip(&group.assignment) {
            members[*kernel as usize].push(&network.layers[*layer].path);
        }
        for (kernel, members) in (0..).zip(members) {
            let visits = compress(members);
            let key = format!("shared.{}", group.kernel_name(kernel));
            kernels.push(quote! {
                rt::SharedKernel { key: #key, tensors: &[#(#tensors),*], visits: &[#(#visits),*], copies: #copies }
            });
        }
    }
    kernels
}

/// The types that go in and come out: tensors, or structs of them where there are several.
pub(super) fn aliases(network: &Network) -> TokenStream {
    let of_inputs = ports("Input", "input", &network.inputs);
    let of_outputs = ports("Output", "output", &network.outputs);
    let traced = (network.inputs.len() > 1).then(|| traced(network));
    quote!(#of_inputs #of_outputs #traced)
}

/// The type of the inputs or the outputs.
fn ports(name: &str, what: &str, ports: &[Port]) -> TokenStream {
    let ident = format_ident!("{name}");
    if let [only] = ports {
        let comment = comment::line(format!("A batch of {what}s, {} each.", only.shape));
        let ty = types::batch(only.shape, quote!(T));
        return quote!(#comment pub type #ident<B, E, D, T = rt::NoneTape> = #ty;);
    }
    let comment = comment::line(format!("A batch of {what}s. All tensors have the same batch size."));
    let first = match what {
        "output" => "It carries the tape: a loss must use it, or none of the gradients is computed.",
        _ => "It carries the tape.",
    };
    let fields = ports.iter().enumerate().map(|(at, port)| {
        let (name, ty) = (port_name(port), types::batch(port.shape, quote!(T)));
        let mut text = vec![format!("{} each.", port.shape)];
        text.extend((at == 0).then(|| first.to_owned()));
        let comment = comment::attributes(&[text.join(" ")]);
        quote!(#comment pub #name: #ty)
    });
    quote! {
        #comment
        #[derive(Clone, Debug)]
        pub struct #ident<B: rt::Dim, E: rt::Dtype, D: rt::Storage<E>, T = rt::NoneTape> {
            #(#fields,)*
        }
    }
}

/// The inputs with a tape, which the first carries.
fn traced(network: &Network) -> TokenStream {
    let mut names = network.inputs.iter().map(port_name);
    let first = names.next();
    let others: Vec<Ident> = names.collect();
    quote! {
        impl<B: rt::Dim, E: rt::Dtype, D: rt::Device<E>> Input<B, E, D> {
            /// The inputs for a training pass, with a tape that writes into these gradients.
            pub fn traced(self, gradients: rt::Gradients<E, D>) -> Input<B, E, D, rt::OwnedTape<E, D>> {
                Input {
                    #first: rt::Trace::traced(self.#first, gradients),
                    #(#others: rt::PutTape::put_tape(self.#others, Default::default()),)*
                }
            }
        }
    }
}

/// The field of an input or output.
fn port_name(port: &Port) -> Ident {
    names::ident(port.name.as_deref().unwrap_or("x"))
}

/// The forward pass of the whole network.
fn run(plan: &Plan<'_>, shared: &Shared<'_>) -> TokenStream {
    let forward = Forward::new(plan, shared, &plan.root, RESERVED);
    let (read, give) = (read(plan.network, &forward), give(plan.network, &forward));
    let steps = forward.steps(&plan.root.steps);
    let bind = shared
        .any()
        .then(|| quote!(let shared = &mut self.shared.bind(x.context_mut())?;));
    quote! {
        impl<E: rt::Scalar, D: rt::Backend<E>> Model<E, D> {
            fn run<B: rt::Dim, T: rt::Tape<E, D>>(
                &self,
                pass: &mut rt::Pass<E, D>,
                x: Input<B, E, D, T>,
            ) -> Result<Output<B, E, D, T>, D::Err> {
                #read
                #bind
                #steps
                #give
            }
        }
    }
}

/// Makes activations of the inputs.
fn read(network: &Network, forward: &Forward<'_>) -> TokenStream {
    let activation = types::activation(network.input());
    let how = |port: &Port| match port.shape {
        Shape::Tokens { .. } => format_ident!("read_tokens"),
        Shape::Signal { .. } => format_ident!("read_signal"),
        _ => format_ident!("read"),
    };
    let first = &network.inputs[0];
    let read_first = how(first);
    if network.inputs.len() == 1 {
        return quote!(let mut x: #activation = pass.#read_first(x)?;);
    }
    let names = network.inputs.iter().map(port_name);
    let others = network.inputs[1..].iter().zip(forward.taken()).map(|(port, value)| {
        let (name, ty, read) = (port_name(port), types::activation(port.shape), how(port));
        quote!(let mut #value: #ty = pass.#read(input.#name)?;)
    });
    let first = port_name(first);
    quote! {
        let input = x;
        pass.same_batch(&[#(rt::Dim::size(&rt::HasShape::shape(&input.#names).0)),*]);
        let mut x: #activation = pass.#read_first(input.#first)?;
        #(#others)*
    }
}

/// Makes tensors of the outputs. The first, made last, gets the tape.
fn give(network: &Network, forward: &Forward<'_>) -> TokenStream {
    let tensor = |port: &Port, value: TokenStream| match port.shape {
        Shape::Tokens { .. } => quote!(#value.into_tokens()),
        Shape::Signal { .. } => quote!(#value.into_signal()),
        _ => quote!(#value.into_tensor()),
    };
    let values = forward.given();
    match (network.outputs.as_slice(), values.as_slice()) {
        ([port], []) => tensor(port, quote!(x)),
        ([port], [value]) => tensor(port, quote!(#value.after(x))),
        ([port, ports @ ..], [value, others @ ..]) => {
            let (name, names) = (port_name(port), ports.iter().map(port_name));
            let made = ports.iter().zip(others).map(|(port, other)| {
                let made = tensor(port, quote!(tape.other(#other)));
                quote!(let #other = #made?;)
            });
            let (first, network) = (tensor(port, quote!(#value.after(x))), &network.name);
            quote! {
                let tape = rt::TapeInFirst::new(#network);
                #(#made)*
                Ok(Output { #name: tape.first(#first?), #(#names: #others,)* })
            }
        }
        _ => TokenStream::new(),
    }
}

/// The type `build_module` is given, and what the model implements.
fn traits(network: &Network) -> TokenStream {
    let comment = comment::line(format!(
        "Builds the model: `device.build_module::<{}::Builder, f32>()`.",
        network.name
    ));
    let first = (network.inputs.len() > 1).then(|| port_name(&network.inputs[0]));
    let whole = (!network.runs_in_slices()).then(|| quote!([#first]));
    let first = first.map(|first| quote!([#first]));
    let loops = steps(network).map(|steps| quote!(#steps rt::loop_traits!(Model, Input #first, Output, Steps);));
    quote! {
        #comment
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Builder;

        rt::model_traits!(Model, Builder, Input #whole, Output);
        #loops
    }
}

/// The counts of loops, which a call can give.
pub(super) fn steps(network: &Network) -> Option<TokenStream> {
    let counts = &network.loops;
    let fields = counts.iter().map(|count| {
        let name = names::ident(&count.name);
        let comment = comment::line(format!("Iterations of `{}`: 1 to {}.", count.name, count.most));
        quote!(#comment pub #name: usize)
    });
    let items = counts.iter().map(|count| {
        let (name, key, most) = (names::ident(&count.name), &count.name, types::size(count.most));
        quote!(#name #key #most)
    });
    let comment = comment::line("How often the loops run; by default as often as they can.");
    let definition = quote! {
        #comment
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Steps { #(#fields,)* }
        rt::steps!(Steps: #(#items),*);
    };
    (!counts.is_empty()).then_some(definition)
}

/// Whether each of several inputs or outputs has a name of its own.
pub(super) fn are_named(ports: &[Port]) -> bool {
    let names: HashSet<&Option<String>> = ports.iter().map(|port| &port.name).collect();
    ports.len() == 1 || names.len() == ports.len() && !names.contains(&None)
}

#[cfg(test)]
mod tests {
    use super::text;

    /// Raw where it can be, and the same text for Rust in any case.
    #[test]
    fn texts_become_literals_of_the_same_value() {
        let cases = [
            ("net a { relu }\n// \u{e9}", true),
            ("// \"quoted\" \"# and \"## more", true),
            ("", true),
            ("a\tb", false),
            ("a\rb", false),
            ("// \u{202e} turned around", false),
        ];
        for (case, raw) in cases {
            let tokens = text(case);
            let literal: syn::LitStr = syn::parse2(tokens.clone()).unwrap();
            assert_eq!(literal.value(), case);
            assert_eq!(tokens.to_string().starts_with('r'), raw, "{tokens}");
        }
    }
}
