//! The shared kernels: one struct that holds each once, and the handles a forward pass gives to
//! their visits.

use super::comment;
use super::module::{self, Entry};
use super::names::Names;
use super::types;
use crate::ir::{Group, GroupId, Network, Part};
use crate::plan::camel;
use crate::plan::docs;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::collections::HashMap;

/// The names of the shared parameters in `Shared` and `Visits`.
pub(super) struct Shared {
    /// By group and name of the tensor, which is empty for a module.
    fields: HashMap<(GroupId, &'static str), Ident>,
    /// The structs of groups with several kernels, in `Shared`.
    banks: HashMap<GroupId, (Ident, Ident)>,
    any: bool,
    norms: bool,
}

impl Shared {
    pub(super) fn new(network: &Network) -> Self {
        let mut names = Names::default();
        let mut structs = Names::default();
        let (mut fields, mut banks) = (HashMap::new(), HashMap::new());
        for (id, group) in network.groups.iter().enumerate() {
            let bank = (group.kernels > 1).then(|| names.fresh(&group.name));
            for tensor in slots(group) {
                let field = match (tensor, &bank) {
                    ("", Some(bank)) => bank.clone(),
                    ("", None) => names.fresh(&group.name),
                    (tensor, _) => names.fresh(&format!("{}_{tensor}", group.name)),
                };
                fields.insert((id, tensor), field);
            }
            if let Some(bank) = bank {
                let of = structs.fresh(&format!("{}Kernel", camel(&group.name)));
                banks.insert(id, (bank, of));
            }
        }
        let norms = network.groups.iter().any(|group| group.op.module().is_some());
        Shared {
            fields,
            banks,
            any: !network.groups.is_empty(),
            norms,
        }
    }

