//! Lists, their items, and calls that are values.

use super::{CallValue, Env, GivenArg, List, Value, eval, report, wrong_type};
use crate::ast::{Arg, Expr};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::limits;
use crate::source::{Name, Span};
use std::sync::Arc;

/// `[a, b]`.
pub(super) fn list(items: &[Expr], span: Span, env: &Env, diagnostics: &mut Diagnostics) -> Option<Value> {
    let items = items.iter().map(|item| eval(item, env, diagnostics));
    let items: Vec<Option<Value>> = items.collect();
    let list = List::new(items.into_iter().collect::<Option<_>>()?);
    report(
        list.map(Value::List).ok_or_else(|| too_large("list", span)),
        diagnostics,
    )
}

/// `list[index]`.
pub(super) fn item(list: &Expr, index: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<Value> {
    let (value, number) = (eval(list, env, diagnostics), eval(index, env, diagnostics));
    let (value, number) = (value?, number?);
    let found = match (&value, &number) {
        (Value::List(items), Value::Int(number)) => {
            let item = usize::try_from(*number).ok().and_then(|at| items.items().get(at));
            item.cloned()
                .ok_or_else(|| out_of_bounds(*number, items.items().len(), index.span))
        }
        (Value::List(_), other) => Err(wrong_type(index.span, "an integer", other)),
        (other, _) => Err(wrong_type(list.span, "a list", other)),
    };
    report(found, diagnostics)
}

/// `squeeze_excite(4)`: a call for later, with its arguments computed now.
pub(super) fn call(name: &Name, args: &[Arg], env: &Env, diagnostics: &mut Diagnostics) -> Option<Value> {
    // Of another name the checks of names have reported that it is no function.
    if env.get(&name.value) != Some(Value::word(&name.value)) {
        return None;
    }
    let mut given = |arg: &Arg| {
        let values = arg.value.sizes.iter().map(|size| eval(size, env, diagnostics));
        let values: Vec<Option<Value>> = values.collect();
        Some(GivenArg {
            name: arg.name.clone(),
            values: values.into_iter().collect::<Option<_>>()?,
            span: arg.value.span,
        })
    };
    let args: Vec<Option<GivenArg>> = args.iter().map(&mut given).collect();
    let call = CallValue::new(name.clone(), args.into_iter().collect::<Option<_>>()?);
    let call = call.map(|call| Value::Call(Arc::new(call)));
    report(call.ok_or_else(|| too_large("call", name.span)), diagnostics)
}

fn out_of_bounds(index: i64, items: usize, span: Span) -> Box<Diagnostic> {
    let text = format!("the index {index} is out of bounds for a list of {items}");
    let diagnostic = Diagnostic::error(Code::IndexOutOfRange, span, text);
    Box::new(match items {
        0 => diagnostic.label("the list is empty"),
        _ => diagnostic
            .label("items are counted from 0")
            .help(format!("use an index from 0 to {}", items - 1)),
    })
}

fn too_large(what: &str, span: Span) -> Box<Diagnostic> {
    let text = format!("this {what} is too large to be a value");
    Box::new(
        Diagnostic::error(Code::NumberTooLarge, span, text)
            .label(format!(
                "a {what} may hold at most {} values, nested at most {} deep",
                limits::VALUES,
                limits::VALUE_DEPTH
            ))
            .help("split it into several"),
    )
}
