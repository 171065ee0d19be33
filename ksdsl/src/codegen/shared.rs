//! The shared kernels: one struct that holds each once, and the handles a forward pass gives to
//! their visits.

use super::comment;
use super::module::{self, StructField};
use super::names::Names;
use super::types;
use crate::ir::{Group, GroupId, Network, Part, Tensor};
use crate::ops::Module;
use crate::plan::camel;
use crate::plan::docs;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The shared parameters in `Shared` and `Visits`.
pub(super) struct Shared<'n> {
    network: &'n Network,
    /// By group.
    groups: Vec<GroupFields>,
}

/// The names of a group's parameters.
enum GroupFields {
    /// A module with all tensors, and the field of it or of a bank of them.
    Module(Module, Ident),
    /// The tensors, each with its field of `Visits`, which is that of `Shared`, too, unless there is a bank.
    Tensors(Vec<(Tensor, Ident)>, Option<Bank>),
}

/// The kernels of a group with several: their field of `Shared`, and the struct of one.
struct Bank {
    field: Ident,
    of: Ident,
}

impl<'n> Shared<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        let (mut fields, mut structs) = (Names::default(), Names::default());
        let names = |group: &Group| {
            if let Some(of) = group.op.module() {
                return GroupFields::Module(of, fields.fresh(&group.name));
            }
            let bank = (group.kernels > 1).then(|| Bank {
                field: fields.fresh(&group.name),
                of: structs.fresh(&format!("{}Kernel", camel(&group.name))),
            });
            let tensors = group.tensors().into_iter().map(|tensor| {
                let field = fields.fresh(&format!("{}_{}", group.name, tensor.name));
                (tensor, field)
            });
            GroupFields::Tensors(tensors.collect(), bank)
        };
        let groups = network.groups.iter().map(names).collect();
        Shared { network, groups }
    }

    /// Whether anything is shared.
    pub(super) fn any(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether a module is shared: it is bound by each visit, which has statistics of its own to keep.
    fn modules(&self) -> bool {
        self.groups.iter().any(|names| matches!(names, GroupFields::Module(..)))
    }

    /// The groups with their names.
    fn groups(&self) -> impl Iterator<Item = (&'n Group, &GroupFields)> {
        self.network.groups.iter().zip(&self.groups)
    }

    /// The type of the handles, as a forward pass names it.
    pub(super) fn visits_type(&self) -> TokenStream {
        match self.modules() {
            true => quote!(Visits<'_, E, D>),
            false => quote!(Visits<E, D>),
        }
    }

    /// The sizes of one kernel of a group, as it is stored.
    pub(super) fn kernel_shape(&self, id: GroupId) -> Option<Vec<u64>> {
        self.network.groups[id].op.kernel_shape()
    }

    /// The expression for a shared tensor, or for a shared module, at its next visit.
    pub(super) fn visit(&self, id: GroupId, tensor: usize) -> TokenStream {
        let several = self.network.groups[id].kernels > 1;
        match &self.groups[id] {
            GroupFields::Module(_, field) if several => quote!(shared.#field.visit()),
            GroupFields::Module(_, field) => quote!(shared.#field),
            GroupFields::Tensors(tensors, bank) => {
                let (_, field) = &tensors[tensor];
                match bank {
                    Some(_) => quote!(shared.#field.visit()),
                    None => quote!(&shared.#field),
                }
            }
        }
    }

    /// `Shared`, `Visits` and what leads from one to the other.
    pub(super) fn definitions(&self) -> TokenStream {
        if !self.any() {
            return TokenStream::new();
        }
        let kernels = self.groups().map(|(group, names)| kernel_struct(group, names));
        let entries: Vec<StructField> = self
            .groups()
            .flat_map(|(group, names)| entries(group, names, self.network))
            .collect();
        let comment = comment::attributes(&[
            "The shared kernels, each stored once.".to_owned(),
            String::new(),
            "The gradient of a shared kernel is the sum over its visits.".to_owned(),
        ]);
        let definition = module::definition(&format_ident!("Shared"), comment, &entries);
        let (visits, bind) = (self.visits(), self.bind());
        quote!(#(#kernels)* #definition #visits #bind)
    }

    /// The handles of one forward pass.
    fn visits(&self) -> TokenStream {
        let fields = self.groups().flat_map(|(group, names)| handles(group, names));
        let lifetime = self.modules().then(|| quote!('m,));
        let banks = self.network.groups.iter().any(|group| group.kernels > 1);
        let clone = (banks && !self.network.loops.is_empty()).then(|| quote!(#[derive(Clone)]));
        quote! {
            /// The shared kernels of one forward pass, bound once and handed to every visit.
            #clone
            struct Visits<#lifetime E: rt::Scalar, D: rt::Backend<E>> { #(#fields,)* }
        }
    }

    fn bind(&self) -> TokenStream {
        let fields = self.groups().flat_map(|(group, names)| bound(group, names));
        let (lifetime, borrow, visits) = match self.modules() {
            true => (quote!('m,), quote!(&'m self), quote!(Visits<'m, E, D>)),
            false => (quote!(), quote!(&self), quote!(Visits<E, D>)),
        };
        let binds = self
            .groups
            .iter()
            .any(|names| matches!(names, GroupFields::Tensors(..)));
        let context = if binds { quote!(context) } else { quote!(_context) };
        quote! {
            impl<E: rt::Scalar, D: rt::Backend<E>> Shared<E, D> {
                fn bind<#lifetime T: rt::Tape<E, D>>(#borrow, #context: &mut rt::Context<E, D, T>) -> Result<#visits, D::Err> {
                    Ok(Visits { #(#fields,)* })
                }
            }
        }
    }
}

/// The struct of one kernel of a group that has several.
fn kernel_struct(group: &Group, names: &GroupFields) -> Option<TokenStream> {
    let GroupFields::Tensors(tensors, Some(bank)) = names else {
        return None;
    };
    let entry = |(tensor, _): &(Tensor, Ident)| StructField {
        name: format_ident!("{}", tensor.name),
        docs: docs::of_tensor(tensor),
        ty: types::tensor(&tensor.shape),
        visit: module::visit_tensor(tensor.name, tensor.init),
    };
    let entries: Vec<StructField> = tensors.iter().map(entry).collect();
    let comment = format!("One of the {} kernels of group `{}`.", group.kernels, group.name);
    Some(module::definition(&bank.of, comment::line(comment), &entries))
}

/// The fields of a group in `Shared`.
fn entries(group: &Group, names: &GroupFields, network: &Network) -> Vec<StructField> {
    let docs = |part| docs::of_group(group, part, network);
    let repeat = |name: &Ident, of: TokenStream, docs| {
        let count = types::size(u64::from(group.kernels));
        StructField {
            name: name.clone(),
            docs,
            ty: quote!(rt::Repeat<#of, #count>),
            visit: module::visit_repeat(&format!("{}.", group.name), 0),
        }
    };
    match names {
        GroupFields::Module(of, field) if group.kernels > 1 => {
            vec![repeat(field, types::module(*of), docs(Part::Norm))]
        }
        GroupFields::Module(of, field) => vec![StructField {
            name: field.clone(),
            docs: docs(Part::Norm),
            ty: types::module(*of),
            visit: module::visit_module(&group.name),
        }],
        GroupFields::Tensors(tensors, Some(Bank { field, of })) => {
            let kernel = tensors.iter().take(1).map(|(tensor, _)| tensor.part);
            kernel
                .map(|part| repeat(field, quote!(#of<E, D>), docs(part)))
                .collect()
        }
        GroupFields::Tensors(tensors, None) => {
            let entry = |(tensor, field): &(Tensor, Ident)| StructField {
                name: field.clone(),
                docs: docs::of_shared(group, tensor, network),
                ty: types::tensor(&tensor.shape),
                visit: module::visit_tensor(&format!("{}.{}", group.name, tensor.name), tensor.init),
            };
            tensors.iter().map(entry).collect()
        }
    }
}

/// The fields of a group in `Visits`.
fn handles(group: &Group, names: &GroupFields) -> Vec<TokenStream> {
    let field = |name: &Ident, handle: TokenStream| match group.kernels {
        1 => quote!(#name: #handle),
        _ => quote!(#name: rt::Bank<#handle>),
    };
    match names {
        GroupFields::Module(of, name) => {
            let of = types::module(*of);
            vec![field(name, quote!(&'m #of))]
        }
        GroupFields::Tensors(tensors, _) => {
            let handle = |(tensor, name): &(Tensor, Ident)| {
                let rank = types::rank(&tensor.shape);
                field(name, quote!(rt::Bound<#rank, E, D>))
            };
            tensors.iter().map(handle).collect()
        }
    }
}

/// Their values.
fn bound(group: &Group, names: &GroupFields) -> Vec<TokenStream> {
    let (kernels, counts) = runs(&group.assignment);
    let runs = quote!(&[#((#kernels, #counts)),*]);
    match names {
        GroupFields::Module(_, name) if group.kernels > 1 => {
            vec![quote!(#name: rt::Bank::new(self.#name.iter().collect(), #runs))]
        }
        GroupFields::Module(_, name) => vec![quote!(#name: &self.#name)],
        GroupFields::Tensors(tensors, bank) => {
            let value = |(tensor, name): &(Tensor, Ident)| {
                let Some(Bank { field, .. }) = bank else {
                    return quote!(#name: rt::Bound::new(&self.#name, context)?);
                };
                let tensor = format_ident!("{}", tensor.name);
                quote! {
                    #name: rt::Bank::new(
                        self.#field.iter().map(|kernel| rt::Bound::new(&kernel.#tensor, context)).collect::<Result<_, _>>()?,
                        #runs,
                    )
                }
            };
            tensors.iter().map(value).collect()
        }
    }
}

/// Runs of equal kernels, as literals: which kernel, for how many visits.
fn runs(assignment: &[u32]) -> (Vec<proc_macro2::Literal>, Vec<proc_macro2::Literal>) {
    assignment
        .chunk_by(|a, b| a == b)
        .map(|run| (types::size(u64::from(run[0])), types::size(run.len() as u64)))
        .unzip()
}
