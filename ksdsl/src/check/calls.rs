//! Whether a call gives what its callee wants.

use crate::ast::{Arg, Param};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::foreign::{self, Ours};
use crate::ops::ParamDef;
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

/// The parameters of a layer of the language where none must be given.
pub(super) fn optional(params: &'static [ParamDef]) -> Vec<Parameter<'static>> {
    let optional = |param| Parameter {
        required: false,
        ..param
    };
    built_in(params).into_iter().map(optional).collect()
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
    let mut given_for: Vec<&str> = Vec::new();
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
                    given_for.extend(meant(&name.value, params).and_then(Result::ok));
                    diagnostics.push(unknown(callee, name, args, params));
                    continue;
                }
            },
            None if named => {
                out_of_place = true;
                diagnostics.push(
                    Diagnostic::error(
                        Code::SurplusArgument,
                        place,
                        "positional argument after a named argument",
                    )
                    .help("move it before the named arguments, or name it"),
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
                    format!("`{}` is given more than once", params[index].name),
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
        .filter(|(param, _)| !diagnostics_full && !out_of_place && !given_for.contains(&param.name))
    {
        diagnostics.push(missing(callee, param));
    }
}

fn unknown(callee: &Name, name: &Name, args: &[Arg], params: &[Parameter<'_>]) -> Diagnostic {
    let text = format!("`{}` has no parameter `{}`", callee.value, name.value);
    let diagnostic = Diagnostic::error(Code::UnknownArgument, name.span, text);
    match meant(&name.value, params) {
        Some(Ok(param)) => {
            let diagnostic = diagnostic.help(format!("did you mean `{param}`?"));
            let given = args.iter().enumerate().any(|(at, arg)| match &arg.name {
                Some(name) => name.value == param,
                None => params.get(at).is_some_and(|has| has.name == param),
            });
            match given {
                true => diagnostic,
                false => diagnostic.fix(name.span, param),
            }
        }
        Some(Err(instead)) => diagnostic.help(instead),
        None => diagnostic.help(list(callee, params)),
    }
}

/// The parameter that an unknown name was probably meant for, or what to do without one.
fn meant<'p>(name: &str, params: &[Parameter<'p>]) -> Option<Result<&'p str, &'static str>> {
    let all = || params.iter().map(|param| param.name);
    if let Some(same) = all().find(|param| foreign::same(param, name)) {
        return Some(Ok(same));
    }
    let built_in = params.iter().all(|param| param.defined.is_none());
    match foreign::argument(name, |param| all().any(|has| has == param)) {
        Some(Ours::Name(ours)) => return all().find(|param| *param == ours).map(Ok),
        Some(Ours::Otherwise(instead) | Ours::Nothing(instead)) if built_in => return Some(Err(instead)),
        _ => {}
    }
    nearest(name, all()).map(Ok)
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