    /// Whether anything is shared.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// The type of the handles, as a forward pass names it.
    pub(super) fn visits_type(&self) -> TokenStream {
        if self.norms {
            quote!(Visits<'_, E, D>)
        } else {
            quote!(Visits<E, D>)
        }
    }

    /// The expression for a shared parameter at its next visit.
    pub(super) fn visit(&self, id: GroupId, tensor: &'static str, network: &Network) -> TokenStream {
        let name = self.fields.get(&(id, tensor));
        match (network.groups[id].kernels, tensor) {
            (1, "") => quote!(shared.#name),
            (1, _) => quote!(&shared.#name),
            _ => quote!(shared.#name.visit()),
        }
    }

    /// `Shared`, `Visits` and what leads from one to the other.
    pub(super) fn definitions(&self, network: &Network) -> TokenStream {
        if !self.any {
            return TokenStream::new();
        }
        let groups = || network.groups.iter().enumerate();
        let kernels = groups().filter_map(|(id, group)| self.kernel_struct(id, group));
        let entries: Vec<Entry> = groups()
            .flat_map(|(id, group)| self.entries(id, group, network))
            .collect();
        let comment = comment::attributes(&[
            "The shared kernels, each stored once.".to_owned(),
            String::new(),
            "The gradient of a shared kernel is the sum over its visits.".to_owned(),
        ]);
        let definition = module::definition(&format_ident!("Shared"), comment, &entries);
        let (visits, bind) = (self.visits(network), self.bind(network));
        quote!(#(#kernels)* #definition #visits #bind)
    }

    /// The struct of one kernel of a group that has several.
    fn kernel_struct(&self, id: GroupId, group: &Group) -> Option<TokenStream> {
        let (_, name) = self.banks.get(&id)?;
        if group.op.module().is_some() {
            return None;
        }
        let entries: Vec<Entry> = group
            .tensors()
            .into_iter()
            .map(|tensor| {
                let name = format_ident!("{}", tensor.name);
                let visit = module::visit_tensor(tensor.name, &name, types::options(tensor.init));
                Entry {
                    docs: docs::of_tensor(&tensor),
                    ty: types::tensor(&tensor.shape),
                    visit,
                    name,
                }
            })
            .collect();
        let comment = comment::line(format!(
            "One of the {} kernels of group `{}`.",
            group.kernels, group.name
        ));
        Some(module::definition(name, comment, &entries))
    }

    fn entries(&self, id: GroupId, group: &Group, network: &Network) -> Vec<Entry> {
        if let Some((field, of)) = self.banks.get(&id) {
            let of = match group.op.module() {
                Some(of) => types::module(of),
                None => quote!(#of<E, D>),
            };
            let count = types::size(u64::from(group.kernels));
            let visit = module::visit_repeat(&format!("{}.", group.name), &types::size(0), field, of.clone(), &count);
            let part = group.parts.first().copied().unwrap_or(Part::Kernel);
            let docs = docs::of_group(group, part, network);
            return vec![Entry {
                name: field.clone(),
                docs,
                ty: quote!(rt::Repeat<#of, #count>),
                visit,
            }];
        }
        if let Some(of) = group.op.module() {
            let name = self.field(id, "");
            let visit = module::visit_module(&group.name, &name);
            return vec![Entry {
                docs: docs::of_group(group, Part::Norm, network),
                ty: types::module(of),
                visit,
                name,
            }];
        }
        group
            .tensors()
            .into_iter()
            .map(|tensor| {
                let name = self.field(id, tensor.name);
                let key = format!("{}.{}", group.name, tensor.name);
                let visit = module::visit_tensor(&key, &name, types::options(tensor.init));
                Entry {
                    docs: docs::of_group(group, tensor.part, network),
                    ty: types::tensor(&tensor.shape),
                    visit,
                    name,
                }
            })
            .collect()
    }

    fn field(&self, id: GroupId, tensor: &'static str) -> Ident {
        self.fields
            .get(&(id, tensor))
            .cloned()
            .unwrap_or_else(|| format_ident!("missing"))
    }

    /// The handles of one forward pass.
    fn visits(&self, network: &Network) -> TokenStream {
        let fields = network.groups.iter().enumerate().flat_map(|(id, group)| {
            slots(group).into_iter().map(move |tensor| {
                let name = self.field(id, tensor);
                let handle = handle_type(group, tensor);
                if group.kernels == 1 {
                    quote!(#name: #handle)
                } else {
                    quote!(#name: rt::Bank<#handle>)
                }
            })
        });
        let lifetime = self.lifetime();
        quote! {
            /// The shared kernels of one forward pass, bound once and handed to every visit.
            struct Visits<#lifetime E: rt::Scalar, D: rt::Backend<E>> { #(#fields,)* }
        }
    }

    fn lifetime(&self) -> TokenStream {
        if self.norms { quote!('m,) } else { quote!() }
    }

    fn bind(&self, network: &Network) -> TokenStream {
        let fields = network.groups.iter().enumerate().flat_map(|(id, group)| {
            slots(group).into_iter().map(move |tensor| {
                let name = self.field(id, tensor);
                let value = self.bind_tensor(id, group, tensor);
                quote!(#name: #value)
            })
        });
        let (borrow, visits) = if self.norms {
            (quote!(&'m self), quote!(Visits<'m, E, D>))
        } else {
            (quote!(&self), quote!(Visits<E, D>))
        };
        let lifetime = if self.norms { quote!('m,) } else { quote!() };
        // Shared norms are bound by each visit, which has statistics of its own to keep.
        let only_norms = network.groups.iter().all(|group| group.op.module().is_some());
        let context = if only_norms { quote!(_context) } else { quote!(context) };
        quote! {
            impl<E: rt::Scalar, D: rt::Backend<E>> Shared<E, D> {
                fn bind<#lifetime T: rt::Tape<E, D>>(#borrow, #context: &mut rt::Context<E, D, T>) -> Result<#visits, D::Err> {
                    Ok(Visits { #(#fields,)* })
                }
            }
        }
    }

    fn bind_tensor(&self, id: GroupId, group: &Group, tensor: &'static str) -> TokenStream {
        let Some((field, _)) = self.banks.get(&id) else {
            let field = self.field(id, tensor);
            return if tensor.is_empty() {
                quote!(&self.#field)
            } else {
                quote!(rt::Bound::new(&self.#field, context)?)
            };
        };
        let (kernels, counts) = runs(&group.assignment);
        let runs = quote!(&[#((#kernels, #counts)),*]);
        if tensor.is_empty() {
            return quote!(rt::Bank::new(self.#field.iter().collect(), #runs));
        }
        let tensor = format_ident!("{tensor}");
        quote! {
            rt::Bank::new(
                self.#field.iter().map(|kernel| rt::Bound::new(&kernel.#tensor, context)).collect::<Result<_, _>>()?,
                #runs,
            )
        }
    }
}

/// What a visit gets of one kernel.
fn handle_type(group: &Group, tensor: &str) -> TokenStream {
    if let Some(of) = group.op.module() {
        let of = types::module(of);
        return quote!(&'m #of);
    }
    let mut tensors = group.tensors().into_iter();
    let shape = tensors.find(|of| of.name == tensor).map(|of| of.shape);
    let rank = types::rank(&shape.unwrap_or_default());
    quote!(rt::Bound<#rank, E, D>)
}

/// What a group holds: its tensors, or nameless the module that holds them all.
fn slots(group: &Group) -> Vec<&'static str> {
    match group.op.module() {
        Some(_) => vec![""],
        None => group.tensors().into_iter().map(|tensor| tensor.name).collect(),
    }
}

/// Runs of equal kernels, as literals: which kernel, for how many visits.
fn runs(assignment: &[u32]) -> (Vec<proc_macro2::Literal>, Vec<proc_macro2::Literal>) {
    assignment
        .chunk_by(|a, b| a == b)
        .map(|run| (types::size(u64::from(run[0])), types::size(run.len() as u64)))
        .unzip()
}
