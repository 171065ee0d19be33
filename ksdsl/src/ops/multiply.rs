//! Products of paths.

use super::prelude::*;
use crate::steps::{Binary, Kind};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "multiply",
    doc: "the element-wise product of paths",
    params: &[],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, usize::MAX],
        resolve: |_, _| Ok(Op::new(Multiply)),
    },
}];

/// The product of inputs of one shape, of maps and vectors with one factor per channel, or of maps and maps of one channel
/// with one factor per position.
#[derive(Clone, Copy, Debug)]
pub struct Multiply;

impl Operation for Multiply {
    fn call(&self) -> Call {
        Call::new("multiply")
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let product = |a: Shape, b: Shape| match (a, b) {
            (a, b) if a == b => Some(a),
            (map @ Shape::Map { .. }, Shape::Flat(factors)) | (Shape::Flat(factors), map @ Shape::Map { .. }) => {
                (map.channels() == factors).then_some(map)
            }
            (map @ Shape::Map { .. }, gate) if gate == map.with_channels(1) => Some(map),
            (gate, map @ Shape::Map { .. }) if gate == map.with_channels(1) => Some(map),
            _ => None,
        };
        let help =
            "the shapes must be equal, or one of them a vector with one factor per channel or a map of one channel";
        joined(inputs, product, (Code::ShapesDiffer, "multiplied", help))
    }

    fn input_name(&self, _: usize) -> &'static str {
        "factor"
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let inputs = to.inputs();
        let mut so_far = inputs[0].1;
        for (factor, shape) in &inputs[1..] {
            to.call(match (so_far, shape) {
                (Shape::Map { .. }, Shape::Flat(_)) => quote!(rt::op::gate(x, #factor)),
                (Shape::Flat(_), Shape::Map { .. }) => quote!(rt::op::gate(#factor, x)),
                (map, shape) if map.channels() > shape.channels() => quote!(rt::op::gate_positions(x, #factor)),
                (gate, shape) if gate.channels() < shape.channels() => quote!(rt::op::gate_positions(#factor, x)),
                _ => quote!(rt::op::multiply(x, #factor)),
            });
            so_far = match (so_far, shape) {
                (Shape::Flat(_), Shape::Map { .. }) => *shape,
                (so_far, Shape::Map { .. }) if so_far.channels() < shape.channels() => *shape,
                (so_far, _) => so_far,
            };
        }
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let inputs = to.inputs();
        let map = inputs.iter().any(|(_, shape)| matches!(shape, Shape::Map { .. }));
        let mut product = String::new();
        for (at, (mut factor, shape)) in inputs.into_iter().enumerate() {
            if map && matches!(shape, Shape::Flat(_)) {
                factor = to.reshape(&factor, &[0, -1, 1, 1]);
            }
            product = if at == 0 {
                factor
            } else {
                to.apply("Mul", &[&product, &factor])
            };
        }
        product
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let inputs = to.inputs();
        let (mut product, mut so_far) = inputs[0];
        for (factor, shape) in inputs.into_iter().skip(1) {
            let is_map = |shape: Shape| matches!(shape, Shape::Map { .. });
            let (op, pair, larger) = match (is_map(so_far), is_map(shape)) {
                (true, false) => (Binary::Gate, [product, factor], so_far),
                (false, true) => (Binary::Gate, [factor, product], shape),
                (true, true) if so_far.channels() > shape.channels() => {
                    (Binary::GatePositions, [product, factor], so_far)
                }
                (true, true) if so_far.channels() < shape.channels() => {
                    (Binary::GatePositions, [factor, product], shape)
                }
                _ => (Binary::Multiply, [product, factor], so_far),
            };
            let y = to.buffer_of(larger);
            to.step_to(y, Kind::Binary(op), &pair);
            (product, so_far) = (y, larger);
        }
        Ok(product)
    }

    fn python(&self, to: &mut Python) {
        let inputs = to.inputs();
        let map = inputs.iter().any(|(_, shape)| matches!(shape, Shape::Map { .. }));
        let factors = inputs.into_iter().map(|(factor, shape)| match shape {
            Shape::Flat(_) if map => format!("{factor}[:, :, None, None]"),
            _ => factor,
        });
        to.assign(&factors.collect::<Vec<_>>().join(" * "));
    }
}
