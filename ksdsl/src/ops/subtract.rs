//! The difference of two paths.

use super::prelude::*;
use crate::steps::{Binary, Kind};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "subtract",
    doc: "the first path minus the second",
    params: &[],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, 2],
        resolve: |_, _| Ok(Op::new(Subtract)),
    },
}];

/// The first input minus the second.
#[derive(Clone, Copy, Debug)]
pub struct Subtract;

impl Operation for Subtract {
    fn call(&self) -> Call {
        Call::new("subtract")
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        equal(inputs, "subtracted")
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        to.composed(quote!(rt::op::Subtract), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let inputs = to.inputs();
        to.apply("Sub", &[&inputs[0].0, &inputs[1].0])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let inputs = to.inputs();
        Ok(to.step(Kind::Binary(Binary::Subtract), &[inputs[0].0, inputs[1].0]))
    }

    fn python(&self, to: &mut Python) {
        let inputs: Vec<String> = to.inputs().into_iter().map(|(path, _)| path).collect();
        to.assign(&inputs.join(" - "));
    }
}
