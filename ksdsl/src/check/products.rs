//! Products where sizes are probably meant: `input 3 * 32 * 32`, `kernel = 3 * 3`.

use super::Checker;
use crate::ast::{Arg, BinaryOp, Dims, Expr, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ops::{ParamDef, ParamKind};

impl Checker<'_, '_> {
    /// Warns of an input whose one size is a product of three.
    pub(super) fn input_product(&mut self, dims: &Dims) {
        let [size] = dims.sizes.as_slice() else { return };
        if factors(size).len() == 3 {
            self.product(size, "this input is a vector whose size is the product");
        }
    }

    /// Warns of a window whose one size is a product of two numbers.
    pub(super) fn window_product(&mut self, arg: &Arg, param: Option<&ParamDef>) {
        let takes_two =
            param.is_some_and(|param| matches!(param.kind, ParamKind::Sizes | ParamKind::Zeros | ParamKind::Padding));
        let ([size], true) = (arg.value.sizes.as_slice(), takes_two) else {
            return;
        };
        let factors = factors(size);
        if factors.len() == 2 && factors.iter().all(|factor| matches!(factor.kind, ExprKind::Int(_))) {
            self.product(size, "this is a single size for both directions: the product");
        }
    }

    fn product(&mut self, size: &Expr, text: &str) {
        let warning = Diagnostic::warning(Code::Suspicious, size.span, text);
        let numbers = factors(size).into_iter().map(|factor| match factor.kind {
            ExprKind::Int(value) => Some(value.to_string()),
            _ => None,
        });
        self.diagnostics.push(match numbers.collect::<Option<Vec<_>>>() {
            Some(numbers) => warning.write(size.span, numbers.join(" x ")),
            None => warning.help("sizes are separated by `x`, as in `3 x 32 x 32`"),
        });
    }
}

/// The factors of a product, from left to right; one for what is none.
fn factors(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let ExprKind::Binary(left, operator, right) = &rest.kind {
        if operator.value != BinaryOp::Mul {
            break;
        }
        found.push(&**right);
        rest = left;
    }
    found.push(rest);
    found.reverse();
    found
}
