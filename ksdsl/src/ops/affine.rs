//! Multiplication by a constant, and addition of one.

use super::prelude::*;
use crate::steps::{Function, Known, Tail};

const ANY: ParamKind = ParamKind::Number { min: -1e6, max: 1e6 };

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "scale",
        doc: "multiplication by a constant",
        params: &[param("factor", ANY, true)],
        family: Family::Other,
        resolve: Resolve::One(|args, _| {
            Ok(Some(Op::new(Affine {
                factor: Real(args.number("factor", 1.0)),
                offset: Real(0.0),
            })))
        }),
    },
    LayerDef {
        name: "shift",
        doc: "addition of a constant",
        params: &[param("value", ANY, true)],
        family: Family::Other,
        resolve: Resolve::One(|args, _| {
            Ok(Some(Op::new(Affine {
                factor: Real(1.0),
                offset: Real(args.number("value", 0.0)),
            })))
        }),
    },
];

const FUNCTION: Known = Known {
    name: "scale_and_shift",
    numbers: 2,
    tails: [Tail::Other, Tail::Other],
    limits: None,
    run: |v, [a, b]| a * v + b,
    c: "a * v + b",
};

/// `factor * x + offset`, where the factor is 1 or the offset is 0.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    factor: Real,
    offset: Real,
}

impl Operation for Affine {
    fn call(&self) -> Call {
        Call::new("affine")
            .with("factor", self.factor)
            .with("offset", self.offset)
    }

    fn word(&self) -> &'static str {
        if self.factor.0 == 1.0 { "shift" } else { "scale" }
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        vec![match self.word() {
            "shift" => format!("value {}", self.offset.0),
            _ => format!("factor {}", self.factor.0),
        }]
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (factor, offset) = (rust::real(self.factor.0), rust::real(self.offset.0));
        to.composed(quote!(rt::op::Affine { factor: #factor, offset: #offset }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, is_shift) = (to.x(), self.word() == "shift");
        let number = to.real(if is_shift { self.offset.0 } else { self.factor.0 });
        to.apply(if is_shift { "Add" } else { "Mul" }, &[&x, &number])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        Ok(to.function(Function::new(&FUNCTION, [self.factor.0 as f32, self.offset.0 as f32])))
    }

    fn python(&self, to: &mut Python) {
        let x = to.x();
        to.assign(&match self.word() {
            "shift" => format!("{x} + {:?}", self.offset.0),
            _ => format!("{x} * {:?}", self.factor.0),
        });
    }
}
