//! The fields of a struct as dfdx visits them.

use super::{generics, text};
use crate::graph;
use std::collections::HashMap;
use syn::{Expr, Pat, Stmt};

/// How dfdx visits a field.
pub(super) enum Visit {
    Tensor {
        key: String,
        start: String,
    },
    Module {
        key: String,
    },
    Repeat {
        prefix: String,
        first: u64,
        of: String,
        count: u64,
    },
}

/// The visits in `visitor.visit_fields((...), |...| Name { ... })` of a struct, by field: what a visit makes is bound
/// to the name at the same position of the closure, and the field that was visited must get it.
pub(super) fn read_visits(of: &str, block: &syn::Block) -> HashMap<String, Visit> {
    let [Stmt::Expr(Expr::MethodCall(call), None)] = block.stmts.as_slice() else {
        panic!("{}", text(block))
    };
    assert_eq!(call.method, "visit_fields");
    let Expr::Closure(closure) = &call.args[1] else {
        panic!("no closure")
    };
    let mut bound = HashMap::new();
    pair(&call.args[0], &closure.inputs[0], &mut bound);
    let Expr::Struct(built) = &*closure.body else {
        panic!("{}", text(&closure.body))
    };
    assert_eq!(text(&built.path), of);
    let mut visits = HashMap::new();
    for field in built.fields.iter().filter(|field| text(&field.member) != "_none") {
        let (name, value) = (text(&field.member), text(&field.expr));
        let made = bound.remove(&value);
        let (visited, visit) = made.unwrap_or_else(|| panic!("`{of}.{name}` gets `{value}`"));
        assert_eq!(visited, name, "fields of `{of}` in another order");
        visits.insert(name, visit);
    }
    assert!(bound.is_empty(), "visited in vain: {:?}", bound.keys());
    visits
}

/// Visits of fields by the names that a pattern of the same form binds them to.
fn pair(visits: &Expr, pattern: &Pat, bound: &mut HashMap<String, (String, Visit)>) {
    match (visits, pattern) {
        (Expr::Tuple(visits), Pat::Tuple(patterns)) => {
            assert!(visits.elems.len() <= 6, "dfdx takes at most six at once");
            assert_eq!(visits.elems.len(), patterns.elems.len(), "{}", text(pattern));
            let pairs = visits.elems.iter().zip(&patterns.elems);
            pairs.for_each(|(visit, pattern)| pair(visit, pattern, bound));
        }
        (Expr::Call(call), Pat::Ident(name)) => {
            let old = bound.insert(name.ident.to_string(), read_visit(call));
            assert!(old.is_none(), "`{}` twice", name.ident);
        }
        _ => panic!("{} to {}", text(visits), text(pattern)),
    }
}

fn read_visit(call: &syn::ExprCall) -> (String, Visit) {
    let args: Vec<String> = call.args.iter().map(text).collect();
    let word = |at: usize| match &call.args[at] {
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => text.value(),
        other => panic!("{}", text(other)),
    };
    let function = text(&call.func);
    // `|s| &s.name, |s| &mut s.name`: the same field both times.
    let field = |at: usize| {
        let name = args[at].strip_prefix("|s|&s.").expect("a field").to_owned();
        assert_eq!(args[at + 1], format!("|s|&muts.{name}"));
        name
    };
    match function.as_str() {
        "Self::tensor" => (
            field(1),
            Visit::Tensor {
                key: word(0),
                start: start(&args[3]),
            },
        ),
        "Self::module" => (field(1), Visit::Module { key: word(0) }),
        _ => {
            assert!(function.starts_with("rt::repeat_field::<"), "{function}");
            let of = generics(&function);
            assert_eq!(of[0], "Self");
            let (of, count) = (of[1].to_owned(), of[2].parse().expect("a number"));
            let first = args[1].parse().expect("a number");
            (
                field(2),
                Visit::Repeat {
                    prefix: word(0),
                    first,
                    of,
                    count,
                },
            )
        }
    }
}

/// How a tensor starts.
fn start(options: &str) -> String {
    let options = options.strip_prefix("rt::TensorOptions::").expect("options");
    match options {
        "reset_to_zeros()" => return graph::start("constant", 0.0),
        "reset_to_ones()" => return graph::start("constant", 1.0),
        _ => {}
    }
    let inner = options
        .strip_prefix("reset_with(|t|rt::init::")
        .expect("an initial value");
    let (word, rest) = inner.split_once("(t,").expect("a number");
    graph::start(word, rest.trim_end_matches(')').parse().expect("a number"))
}
