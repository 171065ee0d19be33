//! Clamping to an interval.

use super::prelude::*;
use crate::steps::{Function, Known, Tail};

const ANY: ParamKind = ParamKind::Number { min: -1e6, max: 1e6 };

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "clamp",
    doc: "min(max(x, min), max)",
    params: &[param("min", ANY, true), param("max", ANY, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        let (min, max) = (args.number("min", -1.0), args.number("max", 1.0));
        if min >= max {
            let text = format!("`max` cannot be {max}: it must be above `min`, which is {min}");
            return Err(Problem::new(Code::OutOfRange, text)
                .at("max")
                .help("exchange `min` and `max`, or choose others"));
        }
        Ok(Some(Op::new(Clamp {
            min: Real(min),
            max: Real(max),
        })))
    }),
}];

const FUNCTION: Known = Known {
    name: "clamp",
    numbers: 2,
    tails: [Tail::Constant, Tail::Constant],
    limits: Some(|ends| ends.map(f64::from)),
    run: |v, [a, b]| {
        if v < a {
            a
        } else if v > b {
            b
        } else {
            v
        }
    },
    c: "v < a ? a : v > b ? b : v",
};

/// `min(max(x, min), max)`.
#[derive(Clone, Copy, Debug)]
pub struct Clamp {
    min: Real,
    max: Real,
}

impl Operation for Clamp {
    fn call(&self) -> Call {
        Call::new("clamp").with("min", self.min).with("max", self.max)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        vec![format!("min {}", self.min.0), format!("max {}", self.max.0)]
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (min, max) = (rust::real(self.min.0), rust::real(self.max.0));
        to.composed(quote!(rt::op::Clamp { min: #min, max: #max }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, min, max) = (to.x(), to.real(self.min.0), to.real(self.max.0));
        to.apply("Clip", &[&x, &min, &max])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        Ok(to.function(Function::new(&FUNCTION, [self.min.0 as f32, self.max.0 as f32])))
    }

    fn python(&self, to: &mut Python) {
        let ends = [self.min.0, self.max.0].map(|end| format!("{end:?}"));
        to.call("F.hardtanh", ends.to_vec());
    }
}
