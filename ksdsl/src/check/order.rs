//! Numbers by position where the language has no number: PyTorch's input channels, or a norm's.

use super::Checker;
use crate::ast::{Arg, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ops::{LayerDef, ParamKind};

impl Checker<'_, '_> {
    /// Reports the first number given by position for a parameter that cannot take it, with what is meant.
    pub(super) fn numbers_by_position(&mut self, layer: &LayerDef, args: &[Arg]) {
        let by_position = args.iter().take_while(|arg| arg.name.is_none());
        let numbers: Vec<(&Arg, i64)> = by_position.map_while(|arg| Some((arg, number(arg)?))).collect();
        for (at, (arg, value)) in numbers.iter().enumerate() {
            let Some(param) = layer.params.get(at) else { return };
            let (code, text, help) = match param.kind {
                ParamKind::Flag if at > 0 => {
                    let meant: Vec<String> = numbers[1..=at].iter().map(|(_, value)| value.to_string()).collect();
                    (
                        Code::WrongType,
                        format!("`{}` takes `true` or `false`", param.name),
                        format!(
                            "input channels are inferred from the previous layer; if these are PyTorch's arguments, write `{}({})`",
                            layer.name,
                            meant.join(", ")
                        ),
                    )
                }
                ParamKind::Number { max, .. } if at == 0 && *value as f64 >= max && param.name == "eps" => (
                    Code::OutOfRange,
                    format!("`{}` cannot be {value}", param.name),
                    format!(
                        "the channels of a norm are inferred from the previous layer: write `{}`",
                        layer.name
                    ),
                ),
                _ => continue,
            };
            let label = format!("this is the integer {value}");
            let error = Diagnostic::error(code, arg.value.span, text).label(label).help(help);
            self.diagnostics.push(error);
            return;
        }
    }
}

/// The number an argument is written as.
fn number(arg: &Arg) -> Option<i64> {
    match arg.value.sizes.as_slice() {
        [size] => match size.kind {
            ExprKind::Int(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}
