//! What makes a selection smaller: `except`, `every`, and the arguments of a kind of layer.

use super::Clause;
use crate::ast::Share;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::{LayerId, Op};
use crate::ops::{self, ArgValue, Args, Number, Padding, ParamDef, Real};
use crate::source::Span;
use crate::value::{Env, eval_int};
use std::collections::HashSet;

/// What `every` and the arguments of a kind say, their numbers computed.
pub(super) struct Narrow {
    every: usize,
    /// What a layer of the kind must have been called with.
    wanted: Vec<Wanted>,
}

/// An argument that a layer must have been called with.
struct Wanted {
    param: &'static str,
    value: ArgValue,
    span: Span,
}

impl Narrow {
    /// Reads what a clause says; `None` if something cannot be used, which is reported.
    pub(super) fn read(share: &Share, env: &Env, diagnostics: &mut Diagnostics) -> Option<Self> {
        let every = match &share.every {
            None => 1,
            Some(expr) => {
                let number = eval_int(expr, env, diagnostics)?;
                let every = usize::try_from(number).ok().filter(|every| *every > 0);
                if every.is_none() {
                    let text = format!("`every` cannot be {number}");
                    let error = Diagnostic::error(Code::OutOfRange, expr.span, text).label("must be at least 1");
                    diagnostics.push(error.help("write `every 2` for the first, the third, the fifth, ..."));
                }
                every?
            }
        };
        let wanted = match share.kind() {
            Some((kind, args)) if !args.is_empty() => {
                let layer = ops::find(&kind.value)?;
                let args = ops::read_given(layer.params, args, env, diagnostics)?;
                wanted(layer.params, &args, diagnostics)?
            }
            _ => Vec::new(),
        };
        Some(Narrow { every, wanted })
    }

    /// The first of each `every` items.
    pub(super) fn every<T>(&self, items: Vec<T>) -> Vec<T> {
        items.into_iter().step_by(self.every).collect()
    }

    /// Those of these layers that were called with the arguments of the kind.
    pub(super) fn fitting<'n>(
        &self,
        mut layers: Vec<LayerId>,
        op: impl Fn(LayerId) -> &'n Op,
        diagnostics: &mut Diagnostics,
    ) -> Vec<LayerId> {
        for wanted in &self.wanted {
            if layers
                .iter()
                .any(|layer| !takes(op(*layer), wanted.param, wanted.value))
            {
                diagnostics.push(cannot_select(wanted.param, wanted.span));
                return Vec::new();
            }
            layers.retain(|layer| has(op(*layer), wanted.param, wanted.value));
        }
        layers
    }
}

/// The arguments by their parameters. `None` if a clause cannot ask for one of them, which is reported.
fn wanted(params: &'static [ParamDef], args: &Args, diagnostics: &mut Diagnostics) -> Option<Vec<Wanted>> {
    let mut wanted = Vec::new();
    for param in params {
        match args.get(param.name) {
            None => {}
            Some(ArgValue::Init(_) | ArgValue::Padding(Padding::Same | Padding::Causal) | ArgValue::Word(_)) => {
                diagnostics.push(cannot_select(param.name, args.span(param.name).unwrap_or_default()));
                return None;
            }
            Some(value) => wanted.push(Wanted {
                param: param.name,
                value,
                span: args.span(param.name).unwrap_or_default(),
            }),
        }
    }
    Some(wanted)
}

fn cannot_select(param: &str, span: Span) -> Diagnostic {
    let text = format!("layers cannot be selected by this `{param}`");
    let help = "layers are selected by their sizes, numbers and flags, such as `kernel = 3`";
    Diagnostic::error(Code::WrongType, span, text).help(help)
}

/// The arguments of an operation's call that a parameter of the layer becomes, with the value of each.
fn becomes(name: &str, value: ArgValue, call: &ops::Call) -> Vec<(String, Number)> {
    let both = |[height, width]: [u64; 2]| vec![("_height", height), ("_width", width)];
    let sides = match value {
        ArgValue::Size(size) if call.arg(name).is_none() => both([size; 2]),
        ArgValue::Size(size) => vec![("", size)],
        ArgValue::Flag(flag) => vec![("", u64::from(flag))],
        ArgValue::Number(number) => return vec![(name.to_owned(), Number::Real(Real(number)))],
        ArgValue::Sizes(sizes) => both(sizes),
        ArgValue::Padding(Padding::Zeros([rows, columns])) => vec![
            ("_top", rows),
            ("_bottom", rows),
            ("_left", columns),
            ("_right", columns),
        ],
        ArgValue::Padding(Padding::Same | Padding::Causal)
        | ArgValue::Init(_)
        | ArgValue::Word(_)
        | ArgValue::Value(_) => Vec::new(),
    };
    let named = sides
        .into_iter()
        .map(|(side, value)| (format!("{name}{side}"), Number::Int(value)));
    named.collect()
}

/// Whether an operation's call says what this parameter was.
fn takes(op: &Op, param: &'static str, value: ArgValue) -> bool {
    let call = op.call();
    let args = becomes(op.argument(param), value, call);
    !args.is_empty() && args.iter().all(|(name, _)| call.arg(name).is_some())
}

/// Whether an operation has this value for a parameter of its call.
fn has(op: &Op, param: &'static str, value: ArgValue) -> bool {
    let call = op.call();
    let args = becomes(op.argument(param), value, call);
    args.iter().all(|(name, value)| call.arg(name) == Some(*value))
}

impl Clause<'_, '_> {
    /// The layers that the clause leaves out, by the path that does it.
    pub(super) fn excluded(&mut self, env: &Env) -> Excluded {
        let share = self.share;
        let mut excluded = Excluded::default();
        for selector in &share.except {
            let mut layers = Vec::new();
            for found in self.select(selector, env) {
                self.index.layers_below(found.node, &mut layers);
            }
            *self.budget = self.budget.saturating_sub(layers.len());
            if !layers.is_empty() {
                excluded.all.extend(&layers);
                excluded.paths.push((selector.span, layers));
            }
        }
        excluded
    }

    /// Warns of paths that leave out nothing of what the clause selects.
    pub(super) fn check_excluded(&mut self, excluded: &Excluded, candidates: &[LayerId]) {
        if self.incomplete || *self.budget == 0 {
            return;
        }
        let candidates: HashSet<&LayerId> = candidates.iter().collect();
        for (span, layers) in &excluded.paths {
            if layers.iter().any(|layer| candidates.contains(layer)) {
                continue;
            }
            let text = "the clause selects none of these layers: `except` has no effect";
            self.diagnostics
                .push(Diagnostic::warning(Code::SingleMember, *span, text).help("remove this path"));
        }
    }
}

/// The layers that a clause leaves out.
#[derive(Default)]
pub(super) struct Excluded {
    all: HashSet<LayerId>,
    paths: Vec<(Span, Vec<LayerId>)>,
}

impl Excluded {
    pub(super) fn contains(&self, layer: LayerId) -> bool {
        self.all.contains(&layer)
    }
}
