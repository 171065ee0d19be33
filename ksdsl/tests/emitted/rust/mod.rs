//! Generated Rust, read with `syn` and run on words instead of numbers.

mod calls;
mod module;
mod run;
mod visits;

use crate::expected::input_name;
use crate::graph::{Graph, Id, Params};
use module::Module;
use quote::ToTokens;
use run::Run;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use syn::Item;

#[derive(Clone)]
enum Value {
    Nothing,
    Tensor(Id),
    Object(Rc<Object>),
    Norm {
        key: String,
        batch: bool,
    },
    List(Vec<Value>),
    /// The kernels of a group in the order of the visits.
    Bank(Rc<RefCell<VecDeque<Value>>>),
    Number(f64),
}

struct Object {
    of: String,
    fields: HashMap<String, Value>,
}

/// What the code of a network says.
pub(crate) struct Traced {
    pub(crate) params: Params,
    pub(crate) output: Id,
    /// Constants as they are written, without whitespace.
    pub(crate) constants: HashMap<String, String>,
}

/// Reads the module of one network, and runs its model.
pub(crate) fn trace(text: &str, graph: &mut Graph) -> Traced {
    let file = syn::parse_file(text).expect("Rust");
    let [Item::Mod(module)] = file.items.as_slice() else {
        panic!("not one module")
    };
    let items = &module.content.as_ref().expect("a module with content").1;
    let module = Module::read(items);
    let mut params = Params::new();
    let model = module.build("Model", "", &mut params, graph);
    let x = input(&module, graph);
    let output = Run::new(&module, graph).method(&model, "run", vec![Value::Nothing, x]);
    Traced {
        params,
        output: outputs(&module, &output, graph),
        constants: module.constants,
    }
}

/// A tensor, or a struct of tensors.
fn input(module: &Module, graph: &mut Graph) -> Value {
    let Some(fields) = module.fields.get("Input") else {
        return Value::Tensor(graph.add("input", &[]));
    };
    let mut field =
        |(at, (name, _)): (usize, &(String, String))| (name.clone(), Value::Tensor(graph.add(input_name(at), &[])));
    Value::Object(Rc::new(Object {
        of: "Input".to_owned(),
        fields: fields.iter().enumerate().map(&mut field).collect(),
    }))
}

/// A tensor, or the tensors of a struct.
fn outputs(module: &Module, value: &Value, graph: &mut Graph) -> Id {
    let Value::Object(object) = value else {
        return tensor(value);
    };
    let fields = module.fields["Output"].iter();
    let outputs: Vec<Id> = fields.map(|(name, _)| tensor(&object.fields[name])).collect();
    graph.add("outputs", &outputs)
}

fn tensor(value: &Value) -> Id {
    match value {
        Value::Tensor(id) => *id,
        _ => panic!("no tensor"),
    }
}

/// Code without whitespace and without commas that nothing follows.
fn text(of: &impl ToTokens) -> String {
    let text = of.to_token_stream().to_string().replace([' ', '\n'], "");
    [")", "]", "}", ">", "|"]
        .iter()
        .fold(text, |text, end| text.replace(&format!(",{end}"), end))
}

/// What stands between the brackets of a generic type or path, cut at its own commas.
fn generics(text: &str) -> Vec<&str> {
    let Some(start) = text.find('<') else { return Vec::new() };
    let end = text.rfind('>').expect("a closed bracket");
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, start + 1);
    for (at, c) in text[..end].char_indices().skip(start + 1) {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if from < end {
        parts.push(&text[from..end]);
    }
    parts
}

fn numbers(text: &str) -> Vec<u64> {
    generics(text).iter().filter_map(|part| part.parse().ok()).collect()
}
