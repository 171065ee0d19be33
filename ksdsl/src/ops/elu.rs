//! Exponential linear units.

use super::prelude::*;
use crate::steps::{Function, Known, Tail};

/// PyTorch's default.
const ALPHA: Real = Real(1.0);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "elu",
    doc: "x, and alpha (exp(x) - 1) below 0 (Clevert et al. 2016)",
    params: &[param("alpha", ParamKind::Number { min: 0.0, max: 1e3 }, false)],
    family: Family::Activation,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(Elu {
            alpha: Real(args.number("alpha", ALPHA.0)),
        })))
    }),
}];

const FUNCTION: Known = Known {
    name: "elu",
    numbers: 1,
    tails: [Tail::Constant, Tail::Identity],
    limits: None,
    run: |v, [a, _]| if v > 0.0 { v } else { a * v.exp_m1() },
    c: "v > 0 ? v : a * expm1f(v)",
};

/// x, and alpha (exp(x) - 1) below 0 (Clevert et al. 2016).
#[derive(Clone, Copy, Debug)]
pub struct Elu {
    /// The limit towards minus infinity, negated.
    alpha: Real,
}

impl Operation for Elu {
    fn call(&self) -> Call {
        Call::new("elu").with("alpha", self.alpha)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        let words = || format!("alpha {}", self.alpha.0);
        (self.alpha != ALPHA).then(words).into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let alpha = rust::real(self.alpha.0);
        to.composed(quote!(rt::op::Elu { alpha: #alpha }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        to.node("Elu", &[&x], vec![onnx::real("alpha", self.alpha)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        Ok(to.function(Function::new(&FUNCTION, [self.alpha.0 as f32, 0.0])))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.elu", vec![format!("{:?}", self.alpha.0)]);
    }
}
