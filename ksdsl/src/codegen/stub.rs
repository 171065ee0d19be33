//! What a model is replaced by where its specification has errors.

use super::model::{aliases, are_named, steps};
use super::{comment, module};
use crate::ir::Network;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// What stands in for a network with errors: everything that code outside can name, doing nothing.
pub(super) fn stub(network: Option<&Network>) -> TokenStream {
    let network = network.filter(|network| are_named(&network.inputs) && are_named(&network.outputs));
    let definition = module::definition(&format_ident!("Model"), comment::line("A network with errors."), &[]);
    let aliases = network.map_or_else(unknown_aliases, aliases);
    let impls = [stub_impl(network, false), stub_impl(network, true)];
    // Of a network that was not resolved it is not known whether it has loops.
    let loops = match network {
        Some(network) => steps(network).map(|steps| quote!(#steps rt::loop_stub!(Model, Steps);)),
        None => Some(quote!(rt::loop_stub!(Model);)),
    };
    quote! {
        #definition
        #aliases
        #loops
        #(#impls)*

        /// Builds a network with errors.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Builder;

        impl<E: rt::Dtype, D: rt::Device<E>> rt::BuildOnDevice<D, E> for Builder {
            type Built = Model<E, D>;
        }

        impl<E: rt::Dtype, D: rt::Storage<E>> rt::Generated for Model<E, D> {
            type Network = Builder;
        }

        impl rt::Network for Builder {
            const NAME: &'static str = "a network with errors";
            const SPECIFICATION: &'static str = "";
            const INPUT: &'static [usize] = &[];
            const OUTPUT: &'static [usize] = &[];
            const PARAMETERS: u64 = 0;
            const UNSHARED_PARAMETERS: u64 = 0;
            const MULTIPLY_ADDS: u64 = 0;
            const LARGEST_ACTIVATION: usize = 0;
            const SHARED: &'static [rt::SharedKernel] = &[];
        }

        /// Unknown: the network has errors.
        pub const PARAMETERS: u64 = 0;
        /// Unknown: the network has errors.
        pub const UNSHARED_PARAMETERS: u64 = 0;
        /// Unknown: the network has errors.
        pub const MULTIPLY_ADDS: u64 = 0;
    }
}

fn unknown_aliases() -> TokenStream {
    quote! {
        /// Unknown: the network has errors.
        pub type Input<B, E, D, T = rt::NoneTape> = rt::Tensor<(B,), E, D, T>;
        /// Unknown: the network has errors.
        pub type Output<B, E, D, T = rt::NoneTape> = rt::Tensor<(B,), E, D, T>;
    }
}

/// `Module`, or `ModuleMut` for training; with unknown shapes a tensor of any shape may come in,
/// and comes out again.
fn stub_impl(network: Option<&Network>, training: bool) -> TokenStream {
    let (of, method, receiver, tape) = match training {
        false => (quote!(Module), quote!(try_forward), quote!(&self), quote!(rt::NoneTape)),
        true => (
            quote!(ModuleMut),
            quote!(try_forward_mut),
            quote!(&mut self),
            quote!(rt::OwnedTape<E, D>),
        ),
    };
    let (generic, input, output) = match network {
        Some(_) => (
            quote!(B: rt::Dim,),
            quote!(Input<B, E, D, #tape>),
            quote!(Output<B, E, D, #tape>),
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
}
