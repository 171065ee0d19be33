//! Whether a call gives what its callee wants.

use crate::ast::{Arg, Param};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::layers::ParamDef;
use crate::source::{Name, Span};

/// A parameter as a caller sees it.
pub(super) struct Parameter<'p> {
    name: &'p str,
    required: bool,
    defined: Option<Span>,
}

/// The parameters of a layer of the language.
pub(super) fn built_in(params: &'static [ParamDef]) -> Vec<Parameter<'static>> {
    params
        .iter()
        .map(|param| Parameter {
            name: param.name,
            required: param.required,
            defined: None,
        })
        .collect()
}

/// The parameters of a user's block or network.
pub(super) fn user(params: &[Param]) -> Vec<Parameter<'_>> {
    params
        .iter()
        .map(|param| Parameter {
            name: &param.name.value,
            required: param.default.is_none(),
            defined: Some(param.name.span),
        })
        .collect()
}

/// Reports unknown, surplus and missing arguments.
pub(super) fn check(callee: &Name, args: &[Arg], params: &[Parameter<'_>], diagnostics: &mut Diagnostics) {
    let mut given: Vec<Option<Span>> = vec![None; params.len()];
    let mut named = false;
    // What an argument that cannot be used was probably meant for.
    let mut meant: Vec<&str> = Vec::new();
    let mut out_of_place = false;
    for (position, arg) in args.iter().enumerate() {
        if diagnostics.is_full() {
            return;
        }
        let place = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
        named |= arg.name.is_some();
        let index = match &arg.name {
            Some(name) => match params.iter().position(|param| param.name == name.value) {
                Some(index) => index,
                None => {
                    meant.extend(nearest(&name.value, params.iter().map(|param| param.name)));
                    diagnostics.push(unknown(callee, name, params));
                    continue;
                }
            },
            None if named => {
                out_of_place = true;
                diagnostics.push(
                    Diagnostic::error(
                        Code::SurplusArgument,
                        place,
                        "an argument by position after one by name",
                    )
                    .help("put it first, or give it by name"),
                );
                continue;
            }
            None if position >= params.len() => {
                diagnostics.push(surplus(callee, place, params));
                continue;
            }
            None => position,
        };
        match given[index] {
            Some(first) => diagnostics.push(
                Diagnostic::error(
                    Code::SurplusArgument,
                    place,
                    format!("`{}` is given twice", params[index].name),
                )
                .and(first, "first given here")
                .help("remove one of them"),
            ),
            None => given[index] = Some(place),
        }
    }
    let diagnostics_full = diagnostics.is_full();
    for (param, _) in params
        .iter()
        .zip(&given)
        .filter(|(param, given)| param.required && given.is_none())
        .filter(|(param, _)| !diagnostics_full && !out_of_place && !meant.contains(&param.name))
    {
        diagnostics.push(missing(callee, param));
    }
}

fn unknown(callee: &Name, name: &Name, params: &[Parameter<'_>]) -> Diagnostic {
    let near =
        nearest(&name.value, params.iter().map(|param| param.name)).map(|near| format!("did you mean `{near}`?"));
    Diagnostic::error(
        Code::UnknownArgument,
        name.span,
        format!("`{}` has no parameter `{}`", callee.value, name.value),
    )
    .maybe_help(near.or_else(|| Some(list(callee, params))))
}

fn surplus(callee: &Name, place: Span, params: &[Parameter<'_>]) -> Diagnostic {
    if params.is_empty() {
        return Diagnostic::error(Code::SurplusArgument, place, list(callee, params)).help("remove it");
    }
    let text = format!(
        "`{}` takes at most {} argument{}",
        callee.value,
        params.len(),
        if params.len() == 1 { "" } else { "s" }
    );
    Diagnostic::error(Code::SurplusArgument, place, text).help(list(callee, params))
}

fn missing(callee: &Name, param: &Parameter<'_>) -> Diagnostic {
    let text = format!("`{}` needs a value for `{}`", callee.value, param.name);
    let diagnostic = Diagnostic::error(Code::MissingArgument, callee.span, text)
        .label(format!("`{}` is missing", param.name))
        .help(format!("write `{}({} = ...)`", callee.value, param.name));
    match param.defined {
        Some(span) => diagnostic.and(span, "it has no default"),
        None => diagnostic,
    }
}

fn list(callee: &Name, params: &[Parameter<'_>]) -> String {
    match params {
        [] => format!("`{}` takes no arguments", callee.value),
        _ => {
            let names: Vec<&str> = params.iter().map(|param| param.name).collect();
            let (shown, more) = names.split_at(names.len().min(12));
            let more = if more.is_empty() { "" } else { ", ..." };
            format!("the parameters of `{}` are {}{more}", callee.value, shown.join(", "))
        }
    }
}
