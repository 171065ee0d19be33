//! Networks to Rust: per network a module with the model struct, its builder and its forward pass
//! on `ksdsl-runtime`.
//!
//! `plan` decides which structs there are; the modules here turn its parts into
//! tokens, one emitter per construct. Generated code names nothing but the [`Runtime`] (as `rt`) and Rust's
//! prelude.

mod comment;
mod forward;
mod loops;
mod model;
mod module;
mod names;
mod runtime;
mod shared;
mod stub;
mod types;

pub use runtime::{InvalidPath, Runtime};

use crate::ir::Network;
use crate::plan::{self, docs};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Item;

/// The module of one network, for crates that call the runtime `ksdsl_runtime`.
pub fn network(network: &Network) -> TokenStream {
    network_on(network, &Runtime::default())
}

/// The module of one network.
pub fn network_on(network: &Network, runtime: &Runtime) -> TokenStream {
    let plan = plan::plan(network);
    let shared = shared::Shared::new(network);
    let name = names::ident(&network.name);
    let comment = model::module_comment(network);
    let model = model::definitions(&plan, &shared);
    let kernels = shared.definitions();
    let mut types: Vec<_> = plan.types.iter().collect();
    types.sort_by_key(|of| of.order);
    let structs = types.into_iter().map(|of| {
        let entries = module::entries(&of.body, &plan, &[]);
        let definition = module::definition(
            &format_ident!("{}", of.name),
            comment::line(docs::of_type(of)),
            &entries,
        );
        let forward = forward::method(of, &plan, &shared);
        quote!(#definition #forward)
    });
    in_module(&name, comment, quote!(#model #kernels #(#structs)*), runtime)
}

/// What stands in for a network that has errors, so that code that names it gives no errors of its
/// own; `network` is given where its shapes could be resolved.
pub fn stub(name: &str, network: Option<&Network>, runtime: &Runtime) -> TokenStream {
    // A name that Rust could not take was reported, and nothing can refer to it.
    if matches!(name, "self" | "Self" | "super" | "crate" | "_") {
        return TokenStream::new();
    }
    in_module(
        &names::ident(name),
        comment::line("A network with errors."),
        stub::stub(network),
        runtime,
    )
}

fn in_module(name: &Ident, comment: TokenStream, content: TokenStream, Runtime(runtime): &Runtime) -> TokenStream {
    quote! {
        #comment
        #[allow(unused, unreachable_pub, non_snake_case, non_camel_case_types)]
        #[allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        pub mod #name {
            use #runtime::generated as rt;

            #content
        }
    }
}

/// Formats generated code; the same tokens always give the same text.
pub fn format(tokens: TokenStream) -> String {
    let text = tokens.to_string();
    let Ok(mut file) = syn::parse2::<syn::File>(tokens) else {
        return text;
    };
    // Macros are not formatted, but modules are.
    let mut name = String::from("model");
    while text.contains(&format!("mod {name}")) {
        name.push('_');
    }
    models_to_modules(&mut file.items, &names::ident(&name));
    prettyplease::unparse(&file).replace(&format!("mod {name} {{"), "rt::model! {")
}

/// Makes modules of this name of the macros `rt::model!`, which consist of items, too.
fn models_to_modules(items: &mut [Item], name: &Ident) {
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, items)) = &mut module.content {
                    models_to_modules(items, name);
                }
            }
            Item::Macro(model) if model.mac.path.segments.last().is_some_and(|last| last.ident == "model") => {
                let content = &model.mac.tokens;
                if let Ok(module) = syn::parse2(quote!(mod #name { #content })) {
                    *item = Item::Mod(module);
                }
            }
            _ => {}
        }
    }
}
