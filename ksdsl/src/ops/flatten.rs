//! Feature maps to a vector.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "flatten",
    doc: "feature maps to a vector, in the order channel, row, column, or the tokens of a sequence one after the other",
    params: &[],
    family: Family::Other,
    // A vector is flat already.
    resolve: Resolve::One(|_, input| {
        let flat = matches!(input, Shape::Flat(_));
        let tokens = matches!(input, Shape::Tokens { .. });
        Ok((!flat).then(|| Op::new(Flatten { tokens })))
    }),
}];

/// Maps to a vector, in the order channel, row, column; or the tokens of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Flatten {
    tokens: bool,
}

impl Operation for Flatten {
    fn call(&self) -> Call {
        Call::new(if self.tokens { "flatten_tokens" } else { "flatten" })
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Flat(inputs[0].elements()))
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("it makes one vector of all positions, later ones included")
    }

    fn rust(&self, to: &mut Rust) {
        match self.tokens {
            true => to.composed(quote!(rt::op::Reshape { vector: true }), &[]),
            false => to.call_typed(quote!(rt::op::flatten(x))),
        }
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        to.node("Flatten", &[&x], vec![onnx::int("axis", 1)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [positions, channels] = [to.shape().pixels(), to.shape().channels()].map(lower::count);
        if self.tokens || positions == 1 || channels == 1 {
            return Ok(to.reshaped());
        }
        Ok(to.moves([Move {
            count: [1, positions, channels],
            from: [0, 0, channels, 1],
            to: [0, 0, 1, positions],
        }]))
    }

    fn python(&self, to: &mut Python) {
        to.assign(&format!("{}.flatten(1)", to.x()));
    }
}
