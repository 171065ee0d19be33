//! The fields of a struct as dfdx visits them: the attributes of the runtime's macro `model!`.

use super::{generics, text};
use crate::graph;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Ident, LitInt, LitStr, Token};

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

/// The struct in a macro `model!`: its name, and its fields with their types and visits.
pub(super) fn read_struct(item: &syn::ItemStruct) -> (String, Vec<(String, String, Visit)>) {
    assert_eq!(text(&item.generics), "<E,D>");
    let field = |field: &syn::Field| {
        let name = field.ident.as_ref().expect("a name").to_string();
        let ty = text(&field.ty);
        let visits = field.attrs.iter().filter(|attribute| !attribute.path().is_ident("doc"));
        let [attribute] = visits.collect::<Vec<_>>()[..] else {
            panic!("`{name}` has not one attribute")
        };
        let visit = read_visit(attribute, &ty);
        (name, ty, visit)
    };
    (item.ident.to_string(), item.fields.iter().map(field).collect())
}

fn read_visit(attribute: &Attribute, ty: &str) -> Visit {
    let args: Args = attribute.parse_args().expect("a key and what follows");
    match text(attribute.path()).as_str() {
        "tensor" => Visit::Tensor {
            key: args.key,
            start: start(&args.rest.expect("initial values")),
        },
        "module" => {
            assert!(args.rest.is_none());
            Visit::Module { key: args.key }
        }
        "repeat" => {
            let [of, count] = generics(ty)[..] else { panic!("{ty}") };
            Visit::Repeat {
                prefix: args.key,
                first: args.rest.expect("an index").parse().expect("an index"),
                of: of.to_owned(),
                count: count.parse().expect("a number"),
            }
        }
        other => panic!("{other}"),
    }
}

/// `"key"`, `"key", 0` or `"key", uniform(0.5)`.
struct Args {
    key: String,
    rest: Option<String>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.parse::<LitStr>()?.value();
        let mut rest = None;
        if input.parse::<Option<Token![,]>>()?.is_some() {
            rest = Some(if input.peek(LitInt) {
                input.parse::<LitInt>()?.base10_digits().to_owned()
            } else if input.peek(Ident) && !input.peek2(syn::token::Paren) {
                input.parse::<Ident>()?.to_string()
            } else {
                text(&input.parse::<syn::ExprCall>()?)
            });
        }
        Ok(Args { key, rest })
    }
}

/// How a tensor starts.
fn start(init: &str) -> String {
    match init {
        "zeros" => graph::start("constant", 0.0),
        "ones" => graph::start("constant", 1.0),
        _ => {
            let (word, rest) = init.split_once('(').expect("a number");
            graph::start(word, rest.trim_end_matches(')').parse().expect("a number"))
        }
    }
}
