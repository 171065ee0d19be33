//! Leaky ReLU.

use super::prelude::*;
use crate::steps::{Function, Known, Tail};

/// PyTorch's default.
const SLOPE: Real = Real(0.01);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "leaky_relu",
    doc: "x, and slope times x below 0",
    params: &[param("slope", ParamKind::Number { min: 0.0, max: 1e3 }, false)],
    family: Family::Activation,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(LeakyRelu {
            slope: Real(args.number("slope", SLOPE.0)),
        })))
    }),
}];

const FUNCTION: Known = Known {
    name: "leaky_relu",
    numbers: 1,
    tails: [Tail::Other, Tail::Identity],
    limits: None,
    run: |v, [a, _]| if v > 0.0 { v } else { a * v },
    c: "v > 0 ? v : a * v",
};

/// x, and slope times x below 0.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu {
    /// The slope of negative inputs.
    slope: Real,
}

impl Operation for LeakyRelu {
    fn call(&self) -> Call {
        Call::new("leaky_relu").with("slope", self.slope)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        let words = || format!("slope {}", self.slope.0);
        (self.slope != SLOPE).then(words).into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let slope = rust::real(self.slope.0);
        to.composed(quote!(rt::op::LeakyRelu { slope: #slope }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        to.node("LeakyRelu", &[&x], vec![onnx::real("alpha", self.slope)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        Ok(to.function(Function::new(&FUNCTION, [self.slope.0 as f32, 0.0])))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.leaky_relu", vec![format!("{:?}", self.slope.0)]);
    }
}
