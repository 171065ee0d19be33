//! The items of a generated module, and its structs with their parameters.

use super::visits::{Visit, read_struct};
use super::{Object, Value, generics, numbers, text};
use crate::graph::{self, Graph, Params};
use std::collections::HashMap;
use std::rc::Rc;
use syn::Item;

/// The items of a module.
#[derive(Default)]
pub(super) struct Module {
    /// The types of the fields of each struct.
    pub(super) fields: HashMap<String, Vec<(String, String)>>,
    visits: HashMap<String, HashMap<String, Visit>>,
    pub(super) methods: HashMap<(String, String), syn::ImplItemFn>,
    /// The constants of `impl rt::Network`, and of the module.
    pub(super) constants: HashMap<String, String>,
}

impl Module {
    pub(super) fn read(items: &[Item]) -> Self {
        let mut module = Module::default();
        for item in items {
            match item {
                Item::Macro(item) if text(&item.mac.path) == "rt::model" => {
                    let item = item.mac.parse_body().expect("a struct");
                    module.read_struct(&item);
                }
                Item::Struct(item) => {
                    let name = item.ident.to_string();
                    let field = |field: &syn::Field| Some((field.ident.as_ref()?.to_string(), text(&field.ty)));
                    module.add(name, item.fields.iter().filter_map(field).collect());
                }
                Item::Const(item) => {
                    module.constants.insert(format!("::{}", item.ident), text(&item.expr));
                }
                Item::Impl(item) => module.read_impl(item),
                _ => {}
            }
        }
        module
    }

    fn read_struct(&mut self, item: &syn::ItemStruct) {
        let (name, fields) = read_struct(item);
        let types = fields.iter().map(|(name, ty, _)| (name.clone(), ty.clone()));
        self.add(name.clone(), types.collect());
        let visits = fields.into_iter().map(|(name, _, visit)| (name, visit));
        self.visits.insert(name, visits.collect());
    }

    fn add(&mut self, name: String, fields: Vec<(String, String)>) {
        let old = self.fields.insert(name.clone(), fields);
        assert!(old.is_none(), "two structs `{name}`");
    }

    fn read_impl(&mut self, item: &syn::ItemImpl) {
        let of = text(&item.self_ty);
        let of = of.split('<').next().expect("a name").to_owned();
        for inner in &item.items {
            match inner {
                syn::ImplItem::Fn(method) => {
                    self.methods
                        .insert((of.clone(), method.sig.ident.to_string()), method.clone());
                }
                syn::ImplItem::Const(constant) => {
                    self.constants.insert(constant.ident.to_string(), text(&constant.expr));
                }
                _ => {}
            }
        }
    }

    /// A struct under a key, with its parameters.
    pub(super) fn build(&self, of: &str, key: &str, params: &mut Params, graph: &mut Graph) -> Value {
        let join = |child: &str| {
            if key.is_empty() {
                child.to_owned()
            } else {
                format!("{key}.{child}")
            }
        };
        let visits = &self.visits[of];
        let mut fields = HashMap::new();
        for (name, ty) in &self.fields[of] {
            let visit = visits
                .get(name)
                .unwrap_or_else(|| panic!("`{of}.{name}` is not visited"));
            let value = match visit {
                Visit::Tensor { key, start } => {
                    let key = join(key);
                    let rank = generics(ty)[0];
                    assert!(rank.starts_with(&format!("rt::Rank{}<", numbers(rank).len())), "{ty}");
                    let old = params.insert(key.clone(), (numbers(rank), start.clone()));
                    assert!(old.is_none(), "two tensors `{key}`");
                    Value::Tensor(graph.param(&key))
                }
                Visit::Module { key } => self.module(ty, &join(key), params, graph),
                Visit::Repeat {
                    prefix,
                    first,
                    of,
                    count,
                } => {
                    assert_eq!(ty, &format!("rt::Repeat<{of},{count}>"));
                    let keys = (*first..first + count).map(|index| join(&format!("{prefix}{index}")));
                    Value::List(keys.map(|key| self.module(of, &key, params, graph)).collect())
                }
            };
            fields.insert(name.clone(), value);
        }
        assert_eq!(visits.len(), fields.len(), "fields of {of}");
        Value::Object(Rc::new(Object {
            of: of.to_owned(),
            fields,
        }))
    }

    fn module(&self, ty: &str, key: &str, params: &mut Params, graph: &mut Graph) -> Value {
        let name = ty.split('<').next().expect("a type");
        if !name.starts_with("rt::") {
            return self.build(name, key, params, graph);
        }
        let (affine, batch) = match name {
            "rt::BatchNorm" => (true, true),
            "rt::PlainBatchNorm" => (false, true),
            "rt::LayerNorm" => (true, false),
            _ => panic!("{ty}"),
        };
        graph::norm_params(params, key, numbers(ty)[0], [affine, batch]);
        Value::Norm {
            key: key.to_owned(),
            batch,
        }
    }
}
