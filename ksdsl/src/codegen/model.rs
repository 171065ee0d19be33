//! The model and its builder.

use super::docs;
use super::forward::Forward;
use super::module::{self, Entry};
use super::plan::Plan;
use super::shared::Shared;
use super::types;
use crate::analyse::analyse;
use crate::ir::Network;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// Field names a model's own fields keep clear of.
const RESERVED: &[&str] = &["shared"];

/// `Model`, `Builder` and their impls.
pub(super) fn definitions(plan: &Plan<'_>, shared: &Shared) -> TokenStream {
    let mut entries = Vec::new();
    if shared.any() {
        let name = format_ident!("shared");
        let visit = module::visit_module("shared", &name);
        entries.push(Entry {
            docs: "The kernels that several layers use.".to_owned(),
            ty: quote!(Shared<E, D>),
            visit,
            name,
        });
    }
    entries.extend(module::entries(&plan.root, plan, RESERVED));
    let definition = module::definition(
        &format_ident!("Model"),
        docs::line(model_comment(plan.network)),
        &entries,
    );
    let (constants, run, traits) = (constants(plan.network), run(plan, shared), traits(plan.network));
    quote!(#constants #definition #run #traits)
}

fn model_comment(network: &Network) -> String {
    format!(
        "The network `{}`: {} to {}, for batches of any size.",
        network.name, network.input, network.output
    )
}

/// The comment of the module: what the writer said, then what it costs.
pub(super) fn module_comment(network: &Network) -> TokenStream {
    let analysis = analyse(network);
    let settings: Vec<String> = network
        .parameters
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut lines = network.docs.clone();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!(
        "`{}({})`: {} to {}.",
        network.name,
        settings.join(", "),
        network.input,
        network.output
    ));
    lines.push(String::new());
    lines.push(format!(
        "{} trainable parameters ({} if nothing were shared), {} multiply-adds per image.",
        analysis.trainable, analysis.unshared, analysis.macs
    ));
    docs::attributes(&lines)
}

fn constants(network: &Network) -> TokenStream {
    let analysis = analyse(network);
    let (trainable, unshared, macs) = (
        types::size(analysis.trainable),
        types::size(analysis.unshared),
        types::size(analysis.macs),
    );
    quote! {
        /// Trainable parameters, each shared kernel counted once.
        pub const PARAMETERS: u64 = #trainable;
        /// Trainable parameters if nothing were shared.
        pub const UNSHARED_PARAMETERS: u64 = #unshared;
        /// Multiply-adds of convolutions and linear layers for one image.
        pub const MULTIPLY_ADDS: u64 = #macs;
    }
}

/// The forward pass of the whole network.
fn run(plan: &Plan<'_>, shared: &Shared) -> TokenStream {
    let steps = Forward::new(plan, shared, &plan.root, RESERVED).steps(&plan.root.steps);
    let network = plan.network;
    let tape = || quote!(T);
    let (input, output) = (
        types::batch(network.input, tape()),
        types::batch(network.output, tape()),
    );
    let activation = types::activation(network.input);
    let bind = shared
        .any()
        .then(|| quote!(let shared = &mut self.shared.bind(x.tape_mut())?;));
    let mutable = shared.any().then(|| quote!(mut));
    quote! {
        impl<E: rt::Scalar, D: rt::Backend<E>> Model<E, D> {
            fn run<B: rt::Dim, T: rt::Tape<E, D>>(
                &self,
                pass: &mut rt::Pass<E, D>,
                x: #input,
            ) -> Result<#output, D::Err> {
                let #mutable x: #activation = rt::Act::read(x)?;
                #bind
                #steps
                x.into_tensor()
            }
        }
    }
}

fn traits(network: &Network) -> TokenStream {
    let (none, owned) = (quote!(rt::NoneTape), quote!(rt::OwnedTape<E, D>));
    let (input, output) = (
        types::batch(network.input, none.clone()),
        types::batch(network.output, none),
    );
    let (traced, logits) = (
        types::batch(network.input, owned.clone()),
        types::batch(network.output, owned),
    );
    let builder = builder(network);
    quote! {
        #builder

        /// Inference: running statistics, no dropout.
        impl<B: rt::Dim, E: rt::Scalar, D: rt::Backend<E>> rt::Module<#input> for Model<E, D> {
            type Output = #output;
            type Error = D::Err;

            fn try_forward(&self, x: #input) -> Result<Self::Output, D::Err> {
                let mut pass = rt::Pass::inference(x.device());
                self.run(&mut pass, x)
            }
        }

        /// Training: the batch's statistics, which update the running ones, and dropout.
        impl<B: rt::Dim, E: rt::Scalar, D: rt::Backend<E>> rt::ModuleMut<#traced> for Model<E, D> {
            type Output = #logits;
            type Error = D::Err;

            fn try_forward_mut(&mut self, x: #traced) -> Result<Self::Output, D::Err> {
                let mut pass = rt::Pass::training(x.device());
                let y = self.run(&mut pass, x)?;
                pass.update_running_statistics(self)?;
                Ok(y)
            }
        }
    }
}

/// The type `build_module` is told.
fn builder(network: &Network) -> TokenStream {
    let comment = docs::line(format!(
        "Builds the model: `device.build_module::<{}::Builder, f32>()`.",
        network.name
    ));
    quote! {
        #comment
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Builder;

        impl<E: rt::Dtype, D: rt::Device<E>> rt::BuildOnDevice<D, E> for Builder {
            type Built = Model<E, D>;
        }
    }
}

/// What stands in for a network with errors: everything that code outside can name, doing nothing.
pub(super) fn stub(network: Option<&Network>) -> TokenStream {
    let definition = module::definition(&format_ident!("Model"), docs::line("A network with errors."), &[]);
    let (input, output) = match network {
        Some(network) => (network.input, network.output),
        None => (crate::ir::Shape::Flat(1), crate::ir::Shape::Flat(1)),
    };
    let tapes = [
        (quote!(Module), quote!(try_forward), quote!(&self), quote!(rt::NoneTape)),
        (
            quote!(ModuleMut),
            quote!(try_forward_mut),
            quote!(&mut self),
            quote!(rt::OwnedTape<E, D>),
        ),
    ];
    let impls = tapes.into_iter().map(|(of, method, receiver, tape)| {
        // With unknown shapes a tensor of any shape may come in, and comes out again.
        let (generic, input, output) = match network {
            Some(_) => (
                quote!(B: rt::Dim,),
                types::batch(input, tape.clone()),
                types::batch(output, tape),
            ),
            None => (
                quote!(S: rt::Shape,),
                quote!(rt::Tensor<S, E, D, #tape>),
                quote!(rt::Tensor<S, E, D, #tape>),
            ),
        };
        quote! {
            impl<#generic E: rt::Dtype, D: rt::Device<E>> rt::#of<#input> for Model<E, D> {
                type Output = #output;
                type Error = D::Err;

                fn #method(#receiver, _: #input) -> Result<Self::Output, D::Err> {
                    unreachable!("a network with errors is never built")
                }
            }
        }
    });
    quote! {
        #definition
        #(#impls)*

        /// Builds a network with errors.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Builder;

        impl<E: rt::Dtype, D: rt::Device<E>> rt::BuildOnDevice<D, E> for Builder {
            type Built = Model<E, D>;
        }

        /// Unknown: the network has errors.
        pub const PARAMETERS: u64 = 0;
        /// Unknown: the network has errors.
        pub const UNSHARED_PARAMETERS: u64 = 0;
        /// Unknown: the network has errors.
        pub const MULTIPLY_ADDS: u64 = 0;
    }
}
